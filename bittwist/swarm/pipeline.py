"""What is asked of one peer and has not come yet, and how much more to ask (BEP 3, "pipelining").

The depth follows the bandwidth-delay product: bytes for the shortest delay seen plus a queue of
`queue_seconds`, so that the peer's side never runs dry. It starts small and grows by one with each
block that comes (it doubles every round trip) until that measure is reached.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bittwist.metainfo.geometry import BLOCK
from bittwist.settings import SECONDS, check_bounds
from bittwist.swarm.rate import Rate

Block = tuple[int, int, int]  # index, begin, length
Arrived = tuple[int, int, bytes | memoryview]  # index, begin, the block

MOST_REQUESTS = 100_000  # to one peer at once: more than fills any line
ASSUMED_REQQ = 250  # requests a peer queues unless it says otherwise (BEP 10, "reqq")


@dataclass(frozen=True, slots=True)
class PipelineSettings:
    """Depths are in blocks, times in seconds."""

    min: int = 4  # fewer and a slow peer idles for a round trip after each block
    max: int = 500  # what common clients queue for one peer
    queue_seconds: float = 2.0  # beyond the delay: rides out a stall, and is not long to wait for at the end
    snub_after: float = 60.0  # silence while blocks are outstanding (BEP 3, "anti-snubbing")
    lost_after: float = 120.0  # a block asked for so long ago was passed over, though others keep coming

    def __post_init__(self) -> None:
        check_bounds(
            self,
            {
                "max": (1, MOST_REQUESTS),
                "min": (1, self.max),
                "queue_seconds": SECONDS,
                "snub_after": SECONDS,
                "lost_after": SECONDS,
            },
        )


class Pipeline:
    """The requests to one peer. What comes late (after a cancel, choke or time-out) was asked for, too."""

    __slots__ = (
        "_asked",
        "_delay",
        "_depth",
        "_late",
        "_reqq",
        "_settings",
        "_silent_since",
        "_slow_start",
        "late",
        "rate",
        "unrequested",
    )

    def __init__(self, settings: PipelineSettings | None = None) -> None:
        self._settings = settings or PipelineSettings()
        self._asked: dict[
            tuple[int, int], tuple[int, float]
        ] = {}  # index, begin → length, when; oldest first
        self._late: dict[tuple[int, int], None] = {}  # given up, may still come; at most 2 × max
        self._reqq = ASSUMED_REQQ
        self._depth = self._settings.min
        self._slow_start = True
        self._delay = float("inf")  # the shortest from request to block
        self._silent_since: float | None = None  # the last block, or the first request it left waiting
        self.rate = Rate()
        self.late = 0  # blocks that came after they were given up
        self.unrequested = 0  # blocks that came and were never asked for

    @property
    def outstanding(self) -> int:
        return len(self._asked)

    def __contains__(self, block: tuple[int, int]) -> bool:
        """Whether (index, begin) is outstanding."""
        return block in self._asked

    def limit(self, reqq: int) -> None:
        """The peer said how many requests it queues (BEP 10)."""
        self._reqq = max(1, reqq)

    def requested(self, blocks: Iterable[Block], now: float) -> None:
        """These were just asked for."""
        asked = self._asked
        for index, begin, length in blocks:
            asked[index, begin] = (length, now)
        if self._silent_since is None and asked:
            self._silent_since = now

    def came(self, blocks: Sequence[Arrived], now: float) -> list[Arrived]:
        """Blocks came in a row: those that had been asked for."""
        take = self._asked.pop
        ours = []
        size = timely = 0
        latest = float("-inf")
        for block in blocks:
            entry = take(block[:2], None)
            if entry is not None:
                size += entry[0]
                timely += 1
                if entry[1] > latest:
                    latest = entry[1]
                ours.append(block)
            elif self._came_late(block[0], block[1]):
                ours.append(block)
        if timely:
            self.rate.add(size, now)
            self._silent_since = now if self._asked else None
            self._delay = min(self._delay, now - latest)
            if self._slow_start:
                self._depth += timely
        return ours

    def _came_late(self, index: int, begin: int) -> bool:
        if (index, begin) in self._late:
            del self._late[index, begin]
            self.late += 1
            return True
        self.unrequested += 1
        return False

    def cancelled(self, index: int, begin: int) -> None:
        """A Cancel for it goes out; the block may come all the same."""
        self._give_up((index, begin))
        if not self._asked:
            self._silent_since = None

    def rejected(self, index: int, begin: int, length: int) -> bool:
        """The peer will not send it (BEP 6): whether that was still expected of it.

        Of what was given up and then asked for again, the first reject is for the first request.
        """
        block = (index, begin)
        if block in self._late:
            del self._late[block]
            return False
        if block not in self._asked or self._asked[block][0] != length:
            return False
        del self._asked[block]
        if not self._asked:
            self._silent_since = None
        return True

    def withdrawn(self, index: int) -> list[Block]:
        """The peer has a piece no longer (BEP 54): what was outstanding of it, oldest first."""
        blocks = [(at, begin, length) for (at, begin), (length, _) in self._asked.items() if at == index]
        for _, begin, _ in blocks:
            self.cancelled(index, begin)
        return blocks

    def clear(self) -> list[Block]:
        """We are choked, or the peer is gone: what was outstanding, oldest first."""
        blocks = [(index, begin, length) for (index, begin), (length, _) in self._asked.items()]
        for index, begin, _ in blocks:
            self._give_up((index, begin))
        self._silent_since = None
        return blocks

    def snubbed(self, now: float) -> bool:
        """Blocks are owed and none came for `snub_after` seconds; until the next one comes, or a choke."""
        return self._silent_since is not None and now - self._silent_since >= self._settings.snub_after

    def timed_out(self, now: float) -> list[Block]:
        """Give up what is overdue and say what that was, oldest first."""
        if not self._asked:
            return []
        settings = self._settings
        before = now - (settings.snub_after if self.snubbed(now) else settings.lost_after)
        overdue = []
        for (index, begin), (length, at) in self._asked.items():
            if at > before:
                break
            overdue.append((index, begin, length))
        for index, begin, _ in overdue:
            self._give_up(
                (index, begin)
            )  # `_silent_since` stands: a peer that owes is not cleared by our patience
        return overdue

    def room(self, now: float) -> int:
        """How many more blocks to ask for now."""
        return max(0, self.depth(now) - len(self._asked))

    def depth(self, now: float) -> int:
        """How many blocks should be outstanding: one for a peer that snubs us, in the hope of a block."""
        if self.snubbed(now):
            return 1
        settings = self._settings
        delay = self._delay if self._delay < float("inf") else 0.0
        measure = int(self.rate.per_second(now) * (delay + settings.queue_seconds) / BLOCK)
        if self._slow_start:
            if self._depth <= max(measure, settings.min):
                measure = self._depth
            else:
                self._slow_start = False
        return min(max(measure, settings.min), settings.max, self._reqq)

    def _give_up(self, block: tuple[int, int]) -> None:
        if self._asked.pop(block, None) is None:
            return
        self._late[block] = None
        if len(self._late) > 2 * self._settings.max:
            del self._late[next(iter(self._late))]
