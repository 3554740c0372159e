"""The reactor's clock: monotonic, so that nobody who sets the time stops or fires our timers."""

from __future__ import annotations

import time

from twisted.internet.interfaces import IReactorTime

from bittwist.errors import LocalProtocolError


def use_monotonic(reactor: IReactorTime) -> None:
    """Let the reactor count monotonic seconds; before anything is scheduled, else LocalProtocolError.

    Twisted's timers follow the wall clock: when that steps back an hour, a timer of a second takes an hour.
    """
    if reactor.seconds is time.monotonic:
        return
    if reactor.getDelayedCalls():
        raise LocalProtocolError("timers were set before the reactor's clock was")
    reactor.seconds = time.monotonic  # type: ignore[method-assign]
