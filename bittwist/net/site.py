"""The front every HTTP server of ours has: deadlines, caps, and who the client is. Nothing of BitTorrent.

Twisted's own time-out counts idle time, so a client that sends a byte now and then holds its connection for
ever, and bodies may be of any size. Here headers and bodies have deadlines in total and a body a limit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IDelayedCall, IProtocol, IReactorTime, ITCPTransport
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.resource import IResource
from twisted.web.server import Request, Site

from bittwist.address import fold

_log = Logger()


@dataclass(frozen=True, slots=True)
class SiteSettings:
    """How patient a front is. ValueError(key, reason) where a setting cannot be used.

    Deadlines are seconds for the whole of the headers, and of the body; `idle_timeout` is for a kept
    connection between requests. `max_body` is bytes. Of the addresses (or networks) in `trusted_proxies`
    the X-Forwarded-For header is believed, and they may hold any number of connections.
    """

    header_deadline: float = 10.0
    body_deadline: float = 10.0
    idle_timeout: float = 60.0
    max_body: int = 64 << 10  # announces have none; a form posted by mistake is smaller
    connections_per_address: int = 128  # hundreds of people share one address behind a carrier's NAT
    trusted_proxies: tuple[str, ...] = ()
    log_requests: bool = False  # a public tracker would write nothing else

    def __post_init__(self) -> None:
        for key in ("header_deadline", "body_deadline", "idle_timeout", "connections_per_address"):
            if not getattr(self, key) > 0:
                raise ValueError(key, "must be more than 0")
        if self.max_body < 0:
            raise ValueError("max_body", "must be 0 or more")
        try:
            self.proxy_networks()
        except ValueError as error:
            raise ValueError("trusted_proxies", str(error)) from error

    def proxy_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        return tuple(ip_network(text) for text in self.trusted_proxies)


def make_site(reactor: IReactorTime, resource: IResource, settings: SiteSettings | None = None) -> SiteFront:
    """A factory that serves `resource`, to listen with."""
    return SiteFront(reactor, resource, settings or SiteSettings())


class SiteFront(Site):
    """A Site with the bounds of its settings. Owns the count of connections from each address."""

    def __init__(self, reactor: IReactorTime, resource: IResource, settings: SiteSettings) -> None:
        super().__init__(  # type: ignore[no-untyped-call]  # untyped in Twisted
            resource,
            parsePOSTFormSubmission=False,
            timeout=settings.idle_timeout,
            reactor=reactor,
        )
        self.settings = settings
        self._proxies = settings.proxy_networks()
        self._connections: Counter[str] = Counter()

    def buildProtocol(self, addr: IAddress | None) -> IProtocol | None:  # type: ignore[override]  # HTTP/1.1
        host = _host(addr)
        if host is not None and not self._is_proxy(host):
            if self._connections[host] >= self.settings.connections_per_address:
                return None  # which closes it
            self._connections[host] += 1
        # Not by Twisted's chooser between HTTP/1.1 and HTTP/2: deadlines are kept for the one.
        channel = DeadlineChannel(self, host)
        channel.requestFactory = _ForwardedRequest
        return channel

    def gone(self, host: str | None) -> None:
        """A connection from this address has ended."""
        if host is not None and host in self._connections:
            self._connections[host] -= 1
            if not self._connections[host]:
                del self._connections[host]

    def client(self, peer: IAddress | None, forwarded: Sequence[bytes]) -> IAddress | None:
        """Who sends a request: the peer, or whom a proxy we trust names.

        Each proxy adds at the end whom it heard from, so that from the end the first one which is no proxy
        of ours is the client; what stands before it the client may have made up.
        """
        host = _host(peer)
        if not forwarded or host is None or not self._is_proxy(host):
            return peer
        for text in reversed(b",".join(forwarded).split(b",")):
            try:
                host = fold(text.strip().decode("ascii"))
            except ValueError:
                return peer
            if not self._is_proxy(host):
                break
        return IPv6Address("TCP", host, 0) if ":" in host else IPv4Address("TCP", host, 0)

    def startFactory(self) -> None:
        """Twisted would keep a clock for its log's lines, each second; there are none."""

    def stopFactory(self) -> None:
        """Nothing was started."""

    def log(self, request: Request) -> None:  # type: ignore[override]  # the Request of server, not of http
        """One line a request, without its query, where the settings say so."""
        if self.settings.log_requests:
            _log.info(
                "{client} {method} {path} {status}",
                client=_host(request.getClientAddress()),
                method=request.method.decode("ascii", "replace"),
                path=request.path.decode("ascii", "backslashreplace"),
                status=request.code,
            )

    def acceptableProtocols(self) -> list[bytes]:
        return [b"http/1.1"]

    def _is_proxy(self, host: str) -> bool:
        return bool(self._proxies) and any(ip_address(host) in network for network in self._proxies)


