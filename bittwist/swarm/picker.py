"""Which block to ask of whom (BEP 3: rarest first, end game).

A piece is in exactly ONE of these states:

    wanted ──pick──▶ active ──last block──▶ verifying ──verified──▶ have
       ▲               │ given up                │
       └───────────────┴──────── failed ─────────┘

What a peer is asked for, in this order:

1. the rest of the piece it owns: one peer takes whole pieces, in block order (the other end reads
   ahead by piece);
2. a piece reserved for it;
3. a piece begun by a peer that left or choked us: it becomes the owner;
4. if `share` (it is too slow for a whole piece): a piece that others are fetching;
5. a new piece: by chance until `random_first` are there, then the rarest;
6. a piece that others are fetching and that has unrequested blocks;
7. blocks that another peer was asked for and did not send yet (`_ask_again` has the rule).

At most `max_active` pieces are active or verifying: each holds a buffer. With that bound reached 5
is passed over, and 6 and 7 keep every peer busy that can be of use. Where they cannot, and a piece
is held that nobody is asked for, that piece is given up: its blocks are forgotten (`forgotten`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import IntEnum
from random import Random

from bittwist.errors import LocalProtocolError
from bittwist.metainfo.bitfield import Bitfield
from bittwist.metainfo.geometry import BLOCK, Geometry
from bittwist.swarm.active import ActivePiece, least_loss
from bittwist.swarm.availability import FEW, Availability
from bittwist.swarm.rarest import Rarest
from bittwist.swarm.requests import Requests

Block = tuple[int, int, int]  # index, begin, length
PeerKey = int

OVERDUE = 5.0  # seconds after which an idle peer is asked for a block again (pipelines hold about 2 s)
OVERDUE_AT_BOUND = 1.0  # the same, while the bound on active pieces holds peers up
RESERVED_FOR = 10.0  # seconds that a peer with nothing else to do leaves a reserved piece alone


class PieceState(IntEnum):
    WANTED = 0
    ACTIVE = 1  # some block was asked for, or came
    VERIFYING = 2  # all blocks are here, the hash is not checked
    HAVE = 3


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a block was good for."""

    fresh: bool  # the first copy: keep it
    complete: bool  # it was the piece's last: verify the piece
    others: tuple[PeerKey, ...]  # who were asked for it too: each gets a Cancel


_FRESH = Receipt(True, False, ())
_LAST = Receipt(True, True, ())
_STALE = Receipt(False, False, ())


class _Peer:
    """What the picker knows of one peer."""

    __slots__ = ("dry_at", "has", "key", "lacking", "piece")

    def __init__(self, key: PeerKey) -> None:
        self.key = key
        self.has: Bitfield | None = None  # None: a seed
        self.lacking = 0  # how many pieces it has that we lack (unused for seeds)
        self.piece: ActivePiece | None = None  # the one it owns
        self.dry_at = -1  # the `_returns` at which nothing new was found for it

    def offers(self, index: int) -> bool:
        return self.has is None or index in self.has


class _Reservation:
    """A piece that only one peer may be asked for."""

    __slots__ = ("key", "since")

    def __init__(self, key: PeerKey) -> None:
        self.key = key
        self.since: float | None = None  # when an idle peer first came upon it


