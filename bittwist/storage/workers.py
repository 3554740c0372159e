"""Blocking work off the reactor's thread: one queue, a few threads, replies delivered together."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any, Generic, Protocol, TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

T = TypeVar("T")


class Pool(Protocol):
    """What is asked of a thread pool; one that runs what it is given at once will do."""

    def callInThread(self, func: Callable[[], object], /) -> object: ...


class DiskReactor(Protocol):
    """What storage asks of a reactor."""

    def getThreadPool(self) -> Pool: ...
    def callFromThread(self, callable: Callable[[], object], /) -> object: ...
    def callLater(self, delay: float, callable: Callable[[], object], /) -> IDelayedCall: ...


@dataclass(slots=True)
class _Job(Generic[T]):
    run: Callable[[], T]
    lane: Lane
    answer: Deferred[T]
    result: T | Failure | None = None


class Workers:
    """Runs jobs in the order they came, at most `threads` at once, in the reactor's thread pool.

    A job whose answer was cancelled before its turn is not run. What has finished by the time the reactor
    comes round is delivered in one call, so that many small jobs do not wake it many times.
    """

    def __init__(self, reactor: DiskReactor, threads: int) -> None:
        self._reactor = reactor
        self._threads = threads
        self._lock = Lock()  # guards the four below
        self._queue: deque[_Job[Any]] = deque()
        self._finished: list[_Job[Any]] = []
        self._running = 0
        self._told = False  # the reactor has been asked to deliver

    def submit(self, lane: Lane, run: Callable[[], T]) -> Deferred[T]:
        answer: Deferred[T] = Deferred()
        with self._lock:
            self._queue.append(_Job(run, lane, answer))
            start = self._running < self._threads
            self._running += start
        if start:
            self._reactor.getThreadPool().callInThread(self._work)
        return answer

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._queue:
                    self._running -= 1
                    return
                job = self._queue.popleft()
            if not job.answer.called:
                try:
                    job.result = job.run()
                except BaseException:  # every failure is the asker's, who gets it
                    job.result = Failure()
            with self._lock:
                self._finished.append(job)
                tell, self._told = not self._told, True
            if tell:
                self._reactor.callFromThread(self._deliver)

    def _deliver(self) -> None:
        with self._lock:
            finished, self._finished = self._finished, []
            self._told = False
        for job in finished:
            if not job.answer.called:
                job.answer.callback(job.result)
            job.lane._ended()  # after its owner has taken note of the result


class Lane:
    """The jobs of one owner, who can wait until none of them is queued or running."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._jobs = 0
        self._waiting: list[Deferred[None]] = []

    def submit(self, run: Callable[[], T]) -> Deferred[T]:
        """Run it in a thread; fires with what it returns or raises."""
        self._jobs += 1
        return self._workers.submit(self, run)

    def idle(self) -> Deferred[None]:
        """Fires when no job is left, those included whose answer was cancelled while they ran."""
        if not self._jobs:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting

    def _ended(self) -> None:
        self._jobs -= 1
        if not self._jobs:
            waiting, self._waiting = self._waiting, []
            for each in waiting:
                if not each.called:
                    each.callback(None)
