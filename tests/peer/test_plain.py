"""Sending through a transport that pauses its producer."""

from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from bittwist.net.throttle import UNLIMITED
from bittwist.peer.plain import CHUNK, Plain
from tests.net.allowance import Purse


class Narrow(StringTransport):
    """A transport that is full after each write, until it is drained."""

    def write(self, data):
        super().write(data)
        self.producer.pauseProducing()

    def drain(self):
        self.producer.resumeProducing()


class PlainTests(SynchronousTestCase):
    def plain(self, transport=None, upload=UNLIMITED):
        self.transport = transport or StringTransport()
        self.progress = 0
        return Plain(self.transport, self._wrote, upload=upload)

    def _wrote(self):
        self.progress += 1

    def send(self, plain, *buffers):
        plain.send(buffers, sum(map(len, buffers)))
        plain.push()

    def test_buffers_leave_joined_and_in_order(self):
        plain = self.plain()
        self.send(plain, b"one", memoryview(b"two"), bytearray(b"three"))
        self.assertEqual(self.transport.value(), b"onetwothree")
        self.assertEqual(plain.unsent, 0)

    def test_a_full_transport_gets_a_chunk_at_a_time(self):
        plain = self.plain(Narrow())
        self.send(plain, bytes(CHUNK), bytes(CHUNK), bytes(10))
        self.assertEqual(len(self.transport.value()), CHUNK)
        self.assertEqual(plain.unsent, 2 * CHUNK + 10)
        self.transport.drain()
        self.assertEqual((plain.unsent, self.progress), (CHUNK + 10, 1))
        self.transport.drain()
        self.transport.drain()
        self.assertEqual((plain.unsent, self.progress), (0, 3))
        self.assertEqual(len(self.transport.value()), 2 * CHUNK + 10)

    def test_a_close_waits_until_all_is_sent(self):
        plain = self.plain(Narrow())
        self.send(plain, bytes(CHUNK), b"end")
        plain.finish()
        self.send(plain, b"too late")
        self.assertFalse(self.transport.disconnecting)
        self.transport.drain()
        self.assertTrue(self.transport.disconnecting)
        self.assertIsNone(self.transport.producer)
        self.assertEqual(self.transport.value()[CHUNK:], b"end")

    def test_the_allowance_is_asked_before_each_write(self):
        purse = Purse(5)
        plain = self.plain(upload=purse)
        self.send(plain, b"12345678")
        self.assertEqual(self.transport.value(), b"12345")
        self.assertTrue(plain.waiting)
        self.assertEqual(purse.asked, [8, 3])
        self.assertEqual(len(purse.waiting), 1)
        plain.push()
        self.assertEqual(len(purse.waiting), 1)
        purse.fill(100)
        self.assertEqual(self.transport.value(), b"12345678")
        self.assertEqual((plain.waiting, self.progress), (False, 1))

    def test_a_released_queue_is_empty_and_stays_silent(self):
        purse = Purse(0)
        plain = self.plain(upload=purse)
        self.send(plain, b"abc")
        plain.release()
        purse.fill(10)
        self.assertEqual((plain.unsent, self.transport.value(), self.progress), (0, b"", 0))

    def test_a_producer_that_is_stopped_writes_no_more(self):
        plain = self.plain()
        plain.stopProducing()
        self.send(plain, b"abc")
        self.assertEqual(self.transport.value(), b"")
