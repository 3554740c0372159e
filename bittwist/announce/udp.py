"""Announces and scrapes over UDP, both ends (BEP 15, 41; the event 4 is BEP 21's "paused").

A client encodes requests and decodes replies, a tracker decodes requests and encodes replies. Connection ids
(8 bytes) and transaction ids (4 bytes) are opaque here: whoever made one compares it. Decoding raises
RemoteProtocolError for what is no packet, TrackerFailure for what a tracker refuses; nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from struct import Struct, iter_unpack
from struct import error as StructError

from bittwist.address import Address
from bittwist.announce.reply import MAX_PEERS, MAX_TEXT
from bittwist.announce.values import AnnounceRequest, AnnounceResponse, Event, ScrapeEntry, quick
from bittwist.errors import LocalProtocolError, RemoteProtocolError, TrackerFailure
from bittwist.metainfo.compact import pack, unpack

MAGIC = bytes.fromhex("0000041727101980")  # stands where the connection id will (BEP 15)
CONNECT, ANNOUNCE, SCRAPE, ERROR = (number.to_bytes(4, "big") for number in range(4))
MAX_SCRAPE = 74  # info hashes in one scrape: more do not fit a datagram that travels whole (BEP 15)

_ANNOUNCE_REQUEST = Struct(">8s4s4s20s20sQQQI4s4siH")
_ANNOUNCE_REPLY = Struct(">4s4siII")
_SCRAPED = Struct(">III")
REQUEST_HEADER = 16  # connection id, action, transaction id
ANNOUNCE_SIZE = _ANNOUNCE_REQUEST.size  # 98; the options of BEP 41 stand behind
REPLY_HEADER = _ANNOUNCE_REPLY.size  # 20; the peers stand behind

_EVENTS = (Event.NONE, Event.COMPLETED, Event.STARTED, Event.STOPPED, Event.PAUSED)
_new_request = quick(AnnounceRequest)
_NO_IP = bytes(4)
_NO_KEY = bytes(4)
_MAX_COUNT = 2**32 - 1
_MAX_INTERVAL = 2**31 - 1
_END_OF_OPTIONS, _NOP, _URL_DATA = range(3)


@dataclass(frozen=True, slots=True)
class Connect:
    """A client asks for a connection id."""

    transaction: bytes


@dataclass(frozen=True, slots=True)
class Announce:
    """An announce; `url` is the path and query of the tracker's URL (BEP 41), or b""."""

    connection_id: bytes
    transaction: bytes
    request: AnnounceRequest
    url: bytes = b""


@dataclass(frozen=True, slots=True)
class Scrape:
    """A scrape of these swarms, in this order."""

    connection_id: bytes
    transaction: bytes
    info_hashes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Connected:
    """The tracker gives a connection id."""

    transaction: bytes
    connection_id: bytes


@dataclass(frozen=True, slots=True)
class Announced:
    """The answer to an announce: interval, sizes and peers; UDP carries no more of a response."""

    transaction: bytes
    response: AnnounceResponse


