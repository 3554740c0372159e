"""A tracker's replies."""

import math
import random
from unittest import TestCase

from hypothesis import given
from hypothesis import strategies as st

from bittwist.address import Address
from bittwist.announce.http import (
    MAX_PEERS,
    decode_announce_response,
    decode_scrape_response,
    encode_announce_response,
    encode_compact_response,
    encode_failure,
    encode_scrape_response,
)
from bittwist.announce.values import AnnounceRequest, AnnounceResponse, ScrapeEntry
from bittwist.errors import RemoteProtocolError, TrackerFailure
from bittwist.metainfo.bencode import encode
from bittwist.metainfo.compact import pack
from tests.scale import SEED, runs

COMPACT = AnnounceRequest(b"h" * 20, b"p" * 20, 6881)
LISTED = AnnounceRequest(b"h" * 20, b"p" * 20, 6881, compact=False)
BARE = AnnounceRequest(b"h" * 20, b"p" * 20, 6881, compact=False, no_peer_id=True)

ports = st.integers(1, 65535)
peers4 = st.lists(st.builds(Address, st.ip_addresses(v=4).map(str), ports), max_size=5)
peers6 = st.lists(
    st.builds(Address, st.integers(1, 2**96).map(lambda n: f"2001:db8::{n % 65536:x}"), ports), max_size=5
)
counts = st.none() | st.integers(0, 2**63 - 1)
texts = st.none() | st.text("abc é日!", max_size=20)
responses = st.builds(
    AnnounceResponse,
    interval=st.integers(0, 2**40),
    min_interval=counts,
    complete=counts,
    incomplete=counts,
    downloaded=counts,
    peers=st.tuples(peers4, peers6).map(lambda both: (*both[0], *both[1])),
    warning=texts,
    tracker_id=st.none() | st.binary(max_size=20),
    external_ip=st.none() | st.just("192.0.2.1") | st.just("2001:db8::9"),
)
entries = st.builds(ScrapeEntry, *[st.integers(0, 2**63 - 1)] * 3, downloaders=counts)


class RoundTripTests(TestCase):
    @given(responses)
    def test_a_compact_reply_comes_back(self, response: AnnounceResponse) -> None:
        self.assertEqual(decode_announce_response(encode_announce_response(response, COMPACT)), response)

    @given(responses)
    def test_a_dictionary_reply_comes_back(self, response: AnnounceResponse) -> None:
        self.assertEqual(decode_announce_response(encode_announce_response(response, BARE)), response)

    def test_peer_ids_come_back_unless_they_are_unwanted(self) -> None:
        peers = (Address("10.0.0.1", 1), Address("2001:db8::1", 2))
        response = AnnounceResponse(peers=peers, peer_ids=(b"a" * 20, b""))
        self.assertEqual(decode_announce_response(encode_announce_response(response, LISTED)), response)
        for request in (COMPACT, BARE):
            decoded = decode_announce_response(encode_announce_response(response, request))
            self.assertEqual((decoded.peers, decoded.peer_ids), (peers, ()))

    @given(responses)
    def test_packed_peers_make_the_same_reply(self, response: AnnounceResponse) -> None:
        """Byte for byte: the one is put down key by key, the other by the general encoder."""
        peers4, peers6 = pack(response.peers)
        self.assertEqual(
            encode_compact_response(response, peers4, peers6), encode_announce_response(response, COMPACT)
        )

    @given(st.dictionaries(st.binary(min_size=20, max_size=20), entries, max_size=5))
    def test_a_scrape_comes_back(self, files: dict[bytes, ScrapeEntry]) -> None:
        self.assertEqual(decode_scrape_response(encode_scrape_response(files)), files)

    def test_a_failure_comes_back(self) -> None:
        for retry_in in (None, 60.0, 3600.0, math.inf):
            with self.subTest(retry_in), self.assertRaises(TrackerFailure) as caught:
                decode_announce_response(encode_failure(TrackerFailure("port: missing", retry_in)))
            self.assertEqual(
                (caught.exception.reason, caught.exception.retry_in), ("port: missing", retry_in)
            )


