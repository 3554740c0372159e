"""A listening TCP port of a simulated host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.address import IPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.logger import Logger
from zope.interface import implementer

from bittwist.testing.names import IPAddress, ip_endpoint

if TYPE_CHECKING:
    from bittwist.testing.host import Host
    from bittwist.testing.transport import SimulatedTransport


@implementer(IListeningPort)
class SimulatedPort:
    """What `listenTCP` returns."""

    _log = Logger()

    def __init__(self, host: Host, port: int, factory: IProtocolFactory, interface: str) -> None:
        self.interface = interface
        self.factory = factory
        self._host = host
        self._wanted = port
        self._number: int | None = None
        self._stopping: Deferred[None] | None = None

    def __repr__(self) -> str:
        return f"<port {self.interface}:{self._number} of {self._host!r}, {type(self.factory).__name__}>"

    def startListening(self) -> None:
        self._number = self._host.open_port(self, self._wanted)
        self.factory.doStart()

    def stopListening(self) -> Deferred[None]:
        """Closed in the next turn; the Deferred fires then."""
        if self._number is None:
            return succeed(None)
        if self._stopping is None:
            self._stopping = Deferred()
            self._host.callLater(0, self._closed)
        return self._stopping

    loseConnection = stopListening

    def getHost(self) -> IPAddress:
        if self._number is None:
            raise RuntimeError("the port is closed")
        return ip_endpoint(self.interface, self._number)

    def vanish(self) -> None:
        """The host lost power."""
        self._number = None

    def accept(self, transport: SimulatedTransport) -> None:
        """A connection is complete: build its protocol."""
        address = transport.getPeer()
        if self.interface == "::" and not isinstance(address, IPv6Address):
            # A port for both families sees IPv4 addresses mapped into IPv6.
            address = IPv6Address("TCP", f"::ffff:{address.host}", address.port)
        try:
            protocol = self.factory.buildProtocol(address)
        except Exception:
            self._log.failure("a factory failed to build a protocol")
            protocol = None
        transport.open(protocol)

    @property
    def is_open(self) -> bool:
        return self._number is not None

    def _closed(self) -> None:
        assert self._number is not None
        assert self._stopping is not None
        self._host.close_port(self, self._number)
        self._number = None
        self.factory.doStop()
        stopping, self._stopping = self._stopping, None
        stopping.callback(None)
