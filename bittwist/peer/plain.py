"""Sending through any Twisted transport, where `net.bulk` does not apply: TLS, uTP, a test's.

The same few methods as `net.bulk.Bulk`, so that a protocol need not know which it has.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from twisted.internet.interfaces import IConsumer, IPushProducer, ITransport
from zope.interface import implementer

from bittwist.net.throttle import Allowance

CHUNK = (
    64 << 10
)  # bytes joined and handed over at once: as much as Twisted buffers before it pauses a producer


@implementer(IPushProducer)
class Plain:
    """A queue before a transport that is asked, as its producer, for no more than it can send."""

    def __init__(self, transport: ITransport, wrote: Callable[[], None], *, upload: Allowance) -> None:
        self.waiting = False  # for the allowance
        self._transport = transport
        self._wrote = wrote
        self._upload = upload
        self._queue: deque[memoryview] = deque()
        self._queued = 0
        self._handed_over = 0  # bytes the transport buffers, as far as it has told
        self._paused = False
        self._finishing = False
        self._consumer: IConsumer | None = IConsumer(transport, None)
        if self._consumer is not None:
            self._consumer.registerProducer(self, True)

    @property
    def unsent(self) -> int:
        """Bytes queued, with those the transport still holds."""
        return self._queued + self._handed_over

    def send(self, buffers: Sequence[bytes | memoryview], size: int) -> None:
        """Queue these byte views, none empty, `size` bytes in all."""
        if not self._finishing:
            self._queue.extend(map(memoryview, buffers))
            self._queued += size

    def push(self) -> None:
        """Hand the transport what it takes now."""
        while self._queue and not self._paused and not self.waiting:
            chunk = self._next_chunk(self._allowed())
            if chunk:
                self._handed_over = len(chunk)
                self._transport.write(chunk)
        if not self._queue:
            self._upload.give_back(0)
        if not self._paused:
            self._handed_over = 0
        if self._finishing and not self._queue:
            self._close()

    def finish(self) -> None:
        """Close the connection once all is sent."""
        self._finishing = True
        self.push()

    def release(self) -> None:
        """The connection is lost: let everything go."""
        self._queue.clear()
        self._queued = self._handed_over = 0
        self._wrote = _nothing

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False
        self._handed_over = 0
        self.push()
        self._wrote()

    def stopProducing(self) -> None:
        self._paused = True

    def _allowed(self) -> int:
        wanted = min(self._queued, CHUNK)
        if self._upload.free:
            return wanted
        allowed = self._upload.take(wanted)
        if not allowed:
            self.waiting = True
            self._upload.wait(self._go_on)
        return allowed

    def _go_on(self) -> None:
        self.waiting = False
        self.push()
        self._wrote()

    def _next_chunk(self, size: int) -> bytes:
        parts = []
        left = size
        while left:
            head = self._queue.popleft()
            if len(head) > left:
                self._queue.appendleft(head[left:])
                head = head[:left]
            parts.append(head)
            left -= len(head)
        self._queued -= size
        return b"".join(parts)

    def _close(self) -> None:
        if self._consumer is not None:
            self._consumer.unregisterProducer()
            self._consumer = None
        self._transport.loseConnection()


def _nothing() -> None:
    """Progress nobody waits for."""
