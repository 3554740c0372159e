"""The allowance that grants everything."""

from twisted.trial.unittest import SynchronousTestCase

from bittwist.net.throttle import UNLIMITED


class UnlimitedTests(SynchronousTestCase):
    def test_grants_whatever_is_wanted(self) -> None:
        self.assertEqual([UNLIMITED.take(wanted) for wanted in (0, 1, 1 << 40)], [0, 1, 1 << 40])

    def test_nobody_is_made_to_wait(self) -> None:
        self.assertRaises(AssertionError, UNLIMITED.wait, print)