class ExampleTests(TestCase):
    """What the BEPs print."""

    def test_bep_7(self) -> None:
        response = decode_announce_response(b"d8:intervali1800e5:peers6:iiiipp6:peers618:iiiiiiiiiiiiiiiippe")
        self.assertEqual(
            response.peers,
            (Address("105.105.105.105", 28784), Address(":".join(["6969"] * 8), 28784)),
        )

    def test_bep_31(self) -> None:
        for body, seconds in {
            b"d14:failure reason10:Overloaded8:retry in1:5e": 300.0,
            b"d14:failure reason10:Overloaded8:retry ini5ee": 300.0,
            b"d14:failure reason13:Not a tracker8:retry in5:nevere": math.inf,
        }.items():
            with self.subTest(body), self.assertRaises(TrackerFailure) as caught:
                decode_announce_response(body)
            self.assertEqual(caught.exception.retry_in, seconds)

    def test_bep_48(self) -> None:
        body = (
            b"d5:filesd20:xxxxxxxxxxxxxxxxxxxxd8:completei11e10:downloadedi13772e10:incompletei19ee"
            b"20:yyyyyyyyyyyyyyyyyyyyd8:completei21e10:downloadedi206e10:incompletei20eeee"
        )
        entries = {b"x" * 20: ScrapeEntry(11, 13772, 19), b"y" * 20: ScrapeEntry(21, 206, 20)}
        self.assertEqual(decode_scrape_response(body), entries)
        self.assertEqual(encode_scrape_response(entries), body)


class OddReplyTests(TestCase):
    def peers_of(self, peers: object) -> tuple[Address, ...]:
        return decode_announce_response(encode({b"interval": 1, b"peers": peers})).peers  # type: ignore[dict-item]

    def test_peers_that_cannot_be_read_are_passed_over(self) -> None:
        good = {b"ip": b"10.0.0.1", b"port": 1}
        odd: list[object] = [
            42,
            [],
            {},
            b"x",
            {b"ip": 12345, b"port": b"x"},
            {b"ip": b"not-an-ip", b"port": 1},
            {b"ip": b"\xff", b"port": 1},
            {b"ip": b"1" * 5000, b"port": 1},
            {b"ip": b"fe80::1%eth0", b"port": 1},
            {b"ip": b"10.0.0.2", b"port": 0},
            {b"ip": b"10.0.0.2", b"port": 65536},
            {b"ip": b"10.0.0.2", b"port": -1},
            {b"peer id": b"test"},
        ]
        self.assertEqual(self.peers_of([*odd, good, *odd]), (Address("10.0.0.1", 1),))

    def test_a_peer_id_of_another_length_is_not_an_id(self) -> None:
        entry = {b"ip": b"10.0.0.1", b"port": 1, b"peer id": b"short"}
        self.assertEqual(decode_announce_response(encode({b"peers": [entry]})).peer_ids, ())

    def test_mapped_addresses_are_folded(self) -> None:
        self.assertEqual(self.peers_of([{b"ip": b"::ffff:10.0.0.1", b"port": 9}]), (Address("10.0.0.1", 9),))

    def test_an_incomplete_last_entry_and_port_zero_are_passed_over(self) -> None:
        self.assertEqual(
            self.peers_of(b"\x0a\0\0\x01\0\x01" + b"\x0a\0\0\x02\0\0" + b"\x0a\0\0"),
            (Address("10.0.0.1", 1),),
        )

    def test_at_most_200_peers_are_used_whatever_their_form(self) -> None:
        for count in (MAX_PEERS, MAX_PEERS + 1):
            for peers in (b"\x0a\0\0\x01\0\x01" * count, [{b"ip": b"10.0.0.1", b"port": 1}] * count):
                self.assertEqual(len(self.peers_of(peers)), MAX_PEERS)
        both = encode({b"peers": b"\x0a\0\0\x01\0\x01" * 150, b"peers6": b"\x20" * 18 * 150})
        self.assertEqual(len(decode_announce_response(both).peers), MAX_PEERS)

    def test_a_field_of_the_wrong_type_counts_as_absent(self) -> None:
        names = [b"interval", b"min interval", b"complete", b"incomplete", b"downloaded", b"warning message"]
        names += [b"tracker id", b"external ip"]
        wrong: list[object] = [[], {}, [b"x"], 2**64, -(2**64)]
        for value in wrong:
            body = encode({b"peers": b"", **{name: value for name in names}})  # type: ignore[dict-item]
            self.assertEqual(decode_announce_response(body), AnnounceResponse())

    def test_the_interval_is_passed_on_as_it_is(self) -> None:
        for interval in (-5, 0, 9223372036854775807):
            body = encode({b"interval": interval, b"peers": b""})
            self.assertEqual(decode_announce_response(body).interval, interval)

    def test_unsorted_keys_and_a_line_break_at_the_end_are_forgiven(self) -> None:
        self.assertEqual(decode_announce_response(b"d5:peers0:8:intervali9ee\n").interval, 9)

    def test_what_is_no_reply_is_refused(self) -> None:
        for body in (
            b"",
            b"<html>no tracker</html>",
            b"le",
            b"de",
            b"d6:peers6lee",
            b"d5:peersi1ee",
            b"d",
            b"i1",
        ):
            with self.subTest(body), self.assertRaises(RemoteProtocolError):
                decode_announce_response(body)
            with self.subTest(body), self.assertRaises(RemoteProtocolError):
                decode_scrape_response(body)

    def test_a_reason_is_made_safe_to_print(self) -> None:
        reasons = {
            b"\x1b[2Jgone\n": " [2Jgone ",
            b"\xff": "\N{REPLACEMENT CHARACTER}",
            b"x" * 5000: "x" * 500,
        }
        for raw, shown in reasons.items():
            with self.assertRaises(TrackerFailure) as caught:
                decode_announce_response(encode({b"failure reason": raw}))
            self.assertEqual(caught.exception.reason, shown)

    def test_a_failure_without_a_usable_reason_is_a_failure(self) -> None:
        for raw in (b"", 5, [b"x"]):
            with self.assertRaisesRegex(TrackerFailure, "gives no reason"):
                decode_announce_response(encode({b"failure reason": raw}))  # type: ignore[dict-item]

    def test_a_wait_that_makes_no_sense_is_none(self) -> None:
        for raw in (0, -1, b"soon", b"-5", b"9" * 5000, [], b""):
            with self.assertRaises(TrackerFailure) as caught:
                decode_announce_response(encode({b"failure reason": b"x", b"retry in": raw}))  # type: ignore[dict-item]
            self.assertIsNone(caught.exception.retry_in)
        with self.assertRaises(TrackerFailure) as caught:
            decode_announce_response(encode({b"failure reason": b"x", b"retry in": 10**18}))
        self.assertEqual(caught.exception.retry_in, 365 * 86400)

    def test_odd_scrapes_are_read_as_far_as_they_go(self) -> None:
        body = encode(
            {b"files": {b"x" * 20: {b"complete": b"many", b"incomplete": 2}, b"short": {}, b"y" * 20: []}}
        )
        self.assertEqual(decode_scrape_response(body), {b"x" * 20: ScrapeEntry(incomplete=2)})


