"""What a browser says to a tracker over a WebSocket, without I/O (the WebTorrent tracker protocol).

No BEP describes it. A browser has no address that others could dial: it makes WebRTC *offers*, the tracker
hands each of them to another peer of the swarm, and that peer's *answer* back to it. The form of the messages
is in announce.fields, what the tracker says in announce.websocket_reply.
"""

from __future__ import annotations

from dataclasses import dataclass

from bittwist.announce.fields import Fields, Offer, binary, text, to_json
from bittwist.announce.query import UNKNOWN_LEFT
from bittwist.announce.values import AnnounceRequest, Event
from bittwist.errors import TrackerFailure

MAX_OFFERS = 82  # in an announce; webtorrent makes 5, and 82 is what its tracker reads
MAX_TRACKER_ID = 256  # bytes
MAX_TOKEN = 8 << 10  # bytes; as long as an HTTP header may be
MAX_SCRAPE = 1000  # info hashes in a scrape: more no settings allow

_EVENTS = {event.value: event for event in Event}


@dataclass(frozen=True, slots=True)
class Announce:
    """An announce, and offers to hand to others of the swarm; `token` is the parameter `jwt`.

    Its request has port 0, for want of one, and a `numwant` of at most as many as there are offers.
    """

    request: AnnounceRequest
    offers: tuple[Offer, ...] = ()
    token: bytes | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """`peer_id` answers the offer that `to_peer_id` made."""

    info_hash: bytes
    peer_id: bytes
    to_peer_id: bytes
    answer: Offer


@dataclass(frozen=True, slots=True)
class Scrape:
    """A question for the size of these swarms; `token` is as in an announce."""

    info_hashes: tuple[bytes, ...]
    token: bytes | None = None


Message = Announce | Answer | Scrape


def encode_message(message: Message) -> bytes:
    """The reverse of `decode_message`."""
    match message:
        case Announce(request, offers, token):
            fields: dict[str, object] = {
                "action": "announce",
                "info_hash": text(request.info_hash),
                "peer_id": text(request.peer_id),
                "uploaded": request.uploaded,
                "downloaded": request.downloaded,
                "left": request.left,
                "event": request.event.value or None,
                "numwant": request.numwant,
                "offers": [
                    {"offer_id": text(offer.offer_id), "offer": {"type": "offer", "sdp": offer.sdp}}
                    for offer in offers
                ],
                "trackerid": None if request.tracker_id is None else text(request.tracker_id),
                "jwt": None if token is None else text(token),
            }
        case Answer(info_hash, peer_id, to_peer_id, answer):
            fields = {
                "action": "announce",
                "info_hash": text(info_hash),
                "peer_id": text(peer_id),
                "to_peer_id": text(to_peer_id),
                "answer": {"type": "answer", "sdp": answer.sdp},
                "offer_id": text(answer.offer_id),
            }
        case Scrape(info_hashes, token):
            fields = {
                "action": "scrape",
                "info_hash": [text(info_hash) for info_hash in info_hashes],
                "jwt": None if token is None else text(token),
            }
    return to_json(fields)


def decode_message(payload: bytes) -> Message:
    """Read a browser's message; MessageFailure names the key that cannot be used. Others are passed over."""
    fields = Fields.read(payload)
    try:
        match fields.get("action"):
            case "announce" if fields.get("answer") is None:
                return _announce(fields)
            case "announce":
                return _answer(fields)
            case "scrape":
                return _scrape(fields)
        raise TrackerFailure("action: neither announce nor scrape")
    except TrackerFailure as failure:
        raise fields.failure(failure.reason) from failure


def _announce(fields: Fields) -> Announce:
    offers = _offers(fields.get("offers"))
    event = fields.get("event")
    request = AnnounceRequest(
        info_hash=fields.binary("info_hash", 20),
        peer_id=fields.binary("peer_id", 20),
        port=0,
        uploaded=fields.number("uploaded", 0),
        downloaded=fields.number("downloaded", 0),
        left=UNKNOWN_LEFT if fields.get("left") == -1 else fields.number("left", UNKNOWN_LEFT),
        # A word we do not know is a regular announce.
        event=_EVENTS.get(event, Event.NONE) if isinstance(event, str) else Event.NONE,
        numwant=min(fields.number("numwant", len(offers)), len(offers)),
        tracker_id=fields.optional("trackerid", MAX_TRACKER_ID),
    )
    return Announce(request, offers, fields.optional("jwt", MAX_TOKEN))


def _offers(value: object) -> tuple[Offer, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > MAX_OFFERS:
        raise TrackerFailure(f"offers: not a list of at most {MAX_OFFERS}")
    found = []
    for item in value:
        if not isinstance(item, dict):
            raise TrackerFailure("offers: not a list of objects")
        found.append(Fields(item).offer("offer"))
    return tuple(found)


def _answer(fields: Fields) -> Answer:
    return Answer(
        info_hash=fields.binary("info_hash", 20),
        peer_id=fields.binary("peer_id", 20),
        to_peer_id=fields.binary("to_peer_id", 20),
        answer=fields.offer("answer"),
    )


def _scrape(fields: Fields) -> Scrape:
    asked = fields.get("info_hash")
    listed = asked if isinstance(asked, list) else [] if asked is None else [asked]
    if not listed:
        raise TrackerFailure("info_hash: missing (swarms are scraped by name)")
    if len(listed) > MAX_SCRAPE:
        raise TrackerFailure(f"info_hash: {len(listed)} are too many")
    found: dict[bytes, None] = {}
    for item in listed:
        info_hash = binary(item, "info_hash", 20)
        if len(info_hash) != 20:
            raise TrackerFailure(f"info_hash: {len(info_hash)} bytes instead of 20")
        found[info_hash] = None
    return Scrape(tuple(found), fields.optional("jwt", MAX_TOKEN))
