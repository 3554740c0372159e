"""The door's clock (T35 of the threat model: steps of the wall clock)."""

import time

from twisted.internet.base import ReactorBase
from twisted.trial.unittest import SynchronousTestCase

from bittwist.app.clock import use_monotonic
from bittwist.errors import LocalProtocolError


class BareReactor(ReactorBase):
    """Twisted's own timers, and nothing that needs a file descriptor."""

    def installWaker(self) -> None:
        pass


class ClockTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.monotonic = 1000.0
        self.patch(time, "monotonic", lambda: self.monotonic)
        self.reactor = BareReactor()
        use_monotonic(self.reactor)
        self.fired: list[float] = []
        self.reactor.callLater(1.0, lambda: self.fired.append(self.monotonic))

    def test_a_timer_fires_in_its_time_whatever_happens_to_the_wall_clock(self) -> None:
        for step in (-3600.0, 3600.0, -86400.0, 86400.0, -time.time()):
            stepped = time.time() + step
            self.patch(time, "time", lambda stepped=stepped: stepped)
            self.reactor.runUntilCurrent()
            self.assertEqual(self.fired, [], step)
        self.assertLessEqual(self.reactor.timeout(), 1.0)
        self.monotonic += 1.0
        self.reactor.runUntilCurrent()
        self.assertEqual(self.fired, [1001.0])

    def test_setting_it_twice_is_nothing(self) -> None:
        use_monotonic(self.reactor)
        self.assertEqual(self.reactor.seconds(), 1000.0)

    def test_it_is_refused_once_timers_run(self) -> None:
        late = BareReactor()
        late.callLater(1.0, lambda: None)
        with self.assertRaises(LocalProtocolError):
            use_monotonic(late)
