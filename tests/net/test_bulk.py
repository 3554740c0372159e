"""Bulk reading and writing, driven by hand on a pair of connected sockets."""

import gc
import socket

from twisted.internet import tcp
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Protocol
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from bittwist.net import bulk
from bittwist.net.throttle import OPEN, UNLIMITED

from .allowance import Faucet, Purse


class Descriptors:
    """The part of a reactor a transport asks for: who wants to read and write."""

    def __init__(self):
        self.readers, self.writers, self.calls = set(), set(), []

    def addReader(self, reader):
        self.readers.add(reader)

    def removeReader(self, reader):
        self.readers.discard(reader)

    def addWriter(self, writer):
        self.writers.add(writer)

    def removeWriter(self, writer):
        self.writers.discard(writer)

    def callLater(self, delay, function, *arguments):
        self.calls.append((function, arguments))


class PullProducer:
    """Writes what it has, a piece each time it is asked."""

    def __init__(self, transport, parts):
        self.transport, self.parts = transport, parts

    def resumeProducing(self):
        if self.parts:
            self.transport.write(self.parts.pop(0))
        else:
            self.transport.unregisterProducer()

    def stopProducing(self):
        self.parts = []


class Lost(Protocol):
    reason = None

    def connectionLost(self, reason):
        self.reason = reason.value


class BulkTests(SynchronousTestCase):
    def setUp(self):
        self.reactor = Descriptors()
        ours, self.other = socket.socketpair()
        self.other.setblocking(False)
        self.addCleanup(self.other.close)
        self.addCleanup(ours.close)
        self.protocol = Lost()
        self.transport = tcp.Connection(ours, self.protocol, self.reactor)
        self.transport.connected = 1
        self.protocol.makeConnection(self.transport)
        self.received, self.progress = [], 0

    def install(self, upload=UNLIMITED, tap=OPEN):
        installed = bulk.install(self.transport, self._take, self._wrote, upload=upload, tap=tap)
        self.assertIsNotNone(installed)
        return installed

    def _take(self, view):
        self.received.append(bytes(view))

    def _wrote(self):
        self.progress += 1

    def write_ready(self):
        """One turn of the reactor in which the socket takes bytes."""
        if self.transport in self.reactor.writers:
            ended = self.transport.doWrite()
            if ended is not None:
                self.transport.connectionLost(Failure(ended))

    def arrived(self):
        """All that has reached the other end."""
        data = b""
        while True:
            try:
                part = self.other.recv(1 << 20)
            except BlockingIOError:
                return data
            if not part:
                return data
            data += part

    def send(self, installed, *buffers):
        installed.send(buffers, sum(map(len, buffers)))

    def everything(self):
        """What the other end gets, until nothing more is written."""
        data = self.arrived()
        while self.transport in self.reactor.writers:
            self.write_ready()
            data += self.arrived()
        return data + self.arrived()


class Reading(BulkTests):
    def test_what_arrives_is_a_view_of_the_shared_buffer(self):
        views = []
        bulk.install(self.transport, views.append, self._wrote)
        self.other.send(b"hello")
        self.assertIsNone(self.transport.doRead())
        self.assertEqual(bytes(views[0]), b"hello")
        self.assertIs(views[0].obj, bulk._shared_buffer(self.reactor).obj)

    def test_one_read_takes_far_more_than_twisted_does(self):
        self.install()
        self.other.send(bytes(150_000))
        self.transport.doRead()
        self.assertGreater(len(self.received[0]), 1 << 16)

    def test_no_more_is_read_than_is_allowed(self):
        tap = Faucet(1000)
        self.install(tap=tap)
        self.other.send(bytes(1500))
        self.transport.doRead()
        self.transport.doRead()
        self.assertEqual([len(part) for part in self.received], [1000, 500])
        self.assertEqual(tap.returned, [500])
        self.transport.doRead()
        self.assertEqual(tap.returned, [500, 1000])

    def test_nothing_is_read_while_nothing_is_allowed(self):
        self.install(tap=Faucet(0))
        self.other.send(bytes(1500))
        self.assertIsNone(self.transport.doRead())
        self.other.close()
        self.assertIsNone(self.transport.doRead())
        self.assertEqual(self.received, [])

    def test_nothing_there_is_no_end(self):
        self.install()
        self.assertIsNone(self.transport.doRead())
        self.assertEqual(self.received, [])

    def test_an_end_and_an_error_are_told_as_twisted_tells_them(self):
        self.install()
        self.other.close()
        self.assertIsInstance(self.transport.doRead(), ConnectionDone)
        self.transport.socket.close()
        self.assertIsInstance(self.transport.doRead(), ConnectionLost)

    def test_all_connections_of_a_reactor_share_a_buffer_and_it_goes_with_the_reactor(self):
        first = bulk._shared_buffer(self.reactor)
        self.assertIs(bulk._shared_buffer(self.reactor), first)
        other = Descriptors()
        self.assertIsNot(bulk._shared_buffer(other), first)
        gc.collect()
        known = len(bulk._buffers)
        del other
        gc.collect()
        self.assertEqual(len(bulk._buffers), known - 1)


