"""SIGHUP: read again what may have changed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Any

from twisted.application.service import Service


class Reload(Service):
    """Calls `reload` on SIGHUP, while it runs; SIGHUP would end the process otherwise."""

    def __init__(self, reactor: Any, reload: Callable[[], None]) -> None:
        self._reactor = reactor
        self._reload = reload
        self._before: Any = None

    def privilegedStartService(self) -> None:
        """Before any port is open, if it is called at all."""
        super().privilegedStartService()  # type: ignore[no-untyped-call]  # untyped in Twisted
        self._listen()

    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call]  # untyped in Twisted
        self._listen()

    def stopService(self) -> None:
        super().stopService()  # type: ignore[no-untyped-call]  # untyped in Twisted
        if self._before is not None:
            signal.signal(signal.SIGHUP, self._before)
            self._before = None

    def _listen(self) -> None:
        usable = hasattr(signal, "SIGHUP") and threading.current_thread() is threading.main_thread()
        if usable and self._before is None:
            self._before = signal.signal(signal.SIGHUP, self._told)

    def _told(self, *_: object) -> None:
        self._reactor.callFromThread(self._reload)
