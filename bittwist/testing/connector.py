"""Dialing in the simulated network: three messages, or a refusal, or nothing until time runs out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Literal

from twisted.internet.error import (
    ConnectBindError,
    ConnectionRefusedError,
    DNSLookupError,
    NoRouteError,
    NotConnectingError,
    TimeoutError,
    UserError,
)
from twisted.internet.interfaces import IConnector, IDelayedCall
from twisted.internet.protocol import ClientFactory, P
from twisted.python.failure import Failure
from zope.interface import implementer

from bittwist.testing.names import IPAddress, ip_endpoint, is_ip
from bittwist.testing.transport import SimulatedTransport

if TYPE_CHECKING:
    from bittwist.testing.host import Host
    from bittwist.testing.link import Path
    from bittwist.testing.port import SimulatedPort


@implementer(IConnector)
class SimulatedConnector(Generic[P]):
    """What `connectTCP` returns."""

    def __init__(
        self,
        host: Host,
        target: str,
        port: int,
        factory: ClientFactory[P],
        timeout: float | None,
        bind: tuple[str, int] | None,
    ) -> None:
        self.state: Literal["disconnected", "connecting", "connected"] = "disconnected"
        self.factory = factory
        self.local_port = 0
        self.transport: SimulatedTransport | None = None
        self._host = host
        self._target = target
        self._port = port
        self._timeout = timeout
        self._bind = bind
        self._started = False
        self._attempt = 0
        self._calls: list[IDelayedCall] = []

    def __repr__(self) -> str:
        return f"<connector of {self._host!r} to {self._target}:{self._port}, {self.state}>"

    def connect(self) -> None:
        if self.state != "disconnected":
            raise RuntimeError(f"cannot connect: {self.state} already")
        self.state = "connecting"
        self._attempt += 1
        self._host.connecting.append(self)
        if not self._started:
            self.factory.doStart()
            self._started = True
        if self._timeout is not None:
            self._later(self._timeout, TimeoutError())
        self._dial()
        self.factory.startedConnecting(self)

    def stopConnecting(self) -> None:
        if self.state != "connecting":
            raise NotConnectingError("we're not trying to connect")
        self._failed(UserError())

    def disconnect(self) -> None:
        if self.state == "connecting":
            self.stopConnecting()
        elif self.transport is not None:
            self.transport.loseConnection()

    def getDestination(self) -> IPAddress:
        return ip_endpoint(self._target, self._port)

    def vanish(self) -> None:
        """The host lost power."""
        self._settle()

    def _dial(self) -> None:
        """Find both ends and send the first message."""
        network = self._host.network
        remote = self._target
        if not is_ip(remote):
            found = self._host.names.find(remote)
            if not found:
                self._later(0, DNSLookupError(f"no address for {remote!r}"))
                return
            remote = found[0]
        local = self._local_address(remote)
        if local is None:
            self._later(0, ConnectBindError(99, "Cannot assign requested address"))
            return
        there = network.find(self._host, remote)
        if there is None:
            self._later(network.default_link.latency, NoRouteError(113, "No route to host"))
            return
        out, back = network.path(self._host, there), network.path(there, self._host)
        mine = SimulatedTransport(self._host, local, ip_endpoint(remote, self._port), out, network.window)
        theirs = SimulatedTransport(there, mine.getPeer(), local, back, network.window)
        mine.join(theirs)
        out.carry(0, None, self._asked, self._attempt, there, mine, theirs, back)

    def _local_address(self, remote: str) -> IPAddress | None:
        interface, port = self._bind if self._bind is not None else ("", 0)
        if interface in ("", "0.0.0.0", "::"):
            interface = self._host.address_towards(remote) or ""
        if not interface or not self._host.owns(interface) or (":" in interface) != (":" in remote):
            return None
        used = (ip_endpoint(interface, port), ip_endpoint(remote, self._port))
        if port and used in [(c.getHost(), c.getPeer()) for c in self._host.connections]:
            return None
        self.local_port = port or self._host.free_port()
        return ip_endpoint(interface, self.local_port)

    def _asked(
        self,
        attempt: int,
        there: Host,
        mine: SimulatedTransport,
        theirs: SimulatedTransport,
        back: Path,
    ) -> None:
        """At the other host: is anybody listening?"""
        if there.firewalled and there is not self._host:
            return
        port = there.port_at(mine.getPeer().host, self._port)
        if port is None:
            back.carry(0, None, self._refused, attempt)
        else:
            back.carry(0, None, self._answered, attempt, port, mine, theirs)

    def _refused(self, attempt: int) -> None:
        if attempt == self._attempt and self.state == "connecting":
            self._failed(ConnectionRefusedError(111, "Connection refused"))

    def _answered(
        self, attempt: int, port: SimulatedPort, mine: SimulatedTransport, theirs: SimulatedTransport
    ) -> None:
        if attempt != self._attempt or self.state != "connecting":
            return
        self._settle()
        self.state = "connected"
        self.transport = mine
        mine.when_lost = self._lost
        mine.confirm(theirs, port)
        mine.open(self.factory.buildProtocol(mine.getPeer()))

    def _later(self, delay: float, error: Exception) -> None:
        self._calls.append(self._host.callLater(delay, self._failed, error))

    def _settle(self) -> None:
        for call in self._calls:
            if call.active():
                call.cancel()
        self._calls.clear()
        if self in self._host.connecting:
            self._host.connecting.remove(self)

    def _failed(self, error: Exception) -> None:
        self._settle()
        self.state = "disconnected"
        self.factory.clientConnectionFailed(self, Failure(error))
        self._stopped()

    def _lost(self, reason: Failure) -> None:
        self.state = "disconnected"
        self.transport = None
        self.factory.clientConnectionLost(self, reason)
        self._stopped()

    def _stopped(self) -> None:
        """The factory is done, unless it has called connect() again."""
        if self.state == "disconnected":
            self.factory.doStop()
            self._started = False
