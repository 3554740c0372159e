"""One end of a simulated TCP connection: Twisted's ITCPTransport as a socket would behave."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, cast

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IConsumer,
    IDelayedCall,
    IHalfCloseableProtocol,
    IProducer,
    IProtocol,
    IPullProducer,
    IPushProducer,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from bittwist.testing.bytequeue import ByteQueue
from bittwist.testing.names import IPAddress
from bittwist.testing.states import Life, Receiving, Sending

if TYPE_CHECKING:
    from bittwist.testing.host import Host
    from bittwist.testing.link import Path
    from bittwist.testing.port import SimulatedPort

SEGMENT = 64 << 10  # what Twisted reads from a socket in one turn
SHARED_SEGMENT = 16 << 10  # where bandwidth is limited: finer, so that connections share it evenly
BUFFER_SIZE = 64 << 10  # unsent bytes above which a push producer is paused, as in Twisted
GIVE_UP_AFTER = 900.0  # seconds of retransmission until TCP gives up: about what Linux does


@implementer(ITCPTransport, IConsumer, IPushProducer)
class SimulatedTransport:
    """What a protocol gets as its transport.

    At most `window` bytes are under way or unread at the far end, as the kernel's two buffers would hold;
    what is beyond that waits here, and producers are asked to wait. What arrives while reading is paused is
    kept, and an end of the connection that arrives behind it is not seen until reading goes on.
    """

    _log = Logger()

    def __init__(self, host: Host, local: IPAddress, remote: IPAddress, path: Path, window: int) -> None:
        self.protocol: IProtocol = Protocol()
        self.producer: IProducer | None = None
        self.streamingProducer = False
        self.producerPaused = False
        self.when_lost: Callable[[Failure], None] = lambda reason: None
        self._host = host
        self._clock = host.network.clock
        self._local = local
        self._remote = remote
        self._path = path
        self._window = window
        self._other: SimulatedTransport
        self._life = Life.OPEN
        self._sending = Sending.OPEN
        self._receiving = Receiving.OPEN
        self._reading = True
        self._unsent = ByteQueue()
        self._under_way = 0
        self._unread = ByteQueue()
        self._write_call: IDelayedCall | None = None
        self._read_call: IDelayedCall | None = None
        self._give_up_call: IDelayedCall | None = None
        self._waits_for_turn = False
        self._no_delay = False
        self._keep_alive = False

    def __repr__(self) -> str:
        return (
            f"<connection {self._local.host}:{self._local.port} to {self._remote.host}:{self._remote.port}, "
            f"{self._life.name.lower()}, {self._unsent.size} bytes unsent, {type(self.protocol).__name__}>"
        )

    def join(self, other: SimulatedTransport) -> None:
        self._other = other
        other._other = self

    def open(self, protocol: IProtocol | None) -> None:
        """Start with the protocol a factory built; None (refused) closes at once."""
        self._host.connections.append(self)
        if protocol is None:
            self.loseConnection()
            return
        self.protocol = protocol
        self._guarded(protocol.makeConnection, self)

    def confirm(self, other: SimulatedTransport, port: SimulatedPort) -> None:
        """The last message of the dialing end, before any data: the other end may be accepted."""
        self._path.carry(0, None, other.accepted, port)

    def accepted(self, port: SimulatedPort) -> None:
        if port.is_open:
            port.accept(self)
        else:
            self._life = Life.CLOSED
            self._path.carry(0, None, self._other.reset_arrived)

    def vanish(self) -> None:
        """The host lost power: nobody is told anything."""
        self._life = Life.CLOSED
        self._cancel_calls()

    # ITransport and IConsumer: what a protocol does

    @property
    def connected(self) -> bool:
        return self._life is not Life.CLOSED

    @property
    def disconnected(self) -> bool:
        return self._life is Life.CLOSED

    @property
    def disconnecting(self) -> bool:
        return self._life in (Life.FINISHING, Life.ABORTING)

    @property
    def unsent(self) -> int:
        """Bytes written that wait here because too many are under way."""
        return self._unsent.size

    def write(self, data: bytes) -> None:
        self.writeSequence((data,))

    def writeSequence(self, data: Iterable[bytes]) -> None:
        pieces = list(data)
        for piece in pieces:
            if not isinstance(piece, bytes):
                raise TypeError(f"data must be bytes, not {type(piece).__name__}")
        if self._life in (Life.ABORTING, Life.CLOSED) or self._sending is Sending.ENDED:
            return
        for piece in pieces:
            self._unsent.append(piece)
        if self._unsent.size > BUFFER_SIZE and self.producer is not None and self.streamingProducer:
            self.producerPaused = True
            cast(IPushProducer, self.producer).pauseProducing()
        self._write_soon()

    def loseConnection(self) -> None:
        if self._life is not Life.OPEN:
            return
        if self._sending is Sending.ENDED:
            self._end(Failure(ConnectionDone()))
            return
        self._life = Life.FINISHING
        self._stop_reading()
        self._write_soon()

    def loseWriteConnection(self) -> None:
        if self._sending is Sending.OPEN:
            self._sending = Sending.ENDING
            self._write_soon()

    def abortConnection(self) -> None:
        if self._life in (Life.ABORTING, Life.CLOSED):
            return
        self._life = Life.ABORTING
        self._cancel_calls()
        self._reading = False
        self._read_call = self._clock.callLater(0, self._end, Failure(ConnectionAborted()), reset=True)

    def getPeer(self) -> IPAddress:
        return self._remote

    def getHost(self) -> IPAddress:
        return self._local

    def getTcpNoDelay(self) -> bool:
        return self._no_delay

    def setTcpNoDelay(self, enabled: bool) -> None:
        self._no_delay = bool(enabled)

    def getTcpKeepAlive(self) -> bool:
        return self._keep_alive

    def setTcpKeepAlive(self, enabled: bool) -> None:
        self._keep_alive = bool(enabled)

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        if self.producer is not None:
            raise RuntimeError(f"{self.producer!r} is registered already, and was not unregistered")
        if self._life is Life.CLOSED:
            producer.stopProducing()
            return
        self.producer = producer
        self.streamingProducer = streaming
        self.producerPaused = False
        if not streaming:
            cast(IPullProducer, producer).resumeProducing()

    def unregisterProducer(self) -> None:
        self.producer = None
        if self._life is Life.FINISHING:
            self._write_soon()

    # IPushProducer: this end as a source of bytes for its protocol

    def pauseProducing(self) -> None:
        self._stop_reading()

    def resumeProducing(self) -> None:
        if self._life is Life.OPEN:
            self._reading = True
            self._read_soon()

    def stopProducing(self) -> None:
        self.loseConnection()

    # What arrives from the other end, a latency later

    def segment_arrived(self, data: bytes) -> None:
        self._host.received_bytes += len(data)
        if self._life is Life.CLOSED:
            self._path.carry(0, None, self._other.reset_arrived)
            return
        self._unread.append(data)
        if self._reading and self._read_call is None:
            self._read()

    def end_arrived(self) -> None:
        if self._life is not Life.CLOSED and self._receiving is Receiving.OPEN:
            self._receiving = Receiving.ENDED
            self._notice_the_end()

    def reset_arrived(self) -> None:
        if self._life in (Life.ABORTING, Life.CLOSED):
            return
        if self._unsent:
            self._end(Failure(ConnectionLost()))
        elif self._receiving is not Receiving.ENDED:  # an end that came first is what reading sees
            self._receiving = Receiving.RESET
            self._notice_the_end()

    def acknowledged(self, size: int) -> None:
        self._under_way -= size
        self.moving()
        if self._unsent:
            self._write_soon()

    def moving(self) -> None:
        """The way is free again: no giving up for now."""
        if self._give_up_call is not None:
            self._give_up_call.cancel()
            self._give_up_call = None

    # Sending

    def _write_soon(self) -> None:
        if self._write_call is None and self._life in (Life.OPEN, Life.FINISHING):
            self._write_call = self._clock.callLater(0, self._write)

    def _write(self) -> None:
        self._write_call = None
        if self._receiving is Receiving.RESET:
            self._end(Failure(ConnectionLost()))
            return
        while self._unsent and self._under_way < self._window:
            if self._waits_for_turn:
                return
            if not self._host.uplink.take(self._turn_to_write):
                self._waits_for_turn = True
                return
            data = self._next_segment()
            self._under_way += len(data)
            self._host.sent_bytes += len(data)
            self._host.uplink.used(len(data))
            self._send(len(data), self._other.segment_arrived, data)
        if not self._unsent and self._life is not Life.CLOSED:
            self._all_written()

    def _turn_to_write(self) -> None:
        self._waits_for_turn = False
        if self._life in (Life.OPEN, Life.FINISHING) and self._write_call is None:
            self._write()

    def _next_segment(self) -> bytes:
        shared = self._host.uplink.rate is not None or self._path.link.bandwidth is not None
        limit = min(SHARED_SEGMENT if shared else SEGMENT, self._window - self._under_way)
        return self._unsent.take(self._host.network.cut_at(limit))

    def _send(self, size: int, deliver: Callable[..., None], *args: object) -> None:
        if not self._path.carry(size, self, deliver, *args):
            self._stalled()

    def _stalled(self) -> None:
        if self._give_up_call is None and self._life in (Life.OPEN, Life.FINISHING):
            self._give_up_call = self._clock.callLater(GIVE_UP_AFTER, self._gave_up)

    def _gave_up(self) -> None:
        self._give_up_call = None
        self._end(Failure(ConnectionLost("no answer")))

    def _all_written(self) -> None:
        if self.producer is not None and (not self.streamingProducer or self.producerPaused):
            self.producerPaused = False
            self._guarded(cast(IPullProducer, self.producer).resumeProducing)
        elif self._life is Life.FINISHING:
            self._end(Failure(ConnectionDone()))
        elif self._sending is Sending.ENDING:
            self._sending = Sending.ENDED
            self._send(0, self._other.end_arrived)
            halves = IHalfCloseableProtocol(self.protocol, None)
            if halves is not None:
                self._guarded(halves.writeConnectionLost)

    # Receiving

    def _stop_reading(self) -> None:
        self._reading = False
        if self._read_call is not None:
            self._read_call.cancel()
            self._read_call = None

    def _read_soon(self) -> None:
        if self._read_call is None and (self._unread or self._receiving is not Receiving.OPEN):
            self._read_call = self._clock.callLater(0, self._read)

    def _read(self) -> None:
        """Hand over what is there, as much as one turn of a reactor would."""
        self._read_call = None
        if self._unread:
            data = self._unread.take(SEGMENT)
            if not self._path.carry(0, None, self._other.acknowledged, len(data)):
                self._other._stalled()
            self._guarded(self.protocol.dataReceived, data)
        if self._reading and self._life is Life.OPEN:
            if self._unread:
                self._read_soon()
            else:
                self._notice_the_end()

    def _notice_the_end(self) -> None:
        if not self._reading or self._unread:
            return
        if self._receiving is Receiving.RESET:
            self._end(Failure(ConnectionLost()))
        elif self._receiving is Receiving.ENDED:
            self._receiving = Receiving.TOLD
            self._stop_reading()
            halves = IHalfCloseableProtocol(self.protocol, None)
            if halves is None:
                self._end(Failure(ConnectionDone()))
            else:
                self._guarded(halves.readConnectionLost)

    # The end

    def _guarded(self, call: Callable[..., object], *args: object) -> None:
        """Call the protocol; like a reactor, log what it raises and drop the connection for it."""
        try:
            call(*args)
        except Exception:
            failure = Failure()
            self._log.failure("a protocol failed", failure)
            self._end(failure)

    def _end(self, reason: Failure, *, reset: bool = False) -> None:
        if self._life is Life.CLOSED:
            return
        self._life = Life.CLOSED
        self._cancel_calls()
        told = reset or self._receiving is Receiving.RESET
        if not told and self._sending is not Sending.ENDED:
            self._path.carry(0, None, self._other.end_arrived)
        if reset or self._unread:  # a socket closed with unread bytes resets the connection, too
            self._path.carry(0, None, self._other.reset_arrived)
        self._unsent.clear()
        self._unread.clear()
        self._host.connections.remove(self)
        producer, self.producer = self.producer, None
        if producer is not None:
            self._guarded(producer.stopProducing)
        self._guarded(self.protocol.connectionLost, reason)
        self.when_lost(reason)

    def _cancel_calls(self) -> None:
        for call in (self._write_call, self._read_call, self._give_up_call):
            if call is not None and call.active():
                call.cancel()
        self._write_call = self._read_call = self._give_up_call = None
