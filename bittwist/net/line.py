"""The connection of one HTTP request: its address is checked, its head bounded, and it can be cut."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IPushProducer,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.web.client import URI
from twisted.web.iweb import IAgentEndpointFactory, IPolicyForHTTPS
from zope.interface import implementer

from bittwist.net.policy import Network, NetworkReactor, Permit
from bittwist.net.urls import Reach, Url, reach

Heard = Callable[[int], None]
"""Told of bytes that came over the wire."""

MAX_HEAD = 128 << 10  # bytes before a response is known: its headers, and TLS's certificates


@implementer(IStreamClientEndpoint)
class Line:
    """An endpoint that connects once, to an address of the URL's host that `permit` allows.

    `host` is that address, `reached` where it leads.
    """

    def __init__(
        self, network: Network, url: Url, permit: Permit, timeout: float, heard: Heard | None = None
    ) -> None:
        self._network = network
        self._url = url
        self._permit = permit
        self._timeout = timeout
        self._wire: _Wire | None = None
        self._held = False
        self.heard = heard
        self.host: str | None = None
        self.reached: Reach | None = None
        self.complaint: str | None = None  # why we cut the connection ourselves

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        wires = _Wires(protocolFactory, self)
        return self._network.dial_name(
            self._url.host, self._url.port, wires, permit=self._refusal, timeout=self._timeout
        ).addCallback(_unwrapped)

    def _refusal(self, host: str) -> str | None:
        refusal = self._permit(host)
        if refusal is None:
            self.host = host
            self.reached = reach(host)  # addresses are tried in turn: the last one asked about answers
        return refusal

    def opened(self, wire: _Wire) -> None:
        self._wire = wire
        if self._held:
            wire.hold(True)

    def asked(self) -> None:
        """Another request goes over the same connection."""
        if self._wire is not None:
            self._wire.head_left = MAX_HEAD

    def answered(self) -> None:
        """The head is over; whoever reads the body bounds it."""
        if self._wire is not None:
            self._wire.head_left = math.inf

    def hold(self, held: bool) -> None:
        """Read nothing while `held`."""
        self._held = held
        if self._wire is not None:
            self._wire.hold(held)

    def cut(self, complaint: str | None = None) -> None:
        """Close at once, whatever is under way."""
        self.complaint = self.complaint or complaint
        if self._wire is not None:
            self._wire.abortConnection()


class _Wire(ProtocolWrapper):
    """The raw connection, below TLS."""

    factory: _Wires
    head_left: float = MAX_HEAD
    _held = False  # by us
    _paused = False  # by the protocol above

    def hold(self, held: bool) -> None:
        self._held = held
        self._turn()

    def pauseProducing(self) -> None:
        self._paused = True
        self._turn()

    def resumeProducing(self) -> None:
        self._paused = False
        self._turn()

    def _turn(self) -> None:
        if self.transport is None:
            return
        producer = IPushProducer(self.transport)
        if self._held or self._paused:
            producer.pauseProducing()
        else:
            producer.resumeProducing()

    def dataReceived(self, data: bytes) -> None:
        if self.factory.line.heard is not None:
            self.factory.line.heard(len(data))
        self.head_left -= len(data)
        super().dataReceived(data)  # type: ignore[no-untyped-call]  # untyped in Twisted
        if self.head_left < 0:
            self.factory.line.cut(f"the answer's head is longer than {MAX_HEAD} bytes")


class _Wires(WrappingFactory[_Wire]):
    protocol = _Wire
    noisy = False

    def __init__(self, wrapped: IProtocolFactory, line: Line) -> None:
        super().__init__(wrapped)  # type: ignore[no-untyped-call]  # untyped in Twisted
        self.line = line

    def registerProtocol(self, wire: _Wire) -> None:
        super().registerProtocol(wire)  # type: ignore[no-untyped-call]  # untyped in Twisted
        self.line.opened(wire)


def _unwrapped(wire: IProtocol) -> IProtocol:
    return cast(_Wire, wire).wrappedProtocol


@implementer(IAgentEndpointFactory)
class TlsWhereAsked:
    """Gives an Agent one line, with TLS for https."""

    def __init__(self, reactor: NetworkReactor, line: Line, tls: IPolicyForHTTPS) -> None:
        self._reactor = reactor
        self._line = line
        self._tls = tls

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        if uri.scheme != b"https":
            return self._line
        creator = self._tls.creatorForNetloc(uri.host, uri.port)
        return wrapClientTLS(creator, self._line, clock=cast(IReactorTime, self._reactor))
