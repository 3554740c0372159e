"""Which block to ask of whom (BEP 3: rarest first, end game).

A piece is in exactly ONE of these states:

    wanted ──pick──▶ active ──last block──▶ verifying ──verified──▶ have
       ▲               │ given up                │
       └───────────────┴──────── failed ─────────┘

or is unwanted (`prioritise`). An active piece that becomes so is not asked for any more and keeps what came,
until its room is needed or all that is wanted is there; one that is verifying is kept like any other.

What a peer is asked for, in this order:

1. pieces with a deadline (`deadlines` has the rule), the soonest first;
2. the rest of the piece it owns: whole pieces of one peer, in block order (the other end reads ahead);
3. a piece reserved for it;
4. a piece begun by a peer that left or choked us: it becomes the owner;
5. with `share` (it is too slow for a whole piece): a piece that others are fetching;
6. a new piece (`newpieces` has the rule);
7. a piece that others are fetching and that has unrequested blocks;
8. blocks that another peer was asked for and has not sent yet (`_ask_again` has the rule).

At most `max_active` pieces are in flight, active or verifying: each holds a buffer. With that bound
reached 6 is passed over, and 7 and 8 keep every peer busy that can be of use. Where they cannot, a piece
that nobody is asked for is given up: `forgotten` names it. One with a deadline is begun beyond the bound.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from random import Random

from bittwist.errors import LocalProtocolError
from bittwist.metainfo.bitfield import Bitfield
from bittwist.metainfo.geometry import BLOCK, Geometry
from bittwist.swarm.active import ActivePiece
from bittwist.swarm.availability import Availability
from bittwist.swarm.deadlines import Deadlines, Urgent
from bittwist.swarm.flight import Arrived, Block, Came, InFlight, PeerKey, PieceState
from bittwist.swarm.holdings import Holdings
from bittwist.swarm.newpieces import NewPieces
from bittwist.swarm.reservations import Reservations

__all__ = ["OVERDUE", "OVERDUE_AT_BOUND", "Block", "Came", "PeerKey", "Picker", "PieceState"]

OVERDUE = 5.0  # seconds after which an idle peer is asked for a block again (pipelines hold about 2 s)
OVERDUE_AT_BOUND = 1.0  # the same, while the bound on pieces in flight holds peers up


class Picker:
    """The state of every piece of a torrent, and who is asked for which block.

    After `verified`, `failed`, `left` and `released` there may be something to ask of peers for which
    the last `pick` found too little; and when a second has passed (`_ask_again`).
    """

    def __init__(self, geometry: Geometry, random: Random, *, max_active: int, random_first: int = 4) -> None:
        if max_active < 1:
            raise LocalProtocolError(f"no piece may be in flight: max_active is {max_active}")
        self._geometry = geometry
        self._random = random
        self._forgotten: list[int] = []
        self.max_active = max_active
        self.have = Bitfield(geometry.num_pieces)  # verified and kept; to be read only
        self._holdings = Holdings(self.have)
        self._flight = InFlight(geometry)
        self._reserved = Reservations()
        self.deadlines = Deadlines()
        self._urgent = Urgent(self.deadlines, self._flight, self._holdings, self._reserved)
        self._new = NewPieces(self.have, self._holdings, random, random_first)

    # What is wanted

    def prioritise(self, levels: bytes, *, sequential: bool = False) -> None:
        """How much each piece is wanted from now on (`priorities.levels`), and whether in order."""
        flight = self._flight
        for index in [index for index in self._reserved if not levels[index]]:
            self._reserved.discard(index)
        self._forgotten += flight.sort_out(levels)
        self._holdings.prioritise(levels, sequential, {*flight.active, *flight.verifying, *self._reserved})
        self._forget_parked()

    def wants(self, index: int) -> bool:
        """Whether the piece is wanted, here or not."""
        return self._holdings.wants(index)

    @property
    def wanted_left(self) -> int:
        """How many wanted pieces we do not have yet, those in flight among them."""
        return self._holdings.left

    @property
    def complete(self) -> bool:
        """Whether every wanted piece is here."""
        return not self._holdings.left

    # What peers have

    def joined(self, key: PeerKey, bitfield: Bitfield, *, in_rows: bool = False) -> None:
        """A peer has these pieces (it is copied); said again, it replaces what was known.

        With `in_rows`, a new piece for it is the one behind its last, where that is wanted (BEP 19).
        """
        self._holdings.joined(key, bitfield)
        if in_rows:
            self._new.in_rows(key)

    def peer_have(self, key: PeerKey, index: int) -> None:
        """A peer has one piece more."""
        self._holdings.peer_have(key, index)

    def suggested(self, key: PeerKey, index: int) -> None:
        """A peer has a piece at hand (BEP 6): a new one for it is that, if none is wanted more."""
        self._new.suggested(key, index)

    def left(self, key: PeerKey) -> None:
        """A peer is gone: what was asked of it is wanted from others."""
        self._new.left(key)
        self._holdings.left_by(key)
        self._flight.left(key)
        self._end_reservations(key)

    def offers(self, key: PeerKey, index: int) -> bool:
        """Whether a peer is here and has a piece."""
        return key in self._holdings and index in self._holdings.of(key)

    def interesting(self, key: PeerKey) -> bool:
        """Whether a peer has a piece that we want and lack (BEP 3, "interested")."""
        return self._holdings.interesting(key)

    @property
    def availability(self) -> Availability:
        """How many peers have each piece; to be read only."""
        return self._holdings.availability

    # What we have

    def state(self, index: int) -> PieceState:
        """The one state that a piece is in."""
        if index in self.have:
            return PieceState.HAVE
        if index in self._flight.verifying:
            return PieceState.VERIFYING
        if index in self._flight.active:
            return PieceState.ACTIVE
        return PieceState.WANTED if self._holdings.wants(index) else PieceState.UNWANTED

    @property
    def endgame(self) -> bool:
        """Whether blocks are outstanding, and there is none that nobody was asked for."""
        flight, holdings = self._flight, self._holdings
        if flight.open or len(flight.active) == len(flight.parked):
            return False
        wanted = len(flight.active) - len(flight.parked) + sum(map(holdings.wants, flight.verifying))
        return holdings.left == wanted

    def restore(self, have: Bitfield) -> None:
        """These pieces are there and no others; what was in flight is forgotten, and who was asked."""
        for index in have.missing():
            self.have.discard(index)
        for index in have:
            self.have.add(index)
        self._flight = InFlight(self._geometry)
        self._reserved = Reservations()
        self._urgent = Urgent(self.deadlines, self._flight, self._holdings, self._reserved)
        self._holdings.restored()

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
        """Up to `count` blocks to ask of a peer; they count as asked from now on.

        `only` limits it to these pieces (BEP 6, "Allowed Fast"); `share` says that the peer is
        slow and should join others on a piece.
        """
        blocks: list[Block] = []
        asked = (key, now)
        flight = self._flight
        if self.deadlines and only is None:
            blocks += self._urgent.take(key, count, now=now, room=self.max_active + 1 - len(flight))
        while len(blocks) < count:
            piece = flight.owned.get(key)
            if piece is None or (only is not None and piece.index not in only):
                piece = self._next_piece(key, only, share)
                if piece is None:
                    self._ask_again(key, count, blocks, now, only)
                    break
            flight.take(piece, count - len(blocks), asked, blocks)
        return blocks

    def came(self, key: PeerKey, blocks: Sequence[Arrived]) -> Came:
        """Blocks came from a peer, in a row; each was picked once, for whomever."""
        return self._flight.came(key, blocks)

    def released(self, key: PeerKey, blocks: Iterable[Block]) -> None:
        """A peer will not send these (it choked us, rejected them, or took too long): others may be asked.

        It also loses the piece it owns and what was reserved for it.
        """
        self._flight.released(key, blocks)
        self._end_reservations(key)

    # What came of a piece

    def verified(self, index: int) -> None:
        """The piece is right and kept: we have it."""
        if self.have.add(index):
            self._flight.finished(index)
            self._flight.abandon(index)
            self._reserved.discard(index)
            self._holdings.got(index)
            self.deadlines.discard(index)
            self._forget_parked()

    def failed(self, index: int) -> dict[int, PeerKey]:
        """The piece is wrong, or could not be kept: it is wanted again. Who gave which block, by `begin`."""
        piece = self._flight.finished(index)
        if piece is None:
            return {}
        self._want(index)
        return {number * BLOCK: key for number, key in enumerate(piece.givers) if key is not None}

    def reserve(self, index: int, key: PeerKey) -> None:
        """Ask only this peer for a wanted piece, so that it is known whom it is from.

        It ends when the peer leaves, when blocks are released that were asked of it, or when
        another has had nothing else to do for `RESERVED_FOR` seconds: no download waits for one peer.
        """
        if self._holdings.is_pickable(index) and self.offers(key, index):
            self._holdings.take(index)
            self._reserved.add(index, key)

    def forgotten(self) -> list[int]:
        """The pieces given up since this was last called: drop their buffers."""
        forgotten, self._forgotten = self._forgotten, []
        return forgotten

    # Where the next block comes from

    def _next_piece(self, key: PeerKey, only: Collection[int] | None, share: bool) -> ActivePiece | None:
        """A piece with unrequested blocks for a peer, by rules 3 to 7 of the module's docstring."""
        flight = self._flight
        if self._reserved:
            piece = self._reserved_piece(key, only)
            if piece is not None:
                return piece
        if flight.orphans:
            piece = self._find(flight.orphans, key, only)
            if piece is not None:
                flight.own(key, piece)
                return piece
        if share:
            piece = self._find(flight.open, key, only)
            if piece is not None:
                return piece
        if flight.parked and len(flight) >= self.max_active:
            self._forget(next(iter(flight.parked)))
        if len(flight) < self.max_active:
            index = self._new.next(key, only)
            if index is not None:
                return self._start(index, key)
        return self._find(flight.open, key, only) or (self._make_room(key) if only is None else None)

    def _reserved_piece(self, key: PeerKey, only: Collection[int] | None) -> ActivePiece | None:
        flight = self._flight
        for index in self._reserved.of(key):
            if only is not None and index not in only:
                continue
            if index in flight.open:
                return flight.open[index]
            if index not in flight and len(flight) < self.max_active:
                return self._start(index, key)
        return None

    def _find(
        self, pieces: dict[int, ActivePiece], key: PeerKey, only: Collection[int] | None
    ) -> ActivePiece | None:
        """The first of some open pieces that may be asked of a peer."""
        has = self._holdings.of(key)
        for index, piece in pieces.items():
            if index in has and (only is None or index in only) and not self._reserved.bars(index, key):
                return piece
        return None

    def _start(self, index: int, key: PeerKey) -> ActivePiece:
        self._holdings.take(index)
        self._new.began(key, index)
        piece = self._flight.start(index)
        self._flight.own(key, piece)
        return piece

    def _make_room(self, key: PeerKey) -> ActivePiece | None:
        """At the bound, with nothing else to do: begin a new piece in place of one that nobody is asked for.

        Given up is one that nobody here has, before all others; then the one with the fewest blocks.
        """
        if len(self._flight) < self.max_active:
            return None
        idle = [piece for piece in self._flight.orphans.values() if piece.idle]
        index = self._holdings.next(key, self._random) if idle else None
        if index is None:
            return None
        here = self.availability
        least = min(idle, key=lambda piece: (here[piece.index] > 0, -piece.missing, piece.index))
        self._forget(least.index)
        self._want(least.index)
        return self._start(index, key)

    def _ask_again(
        self, key: PeerKey, count: int, blocks: list[Block], now: float, only: Collection[int] | None
    ) -> None:
        """Blocks that others were asked for and owe, for a peer with nothing else to do.

        What is overdue, the oldest first: after `OVERDUE` seconds, at the bound `OVERDUE_AT_BOUND`. In
        the end game a few that are not, the newest first. So a piece that a slow peer holds is taken
        from it block by block. At most MAX_COPIES peers are asked for a block.
        """
        if self._reserved:
            has = self._holdings.of(key)
            for index in self._reserved.overstayed(key, now):
                if index in has:
                    self._end_reservation(index)
        has = self._holdings.of(key)
        patience = OVERDUE if len(self._flight) < self.max_active else OVERDUE_AT_BOUND
        for block in self._flight.again(key, before=now - patience, hasty=self.endgame):
            if len(blocks) >= count:
                return
            index = block[0]
            if index not in has or index in self._flight.parked or self._reserved.bars(index, key):
                continue
            if only is None or index in only:
                self._flight.repeat(block, key)
                blocks.append(block)

    # Pieces that are given up, or wanted again

    def _forget(self, index: int) -> None:
        self._flight.abandon(index)
        self._forgotten.append(index)

    def _forget_parked(self) -> None:
        """With all that is wanted here, what is held of the rest waits for nothing."""
        if not self._holdings.left:
            for index in tuple(self._flight.parked):
                self._forget(index)

    def _want(self, index: int) -> None:
        self._reserved.discard(index)
        self._holdings.put_back(index)

    def _end_reservation(self, index: int) -> None:
        self._reserved.discard(index)
        if index not in self._flight:
            self._holdings.put_back(index)

    def _end_reservations(self, key: PeerKey) -> None:
        for index in self._reserved.of(key):
            self._end_reservation(index)
