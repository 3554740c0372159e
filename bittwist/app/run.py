"""Runs one coroutine on the global reactor until it ends, is interrupted, or fails."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from bittwist.app.clock import use_monotonic

INTERRUPTED = 130  # exit code: 128 + SIGINT, as shells have it


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
        reactor.callFromThread(running[0].cancel)

    def listen_for_signals() -> None:
        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGTERM, stop)
        begin()

    reactor.callWhenRunning(listen_for_signals)
    reactor.run()
    result = outcome[0] if outcome else INTERRUPTED
    if isinstance(result, Failure):
        if interrupted and result.check(CancelledError):
            return INTERRUPTED
        result.raiseException()
    assert isinstance(result, int)
    return INTERRUPTED if interrupted else result
