"""The tracker's WebSocket front: how many connections there may be, and who is at their other end.

What is said over them is in tracker.relay. The WebSocket protocol itself (RFC 6455) is autobahn's, which not
every tracker needs: it is imported when a front is made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from ipaddress import ip_address
from resource import RLIM_INFINITY, RLIMIT_NOFILE, getrlimit
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IAddress, IProtocol, IReactorTime
from twisted.internet.protocol import ServerFactory

from bittwist.address import Address
from bittwist.errors import ConfigError
from bittwist.net import site
from bittwist.net.forwarded import named_by
from bittwist.tracker.peers import host_of
from bittwist.tracker.relay import Relay, Tracked
from bittwist.tracker.websocket_settings import WebSocketSettings

if TYPE_CHECKING:
    from bittwist.tracker.websocket_protocol import BrowserProtocol

__all__ = ["WebSocketFront", "WebSocketSettings"]


class WebSocketFront(ServerFactory):
    """A factory that serves a tracker to browsers, to listen with. Owns its connections.

    ConfigError where autobahn is not installed.
    """

    noisy = False

    def __init__(
        self, reactor: IReactorTime, tracker: Tracked, settings: WebSocketSettings | None = None
    ) -> None:
        try:
            from bittwist.tracker.websocket_protocol import BrowserFactory
        except ImportError as error:
            if error.name is None or error.name.partition(".")[0] not in ("autobahn", "txaio"):
                raise
            reason = "needs autobahn, which is not installed: pip install 'bittwist[ws]'"
            raise ConfigError("bittwist-tracker", "--ws", reason) from error
        self.settings = settings or WebSocketSettings()
        self.relay = Relay(tracker, self.settings)
        self._factory = BrowserFactory(reactor, self)
        self._proxies = self.settings.proxy_networks()
        self._room = self.settings.max_connections
        self._hosts: dict[BrowserProtocol, str | None] = {}  # each connection, and whom it counts for
        self._connections: Counter[bytes] = Counter()
        self._silent: dict[BrowserProtocol, None] = {}  # who has said nothing yet, the oldest first

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._hosts)

    def apply(self, settings: WebSocketSettings) -> None:
        """From now on, these settings; for open connections their pings and sizes stay as they were."""
        self.settings = settings
        self.relay.apply(settings)
        self._proxies = settings.proxy_networks()
        self._factory.apply(settings)
        self._measure()

    def buildProtocol(self, addr: IAddress) -> IProtocol | None:  # type: ignore[override]  # not any Protocol
        host = site.host_of(addr)
        counted = host if host is not None and not self._is_proxy(host) else None
        if not self._may_connect(counted):
            return None  # which closes it
        if len(self._hosts) >= self._room and not self._shed():
            return None
        protocol = self._factory.buildProtocol(addr)
        self._silent[protocol] = None
        self._count(protocol, counted)
        return protocol

    def admit(self, protocol: BrowserProtocol, peer: IAddress, forwarded: Sequence[bytes]) -> str | None:
        """Who it is: the peer, or whom a proxy we trust names. None where nobody can tell, or has too many.

        `forwarded` is what the lines of the settings' `proxy_header` say.
        """
        counted = self._hosts.get(protocol)
        if counted is not None:
            return counted
        host = site.host_of(peer)
        if host is None and site.UNIX not in self.settings.trusted_proxies:
            return None
        for host in named_by(self.settings.proxy_header, forwarded):
            if not self._is_proxy(host):
                break
        if host is None or self._is_proxy(host):
            return host
        if not self._may_connect(host):
            return None
        self._count(protocol, host)
        return host

    def spoke(self, protocol: BrowserProtocol) -> None:
        """It said something: it is no longer the first to give way."""
        self._silent.pop(protocol, None)

    def gone(self, protocol: BrowserProtocol) -> None:
        """A connection has ended."""
        self._silent.pop(protocol, None)
        host = self._hosts.pop(protocol, None)
        if host is not None:
            key = _counted_as(host)
            self._connections[key] -= 1
            if not self._connections[key]:
                del self._connections[key]

    def startFactory(self) -> None:
        self._measure()

    def stopFactory(self) -> None:
        """Nobody listens any more, so that nobody who is still connected would meet anybody new."""
        for protocol in list(self._hosts):
            protocol.leave()

    def _may_connect(self, host: str | None) -> bool:
        most = self.settings.connections_per_address
        return host is None or self._connections[_counted_as(host)] < most

    def _count(self, protocol: BrowserProtocol, host: str | None) -> None:
        self._hosts[protocol] = host
        if host is not None:
            self._connections[_counted_as(host)] += 1

    def _shed(self) -> bool:
        """Close the connection that has been silent for longest; whether there is one."""
        for protocol in self._silent:
            protocol.drop()
            self.gone(protocol)
            return True
        return False

    def _measure(self) -> None:
        soft, _ = getrlimit(RLIMIT_NOFILE)
        self._room = self.settings.max_connections
        if soft != RLIM_INFINITY:
            # The other half is for the fronts of the same process.
            self._room = max(1, min(self._room, soft // 2))

    def _is_proxy(self, host: str) -> bool:
        return bool(self._proxies) and any(ip_address(host) in network for network in self._proxies)


def _counted_as(host: str) -> bytes:
    """Of IPv6 a /64 counts as one address."""
    return host_of(Address(host, 0).packed)
