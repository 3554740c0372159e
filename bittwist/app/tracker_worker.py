"""A worker of `twistd bittwist-tracker --workers N`: `python -m bittwist.app.tracker_worker`, by its parent.

It reads what to do from standard input, and ends when that does: then its parent is gone.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any, TextIO

from twisted.internet.abstract import FileDescriptor
from twisted.internet.error import ConnectionDone, ReactorNotRunning
from twisted.logger import ILogObserver, LogEvent, Logger, eventAsText, globalLogBeginner
from twisted.python.failure import Failure
from twisted.python.reflect import namedAny
from zope.interface import implementer

from bittwist.app.tracker_workers import Hello

_log = Logger()


def main() -> int:
    """Serve until the parent says no more; the exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the parent gets it too, and ends us
    hello = Hello.decode(_first_line(sys.stdin.fileno()))
    globalLogBeginner.beginLoggingTo([_Lines(sys.stdout)], redirectStandardIO=False)
    namedAny(hello.reactor).install()
    from twisted.internet import reactor

    try:
        _start(reactor, hello)
    except Exception:
        _log.failure("this worker cannot start")
        return 1
    reactor.run()
    return 0


def _start(reactor: Any, hello: Hello) -> None:
    from bittwist.app.clock import use_monotonic
    from bittwist.app.descriptors import raise_limit
    from bittwist.app.garbage import collect_seldom
    from bittwist.app.tracker_service import tracker_service, with_secret
    from bittwist.app.tracker_tap import Options

    use_monotonic(reactor)
    raise_limit()
    collect_seldom()
    options = Options()
    options.parseOptions(hello.words)
    config = with_secret(options.settings, hello.secret)
    service = tracker_service(reactor, config, file=options["config"], shared=True, worker=hello.number)
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    service.privilegedStartService()
    service.startService()
    reactor.addReader(_Parent(reactor))


class _Parent(FileDescriptor):
    """The other end of standard input: when it closes, all ends."""

    reactor: Any

    def fileno(self) -> int:
        return sys.stdin.fileno()

    def doRead(self) -> Failure | None:
        return None if os.read(self.fileno(), 4096) else Failure(ConnectionDone())

    def connectionLost(self, reason: Failure) -> None:
        try:
            self.reactor.stop()
        except ReactorNotRunning:
            """It is stopping already: readers are told as well."""


@implementer(ILogObserver)
class _Lines:
    """Writes events as the parent wants them: without the time, which it adds."""

    def __init__(self, output: TextIO) -> None:
        self._output = output

    def __call__(self, event: LogEvent) -> None:
        try:
            self._output.write(eventAsText(event, includeTimestamp=False) + "\n")
            self._output.flush()
        except OSError:
            """The parent is gone, and so shall we be."""


def _first_line(descriptor: int) -> bytes:
    """Byte by byte, so that nothing of what follows is taken."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(descriptor, 1)
        if not byte:
            raise SystemExit("standard input ended: this program is started by `--workers`")
        line += byte
    return line


if __name__ == "__main__":
    sys.exit(main())
