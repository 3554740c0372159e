"""The messages of browsers and what trackers say to them: the WebTorrent tracker protocol."""

import json
import math
import random
from dataclasses import replace
from unittest import TestCase

from hypothesis import given
from hypothesis import strategies as st

from bittwist.announce.fields import MAX_SDP, MessageFailure, Offer
from bittwist.announce.query import UNKNOWN_LEFT
from bittwist.announce.values import AnnounceRequest, AnnounceResponse, Event, ScrapeEntry
from bittwist.announce.websocket import (
    MAX_OFFERS,
    MAX_SCRAPE,
    Announce,
    Answer,
    Message,
    Scrape,
    decode_message,
    encode_message,
)
from bittwist.announce.websocket_reply import (
    Announced,
    AnswerFrom,
    OfferFrom,
    Refused,
    ReplyMessage,
    Scraped,
    decode_reply,
    encode_reply,
)
from bittwist.errors import TrackerFailure
from tests.scale import SEED, runs

HASH, PEER, OTHER = b"h" * 20, b"p" * 20, b"o" * 20

ids = st.binary(min_size=20, max_size=20)
counters = st.integers(0, 2**64 - 1)
offers = st.builds(Offer, offer_id=st.binary(min_size=1, max_size=64), sdp=st.text(max_size=100))
tokens = st.none() | st.binary(max_size=50)
announces = st.builds(
    lambda request, offers, numwant, token: Announce(
        replace(request, numwant=min(numwant, len(offers))), tuple(offers), token
    ),
    st.builds(
        AnnounceRequest,
        info_hash=ids,
        peer_id=ids,
        port=st.just(0),
        uploaded=counters,
        downloaded=counters,
        left=counters,
        event=st.sampled_from(Event),
        tracker_id=st.none() | st.binary(max_size=20),
    ),
    st.lists(offers, max_size=5),
    st.integers(0, 9),
    tokens,
)
messages = (
    announces
    | st.builds(Answer, info_hash=ids, peer_id=ids, to_peer_id=ids, answer=offers)
    | st.builds(
        Scrape, info_hashes=st.lists(ids, min_size=1, max_size=5, unique=True).map(tuple), token=tokens
    )
)
entries = st.builds(
    ScrapeEntry,
    complete=counters,
    downloaded=counters,
    incomplete=counters,
    downloaders=st.none() | counters,
)
replies = (
    st.builds(
        Announced,
        info_hash=ids,
        response=st.builds(
            AnnounceResponse,
            interval=counters,
            min_interval=st.none() | counters,
            complete=st.none() | counters,
            incomplete=st.none() | counters,
            downloaded=st.none() | counters,
            warning=st.none() | st.text(max_size=50),
            tracker_id=st.none() | st.binary(max_size=20),
        ),
    )
    | st.builds(OfferFrom, info_hash=ids, peer_id=ids, offer=offers)
    | st.builds(AnswerFrom, info_hash=ids, peer_id=ids, answer=offers)
    | st.builds(Scraped, entries=st.dictionaries(ids, entries, max_size=3), interval=counters)
    | st.builds(
        Refused,
        reason=st.text(max_size=50),
        retry_in=st.none() | st.just(math.inf) | st.integers(1, 9999).map(lambda minutes: 60.0 * minutes),
        action=st.sampled_from(["announce", "scrape"]),
        info_hash=st.none() | ids,
    )
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=25),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(
    (
        "action",
        "info_hash",
        "peer_id",
        "to_peer_id",
        "left",
        "uploaded",
        "numwant",
        "offers",
        "offer",
        "answer",
        "offer_id",
        "event",
        "trackerid",
        "jwt",
        "files",
        "flags",
        "interval",
        "failure reason",
        "retry in",
    )
)
like_messages = st.dictionaries(names, json_values | st.just("h" * 20)).flatmap(
    lambda fields: st.sampled_from(["announce", "scrape"]).map(lambda action: {"action": action, **fields})
)


def announce(**fields: object) -> bytes:
    """An announce as webtorrent sends it, with these fields changed; None leaves one out."""
    whole: dict[str, object] = {
        "numwant": 1,
        "uploaded": 0,
        "downloaded": 0,
        "left": 5,
        "event": "started",
        "action": "announce",
        "info_hash": "h" * 20,
        "peer_id": "p" * 20,
        "offers": [{"offer": {"type": "offer", "sdp": "v=0\r\n"}, "offer_id": "i" * 20}],
    }
    whole.update(fields)
    return json.dumps({name: value for name, value in whole.items() if value is not None}).encode()


