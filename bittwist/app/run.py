"""Runs one coroutine on the global reactor until it ends, is interrupted, or fails."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from bittwist.app.clock import use_monotonic
from bittwist.app.interruption import INTERRUPTED

T = TypeVar("T")


def interruptible(work: Coroutine[Deferred[Any], Any, T]) -> Deferred[T]:
    """What `work` comes to; CancelledError at once when that is cancelled, whatever `work` makes of it.

    Clients tell of a request that was cancelled as of one that failed, and nothing failed here.
    """
    working = Deferred.fromCoroutine(work)

    def cancel(told: Deferred[T]) -> None:
        told.errback(CancelledError())
        working.cancel()

    told: Deferred[T] = Deferred(cancel)
    working.addBoth(lambda result: None if told.called else told.callback(result))
    return told


def run(main: Callable[[Any], Coroutine[Deferred[Any], Any, int]]) -> int:
    """Give `main` the reactor and return the exit code it returns.

    The first Ctrl-C or SIGTERM cancels it: it may still say goodbye, and the code is 130. A second
    one exits at once. What it raises is raised from here.
    """
    from twisted.internet import reactor as installed

    reactor: Any = installed  # typed as the least that all reactors have
    use_monotonic(reactor)
    outcome: list[int | Failure] = []
    running: list[Deferred[int]] = []
    interrupted = False

    def ended(result: int | Failure) -> None:
        outcome.append(result)
        if reactor.running:
            reactor.stop()

    def begin() -> None:
        running.append(Deferred.fromCoroutine(main(reactor)))
        running[0].addBoth(ended)

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal interrupted
        if interrupted:
            os._exit(INTERRUPTED)
        interrupted = True
        reactor.callFromThread(lambda: running[0].cancel())  # in its turn: it may not have begun yet

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    reactor.callWhenRunning(begin)
    reactor.run(installSignalHandlers=False)
    result = outcome[0] if outcome else INTERRUPTED
    if isinstance(result, Failure):
        if interrupted and result.check(CancelledError):
            return INTERRUPTED
        result.raiseException()
    assert isinstance(result, int)
    return INTERRUPTED if interrupted else result
