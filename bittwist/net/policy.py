"""The one object through which every dial, listen, UDP port and DNS query goes.

Whoever needs the network is given a `Network`; nobody else opens anything. It dials whom its `refusal` has
nothing against, from one address where that is set. Every failure is a `NetworkError` with a reason to read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn, Protocol, cast

from twisted.internet import error
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred, fail, maybeDeferred, succeed
from twisted.internet.endpoints import (
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
    UNIXClientEndpoint,
    serverFromString,
)
from twisted.internet.interfaces import (
    IAddress,
    IConnector,
    IDelayedCall,
    IHostnameResolver,
    IHostResolution,
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IReactorSocket,
    IReactorTCP,
    IReactorUDP,
    IResolutionReceiver,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import ClientFactory, DatagramProtocol, ServerFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from bittwist.address import Address, fold
from bittwist.errors import NetworkError
from bittwist.net.datagrams import open_datagram_socket
from bittwist.net.dual import EVERYWHERE, listen_everywhere
from bittwist.net.links import GroupSpeaker, Link, find_links, open_group_socket
from bittwist.net.shared import SharedPorts
from bittwist.settings import SECONDS, check_bounds

MAX_ADDRESSES = 8  # of one name: what a hostile zone lists beyond that is not tried
BACKLOG = 4096  # as Linux allows; beyond Twisted's 50 a rush of clients waits a second for its second SYN
MAX_DATAGRAM = 8192  # no protocol here sends longer ones; Twisted's own default

Permit = Callable[[str], str | None]
"""Given an IP address about to be dialed: None to allow it, else why not."""


def allow_all(host: str) -> str | None:
    """The `Permit` that allows every address."""
    return None


class NetworkReactor(Protocol):
    """What a `Network` needs of its reactor; a simulated host is one as well."""

    @property
    def nameResolver(self) -> IHostnameResolver: ...

    def seconds(self) -> float: ...

    def callLater(
        self, delay: float, callable: Callable[..., object], *args: object, **kwargs: object
    ) -> IDelayedCall: ...

    def connectTCP(
        self,
        host: str,
        port: int,
        factory: ClientFactory,
        timeout: float = ...,
        bindAddress: tuple[str, int] | None = ...,
    ) -> IConnector: ...

    def listenTCP(
        self, port: int, factory: ServerFactory, backlog: int = ..., interface: str = ...
    ) -> IListeningPort: ...


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """`bind`: the IP address dialed from; None leaves the choice to the system."""

    bind: str | None = None
    connect_timeout: float = 10.0
    resolve_timeout: float = 10.0  # a resolver that says nothing for longer would not help any more

    def __post_init__(self) -> None:
        check_bounds(self, {"connect_timeout": SECONDS, "resolve_timeout": SECONDS})
        if self.bind is not None:
            try:
                object.__setattr__(self, "bind", fold(self.bind))
            except ValueError as error:
                raise ValueError("bind", f"must be an IP address: {error}") from error


class Network:
    """Dials, listens and looks up names on one reactor, and turns every failure into a `NetworkError`."""

    def __init__(
        self,
        reactor: NetworkReactor,
        settings: NetworkSettings = NetworkSettings(),
        refusal: Permit = allow_all,
    ) -> None:
        """`refusal` is asked about every address before it is dialed; who sends datagrams asks it, too."""
        self._reactor = reactor
        self.settings = settings
        self.refusal = refusal

    def dial(
        self, address: Address, factory: IProtocolFactory, *, timeout: float | None = None
    ) -> Deferred[IProtocol]:
        """Connect to `address`; cancelling gives the attempt up."""
        target = str(address)
        refusal = self.refusal(address.host)
        if refusal is not None:
            return fail(NetworkError(target, refusal))
        bind = self.settings.bind
        if bind is not None and (":" in bind) != address.is_ipv6:
            family = "IPv6" if address.is_ipv6 else "IPv4"
            return fail(NetworkError(target, f"{family} cannot be reached from {bind}, where we dial from"))
        endpoint = (TCP6ClientEndpoint if address.is_ipv6 else TCP4ClientEndpoint)(
            self._reactor,
            address.host,
            address.port,
            timeout=self.settings.connect_timeout if timeout is None else timeout,
            bindAddress=None if bind is None else (bind, 0),
        )
        return endpoint.connect(factory).addErrback(_as_network_error, target)

    def dial_path(
        self, path: str, factory: IProtocolFactory, *, timeout: float | None = None
    ) -> Deferred[IProtocol]:
        """Connect to the UNIX socket at `path`."""
        patience = self.settings.connect_timeout if timeout is None else timeout
        dialed: Deferred[IProtocol] = UNIXClientEndpoint(self._reactor, path, patience).connect(factory)
        return dialed.addErrback(_as_network_error, path)

    def dial_name(
        self,
        host: str,
        port: int,
        factory: IProtocolFactory,
        *,
        permit: Permit | None = None,
        timeout: float | None = None,
    ) -> Deferred[IProtocol]:
        """Look `host` up and connect to the first of its addresses that `permit` allows and that answers.

        `permit` is asked about the very address that is then connected to, so a name that changes its
        address between two look-ups gains nothing.
        """
        return Deferred.fromCoroutine(self._dial_name(host, port, factory, permit, timeout))

    async def _dial_name(
        self,
        host: str,
        port: int,
        factory: IProtocolFactory,
        permit: Permit | None,
        timeout: float | None,
    ) -> IProtocol:
        failure = NetworkError(host, "the name has no address")
        for found in (await self.resolve(host))[:MAX_ADDRESSES]:
            refusal = permit(found) if permit is not None else None
            if refusal is not None:
                failure = NetworkError(host, refusal)
                continue
            try:
                return await self.dial(Address(found, port), factory, timeout=timeout)
            except NetworkError as problem:
                if isinstance(problem.__cause__, _CANCELLED):
                    raise
                failure = problem
        raise failure

    def listen(self, host: str, port: int, factory: IProtocolFactory) -> Deferred[IListeningPort]:
        """Accept TCP connections on the IP address `host`; port 0 takes any free one.

        On "::" those over IPv4 come too; "" is every IPv4 address.
        """
        try:
            if host == EVERYWHERE:
                return succeed(listen_everywhere(self._reactor, port, factory))
            return succeed(self._reactor.listenTCP(port, cast(ServerFactory, factory), interface=host))
        except error.CannotListenError as problem:
            return fail(NetworkError(_place(host, port), reason_of(problem)))

    def listen_on(
        self, description: str, factory: IProtocolFactory, *, shared: bool = False
    ) -> Deferred[IListeningPort]:
        """Accept connections where a Twisted endpoint string says, such as `tcp:6969`.

        With `shared` other processes can do so too, on ports of TCP and TLS.
        """
        reactor = SharedPorts(cast(IReactorTCP, self._reactor)) if shared else self._reactor
        try:
            endpoint: IStreamServerEndpoint = serverFromString(reactor, _with_backlog(description))
        except (ValueError, TypeError, KeyError) as problem:  # how endpoint parsers refuse a description
            return fail(NetworkError(description, f"not an endpoint to listen on ({problem})"))
        return maybeDeferred(endpoint.listen, factory).addErrback(_as_network_error, description)

    def listen_udp(
        self,
        host: str,
        port: int,
        protocol: DatagramProtocol,
        *,
        shared: bool = False,
        receive_buffer: int = 0,
    ) -> IListeningPort:
        """Open a UDP port; raises NetworkError.

        With `shared` other processes can have it too. A `receive_buffer` (bytes) is asked of the system; a
        port with one of these that is open for "::" takes no IPv4.
        """
        try:
            if not shared and not receive_buffer:
                plain = cast(IReactorUDP, self._reactor)
                return plain.listenUDP(port, protocol, interface=host, maxPacketSize=MAX_DATAGRAM)
            with open_datagram_socket(host, port, shared=shared, receive_buffer=receive_buffer) as opened:
                # The reactor takes a copy.
                adopting = cast(IReactorSocket, self._reactor)
                return adopting.adoptDatagramPort(opened.fileno(), opened.family, protocol, MAX_DATAGRAM)
        except (error.CannotListenError, OSError) as problem:
            raise NetworkError(_place(host, port), reason_of(problem)) from problem

    def links(self) -> tuple[Link, ...]:
        """The networks we may speak on: that of `bind`, if it is set; none on a reactor without sockets."""
        if not IReactorSocket.providedBy(self._reactor):
            return ()
        bind = self.settings.bind
        return tuple(link for link in find_links() if bind is None or link.host == bind)

    def listen_group(self, links: Sequence[Link], speaker: GroupSpeaker) -> IListeningPort:
        """Hear, and speak to, a multicast group on these links; raises NetworkError."""
        group = speaker.group
        try:
            with open_group_socket(group, links) as opened:
                adopting = cast(IReactorSocket, self._reactor)
                return adopting.adoptDatagramPort(opened.fileno(), opened.family, speaker, MAX_DATAGRAM)
        except (error.CannotListenError, OSError) as problem:
            raise NetworkError(str(group), reason_of(problem)) from problem

    def resolve(self, name: str) -> Deferred[tuple[str, ...]]:
        """The IP addresses of `name`, in the resolver's order; an IP address stands for itself."""
        try:
            return succeed((fold(name),))
        except ValueError:
            pass
        looked_up: Deferred[tuple[str, ...]] = Deferred(lambda _: late.cancel())
        late = self._reactor.callLater(
            self.settings.resolve_timeout,
            lambda: looked_up.errback(NetworkError(name, "name look-up timed out")),
        )
        try:
            self._reactor.nameResolver.resolveHostName(_Receiver(name, looked_up, late), name)
        except (UnicodeError, ValueError) as problem:  # names that cannot be put into a query
            late.cancel()
            return fail(NetworkError(name, f"not a host name ({problem})"))
        return looked_up.addErrback(_as_network_error, name)


