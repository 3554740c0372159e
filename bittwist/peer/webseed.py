"""One web seed: runs of blocks over a few kept HTTP connections (BEP 19, and BEP 17 by its layout).

A run that breaks off is taken up where it did, as long as it goes on; a server that fails is left alone,
twice as long each time. What a server certainly has not is given up for good: a file, or all of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from bittwist.errors import FetchError, RangeRefused
from bittwist.metainfo.geometry import BLOCK, Geometry
from bittwist.metainfo.webseed import Layout, Part
from bittwist.net.http import HttpClient
from bittwist.net.lane import RangeLane, Ways
from bittwist.net.ranges import Wanted
from bittwist.net.throttle import UNLIMITED, Allowance
from bittwist.peer.reading import Reading
from bittwist.peer.run import Run, runs
from bittwist.settings import COUNT_OR_NONE, MONTH, SECONDS, check_bounds
from bittwist.wire.runs import Block, BlockData

FIRST_RANGE = 1 << 20  # bytes; doubled while it comes quickly
LEAST_RANGE = 256 << 10
MOST_RANGE = 1 << 30  # bytes in one request
MOST_CONNECTIONS = 100  # to one web seed
QUICK, SLOW = 4.0, 16.0  # seconds that one request may take for the next to be longer, and shorter
BUSY = frozenset({429, 503})  # statuses of a server that wants fewer connections, or none now
WORTH_READING = 64 << 10  # bytes nobody wants any more that are read to keep the connection
PADDING = 1 << 20  # zeros made at once
LOOK_AGAIN = 0.1  # seconds until padding goes on, while nothing is to come
JITTER = 0.2  # of a wait: clients that failed together do not come back together


@dataclass(frozen=True, slots=True)
class WebSeedSettings:
    """How much is asked of web seeds. Sizes are bytes, times seconds."""

    enabled: bool = True
    max_per_torrent: int = 20  # asked at once; others take the place of those that are of no use
    connections: int = 3  # to one of them: more help little, and servers count them
    range_size: int = 4 << 20  # asked for in one request; less where it comes slowly
    retry_after: float = 10.0  # after an error; doubled with each one in a row
    retry_at_most: float = 3600.0

    def __post_init__(self) -> None:
        check_bounds(
            self,
            {
                "max_per_torrent": COUNT_OR_NONE,
                "connections": (1, MOST_CONNECTIONS),
                "range_size": (BLOCK, MOST_RANGE),
                "retry_after": SECONDS,
                "retry_at_most": (self.retry_after, MONTH),
            },
        )


class Condition(Enum):
    """How a web seed is."""

    READY = "ready"
    WAITING = "waiting"  # after an error, or as it was told to
    CLOSED = "closed"


class Taker(Protocol):
    """Who asks a web seed for blocks."""

    def blocks(self, blocks: Sequence[BlockData]) -> None:
        """Blocks came; they are valid only during the call."""

    def ready(self) -> None:
        """There is room for more to be asked."""

    def gave_up(self, blocks: Sequence[Block]) -> None:
        """These will not come."""

    def refused(self, file: int | None, error: FetchError) -> None:
        """The server has not this file, or (None) nothing of the torrent: never ask it for that again."""


class WebSeed:
    """Owns the connections to one server, and what was asked of it."""

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        client: HttpClient,
        layout: Layout,
        geometry: Geometry,
        taker: Taker,
        random: Random,
        settings: WebSeedSettings,
        allowance: Allowance = UNLIMITED,
    ) -> None:
        self._clock = clock
        self._client = client
        self._layout = layout
        self._geometry = geometry
        self._taker = taker
        self._random = random
        self._settings = settings
        self._allowance = allowance
        self._ways = Ways()
        self._width = settings.connections
        self._range = min(FIRST_RANGE, settings.range_size)
        self._free: list[_Tap] = []
        self._running: dict[Run, _Tap] = {}
        self._waiting: deque[Run] = deque()
        self._paused = False
        self._failures = 0  # in a row
        self._again: IDelayedCall | None = None
        self.condition = Condition.READY
        self.error: FetchError | None = None  # the last one
        self.error_file: int | None = None  # which file the server answered so for
        self.retry_at: float | None = None  # while waiting

    # What can be asked

    @property
    def connections(self) -> int:
        """How many requests are under way."""
        return len(self._running)

    @property
    def has_room(self) -> bool:
        """Whether a connection has nothing to do."""
        ready = self.condition is Condition.READY and not self._paused
        return ready and not self._waiting and len(self._running) < self._width

    @property
    def depth(self) -> int:
        """How many blocks should be asked for at once."""
        return self._width * max(1, self._range // BLOCK)

    def request(self, blocks: Sequence[Block]) -> None:
        """Fetch these, in this order."""
        self._waiting.extend(runs(blocks, self._geometry, self._range))
        self._begin()

    def cancel(self, block: Block) -> None:
        """It is not needed any more; it does not come."""
        self._cancel(block)
        self._begin()
        self._offer()

    def pause(self) -> None:
        """Read nothing until `resume`."""
        self._paused = True
        for tap in self._taps():
            tap.pause()

    def resume(self) -> None:
        self._paused = False
        for tap in self._taps():
            tap.resume()
        self._begin()
        self._offer()

    def close(self) -> None:
        """Close every connection; nothing comes any more."""
        self.condition = Condition.CLOSED
        self.retry_at = None
        if self._again is not None:
            self._again.cancel()
            self._again = None
        self._waiting.clear()
        for run in tuple(self._running):
            self._stop(run)
        for tap in self._free:
            tap.close()
        self._free.clear()

    # Runs

    def _begin(self) -> None:
        while self._waiting and len(self._running) < self._width:
            if self.condition is not Condition.READY or self._paused:
                return
            # What was cancelled meanwhile may have cut it in two.
            parts = list(runs(self._waiting.popleft().wanted(), self._geometry, self._settings.range_size))
            if not parts:
                continue
            run = parts[0]
            self._waiting.extendleft(reversed(parts[1:]))
            tap = self._free.pop() if self._free else _Tap(self._client, self._ways, self._allowance)
            if self._paused:
                tap.pause()
            self._running[run] = tap
            tap.fetching = Deferred.fromCoroutine(self._fetch(run, tap))
            now = self._clock.seconds()
            over = tap.fetching.addCallbacks(
                self._fetched, self._broke_off, callbackArgs=(run, tap, now), errbackArgs=(run, tap)
            )
            over.addErrback(lambda failure: self._log.failure("A web seed failed", failure))

    async def _fetch(self, run: Run, tap: _Tap) -> None:
        await deferLater(self._clock, 0.0)  # whoever asked is told nothing while asking
        while run.left:
            tap.part = part = self._layout.part(run.at, run.left)
            if part.url is None:
                await deferLater(self._clock, LOOK_AGAIN if self._paused else 0.0)
                if not self._paused:
                    self._came(run, bytes(min(part.length, PADDING)))
                continue
            began_at = run.at
            try:
                await tap.lane.fetch(
                    Wanted(part.url, part.first, part.length, part.size), lambda data: self._came(run, data)
                )
            except RangeRefused:
                raise
            except FetchError:
                if run.at - began_at < BLOCK:
                    raise
                # It went on for a while: it is taken up where it broke off.

    def _came(self, run: Run, data: bytes) -> None:
        if run not in self._running:
            return
        blocks = run.came(data)
        if blocks:
            self._failures = 0
            self.error = None
            self._taker.blocks(blocks)

    def _fetched(self, _: None, run: Run, tap: _Tap, began_at: float) -> None:
        if self._running.pop(run, None) is None:
            return  # stopped
        self._free.append(tap)
        took = self._clock.seconds() - began_at
        if took < QUICK:
            self._range = min(2 * self._range, self._settings.range_size)
        elif took > SLOW:
            self._range = min(max(self._range // 2, LEAST_RANGE), self._settings.range_size)
        self._begin()
        self._offer()

    def _broke_off(self, failure: Failure, run: Run, tap: _Tap) -> None:
        if self._running.pop(run, None) is None:
            return  # stopped
        self._free.append(tap)
        error = failure.value
        if not isinstance(error, FetchError):
            self._log.failure("A bug in fetching from a web seed", failure)
            error = FetchError("a web seed", failure.getErrorMessage())
        if error.status in BUSY and self._running:
            self._width = len(self._running)
            self._waiting.appendleft(run)
            return
        file = tap.part.file if tap.part is not None else None
        self.error, self.error_file = error, file if error.status is not None else None
        lost = run.wanted()
        if isinstance(error, RangeRefused):
            lost += self._cancel_file(file) if file is not None else []
            self._taker.refused(file, error)
        elif self.condition is Condition.READY:
            lost += [block for waiting in self._waiting for block in waiting.wanted()]
            self._waiting.clear()
            self._back_off(error)
        self._taker.gave_up(lost)
        self._begin()
        self._offer()

    def _cancel(self, block: Block) -> None:
        for run in (*self._running, *self._waiting):
            if run.cancel(block):
                break
        else:
            return
        if run.wanted():
            return
        if run not in self._running:
            self._waiting.remove(run)
        elif run.left > WORTH_READING:
            self._stop(run)

    def _cancel_file(self, file: int) -> list[Block]:
        """Nothing of this file will come: the blocks that were to."""
        pieces = self._geometry.pieces_of_file(file)
        asked = [block for run in (*self._running, *self._waiting) for block in run.wanted()]
        lost = [block for block in asked if block[0] in pieces]
        for block in lost:
            self._cancel(block)
        return lost

    def _stop(self, run: Run) -> None:
        tap = self._running.pop(run)
        tap.fetching.cancel()
        self._free.append(tap)

    def _offer(self) -> None:
        if self.has_room:
            self._taker.ready()

    # Waiting

    def _back_off(self, error: FetchError) -> None:
        self._failures += 1
        settings, chance = self._settings, self._random.uniform(0.0, JITTER)
        wait = min(settings.retry_after * 2.0 ** min(self._failures - 1, 30), settings.retry_at_most)
        if error.retry_in is not None:
            wait = max(wait, min(error.retry_in, settings.retry_at_most))
        wait *= 1 + chance
        self.condition = Condition.WAITING
        self.retry_at = self._clock.seconds() + wait
        self._again = self._clock.callLater(wait, self._come_back)

    def _come_back(self) -> None:
        self._again = self.retry_at = None
        self.condition = Condition.READY
        self._offer()

    def _taps(self) -> tuple[_Tap, ...]:
        return (*self._free, *self._running.values())


class _Tap:
    """A lane that is read as far as the allowance goes, and what it fetches."""

    def __init__(self, client: HttpClient, ways: Ways, allowance: Allowance) -> None:
        self.lane = RangeLane(client, ways, self._heard)
        self.fetching: Deferred[None] = succeed(None)
        self.part: Part | None = None
        self._reading = Reading(self.lane, allowance)

    def pause(self) -> None:
        self._reading.pause()

    def resume(self) -> None:
        self._reading.resume()

    def close(self) -> None:
        self._reading.stop()
        self.lane.close()

    def _heard(self, size: int) -> None:
        self._reading.charge(size)
