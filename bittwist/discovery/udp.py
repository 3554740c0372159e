"""Trackers over UDP: one socket a family for all of them, and one client for each URL (BEP 15, 41)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IListeningPort, IUDPTransport
from twisted.internet.protocol import DatagramProtocol

from bittwist.address import Address, fold
from bittwist.announce.udp import (
    MAX_SCRAPE,
    Announce,
    Announced,
    Connect,
    Connected,
    Refused,
    Reply,
    Request,
    Scrape,
    Scraped,
    decode_reply,
    encode_request,
)
from bittwist.announce.values import AnnounceRequest, AnnounceResponse, ScrapeEntry
from bittwist.errors import BitTwistError, NetworkError, RemoteProtocolError, TrackerFailure
from bittwist.metainfo.urls import MAX_URL
from bittwist.net.policy import MAX_ADDRESSES, Network, NetworkReactor
from bittwist.net.urls import Reach, reach

PATIENCE = 15.0  # seconds for the first answer; doubled with each repetition (BEP 15)
ATTEMPTS = 2  # of one announce: what has no answer in 45 s is left to the announcer, which waits longer
ID_LIFETIME = 60.0  # seconds a client may use a connection id (BEP 15)
MAX_IDS = 1024  # connection ids remembered; the oldest go first

_Answer = TypeVar("_Answer", Connected, Announced, Scraped)


class _Unanswered(NetworkError):
    """Nobody answered in time."""

    def __init__(self, address: Address) -> None:
        super().__init__(f"udp://{address}", "no answer")


@dataclass(slots=True)
class _Waiting:
    """A request that is under way."""

    address: Address
    answered: Deferred[Reply]
    late: IDelayedCall


class UdpTrackers:
    """Asks trackers over UDP, and owns the sockets and connection ids for it. `token` makes random bytes."""

    def __init__(self, clock: NetworkReactor, network: Network, token: Callable[[int], bytes]) -> None:
        self._clock = clock
        self._network = network
        self._token = token
        self._ports: dict[bool, IListeningPort] = {}  # by whether it is for IPv6
        self._waiting: dict[bytes, _Waiting] = {}
        self._ids: dict[Address, tuple[bytes, float]] = {}  # connection id, and until when

    def tracker(self, url: str, family: int | None = None) -> UdpTracker:
        """The client for this URL. TrackerFailure, never to be tried again, for one that is no tracker's.

        With a `family` (4 or 6) it is asked over that one only.
        """
        return UdpTracker(self, self._network, url, family)

    def close(self) -> Deferred[None]:
        """Give up what is under way, and the sockets."""
        for waiting in tuple(self._waiting.values()):
            waiting.answered.cancel()
        ports, self._ports = self._ports, {}
        closing = [maybeDeferred(port.stopListening) for port in ports.values()]
        return gatherResults(closing).addCallback(lambda _: None)

    async def connection_id(self, address: Address, patience: float) -> bytes:
        """One that this tracker takes now; asked for unless we have it."""
        known, until = self._ids.get(address, (b"", 0.0))
        if self._clock.seconds() < until:
            return known
        found = await self.ask(address, Connect, Connected, patience)
        self._ids.pop(address, None)
        self._ids[address] = found.connection_id, self._clock.seconds() + ID_LIFETIME
        if len(self._ids) > MAX_IDS:
            del self._ids[next(iter(self._ids))]
        return found.connection_id

    def forget_id(self, address: Address) -> None:
        """It is good no longer, for all that we know."""
        self._ids.pop(address, None)

    async def ask(
        self,
        address: Address,
        request: Callable[[bytes], Request],
        kind: type[_Answer],
        patience: float,
    ) -> _Answer:
        """Send the request made for a transaction id, and wait for its answer.

        TrackerFailure where the tracker refuses, RemoteProtocolError for another kind of answer.
        """
        transaction = self._token(4)
        while transaction in self._waiting:
            transaction = self._token(4)
        datagram = encode_request(request(transaction))
        transport = self._open(address.is_ipv6)
        answered: Deferred[Reply] = Deferred(lambda _: self._forget(transaction))
        late = self._clock.callLater(patience, self._unanswered, transaction)
        self._waiting[transaction] = _Waiting(address, answered, late)
        try:
            transport.write(datagram, (address.host, address.port))
        except OSError as problem:
            self._forget(transaction)
            raise NetworkError(f"udp://{address}", (problem.strerror or str(problem)).lower()) from problem
        reply = await answered
        if isinstance(reply, Refused):
            raise TrackerFailure(reply.reason)
        if not isinstance(reply, kind):
            raise RemoteProtocolError("the tracker answered another question than was asked")
        return reply

    def received(self, datagram: bytes, sender: Address) -> None:
        """A datagram came; what nobody waits for, or comes from elsewhere, is passed over."""
        waiting = self._waiting.get(datagram[4:8])
        if waiting is None or waiting.address != sender:
            return
        self._forget(datagram[4:8])
        try:
            reply = decode_reply(datagram, ipv6=sender.is_ipv6)
        except BitTwistError as error:
            waiting.answered.errback(error)
        else:
            waiting.answered.callback(reply)

    def _open(self, ipv6: bool) -> IUDPTransport:
        if ipv6 not in self._ports:
            bind = self._network.settings.bind
            if bind is not None and (":" in bind) is not ipv6:
                raise NetworkError(bind, f"no IPv{6 if ipv6 else 4} can be sent from it")
            host = bind or ("::" if ipv6 else "0.0.0.0")
            self._ports[ipv6] = self._network.listen_udp(host, 0, _Socket(self))
        # Twisted's port is also the transport of what listens there.
        return cast(IUDPTransport, self._ports[ipv6])

    def _unanswered(self, transaction: bytes) -> None:
        waiting = self._waiting.pop(transaction)
        waiting.answered.errback(_Unanswered(waiting.address))

    def _forget(self, transaction: bytes) -> None:
        waiting = self._waiting.pop(transaction, None)
        if waiting is not None and waiting.late.active():
            waiting.late.cancel()


class UdpTracker:
    """A TrackerClient for a `udp:` URL."""

    def __init__(self, trackers: UdpTrackers, network: Network, url: str, family: int | None = None) -> None:
        self.url = url
        self._trackers = trackers
        self._network = network
        self._host, self._port, self._url_data = _parse(url)
        self._family = family
        self._answered: Address | None = None  # the last one of its addresses that did

    def announce(self, request: AnnounceRequest) -> Deferred[AnnounceResponse]:
        """Announce; errors are those of TrackerClient."""
        return Deferred.fromCoroutine(self._announce(request))

    def scrape(self, info_hashes: Sequence[bytes]) -> Deferred[dict[bytes, ScrapeEntry]]:
        """The swarms' sizes; those that the tracker leaves out are not in it."""
        return Deferred.fromCoroutine(self._scrape(info_hashes))

    async def _announce(self, request: AnnounceRequest) -> AnnounceResponse:
        def announce(connection_id: bytes) -> Callable[[bytes], Request]:
            return lambda transaction: Announce(connection_id, transaction, request, self._url_data)

        return (await self._ask(announce, Announced)).response

    async def _scrape(self, info_hashes: Sequence[bytes]) -> dict[bytes, ScrapeEntry]:
        found: dict[bytes, ScrapeEntry] = {}
        for first in range(0, len(info_hashes), MAX_SCRAPE):
            part = tuple(info_hashes[first : first + MAX_SCRAPE])

            def scrape(connection_id: bytes, part: tuple[bytes, ...] = part) -> Callable[[bytes], Request]:
                return lambda transaction: Scrape(connection_id, transaction, part)

            found.update(zip(part, (await self._ask(scrape, Scraped)).entries))
        return found

    async def _ask(
        self, request: Callable[[bytes], Callable[[bytes], Request]], kind: type[_Answer]
    ) -> _Answer:
        """Ask one of its addresses, the next where one does not answer, with a fresh connection id then."""
        trackers = self._trackers
        addresses = await self._addresses()
        problem = NetworkError(self._host, "the name has no address")
        unanswered = 0
        while addresses and unanswered < ATTEMPTS:
            address = addresses.pop(0)
            patience = PATIENCE * 2.0**unanswered
            try:
                connection_id = await trackers.connection_id(address, patience)
                answer = await trackers.ask(address, request(connection_id), kind, patience)
            except TrackerFailure:
                trackers.forget_id(address)  # it may be what was refused
                raise
            except NetworkError as error:
                problem = error
                if isinstance(error, _Unanswered):
                    trackers.forget_id(address)
                    unanswered += 1
                    addresses.append(address)
                # Else the datagram could not be sent: there may be an address of the other family.
            else:
                self._answered = address
                return answer
        raise problem

    async def _addresses(self) -> list[Address]:
        found = [Address(host, self._port) for host in (await self._network.resolve(self._host))]
        if self._family is not None:
            found = [address for address in found if address.is_ipv6 is (self._family == 6)]
        usable = [address for address in found[:MAX_ADDRESSES] if _may_ask(address.host)]
        usable = [address for address in usable if self._network.refusal(address.host) is None]
        if found and not usable:
            raise NetworkError(self._host, f"{found[0].host} is not an address to ask")
        usable.sort(key=lambda address: address != self._answered)
        return usable


