"""SIGHUP while a service runs, and what it was before and after."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from bittwist.app.reload import Reload


class Threads:
    """What is needed of a reactor."""

    def callFromThread(self, called: Callable[[], object]) -> None:
        called()


class ReloadTests(SynchronousTestCase):
    def test_the_signal_means_reload_only_while_it_runs(self) -> None:
        before = signal.getsignal(signal.SIGHUP)
        told: list[int] = []
        service = Reload(Threads(), lambda: told.append(1))
        service.privilegedStartService()
        service.startService()
        try:
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGHUP)
        finally:
            service.stopService()
        self.assertEqual(told, [1, 1])
        self.assertEqual(signal.getsignal(signal.SIGHUP), before)
