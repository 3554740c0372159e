"""A ledger in a running tracker: its state in memory, its file kept by threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from bittwist.errors import StorageError
from bittwist.tracker.ledgerfile import C, Codec, LedgerFile, News, S
from bittwist.tracker.threads import FilesReactor, in_thread

SPARE_LINES = 1000  # lines beyond twice the entries, after which the file is written anew

_log = Logger()


class Ledger(Generic[C, S]):
    """What the lines of a file add up to (tracker.ledgerfile); `state` changes when they are on disk.

    Owns the file and the queue of changes; all that wait go in one write.
    """

    def __init__(self, reactor: FilesReactor, path: Path, codec: Codec[C], make: Callable[[], S]) -> None:
        self.state = make()
        self._reactor = reactor
        self._file = LedgerFile(path, codec, make)
        self._waiting: list[tuple[Sequence[C], Deferred[None]]] = []
        self._busy = False
        self._idle: list[Deferred[None]] = []
        self._rewrite_above = 0

    def load(self) -> None:
        """Read the file now, in this thread: before the tracker serves.

        StorageError if it cannot be read, or could not be written.
        """
        self._take(self._file.read())
        self._file.try_out()

    def write(self, changes: Sequence[C]) -> Deferred[None]:
        """Make these changes; StorageError if they could not be written, and then they are not made."""
        done: Deferred[None] = Deferred()
        self._waiting.append((changes, done))
        self._work()
        return done

    def reload(self) -> Deferred[None]:
        """Take in what other processes have written."""
        return self.write(())

    def idle(self) -> Deferred[None]:
        """Fires when everything that was to be written has been, or has failed."""
        if not self._busy:
            return succeed(None)
        self._idle.append(Deferred())
        return self._idle[-1]

    def _work(self) -> None:
        if self._busy:
            return
        self._busy = True
        batch, self._waiting = self._waiting, []
        changes = [change for each, _ in batch for change in each]
        exchanged = in_thread(self._reactor, self._exchange, changes).addCallback(self._take)
        exchanged.addCallbacks(self._done, self._failed, callbackArgs=(batch,), errbackArgs=(batch,))
        exchanged.addCallback(lambda _: self._shrink()).addBoth(self._next)

    def _exchange(self, changes: list[C]) -> News[C, S]:
        return self._file.append(changes) if changes else self._file.read()

    def _take(self, news: News[C, S]) -> None:
        if news.state is not None:
            self.state = news.state
        for change in news.changes:
            self.state.apply(change)

    def _done(self, _: None, batch: list[tuple[Sequence[C], Deferred[None]]]) -> None:
        for _changes, done in batch:
            done.callback(None)

    def _failed(self, failure: Failure, batch: list[tuple[Sequence[C], Deferred[None]]]) -> None:
        for _changes, done in batch:
            done.errback(failure)

    def _shrink(self) -> Deferred[None] | None:
        """Write the file anew if most of its lines say nothing any more, or some cannot be read."""
        due = self._file.lines > 2 * len(self.state) + SPARE_LINES or self._file.damaged
        if not due or self._file.lines < self._rewrite_above:
            return None
        # The state does not change meanwhile: nothing else is done before this has ended.
        shrunk = in_thread(self._reactor, self._file.rewrite, self.state)
        return shrunk.addCallbacks(self._shrunk, self._not_shrunk)

    def _shrunk(self, _: bool) -> None:
        self._rewrite_above = 0

    def _not_shrunk(self, failure: Failure) -> None:
        failure.trap(StorageError)
        self._rewrite_above = self._file.lines + SPARE_LINES  # not again with every line
        _log.error(
            "{file} cannot be written anew, and grows: {reason}",
            file=str(self._file.path),
            reason=failure.getErrorMessage(),
        )

    def _next(self, result: Failure | None) -> None:
        if isinstance(result, Failure):
            _log.failure("a ledger could not be written anew", result)
        self._busy = False
        if self._waiting:
            self._work()
            return
        waiting, self._idle = self._idle, []
        for each in waiting:
            each.callback(None)
