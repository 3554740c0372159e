"""Reading, paused by its user and by the allowance."""

from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from bittwist.net.throttle import UNLIMITED
from bittwist.peer.reading import MOST, Reading
from tests.net.allowance import Purse


class ReadingTests(SynchronousTestCase):
    def reading(self, allowance=UNLIMITED):
        self.transport = StringTransport()
        return Reading(self.transport, allowance)

    def assertOpen(self, reading, is_open):
        self.assertEqual(reading.open, is_open)
        self.assertEqual(self.transport.producerState, "producing" if is_open else "paused")

    def test_unlimited_reading_goes_on(self):
        reading = self.reading()
        reading.charge(1 << 30)
        self.assertOpen(reading, True)

    def test_what_the_allowance_does_not_cover_is_waited_for(self):
        purse = Purse(100)
        reading = self.reading(purse)
        reading.charge(100)
        self.assertOpen(reading, True)
        reading.charge(50)
        self.assertOpen(reading, False)
        purse.fill(20)
        self.assertOpen(reading, False)
        purse.fill(30)
        self.assertOpen(reading, True)
        self.assertEqual(purse.amount, 0)

    def test_what_arrives_while_in_debt_adds_to_it_without_a_second_wait(self):
        purse = Purse(0)
        reading = self.reading(purse)
        reading.charge(50)
        reading.charge(50)
        self.assertEqual(len(purse.waiting), 1)
        purse.fill(99)
        self.assertOpen(reading, False)
        purse.fill(1)
        self.assertOpen(reading, True)

    def test_pause_and_debt_each_keep_it_shut(self):
        purse = Purse(0)
        reading = self.reading(purse)
        reading.charge(10)
        reading.pause()
        purse.fill(10)
        self.assertOpen(reading, False)
        reading.resume()
        self.assertOpen(reading, True)
        reading.pause()
        reading.charge(10)
        reading.resume()
        self.assertOpen(reading, False)
        purse.fill(10)
        self.assertOpen(reading, True)

    def test_a_stopped_reading_touches_nothing(self):
        purse = Purse(0)
        reading = self.reading(purse)
        reading.charge(10)
        reading.stop()
        purse.fill(10)
        reading.pause()
        self.assertEqual(purse.amount, 10)

    def test_who_reads_by_itself_asks_for_room_and_is_shut_out_without(self):
        purse = Purse(100_000)
        reading = self.reading(purse)
        self.assertEqual(reading.room(), MOST)
        reading.unused(MOST - 10)
        self.assertEqual(purse.amount, 99_990)
        purse.amount = 0
        self.assertOpen(reading, True)
        self.assertEqual(reading.room(), 0)
        self.assertOpen(reading, False)
        purse.fill(10)
        self.assertOpen(reading, True)
        self.assertEqual(reading.room(), 10)

    def test_it_remembers_that_the_allowance_has_shut_it(self):
        purse = Purse(0)
        reading = self.reading(purse)
        self.assertFalse(reading.was_shut())
        reading.charge(1)
        self.assertTrue(reading.was_shut())
        purse.fill(1)
        self.assertEqual([reading.was_shut(), reading.was_shut()], [True, False])
        reading.pause()
        self.assertEqual([reading.was_shut(), reading.was_shut()], [True, True])

    def test_a_transport_that_cannot_pause_is_left_alone(self):
        reading = Reading(object(), UNLIMITED)
        reading.pause()
        reading.resume()
        self.assertTrue(reading.open)
