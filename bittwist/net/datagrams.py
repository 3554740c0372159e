"""Many small datagrams over one UDP port: so many a turn, and none that raises for a full socket.

Twisted's port reads by bytes, so that a flood of small datagrams holds the reactor for long, and of empty
ones for ever; and it checks the form of each address it sends to, which costs as much as sending. Everything
else stays Twisted's. On a port that is not Twisted's (a test's) its own reading and writing are used.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from twisted.internet import udp
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger

BATCH = 64  # datagrams a turn: a millisecond of a tracker's work, in which nobody else gets the reactor
MAX_READ = 4096  # bytes of a datagram that are read: no request is longer, and what is cut off is refused

_log = Logger()


def open_datagram_socket(host: str, port: int, *, shared: bool, receive_buffer: int) -> socket.socket:
    """A bound UDP socket; OSError where there is none to be had. One for IPv6 takes no IPv4.

    With `shared` several processes can have the port: the system deals the datagrams out by their senders.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_DGRAM)
    try:
        opened.setblocking(False)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if shared:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if receive_buffer:  # a wish: the system gives what it allows
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        opened.bind((host, port))
    except BaseException:
        opened.close()
        raise
    return opened


class Datagrams(DatagramProtocol):
    """Override `datagramReceived`; answer with `send`. `unsent` counts what the system did not take."""

    def __init__(self, batch: int = BATCH) -> None:
        self.unsent = 0
        self._batch = batch
        self._write: Callable[[bytes, tuple[str, int]], object] = _closed

    def send(self, datagram: bytes, address: tuple[str, int]) -> None:
        """Send to the address as `datagramReceived` got it. What cannot be sent is lost, as datagrams are."""
        try:
            self._write(datagram, address)
        except OSError:  # a full buffer, no route, a firewall's refusal: UDP has no later
            self.unsent += 1

    def startProtocol(self) -> None:
        port = self.transport
        assert port is not None
        if isinstance(port, udp.Port):
            self._write = port.socket.sendto
            vars(port)["doRead"] = self._reader(port)  # this hides the method
        else:
            self._write = port.write

    def stopProtocol(self) -> None:
        self._write = _closed

    def _reader(self, port: udp.Port) -> Callable[[], None]:
        receive: Callable[[int], tuple[bytes, tuple[str, int]]] = port.socket.recvfrom
        received = self.datagramReceived
        turns = range(self._batch)

        def read() -> None:
            for _ in turns:
                try:
                    datagram, address = receive(MAX_READ)
                except OSError:  # nothing there, or what became of something sent earlier
                    return
                try:
                    received(datagram, address)
                except Exception:  # one datagram must not cost the port: logged, and on to the next
                    _log.failure("a datagram could not be read")

        return read


def _closed(datagram: bytes, address: tuple[str, int]) -> None:
    """The port is closed: nobody hears it."""