class _Socket(DatagramProtocol):
    """A UDP port, as Twisted calls it."""

    def __init__(self, trackers: UdpTrackers) -> None:
        self._trackers = trackers

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        try:
            sender = Address(addr[0], addr[1])
        except ValueError:
            return  # link-local, with a scope: never asked
        self._trackers.received(datagram, sender)


def _may_ask(host: str) -> bool:
    # Local ones too: sixteen fixed bytes, and four by chance, command nothing that listens there.
    return reach(host) in (Reach.GLOBAL, Reach.LOCAL)


def _parse(url: str) -> tuple[str, int, bytes]:
    """Host, port, and what BEP 41 sends of the rest of the URL."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as problem:
        raise TrackerFailure(f"not a tracker's URL: {problem}", math.inf) from problem
    if parts.scheme != "udp" or not host or not port:
        raise TrackerFailure("not the URL of a UDP tracker, which is udp://HOST:PORT", math.inf)
    if not host.isascii() or any(label.startswith("xn--") for label in host.split(".")):
        reason = "international host names, which can look like others, are not used"
        raise TrackerFailure(reason, math.inf)
    try:
        host = fold(host)
    except ValueError:
        pass  # a name
    rest = parts.path + (f"?{parts.query}" if parts.query else "")
    if len(rest) > MAX_URL:
        raise TrackerFailure(f"not a tracker's URL: longer than {MAX_URL} bytes", math.inf)
    return host, port, b"" if rest in ("", "/", "/announce") else rest.encode("utf-8", "replace")