class Picker:
    """Owns the availability and the state of every piece of a torrent, and who is asked for which block."""

    def __init__(self, geometry: Geometry, random: Random, *, max_active: int, random_first: int = 4) -> None:
        if max_active < 1:
            raise LocalProtocolError(f"max_active {max_active}")
        self._geometry = geometry
        self._random = random
        self._random_first = random_first
        self._stride = -(-geometry.piece_length // BLOCK)  # blocks of a whole piece
        self.max_active = max_active
        self.availability = Availability(geometry.num_pieces)
        self._peers: dict[PeerKey, _Peer] = {}
        self._forgotten: list[int] = []
        self._returns = 0  # how often a piece became wanted again
        self.have = Bitfield(geometry.num_pieces)
        self._full = Bitfield.full(geometry.num_pieces)
        self._reset()

    # What peers have

    def joined(self, key: PeerKey, bitfield: Bitfield) -> None:
        """A peer has these pieces; said again, it replaces what was known."""
        peer = self._peers.get(key)
        if peer is None:
            peer = self._peers[key] = _Peer(key)
        else:
            self._withdraw_holdings(peer)
        self.availability.add(bitfield)
        peer.has = None if bitfield.complete else bitfield.copy()
        peer.lacking = self._count_lacking(peer)
        peer.dry_at = -1
        self._moved(bitfield)

    def peer_has_all(self, key: PeerKey) -> None:
        """A peer is a seed (BEP 6, "Have All")."""
        self.joined(key, self._full)

    def peer_have(self, key: PeerKey, index: int) -> None:
        """A peer has one piece more."""
        peer = self._peers[key]
        if peer.has is None or not peer.has.add(index):
            return
        self.availability.have(index)
        if index not in self.have:
            peer.lacking += 1
            peer.dry_at = -1
        if peer.has.complete:
            self.availability.completed()
            self._rarest.all_moved()
            peer.has = None
        else:
            self._rarest.moved(index)

    def left(self, key: PeerKey) -> None:
        """A peer is gone: what was asked of it is wanted from others."""
        peer = self._peers.pop(key)
        for block in self._requests.of(key):
            self._withdraw(block, key)
        self._disown(peer)
        self._unreserve_all(key)
        self._withdraw_holdings(peer)

    def offers(self, key: PeerKey, index: int) -> bool:
        """Whether a peer has a piece."""
        peer = self._peers.get(key)
        return peer is not None and peer.offers(index)

    def interesting(self, key: PeerKey) -> bool:
        """Whether a peer has a piece that we lack (BEP 3, "interested")."""
        peer = self._peers[key]
        return (self.wanted_left if peer.has is None else peer.lacking) > 0

    # What we have

    def has(self, index: int) -> bool:
        """Whether we have the piece, verified."""
        return index in self.have

    def state(self, index: int) -> PieceState:
        """The one state that a piece is in."""
        if index in self.have:
            return PieceState.HAVE
        if index in self._verifying:
            return PieceState.VERIFYING
        return PieceState.ACTIVE if index in self._active else PieceState.WANTED

    @property
    def wanted_left(self) -> int:
        """How many pieces we do not have yet."""
        return self._geometry.num_pieces - self.have.count

    @property
    def in_flight(self) -> int:
        """How many pieces hold a buffer: active or verifying."""
        return len(self._active) + len(self._verifying)

    @property
    def endgame(self) -> bool:
        """Whether no block is left that nobody was asked for, while some are outstanding."""
        return bool(self._active) and not self._open and self.wanted_left == self.in_flight

    def restore(self, have: Bitfield) -> None:
        """These pieces are there and no others; what was active is forgotten, and so must its requests be."""
        for index in have.missing():
            self.have.discard(index)
        for index in have:
            self.have.add(index)
        self._reset()

    def _reset(self) -> None:
        wanted = Bitfield(self._geometry.num_pieces)
        for index in self.have.missing():
            wanted.add(index)
        self._rarest = Rarest(self.availability, wanted)
        self._active: dict[int, ActivePiece] = {}
        self._open: dict[int, ActivePiece] = {}  # active, with unrequested blocks
        self._orphans: dict[int, ActivePiece] = {}  # open, without an owner
        self._verifying: dict[int, ActivePiece] = {}
        self._requests = Requests()
        self._reserved: dict[int, _Reservation] = {}
        self._returns += 1
        for peer in self._peers.values():
            peer.piece = None
            peer.lacking = self._count_lacking(peer)

    # The way of a block

    def pick(
        self,
        key: PeerKey,
        count: int,
        *,
        now: float,
        only: Collection[int] | None = None,
        share: bool = False,
    ) -> list[Block]:
        """Up to `count` blocks to ask of a peer, now taken as asked for.

        `only` limits it to these pieces (BEP 6, "Allowed Fast"); `share` says that the peer is
        slow and should join others on a piece.
        """
        peer = self._peers[key]
        blocks: list[Block] = []
        asked = (key, now)
        while len(blocks) < count:
            piece = peer.piece
            if piece is None or (only is not None and piece.index not in only):
                piece = self._next_piece(peer, only, share)
                if piece is None:
                    self._ask_again(peer, count, blocks, now, only)
                    break
            self._take(piece, count - len(blocks), asked, blocks)
        return blocks

    def received(self, key: PeerKey, index: int, begin: int) -> Receipt:
        """A block came from a peer; (index, begin) is a block that was asked for once."""
        piece = self._active.get(index)
        if piece is None:
            return _STALE
        number = begin // BLOCK
        givers = piece.givers
        if givers[number] is not None:
            return _STALE
        givers[number] = key
        piece.missing -= 1
        others: tuple[PeerKey, ...] = ()
        requests = self._requests
        block = piece.base + number
        asked = requests.first.get(block)
        if asked is None:
            self._found(piece, number)
        elif asked[0] == key and not requests.copies:
            del requests.first[block]
        else:
            others = tuple(other for other in requests.drop(block) if other != key)
        if piece.missing:
            return Receipt(True, False, others) if others else _FRESH
        del self._active[index]
        self._verifying[index] = piece
        return Receipt(True, True, others) if others else _LAST

    def released(self, key: PeerKey, blocks: Iterable[Block]) -> None:
        """A peer will not send these (it choked us, rejected them, or took too long): others may be asked.

        It also loses the piece it owns and what was reserved for it.
        """
        for index, begin, _ in blocks:
            if index in self._active:
                self._withdraw(index * self._stride + begin // BLOCK, key)
        peer = self._peers.get(key)
        if peer is not None:
            self._disown(peer)
        self._unreserve_all(key)

    # What came of a piece

    def verified(self, index: int) -> None:
        """The piece is right and kept: we have it."""
        if not self.have.add(index):
            return
        if self._verifying.pop(index, None) is None:
            self._abandon(index)
            self._rarest.discard(index)
        self._reserved.pop(index, None)
        for peer in self._peers.values():
            if peer.has is not None and index in peer.has:
                peer.lacking -= 1

    def failed(self, index: int) -> dict[int, PeerKey]:
        """The piece is wrong, or could not be kept: it is wanted again. Who gave which block, by `begin`."""
        piece = self._verifying.pop(index, None)
        if piece is None:
            return {}
        self._want(index)
        return {number * BLOCK: key for number, key in enumerate(piece.givers) if key is not None}

    def reserve(self, index: int, key: PeerKey) -> None:
        """Ask only this peer for a wanted piece (to know whom it is from), as long as that gets on.

        It ends when the peer leaves, or blocks are released that were asked of it, or another
        peer has had nothing else to do for `RESERVED_FOR` seconds.
        """
        if key in self._peers and index in self._rarest:
            self._rarest.discard(index)
            self._reserved[index] = _Reservation(key)

    def forgotten(self) -> list[int]:
        """The pieces given up since this was last called: the blocks that came of them count for nothing."""
        forgotten, self._forgotten = self._forgotten, []
        return forgotten

    # Where the next block comes from

    def _next_piece(self, peer: _Peer, only: Collection[int] | None, share: bool) -> ActivePiece | None:
        """A piece with unrequested blocks for a peer, by rules 2 to 6 of the module's docstring."""
        piece = self._reserved_piece(peer, only) if self._reserved else None
        if piece is None and self._orphans:
            piece = self._find(self._orphans, peer, only)
            if piece is not None:
                self._own(peer, piece)
        if piece is None and share:
            piece = self._find(self._open, peer, only)
        if piece is None and self.in_flight < self.max_active:
            piece = self._new_piece(peer, only)
        if piece is None and not share:
            piece = self._find(self._open, peer, only)
        if piece is None and only is None:
            piece = self._make_room(peer)
        return piece

    def _reserved_piece(self, peer: _Peer, only: Collection[int] | None) -> ActivePiece | None:
        for index, reservation in self._reserved.items():
            if reservation.key != peer.key or (only is not None and index not in only):
                continue
            if index in self._open:
                return self._open[index]
            if (
                index not in self._active
                and index not in self._verifying
                and self.in_flight < self.max_active
            ):
                return self._start(peer, index)
        return None

    def _find(
        self, pieces: dict[int, ActivePiece], peer: _Peer, only: Collection[int] | None
    ) -> ActivePiece | None:
        for index, piece in pieces.items():
            if peer.offers(index) and (only is None or index in only) and not self._barred(index, peer.key):
                return piece
        return None

    def _new_piece(self, peer: _Peer, only: Collection[int] | None) -> ActivePiece | None:
        if only is not None:
            offered = [index for index in sorted(only) if index in self._rarest and peer.offers(index)]
            index = min(offered, key=self.availability.__getitem__, default=None)
        elif peer.dry_at == self._returns:
            return None
        else:
            index = None
            if self.have.count < self._random_first:
                index = self._rarest.by_chance(peer.has, self._random)
            if index is None:
                index = self._rarest.pick(peer.has, self._random)
            if index is None:
                peer.dry_at = self._returns
        return None if index is None else self._start(peer, index)

    def _start(self, peer: _Peer, index: int) -> ActivePiece:
        self._rarest.discard(index)
        piece = ActivePiece(index, index * self._stride, self._geometry.num_blocks(index))
        self._active[index] = self._open[index] = self._orphans[index] = piece
        self._own(peer, piece)
        return piece

    def _make_room(self, peer: _Peer) -> ActivePiece | None:
        """With the bound reached and nothing else to do: give up a piece nobody is asked for, begin another."""
        if self.in_flight < self.max_active:
            return None
        idle = [piece for piece in self._orphans.values() if piece.idle]
        index = self._rarest.pick(peer.has, self._random) if idle else None
        if index is None:
            return None
        self._give_up(least_loss(idle, self.availability))
        return self._start(peer, index)

    def _ask_again(
        self, peer: _Peer, count: int, blocks: list[Block], now: float, only: Collection[int] | None
    ) -> None:
        """Blocks that others were asked for and owe, for a peer with nothing else to do.

        What is overdue, the oldest first: `OVERDUE` seconds, or `OVERDUE_AT_BOUND`. In the end game
        a few that are not, the newest first. So a piece that a slow peer holds is taken from it
        block by block, and nothing waits for one peer.
        """
        if self._reserved:
            self._end_reservations(peer, now)
        patience = OVERDUE if self.in_flight < self.max_active else OVERDUE_AT_BOUND
        for block in self._requests.again(peer.key, before=now - patience, hasty=self.endgame):
            if len(blocks) >= count:
                return
            index, number = divmod(block, self._stride)
            if peer.offers(index) and (only is None or index in only) and not self._barred(index, peer.key):
                self._requests.repeat(block, peer.key)
                begin = number * BLOCK
                blocks.append((index, begin, self._geometry.block_length(index, begin)))

    def _take(
        self, piece: ActivePiece, count: int, asked: tuple[PeerKey, float], blocks: list[Block]
    ) -> None:
        index, base, first = piece.index, piece.base, self._requests.first
        number = 0
        for number in piece.take(count):
            first[base + number] = asked
            blocks.append((index, number * BLOCK, BLOCK))
        if number == piece.num_blocks - 1:
            blocks[-1] = (index, number * BLOCK, self._geometry.block_length(index, number * BLOCK))
        if not piece.unrequested:
            self._close(piece)

    # Pieces and their owners: `peer.piece is piece` where `piece.owner == peer.key`, and only while it is open

    def _own(self, peer: _Peer, piece: ActivePiece) -> None:
        self._disown(peer)
        self._orphans.pop(piece.index, None)
        piece.owner = peer.key
        peer.piece = piece

    def _disown(self, peer: _Peer) -> None:
        piece, peer.piece = peer.piece, None
        if piece is not None:
            piece.owner = None
            self._orphans[piece.index] = piece

    def _close(self, piece: ActivePiece) -> None:
        """No block of it is unrequested now."""
        del self._open[piece.index]
        self._orphans.pop(piece.index, None)
        if piece.owner is not None:
            self._peers[piece.owner].piece = None
            piece.owner = None

    def _withdraw(self, block: int, key: PeerKey) -> None:
        if self._requests.withdraw(block, key):
            index, number = divmod(block, self._stride)
            piece = self._active[index]
            piece.give_back(number)
            self._open[index] = piece
            if piece.owner is None:
                self._orphans[index] = piece

    def _found(self, piece: ActivePiece, number: int) -> None:
        piece.found(number)
        if not piece.unrequested:
            self._close(piece)

    def _give_up(self, piece: ActivePiece) -> None:
        self._forgotten.append(piece.index)
        self._abandon(piece.index)
        self._want(piece.index)

    def _abandon(self, index: int) -> None:
        piece = self._active.pop(index, None)
        if piece is None:
            return
        if piece.unrequested:
            self._close(piece)
        for block in range(piece.base, piece.base + piece.num_blocks):
            self._requests.drop(block)

    def _want(self, index: int) -> None:
        self._reserved.pop(index, None)
        self._rarest.add(index)
        self._returns += 1

    # Reservations

    def _barred(self, index: int, key: PeerKey) -> bool:
        reservation = self._reserved.get(index)
        return reservation is not None and reservation.key != key

    def _unreserve(self, index: int) -> None:
        del self._reserved[index]
        if index not in self._active and index not in self._verifying:
            self._want(index)

    def _unreserve_all(self, key: PeerKey) -> None:
        for index in [index for index, reservation in self._reserved.items() if reservation.key == key]:
            self._unreserve(index)

    def _end_reservations(self, peer: _Peer, now: float) -> None:
        for index, reservation in tuple(self._reserved.items()):
            if reservation.key == peer.key or not peer.offers(index):
                continue
            if reservation.since is None:
                reservation.since = now
            elif now - reservation.since >= RESERVED_FOR:
                self._unreserve(index)

    # What peers have

    def _count_lacking(self, peer: _Peer) -> int:
        return 0 if peer.has is None else (peer.has.as_int() & ~self.have.as_int()).bit_count()

    def _withdraw_holdings(self, peer: _Peer) -> None:
        bitfield = self._full if peer.has is None else peer.has
        self.availability.remove(bitfield)
        self._moved(bitfield)

    def _moved(self, bitfield: Bitfield) -> None:
        """A peer with these pieces came or went."""
        if bitfield.count * FEW < bitfield.num_pieces:
            for index in bitfield:
                self._rarest.moved(index)
        elif not bitfield.complete:
            self._rarest.all_moved()
