"""Shares of rate limits: never too much, everyone in turn, nothing lost."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bittwist.net.bucket import BURST
from bittwist.net.turns import LEAST_PORTION, MOST_PORTION, TICK, Gate, Share


class Mover:
    """Moves `chunk` bytes at a time through a share, as much as it is allowed, until it has moved `left`."""

    def __init__(self, clock, gates, chunk=65536, left=10**12):
        self.share = Share(clock)
        self.share.lead_through(gates)
        self.chunk, self.left, self.moved = chunk, left, 0
        self.waits = 0
        clock.callLater(0, self.go)

    def go(self):
        while self.left:
            wanted = min(self.chunk, self.left)
            taken = self.share.take(wanted)
            if not taken:
                self.waits += 1
                self.share.wait(self.go)
                return
            self.moved += taken
            self.left -= taken
        self.share.give_back(0)


class TurnsTests(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()

    def run_for(self, seconds, step=0.01):
        for _ in range(round(seconds / step)):
            self.clock.advance(step)

    def gate(self, rate):
        return Gate(self.clock, rate)

    def test_without_gates_it_is_free(self):
        share = Share(self.clock)
        self.assertTrue(share.free)
        self.assertEqual(share.take(1 << 40), 1 << 40)
        called = []
        share.wait(lambda: called.append(1))
        self.assertEqual(called, [])
        self.clock.advance(0)
        self.assertEqual(called, [1])

    def test_the_rate_is_used_up_and_not_exceeded(self):
        for rate in (3_000, 100_000, 5_000_000, 200_000_000):
            mover = Mover(self.clock, (self.gate(rate),))
            self.run_for(10)
            self.assertLessEqual(mover.moved, 10 * rate)
            self.assertGreater(mover.moved, 9.8 * rate - LEAST_PORTION)
            mover.share.close()

    def test_equal_ones_get_the_same(self):
        for rate in (20_000, 1_000_000, 20_000_000, 300_000_000):
            gate = self.gate(rate)
            movers = [Mover(self.clock, (gate,), chunk) for chunk in (16384, 65536) for _ in range(5)]
            self.run_for(10)
            moved = [mover.moved for mover in movers]
            self.assertGreater(sum(moved), 9.8 * rate)
            self.assertLessEqual(max(moved) - min(moved), 0.05 * rate + LEAST_PORTION)
            for mover in movers:
                mover.share.close()

    def test_a_reactor_that_is_late_costs_nothing_of_the_rate(self):
        gate = self.gate(1_000_000)
        movers = [Mover(self.clock, (gate,)) for _ in range(10)]
        self.run_for(10, step=0.2)
        self.assertGreater(sum(mover.moved for mover in movers), 9_500_000)

    def test_who_wants_little_is_served_and_leaves_the_rest_to_others(self):
        gate = self.gate(1_000_000)
        greedy = Mover(self.clock, (gate,))
        modest = [Mover(self.clock, (gate,), chunk=100, left=100) for _ in range(50)]
        self.run_for(10)
        self.assertEqual([mover.left for mover in modest], [0] * 50)
        self.assertGreater(greedy.moved, 9_700_000)

    def test_a_crowd_that_again_and_again_wants_little_leaves_the_rest_to_others(self):
        gate = self.gate(1_000_000)
        greedy = Mover(self.clock, (gate,))
        modest = [Mover(self.clock, (gate,), chunk=100, left=100) for _ in range(50)]
        for _ in range(100):
            self.run_for(0.1)
            for mover in modest:
                mover.left += 100
                mover.share.wait(mover.go)
        self.assertGreater(sum(mover.moved for mover in modest), 50 * 100 * 90)
        self.assertGreater(greedy.moved, 9_000_000)

    def test_the_tightest_gate_of_all_counts(self):
        wide, narrow = self.gate(1_000_000), self.gate(100_000)
        limited = [Mover(self.clock, (narrow, wide)) for _ in range(4)]
        others = [Mover(self.clock, (wide,)) for _ in range(2)]
        self.run_for(10)
        self.assertApproximates(sum(m.moved for m in limited), 1_000_000, 50_000)
        self.assertApproximates(sum(m.moved for m in limited + others), 10_000_000, 300_000)
        self.assertApproximates(others[0].moved, others[1].moved, 100_000)

    def test_gates_of_the_same_rate_do_not_slow_each_other(self):
        gates = (self.gate(1_000_000), self.gate(1_000_000), self.gate(1_000_000))
        movers = [Mover(self.clock, gates) for _ in range(3)]
        self.run_for(10)
        self.assertGreater(sum(mover.moved for mover in movers), 9_600_000)

    def test_one_timer_a_gate_and_none_when_nobody_waits(self):
        gate = self.gate(100_000)
        movers = [Mover(self.clock, (gate,)) for _ in range(20)]
        self.run_for(1)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        for mover in movers:
            mover.share.close()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_waiting_is_not_busy(self):
        gate = self.gate(1_000)
        movers = [Mover(self.clock, (gate,)) for _ in range(10)]
        self.run_for(10)
        self.assertLess(sum(mover.waits for mover in movers), 30)

    def test_a_new_rate_holds_at_once_for_those_in_line(self):
        gate = self.gate(10)
        mover = Mover(self.clock, (gate,))
        self.run_for(1)
        self.assertEqual(mover.moved, 0)
        gate.set_rate(1_000_000)
        self.run_for(10)
        self.assertGreater(mover.moved, 9_700_000)
        before = mover.moved
        gate.set_rate(10_000)
        self.run_for(10)
        self.assertLess(mover.moved - before, 10_000 * 10 + 1_000_000 * BURST)

    def test_new_gates_hold_at_once_for_those_in_line(self):
        slow, fast = self.gate(10), self.gate(1_000_000)
        mover = Mover(self.clock, (slow,))
        self.run_for(1)
        mover.share.lead_through((fast,))
        self.run_for(10)
        self.assertGreater(mover.moved, 9_700_000)
        mover.left = 1 << 20
        mover.share.lead_through(())
        self.run_for(1)
        self.assertEqual(mover.left, 0)

    def test_what_is_given_back_can_be_taken_by_others(self):
        gate = self.gate(100_000)
        one, other = Share(self.clock), Share(self.clock)
        one.lead_through((gate,))
        other.lead_through((gate,))
        self.clock.advance(0.2)
        taken = [one.take(20_000) for _ in range(20)]
        self.assertGreater(sum(taken), 20_000 - LEAST_PORTION)
        self.assertEqual(other.take(20_000), 0)
        one.give_back(LEAST_PORTION)
        self.assertEqual(other.take(20_000), LEAST_PORTION)

    def test_what_is_given_back_serves_the_next_in_line_at_once(self):
        gate = self.gate(100_000)
        one, other = Share(self.clock), Share(self.clock)
        one.lead_through((gate,))
        other.lead_through((gate,))
        self.clock.advance(0.014)
        self.assertEqual(one.take(20_000), LEAST_PORTION)
        called = []
        other.wait(lambda: called.append(other.take(20_000)))
        one.give_back(LEAST_PORTION)
        self.assertEqual(called, [])
        self.clock.advance(0)
        self.assertEqual(called, [LEAST_PORTION])

    def test_what_one_could_not_use_of_its_turn_it_gets_the_next_time(self):
        gate = self.gate(1_000_000)
        share = Share(self.clock)
        share.lead_through((gate,))
        turns = []
        for used in (2_000, 0, 10_000):
            share.wait(lambda used=used: turns.append(share.take(65536)) or share.give_back(5_000 - used))
            self.clock.advance(TICK)
        self.assertEqual(turns, [5_000, 8_000, 10_000])

    def test_nobody_takes_out_of_turn(self):
        gate = self.gate(100_000)
        first, second = Share(self.clock), Share(self.clock)
        for share in (first, second):
            share.lead_through((gate,))
        first.wait(lambda: None)
        self.assertEqual(second.take(1), 0)
        self.clock.advance(TICK)
        self.assertGreater(first.take(65536), 0)

    def test_a_share_that_is_closed_by_anothers_callback_is_not_called(self):
        gate = self.gate(1_000_000)
        one, other = Share(self.clock), Share(self.clock)
        called = []
        for share, closes in ((one, other), (other, one)):
            share.lead_through((gate,))
            share.wait(lambda closes=closes: (called.append(closes), closes.close()))
        self.clock.advance(1)
        self.assertEqual(len(called), 1)

    def test_several_who_wait_with_one_share_are_all_called(self):
        share = Share(self.clock)
        share.lead_through((self.gate(1_000_000),))
        called = []
        share.wait(lambda: called.append(1))
        share.wait(lambda: called.append(2))
        self.clock.advance(1)
        self.assertEqual(called, [1, 2])

    def test_portions_are_neither_crumbs_nor_floods(self):
        self.assertEqual(self.gate(1).portion, LEAST_PORTION)
        self.assertEqual(self.gate(1e12).portion, MOST_PORTION)

    @settings(max_examples=40, deadline=None)
    @given(
        st.lists(st.integers(500, 10**8), min_size=1, max_size=4),
        st.lists(
            st.tuples(st.sets(st.integers(0, 3), min_size=1), st.integers(1, 200_000), st.integers(1, 10**6)),
            min_size=1,
            max_size=12,
        ),
        st.lists(st.tuples(st.integers(0, 11), st.integers(500, 10**8)), max_size=5),
    )
    def test_whatever_the_gates_none_lets_more_through_and_all_are_served(self, rates, wishes, changes):
        clock = Clock()
        gates = [Gate(clock, rate) for rate in rates]
        movers = []
        for numbers, chunk, left in wishes:
            through = tuple(gates[number] for number in sorted(numbers) if number < len(gates))
            movers.append((through, Mover(clock, through, chunk, left)))
        changed = [gate.rate for gate in gates]
        for number, rate in changes:
            gates[number % len(gates)].set_rate(rate)
            changed[number % len(gates)] = max(changed[number % len(gates)], rate)
        for _ in range(100):
            clock.advance(0.05)
            for gate, rate in zip(gates, changed, strict=True):
                moved = sum(mover.moved for through, mover in movers if gate in through)
                self.assertLessEqual(moved, rate * (clock.seconds() + BURST) + 4096)
        for _ in range(2000):
            if not any(mover.left for _, mover in movers):
                break
            clock.advance(20)
        self.assertEqual([mover.left for _, mover in movers], [0] * len(movers))
        self.assertEqual(clock.getDelayedCalls(), [])