def answer(**fields: object) -> bytes:
    whole = {"to_peer_id": "o" * 20, "answer": {"type": "answer", "sdp": "v=0"}, "offer_id": "i" * 20}
    return announce(**{**whole, "offers": None, **fields})


def scrape(**fields: object) -> bytes:
    return json.dumps({"action": "scrape", **fields}).encode()


class RoundTripTests(TestCase):
    @given(messages)
    def test_what_a_browser_says_is_what_a_tracker_reads(self, message: Message) -> None:
        self.assertEqual(decode_message(encode_message(message)), message)

    @given(replies)
    def test_what_a_tracker_says_is_what_a_browser_reads(self, reply: ReplyMessage) -> None:
        self.assertEqual(decode_reply(encode_reply(reply)), reply)


class AnnounceTests(TestCase):
    def read(self, **fields: object) -> Announce:
        message = decode_message(announce(**fields))
        assert isinstance(message, Announce)
        return message

    def test_the_announce_of_webtorrent(self) -> None:
        request = AnnounceRequest(HASH, PEER, 0, left=5, event=Event.STARTED, numwant=1)
        self.assertEqual(self.read(), Announce(request, (Offer(b"i" * 20, "v=0\r\n"),)))

    def test_the_code_points_of_a_binary_string_are_its_bytes(self) -> None:
        info_hash = bytes(range(236, 256))
        self.assertEqual(self.read(info_hash=info_hash.decode("latin-1")).request.info_hash, info_hash)

    def test_a_peer_that_does_not_know_what_is_left_is_a_leech(self) -> None:
        for left in (None, -1, -1.0):
            with self.subTest(left=left):
                self.assertEqual(self.read(left=left).request.left, UNKNOWN_LEFT)
        self.assertTrue(self.read(left=0.0).request.is_seed)

    def test_a_word_nobody_knows_is_a_regular_announce(self) -> None:
        for event in ("update", "empty", "", 5, ["started"], None):
            with self.subTest(event=event):
                self.assertIs(self.read(event=event).request.event, Event.NONE)

    def test_no_more_peers_are_wanted_than_there_are_offers(self) -> None:
        for numwant, understood in ((50, 1), (0, 0), (None, 1)):
            with self.subTest(numwant=numwant):
                self.assertEqual(self.read(numwant=numwant).request.numwant, understood)
        self.assertEqual(self.read(offers=None).request.numwant, 0)

    def test_of_a_session_description_only_type_and_text_are_read(self) -> None:
        offered = [{"offer": {"type": "offer", "sdp": "v=0", "more": [1]}, "offer_id": "\x00", "more": {}}]
        self.assertEqual(self.read(offers=offered).offers, (Offer(b"\x00", "v=0"),))

    def test_a_token_and_a_tracker_id_are_binary_strings(self) -> None:
        message = self.read(jwt="a.b.\xff", trackerid="\xfe")
        self.assertEqual((message.token, message.request.tracker_id), (b"a.b.\xff", b"\xfe"))

    def test_what_cannot_be_used_is_named(self) -> None:
        sdp = {"type": "offer", "sdp": "v=0"}
        cases: list[tuple[bytes, str]] = [
            (announce(info_hash=None), "info_hash: missing"),
            (announce(info_hash="h" * 19), "info_hash: 19 bytes instead of 20"),
            (announce(info_hash="h" * 21), "info_hash: 21 bytes are too many"),
            (announce(info_hash="h" * 19 + "Ā"), "info_hash: not a binary string"),
            (announce(info_hash=["h" * 20]), "info_hash: not a string"),
            (announce(peer_id="p"), "peer_id: 1 bytes instead of 20"),
            (announce(left=-2), "left: not a number from 0 to 2^64 - 1"),
            (announce(left=1.5), "left: not a number from 0 to 2^64 - 1"),
            (announce(left=True), "left: not a number from 0 to 2^64 - 1"),
            (announce(left="5"), "left: not a number from 0 to 2^64 - 1"),
            (announce(uploaded=2**64), "uploaded: not a number from 0 to 2^64 - 1"),
            (announce(downloaded=[]), "downloaded: not a number from 0 to 2^64 - 1"),
            (announce(numwant=-1), "numwant: not a number from 0 to 2^64 - 1"),
            (announce(trackerid="t" * 257), "trackerid: 257 bytes are too many"),
            (announce(jwt=5), "jwt: not a string"),
            (announce(offers={}), "offers: not a list of at most 82"),
            (announce(offers=[{}] * (MAX_OFFERS + 1)), "offers: not a list of at most 82"),
            (announce(offers=["offer"]), "offers: not a list of objects"),
            (announce(offers=[{"offer": sdp}]), "offer_id: missing"),
            (announce(offers=[{"offer": sdp, "offer_id": ""}]), "offer_id: missing"),
            (
                announce(offers=[{"offer": sdp, "offer_id": "i" * 65}]),
                "offer_id: 65 bytes are too many",
            ),
            (announce(offers=[{"offer": "v=0", "offer_id": "i"}]), "offer: not an object"),
            (
                announce(offers=[{"offer": {"type": "answer", "sdp": "v=0"}, "offer_id": "i"}]),
                "offer: not a session description of that type",
            ),
            (
                announce(offers=[{"offer": {"type": "offer", "sdp": "é" * 8193}, "offer_id": "i"}]),
                "offer: a session description of 16386 bytes is too long",
            ),
            (
                announce(offers=[{"offer": {"type": "offer", "sdp": "\ud800"}, "offer_id": "i"}]),
                "offer: its session description is no text",
            ),
            (answer(to_peer_id=None), "to_peer_id: missing"),
            (answer(offer_id=None), "offer_id: missing"),
            (answer(answer="v=0"), "answer: not an object"),
            (answer(answer={"type": "answer"}), "answer: not a session description of that type"),
            (announce(action="stop"), "action: neither announce nor scrape"),
            (announce(action=None), "action: neither announce nor scrape"),
            (announce(action=["announce"]), "action: neither announce nor scrape"),
            (scrape(), "info_hash: missing (swarms are scraped by name)"),
            (scrape(info_hash=[]), "info_hash: missing (swarms are scraped by name)"),
            (scrape(info_hash=["h" * 20, "h"]), "info_hash: 1 bytes instead of 20"),
            (scrape(info_hash=["h" * 20] * (MAX_SCRAPE + 1)), "info_hash: 1001 are too many"),
            (b"[]", "this is no object of JSON"),
            (b"", "this is no JSON"),
            (b"\xff", "this is no JSON"),
            (b'{"left":NaN}', "this is no JSON"),
            (b"[" * 100_000, "this is no JSON"),
            (b'{"left":' + b"9" * 5000 + b"}", "this is no JSON"),
        ]
        for payload, reason in cases:
            with self.subTest(reason), self.assertRaises(MessageFailure) as caught:
                decode_message(payload)
            self.assertEqual(caught.exception.reason, reason)

    def test_the_longest_session_description_is_read(self) -> None:
        offered = [{"offer": {"type": "offer", "sdp": "é" * (MAX_SDP // 2)}, "offer_id": "i"}]
        self.assertEqual(len(self.read(offers=offered).offers), 1)


class OtherMessagesTests(TestCase):
    def test_an_answer_names_whose_offer_it_answers(self) -> None:
        self.assertEqual(decode_message(answer()), Answer(HASH, PEER, OTHER, Offer(b"i" * 20, "v=0")))

    def test_one_hash_and_many_are_scraped_each_once(self) -> None:
        self.assertEqual(decode_message(scrape(info_hash="h" * 20)), Scrape((HASH,)))
        asked = scrape(info_hash=["o" * 20, "h" * 20, "o" * 20])
        self.assertEqual(decode_message(asked), Scrape((OTHER, HASH)))

    def test_a_failure_says_which_torrent_it_is_about_where_that_can_be_read(self) -> None:
        cases = [
            (announce(left=-2), ("announce", HASH)),
            (announce(info_hash="short"), ("announce", None)),
            (scrape(info_hash="h" * 20, jwt=5), ("scrape", HASH)),
            (scrape(info_hash=5), ("scrape", None)),
            (b"nothing", ("announce", None)),
        ]
        for payload, about in cases:
            with self.subTest(payload=payload), self.assertRaises(MessageFailure) as caught:
                decode_message(payload)
            self.assertEqual((caught.exception.action, caught.exception.info_hash), about)


class ReplyTests(TestCase):
    def test_the_keys_are_those_that_webtorrent_reads(self) -> None:
        response = AnnounceResponse(
            120, 60, complete=1, incomplete=2, downloaded=3, warning="w", tracker_id=b"\xff"
        )
        cases: list[tuple[ReplyMessage, dict[str, object]]] = [
            (
                Announced(HASH, response),
                {
                    "action": "announce",
                    "info_hash": "h" * 20,
                    "interval": 120,
                    "min interval": 60,
                    "complete": 1,
                    "incomplete": 2,
                    "downloaded": 3,
                    "warning message": "w",
                    "tracker id": "\xff",
                },
            ),
            (
                OfferFrom(HASH, PEER, Offer(b"i", "v=0")),
                {
                    "action": "announce",
                    "info_hash": "h" * 20,
                    "peer_id": "p" * 20,
                    "offer_id": "i",
                    "offer": {"type": "offer", "sdp": "v=0"},
                },
            ),
            (
                AnswerFrom(HASH, PEER, Offer(b"i", "v=0")),
                {
                    "action": "announce",
                    "info_hash": "h" * 20,
                    "peer_id": "p" * 20,
                    "offer_id": "i",
                    "answer": {"type": "answer", "sdp": "v=0"},
                },
            ),
            (
                Scraped({HASH: ScrapeEntry(1, 2, 3)}, 120),
                {
                    "action": "scrape",
                    "files": {"h" * 20: {"complete": 1, "downloaded": 2, "incomplete": 3}},
                    "flags": {"min_request_interval": 120},
                },
            ),
            (
                Refused("no", 61.0, "announce", HASH),
                {"action": "announce", "info_hash": "h" * 20, "failure reason": "no", "retry in": 2},
            ),
            (
                Refused("no", math.inf, "scrape"),
                {"action": "scrape", "failure reason": "no", "retry in": "never"},
            ),
        ]
        for reply, expected in cases:
            with self.subTest(reply=reply):
                self.assertEqual(json.loads(encode_reply(reply)), expected)

    def test_what_cannot_be_used_is_named(self) -> None:
        cases = {
            b"{}": "action: neither announce nor scrape",
            b'{"action":"announce"}': "info_hash: missing",
            b'{"action":"scrape"}': "files: not an object",
            b'{"action":"scrape","files":{"h":{}}}': "files: 1 bytes instead of 20",
            b'{"action":"announce","offer":"v=0"}': "info_hash: missing",
            b'{"failure reason":"no","retry in":"soon"}': "retry in: not a number from 0 to 2^64 - 1",
        }
        for payload, reason in cases.items():
            with self.subTest(payload=payload), self.assertRaises(MessageFailure) as caught:
                decode_reply(payload)
            self.assertEqual(caught.exception.reason, reason)


class HostileTests(TestCase):
    """Whatever comes: a value, or our error."""

    def read(self, payload: bytes) -> None:
        for decode in (decode_message, decode_reply):
            try:
                decode(payload)
            except TrackerFailure:
                continue

    @given(st.binary(max_size=200))
    def test_arbitrary_bytes(self, payload: bytes) -> None:
        self.read(payload)

    @given(like_messages)
    def test_objects_that_are_nearly_messages(self, fields: dict[str, object]) -> None:
        self.read(json.dumps(fields).encode())

    @given(messages, st.data())
    def test_messages_cut_anywhere(self, message: Message, data: st.DataObject) -> None:
        payload = encode_message(message)
        self.read(payload[: data.draw(st.integers(0, len(payload)))])

    def test_good_messages_with_some_bytes_changed(self) -> None:
        chance = random.Random(SEED)
        for _ in range(runs(3000, 300_000)):
            payload = bytearray(chance.choice([announce(), answer(), scrape(info_hash="h" * 20)]))
            for _ in range(chance.randrange(1, 6)):
                payload[chance.randrange(len(payload))] = chance.choice(b'"{}[]:,0-e\\u\x00\xff\xc3')
            self.read(bytes(payload))