@dataclass(frozen=True, slots=True)
class Scraped:
    """The sizes of the swarms, in the order of the request; a tracker may leave out the last."""

    transaction: bytes
    entries: tuple[ScrapeEntry, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """The tracker's failure reason. Whose it is, only the transaction id tells."""

    transaction: bytes
    reason: str


Request = Connect | Announce | Scrape
Reply = Connected | Announced | Scraped | Refused


def encode_request(packet: Request) -> bytes:
    """The datagram of a client; LocalProtocolError where BEP 15 has no room for something."""
    match packet:
        case Connect(transaction):
            return MAGIC + CONNECT + transaction
        case Announce():
            return _encode_announce(packet)
        case Scrape(connection_id, transaction, info_hashes):
            return connection_id + SCRAPE + transaction + b"".join(info_hashes)


def decode_request(datagram: bytes, *, ipv6: bool = False) -> Request:
    """Read what a client sent; `ipv6` is the family it came by, under which there is no `ip` to say."""
    if len(datagram) < REQUEST_HEADER:
        raise RemoteProtocolError(f"{len(datagram)} bytes are no request")
    connection_id, action, transaction = datagram[:8], datagram[8:12], datagram[12:16]
    if connection_id == MAGIC and action == CONNECT:
        return Connect(transaction)
    if action == ANNOUNCE:
        return Announce(connection_id, transaction, read_announce(datagram, ipv6=ipv6), read_url(datagram))
    if action == SCRAPE:
        return Scrape(connection_id, transaction, read_scrape(datagram))
    raise RemoteProtocolError(f"no request has the action {action.hex()}")


def encode_reply(packet: Reply, *, ipv6: bool = False) -> bytes:
    """The datagram of a tracker; of the peers, only those of the family it goes by."""
    match packet:
        case Connected(transaction, connection_id):
            return CONNECT + transaction + connection_id
        case Announced(transaction, response):
            peers = pack(response.peers)[ipv6]
            seeds, leeches = response.complete or 0, response.incomplete or 0
            return announced(transaction, response.interval, leeches, seeds, peers)
        case Scraped(transaction, entries):
            return scraped(transaction, entries)
        case Refused(transaction, reason):
            return refused(transaction, reason)


def decode_reply(datagram: bytes, *, ipv6: bool = False) -> Reply:
    """Read what a tracker sent; `ipv6` is the family it came by, which sets the size of a peer."""
    if len(datagram) < 8:
        raise RemoteProtocolError(f"{len(datagram)} bytes are no reply")
    action, transaction = datagram[:4], datagram[4:8]
    if action == CONNECT:
        if len(datagram) < 16:
            raise RemoteProtocolError("a reply to connect without a connection id")
        return Connected(transaction, datagram[8:16])
    if action == ANNOUNCE:
        return Announced(transaction, _read_response(datagram, ipv6))
    if action == SCRAPE:
        whole = len(datagram) - (len(datagram) - 8) % _SCRAPED.size
        sizes = iter_unpack(">III", datagram[8:whole])
        return Scraped(transaction, tuple(ScrapeEntry(*size) for size in sizes))
    if action == ERROR:
        return Refused(transaction, _sentence(datagram[8:]))
    raise RemoteProtocolError(f"no reply has the action {action.hex()}")


# What follows is for a tracker that has looked at the header, and at the connection id, itself.


def read_announce(
    datagram: bytes,
    *,
    ipv6: bool = False,
    host: str | None = None,
    packed: bytes = b"",
    numwant: int | None = None,
    most: int = 2**31 - 1,
) -> AnnounceRequest:
    """The announce in this datagram.

    With `host` (as `Address` has it) and its 4 or 16 bytes `packed`, that is the peer's address unless it
    names another. Who names no number of peers gets `numwant`; nobody gets more than `most`.
    """
    if len(datagram) < ANNOUNCE_SIZE:
        raise RemoteProtocolError(f"{len(datagram)} bytes are no announce")
    _, _, _, info_hash, peer_id, downloaded, left, uploaded, event, ip, key, wanted, port = (
        _ANNOUNCE_REQUEST.unpack_from(datagram)
    )
    if not port:
        raise TrackerFailure("port: 0 is not in 1 to 65535")
    if wanted >= 0:  # below, it is "as you like"
        numwant = wanted
    if numwant is not None and numwant > most:
        numwant = most
    return _new_request(
        info_hash,
        peer_id,
        port,
        uploaded,
        downloaded,
        left,
        _EVENTS[event] if event < 5 else Event.NONE,  # a number nobody knows is a regular announce
        numwant,
        key if key != _NO_KEY else None,
        True,
        False,
        None if ip == _NO_IP or ipv6 else str(IPv4Address(ip)),
        None,
        Address.known(host, port, packed + datagram[96:98]) if host is not None else None,
    )


def read_url(datagram: bytes) -> bytes:
    """The path and query that an announce carries (BEP 41); an option that is cut off ends the options."""
    found = []
    at, end = ANNOUNCE_SIZE, len(datagram)
    while at < end and datagram[at] != _END_OF_OPTIONS:
        if datagram[at] == _NOP:
            at += 1
            continue
        if at + 1 == end or (after := at + 2 + datagram[at + 1]) > end:
            break
        if datagram[at] == _URL_DATA:
            found.append(datagram[at + 2 : after])
        at = after
    return b"".join(found)


def read_scrape(datagram: bytes) -> tuple[bytes, ...]:
    """The info hashes of a scrape, in order; what is left over behind the last is passed over."""
    ends = range(REQUEST_HEADER + 20, len(datagram) + 1, 20)
    if not ends:
        raise TrackerFailure("info_hash: missing (swarms are scraped by name)")
    return tuple([datagram[end - 20 : end] for end in ends])


def announced(transaction: bytes, interval: int, leeches: int, seeds: int, peers: bytes) -> bytes:
    """The reply to an announce; `peers` are packed already, and of the family it goes by."""
    # min() and max() would cost as much as the packing.
    interval = interval if -_MAX_INTERVAL <= interval <= _MAX_INTERVAL else _MAX_INTERVAL
    leeches = leeches if leeches < _MAX_COUNT else _MAX_COUNT
    seeds = seeds if seeds < _MAX_COUNT else _MAX_COUNT
    return _ANNOUNCE_REPLY.pack(ANNOUNCE, transaction, interval, leeches, seeds) + peers


def scraped(transaction: bytes, entries: Sequence[ScrapeEntry]) -> bytes:
    """The reply to a scrape."""
    sizes = [
        _SCRAPED.pack(
            *(min(count, _MAX_COUNT) for count in (entry.complete, entry.downloaded, entry.incomplete))
        )
        for entry in entries
    ]
    return SCRAPE + transaction + b"".join(sizes)


def refused(transaction: bytes, reason: str) -> bytes:
    """The reply that says why not."""
    return ERROR + transaction + reason[:MAX_TEXT].encode("utf-8", "replace")


def _encode_announce(packet: Announce) -> bytes:
    asked = packet.request
    key = asked.key or _NO_KEY
    if len(key) != 4:
        raise LocalProtocolError(f"a key of {len(key)} bytes does not go into the 4 of BEP 15")
    urls = [packet.url[start : start + 255] for start in range(0, len(packet.url), 255)]
    try:
        head = _ANNOUNCE_REQUEST.pack(
            packet.connection_id,
            ANNOUNCE,
            packet.transaction,
            asked.info_hash,
            asked.peer_id,
            asked.downloaded,
            asked.left,
            asked.uploaded,
            _EVENTS.index(asked.event),
            _NO_IP if asked.ip is None or ":" in asked.ip else IPv4Address(asked.ip).packed,
            key,
            -1 if asked.numwant is None else asked.numwant,
            asked.port,
        )
    except StructError as problem:
        raise LocalProtocolError(
            f"a number of this announce does not go into its field ({problem})"
        ) from None
    return head + b"".join([bytes((_URL_DATA, len(part))) + part for part in urls])


def _read_response(datagram: bytes, ipv6: bool) -> AnnounceResponse:
    if len(datagram) < REPLY_HEADER:
        raise RemoteProtocolError(f"{len(datagram)} bytes are no reply to an announce")
    _, _, interval, leeches, seeds = _ANNOUNCE_REPLY.unpack_from(datagram)
    width = 18 if ipv6 else 6
    peers = datagram[REPLY_HEADER : REPLY_HEADER + MAX_PEERS * width]
    found = unpack(peers[: len(peers) - len(peers) % width], width)
    return AnnounceResponse(
        interval=interval,
        complete=seeds,
        incomplete=leeches,
        peers=tuple(address for address in found if address.port),
    )


def _sentence(text: bytes) -> str:
    # It ends on somebody's screen: no control characters, no direction marks.
    shown = text[: 4 * MAX_TEXT].decode("utf-8", "replace")
    return "".join(mark if mark.isprintable() else " " for mark in shown)[:MAX_TEXT]