@implementer(IResolutionReceiver)
class _Receiver:
    """Gathers the addresses of one look-up."""

    def __init__(self, name: str, result: Deferred[tuple[str, ...]], late: IDelayedCall) -> None:
        self._name = name
        self._result = result
        self._late = late
        self._hosts: dict[str, None] = {}

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        """There is nothing to hold on to: a look-up in a thread cannot be cancelled."""

    def addressResolved(self, address: IAddress) -> None:
        if isinstance(address, (IPv4Address, IPv6Address)):
            try:
                self._hosts[fold(address.host)] = None
            except ValueError:
                return  # an address with a scope: of no use to anyone but this machine

    def resolutionComplete(self) -> None:
        if self._result.called:
            return  # it was cancelled, or took too long
        self._late.cancel()
        if self._hosts:
            self._result.callback(tuple(self._hosts))
        else:
            self._result.errback(NetworkError(self._name, "no such host"))


_CANCELLED = (CancelledError, error.ConnectingCancelledError)

_REASONS: Sequence[tuple[type[BaseException] | tuple[type[BaseException], ...], str]] = (
    (_CANCELLED, "cancelled"),
    (error.ConnectionRefusedError, "connection refused"),
    ((error.TimeoutError, error.TCPTimedOutError), "connection timed out"),
    (error.NoRouteError, "no route to host"),
    (error.DNSLookupError, "no such host"),
    (error.ConnectionLost, "connection lost"),
    (error.ConnectionDone, "connection closed"),
    (error.ConnectBindError, "the address to dial from is not one of this machine's"),
)


def reason_of(problem: BaseException) -> str:
    """A network failure in a person's words."""
    for kinds, reason in _REASONS:
        if isinstance(problem, kinds):
            return reason
    cause = problem.socketError if isinstance(problem, error.CannotListenError) else problem
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror.lower()
    number = cause.osError if isinstance(cause, error.ConnectError) else None
    if isinstance(number, int):
        return os.strerror(number).lower()
    return str(cause) or type(cause).__name__


def _as_network_error(failure: Failure, target: str) -> NoReturn:
    problem = failure.value
    if problem is None or isinstance(problem, NetworkError):
        failure.raiseException()
    raise NetworkError(target, reason_of(problem)) from problem


def _with_backlog(description: str) -> str:
    """The endpoint with room for BACKLOG connections that are not accepted yet, unless it says how many."""
    plain = description.partition(":")[0] in ("tcp", "tcp4", "tcp6", "ssl")
    return f"{description}:backlog={BACKLOG}" if plain and "backlog=" not in description else description


def _place(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host or '0.0.0.0'}:{port}"
