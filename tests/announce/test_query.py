"""The query string of announces and scrapes."""

import random
from dataclasses import replace
from unittest import TestCase
from urllib.parse import quote, unquote_to_bytes, urlsplit

from hypothesis import example, given
from hypothesis import strategies as st

from bittwist.address import Address
from bittwist.announce.http import (
    decode_announce_query,
    decode_scrape_query,
    encode_announce_url,
    read_announce,
    read_query,
    scrape_url,
)
from bittwist.announce.values import AnnounceRequest, Event
from bittwist.errors import TrackerFailure
from tests.scale import SEED, runs

REQUEST = AnnounceRequest(info_hash=b"h" * 20, peer_id=b"p" * 20, port=6881, left=1)
GOOD = b"info_hash=" + b"h" * 20 + b"&peer_id=" + b"p" * 20 + b"&port=6881&uploaded=0&downloaded=0&left=1"

counters = st.integers(0, 2**64 - 1)
requests = st.builds(
    AnnounceRequest,
    info_hash=st.binary(min_size=20, max_size=20),
    peer_id=st.binary(min_size=20, max_size=20),
    port=st.integers(1, 65535),
    uploaded=counters,
    downloaded=counters,
    left=counters,
    event=st.sampled_from(Event),
    numwant=st.none() | counters,
    key=st.none() | st.binary(max_size=20),
    compact=st.booleans(),
    no_peer_id=st.booleans(),
    ip=st.none() | st.ip_addresses(v=4).map(str) | st.just("2001:db8::1"),
    tracker_id=st.none() | st.binary(max_size=20),
)


def query_of(url: str) -> bytes:
    return urlsplit(url).query.encode()


class RoundTripTests(TestCase):
    @given(requests)
    def test_what_a_client_asks_is_what_a_tracker_reads(self, request: AnnounceRequest) -> None:
        url = encode_announce_url("http://tracker.example/announce", request)
        self.assertEqual(decode_announce_query(query_of(url)), request)

    @given(requests)
    def test_a_passkey_in_the_url_does_not_disturb(self, request: AnnounceRequest) -> None:
        url = encode_announce_url("http://tracker.example/announce?passkey=abc#part", request)
        self.assertTrue(url.startswith("http://tracker.example/announce?passkey=abc&info_hash="))
        self.assertNotIn("#", url)
        self.assertEqual(decode_announce_query(query_of(url)), request)

    @given(st.lists(st.binary(min_size=20, max_size=20), min_size=1, max_size=5, unique=True))
    def test_the_hashes_of_a_scrape_come_back_in_order(self, hashes: list[bytes]) -> None:
        url = scrape_url("http://tracker.example/announce", hashes)
        assert url is not None
        self.assertEqual(decode_scrape_query(query_of(url)), tuple(hashes))


class EncodeTests(TestCase):
    def test_a_space_is_escaped_and_never_a_plus(self) -> None:
        info_hash = bytes.fromhex("2b760aa178932030c847dcdf8eaebf560a1bd16c")
        url = encode_announce_url("http://t/announce", replace(REQUEST, info_hash=info_hash))
        self.assertIn("info_hash=%2Bv%0A%A1x%93%200%C8G%DC%DF%8E%AE%BFV%0A%1B%D1l&", url)

    def test_nothing_optional_is_sent_unless_it_is_set(self) -> None:
        names = [
            pair.partition("=")[0] for pair in encode_announce_url("http://t/a", REQUEST)[11:].split("&")
        ]
        self.assertEqual(names, ["info_hash", "peer_id", "port", "uploaded", "downloaded", "left", "compact"])

    def test_where_a_swarm_can_be_scraped(self) -> None:
        cases = {
            "http://example.com/announce": "http://example.com/scrape?info_hash=x",
            "http://example.com/x/announce": "http://example.com/x/scrape?info_hash=x",
            "http://example.com/announce.php": "http://example.com/scrape.php?info_hash=x",
            "http://example.com/announce?x2%0644": "http://example.com/scrape?x2%0644&info_hash=x",
            "http://example.com/announce?x=2/4": "http://example.com/scrape?x=2/4&info_hash=x",
            "http://example.com/announce/passkey": "http://example.com/scrape/passkey?info_hash=x",
            "http://example.com/a": None,
            "http://example.com/x%064announce": None,
            "http://announce/a": None,
        }
        for url, expected in cases.items():
            with self.subTest(url):
                self.assertEqual(scrape_url(url, [b"x"]), expected)


