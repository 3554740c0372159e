"""Where peers reach us: the first free port of a list."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Protocol

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IListeningPort, IProtocolFactory

from bittwist.address import Address
from bittwist.errors import LocalProtocolError, NetworkError
from bittwist.net.addresses import address_of
from bittwist.net.dual import EVERYWHERE

EVERY_IPV4 = "0.0.0.0"


class Opener(Protocol):
    """The one thing asked of a `net.policy.Network`."""

    def listen(self, host: str, port: int, factory: IProtocolFactory) -> Deferred[IListeningPort]: ...


class Listener:
    """Listens on one port of one host. Owns the port while it is open.

    The host `::` is every address of both families; where there is no IPv6, every IPv4 address.
    """

    def __init__(self, network: Opener, factory: IProtocolFactory, host: str, ports: Sequence[int]) -> None:
        """Of `ports` the first free one is taken; 0 means any."""
        self._network = network
        self._factory = factory
        self._hosts = (host, EVERY_IPV4) if host == EVERYWHERE else (host,)
        self._ports = ports
        self._port: IListeningPort | None = None
        self._starting: Deferred[Address] | None = None

    def start(self) -> Deferred[Address]:
        """Fires with the address listened on; NetworkError where none of the ports is free."""
        if self._port is not None or self._starting is not None:
            raise LocalProtocolError("the listener is started already")
        starting = Deferred.fromCoroutine(self._start())
        if not starting.called:
            self._starting = starting
        return starting

    def stop(self) -> Deferred[None]:
        """Close the port; fires when it is closed."""
        return Deferred.fromCoroutine(self._stop())

    async def _start(self) -> Address:
        refusal = NetworkError(self._hosts[0], "no port to listen on")
        try:
            for host, port in product(self._hosts, self._ports):
                try:
                    self._port = await self._network.listen(host, port, self._factory)
                except NetworkError as error:
                    refusal = error
                else:
                    return address_of(self._port.getHost())
            raise refusal
        finally:
            self._starting = None

    async def _stop(self) -> None:
        starting, self._starting = self._starting, None
        if starting is not None:
            starting.cancel()
        port, self._port = self._port, None
        if port is not None:
            await maybeDeferred(port.stopListening)


class EndpointOpener(Protocol):
    """The one thing asked of a `net.policy.Network`."""

    def listen_on(self, description: str, factory: IProtocolFactory) -> Deferred[IListeningPort]: ...


class EndpointListener:
    """Listens wherever Twisted endpoint strings say. Owns the ports while they are open."""

    def __init__(self, network: EndpointOpener, factory: IProtocolFactory, endpoints: Sequence[str]) -> None:
        self._network = network
        self._factory = factory
        self._endpoints = endpoints
        self._ports: list[IListeningPort] = []

    def start(self) -> Deferred[Address]:
        """Fires with the first address listened on; NetworkError where one cannot be, with none left open."""
        return Deferred.fromCoroutine(self._start())

    def stop(self) -> Deferred[None]:
        """Close the ports; fires when they are closed."""
        return Deferred.fromCoroutine(self._stop())

    async def _start(self) -> Address:
        if not self._endpoints:
            raise NetworkError("no endpoint", "nowhere to listen")
        try:
            for endpoint in self._endpoints:
                self._ports.append(await self._network.listen_on(endpoint, self._factory))
        except NetworkError:
            await self._stop()
            raise
        return address_of(self._ports[0].getHost())

    async def _stop(self) -> None:
        ports, self._ports = self._ports, []
        for port in ports:
            await maybeDeferred(port.stopListening)
