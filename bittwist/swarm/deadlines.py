"""Pieces that are needed by a certain time, for streaming: which comes first, and whom to ask for it.

Such a piece goes before all others, in the order of the deadlines. It is asked only of peers that are about
as fast as the fastest that has it, of several at once, and again of another when it is late.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from bittwist.swarm.flight import Block, InFlight, PeerKey
from bittwist.swarm.holdings import Holdings
from bittwist.swarm.reservations import Reservations

QUICK = 0.5  # of the rate of the fastest peer that has a piece: who is slower is not asked for it
LATE = 3.0  # seconds after which a block is asked of another peer too: a pipeline holds about 2 s
LATE_PAST = 1.0  # the same once the deadline has passed
MAX_DEADLINES = 4096  # pieces; a player asks for the next few


class Deadlines:
    """The pieces with a deadline, soonest first, and how fast the peers are; owned by the picker."""

    def __init__(self) -> None:
        self._at: dict[int, float] = {}  # by piece, in the order of the times
        self._rates: Mapping[PeerKey, float] = {}
        self._fastest: dict[int, float] = {}  # by piece; since the rates were told last

    def __bool__(self) -> bool:
        return bool(self._at)

    def __iter__(self) -> Iterator[int]:
        """The pieces, the one needed soonest first."""
        return iter(tuple(self._at))

    def add(self, index: int, at: float) -> None:
        """The piece is needed by then; said again, the new time holds. Beyond the bound the last ones go."""
        self._at[index] = at
        soonest = sorted(self._at.items(), key=lambda item: (item[1], item[0]))
        self._at = dict(soonest[:MAX_DEADLINES])

    def discard(self, index: int) -> None:
        self._at.pop(index, None)

    def clear(self) -> None:
        self._at.clear()

    def measured(self, rates: Mapping[PeerKey, float]) -> None:
        """How fast (bytes/s) each peer is that can be asked at all; to be told now and then."""
        self._rates = dict(rates)
        self._fastest.clear()

    def may_ask(self, key: PeerKey, index: int, holders: Iterable[PeerKey]) -> bool:
        """Whether a peer is fast enough for a piece that `holders` have; one nobody has measured is."""
        rate = self._rates.get(key)
        if rate is None:
            return True
        fastest = self._fastest.get(index)
        if fastest is None:
            fastest = max((self._rates.get(holder, 0.0) for holder in holders), default=0.0)
            self._fastest[index] = fastest
        return rate >= QUICK * fastest

    def late_before(self, index: int, now: float) -> float:
        """Blocks of the piece that were asked for up to this time are late."""
        return now - (LATE if now < self._at[index] else LATE_PAST)


class Urgent:
    """Takes blocks of pieces with a deadline for a peer; looks into what the picker owns."""

    def __init__(
        self, deadlines: Deadlines, flight: InFlight, holdings: Holdings, reserved: Reservations
    ) -> None:
        self._deadlines = deadlines
        self._flight = flight
        self._holdings = holdings
        self._reserved = reserved

    def take(self, key: PeerKey, count: int, *, now: float, room: int) -> list[Block]:
        """Up to `count` blocks, which count as asked of the peer; at most `room` pieces are begun for it."""
        flight, deadlines = self._flight, self._deadlines
        blocks: list[Block] = []
        for index in deadlines:
            piece = flight.active.get(index)
            if piece is None and (room <= 0 or not self._holdings.is_pickable(index)):
                continue
            if not self._may_ask(key, index):
                continue
            if piece is None:
                self._holdings.take(index)
                piece = flight.start(index)
                room -= 1
            if piece.unrequested:
                flight.take(piece, count - len(blocks), (key, now), blocks)
            else:
                for block in flight.late(piece, key, before=deadlines.late_before(index, now)):
                    if len(blocks) < count:
                        flight.repeat(block, key)
                        blocks.append(block)
            if len(blocks) >= count:
                break
        return blocks

    def _may_ask(self, key: PeerKey, index: int) -> bool:
        holdings = self._holdings
        if index not in holdings.of(key) or index in self._flight.parked or self._reserved.bars(index, key):
            return False
        return self._deadlines.may_ask(key, index, holdings.holders(index))
