"""TCP ports that several processes have open at once: the system deals the connections out (SO_REUSEPORT)."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IReactorTCP
from twisted.internet.tcp import Port
from twisted.protocols.tls import TLSMemoryBIOFactory

from bittwist.errors import NetworkError


class SharedPort(Port):
    """A listening port that other processes of the same user can open too."""

    def createInternetSocket(self) -> socket.socket:
        made: socket.socket = super().createInternetSocket()  # type: ignore[no-untyped-call]  # Twisted's
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        return made


class SharedPorts:
    """What an endpoint gets for its reactor, so that the port it opens is shared. It listens, no more."""

    def __init__(self, reactor: IReactorTCP) -> None:
        self._reactor = reactor

    def listenTCP(
        self, port: int, factory: IProtocolFactory, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        opened: Any = SharedPort(port, factory, backlog, interface, self._reactor)
        opened.startListening()
        return IListeningPort(opened)

    def listenSSL(
        self,
        port: int,
        factory: IProtocolFactory,
        contextFactory: Any,
        backlog: int = 50,
        interface: str = "",
    ) -> IListeningPort:
        return self.listenTCP(port, TLSMemoryBIOFactory(contextFactory, False, factory), backlog, interface)

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("listen", "adopt", "spawn")):
            raise NetworkError(name, "only endpoints of tcp: and ssl: can be shared by processes")
        return getattr(self._reactor, name)
