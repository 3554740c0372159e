"""Waiting for what becomes true once."""

from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bittwist.errors import SessionError
from bittwist.session.conditions import Condition


class ConditionTests(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.condition = Condition(self.clock)

    def test_every_waiter_is_told_from_the_next_turn(self):
        waiters = [self.condition.wait(), self.condition.wait()]
        self.condition.meet("there")
        self.assertNoResult(waiters[0])
        self.clock.advance(0)
        self.assertEqual([self.successResultOf(w) for w in waiters], ["there", "there"])

    def test_who_waits_afterwards_is_told_at_once(self):
        self.condition.meet(1)
        self.assertEqual(self.successResultOf(self.condition.wait()), 1)
        self.clock.advance(0)

    def test_a_miss_fails_every_waiter(self):
        early = self.condition.wait()
        self.condition.miss(SessionError("gone"))
        self.clock.advance(0)
        self.failureResultOf(early, SessionError)
        self.failureResultOf(self.condition.wait(), SessionError)

    def test_the_first_outcome_stands_until_reset(self):
        self.condition.meet(1)
        self.condition.miss(SessionError("too late"))
        self.assertEqual(self.successResultOf(self.condition.wait()), 1)
        self.condition.reset()
        again = self.condition.wait()
        self.condition.meet(2)
        self.clock.advance(0)
        self.assertEqual(self.successResultOf(again), 2)

    def test_cancelling_a_wait_stops_only_that_wait(self):
        given_up, other = self.condition.wait(), self.condition.wait()
        given_up.cancel()
        self.failureResultOf(given_up, CancelledError)
        self.condition.meet(3)
        self.clock.advance(0)
        self.assertEqual(self.successResultOf(other), 3)

    def test_a_waiter_cancelled_between_the_fact_and_the_telling_is_left_alone(self):
        waiter = self.condition.wait()
        self.condition.meet(4)
        waiter.cancel()
        self.clock.advance(0)
        self.failureResultOf(waiter, CancelledError)
