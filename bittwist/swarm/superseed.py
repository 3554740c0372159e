"""What a seed that pretends to have nothing reveals to whom (BEP 16, "superseeding").

Each peer is told of one piece: one that nobody has been told of and nobody has, as long as there is one. It
is told of the next when the piece has been seen at another peer, so that what is given once is passed on.
When every piece was told of, the seed waits while the peers trade what is missing; only what does not move
for `patience` seconds is helped:

- a piece its receiver does not fetch is told to another peer when nothing new is left, and the receiver,
  which may not want it, is told of another one;
- a receiver whose piece nobody else shows (it may reach nobody) is told of the next all the same;
- whoever waits for a piece while nothing new is left is told of the rarest that it lacks.

Who has nobody to pass pieces on to is not kept waiting: a peer that is the only one, and one whose piece
nobody else showed in that time, are told of the next as soon as they have one, and then of a few ahead. What
they are told of is what nobody has, so that this costs no second copy. It ends when another peer comes, or
shows what it can only have from there.

All that is over for good once another peer has everything; a peer that is the only one for `patience` seconds
is told of all pieces.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from random import Random

from bittwist.metainfo.bitfield import Bitfield
from bittwist.settings import SECONDS, check_bounds

PeerKey = int
Reveal = tuple[PeerKey, int | None]  # tell this peer of that piece; None: of all pieces, from now on

AHEAD = 4  # pieces that one who is not kept waiting is told of at a time: to fetch while it tells what it has
LEVELS = 4  # pieces that fewer peers have are told apart; among the others chance decides

_SET = re.compile(rb"[^\x00]")


@dataclass(frozen=True, slots=True)
class SuperseedSettings:
    """Times in seconds."""

    patience: float = (
        60.0  # for what was given to be passed on: a slow peer's time for a piece, and some more
    )

    def __post_init__(self) -> None:
        check_bounds(self, {"patience": SECONDS})


@dataclass(slots=True)
class _Task:
    """A piece that a peer was told of, and that is waited for."""

    told_at: float
    others: int  # how many other peers had it then
    got_at: float | None = None  # when the peer had it itself


class _Peer:
    """One peer; owned by Superseed."""

    __slots__ = ("fetches", "free", "has", "isolated", "revealed", "tasks", "waits_since")

    def __init__(self, has: Bitfield, now: float, free: bool) -> None:
        self.has = has
        self.revealed: set[int] = set()
        self.tasks: dict[int, _Task] = {}  # by piece; none: it waits for one
        self.waits_since = now
        self.isolated = False  # it passed nothing on in all the time it had: it may reach nobody
        self.fetches = False  # it has fetched a piece that it was told of
        self.free = free  # it was told of everything


class Superseed:
    """Decides what each peer of a seed may know of. Owns what was revealed, and to whom.

    Whatever happens is told here; each call returns what to reveal.
    """

    def __init__(
        self, num_pieces: int, random: Random, settings: SuperseedSettings = SuperseedSettings()
    ) -> None:
        self.over = False  # superseeding has done its work: seed as usual
        self._num_pieces = num_pieces
        self._random = random
        self._settings = settings
        self._all = Bitfield.full(num_pieces).as_int()
        self._peers: dict[PeerKey, _Peer] = {}
        self._out: dict[int, tuple[PeerKey, float]] = {}  # told of and not come since: whom last, and when
        self._alone_since: float | None = None

    def joined(self, key: PeerKey, has: Bitfield, now: float, *, free: bool = False) -> list[Reveal]:
        """A peer has these pieces (they are copied); said again, it replaces what was known.

        `free`: it was told of all our pieces before.
        """
        known = self._peers.get(key)
        if known is None:
            self._peers[key] = _Peer(has.copy(), now, free)
            self._alone_since = now if len(self._peers) == 1 else None
        else:
            known.has = has.copy()
        for index in [index for index in self._out if index in has]:
            del self._out[index]
        return self._end() if has.complete or self.over else self._review(now)

    def peer_have(self, key: PeerKey, index: int, now: float) -> list[Reveal]:
        """A peer has one piece more."""
        peer = self._peers[key]
        if self.over or not peer.has.add(index):
            return []
        self._out.pop(index, None)
        waited_for = [other for other in self._peers.values() if index in other.tasks]
        for other in waited_for:
            if not other.tasks[index].others:
                other.has.add(index)  # from whom else; not everybody says so to one that told of it itself
        if not peer.free and index not in peer.revealed:
            for other in self._peers.values():
                other.isolated = other.isolated and index not in other.revealed
        return self._review(now) if waited_for or peer.has.complete else []

    def left(self, key: PeerKey, now: float) -> list[Reveal]:
        """A peer is gone: what it was to pass on may be lost."""
        if self._peers.pop(key, None) is None or self.over:
            return []
        for index in [index for index, (receiver, _) in self._out.items() if receiver == key]:
            del self._out[index]
        if len(self._peers) == 1:
            self._alone_since = now
        return self._review(now)

    def tick(self, now: float) -> list[Reveal]:
        """Once a second: patience may be over."""
        return [] if self.over else self._review(now, stalled=True)

    def knows(self, key: PeerKey) -> Collection[int] | None:
        """The pieces a peer may ask for; None: all of them."""
        peer = self._peers.get(key)
        if peer is None:
            return None if self.over else ()
        return None if peer.free else peer.revealed

    def _end(self) -> list[Reveal]:
        self.over = True
        return self._set_free()

    def _set_free(self) -> list[Reveal]:
        self._out.clear()
        bound = {key: peer for key, peer in self._peers.items() if not peer.free}
        for peer in bound.values():
            peer.free = True
            peer.tasks.clear()
        return [(key, None) for key in bound]

    def _review(self, now: float, *, stalled: bool = False) -> list[Reveal]:
        """Who is done with its piece gets the next one."""
        if len(self._peers) == 1 and self._alone_since is not None and self._late(self._alone_since, now):
            return self._set_free()
        for key, peer in self._peers.items():
            self._look_at(key, peer, now)
        if any(peer.has.complete for peer in self._peers.values()):
            return self._end()
        waiting = [(key, peer) for key, peer in self._peers.items() if self._room(peer)]
        fresh = self._fresh() if waiting else 0
        reveals: list[Reveal] = []
        for key, peer in waiting:
            for _ in range(self._room(peer)):
                index = self._any(fresh)
                if index is None and (stalled or peer.isolated):
                    index = self._overdue(key, peer, now)
                if index is None:
                    break
                fresh &= ~self._bit(index)
                self._out[index] = (key, now)
                peer.tasks[index] = _Task(now, self._others(index, key))
                peer.revealed.add(index)
                reveals.append((key, index))
        return reveals

    def _hurried(self, peer: _Peer) -> bool:
        """Whether there is no use in waiting for it to pass a piece on."""
        return peer.isolated or len(self._peers) == 1

    def _room(self, peer: _Peer) -> int:
        """How many pieces more it may be told of."""
        if peer.free:
            return 0
        return (AHEAD if peer.fetches and self._hurried(peer) else 1) - len(peer.tasks)

    def _look_at(self, key: PeerKey, peer: _Peer, now: float) -> None:
        """Whether a peer is done with its pieces, or has had enough time for them."""
        for index, task in tuple(peer.tasks.items()):
            if index in peer.has and task.got_at is None:
                task.got_at = now
                peer.fetches = True
            passed_on = self._others(index, key) > task.others
            late = self._late(task.told_at if task.got_at is None else task.got_at, now)
            if passed_on or late or (task.got_at is not None and self._hurried(peer)):
                del peer.tasks[index]
                peer.waits_since = now
                peer.isolated = not passed_on and (peer.isolated or (late and task.got_at is not None))

    def _late(self, since: float, now: float) -> bool:
        return now - since >= self._settings.patience

    def _others(self, index: int, key: PeerKey) -> int:
        """How many peers besides this one have a piece."""
        return sum(1 for other, peer in self._peers.items() if other != key and index in peer.has)

    # Which piece next, as bits in the wire form of a bitfield

    def _fresh(self) -> int:
        """The pieces that nobody here has and that nobody was told of."""
        known = sum(map(self._bit, self._out))
        for peer in self._peers.values():
            known |= peer.has.as_int()
        return self._all & ~known

    def _overdue(self, key: PeerKey, peer: _Peer, now: float) -> int | None:
        """For a peer that waits while nothing is fresh: what moves least."""
        for index, (receiver, told_at) in self._out.items():
            mine = receiver == key or index in peer.revealed or index in peer.has
            if not mine and self._late(told_at, now):
                return index
        if peer.isolated or (not peer.tasks and self._late(peer.waits_since, now)):
            return self._rarest(peer)
        return None

    def _rarest(self, peer: _Peer) -> int | None:
        """Of the pieces that a peer lacks and was not told of the one fewest have; ties by chance."""
        left = self._all & ~peer.has.as_int() & ~sum(map(self._bit, self._out.keys() | peer.revealed))
        most = [left] + [0] * LEVELS  # of these pieces, those that at least so many peers have
        for other in self._peers.values():
            has = other.has.as_int()
            for level in range(LEVELS, 0, -1):
                most[level] |= most[level - 1] & has
        for level in range(1, LEVELS + 1):
            index = self._any(left & ~most[level])
            if index is not None:
                return index
        return self._any(left)

    def _bit(self, index: int) -> int:
        return 1 << (self._num_pieces + 7) // 8 * 8 - 1 - index

    def _any(self, bits: int) -> int | None:
        """One of the pieces, by chance."""
        if not bits:
            return None
        wire = bits.to_bytes((self._num_pieces + 7) // 8, "big")
        start = int(self._random.random() * len(wire))
        found = _SET.search(wire, start) or _SET.search(wire)
        assert found is not None
        places = [bit for bit in range(8) if wire[found.start()] & 0x80 >> bit]
        return found.start() * 8 + self._random.choice(places)