class Writing(BulkTests):
    def test_buffers_leave_at_a_push_in_order(self):
        installed = self.install()
        self.send(installed, b"head", memoryview(b"block"), bytearray(b"tail"))
        self.assertEqual(installed.unsent, 13)
        installed.push()
        self.assertEqual(self.arrived(), b"headblocktail")
        self.assertEqual(installed.unsent, 0)
        self.assertNotIn(self.transport, self.reactor.writers)

    def test_what_the_socket_does_not_take_the_reactor_writes_later(self):
        installed = self.install()
        blocks = [bytes([number]) * 16384 for number in range(100)]
        self.send(installed, *blocks)
        installed.push()
        self.assertGreater(installed.unsent, 0)
        self.assertIn(self.transport, self.reactor.writers)
        self.assertEqual(self.everything(), b"".join(blocks))
        self.assertEqual(installed.unsent, 0)
        self.assertGreater(self.progress, 0)

    def test_more_buffers_than_one_write_takes(self):
        installed = self.install()
        parts = [b"%05d" % number for number in range(5 * bulk.MAX_VECTORS + 3)]
        self.send(installed, *parts)
        installed.push()
        self.assertEqual(self.everything(), b"".join(parts))

    def test_what_twisted_has_buffered_leaves_first(self):
        self.transport.write(b"first ")
        installed = self.install()
        self.transport.write(b"second ")
        self.send(installed, b"third ")
        self.transport.write(b"fourth ")
        self.send(installed, b"fifth")
        self.assertEqual(installed.unsent, 31)
        self.assertEqual(self.everything(), b"first second third fourth fifth")

    def test_half_written_bytes_of_twisted_leave_once(self):
        sent = [bytes([number]) * 50_000 for number in range(20)]
        for part in sent:
            self.transport.write(part)
        self.transport.doWrite()
        installed = self.install()
        self.send(installed, b"after")
        self.assertEqual(self.everything(), b"".join(sent) + b"after")

    def test_twisted_own_writing_goes_on(self):
        self.install()
        self.transport.write(b"hello")
        self.assertEqual(self.everything(), b"hello")

    def test_an_error_of_a_push_is_told_by_the_next_write(self):
        installed = self.install()
        self.other.close()
        self.send(installed, b"lost")
        installed.push()
        self.assertIn(self.transport, self.reactor.writers)
        self.write_ready()
        self.assertIsInstance(self.protocol.reason, ConnectionLost)

    def test_sending_on_a_lost_connection_is_nothing(self):
        installed = self.install()
        self.transport.connectionLost(Failure(ConnectionDone()))
        self.send(installed, b"late")
        self.assertEqual(installed.unsent, 0)


class Closing(BulkTests):
    def test_a_close_waits_for_what_is_unsent(self):
        installed = self.install()
        sent = bytes(3_000_000)
        self.send(installed, sent)
        installed.push()
        installed.finish()
        self.write_ready()
        self.assertIsNone(self.protocol.reason)
        self.assertEqual(self.everything(), sent)
        self.assertIsInstance(self.protocol.reason, ConnectionDone)

    def test_a_close_with_nothing_unsent_is_done_at_once(self):
        installed = self.install()
        installed.finish()
        self.write_ready()
        self.assertIsInstance(self.protocol.reason, ConnectionDone)

    def test_an_abort_drops_what_is_unsent(self):
        installed = self.install()
        self.send(installed, bytes(3_000_000))
        self.transport.abortConnection()
        self.assertNotIn(self.transport, self.reactor.writers)
        for function, arguments in self.reactor.calls:
            function(*arguments)
        self.assertIsNotNone(self.protocol.reason)

    def test_a_half_close_waits_for_what_is_unsent_and_reading_goes_on(self):
        installed = self.install()
        sent = bytes(1_000_000)
        self.send(installed, sent)
        self.transport.loseWriteConnection()
        self.assertEqual(self.everything(), sent)
        self.assertEqual(self.other.recv(10), b"")
        self.send(installed, b"too late")
        self.assertEqual(installed.unsent, 0)
        self.other.send(b"still here")
        self.transport.doRead()
        self.assertEqual(self.received, [b"still here"])

    def test_a_released_connection_keeps_nothing(self):
        installed = self.install()
        self.send(installed, b"abc")
        installed.release()
        self.assertEqual(installed.unsent, 0)
        self.assertNotIn("doRead", vars(self.transport))
        self.assertNotIn("doWrite", vars(self.transport))


