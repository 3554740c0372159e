"""The front every HTTP server of ours has: deadlines, caps, and who the client is. Nothing of BitTorrent.

Twisted's own time-out counts idle time, so a client that sends a byte now and then holds its connection for
ever, and bodies may be of any size. Here headers, bodies and the taking of replies have deadlines in total
and a body a limit; net.channel keeps them for each connection.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from resource import RLIM_INFINITY, RLIMIT_NOFILE, getrlimit
from socket import AF_INET6, inet_pton

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IProtocol, IReactorTime
from twisted.logger import Logger
from twisted.web.resource import IResource
from twisted.web.server import Request, Site

from bittwist.address import fold
from bittwist.net.channel import TOO_LARGE, DeadlineChannel
from bittwist.net.deadlines import Deadlines
from bittwist.net.forwarded import HEADERS, X_FORWARDED_FOR, named_by
from bittwist.net.quick import Quick, QuickChannel

UNIX = "unix"  # among trusted proxies: whoever comes by a UNIX socket, which has no address
LONGEST = 86_400.0  # seconds of a deadline: nobody waits a day, and clocks take no number of seconds
SINCERE = 1.0  # seconds in which the headers of nearly everybody arrive; who takes longer is shed first
SPARE_DESCRIPTORS = 128  # logs, listening ports, a store's, and connections shed that are not closed yet

_log = Logger()


@dataclass(frozen=True, slots=True)
class SiteSettings:
    """How patient a front is. ValueError(key, reason) where a setting cannot be used.

    Deadlines are seconds for the whole of the headers, of the body, and for taking what was answered;
    `idle_timeout` is for a kept connection between requests. `max_body` is bytes. Beyond `max_connections`
    (or the process's descriptors) whoever makes us wait longest gives way to who comes. Of the addresses (or
    networks) in `trusted_proxies` the header `proxy_header` is believed, X-Forwarded-For or Forwarded, and
    they may hold any number of connections; "unix" among them is who comes by a UNIX socket. Only the header
    they do set: the other is passed on from clients.
    """

    header_deadline: float = 10.0
    body_deadline: float = 10.0
    response_deadline: float = 30.0
    idle_timeout: float = 60.0
    max_body: int = 64 << 10  # announces have none; a form posted by mistake is smaller
    connections_per_address: int = 128  # hundreds of people share one address behind a carrier's NAT
    max_connections: int = 20_000  # about 2 KiB each
    trusted_proxies: tuple[str, ...] = ()
    proxy_header: str = X_FORWARDED_FOR
    log_requests: bool = False  # a public tracker would write nothing else

    def __post_init__(self) -> None:
        for key in ("header_deadline", "body_deadline", "response_deadline", "idle_timeout"):
            if not 0 < getattr(self, key) <= LONGEST:
                raise ValueError(key, f"must be more than 0, and at most {LONGEST:.0f}")
        for key in ("connections_per_address", "max_connections"):
            if not getattr(self, key) > 0:
                raise ValueError(key, "must be more than 0")
        if self.max_body < 0:
            raise ValueError("max_body", "must be 0 or more")
        if self.proxy_header not in HEADERS:
            raise ValueError("proxy_header", f"must be {' or '.join(HEADERS)}")
        try:
            self.proxy_networks()
        except ValueError as error:
            raise ValueError("trusted_proxies", str(error)) from error

    def proxy_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        return tuple(ip_network(text) for text in self.trusted_proxies if text != UNIX)


def make_site(
    reactor: IReactorTime,
    resource: IResource,
    settings: SiteSettings | None = None,
    quick: Quick | None = None,
) -> SiteFront:
    """A factory that serves `resource`, to listen with.

    `quick` is asked first about each plain GET (net.quick), without a Request being made for it: what it
    answers must be what the resource would.
    """
    return SiteFront(reactor, resource, settings or SiteSettings(), quick)


class SiteFront(Site):
    """A Site with the bounds of its settings. Owns the counts of connections, and who is waited for."""

    def __init__(
        self, reactor: IReactorTime, resource: IResource, settings: SiteSettings, quick: Quick | None = None
    ) -> None:
        super().__init__(  # type: ignore[no-untyped-call]  # untyped in Twisted
            resource, parsePOSTFormSubmission=False, reactor=reactor
        )
        self.settings = settings
        # A log has a line for each request, which only a Request can write.
        self.quick = None if settings.log_requests else quick
        self.heads = Deadlines(reactor, settings.header_deadline, DeadlineChannel.too_late)
        self.bodies = Deadlines(reactor, settings.body_deadline, DeadlineChannel.too_late)
        self.idle = Deadlines(reactor, settings.idle_timeout, DeadlineChannel.idle_too_long)
        self.replies = Deadlines(reactor, settings.response_deadline, DeadlineChannel.taken_or_too_late)
        self.proxy_header = settings.proxy_header.lower().encode()
        self.room = settings.max_connections
        self._proxies = settings.proxy_networks()
        self._open = 0
        self._connections: dict[str | bytes, int] = {}

    def buildProtocol(self, addr: IAddress | None) -> IProtocol | None:  # type: ignore[override]  # HTTP/1.1
        host = host_of(addr)
        counted = None if host is None else _counted_as(host)
        held = 0 if counted is None else self._connections.get(counted, 0)
        if host is not None and held >= self.settings.connections_per_address and not self.is_proxy(host):
            return None  # which closes it
        if self._open >= self.room and not self._shed():
            return None
        self._open += 1
        if counted is not None:
            self._connections[counted] = held + 1
        # Not by Twisted's chooser between HTTP/1.1 and HTTP/2: deadlines are kept for the one.
        channel = (DeadlineChannel if self.quick is None else QuickChannel)(self, host)
        channel.requestFactory = _ForwardedRequest
        return channel

    def refusal(self, request: Request, method: bytes, target: bytes, length: int | None) -> bytes | None:
        """The status line for a request whose body is not wanted, known by its head; None where it is.

        A body whose length is not known (None) is cut off at `max_body`.
        """
        return TOO_LARGE if length is not None and length > self.settings.max_body else None

    def gone(self, host: str | None) -> None:
        """A connection from this address has ended."""
        self._open -= 1
        if host is not None:
            counted = _counted_as(host)
            left = self._connections[counted] - 1
            if left:
                self._connections[counted] = left
            else:
                del self._connections[counted]

    def client(self, peer: IAddress | None, forwarded: Sequence[bytes]) -> IAddress | None:
        """Who sends a request: the peer, or whom a proxy we trust names."""
        host = host_of(peer)
        if not forwarded or not self.is_proxy(host):
            return peer
        named = self.client_host(host, forwarded)
        if named is None or named == host:
            return peer
        return IPv6Address("TCP", named, 0) if ":" in named else IPv4Address("TCP", named, 0)

    def client_host(self, proxy: str | None, forwarded: Sequence[bytes]) -> str | None:
        """The client's host, by the word of a proxy we trust; the proxy's own, where it names none.

        Each proxy adds at the end whom it heard from, so that from the end the first one which is no proxy
        of ours is the client; what stands before it the client may have made up.
        """
        named = proxy
        for named in named_by(self.settings.proxy_header, forwarded):
            if not self.is_proxy(named):
                break
        return named

    def is_proxy(self, host: str | None) -> bool:
        """Whether it is a proxy we trust; None is who comes by a UNIX socket."""
        if host is None:
            return UNIX in self.settings.trusted_proxies
        return bool(self._proxies) and any(ip_address(host) in network for network in self._proxies)

    def startFactory(self) -> None:
        """Twisted would keep a clock for its log's lines, each second; there are none."""
        soft, _ = getrlimit(RLIMIT_NOFILE)
        if soft != RLIM_INFINITY:
            # Without this the system decides who is turned away: everybody.
            self.room = max(1, min(self.settings.max_connections, soft - SPARE_DESCRIPTORS))

    def stopFactory(self) -> None:
        """Nothing was started."""

    def log(self, request: Request) -> None:  # type: ignore[override]  # the Request of server, not of http
        """One line a request, without its query, where the settings say so."""
        if self.settings.log_requests:
            _log.info(
                "{client} {method} {path} {status}",
                client=host_of(request.getClientAddress()),
                method=request.method.decode("ascii", "replace"),
                path=request.path.decode("ascii", "backslashreplace"),
                status=request.code,
            )

    def acceptableProtocols(self) -> list[bytes]:
        return [b"http/1.1"]

    def _shed(self) -> bool:
        """Close the connection that makes us wait longest; whether there is one."""
        slowest = (
            self.heads.longest(SINCERE)
            or self.idle.longest()
            or self.heads.longest()
            or self.bodies.longest()
            or self.replies.longest()
        )
        if slowest is not None:
            slowest.too_late()
        return slowest is not None


class _ForwardedRequest(Request):
    """A request that knows about proxies."""

    def getClientAddress(self) -> IAddress | None:
        assert isinstance(self.site, SiteFront)
        forwarded = self.requestHeaders.getRawHeaders(self.site.proxy_header) or []
        return self.site.client(self.client, forwarded)


def _counted_as(host: str) -> str | bytes:
    """Of IPv6 a /64 counts as one address: the least that one customer is given."""
    return inet_pton(AF_INET6, host)[:8] if ":" in host else host


def host_of(address: IAddress | None) -> str | None:
    """The host of an internet address, mapped addresses folded and without a scope."""
    if not isinstance(address, IPv4Address | IPv6Address):
        return None
    return fold(address.host.partition("%")[0])
