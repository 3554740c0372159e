"""Notices when the reactor is held up, and says by what.

A call that blocks the reactor cannot report itself: a thread looks whether the reactor's pulse still
beats, and when it does not, logs where the reactor's thread is. Never fatal.
"""

from __future__ import annotations

import sys
import traceback
from threading import Event, Thread, get_ident
from typing import Any

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

BEAT = 0.25  # seconds between beats
LATE = 1.0  # seconds without one that are worth a line in the log: peers notice them


class LoopLag(Service):
    """Beats in the reactor and listens from a thread; one report for each time the reactor is held up."""

    _log = Logger()

    def __init__(self, reactor: Any, *, late: float = LATE) -> None:
        self._reactor = reactor
        self._late = late
        self._beat_at = 0.0
        self._reactor_thread = 0
        self._call: IDelayedCall | None = None
        self._over = Event()
        self._listener: Thread | None = None

    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call]  # untyped in Twisted
        self._over.clear()
        self._beat()
        self._listener = Thread(target=self._listen, name="loop lag", daemon=True)
        self._listener.start()

    def stopService(self) -> None:
        super().stopService()  # type: ignore[no-untyped-call]
        self._over.set()
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if self._listener is not None:
            self._listener.join()

    def _beat(self) -> None:
        self._reactor_thread = get_ident()
        self._beat_at = self._reactor.seconds()
        self._call = self._reactor.callLater(BEAT, self._beat)

    def _listen(self) -> None:
        reported = 0.0
        while not self._over.wait(BEAT):
            beat_at = self._beat_at
            lag = self._reactor.seconds() - beat_at
            if lag < self._late or beat_at == reported:
                continue
            reported = beat_at
            frame = sys._current_frames().get(self._reactor_thread)
            stack = "".join(traceback.format_stack(frame)) if frame is not None else "(no stack)"
            self._reactor.callFromThread(
                self._log.warn, "The reactor was held up for {lag:.1f} s:\n{stack}", lag=lag, stack=stack
            )
