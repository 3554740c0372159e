"""A TCP port for both families at once, whatever the system's habit is (RFC 3493, IPV6_V6ONLY)."""

from __future__ import annotations

import socket
from typing import Any, cast

from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IReactorFDSet, IReactorTCP
from twisted.internet.protocol import ServerFactory
from twisted.internet.tcp import Port

EVERYWHERE = "::"  # listened on: every address of this machine, of either family


class DualPort(Port):
    """Listens on `::` and takes IPv4 too: those addresses come mapped into IPv6."""

    def createInternetSocket(self) -> socket.socket:
        made: socket.socket = super().createInternetSocket()  # type: ignore[no-untyped-call]  # Twisted's
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        return made


def listen_everywhere(reactor: Any, port: int, factory: IProtocolFactory) -> IListeningPort:
    """CannotListenError where the port is taken, or where there is no IPv6."""
    if not IReactorFDSet.providedBy(reactor):  # none with sockets of the system: a simulated host
        return cast(IReactorTCP, reactor).listenTCP(port, cast(ServerFactory, factory), interface=EVERYWHERE)
    opened: Any = DualPort(port, factory, 50, EVERYWHERE, reactor)
    opened.startListening()
    return IListeningPort(opened)
