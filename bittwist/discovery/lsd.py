"""Local service discovery: peers on the same network, by multicast (BEP 14).

One for a session. It hears everybody on its links, and says every five minutes of each torrent that it is
here, of as many as fit into one datagram, which goes out once a minute at most. Nothing that is heard is
answered, and only who is on one of our own networks is believed (SECURITY.md D11). This machine is none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Protocol

from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IListeningPort, IReactorTime
from twisted.logger import Logger

from bittwist.address import Address
from bittwist.discovery.bt_search import LocalAnnounce, decode, encode, fitting
from bittwist.errors import NetworkError, RemoteProtocolError
from bittwist.net.links import GroupSpeaker, Link
from bittwist.net.urls import Reach, reach
from bittwist.settings import MONTH, check_bounds

GROUPS = (Address("239.192.152.143", 6771), Address("ff15::efc0:988f", 6771))
LEAST_PAUSE = 1.0  # seconds: a whole network hears each datagram
MAX_HEARD = 50  # datagrams read in a second: a network of hundreds sends a few
NO_LINK = "this machine is on no network that others share"

_log = Logger()


@dataclass(frozen=True, slots=True)
class LsdSettings:
    """Times in seconds."""

    enabled: bool = True
    interval: float = 300.0  # between announces of one torrent (BEP 14)
    pause: float = 60.0  # between any two (BEP 14)

    def __post_init__(self) -> None:
        check_bounds(self, {"interval": (LEAST_PAUSE, MONTH), "pause": (LEAST_PAUSE, MONTH)})


class LocalNetwork(Protocol):
    """What is needed of the `Network`."""

    def links(self) -> tuple[Link, ...]: ...
    def listen_group(self, links: Sequence[Link], speaker: GroupSpeaker) -> IListeningPort: ...


class LocalDiscovery:
    """Announces torrents to the networks we are on, and hears who else has them.

    Where peers reach us at one address only its network counts; where they do at all addresses of a family,
    all networks of that family. `found` is told the short info hash and address of each peer that is heard.
    """

    def __init__(
        self,
        clock: IReactorTime,
        network: LocalNetwork,
        settings: LsdSettings,
        port: Callable[[], int],
        cookie: str,
        found: Callable[[bytes, Address], None],
    ) -> None:
        self.error: str | None = None  # why nothing is heard or said
        self._clock = clock
        self._network = network
        self._settings = settings
        self._listen_host = ip_address("0.0.0.0")
        self._port = port
        self._cookie = cookie
        self._found = found
        self._due: dict[bytes, float] = {}  # when each torrent is to be announced next
        self._said_at = -math.inf
        self._links: tuple[Link, ...] | None = None  # while open
        self._open: list[tuple[IListeningPort, _Group]] = []
        self._next: IDelayedCall | None = None
        self._running = False
        self._heard = (0, 0)  # datagrams in which second

    def start(self, listen_host: str) -> None:
        """Peers reach us at this host, and at the port that is known now."""
        self._listen_host = ip_address(listen_host or "0.0.0.0")
        self._running = True
        self._plan()

    def stop(self) -> Deferred[None]:
        """Fires when nothing is open any more."""
        self._running = False
        self._plan()
        return self._close()

    def join(self, info_hash: bytes) -> None:
        """This torrent is announced, and heard of, from now on."""
        if info_hash not in self._due:
            self._due[info_hash] = self._clock.seconds()
            self._plan()

    def leave(self, info_hash: bytes) -> None:
        """It is not any more."""
        if self._due.pop(info_hash, None) is not None:
            self._plan()

    def received(self, datagram: bytes, sender: str) -> None:
        """An announce came from the IP address `sender`; what cannot be used is passed over."""
        second, count = int(self._clock.seconds()), self._heard[1]
        self._heard = second, count + 1 if self._heard[0] == second else 1
        if self._heard[1] > MAX_HEARD or not self._is_neighbour(sender):
            return
        try:
            announce = decode(datagram)
        except RemoteProtocolError:
            return  # other programs may use the group as well
        if announce.cookie == self._cookie:
            return  # that was us
        for info_hash in announce.info_hashes:
            if info_hash in self._due:
                self._found(info_hash, Address(sender, announce.port))

    def _is_neighbour(self, sender: str) -> bool:
        if reach(sender) not in (Reach.LOCAL, Reach.GLOBAL):
            return False
        return any(link.is_ipv6 is (":" in sender) and link.has(sender) for link in self._links or ())

    def _plan(self) -> None:
        """Speak when the next torrent is due, and a pause after the last time."""
        if self._next is not None:
            self._next.cancel()
            self._next = None
        if self._running and self._due:
            due_at = max(min(self._due.values()), self._said_at + self._settings.pause)
            self._next = self._clock.callLater(max(0.0, due_at - self._clock.seconds()), self._speak)

    def _speak(self) -> None:
        self._next = None
        now = self._said_at = self._clock.seconds()
        self._look_around()
        port = self._port()
        if port and self._open:
            waiting = sorted((at, info_hash) for info_hash, at in self._due.items() if at <= now)
            due = [info_hash for _, info_hash in waiting]
            saying = tuple(due[: fitting(due, str(GROUPS[0]), self._cookie)])
            self._due.update(dict.fromkeys(saying, now + self._settings.interval))
            for _, speaker in self._open:
                speaker.tell(encode(LocalAnnounce(port, saying, self._cookie), str(speaker.group)))
        self._plan()

    def _look_around(self) -> None:
        """Open what is to be open: networks come and go."""
        links = tuple(link for link in self._network.links() if self._is_ours(link))
        if links == self._links and self._open:
            return
        self._close().addErrback(lambda failure: _log.failure("a group could not be closed", failure))
        self._links, problem = links, NO_LINK
        for group in GROUPS:
            on = [link for link in links if link.is_ipv6 is group.is_ipv6]
            if not on:
                continue
            speaker = _Group(group, on, self)
            try:
                self._open.append((self._network.listen_group(on, speaker), speaker))
            except NetworkError as error:
                problem = error.reason
        self.error = None if self._open else problem

    def _is_ours(self, link: Link) -> bool:
        listen = self._listen_host
        if link.address.is_loopback:
            return False
        if not listen.is_unspecified:
            return link.address.ip == listen
        return link.shared and (listen.version == 6 or not link.is_ipv6)  # "::" listens to both families

    def _close(self) -> Deferred[None]:
        closing = [maybeDeferred(port.stopListening) for port, _ in self._open]
        self._open, self._links = [], None
        return gatherResults(closing).addCallback(lambda _: None)


class _Group(GroupSpeaker):
    """One of the two groups, as Twisted calls it."""

    noisy = False  # it is opened anew whenever a network comes or goes

    def __init__(self, group: Address, links: Sequence[Link], discovery: LocalDiscovery) -> None:
        super().__init__(group, links)
        self._discovery = discovery

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        if "%" not in addr[0]:  # link-local, with a scope: nobody who could be dialed
            self._discovery.received(datagram, addr[0])
