"""SIGHUP: read again what may have changed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Any

from twisted.application.service import Service


class Reload(Service):
    """Calls `reload` on SIGHUP, while it runs; SIGHUP would end the process otherwise.

    There can be several in one process: each is told.
    """

    def __init__(self, reactor: Any, reload: Callable[[], None]) -> None:
        self._reactor = reactor
        self._reload = reload
        self._hangup: _Hangup | None = None

    def privilegedStartService(self) -> None:
        """Before any port is open, if it is called at all."""
        super().privilegedStartService()  # type: ignore[no-untyped-call]  # untyped in Twisted
        self._listen()

    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call]  # untyped in Twisted
        self._listen()

    def stopService(self) -> None:
        super().stopService()  # type: ignore[no-untyped-call]  # untyped in Twisted
        if self._hangup is not None:
            self._hangup.leave(self._told)
            self._hangup = None

    def _listen(self) -> None:
        usable = hasattr(signal, "SIGHUP") and threading.current_thread() is threading.main_thread()
        if usable and self._hangup is None:
            now = signal.getsignal(signal.SIGHUP)
            self._hangup = now if isinstance(now, _Hangup) else _Hangup()
            self._hangup.join(self._told)

    def _told(self) -> None:
        self._reactor.callFromThread(self._reload)


class _Hangup:
    """What the process does on SIGHUP while any of us run; the last to leave puts back what was before."""

    def __init__(self) -> None:
        self._told: list[Callable[[], None]] = []
        self._before: Any = signal.signal(signal.SIGHUP, self)

    def __call__(self, *_: object) -> None:
        for told in tuple(self._told):
            told()

    def join(self, told: Callable[[], None]) -> None:
        self._told.append(told)

    def leave(self, told: Callable[[], None]) -> None:
        self._told.remove(told)
        ours = signal.getsignal(signal.SIGHUP) is self
        if ours and not self._told and self._before is not None:
            signal.signal(signal.SIGHUP, self._before)
