"""Datagrams in bulk, on a port of Twisted's with a socket that is none."""

from __future__ import annotations

import errno
from collections import deque
from typing import Any

from twisted.internet.testing import FakeDatagramTransport, MemoryReactor
from twisted.internet.udp import Port
from twisted.trial.unittest import SynchronousTestCase

from bittwist.net.datagrams import MAX_READ, Datagrams

PEER = ("192.0.2.1", 7)


class Echo(Datagrams):
    """Sends back what it gets; fails at b"bad"."""

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        if datagram == b"bad":
            raise ZeroDivisionError
        self.send(datagram, addr)


class Socket:
    """A queue of datagrams (or of errors) in, a list out."""

    def __init__(self, *waiting: bytes | OSError) -> None:
        self.waiting = deque(waiting)
        self.sent: list[tuple[bytes, Any]] = []
        self.refusal: OSError | None = None
        self.closed = False

    def recvfrom(self, size: int) -> tuple[bytes, Any]:
        if not self.waiting:
            raise BlockingIOError(errno.EAGAIN, "later")
        found = self.waiting.popleft()
        if isinstance(found, OSError):
            raise found
        return found[:size], PEER

    def sendto(self, datagram: bytes, addr: Any) -> int:
        if self.refusal is not None:
            raise self.refusal
        self.sent.append((datagram, addr))
        return len(datagram)

    def fileno(self) -> int:
        return 7

    def close(self) -> None:
        self.closed = True


class DatagramsTests(SynchronousTestCase):
    def open(self, *waiting: bytes | OSError, batch: int = 4) -> None:
        self.echo = Echo(batch)
        self.socket = Socket(*waiting)
        self.port = Port(0, self.echo, reactor=MemoryReactor())
        self.port.socket = self.socket
        self.echo.makeConnection(self.port)

    def test_so_many_are_read_a_turn(self) -> None:
        self.open(*[b"x"] * 10)
        for total in (4, 8, 10, 10):
            self.port.doRead()
            self.assertEqual(len(self.socket.sent), total)
        self.assertEqual(self.socket.sent[0], (b"x", PEER))

    def test_empty_datagrams_do_not_hold_the_reactor(self) -> None:
        self.open(*[b""] * 100)
        self.port.doRead()
        self.assertEqual(len(self.socket.waiting), 96)

    def test_one_that_fails_costs_no_other(self) -> None:
        self.open(b"one", b"bad", b"two")
        self.port.doRead()
        self.assertEqual([sent for sent, _ in self.socket.sent], [b"one", b"two"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_errors_of_earlier_sends_end_a_turn_and_nothing_else(self) -> None:
        self.open(ConnectionRefusedError(errno.ECONNREFUSED, "refused"), b"one")
        self.port.doRead()
        self.port.doRead()
        self.assertEqual([sent for sent, _ in self.socket.sent], [b"one"])

    def test_what_the_system_does_not_take_is_counted(self) -> None:
        self.open(*[b"x"] * 4)
        for number in (errno.EAGAIN, errno.ENOBUFS, errno.EPERM, errno.ENETUNREACH):
            self.socket.refusal = OSError(number, "no")
            self.echo.send(b"x", PEER)
        self.assertEqual((self.socket.sent, self.echo.unsent), ([], 4))

    def test_what_is_too_long_is_cut_off(self) -> None:
        self.open(b"x" * 9000)
        self.port.doRead()
        self.assertEqual(len(self.socket.sent[0][0]), MAX_READ)

    def test_a_port_that_is_not_twisteds_is_used_as_it_is(self) -> None:
        transport = FakeDatagramTransport()
        echo = Echo()
        echo.makeConnection(transport)
        echo.datagramReceived(b"x", PEER)
        self.assertEqual(transport.written, [(b"x", PEER)])

    def test_nothing_is_sent_after_the_end(self) -> None:
        self.open()
        self.echo.doStop()
        self.echo.send(b"x", PEER)
        self.assertEqual((self.socket.sent, self.echo.unsent), ([], 0))
