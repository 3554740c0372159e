"""Whom nothing is to be had to do with: address lists from files, read by a thread when they change.

It fails closed: until the files have been read once, everybody is refused. What cannot be read later leaves
what was read before in force.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from bittwist.errors import FilterError
from bittwist.net.filterlists import FilterLists
from bittwist.net.ipfilter import AddressRanges
from bittwist.settings import SECONDS, check_bounds

NOT_READ_YET = "the filter list has not been read yet"
FILTERED = "its address is on the filter list"

_Stamp = tuple[int, int, int]  # of a file: changed at, size, inode


@dataclass(frozen=True, slots=True)
class FilterSettings:
    """`files` are address lists; every `look_every` seconds it is looked whether they have changed."""

    files: tuple[Path, ...] = ()
    look_every: float = 60.0

    def __post_init__(self) -> None:
        check_bounds(self, {"look_every": SECONDS})


@dataclass(frozen=True, slots=True)
class FilterStatus:
    """How many ranges are filtered, how often an address was refused, and what is wrong with the files.

    `faults` are the first lines that could not be read of `num_faults`; `error` is why the files are not used
    as they are now.
    """

    ranges: int = 0
    refused: int = 0
    faults: tuple[str, ...] = ()
    num_faults: int = 0
    error: str | None = None


class FilterReactor(Protocol):
    """What is asked of a reactor: a clock, and threads."""

    def callLater(self, delay: float, callable: Callable[..., object], *args: object) -> IDelayedCall: ...

    def callFromThread(self, callable: Callable[..., object], *args: object) -> object: ...

    def getThreadPool(self) -> ThreadPool: ...


@dataclass(frozen=True, slots=True)
class _Found:
    """What a thread has read."""

    stamps: tuple[_Stamp, ...]
    ranges: AddressRanges
    status: FilterStatus


_NOTHING = _Found((), AddressRanges(), FilterStatus())


class AddressFilter:
    """Owns the set of addresses. `changed` is called when it is another."""

    _log = Logger()

    def __init__(self, reactor: FilterReactor, settings: FilterSettings, changed: Callable[[], None]) -> None:
        self._reactor = reactor
        self._settings = settings
        self._changed = changed
        self._found: _Found | None = None if settings.files else _NOTHING
        self._refused = 0
        self._error: str | None = None
        self._reading = False
        self._asked = False  # to look at the files
        self._waiting: list[Deferred[None]] = []
        self._look: IDelayedCall | None = None
        self._running = False

    def refusal(self, host: str) -> str | None:
        """Why nothing is to be had to do with that IP address, or None."""
        if self._found is None:
            return NOT_READ_YET
        if host in self._found.ranges:
            self._refused += 1
            return FILTERED
        return None

    @property
    def status(self) -> FilterStatus:
        status = self._found.status if self._found is not None else FilterStatus()
        return replace(status, refused=self._refused, error=self._error)

    def start(self) -> Deferred[None]:
        """Fires when the files have been read, well or not."""
        self._running = True
        return self.reload()

    def stop(self) -> None:
        """Look at the files no more; what was read stays in force."""
        self._running = False
        self._look_no_more()

    def apply(self, settings: FilterSettings) -> Deferred[None]:
        """Other files, or none; fires when they have been read, and what was read before holds until then."""
        if settings.files != self._settings.files:
            if not settings.files:
                self._take(_NOTHING)
            elif not self._settings.files:
                self._found = None
            else:
                self._found = None if self._found is None else replace(self._found, stamps=())
        self._settings = settings
        return self.reload()

    def reload(self) -> Deferred[None]:
        """Look at the files now, and read them if they have changed. Fires in any case, when that is done."""
        if not self._running or not self._settings.files:
            return succeed(None)
        self._asked = True
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        if not self._reading:
            self._look_no_more()
            reading = Deferred.fromCoroutine(self._read())
            reading.addErrback(lambda failure: self._log.failure("A filter was not read", failure))
        return waiting

    async def _read(self) -> None:
        self._reading = True
        try:
            while self._asked and self._running:
                self._asked = False
                await self._read_once(self._settings.files)
        finally:
            self._reading = False
            if self._running and self._settings.files:
                self._look = self._reactor.callLater(self._settings.look_every, self.reload)
            waiting, self._waiting = self._waiting, []
            for each in waiting:
                each.callback(None)

    async def _read_once(self, files: tuple[Path, ...]) -> None:
        known = self._found.stamps if self._found is not None else ()
        pool = self._reactor.getThreadPool()
        try:
            found = await deferToThreadPool(self._reactor, pool, _read_files, files, known)  # type: ignore[arg-type]  # it calls callFromThread only
        except FilterError as error:
            if str(error) != self._error:
                self._log.error("The filter list is not used as it is now: {why}", why=error)
            self._error = str(error)
            return
        if files == self._settings.files:
            self._error = None
            if found is not None:
                self._take(found)

    def _take(self, found: _Found) -> None:
        self._found = found
        if found.status.num_faults:
            told = {"count": found.status.num_faults, "first": found.status.faults[0]}
            self._log.warn("{count} lines of the filter list were passed over; the first: {first}", **told)
        self._changed()

    def _look_no_more(self) -> None:
        if self._look is not None and self._look.active():
            self._look.cancel()
        self._look = None


def _read_files(files: Sequence[Path], known: tuple[_Stamp, ...]) -> _Found | None:
    """Blocks. None where the files are those that are known."""
    lists = FilterLists()
    stamps: list[_Stamp] = []
    opened = []
    with ExitStack() as stack:
        for file in files:
            try:
                stream = stack.enter_context(file.open("rb"))
                found = os.fstat(stream.fileno())
            except OSError as error:
                raise FilterError(str(file), error.strerror or str(error)) from error
            # The stamp from before: what is written while this reads is found the next time.
            stamps.append((found.st_mtime_ns, found.st_size, found.st_ino))
            opened.append(stream)
        if tuple(stamps) == known:
            return None
        for file, stream in zip(files, opened, strict=True):
            lists.read(stream, str(file))
    ranges = lists.finish()
    return _Found(tuple(stamps), ranges, FilterStatus(len(ranges), 0, tuple(lists.faults), lists.num_faults))
