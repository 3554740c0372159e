"""SIGHUP while a service runs, and what it was before and after."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial

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

    def test_all_that_run_in_one_process_are_told_whichever_begins_and_ends_first(self) -> None:
        before = signal.getsignal(signal.SIGHUP)
        for first, last in ((0, 1), (1, 0)):
            told: list[int] = []
            services = [Reload(Threads(), partial(told.append, number)) for number in (0, 1)]
            for service in services:
                service.startService()
            try:
                os.kill(os.getpid(), signal.SIGHUP)
                self.assertEqual(told, [0, 1])
                services[first].stopService()
                os.kill(os.getpid(), signal.SIGHUP)
                self.assertEqual(told, [0, 1, last])
            finally:
                for service in services:
                    service.stopService()
            self.assertEqual(signal.getsignal(signal.SIGHUP), before)

    def test_one_that_has_ended_can_begin_again(self) -> None:
        before = signal.getsignal(signal.SIGHUP)
        told: list[int] = []
        service = Reload(Threads(), lambda: told.append(1))
        for _ in range(2):
            service.startService()
            os.kill(os.getpid(), signal.SIGHUP)
            service.stopService()
        self.assertEqual((told, signal.getsignal(signal.SIGHUP)), ([1, 1], before))

    def test_who_took_the_signal_after_us_keeps_it(self) -> None:
        before = signal.getsignal(signal.SIGHUP)
        self.addCleanup(signal.signal, signal.SIGHUP, before)
        service = Reload(Threads(), lambda: None)
        service.startService()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        service.stopService()
        self.assertEqual(signal.getsignal(signal.SIGHUP), signal.SIG_IGN)