class Producers(BulkTests):
    def test_a_pull_producer_is_asked_behind_our_queue(self):
        installed = self.install()
        self.send(installed, b"ours ")
        self.transport.registerProducer(PullProducer(self.transport, [b"one ", b"two"]), False)
        self.assertEqual(self.everything(), b"ours one two")

    def test_a_close_waits_for_a_producer(self):
        installed = self.install()
        self.transport.registerProducer(PullProducer(self.transport, [b"one ", b"two "]), False)
        self.send(installed, b"ours")
        installed.finish()
        self.assertEqual(self.everything(), b"one ourstwo ")
        self.assertIsInstance(self.protocol.reason, ConnectionDone)


class Allowances(BulkTests):
    def test_no_more_is_sent_than_is_allowed(self):
        purse = Purse(7)
        installed = self.install(upload=purse)
        self.send(installed, b"abcd", b"efgh", b"ijkl")
        installed.push()
        self.assertEqual((self.arrived(), installed.unsent), (b"abcdefg", 5))
        installed.push()
        self.assertTrue(installed.waiting)
        installed.push()
        self.assertEqual(len(purse.waiting), 1)
        purse.fill(100)
        self.assertFalse(installed.waiting)
        self.assertEqual(self.everything(), b"hijkl")
        self.assertEqual(purse.amount, 95)

    def test_what_was_allowed_and_not_taken_by_the_socket_is_not_asked_for_again(self):
        purse = Purse(10 << 20)
        installed = self.install(upload=purse)
        self.send(installed, *[bytes(16384)] * 64)
        installed.push()
        self.assertEqual(len(self.everything()), 1 << 20)
        self.assertEqual(purse.amount, 9 << 20)

    def test_what_was_allowed_and_cannot_be_sent_goes_back(self):
        purse = Purse(10 << 20)
        installed = self.install(upload=purse)
        self.send(installed, *[bytes(16384)] * 640)
        installed.push()
        for _ in range(200):
            self.write_ready()  # the socket takes no more
        self.assertEqual(purse.amount, installed.unsent)
        installed.release()
        self.assertLess(purse.amount, 10 << 20)

    def test_a_limit_that_begins_or_ends_meanwhile_holds_from_then_on(self):
        purse = Purse(0)
        purse.free = True
        installed = self.install(upload=purse)
        self.send(installed, b"abc")
        installed.push()
        purse.free = False
        self.send(installed, b"def")
        installed.push()
        self.assertEqual(self.arrived(), b"abc")
        purse.free = True
        purse.fill(0)
        self.assertEqual(self.everything(), b"def")

    def test_a_close_waits_for_the_allowance_without_spinning(self):
        purse = Purse(0)
        installed = self.install(upload=purse)
        self.send(installed, b"abc")
        installed.push()
        installed.finish()
        self.write_ready()
        self.assertNotIn(self.transport, self.reactor.writers)
        self.assertEqual(len(purse.waiting), 1)
        purse.fill(3)
        self.assertEqual(self.everything(), b"abc")
        self.assertIsInstance(self.protocol.reason, ConnectionDone)


class Elsewhere(BulkTests):
    def refused(self, transport):
        return bulk.install(transport, self._take, self._wrote) is None

    def test_other_transports_are_left_alone(self):
        self.assertTrue(self.refused(StringTransport()))

    def test_transports_under_tls_are_left_alone(self):
        self.transport.TLS = True
        self.assertTrue(self.refused(self.transport))

    def test_a_connection_that_is_gone_is_left_alone(self):
        self.transport.connected = 0
        self.assertTrue(self.refused(self.transport))

    def test_an_aborted_connection_is_left_alone(self):
        self.transport.abortConnection()
        self.assertTrue(self.refused(self.transport))
