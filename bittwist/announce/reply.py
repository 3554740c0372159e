"""A tracker's bencoded replies, both ways (BEP 3, 7, 23, 24, 31, 48).

Decoding: a field of the wrong type counts as absent, and a peer that cannot be read is passed over:
one odd field must not cost a swarm its tracker. Only what is no reply at all is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from itertools import chain, islice

from bittwist.address import Address, fold, pack_host
from bittwist.announce.values import DEFAULT_INTERVAL, AnnounceRequest, AnnounceResponse, ScrapeEntry
from bittwist.errors import BencodeError, RemoteProtocolError, TrackerFailure
from bittwist.metainfo.bencode import Value, decode, encode
from bittwist.metainfo.compact import pack

MAX_PEERS = 200  # peers used of one reply: a hostile tracker shall not fill our list (SECURITY.md, C3)
MAX_TEXT = 500  # characters kept of a failure or a warning: a sentence for a person
MAX_TRACKER_ID = 256  # a longer tracker id would go back in every URL
MAX_NUMBER = 2**63 - 1  # what no honest counter reaches; bigger ones count as absent
MAX_RETRY_MINUTES = 525_600  # a year: whoever means longer says "never" (BEP 31)


def encode_announce_response(response: AnnounceResponse, request: AnnounceRequest) -> bytes:
    """The reply in the form the request asks for: compact (BEP 23, 7) or a list of dictionaries (BEP 3)."""
    reply = _reply(response)
    if request.compact:
        peers4, peers6 = pack(response.peers)
        reply[b"peers"] = peers4
        if peers6:
            reply[b"peers6"] = peers6
    else:
        peer_ids = () if request.no_peer_id else response.peer_ids
        reply[b"peers"] = list(_dictionaries(response.peers, peer_ids))
    return encode(reply)


def encode_compact_response(response: AnnounceResponse, peers4: bytes, peers6: bytes) -> bytes:
    """A compact reply whose peers are packed already (a tracker's store keeps them so)."""
    # The keys in their order, put down as they are: the general encoder takes five times as long.
    reply = b"d"
    if response.complete is not None:
        reply += b"8:completei%de" % response.complete
    if response.downloaded is not None:
        reply += b"10:downloadedi%de" % response.downloaded
    if response.external_ip is not None:
        reply += b"11:external ip" + _string(pack_host(response.external_ip))
    if response.incomplete is not None:
        reply += b"10:incompletei%de" % response.incomplete
    reply += b"8:intervali%de" % response.interval
    if response.min_interval is not None:
        reply += b"12:min intervali%de" % response.min_interval
    reply += b"5:peers%d:%b" % (len(peers4), peers4)
    if peers6:
        reply += b"6:peers6%d:%b" % (len(peers6), peers6)
    if response.tracker_id is not None:
        reply += b"10:tracker id" + _string(response.tracker_id)
    if response.warning is not None:
        reply += b"15:warning message" + _string(response.warning.encode())
    return reply + b"e"


def decode_announce_response(body: bytes) -> AnnounceResponse:
    """Read a tracker's reply; TrackerFailure where it says so, RemoteProtocolError where it is no reply."""
    reply = _dictionary(body)
    interval = _signed(reply.get(b"interval"))
    listed, six = reply.get(b"peers"), reply.get(b"peers6")
    if interval is None and not isinstance(listed, bytes | list) and not isinstance(six, bytes):
        raise RemoteProtocolError("the tracker's reply has neither an interval nor peers")
    found = list(islice(chain(_listed(listed), _packed(six, 18)), MAX_PEERS))
    has_ids = any(peer_id for _, peer_id in found)
    return AnnounceResponse(
        interval=DEFAULT_INTERVAL if interval is None else interval,
        min_interval=_count(reply.get(b"min interval")),
        complete=_count(reply.get(b"complete")),
        incomplete=_count(reply.get(b"incomplete")),
        downloaded=_count(reply.get(b"downloaded")),
        peers=tuple(address for address, _ in found),
        peer_ids=tuple(peer_id for _, peer_id in found) if has_ids else (),
        warning=_text(reply.get(b"warning message")),
        tracker_id=_tracker_id(reply.get(b"tracker id")),
        external_ip=_external_ip(reply.get(b"external ip")),
    )


def encode_scrape_response(entries: Mapping[bytes, ScrapeEntry]) -> bytes:
    """The reply to a scrape (BEP 48), with the downloaders where they are counted (BEP 21)."""
    return encode({b"files": {info_hash: _size(entry) for info_hash, entry in entries.items()}})


def decode_scrape_response(body: bytes) -> dict[bytes, ScrapeEntry]:
    """Read the reply to a scrape; raises as decode_announce_response does."""
    files = _dictionary(body).get(b"files")
    if not isinstance(files, dict):
        raise RemoteProtocolError("the tracker's reply to a scrape has no files")
    return {
        info_hash: ScrapeEntry(
            complete=_count(entry.get(b"complete")) or 0,
            downloaded=_count(entry.get(b"downloaded")) or 0,
            incomplete=_count(entry.get(b"incomplete")) or 0,
            downloaders=_count(entry.get(b"downloaders")),
        )
        for info_hash, entry in files.items()
        if len(info_hash) == 20 and isinstance(entry, dict)
    }


def encode_failure(failure: TrackerFailure) -> bytes:
    """A refusal (BEP 3), with the minutes to wait where they are known (BEP 31)."""
    reply: dict[bytes, Value] = {b"failure reason": failure.reason.encode()}
    if failure.retry_in is not None:
        never = math.isinf(failure.retry_in)
        reply[b"retry in"] = b"never" if never else max(1, math.ceil(failure.retry_in / 60))
    return encode(reply)


def _string(text: bytes) -> bytes:
    return b"%d:%b" % (len(text), text)


def _reply(response: AnnounceResponse) -> dict[bytes, Value]:
    optional: dict[bytes, Value | None] = {
        b"min interval": response.min_interval,
        b"complete": response.complete,
        b"incomplete": response.incomplete,
        b"downloaded": response.downloaded,
        b"warning message": None if response.warning is None else response.warning.encode(),
        b"tracker id": response.tracker_id,
        b"external ip": None if response.external_ip is None else pack_host(response.external_ip),
    }
    reply: dict[bytes, Value] = {b"interval": response.interval}
    reply.update((key, value) for key, value in optional.items() if value is not None)
    return reply


def _size(entry: ScrapeEntry) -> dict[bytes, Value]:
    size: dict[bytes, Value] = {
        b"complete": entry.complete,
        b"downloaded": entry.downloaded,
        b"incomplete": entry.incomplete,
    }
    if entry.downloaders is not None:
        size[b"downloaders"] = entry.downloaders
    return size


def _dictionaries(peers: tuple[Address, ...], peer_ids: tuple[bytes, ...]) -> Iterator[Value]:
    for position, peer in enumerate(peers):
        entry: dict[bytes, Value] = {b"ip": peer.host.encode(), b"port": peer.port}
        if peer_ids and peer_ids[position]:
            entry[b"peer id"] = peer_ids[position]
        yield entry


def _dictionary(body: bytes) -> dict[bytes, Value]:
    try:
        # Not strict: trackers exist that do not sort their keys, or end in a line break.
        reply = decode(body, strict=False)
    except BencodeError as error:
        raise RemoteProtocolError(f"the tracker's reply is not bencoded: {error}") from error
    if not isinstance(reply, dict):
        raise RemoteProtocolError("the tracker's reply is not a dictionary")
    if b"failure reason" in reply:
        reason = _text(reply[b"failure reason"]) or "the tracker gives no reason"
        raise TrackerFailure(reason, _retry_in(reply.get(b"retry in")))
    return reply


def _listed(listed: Value | None) -> Iterator[tuple[Address, bytes]]:
    if isinstance(listed, list):
        for entry in listed:
            if isinstance(entry, dict) and (address := _address(entry.get(b"ip"), entry.get(b"port"))):
                peer_id = entry.get(b"peer id")
                yield address, peer_id if isinstance(peer_id, bytes) and len(peer_id) == 20 else b""
    else:
        yield from _packed(listed, 6)


def _packed(packed: Value | None, width: int) -> Iterator[tuple[Address, bytes]]:
    if not isinstance(packed, bytes):
        return
    for start in range(0, len(packed) - width + 1, width):  # an incomplete last entry is passed over
        address = Address.unpack(packed[start : start + width])
        if address.port:
            yield address, b""


def _address(ip: Value | None, port: Value | None) -> Address | None:
    # A DNS name is passed over: looking up what a tracker names would let it choose whom we ask.
    if not isinstance(ip, bytes) or len(ip) > 45 or not isinstance(port, int) or not 0 < port <= 65535:
        return None
    try:
        return Address(ip.decode("ascii"), port)
    except ValueError:
        return None


def _signed(value: Value | None) -> int | None:
    return value if isinstance(value, int) and abs(value) <= MAX_NUMBER else None


def _count(value: Value | None) -> int | None:
    return value if isinstance(value, int) and 0 <= value <= MAX_NUMBER else None


def _text(value: Value | None) -> str | None:
    # It ends on somebody's screen: no control characters, no direction marks.
    if not isinstance(value, bytes):
        return None
    text = value[: 4 * MAX_TEXT].decode("utf-8", "replace")
    return "".join(mark if mark.isprintable() else " " for mark in text)[:MAX_TEXT]


def _tracker_id(value: Value | None) -> bytes | None:
    return value if isinstance(value, bytes) and len(value) <= MAX_TRACKER_ID else None


def _external_ip(value: Value | None) -> str | None:
    if not isinstance(value, bytes) or len(value) not in (4, 16):
        return None
    return fold(str(ip_address(value)))


def _retry_in(value: Value | None) -> float | None:
    # The BEP says an integer, and shows a string of digits.
    if isinstance(value, bytes):
        if value == b"never":
            return math.inf
        value = int(value) if value.isdigit() and len(value) <= 9 else None
    if not isinstance(value, int) or value <= 0:
        return None
    return 60.0 * min(value, MAX_RETRY_MINUTES)
