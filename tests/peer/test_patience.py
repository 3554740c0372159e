"""When a connection is looked after, whatever the clock's floats round to."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bittwist.peer.patience import Patience

IDLE, KEEPALIVE = 120.0, 100.0
moments = st.floats(0, 1e7, allow_nan=False)


class Quiet:
    """A peer that says nothing; it counts how often it is looked at."""

    def __init__(self, clock, received_at, sent_at, *, excused=False, stuck=False):
        self.clock = clock
        self.last_received_at = received_at
        self.last_sent_at = sent_at
        self.excused = excused
        self.stuck = stuck
        self.looks = 0
        self.keepalives = []
        self.fault = None
        self.closed_at = None

    def is_silent_for_us(self):
        self.looks += 1
        assert self.looks < 200, "looked at again and again"
        return self.excused

    def owes_reading(self):
        return self.stuck

    def keep_alive(self):
        self.keepalives.append(self.clock.seconds())

    def close(self, reason):
        self.fault = reason
        self.closed_at = self.clock.seconds()


def pass_time(clock, until):
    """Go from one delayed call to the next, to their very times."""
    while (due := min((call.getTime() for call in clock.getDelayedCalls()), default=until)) < until:
        clock.rightNow = due
        clock.advance(0)


def watched(start, received_ago, sent_ago, **peer):
    clock = Clock()
    clock.rightNow = start
    quiet = Quiet(clock, start - received_ago, start - sent_ago, **peer)
    patience = Patience(clock, IDLE, KEEPALIVE)
    patience.watch(quiet)
    return clock, quiet, patience


class PatienceTests(SynchronousTestCase):
    @given(moments, st.floats(0, 90), st.floats(0, 90))
    def test_a_silent_peer_is_looked_at_a_few_times_until_it_is_closed(self, start, received_ago, sent_ago):
        clock, quiet, _ = watched(start, received_ago, sent_ago)
        pass_time(clock, start + 1000)
        self.assertIn("no message for 120 s", str(quiet.fault))
        self.assertAlmostEqual(quiet.closed_at, max(start - received_ago + IDLE, start + KEEPALIVE), 5)
        self.assertLessEqual(quiet.looks, 6)
        self.assertEqual(clock.getDelayedCalls(), [])

    @given(moments, st.floats(0, 90))
    def test_one_whose_silence_means_nothing_is_looked_at_once_or_twice_a_keepalive(self, start, sent_ago):
        clock, quiet, patience = watched(start, 0, sent_ago, excused=True)
        pass_time(clock, start + 3600)
        self.assertIsNone(quiet.fault)
        self.assertIn(len(quiet.keepalives), (35, 36))
        self.assertLessEqual(quiet.looks, 2 * 36 + 2)
        patience.stop()
        self.assertEqual(clock.getDelayedCalls(), [])

    @given(moments, st.floats(0, 90))
    def test_one_that_reads_nothing_is_looked_at_a_few_times_until_it_is_closed(self, start, sent_ago):
        clock, quiet, _ = watched(start, 0, sent_ago, excused=True, stuck=True)
        pass_time(clock, start + 1000)
        self.assertIn("nothing read for 120 s", str(quiet.fault))
        self.assertEqual(quiet.keepalives, [])
        self.assertLessEqual(quiet.looks, 6)
