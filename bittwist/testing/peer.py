"""A peer that speaks to order, also what no peer should say (BEP 3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol as Shape
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IListeningPort,
    IProtocolFactory,
    IPushProducer,
    ITCPTransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from bittwist.testing import speech
from bittwist.testing.speech import Answer, Frame, Id


class Reactor(Shape):
    """What a fake peer needs of a reactor (IReactorTCP and IReactorTime)."""

    def callLater(self, delay: float, callable: Callable[..., object], *args: object) -> IDelayedCall: ...

    def listenTCP(
        self, port: int, factory: IProtocolFactory, backlog: int = 50, interface: str = ""
    ) -> IListeningPort: ...


@dataclass(frozen=True, slots=True)
class Conduct:
    """What a fake peer does by itself; all else it does to order.

    `shake`: send a handshake, at once when dialing, else when theirs has come. `opening`: bytes right behind
    it. `unchoke_after`: seconds from their Interested, None for never. `answer`: the block for a request, or
    None for silence; it goes `answer_after` seconds later. `reads`: False to leave all bytes in the socket.
    """

    info_hash: bytes
    peer_id: bytes = b"-FP0001-fakefakefake"
    reserved: bytes = bytes(8)
    shake: bool = True
    opening: bytes = b""
    unchoke_after: float | None = 0.0
    answer: Answer | None = None
    answer_after: float = 0.0
    reads: bool = True

    @classmethod
    def seed(
        cls, info_hash: bytes, content: bytes, piece_length: int, peer_id: bytes = b"-FP0001-fakefakefake"
    ) -> Conduct:
        """An honest seed of that content."""
        num_pieces = -(-len(content) // piece_length)
        opening = speech.bitfield(range(num_pieces), num_pieces)
        return cls(info_hash, peer_id, opening=opening, answer=speech.honest(content, piece_length))


class FakePeer(Protocol):
    """One connection of a fake peer: what came over it, and orders for what to send.

    `handshake` is theirs, the 68 bytes, or None; `received` their messages in order; `blocks` the blocks
    among them; `lost` why the connection ended, or None.
    """

    transport: ITCPTransport

    def __init__(self, reactor: Reactor, conduct: Conduct, *, dialing: bool) -> None:
        self.conduct = conduct
        self.dialing = dialing
        self.handshake: bytes | None = None
        self.received: list[Frame] = []
        self.blocks: dict[tuple[int, int], bytes] = {}
        self.cancelled: set[tuple[int, ...]] = set()
        self.lost: Failure | None = None
        self._reactor = reactor
        self._unread = bytearray()
        self._calls: list[IDelayedCall] = []

    # Orders

    def send(self, data: bytes) -> None:
        """Send these bytes, whatever they mean."""
        self.transport.write(data)

    def shake(
        self, *, info_hash: bytes | None = None, peer_id: bytes | None = None, reserved: bytes | None = None
    ) -> None:
        """Send a handshake: as the conduct says, but for what is given."""
        conduct = self.conduct
        self.send(
            speech.handshake(
                conduct.info_hash if info_hash is None else info_hash,
                conduct.peer_id if peer_id is None else peer_id,
                conduct.reserved if reserved is None else reserved,
            )
        )

    def say(self, identifier: int, *numbers: int) -> None:
        """Send a message that has only numbers in it: `say(Id.HAVE, 3)`, `say(Id.UNCHOKE)`."""
        self.send(speech.numbered(identifier, *numbers))

    def request(self, index: int, begin: int, length: int) -> None:
        self.say(Id.REQUEST, index, begin, length)

    def piece(self, index: int, begin: int, block: bytes) -> None:
        self.send(speech.piece(index, begin, block))

    def dribble(self, data: bytes, every: float) -> None:
        """Send a byte each `every` seconds."""
        if data:
            self.send(data[:1])
            self._later(every, self.dribble, data[1:], every)

    def close(self) -> None:
        self.transport.loseConnection()

    def abort(self) -> None:
        self.transport.abortConnection()

    def got(self, identifier: int) -> list[Frame]:
        """Their messages of that kind, so far."""
        return [frame for frame in self.received if frame.identifier == identifier]

    # IProtocol

    def connectionMade(self) -> None:
        if not self.conduct.reads:
            IPushProducer(self.transport).pauseProducing()
        if self.dialing:
            self._open()

    def dataReceived(self, data: bytes) -> None:
        self._unread += data
        if self.handshake is None:
            if len(self._unread) < speech.HANDSHAKE_LENGTH:
                return
            self.handshake = bytes(self._unread[: speech.HANDSHAKE_LENGTH])
            del self._unread[: speech.HANDSHAKE_LENGTH]
            if not self.dialing:
                self._open()
        for frame in speech.frames(self._unread):
            self.received.append(frame)
            self._react(frame)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason
        for call in self._calls:
            if call.active():
                call.cancel()
        self._calls.clear()

    def _open(self) -> None:
        if self.conduct.shake:
            self.shake()
            self.send(self.conduct.opening)

    def _react(self, frame: Frame) -> None:
        match frame.identifier:
            case Id.INTERESTED if self.conduct.unchoke_after is not None:
                self._later(self.conduct.unchoke_after, self.say, Id.UNCHOKE)
            case Id.REQUEST if self.conduct.answer is not None:
                index, begin, length = frame.numbers
                block = self.conduct.answer(index, begin, length)
                if block is not None:
                    self._later(self.conduct.answer_after, self._answer, index, begin, block)
            case Id.CANCEL:
                self.cancelled.add(frame.numbers)
            case Id.PIECE:
                index, begin = frame.numbers[:2]
                self.blocks[index, begin] = frame.payload[8:]

    def _answer(self, index: int, begin: int, block: bytes) -> None:
        if (index, begin, len(block)) not in self.cancelled:
            self.piece(index, begin, block)

    def _later(self, delay: float, call: Callable[..., object], *args: object) -> None:
        if delay == 0:
            call(*args)
            return
        self._calls = [pending for pending in self._calls if pending.active()]
        self._calls.append(self._reactor.callLater(delay, call, *args))


class FakePeers(Factory[FakePeer]):
    """Makes fake peers of one conduct; `peers` has them all, in order."""

    noisy = False

    def __init__(self, reactor: Reactor, conduct: Conduct) -> None:
        self.conduct = conduct
        self.peers: list[FakePeer] = []
        self._reactor = reactor
        self._dialing = False

    def listen(self, port: int = 0, interface: str = "") -> IListeningPort:
        return self._reactor.listenTCP(port, self, interface=interface)

    def dial(self, host: str, port: int, *, bind: str | None = None) -> Deferred[FakePeer]:
        """Fires when connected; the conduct's handshake is then on its way."""
        dialers = FakePeers(self._reactor, self.conduct)
        dialers._dialing = True
        dialers.peers = self.peers
        endpoint = HostnameEndpoint(self._reactor, host, port, timeout=10.0, bindAddress=bind)
        return endpoint.connect(dialers).addCallback(lambda protocol: cast(FakePeer, protocol))

    def buildProtocol(self, addr: IAddress | None) -> FakePeer:
        peer = FakePeer(self._reactor, self.conduct, dialing=self._dialing)
        peer.factory = self
        self.peers.append(peer)
        return peer
