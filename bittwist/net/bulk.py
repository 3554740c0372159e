"""Bulk bytes over a plain TCP transport of Twisted's: one big read, one gathered write.

Twisted reads 64 KiB into fresh bytes and joins what it writes. Here a connected transport's `doRead` becomes
a `recv_into` of one buffer that all connections of the reactor share, and its `doWrite` a `sendmsg` of
headers and memoryviews as they are. Everything else stays Twisted's: closing, half closing, producers, and
what was written with `transport.write`, in its order. Where the transport is anything else (TLS, uTP, a
test's), `install` returns None.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Protocol
from weakref import WeakKeyDictionary

from twisted.internet import tcp
from twisted.internet.interfaces import ITransport
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST

from bittwist.net.throttle import OPEN, UNLIMITED, Allowance, Tap

if TYPE_CHECKING:
    from socket import socket

READ_SIZE = 1 << 20  # one read takes at most this; 64 blocks, about a socket buffer of the kernel's
PACED_WRITE = 64 << 10  # under a rate limit smaller writes, so that a burst is short
MAX_VECTORS = 128  # buffers in one sendmsg: 64 blocks with their headers; Linux allows 1024

_buffers: WeakKeyDictionary[object, memoryview] = (
    WeakKeyDictionary()
)  # reactor → the buffer all its reads share


def install(
    transport: ITransport,
    received: Callable[[memoryview], None],
    wrote: Callable[[], None],
    *,
    upload: Allowance = UNLIMITED,
    tap: Tap = OPEN,
) -> Bulk | None:
    """Take over a connected transport's reading and writing, or return None where that cannot be done.

    `received` gets a view that is valid until it returns. `wrote` is called from the reactor when queued
    bytes have left. `tap` says how much is read.
    """
    if not isinstance(transport, tcp.Connection) or not transport.connected or transport.TLS:
        return None
    if "doRead" in vars(transport) or not hasattr(transport.socket, "sendmsg"):  # aborted; Windows
        return None
    return Bulk(transport, received, wrote, upload=upload, tap=tap)


class _Writable(Protocol):
    """What is used of a `tcp.Connection`, whose methods have no types."""

    connected: int
    _writeDisconnected: bool
    dataBuffer: bytes
    offset: int
    _tempDataBuffer: list[bytes]
    _tempDataLen: int

    def startWriting(self) -> None: ...
    def stopWriting(self) -> None: ...
    def loseConnection(self) -> None: ...


class Bulk:
    """The reading and writing of one TCP connection. Made by `install`."""

    def __init__(
        self,
        transport: tcp.Connection,
        received: Callable[[memoryview], None],
        wrote: Callable[[], None],
        *,
        upload: Allowance,
        tap: Tap,
    ) -> None:
        self.unsent = 0  # bytes queued here
        self.waiting = False  # for the allowance: not the peer's fault
        self._transport: _Writable = transport
        self._twisted_write: Callable[[], object] = transport.doWrite
        self._socket: socket = transport.socket
        self._received = received
        self._wrote = wrote
        self._upload = upload
        self._tap = tap
        self._credit = 0  # bytes the allowance gave that the socket has not taken yet
        self._queue: deque[bytes | memoryview] = deque()
        self._buffer = _shared_buffer(transport.reactor)
        vars(transport).update(doRead=self._do_read, doWrite=self._do_write)  # these hide the methods

    def send(self, buffers: Sequence[bytes | memoryview], size: int) -> None:
        """Queue these byte views, none empty, `size` bytes in all; they must stay unchanged until sent."""
        transport = self._transport
        if not transport.connected or transport._writeDisconnected:
            return
        if transport.dataBuffer or transport._tempDataBuffer:
            self._adopt()
        self._queue.extend(buffers)
        self.unsent += size

    def push(self) -> None:
        """Write what the socket takes now; the reactor goes on with the rest."""
        if not self._queue or self.waiting:
            return
        try:
            self._send_some()
        except OSError:
            pass  # the reactor's next doWrite meets the same error and reports it to the protocol
        if self._queue and not self.waiting:
            self._transport.startWriting()

    def finish(self) -> None:
        """Close the connection once all is sent."""
        self._transport.loseConnection()

    def release(self) -> None:
        """The connection is lost: let everything go."""
        self._queue.clear()
        self.unsent = 0
        self._give_back()
        self._received, self._wrote = _ignore, _nothing
        vars(self._transport).pop("doRead", None)
        vars(self._transport).pop("doWrite", None)

    def _do_read(self) -> Exception | None:
        tap = self._tap
        room = 0  # bytes; for 0 all that is there and fits
        if not tap.free:
            room = tap.room()
            if not room:
                return None
        try:
            count = self._socket.recv_into(self._buffer, room)
        except BlockingIOError:
            tap.unused(room)
            return None
        except OSError:
            return CONNECTION_LOST
        if not count:
            return CONNECTION_DONE
        if count < room:
            tap.unused(room - count)
        self._received(self._buffer[:count])
        return None

    def _do_write(self) -> object:
        transport = self._transport
        if self.waiting:
            transport.stopWriting()
            return None
        if self._queue:
            try:
                self._send_some()
            except OSError:
                return CONNECTION_LOST
            self._wrote()
            if self._queue:
                if self.waiting:
                    transport.stopWriting()
                return None
        # What is behind our queue: bytes of transport.write, a producer's turn, a close or half close.
        return self._twisted_write()

    def _send_some(self) -> None:
        queue = self._queue
        vectors = list(islice(queue, MAX_VECTORS))
        limited = not self._upload.free
        if limited:
            vectors = self._within_allowance(vectors)
            if not vectors:
                return
        try:
            sent = self._socket.sendmsg(vectors)
        except BlockingIOError:
            self._give_back()
            return
        self.unsent -= sent
        if limited:
            self._credit -= sent
        while sent:
            head = queue[0]
            if len(head) > sent:
                queue[0] = memoryview(head)[sent:]
                return
            sent -= len(head)
            queue.popleft()
        if limited and not queue:
            self._give_back()

    def _within_allowance(self, vectors: list[bytes | memoryview]) -> list[bytes | memoryview]:
        """As much of `vectors` as may be sent now; arranges to be called again where that is nothing."""
        wanted = min(sum(map(len, vectors)), PACED_WRITE)
        if self._credit < wanted:
            self._credit += self._upload.take(wanted - self._credit)
        if not self._credit:
            self.waiting = True
            self._upload.wait(self._go_on)
            return []
        allowed = []
        left = self._credit
        for vector in vectors:
            allowed.append(vector if len(vector) <= left else memoryview(vector)[:left])
            left -= len(allowed[-1])
            if not left:
                break
        return allowed

    def _give_back(self) -> None:
        """Nothing can be sent now."""
        credit, self._credit = self._credit, 0
        self._upload.give_back(credit)

    def _go_on(self) -> None:
        self.waiting = False
        if self._queue:
            self._transport.startWriting()

    def _adopt(self) -> None:
        """Take what `transport.write` has buffered into our queue, so that it stays before what comes now."""
        transport = self._transport
        written = [transport.dataBuffer[transport.offset :], *transport._tempDataBuffer]
        transport.dataBuffer, transport.offset = b"", 0
        transport._tempDataBuffer, transport._tempDataLen = [], 0
        self._queue.extend(filter(None, written))
        self.unsent += sum(map(len, written))


def _shared_buffer(reactor: object) -> memoryview:
    buffer = _buffers.get(reactor)
    if buffer is None:
        buffer = _buffers[reactor] = memoryview(bytearray(READ_SIZE))
    return buffer


def _ignore(data: memoryview) -> None:
    """Bytes for nobody."""


def _nothing() -> None:
    """Progress nobody waits for."""
