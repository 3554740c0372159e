"""The end of a twistd process: in order, but never not at all, and at once when it is told twice."""

from __future__ import annotations

import atexit
import faulthandler
import os
import signal
import sys
from typing import Any

from twisted.internet.error import ReactorNotRunning
from twisted.logger import Logger

LONGEST = 80.0  # seconds: a slow disk has taken what waited for it, and systemd would kill us after 90
STDERR = 2  # the descriptor: twistd puts its log in the place of `sys.stderr`
SIGNALS = (signal.SIGINT, signal.SIGTERM)

_log = Logger()


def end_in_time(reactor: Any) -> None:
    """Once the reactor begins to stop, a signal ends the process at once, and so do `LONGEST` seconds.

    These say on standard error where each thread is, and the exit status is 1.
    """
    reactor.addSystemEventTrigger("before", "shutdown", _begin)


def _begin() -> None:
    faulthandler.dump_traceback_later(LONGEST, exit=True, file=STDERR)
    for number in SIGNALS:
        # The system's own way needs nothing of a process that is stuck.
        signal.signal(number, signal.SIG_DFL)
    _log.info("ending; a signal once more ends it at once")


def end_because_of(reactor: Any, error: Exception) -> None:
    """Stop the running reactor; the error is told as one that kept it from starting would be, and the exit
    status is 1."""
    sys.excepthook(type(error), error, None)
    # twistd itself ends with 0 or a signal's status, whatever happened.
    atexit.register(_exit, 1)
    try:
        reactor.stop()
    except ReactorNotRunning:
        """It ends already."""


def _exit(status: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
