"""What a tracker says to a browser over a WebSocket, without I/O (the WebTorrent tracker protocol).

The form of the messages is in announce.fields, what the browser says in announce.websocket.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, inf, isinf

from bittwist.announce.fields import Fields, Offer, binary, text, to_json
from bittwist.announce.values import DEFAULT_INTERVAL, AnnounceResponse, ScrapeEntry
from bittwist.announce.websocket import MAX_TRACKER_ID
from bittwist.errors import TrackerFailure

MAX_REASON = 1 << 10  # characters of a warning or failure that are kept


@dataclass(frozen=True, slots=True)
class Announced:
    """The answer to an announce. Its response names no peers: their offers come one by one."""

    info_hash: bytes
    response: AnnounceResponse


@dataclass(frozen=True, slots=True)
class OfferFrom:
    """An offer that `peer_id` makes."""

    info_hash: bytes
    peer_id: bytes
    offer: Offer


@dataclass(frozen=True, slots=True)
class AnswerFrom:
    """What `peer_id` answers to an offer."""

    info_hash: bytes
    peer_id: bytes
    answer: Offer


@dataclass(frozen=True, slots=True)
class Scraped:
    """The sizes of swarms, and the seconds after which to ask again."""

    entries: Mapping[bytes, ScrapeEntry]
    interval: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A failure, for the announce or the scrape of a torrent; `retry_in` as in TrackerFailure (BEP 31)."""

    reason: str
    retry_in: float | None = None
    action: str = "announce"
    info_hash: bytes | None = None


ReplyMessage = Announced | OfferFrom | AnswerFrom | Scraped | Refused


def encode_reply(reply: ReplyMessage) -> bytes:
    """The reverse of `decode_reply`."""
    match reply:
        case Announced(info_hash, response):
            return to_json(
                {
                    "action": "announce",
                    "info_hash": text(info_hash),
                    "interval": response.interval,
                    "min interval": response.min_interval,
                    "complete": response.complete,
                    "incomplete": response.incomplete,
                    "downloaded": response.downloaded,
                    "warning message": response.warning,
                    "tracker id": None if response.tracker_id is None else text(response.tracker_id),
                }
            )
        case OfferFrom(info_hash, peer_id, offer):
            return _relayed("offer", info_hash, peer_id, offer)
        case AnswerFrom(info_hash, peer_id, answer):
            return _relayed("answer", info_hash, peer_id, answer)
        case Scraped(entries, interval):
            files = {text(info_hash): _entry(entry) for info_hash, entry in entries.items()}
            return to_json({"action": "scrape", "files": files, "flags": {"min_request_interval": interval}})
        case Refused(reason, retry_in, action, info_hash):
            return to_json(
                {
                    "action": action,
                    "info_hash": None if info_hash is None else text(info_hash),
                    "failure reason": reason,
                    "retry in": None if retry_in is None else _minutes(retry_in),
                }
            )


def decode_reply(payload: bytes) -> ReplyMessage:
    """Read a tracker's message; MessageFailure names the key that cannot be used. Others are passed over."""
    fields = Fields.read(payload)
    try:
        if fields.get("failure reason") is not None:
            return _refused(fields)
        match fields.get("action"):
            case "announce" if fields.get("offer") is not None:
                return OfferFrom(*_sender(fields), fields.offer("offer"))
            case "announce" if fields.get("answer") is not None:
                return AnswerFrom(*_sender(fields), fields.offer("answer"))
            case "announce":
                return _announced(fields)
            case "scrape":
                return _scraped(fields)
        raise TrackerFailure("action: neither announce nor scrape")
    except TrackerFailure as failure:
        raise fields.failure(failure.reason) from failure


def _relayed(kind: str, info_hash: bytes, peer_id: bytes, offer: Offer) -> bytes:
    return to_json(
        {
            "action": "announce",
            "info_hash": text(info_hash),
            "peer_id": text(peer_id),
            "offer_id": text(offer.offer_id),
            kind: {"type": kind, "sdp": offer.sdp},
        }
    )


def _entry(entry: ScrapeEntry) -> dict[str, int]:
    found = {
        "complete": entry.complete,
        "downloaded": entry.downloaded,
        "incomplete": entry.incomplete,
    }
    return found if entry.downloaders is None else {**found, "downloaders": entry.downloaders}


def _minutes(seconds: float) -> int | str:
    return "never" if isinf(seconds) else max(1, ceil(seconds / 60))


def _sender(fields: Fields) -> tuple[bytes, bytes]:
    return fields.binary("info_hash", 20), fields.binary("peer_id", 20)


def _announced(fields: Fields) -> Announced:
    response = AnnounceResponse(
        interval=fields.number("interval", DEFAULT_INTERVAL),
        min_interval=_optional(fields, "min interval"),
        complete=_optional(fields, "complete"),
        incomplete=_optional(fields, "incomplete"),
        downloaded=_optional(fields, "downloaded"),
        warning=_sentence(fields, "warning message"),
        tracker_id=fields.optional("tracker id", MAX_TRACKER_ID),
    )
    return Announced(fields.binary("info_hash", 20), response)


def _scraped(fields: Fields) -> Scraped:
    files = fields.within("files")
    entries = {}
    for name in files:
        info_hash = binary(name, "files", 20)
        if len(info_hash) != 20:
            raise TrackerFailure(f"files: {len(info_hash)} bytes instead of 20")
        entry = files.within(name)
        entries[info_hash] = ScrapeEntry(
            complete=entry.number("complete", 0),
            downloaded=entry.number("downloaded", 0),
            incomplete=entry.number("incomplete", 0),
            downloaders=_optional(entry, "downloaders"),
        )
    flags = fields.get("flags")
    interval = DEFAULT_INTERVAL if flags is None else fields.within("flags").number("min_request_interval", 0)
    return Scraped(entries, interval)


def _refused(fields: Fields) -> Refused:
    about = fields.failure("")
    after = fields.get("retry in")
    retry_in = inf if after == "never" else 60.0 * fields.number("retry in", 0) if after is not None else None
    return Refused(_sentence(fields, "failure reason") or "", retry_in, about.action, about.info_hash)


def _optional(fields: Fields, name: str) -> int | None:
    return None if fields.get(name) is None else fields.number(name, 0)


def _sentence(fields: Fields, name: str) -> str | None:
    value = fields.get(name)
    return value[:MAX_REASON] if isinstance(value, str) else None
