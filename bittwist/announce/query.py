"""The query string of an announce and of a scrape, both ways (BEP 3, 23, 48)."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote, unquote_to_bytes, urlsplit, urlunsplit

from bittwist.address import Address, fold, pack_host
from bittwist.announce.values import AnnounceRequest, Event
from bittwist.errors import TrackerFailure

MAX_NUMBER = 2**64 - 1  # uploaded, downloaded and left are 64 bits in the UDP form (BEP 15)
UNKNOWN_LEFT = 16384  # a peer that does not know the size yet is a leech: one block left, at least

_EVENTS = {event.value.encode(): event for event in Event}


def encode_announce_url(tracker_url: str, request: AnnounceRequest) -> str:
    """The URL to fetch; what the tracker's URL says in its own query (a passkey) stays in front."""
    pairs: list[tuple[str, str | bytes | int]] = [
        ("info_hash", request.info_hash),
        ("peer_id", request.peer_id),
        ("port", request.port),
        ("uploaded", request.uploaded),
        ("downloaded", request.downloaded),
        ("left", request.left),
        ("compact", int(request.compact)),
    ]
    if request.no_peer_id:
        pairs.append(("no_peer_id", 1))
    if request.event is not Event.NONE:
        pairs.append(("event", request.event.value))
    if request.numwant is not None:
        pairs.append(("numwant", request.numwant))
    if request.key is not None:
        pairs.append(("key", request.key))
    if request.ip is not None:
        pairs.append(("ip", request.ip))
    if request.tracker_id is not None:
        pairs.append(("trackerid", request.tracker_id))
    return _with_query(tracker_url, pairs)


def scrape_url(tracker_url: str, info_hashes: Iterable[bytes]) -> str | None:
    """The URL that scrapes these swarms, or None where the tracker's URL does not allow one (BEP 48)."""
    parts = urlsplit(tracker_url)
    before, announce, after = parts.path.rpartition("/announce")
    if not announce:
        return None
    scrape = parts._replace(path=f"{before}/scrape{after}")
    return _with_query(urlunsplit(scrape), [("info_hash", info_hash) for info_hash in info_hashes])


def decode_announce_query(query: bytes) -> AnnounceRequest:
    """Read what stands behind the `?`; TrackerFailure names the parameter that cannot be used."""
    return read_announce(read_query(query))


def read_query(query: bytes) -> dict[bytes, bytes]:
    """The parameters by name. Where one is repeated the first counts."""
    return dict(reversed(_parameters(query)))


def read_announce(
    given: dict[bytes, bytes],
    *,
    host: str | None = None,
    numwant: int | None = None,
    most: int = MAX_NUMBER,
) -> AnnounceRequest:
    """The announce in these parameters; those nobody knows are passed over.

    With `host` (as `Address` has it) that is the peer's address, unless it names another. Who names no number
    of peers gets `numwant`; nobody gets more than `most`. TrackerFailure names what cannot be used.
    """
    port = _number(given, b"port", None)
    if not 0 < port <= 65535:
        raise TrackerFailure(f"port: {port} is not in 1 to 65535")
    ip = _ip(given[b"ip"]) if b"ip" in given else None
    if given.get(b"numwant", b"-1") != b"-1":  # "as you like" in the UDP form (BEP 15), and some say so here
        numwant = _number(given, b"numwant", 0)
    if numwant is not None and numwant > most:
        numwant = most
    # In the order of its fields, by position: half of what a request costs.
    return AnnounceRequest(
        _twenty_bytes(given, b"info_hash"),
        _twenty_bytes(given, b"peer_id"),
        port,
        _number(given, b"uploaded", 0),
        _number(given, b"downloaded", 0),
        UNKNOWN_LEFT if given.get(b"left") == b"-1" else _number(given, b"left", UNKNOWN_LEFT),
        _EVENTS.get(given.get(b"event", b""), Event.NONE),  # a word nobody knows is a regular announce
        numwant,
        given.get(b"key"),
        given.get(b"compact") != b"0",  # BEP 23 suggests compact unless told otherwise
        given.get(b"no_peer_id") == b"1",
        ip,
        given.get(b"trackerid"),
        None if host is None or ip is not None else _address(host, port),
    )


def decode_scrape_query(query: bytes) -> tuple[bytes, ...]:
    """The info hashes asked about, each once, in the order given; TrackerFailure where there is none."""
    found = {value: None for name, value in _parameters(query) if name == b"info_hash"}
    if not found:
        raise TrackerFailure("info_hash: missing (swarms are scraped by name)")
    for value in found:
        if len(value) != 20:
            raise TrackerFailure(f"info_hash: {len(value)} bytes instead of 20")
    return tuple(found)


def _with_query(url: str, pairs: Iterable[tuple[str, str | bytes | int]]) -> str:
    # A space is %20 here, never +: not every tracker reads + as a space.
    added = "&".join(
        f"{name}={quote(str(value) if isinstance(value, int) else value, safe='')}" for name, value in pairs
    )
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query=f"{parts.query}&{added}" if parts.query else added, fragment=""))


def _parameters(query: bytes) -> list[tuple[bytes, bytes]]:
    # A bare + comes from form encoders, which mean a space by it.
    found = []
    for part in query.replace(b"+", b" ").split(b"&"):
        name, equals, value = part.partition(b"=")
        if equals:
            found.append((_unquoted(name), _unquoted(value)) if b"%" in part else (name, value))
    return found


def _unquoted(text: bytes) -> bytes:
    """As `unquote_to_bytes`, several times as fast; escapes that are none stand for themselves."""
    try:
        # Python's own escapes are %XX in other letters, and read by C.
        return text.replace(b"\\", b"\\\\").replace(b"%", b"\\x").decode("unicode_escape").encode("latin-1")
    except UnicodeDecodeError:
        return unquote_to_bytes(text)


def _twenty_bytes(given: dict[bytes, bytes], name: bytes) -> bytes:
    value = given.get(name)
    if value is None:
        raise TrackerFailure(f"{name.decode()}: missing")
    if len(value) != 20:
        raise TrackerFailure(f"{name.decode()}: {len(value)} bytes instead of 20")
    return value


def _number(given: dict[bytes, bytes], name: bytes, default: int | None) -> int:
    text = given.get(name)
    if not text:
        if default is None:
            raise TrackerFailure(f"{name.decode()}: missing")
        return default
    # Twenty digits hold every 64-bit number; int() alone would also take " 1_0 ".
    if len(text) > 20 or not text.isdigit() or (number := int(text)) > MAX_NUMBER:
        raise TrackerFailure(f"{name.decode()}: not a number from 0 to 2^64 - 1")
    return number


def _address(host: str, port: int) -> Address:
    return Address.known(host, port, pack_host(host) + port.to_bytes(2, "big"))


def _ip(text: bytes) -> str | None:
    # BEP 3 allows a DNS name too. Whoever may say an address at all can say it as an address.
    if len(text) > 45:
        return None
    try:
        return fold(text.decode("ascii"))
    except ValueError:
        return None
