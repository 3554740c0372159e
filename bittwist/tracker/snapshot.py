"""The swarms in memory, kept in a file, so that a restart or a crash does not empty them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from bittwist.errors import StorageError
from bittwist.tracker import snapshotfile
from bittwist.tracker.patience import Term
from bittwist.tracker.snapshotfile import BadSnapshot
from bittwist.tracker.swarm import SECOND, Portion
from bittwist.tracker.swarms import Swarms
from bittwist.tracker.threads import FilesReactor, in_thread

LEAST = 1.0  # seconds between snapshots
MOST = 3600.0  # seconds; peers come back in about half of that by themselves


@dataclass(frozen=True, slots=True)
class SnapshotSettings:
    """Where the swarms are kept, and how often. ValueError(key, reason) where one cannot be used.

    Without a `file` they are kept in memory only. It is written `every` so many seconds, and at the stop:
    after a crash as much of the latest announces is missing. It has about 40 bytes a peer, and while it is
    written the tracker holds as many more in memory.
    """

    file: Path | None = None
    every: float = 20.0

    def __post_init__(self) -> None:
        if self.file is not None and not self.file.name:
            raise ValueError("file", "is no file's name")
        if not LEAST <= self.every <= MOST:
            raise ValueError("every", f"must be {LEAST:g} to {MOST:g}")


class Snapshots:
    """Loads the swarms at the start, and saves them every so often and at the stop.

    They are copied step by step between other work, and written in a thread. `wall` gives seconds since the
    epoch: the time a tracker was not running counts to the age of its peers.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: FilesReactor,
        swarms: Swarms,
        path: Path,
        every: float,
        *,
        wall: Callable[[], float],
    ) -> None:
        self._reactor = reactor
        self._swarms = swarms
        self._path = path
        self._every = every
        self._wall = wall
        self._pause: IDelayedCall | None = None
        self._stopping = False
        self._done: Deferred[None] = succeed(None)
        self._trouble = ""

    def load(self) -> int:
        """Take in what the file has, and say how many peers; blocks, for some seconds a million.

        A file that cannot be read is set aside, and the log says why; what stands before the damage counts.
        """
        taken = 0
        try:
            for part in snapshotfile.read(self._path, self._zero_at()):
                if isinstance(part, Term):
                    self._swarms.patience.keep(part, now=self._reactor.seconds())
                else:
                    taken += self._swarms.restore(part)
        except FileNotFoundError:
            return 0
        except BadSnapshot as error:
            self._set_aside(str(error))
        except StorageError as error:
            self._log.error("the swarms cannot be read: {why}", why=error)
        self._swarms.settle()
        self._log.info("{count} peers are known from {path}", count=taken, path=str(self._path))
        return taken

    def start(self) -> None:
        """Save from now on."""
        self._stopping = False
        self._done = Deferred.fromCoroutine(self._save_until_stopped())

    def stop(self) -> Deferred[None]:
        """Save once more and no further; fires when that is done, or has failed and is logged."""
        self._stopping = True
        if self._pause is not None:
            self._pause.reset(0)
        return self._done

    async def _save_until_stopped(self) -> None:
        due = self._reactor.seconds() + self._every
        last = False
        while not last:
            if not self._stopping:
                await self._rest(max(0.0, due - self._reactor.seconds()))
            due = self._reactor.seconds() + self._every
            last = self._stopping  # what changed until the stop is in what is saved after it
            await self._save()

    async def _save(self) -> None:
        zero_at = self._zero_at()
        steps: list[list[Portion]] = []
        try:
            for step in self._swarms.portions():
                steps.append(step)
                await self._rest(0)
            terms = self._swarms.patience.terms(self._reactor.seconds())
            await in_thread(self._reactor, snapshotfile.write, self._path, steps, zero_at, terms)
        except StorageError as error:
            # The file before is still whole, and the next is tried; a full disk shall not fill the log too.
            if str(error) != self._trouble:
                self._log.error("the swarms cannot be saved: {why}", why=error)
            self._trouble = str(error)
        except Exception:
            self._log.failure("the swarms cannot be saved")  # a bug: the next snapshot may still succeed
        else:
            self._trouble = ""

    async def _rest(self, seconds: float) -> None:
        """Let others have their turns; a stop ends it."""
        rested: Deferred[None] = Deferred()
        self._pause = self._reactor.callLater(seconds, rested.callback, None)
        await rested
        self._pause = None

    def _set_aside(self, why: str) -> None:
        try:
            aside = snapshotfile.set_aside(self._path)
        except StorageError as error:
            self._log.error(
                "the swarms in {path} are damaged: {why}", path=str(self._path), why=f"{why}; {error}"
            )
        else:
            self._log.error(
                "the swarms in {path} are damaged: {why}; it is {aside} now",
                path=str(self._path),
                why=why,
                aside=str(aside),
            )

    def _zero_at(self) -> int:
        """What the wall clock said when the stamps were 0, in microseconds."""
        return int((self._wall() - self._reactor.seconds()) * SECOND)
