"""The one HTTP client: a total deadline, a bound on the body after inflation, few and checked redirects.

The address is checked in the endpoint, as it is connected to, at every hop (`urls` has the rules). Requests
go out through Twisted's Agent itself: treq cannot ask an IPv6 literal (its URLs refuse `[::1]`), and its
decoding has no bound. treq gathers the bodies.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn, cast

from OpenSSL import SSL
from service_identity import VerificationError
from treq.content import collect
from twisted.internet import error
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore, fail
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.ssl import Certificate, platformTrust, trustRootFromCertificates
from twisted.python.failure import Failure
from twisted.web.client import (
    URI,
    Agent,
    BrowserLikePolicyForHTTPS,
    HostnameCachingHTTPSPolicy,
    HTTPConnectionPool,
    ResponseFailed,
)
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory, IPolicyForHTTPS, IResponse
from zope.interface import implementer

from bittwist import __version__
from bittwist.errors import FetchError, NetworkError
from bittwist.net.inflate import BadBody, Body
from bittwist.net.line import Heard, Line, TlsWhereAsked
from bittwist.net.policy import Network, NetworkReactor, Permit, reason_of
from bittwist.net.urls import Purpose, Reach, Url, address_refusal, url_refusal
from bittwist.settings import COUNT, SECONDS, check_bounds

__all__ = ["HttpClient", "HttpResponse", "HttpSettings", "Purpose"]

MAX_HOPS = 5  # redirects followed; nobody honest needs more

REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization"})  # stay with their origin


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """How the client behaves, whatever it fetches."""

    user_agent: str = f"bittwist/{__version__}"
    max_concurrent: int = 50  # fetches at once; the others wait, and their deadlines with them
    connect_timeout: float = 10.0  # of one address, within the deadline of the fetch

    def __post_init__(self) -> None:
        check_bounds(self, {"max_concurrent": COUNT, "connect_timeout": SECONDS})


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """An answer: header names in lower case, the whole inflated body, and the URL that gave it."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str


@dataclass(frozen=True, slots=True)
class Means:
    """What all requests of one client go out with."""

    reactor: NetworkReactor
    network: Network
    settings: HttpSettings
    tls: IPolicyForHTTPS

    def line(self, url: Url, permit: Permit, heard: Heard | None = None) -> Line:
        return Line(self.network, url, permit, self.settings.connect_timeout, heard)

    def agent(self, line: Line, pool: HTTPConnectionPool | None = None) -> Agent:
        """What sends one request over that line, or over one that the pool has kept."""
        endpoints = _Quietly(TlsWhereAsked(self.reactor, line, self.tls))
        agent: Agent = Agent.usingEndpointFactory(self.reactor, endpoints, pool)
        return agent

    def headers(self, url: Url, home: Url, encoding: str, more: Mapping[str, str]) -> Headers:
        """The head of a request that began at `home`: secrets stay with that origin."""
        headers = Headers()
        headers.setRawHeaders("Host", [url.authority])
        headers.setRawHeaders("User-Agent", [self.settings.user_agent])
        headers.setRawHeaders("Accept-Encoding", [encoding])
        at_home = url.origin == home.origin
        if at_home and home.credentials is not None:
            token = b64encode(home.credentials.encode()).decode("ascii")
            headers.setRawHeaders("Authorization", [f"Basic {token}"])
        for name, value in more.items():
            if at_home or name.lower() not in _SECRET_HEADERS:
                headers.setRawHeaders(name, [value])
        return headers


@implementer(IAgentEndpointFactory)
@dataclass(frozen=True, slots=True)
class _Quietly:
    """Gives an Agent endpoints that log nothing: a pool's own factories tell of each connection."""

    endpoints: TlsWhereAsked

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        return _Quiet(self.endpoints.endpointForURI(uri))


@implementer(IStreamClientEndpoint)
@dataclass(frozen=True, slots=True)
class _Quiet:
    endpoint: IStreamClientEndpoint

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        assert isinstance(protocolFactory, Factory)
        protocolFactory.noisy = False
        return self.endpoint.connect(protocolFactory)


class HttpClient:
    """Fetches over http and https, and fails only with FetchError."""

    def __init__(
        self,
        reactor: NetworkReactor,
        network: Network,
        settings: HttpSettings = HttpSettings(),
        *,
        trust: Sequence[Certificate] | None = None,
    ) -> None:
        """`trust` replaces the platform's certificate authorities; certificates are always checked."""
        roots = platformTrust() if trust is None else trustRootFromCertificates(trust)
        tls = HostnameCachingHTTPSPolicy(BrowserLikePolicyForHTTPS(roots))
        self.means = Means(reactor, network, settings, tls)
        self._room = DeferredSemaphore(settings.max_concurrent)

    def get(
        self,
        url: str,
        *,
        purpose: Purpose,
        limit: int = 1 << 20,
        deadline: float = 30.0,
        headers: Iterable[tuple[str, str]] = (),
        any_status: bool = False,
        family: int | None = None,
    ) -> Deferred[HttpResponse]:
        """Fetch `url`: at most `limit` bytes of body, all within `deadline` seconds.

        With a `family` (4 or 6) only addresses of that one are asked. A status outside 200 to 299 is a
        FetchError with that status, unless `any_status` asks for the answer.
        Cancelling closes the connection.
        """
        try:
            first = Url.parse(url)
        except ValueError as problem:
            return fail(FetchError(_shown(url), str(problem)))
        fetch = _Fetch(self.means, first, purpose, limit, family)

        def begin() -> Deferred[HttpResponse]:
            return _within(
                self.means.reactor,
                deadline,
                str(first),
                Deferred.fromCoroutine(fetch.run(dict(headers), any_status)),
            )

        return self._room.run(begin).addErrback(_as_fetch_error, str(first))


