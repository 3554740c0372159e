"""A save folder that is gone: looked for until it is back."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from bittwist.errors import StorageError
from bittwist.storage.interfaces import Place
from bittwist.storage.workers import Lane


class Absence:
    """Looks every `every` seconds, in a disk thread, and calls `back` once when a folder is there again.

    `found` (device, inode) is what was there instead, such as the empty mount point of a drive: it does not
    count. Whether what comes is the right folder is the check's to say.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        lane: Lane,
        place: Callable[[], Place | None],
        found: tuple[int, int] | None,
        every: float,
        back: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._lane = lane
        self._place = place
        self._found = found
        self._every = every
        self._back = back
        self._later: IDelayedCall | None = None
        self._looking: Deferred[Place | None] | None = None

    def start(self) -> None:
        """Look, `every` seconds from now."""
        self._later = self._clock.callLater(self._every, self._look)

    def stop(self) -> None:
        """Look no more."""
        if self._later is not None:
            self._later.cancel()
            self._later = None
        if self._looking is not None:
            self._looking.cancel()

    def _look(self) -> None:
        self._later = None
        self._looking = self._lane.submit(self._place)
        self._looking.addCallback(self._seen).addErrback(self._unseen)

    def _seen(self, place: Place | None) -> None:
        self._looking = None
        if place is None or (place.device, place.inode) == self._found:
            self.start()
        else:
            self._back()

    def _unseen(self, failure: Failure) -> None:
        self._looking = None
        if failure.check(CancelledError):
            return
        if not failure.check(StorageError):
            self._log.failure("A folder that is gone could not be looked for", failure)
        self.start()
