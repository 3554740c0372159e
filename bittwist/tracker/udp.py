"""What a tracker answers over UDP, on one port (BEP 15, 41).

Who has not shown by a connection id that it reads what is sent to it gets silence, or sixteen bytes for
sixteen: so the tracker is of no use against others. Who has is told what is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from socket import AF_INET6, inet_aton, inet_pton
from urllib.parse import unquote

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from bittwist.address import fold
from bittwist.announce.query import read_query
from bittwist.announce.udp import (
    ANNOUNCE,
    ANNOUNCE_SIZE,
    CONNECT,
    MAGIC,
    MAX_SCRAPE,
    REPLY_HEADER,
    REQUEST_HEADER,
    SCRAPE,
    announced,
    read_announce,
    read_scrape,
    read_url,
    refused,
    scraped,
)
from bittwist.announce.values import AnnounceRequest, ScrapeEntry
from bittwist.errors import RemoteProtocolError, TrackerFailure
from bittwist.net.datagrams import BATCH, Datagrams
from bittwist.tracker.connections import LONGEST_WINDOW, WINDOW, ConnectionIds
from bittwist.tracker.interfaces import Arrival, Front, Reply, new_arrival
from bittwist.tracker.tracked import Tracked

SMALLEST_REPLY = 576 - 28  # what every IPv4 host takes whole
LARGEST_REPLY = 65_507  # what a datagram holds

SCRAPE_HEADER, SCRAPE_ENTRY = 8, 12  # bytes (BEP 15)

_WIDTHS = {4: 6, 16: 18}  # bytes of an address → bytes of a peer
_MAPPED = bytes(10) + b"\xff\xff"
_log = Logger()

Sender = tuple[str, int]
"""Host and port, and what else the system says of an IPv6 sender."""


@dataclass(frozen=True, slots=True)
class UdpSettings:
    """How announces over UDP are answered. ValueError(key, reason) where a setting cannot be used.

    A connection id is good for `window` seconds. It is made with `secret` (any text of 16 characters or
    more) or with what is in `secret_file`, which is made if it is not there; with neither, ids end with the
    process. Trackers behind one name, and the workers of one, need the same. A scrape is answered for its
    first `max_scrape` hashes, and for no more than the tracker's own `max_scrape`. Replies have at most
    `max_reply` bytes: what fits into the packets of every IPv6 network, unless told otherwise. At most
    `batch` datagrams are read before others get the reactor. `receive_buffer` bytes are asked of the system,
    for bursts. Where a store or a hook takes its time, `max_waiting` requests wait for it; more are lost, and
    clients ask again.
    """

    window: float = WINDOW
    secret: str = ""
    secret_file: str = ""
    max_scrape: int = MAX_SCRAPE
    max_reply: int = 1280 - 40 - 8
    batch: int = BATCH
    receive_buffer: int = 4 << 20  # half a second of announces at 50,000/s, with what the kernel adds
    max_waiting: int = 10_000

    def __post_init__(self) -> None:
        bounds = {
            "window": (1, LONGEST_WINDOW),
            "max_scrape": (1, 200),
            "max_reply": (SMALLEST_REPLY, LARGEST_REPLY),
            "batch": (1, 10_000),
            "receive_buffer": (1, 1 << 30),
            "max_waiting": (1, 1_000_000),
        }
        for key, (least, most) in bounds.items():
            if not least <= getattr(self, key) <= most:
                raise ValueError(key, f"must be {least} to {most:.0f}")
        if self.secret and len(self.secret) < 16:
            raise ValueError("secret", "must have 16 characters or more")
        if self.secret and self.secret_file:
            raise ValueError("secret_file", "there is a secret already")


class UdpAnswers(Datagrams):
    """The tracker's end of one UDP port, of either family."""

    noisy = False  # the service tells where it is asked, in words

    def __init__(self, tracker: Tracked, ids: ConnectionIds, settings: UdpSettings = UdpSettings()) -> None:
        super().__init__(settings.batch)
        self.counts = tracker.statistics.datagrams_of_port()
        self._waiting = 0
        self._tracker = tracker
        self._ids = ids
        self._settings = settings
        self._most_scraped = min(settings.max_scrape, (settings.max_reply - SCRAPE_HEADER) // SCRAPE_ENTRY)
        self._most = {size: (settings.max_reply - REPLY_HEADER) // width for size, width in _WIDTHS.items()}

    def datagramReceived(self, datagram: bytes, addr: Sender) -> None:
        """Answer, now or when store and hooks have."""
        if not addr[1]:
            return  # nobody can be answered at port 0
        host = addr[0]
        if ":" in host:
            host, packed = _six(host)
        else:
            packed = inet_aton(host)
        action = datagram[8:12]
        if action == CONNECT and datagram[:8] == MAGIC and len(datagram) >= REQUEST_HEADER:
            self.counts.connects += 1
            self.send(CONNECT + datagram[12:16] + self._ids.issue(packed), addr)
        elif len(datagram) < REQUEST_HEADER or not self._ids.valid(datagram[:8], packed):
            self.counts.unverified += 1
        elif self._waiting >= self._settings.max_waiting:
            self.counts.overdue += 1
        elif action == ANNOUNCE:
            self._announce(datagram, addr, host, packed)
        elif action == SCRAPE:
            self._scrape(datagram, addr, host)
        else:
            self._tracker.statistics.unreadable(Front.UDP)

    def _announce(self, datagram: bytes, addr: Sender, host: str, packed: bytes) -> None:
        transaction = datagram[12:16]
        six = len(packed) == 16
        tracker = self._tracker
        try:
            request, arrival = self._read_announce(datagram, host, packed)
            if request.ip is not None:
                request = replace(request, address=tracker.locate(host, request, Front.UDP))
            reply = tracker.announce(request, arrival)
        except Exception as error:  # told apart, logged and answered in _refuse
            self._refuse(Failure(error), transaction, addr)
            return
        if isinstance(reply, Deferred):
            self._later(reply.addCallback(self._announced, transaction, addr, six), transaction, addr)
        else:
            self._announced(reply, transaction, addr, six)

    def _read_announce(self, datagram: bytes, host: str, packed: bytes) -> tuple[AnnounceRequest, Arrival]:
        settings = self._tracker.settings
        most = self._most[len(packed)]
        try:
            request = read_announce(
                datagram,
                ipv6=len(packed) == 16,
                host=host,  # what `locate` says too, of who names no other address
                packed=packed,
                numwant=settings.numwant,
                most=most if most < settings.max_numwant else settings.max_numwant,
            )
            if len(datagram) == ANNOUNCE_SIZE:
                return request, new_arrival(Front.UDP, host)
            return request, _arrival(host, read_url(datagram))
        except TrackerFailure:  # which is told; what is no request at all is counted where that is seen
            self._tracker.statistics.unreadable(Front.UDP)
            raise

    def _announced(self, reply: Reply, transaction: bytes, addr: Sender, six: bool) -> None:
        swarm = reply.swarm
        peers = swarm.peers6 if six else swarm.peers4
        self.send(announced(transaction, reply.interval, swarm.incomplete, swarm.complete, peers), addr)

    def _scrape(self, datagram: bytes, addr: Sender, host: str) -> None:
        transaction = datagram[12:16]
        try:
            info_hashes = self._read_scrape(datagram)[: self._most_scraped]
            entries = self._tracker.scrape(info_hashes, Arrival(Front.UDP, host))
        except Exception as error:  # told apart, logged and answered in _refuse
            self._refuse(Failure(error), transaction, addr)
            return
        if isinstance(entries, Deferred):
            self._later(entries.addCallback(self._scraped, info_hashes, transaction, addr), transaction, addr)
        else:
            self._scraped(entries, info_hashes, transaction, addr)

    def _read_scrape(self, datagram: bytes) -> Sequence[bytes]:
        try:
            return read_scrape(datagram)
        except TrackerFailure:
            self._tracker.statistics.unreadable(Front.UDP)
            raise

    def _scraped(
        self,
        entries: dict[bytes, ScrapeEntry],
        info_hashes: Sequence[bytes],
        transaction: bytes,
        addr: Sender,
    ) -> None:
        # Sizes have no names on them: behind the first that is not known, none could be told whose it is.
        told = [entries[info_hash] for info_hash in takewhile(entries.__contains__, info_hashes)]
        self.send(scraped(transaction, told), addr)

    def _later(self, answered: Deferred[None], transaction: bytes, addr: Sender) -> None:
        self._waiting += 1

        def done(nothing: None) -> None:
            self._waiting -= 1

        answered.addErrback(self._refuse, transaction, addr).addBoth(done)

    def _refuse(self, failure: Failure, transaction: bytes, addr: Sender) -> None:
        """Say why where it is the peer's affair, else that it is ours; nothing to who sends no packets."""
        error = failure.value
        if isinstance(error, RemoteProtocolError):
            self._tracker.statistics.unreadable(Front.UDP)
            return
        if not isinstance(error, TrackerFailure):
            self._fail(failure)
            error = TrackerFailure("the tracker had an error of its own; try again later")
        self.send(refused(transaction, _sentence(error)), addr)

    def _fail(self, failure: Failure) -> None:
        self.counts.failed = count = self.counts.failed + 1
        # Whoever finds a bug of ours could have it logged 50,000 times a second: 1st, 2nd, 4th, 8th ... time.
        if count & (count - 1) == 0:
            told = "an announce or scrape could not be answered (failure {count} on this port)"
            _log.failure(told, failure, count=count)


def _six(host: str) -> tuple[str, bytes]:
    """The host as `Address` has it, and its bytes: 4 where IPv6 carries an IPv4 address."""
    host = host.partition("%")[0]  # the interface it came in by means nothing to others
    packed = inet_pton(AF_INET6, host)
    if not host.startswith("::"):
        return host, packed
    # The system writes these otherwise than `Address`.
    return fold(host), packed[12:] if packed.startswith(_MAPPED) else packed


def _arrival(host: str, url: bytes) -> Arrival:
    """Passkey and token, out of the path and query that BEP 41 carries; by the rule of HTTP."""
    path, _, query = url.partition(b"?")
    passkey: str | None = None
    match [unquote(segment) for segment in path.decode("ascii", "replace").split("/") if segment]:
        case ["announce", passkey] | [passkey, "announce"]:
            pass
    return Arrival(Front.UDP, host, passkey, read_query(query).get(b"jwt"))


def _sentence(failure: TrackerFailure) -> str:
    # BEP 31 is about HTTP: here the time goes into the words.
    if failure.retry_in is None:
        return failure.reason
    if math.isinf(failure.retry_in):
        return f"{failure.reason} (do not ask again)"
    seconds = math.ceil(failure.retry_in)
    wait = f"{seconds} s" if seconds < 120 else f"{math.ceil(seconds / 60)} minutes"
    return f"{failure.reason} (ask again in {wait})"