class HostileTests(TestCase):
    @given(st.binary(max_size=200))
    def test_arbitrary_bytes_are_read_or_refused(self, body: bytes) -> None:
        for decode in (decode_announce_response, decode_scrape_response):
            try:
                decode(body)
            except (TrackerFailure, RemoteProtocolError):
                pass

    def test_mutated_answers(self) -> None:
        """T13 of the threat model; the interval is bounded by the announcer."""
        rng = random.Random(SEED)
        peers = (*(Address(f"10.0.0.{n}", n + 1) for n in range(5)), Address("2001:db8::1", 7))
        response = AnnounceResponse(1800, 60, 1, 2, 3, peers, (b"i" * 20,) * 6, "w", b"t", "192.0.2.1")
        seeds = [encode_announce_response(response, request) for request in (COMPACT, LISTED)]
        seeds += [
            encode_failure(TrackerFailure("no", 60)),
            encode_scrape_response({b"x" * 20: ScrapeEntry(1, 2, 3)}),
        ]
        for _ in range(runs(5_000, 100_000)):
            body = bytearray(rng.choice(seeds))
            for _ in range(rng.randint(1, 5)):
                where = rng.randrange(len(body))
                match rng.randrange(3):
                    case 0:
                        body[where] = rng.choice([rng.randrange(256), *b"dlei:0129-"])
                    case 1:
                        del body[where : where + rng.randrange(1, 9)]
                    case _:
                        body[where:where] = rng.choice([b"i-1e", b"9" * 30, b"d", b"l", b"e", b"5:peers"])
                body = body or bytearray(b"d")
            try:
                self.assertLessEqual(len(decode_announce_response(bytes(body)).peers), MAX_PEERS)
            except (TrackerFailure, RemoteProtocolError):
                pass
