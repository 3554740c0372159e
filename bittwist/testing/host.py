"""A host of the simulated network; it *is* the reactor that its programs are given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, ParamSpec

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import CannotListenError, DNSLookupError
from twisted.internet.interfaces import (
    IConnector,
    IDelayedCall,
    IHostnameResolver,
    IListeningPort,
    IProtocolFactory,
    IReactorPluggableNameResolver,
    IReactorTCP,
    IReactorThreads,
    IReactorTime,
)
from twisted.internet.protocol import ClientFactory, P
from zope.interface import implementer

from bittwist.testing.connector import SimulatedConnector
from bittwist.testing.link import Pipe, Uplink
from bittwist.testing.names import Names, Resolver, is_ip
from bittwist.testing.port import SimulatedPort
from bittwist.testing.threads import PoolAtOnce
from bittwist.testing.transport import SimulatedTransport

if TYPE_CHECKING:
    from bittwist.testing.network import SimulatedNetwork

_P = ParamSpec("_P")

FIRST_EPHEMERAL_PORT = 49152  # the range IANA leaves to such ports
WILDCARDS = {4: "0.0.0.0", 6: "::"}


@implementer(IReactorTCP, IReactorTime, IReactorThreads, IReactorPluggableNameResolver)
class Host:
    """A machine with addresses; made by `SimulatedNetwork.host`.

    `firewalled`: nobody can dial it, and those who try wait for nothing (a host behind NAT).
    `sent_bytes`, `received_bytes`: payload of all its connections.
    """

    running = True

    def __init__(self, network: SimulatedNetwork, addresses: tuple[str, ...]) -> None:
        self.network = network
        self.addresses = addresses
        self.up = True
        self.firewalled = False
        self.sent_bytes = 0
        self.received_bytes = 0
        self.dialed: list[tuple[str, int]] = []
        self.names: Names = network.names
        self.uplink = Uplink(network.clock)
        self.downlink = Pipe()
        self.connections: list[SimulatedTransport] = []
        self.connecting: list[SimulatedConnector[Any]] = []
        self.nameResolver: IHostnameResolver = Resolver(network.names, self.callLater)
        self._ports: dict[int, list[SimulatedPort]] = {}
        self._next_port = FIRST_EPHEMERAL_PORT
        self._pool = PoolAtOnce()
        self._calls: list[IDelayedCall] = []
        self._prune_at = 64
        self._triggers: list[tuple[str, str, Callable[[], object]] | None] = []

    def __repr__(self) -> str:
        return f"<host {self.addresses[0]}>"

    def limit(self, *, upload: float | None = None, download: float | None = None) -> None:
        """Bound what the host sends and receives, in bytes/s; connections share the upload in turns."""
        self.uplink.rate = upload
        self.downlink = Pipe(download)

    def drop(self) -> None:
        """Lose power: its programs stop in mid-call, its connections say nothing more."""
        self.up = False
        for call in self.getDelayedCalls():
            call.cancel()
        for connection in self.connections:
            connection.vanish()
        for connector in self.connecting:
            connector.vanish()
        for port in self.open_ports:
            port.vanish()
        self.connections.clear()
        self.connecting.clear()
        self._ports.clear()

    def restart(self) -> None:
        """Power is back; no program runs. Old connections are reset as soon as the other end sends."""
        self.up = True
        self.network.release()

    # IReactorTime

    def seconds(self) -> float:
        return self.network.clock.seconds()

    def callLater(
        self, delay: float, callable: Callable[..., object], *args: object, **kw: object
    ) -> IDelayedCall:
        call = self.network.clock.callLater(delay, callable, *args, **kw)
        if not self.up:
            call.cancel()
            return call
        self._calls.append(call)
        if len(self._calls) > self._prune_at:
            self._calls = [call for call in self._calls if call.active()]
            self._prune_at = 64 + 2 * len(self._calls)
        return call

    def getDelayedCalls(self) -> Sequence[IDelayedCall]:
        """Those that this host's programs made."""
        return [call for call in self._calls if call.active()]

    # IReactorTCP

    def listenTCP(
        self, port: int, factory: IProtocolFactory, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        listening = SimulatedPort(self, port, factory, interface or "0.0.0.0")
        listening.startListening()
        return listening

    def connectTCP(
        self,
        host: str,
        port: int,
        factory: ClientFactory[P],
        timeout: float = 30.0,
        bindAddress: tuple[str, int] | None = None,
    ) -> IConnector:
        self.dialed.append((host, port))
        connector = SimulatedConnector(self, host, port, factory, timeout, bindAddress)
        connector.connect()
        return connector

    # IReactorThreads: no threads, so that a run can be repeated

    def getThreadPool(self) -> PoolAtOnce:
        return self._pool

    def callInThread(self, callable: Callable[_P, object], *args: _P.args, **kwargs: _P.kwargs) -> None:
        self._pool.callInThread(callable, *args, **kwargs)

    def callFromThread(self, callable: Callable[_P, object], *args: _P.args, **kwargs: _P.kwargs) -> None:
        callable(*args, **kwargs)

    def suggestThreadPoolSize(self, size: int) -> None:
        """There are no threads to be more of."""

    # IReactorPluggableNameResolver, and the look-up of IReactorCore

    def installNameResolver(self, resolver: IHostnameResolver) -> IHostnameResolver:
        previous, self.nameResolver = self.nameResolver, resolver
        return previous

    def resolve(self, name: str, timeout: Sequence[int] = ()) -> Deferred[str]:
        for found in self.names.find(name):
            if ":" not in found:
                return succeed(found)
        return fail(DNSLookupError(f"no address for {name!r}"))

    # What programs use of IReactorCore

    def callWhenRunning(self, callable: Callable[_P, object], *args: _P.args, **kwargs: _P.kwargs) -> None:
        callable(*args, **kwargs)

    def addSystemEventTrigger(
        self,
        phase: str,
        eventType: str,
        callable: Callable[_P, object],
        *args: _P.args,
        **kwargs: _P.kwargs,
    ) -> int:
        self._triggers.append((phase, eventType, lambda: callable(*args, **kwargs)))
        return len(self._triggers) - 1

    def removeSystemEventTrigger(self, triggerID: int) -> None:
        if self._triggers[triggerID] is None:
            raise ValueError(f"trigger {triggerID} was removed already")
        self._triggers[triggerID] = None

    def fireSystemEvent(self, eventType: str) -> None:
        """Run the triggers, before, during and after; nobody waits for what they return."""
        triggers, self._triggers = self._triggers, []
        for phase in ("before", "during", "after"):
            for trigger in triggers:
                if trigger is not None and trigger[:2] == (phase, eventType):
                    trigger[2]()

    # What ports and connectors ask

    @property
    def open_ports(self) -> list[SimulatedPort]:
        return [port for ports in self._ports.values() for port in ports]

    def owns(self, address: str) -> bool:
        return address in self.addresses or ip_address(address).is_loopback

    def open_port(self, port: SimulatedPort, number: int) -> int:
        """Take a listening port's number (0: any that is free), or raise CannotListenError."""
        interface = port.interface
        if not is_ip(interface) or not (interface in WILDCARDS.values() or self.owns(interface)):
            raise CannotListenError(interface, number, OSError(99, "Cannot assign requested address"))
        if number == 0:
            number = self.free_port()
        for other in self._ports.get(number, ()):
            if _clash(interface, other.interface):
                raise CannotListenError(interface, number, OSError(98, "Address already in use"))
        self._ports.setdefault(number, []).append(port)
        return number

    def close_port(self, port: SimulatedPort, number: int) -> None:
        self._ports[number].remove(port)
        if not self._ports[number]:
            del self._ports[number]

    def port_at(self, address: str, number: int) -> SimulatedPort | None:
        """Who listens there: a port on that very address, else on all addresses."""
        ports: Mapping[str, SimulatedPort] = {port.interface: port for port in self._ports.get(number, ())}
        wildcards = ("::",) if ":" in address else ("0.0.0.0", "::")
        for interface in (address, *wildcards):
            if interface in ports:
                return ports[interface]
        return None

    def free_port(self) -> int:
        """The next number that neither a port nor a connection of this host has."""
        used = {connection.getHost().port for connection in self.connections} | self._ports.keys()
        used |= {connector.local_port for connector in self.connecting}
        while True:
            number = self._next_port
            self._next_port = number + 1 if number < 65535 else FIRST_EPHEMERAL_PORT
            if number not in used:
                return number

    def address_towards(self, remote: str) -> str | None:
        """The address its packets to `remote` come from; None if it has none of that family."""
        if ip_address(remote).is_loopback:
            return remote if ":" in remote else "127.0.0.1"
        same_family = (a for a in self.addresses if (":" in a) == (":" in remote))
        return next(same_family, None)


def _clash(one: str, other: str) -> bool:
    """Two interfaces that cannot listen on one port; `::` takes IPv4 connections too, as on Linux."""
    if "::" in (one, other):
        return True
    if (":" in one) != (":" in other):
        return False
    return one == other or "0.0.0.0" in (one, other)