class DecodeTests(TestCase):
    def test_the_failure_names_the_parameter(self) -> None:
        cases = {
            b"": "port: missing",
            GOOD.replace(b"info_hash", b"hash"): "info_hash: missing",
            GOOD.replace(b"h" * 20, b"h" * 19): "info_hash: 19 bytes instead of 20",
            GOOD.replace(b"h" * 20, b"h" * 21): "info_hash: 21 bytes instead of 20",
            GOOD.replace(b"p" * 20, b""): "peer_id: 0 bytes instead of 20",
            GOOD.replace(b"6881", b"0"): "port: 0 is not in 1 to 65535",
            GOOD.replace(b"6881", b"65536"): "port: 65536 is not in 1 to 65535",
            GOOD.replace(b"6881", b"-1"): "port: not a number",
            GOOD.replace(b"6881", b"0x1f"): "port: not a number",
            GOOD.replace(b"uploaded=0", b"uploaded=%D9%A1"): "uploaded: not a number",
            GOOD.replace(b"uploaded=0", b"uploaded=18446744073709551616"): "uploaded: not a number",
            GOOD.replace(b"downloaded=0", b"downloaded=" + b"9" * 9000): "downloaded: not a number",
            GOOD.replace(b"left=1", b"left=1.5"): "left: not a number",
            GOOD + b"&numwant=many": "numwant: not a number",
        }
        for query, reason in cases.items():
            with self.subTest(reason), self.assertRaises(TrackerFailure) as caught:
                decode_announce_query(query)
            self.assertTrue(caught.exception.reason.startswith(reason), caught.exception.reason)

    def test_limits_are_accepted(self) -> None:
        query = GOOD.replace(b"left=1", b"left=18446744073709551615").replace(b"6881", b"65535")
        request = decode_announce_query(query)
        self.assertEqual((request.left, request.port), (2**64 - 1, 65535))

    def test_raw_latin_bytes_and_escapes_mean_the_same(self) -> None:
        raw = bytes(range(0xE0, 0xF4))
        for value in (raw, quote(raw).encode(), quote(raw).lower().encode()):
            self.assertEqual(decode_announce_query(GOOD.replace(b"h" * 20, value)).info_hash, raw)

    def test_a_bare_plus_is_a_form_encoders_space(self) -> None:
        self.assertEqual(decode_announce_query(GOOD.replace(b"hh", b"++", 1)).info_hash, b"  " + b"h" * 18)

    def test_a_broken_escape_stands_for_itself(self) -> None:
        self.assertEqual(decode_announce_query(GOOD.replace(b"hh", b"%z", 1)).info_hash, b"%z" + b"h" * 18)

    def test_the_first_of_a_repeated_parameter_counts(self) -> None:
        self.assertEqual(decode_announce_query(GOOD + b"&port=1").port, 6881)

    def test_what_is_missing_or_unknown_is_read_kindly(self) -> None:
        bare = b"info_hash=" + b"h" * 20 + b"&peer_id=" + b"p" * 20 + b"&port=1&&=&x&event=resumed&numwant=-1"
        request = decode_announce_query(bare)
        self.assertIs(request.event, Event.NONE)
        self.assertIsNone(request.numwant)
        self.assertTrue(request.compact)
        self.assertFalse(request.is_seed, "a peer that does not say what is left has not got everything")

    def test_a_partial_seed_says_that_it_is_paused(self) -> None:
        """BEP 21."""
        self.assertIs(decode_announce_query(GOOD + b"&event=paused").event, Event.PAUSED)

    def test_a_front_says_where_the_peer_is_and_how_many_it_gets(self) -> None:
        for query, numwant in {b"": 50, b"&numwant=-1": 50, b"&numwant=7": 7, b"&numwant=75": 74}.items():
            request = read_announce(read_query(GOOD + query), host="192.0.2.1", numwant=50, most=74)
            self.assertEqual(request.numwant, numwant)
            assert request.address is not None
            self.assertEqual(request.address, Address("192.0.2.1", 6881))
            self.assertEqual(request.address.packed, Address("192.0.2.1", 6881).packed)
        request = read_announce(read_query(GOOD + b"&ip=10.0.0.1"), host="2001:db8::1")
        self.assertIsNone(request.address, "it names another: the front decides")

    def test_an_unknown_rest_is_a_leech(self) -> None:
        self.assertFalse(decode_announce_query(GOOD.replace(b"left=1", b"left=-1")).is_seed)

    def test_an_ip_that_is_not_an_address_is_passed_over(self) -> None:
        for text, ip in {
            b"a.example": None,
            b"::ffff:10.0.0.1": "10.0.0.1",
            b"1" * 99: None,
            b"\xff": None,
        }.items():
            self.assertEqual(decode_announce_query(GOOD + b"&ip=" + text).ip, ip)

    def test_a_scrape_needs_whole_hashes(self) -> None:
        for query in (b"", b"x=1", b"info_hash=short", b"info_hash=" + b"h" * 20 + b"&info_hash="):
            with self.subTest(query), self.assertRaisesRegex(TrackerFailure, "^info_hash: "):
                decode_scrape_query(query)

    def test_a_hash_asked_about_twice_is_answered_once(self) -> None:
        one = b"info_hash=" + b"h" * 20
        self.assertEqual(decode_scrape_query(one + b"&" + one), (b"h" * 20,))

    @given(st.lists(st.sampled_from([*b"aZ09%%%%\\\\xuUN{}+&=\n\0\x80\xff"]), max_size=30).map(bytes))
    @example(b"%5c%5C\\x41\\u0041\\N{DIGIT ONE}%")
    def test_escapes_are_read_as_the_library_reads_them(self, text: bytes) -> None:
        value = text.replace(b"&", b"")
        read = read_query(b"key=" + value).get(b"key")
        self.assertEqual(read, unquote_to_bytes(value.replace(b"+", b" ")))


class HostileTests(TestCase):
    @given(st.binary(max_size=300))
    def test_arbitrary_bytes_are_read_or_refused(self, query: bytes) -> None:
        for decode in (decode_announce_query, decode_scrape_query):
            try:
                decode(query)
            except TrackerFailure:
                pass

    def test_mutated_queries_are_read_or_refused(self) -> None:
        rng = random.Random(SEED)
        for _ in range(runs(5_000, 100_000)):
            query = bytearray(GOOD + b"&event=started&numwant=50&ip=10.0.0.1&key=%00%ff")
            for _ in range(rng.randint(1, 6)):
                query[rng.randrange(len(query))] = rng.choice([rng.randrange(256), *b"%&=+-09"])
            try:
                decode_announce_query(bytes(query))
            except TrackerFailure:
                pass
