"""The small parts the simulated network is made of."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bittwist.testing import PoolAtOnce, SimulatedNetwork, SteppingClock
from bittwist.testing.bytequeue import ByteQueue
from bittwist.testing.link import Pipe
from bittwist.testing.names import Names


class ByteQueueTests(SynchronousTestCase):
    @given(st.lists(st.binary(max_size=20) | st.integers(1, 30)))
    def test_bytes_come_out_in_order_and_no_more_than_asked(self, steps):
        queue, expected = ByteQueue(), b""
        for step in steps:
            if isinstance(step, bytes):
                queue.append(step)
                expected += step
            else:
                self.assertEqual(queue.take(step), expected[:step])
                expected = expected[step:]
            self.assertEqual(queue.size, len(expected))
            self.assertEqual(bool(queue), bool(expected))


class ClockTests(SynchronousTestCase):
    def setUp(self):
        self.clock = SteppingClock()
        self.ran = []

    def note(self, name):
        self.ran.append((name, self.clock.seconds()))

    def test_each_call_runs_at_its_own_time(self):
        self.clock.callLater(3, self.note, "b")
        self.clock.callLater(1, lambda: self.clock.callLater(1, self.note, "a"))
        self.clock.advance(10)
        self.assertEqual(self.ran, [("a", 2.0), ("b", 3.0)])
        self.assertEqual(self.clock.seconds(), 10.0)

    def test_calls_of_one_time_run_as_they_were_made(self):
        for name in range(5):
            self.clock.callLater(1, self.note, name)
        self.clock.advance(1)
        self.assertEqual([name for name, _ in self.ran], list(range(5)))

    def test_calls_move_and_are_cancelled(self):
        late, early, gone = (self.clock.callLater(5, self.note, name) for name in ("late", "early", "gone"))
        late.delay(5)
        early.reset(1)
        gone.cancel()
        self.clock.callLater(7, self.note, "middle")
        self.assertEqual(self.clock.next_at(), 1.0)
        self.clock.advance(20)
        self.assertEqual(self.ran, [("early", 1.0), ("middle", 7.0), ("late", 10.0)])
        self.assertEqual(self.clock.calls, [])

    def test_a_call_that_goes_round_is_named(self):
        def again():
            self.clock.callLater(0, again)

        again()
        self.assertIn("again", str(self.assertRaises(RuntimeError, self.clock.advance, 1)))

    @given(st.lists(st.tuples(st.floats(0, 100), st.sampled_from(["", "cancel", "delay", "reset"]))))
    def test_time_never_runs_backwards(self, plan):
        clock, times, expected = SteppingClock(), [], 0
        for delay, then in plan:
            call = clock.callLater(delay, lambda: times.append(clock.seconds()))
            expected += then != "cancel"
            if then == "cancel":
                call.cancel()
            elif then == "delay":
                call.delay(3)
            elif then == "reset":
                call.reset(delay / 2)
        clock.advance(200)
        self.assertEqual(times, sorted(times))
        self.assertEqual(len(times), expected)


class PipeTests(SynchronousTestCase):
    def test_what_comes_later_waits_for_what_came_before(self):
        pipe = Pipe(100.0)
        self.assertEqual(pipe.through(100, now=5.0), 6.0)
        self.assertEqual(pipe.through(50, now=5.2), 6.5)
        self.assertEqual(pipe.through(50, now=9.0), 9.5)


class NamesTests(SynchronousTestCase):
    def test_names_have_no_case_and_addresses_are_themselves(self):
        names = Names()
        names.set("Tracker.Example", "10.0.0.1", "2001:0db8::1")
        self.assertEqual(names.find("tracker.EXAMPLE"), ("10.0.0.1", "2001:db8::1"))
        self.assertEqual(names.find("10.0.0.9"), ("10.0.0.9",))
        self.assertEqual(names.find("other"), ())
        self.assertEqual(names.lookups, ["tracker.EXAMPLE", "other"])


class PoolTests(SynchronousTestCase):
    def test_a_failing_call_is_logged_and_goes_no_further(self):
        pool = PoolAtOnce()
        pool.start()
        pool.callInThread(divmod, 1, 0)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        pool.adjustPoolsize(1, 3)
        pool.stop()
        self.assertEqual((pool.min, pool.max, pool.joined), (1, 3, True))


class HostTests(SynchronousTestCase):
    def test_a_host_is_found_again_by_its_address(self):
        network = SimulatedNetwork()
        host = network.host("10.0.0.1", "2001:db8::1")
        self.assertIs(network.host("10.0.0.1"), host)
        self.assertRaises(ValueError, network.host, "10.0.0.1", "10.0.0.9")
        self.assertRaises(ValueError, network.host, "10.0.0.2", "10.0.0.1")
        self.assertRaises(ValueError, network.host, "127.0.0.1")

    def test_a_host_knows_only_its_own_calls(self):
        network = SimulatedNetwork()
        one, other = network.host("10.0.0.1"), network.host("10.0.0.2")
        calls = [one.callLater(1, print) for _ in range(300)]
        other.callLater(1, print)
        for call in calls[1:]:
            call.cancel()
        self.assertEqual(one.getDelayedCalls(), calls[:1])
        one.drop()
        self.assertEqual(len(network.clock.calls), 1)
        self.assertFalse(one.callLater(1, print).active())