class DeadlineChannel(HTTPChannel):
    """An HTTP connection whose client must get to the end of what it says in time, and within bounds."""

    transport: ITCPTransport

    def __init__(self, site: SiteFront, host: str | None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # untyped in Twisted
        self.site = self.factory = site
        self.timeOut = site.settings.idle_timeout  # type: ignore[assignment]  # takes fractions as well
        self._host = host
        self._deadline: IDelayedCall | None = None
        self._body: int | None = None  # bytes of a body received so far; None where none is under way
        self._refused = False

    def connectionMade(self) -> None:
        super().connectionMade()  # type: ignore[no-untyped-call]  # untyped in Twisted
        self._expect_within(self.site.settings.header_deadline)

    def callLater(self, delay: float, late: Callable[..., object], *args: object) -> IDelayedCall:
        """What Twisted's idle time-out counts with."""
        return self.site.reactor.callLater(delay, late, *args)

    def dataReceived(self, data: bytes) -> None:
        if self._refused:
            return
        if self._deadline is None and not self.requests:  # the first bytes of a further request
            self._expect_within(self.site.settings.header_deadline)
        super().dataReceived(data)  # type: ignore[no-untyped-call]  # untyped in Twisted

    def allHeadersReceived(self) -> None:
        self._expect_within(None)
        if self.length is not None and self.length > self.site.settings.max_body:
            self._refuse()
            return
        super().allHeadersReceived()  # type: ignore[no-untyped-call]  # untyped in Twisted
        if self.length != 0:
            self._body = 0
            self._expect_within(self.site.settings.body_deadline)

    def rawDataReceived(self, data: bytes) -> None:
        if self._body is not None:
            # Counted with the chunks' own framing, which a client can make as long as it likes.
            self._body += len(data)
            if self.length is None and self._body > self.site.settings.max_body:
                self._refuse()
        if not self._refused:
            super().rawDataReceived(data)

    def allContentReceived(self) -> None:
        self._body = None
        self._expect_within(None)
        super().allContentReceived()  # type: ignore[no-untyped-call]  # untyped in Twisted

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]  # Twisted gives a default
        self._expect_within(None)
        self.site.gone(self._host)
        super().connectionLost(reason)  # type: ignore[no-untyped-call]  # untyped in Twisted

    def _expect_within(self, seconds: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if seconds is not None:
            self._deadline = self.site.reactor.callLater(seconds, self._too_late)

    def _too_late(self) -> None:
        self._deadline = None
        self._refused = True
        self.transport.abortConnection()

    def _refuse(self) -> None:
        self._refused = True
        self._expect_within(None)
        self.transport.write(
            b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        )
        self.loseConnection()  # type: ignore[no-untyped-call]  # untyped in Twisted


class _ForwardedRequest(Request):
    """A request that knows about proxies."""

    def getClientAddress(self) -> IAddress | None:
        forwarded = self.requestHeaders.getRawHeaders(b"x-forwarded-for") or []
        assert isinstance(self.site, SiteFront)
        return self.site.client(self.client, forwarded)


def _host(address: IAddress | None) -> str | None:
    if not isinstance(address, IPv4Address | IPv6Address):
        return None
    return fold(address.host.partition("%")[0])