class _Fetch:
    """One fetch over its hops."""

    def __init__(self, means: Means, url: Url, purpose: Purpose, limit: int, family: int | None) -> None:
        self._means = means
        self._first = url
        self._purpose = purpose
        self._limit = limit
        self._family = family
        self._was_global = False

    async def run(self, headers: dict[str, str], any_status: bool) -> HttpResponse:
        url = self._first
        seen: set[str] = set()
        for hop in range(MAX_HOPS + 1):
            if str(url) in seen:
                raise FetchError(str(url), "the redirects run in a circle")
            seen.add(str(url))
            answer = await self._ask(url, headers, hop)
            location = answer.headers.get("location")
            if answer.status not in REDIRECTS or location is None:
                if not (any_status or 200 <= answer.status < 300):
                    raise FetchError(answer.url, f"HTTP status {answer.status}", answer.status)
                return answer
            try:
                url = url.join(location)
            except ValueError as problem:
                raise FetchError(str(url), f"redirected to what is not fetched: {problem}") from problem
        raise FetchError(str(url), f"more than {MAX_HOPS} redirects")

    async def _ask(self, url: Url, headers: dict[str, str], hop: int) -> HttpResponse:
        """Ask one server, without following it anywhere."""
        refusal = url_refusal(url, self._purpose)
        if refusal is not None:
            raise FetchError(str(url), refusal)

        def refused(host: str) -> str | None:
            if self._family is not None and (":" in host) is not (self._family == 6):
                return "the address is of the other family"
            return address_refusal(host, url, self._purpose, hop=hop, was_global=self._was_global)

        line = self._means.line(url, refused)
        # A byte range is one of the file, not of its encoding.
        encoding = "identity" if self._purpose is Purpose.WEB_SEED else "gzip, deflate"
        head = self._means.headers(url, self._first, encoding, headers)
        try:
            response = await self._means.agent(line).request(b"GET", str(url).encode("ascii"), head)
            line.answered()
            answer = await self._read(url, response)
        except NetworkError as problem:
            raise FetchError(str(url), problem.reason) from problem
        except BadBody as problem:
            raise FetchError(str(url), str(problem)) from problem
        except ResponseFailed as problem:
            raise FetchError(str(url), line.complaint or why_failed(problem)) from problem
        finally:
            line.cut()
        self._was_global = self._was_global or line.reached is Reach.GLOBAL
        return answer

    async def _read(self, url: Url, response: IResponse) -> HttpResponse:
        headers = headers_of(response)
        status = int(response.code)
        if status in REDIRECTS and "location" in headers:
            return HttpResponse(status, headers, b"", str(url))  # nobody reads what a redirect says
        body = Body(headers.get("content-encoding", ""), self._limit)
        await collect(response, body.add)
        return HttpResponse(status, headers, body.finish(), str(url))


def headers_of(response: IResponse) -> dict[str, str]:
    """The header of a response, names in lower case."""
    return {
        name.decode("latin-1").lower(): b", ".join(values).decode("latin-1")
        for name, values in response.headers.getAllRawHeaders()
    }


def _within(
    reactor: NetworkReactor, seconds: float, target: str, fetched: Deferred[HttpResponse]
) -> Deferred[HttpResponse]:
    def late(_: object, seconds: float) -> NoReturn:
        raise FetchError(target, f"no whole answer within {seconds:g} s")

    return fetched.addTimeout(seconds, cast(IReactorTime, reactor), onTimeoutCancel=late)


def _as_fetch_error(failure: Failure, target: str) -> NoReturn:
    if isinstance(failure.value, CancelledError):
        raise FetchError(target, "cancelled")
    failure.raiseException()


def why_failed(problem: ResponseFailed) -> str:
    """What went wrong below HTTP, in a person's words."""
    for failure in problem.reasons:
        cause = failure.value
        if isinstance(cause, SSL.Error):
            details = cause.args[0] if cause.args else ()
            text = ", ".join(str(detail[-1]) for detail in details) if isinstance(details, list) else ""
            return f"TLS: {text or 'the connection was refused'}"
        if isinstance(cause, VerificationError):
            return "TLS: the certificate is for another host"
        if isinstance(cause, (error.ConnectionDone, error.ConnectionLost, PotentialDataLoss)):
            return "the connection was closed before the whole answer came"
        if isinstance(cause, (CancelledError, error.ConnectError, OSError)):
            return reason_of(cause)
    return "the answer is not HTTP"


def _shown(url: str) -> str:
    """A URL that could not be parsed, as an error shows it: short, without what could be a password."""
    return url[:200].rpartition("@")[2]
