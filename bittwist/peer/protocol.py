"""The peer wire protocol over a Twisted transport: a thin skin on `wire.connection` (BEP 3, 6, 10).

A *turn* is one arrival of bytes: what is sent in reply leaves in one write at its end. What is sent at other
times leaves in one write when the reactor is next free.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ParamSpec, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from bittwist.address import Address
from bittwist.errors import LocalProtocolError, NetworkError, OwnConnection, RemoteProtocolError
from bittwist.metainfo.geometry import Geometry
from bittwist.metainfo.infohash import InfoHash
from bittwist.net import bulk
from bittwist.net.addresses import address_of
from bittwist.net.bulk import Bulk
from bittwist.peer.callbacks import Callbacks
from bittwist.peer.patience import Patience
from bittwist.peer.plain import Plain
from bittwist.peer.reading import Reading
from bittwist.wire.connection import Opened, Run, WireConnection
from bittwist.wire.handshake import Handshake
from bittwist.wire.messages import KeepAlive, Message
from bittwist.wire.runs import Block, BlockData, Pieces, Requests
from bittwist.wire.standing import Standing

if TYPE_CHECKING:
    from bittwist.peer.factory import PeerFactory

P = ParamSpec("P")


class PeerProtocol(Protocol):
    """One connection to one peer. Made by `PeerFactory`."""

    _log = Logger()

    def __init__(self, factory: PeerFactory, info_hash: InfoHash | None, callbacks: Callbacks | None) -> None:
        self.outgoing = info_hash is not None
        self.info_hash = info_hash  # of the torrent; of an incoming connection, once they named it
        self.address = Address("0.0.0.0", 0)  # the remote end's, once connected
        self.received_bytes = 0
        self.last_received_at = 0.0  # when a message was last whole
        self.last_sent_at = 0.0  # when the transport last took bytes
        self._factory = factory
        self._wire = WireConnection(None if info_hash is None else factory.handshake(info_hash))
        self._callbacks = callbacks
        self._deliver = cast(Callable[[PeerProtocol, Run], None], PeerProtocol._shake)
        self._settled = _no_turn
        self._drained = _no_turn
        self._patience = Patience(
            factory.reactor, factory.settings.idle_timeout, factory.settings.keepalive_after
        )
        self._out: list[bytes | memoryview] = []
        self._out_size = 0
        self._sent_or_queued = 0
        self._in_turn = False
        self._full = False  # `unsent` has reached the low mark since `drained`
        self._flush_call: IDelayedCall | None = None
        self._waiting: list[Deferred[PeerProtocol]] = []
        self._closing: Exception | None = None  # why we close
        self._lost: Exception | None = None  # why it is gone

    # What users read and call.

    @property
    def remote(self) -> Handshake | None:
        """Their handshake, once it is whole."""
        return self._wire.remote

    @property
    def standing(self) -> Standing | None:
        """Choke, interest and the extensions both ends have, from `handshaken` on."""
        return self._wire.standing

    @property
    def unsent(self) -> int:
        """Bytes that wait to be sent."""
        return self._out_size + self._carrier.unsent

    @property
    def sent_bytes(self) -> int:
        """Bytes handed to the network, headers included."""
        return self._sent_or_queued - self._carrier.unsent

    def send(self, *messages: Message) -> None:
        """Send these at the end of the turn; after `close`, nothing. LocalProtocolError if not legal now."""
        if self._closing is None and self._lost is None:
            wire_send = self._wire.send
            self._put(b"".join([wire_send(message) for message in messages]))

    def request(self, blocks: Sequence[Block]) -> None:
        """Send a Request for each (index, begin, length)."""
        if self._closing is None and self._lost is None:
            self._put(self._wire.request(blocks))

    def send_blocks(self, blocks: Sequence[BlockData]) -> None:
        """Send a Piece for each (index, begin, block) without copying: these byte views must stay unchanged
        until they are sent."""
        if self._closing is None and self._lost is None:
            self._out_size += self._wire.give(blocks, self._out)
            self._arrange_flush()

    def know(self, geometry: Geometry) -> None:
        """From now on indices are checked; closes if the peer has named one that does not exist."""
        try:
            self._wire.know(geometry)
        except RemoteProtocolError as error:
            self.close(error)

    def pause(self) -> None:
        """Read no more; what is read already is still delivered."""
        self._reading.pause()

    def resume(self) -> None:
        """Read again."""
        self.last_received_at = self._factory.reactor.seconds()
        self._reading.resume()

    def close(self, reason: Exception) -> None:
        """Close for this reason, which `lost` is told; nothing more is received.

        What is unsent is still sent, for a few seconds; unless the peer broke the protocol.
        """
        if self._closing is not None or self._lost is not None:
            return
        self._hand_over()
        self._closing = reason
        # Our other end is to read whom it has dialed.
        if isinstance(reason, RemoteProtocolError) and not isinstance(reason, OwnConnection):
            self._abort()
        else:
            self._carrier.push()
            self._patience.once(self._factory.settings.close_timeout, self._abort)
            self._carrier.finish()

    def when_handshaken(self) -> Deferred[PeerProtocol]:
        """Fires with this protocol once they have shaken hands, or fails with what `lost` would be told."""
        deferred: Deferred[PeerProtocol] = Deferred(self._waiting.remove)
        if self._lost is not None:
            deferred.errback(self._lost)
        elif self._wire.remote is not None:
            deferred.callback(self)
        else:
            self._waiting.append(deferred)
        return deferred

    # What the reactor calls.

    def connectionMade(self) -> None:
        transport, factory = self.transport, self._factory
        assert transport is not None
        if ITCPTransport.providedBy(transport):
            transport.setTcpNoDelay(True)  # requests are small, and must not wait for a full segment
        self.address = address_of(transport.getPeer())
        self.last_received_at = self.last_sent_at = factory.reactor.seconds()
        self._allowances = allowances = factory.allowances(self.address.host)
        if self.info_hash is not None:
            allowances.joined(self.info_hash.short)
        self._reading = Reading(transport, allowances.download)
        self._carrier: Bulk | Plain = bulk.install(
            transport, self._receive, self._wrote, upload=allowances.upload, tap=self._reading
        ) or Plain(transport, self._wrote, upload=allowances.upload)
        self._patience.once(factory.settings.handshake_timeout, self._handshake_is_late)
        factory.began(self)
        self._put(self._wire.data_to_send())

    def dataReceived(self, data: bytes) -> None:
        self._receive(memoryview(data))
        self._reading.charge(len(data))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        error = self._closing or reason.value
        self._lost = error if isinstance(error, Exception) else NetworkError(str(self.address), str(error))
        self._patience.stop()
        self._reading.stop()
        self._carrier.release()
        self._allowances.close()
        self._out, self._out_size = [], 0
        if self._flush_call is not None:
            self._flush_call.cancel()
            self._flush_call = None
        self._factory.ended(self)
        if self._callbacks is not None and (self.outgoing or self._wire.remote is not None):
            self._guard(self._callbacks.lost, self, self._lost)
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            deferred.errback(self._lost)

    # What a `Patience` asks.

    def is_silent_for_us(self) -> bool:
        return self._reading.was_shut()

    def owes_reading(self) -> bool:
        return self._carrier.unsent > 0 and not self._carrier.waiting

    def keep_alive(self) -> None:
        self.send(KeepAlive())

    # A turn.

    def _receive(self, data: memoryview) -> None:
        """Deliver what has come; what is sent meanwhile leaves in one write afterwards."""
        if self._closing is not None:
            return
        self.received_bytes += len(data)
        self._in_turn = True
        self._guard(self._deliver_all, data)
        self._in_turn = False
        self._flush()

    def _deliver_all(self, data: memoryview) -> None:
        fact = None
        for fact in self._wire.receive_runs(data):
            self._deliver(self, fact)
            if self._closing is not None:
                return
        if fact is not None:
            self.last_received_at = self._factory.reactor.seconds()
            self._settled(self)

    def _shake(self, fact: Run) -> None:
        """Deliver the facts of the handshake; what follows it goes straight to the callbacks."""
        match fact:
            case Opened(info_hash):
                self.info_hash = InfoHash(v1=info_hash)
                self._callbacks = self._factory.lookup(self.info_hash)
                if self._callbacks is None:
                    raise self._wire.refuse(f"torrent {self.info_hash} is not served here")
                self._allowances.joined(info_hash)
                self._wire.admit(self._factory.handshake(self.info_hash))
                self._put(self._wire.data_to_send())
            case Handshake():
                self._greet(fact)
            case _:
                raise LocalProtocolError(f"{fact!r} in the handshake")

    def _greet(self, theirs: Handshake) -> None:
        callbacks = self._callbacks
        assert callbacks is not None
        takes_runs = getattr(callbacks, "takes_runs", False)
        received = callbacks.received if takes_runs else PeerProtocol._receive_each
        self._deliver = cast(Callable[[PeerProtocol, Run], None], received)
        self._settled = getattr(callbacks, "settled", _no_turn)
        self._drained = getattr(callbacks, "drained", _no_turn)
        self._factory.ended(self)
        self._patience.watch(self)
        callbacks.handshaken(self, theirs)
        if self._closing is None:
            waiting, self._waiting = self._waiting, []
            for deferred in waiting:
                deferred.callback(self)

    def _receive_each(self, run: Run) -> None:
        """For callbacks that take one message at a time."""
        assert self._callbacks is not None
        received = cast(Callable[[PeerProtocol, Run], None], self._callbacks.received)
        if not isinstance(run, (Pieces, Requests)):
            received(self, run)
            return
        for message in run.messages():
            if self._closing is not None:
                return
            received(self, message)

    def _put(self, data: bytes | memoryview) -> None:
        if not data:
            return
        self._out.append(data)
        self._out_size += len(data)
        self._arrange_flush()

    def _arrange_flush(self) -> None:
        if not self._in_turn and self._flush_call is None:
            self._flush_call = self._factory.reactor.callLater(0, self._flush_later)

    def _flush_later(self) -> None:
        self._flush_call = None
        self._flush()

    def _flush(self) -> None:
        """Hand over what was put, and let the transport take of it what it can."""
        if not self._out or self._closing is not None:
            return
        self._hand_over()
        before = self._carrier.unsent
        self._carrier.push()
        if self._carrier.unsent < before:
            self._wrote()

    def _hand_over(self) -> None:
        out, size = self._out, self._out_size
        if out:
            self._out, self._out_size = [], 0
            self._sent_or_queued += size
            self._carrier.send(out, size)
            self._full = self._full or self._carrier.unsent >= self._factory.settings.low_water

    def _wrote(self) -> None:
        self.last_sent_at = self._factory.reactor.seconds()
        if self._full and self._closing is None and self.unsent < self._factory.settings.low_water:
            self._full = False
            self._guard(self._drained, self)

    # Ends.

    def _handshake_is_late(self) -> None:
        self.close(self._wire.refuse(f"no handshake in {self._factory.settings.handshake_timeout:g} s"))

    def _abort(self) -> None:
        transport = self.transport
        assert transport is not None
        getattr(transport, "abortConnection", transport.loseConnection)()  # not every transport can abort

    def _guard(self, call: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        """Call what may raise; a fault, theirs or ours, costs this connection and nothing else."""
        try:
            call(*args, **kwargs)
        except RemoteProtocolError as error:
            self.close(error)
        except Exception as error:
            self._log.failure("closing {address}", address=self.address)
            self.close(LocalProtocolError(f"{type(error).__name__}: {error}"))


def _no_turn(peer: PeerProtocol) -> None:
    """For callbacks that do not care."""
