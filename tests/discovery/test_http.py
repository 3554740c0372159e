"""One tracker over HTTP, on the simulated network (SECURITY.md T13, C3, C9)."""

from __future__ import annotations

import math
from random import Random
from urllib.parse import parse_qsl, urlsplit

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bittwist.address import Address
from bittwist.announce.http import encode_announce_response, encode_failure, encode_scrape_response
from bittwist.announce.values import AnnounceRequest, AnnounceResponse, Event, ScrapeEntry
from bittwist.discovery import Announcer, AnnounceState, HttpTracker, http_trackers
from bittwist.discovery.http import MAX_ANSWER
from bittwist.discovery.schedule import MAX_INTERVAL, MIN_INTERVAL
from bittwist.errors import FetchError, RemoteProtocolError, TrackerFailure
from bittwist.metainfo.bencode import encode
from bittwist.metainfo.infohash import InfoHash
from bittwist.net.http import HttpClient, HttpResponse
from bittwist.net.policy import Network
from bittwist.testing import SimulatedNetwork
from tests.net.servers import Script, Server
from tests.scale import SEED, runs

REQUEST = AnnounceRequest(b"h" * 20, b"p" * 20, 6881, 1, 2, 3, Event.STARTED, numwant=50)
PEERS = (Address("192.0.2.1", 6881), Address("2001:db8::1", 6882))
RESPONSE = AnnounceResponse(900, 300, 5, 6, 7, PEERS, (), "be nice", b"id 1", None)
GOOD = encode_announce_response(RESPONSE, REQUEST)


class TrackerCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.simulation = SimulatedNetwork(seed=SEED)
        self.simulation.names.set("tracker.example", "2.2.2.2")
        self.here = self.simulation.host("4.4.4.4")
        self.there = self.simulation.host("2.2.2.2")
        self.http = HttpClient(self.here, Network(self.here))
        self.script: Script = lambda visit: visit.answer(GOOD)
        self.server = Server(lambda visit: self.script(visit))
        port = self.there.listenTCP(80, self.server)
        self.addCleanup(self.simulation.assert_quiet)
        self.addCleanup(self.simulation.run_until_quiet)
        self.addCleanup(port.stopListening)

    def tracker(self, url: str = "http://tracker.example/announce") -> HttpTracker:
        return HttpTracker(self.http, url)

    def announce(self, tracker: HttpTracker | None = None) -> AnnounceResponse:
        return self.simulation.result_of((tracker or self.tracker()).announce(REQUEST))

    def answers(self, body: bytes, status: int = 200) -> None:
        self.script = lambda visit: visit.answer(body, status)


class AnnounceTests(TrackerCase):
    def test_peers_of_both_families_come_back(self) -> None:
        self.assertEqual(self.announce(), RESPONSE)

    def test_the_query_says_who_asks_and_keeps_the_passkey(self) -> None:
        self.announce(self.tracker("http://tracker.example/announce?passkey=abc"))
        query = dict(parse_qsl(urlsplit(self.server.visits[0].target).query))
        self.assertEqual(query["passkey"], "abc")
        self.assertEqual((query["info_hash"], query["peer_id"]), ("h" * 20, "p" * 20))
        self.assertEqual((query["event"], query["left"], query["compact"]), ("started", "3", "1"))
        self.assertNotIn("trackerid", query)

    def test_the_tracker_id_goes_back_from_then_on(self) -> None:
        tracker = self.tracker()
        self.announce(tracker)
        self.answers(b"d8:intervali900e5:peers0:e")
        self.announce(tracker)
        self.announce(tracker)
        targets = [visit.target for visit in self.server.visits]
        self.assertEqual(["trackerid=id%201" in target for target in targets], [False, True, True])

    def test_a_failure_is_the_trackers_own_words_whatever_the_status(self) -> None:
        for status in (200, 400, 403, 503):
            self.answers(encode_failure(TrackerFailure("not registered", 300.0)), status)
            failure = self.assertRaises(TrackerFailure, self.announce)
            self.assertEqual((failure.reason, failure.retry_in), ("not registered", 300.0))

    def test_never_is_never(self) -> None:
        self.answers(b"d14:failure reason13:not a tracker8:retry in5:nevere")
        self.assertEqual(self.assertRaises(TrackerFailure, self.announce).retry_in, math.inf)

    def test_410_is_never(self) -> None:
        self.answers(b"<html>gone</html>", 410)
        self.assertEqual(self.assertRaises(TrackerFailure, self.announce).retry_in, math.inf)

    def test_a_bad_status_without_words_says_the_status(self) -> None:
        for body in (b"<html>no</html>", b"", GOOD):
            self.answers(body, 404)
            problem = self.assertRaises(FetchError, self.announce)
            self.assertEqual((problem.reason, problem.status), ("HTTP status 404", 404))

    def test_what_is_no_answer_is_refused(self) -> None:
        for body in (b"<html>not a tracker</html>", b"", b"i1e", b"de"):
            self.answers(body)
            self.assertRaises(RemoteProtocolError, self.announce)

    def test_an_answer_past_the_bound_is_refused(self) -> None:
        self.answers(bytes(MAX_ANSWER + 1))
        self.assertIn("longer than", self.assertRaises(FetchError, self.announce).reason)

    def test_a_tracker_that_never_answers_is_given_up(self) -> None:
        self.script = lambda visit: None
        self.assertIn("no whole answer within 30 s", self.assertRaises(FetchError, self.announce).reason)

    def test_errors_do_not_show_passkeys(self) -> None:
        self.answers(b"no", 500)
        tracker = self.tracker("http://me:word@tracker.example/announce?passkey=abc")
        problem = self.assertRaises(FetchError, self.announce, tracker)
        self.assertEqual(problem.target, "tracker.example/announce")

    def test_cancelling_ends_it_at_once(self) -> None:
        self.script = lambda visit: None
        announcing = self.tracker().announce(REQUEST)
        self.simulation.advance(1)
        announcing.cancel()
        self.assertEqual(self.failureResultOf(announcing, FetchError).value.reason, "cancelled")

    def test_urls_that_are_no_trackers_are_refused_for_ever(self) -> None:
        for url in (
            *("udp://tracker.example:80/announce", "file:///etc/passwd", "announce", "http://[::1/announce"),
            *("http://tracker.example/announce?iNfo_HaSh=abc", "http://tracker.example/announce?EvEnT="),
        ):
            with self.subTest(url):
                failure = self.assertRaises(TrackerFailure, http_trackers(self.http), url)
                self.assertEqual(failure.retry_in, math.inf)


class ScrapeTests(TrackerCase):
    def test_tells_the_swarms_sizes(self) -> None:
        entries = {b"h" * 20: ScrapeEntry(1, 2, 3), b"i" * 20: ScrapeEntry(4, 5, 6)}
        self.answers(encode_scrape_response(entries))
        scraped = self.simulation.result_of(self.tracker().scrape([b"h" * 20, b"i" * 20]))
        self.assertEqual(scraped, entries)
        self.assertTrue(self.server.visits[0].target.startswith("/scrape?info_hash="))

    def test_a_url_without_a_scrape_says_so(self) -> None:
        scraping = self.tracker("http://tracker.example/x").scrape([b"h" * 20])
        self.failureResultOf(scraping, TrackerFailure)
        self.assertEqual(self.server.visits, [])


class AnnouncerOverHttpTests(TrackerCase):
    def test_a_torrent_is_announced_from_start_to_stop(self) -> None:
        found: list[tuple[Address, ...]] = []
        announcer = Announcer(
            self.here,
            http_trackers(self.http),
            [["http://tracker.example/announce"]],
            InfoHash(v1=b"h" * 20),
            lambda: AnnounceState(0, 0, 0, 6881, b"p" * 20),
            lambda peers, source: found.append(tuple(peers)),
            Random(SEED),
        )
        announcer.start()
        self.simulation.advance(2)
        self.simulation.result_of(announcer.stop())
        events = [dict(parse_qsl(urlsplit(visit.target).query)).get("event") for visit in self.server.visits]
        self.assertEqual((events, found), (["started", "stopped"], [PEERS]))


def mutated(body: bytes, random: Random) -> bytes:
    """The body with a few bytes changed, cut out, doubled or put in."""
    data = bytearray(body)
    for _ in range(random.randint(1, 4)):
        begin = random.randrange(len(data) + 1)
        end = min(len(data), begin + random.choice((1, 1, 2, 20)))
        match random.randrange(5):
            case 0:
                data[begin:end] = random.randbytes(end - begin)
            case 1:
                del data[begin:end]
            case 2:
                data[begin:begin] = data[begin:end]
            case 3:
                data[begin:end] = random.choice(
                    (b"i", b"e", b"d", b"l", b"0:", b"-", b"9" * 25, b"le", b"de")
                )
            case 4:
                data[begin:begin] = random.choice((b"i-1e", b"i9223372036854775808e", b"5:never", b"d1:ae"))
    return bytes(data)


class HostileAnswerTests(SynchronousTestCase):
    """T13: whatever a tracker answers, the announcer goes on, within its bounds."""

    def test_mutated_answers(self) -> None:
        many = AnnounceResponse(1800, 60, 5, 6, 7, tuple(Address("192.0.2.1", n) for n in range(1, 400)))
        as_list = AnnounceRequest(b"h" * 20, b"p" * 20, 1, compact=False)
        bodies = [
            GOOD,
            encode_announce_response(many, REQUEST),
            encode_announce_response(RESPONSE, as_list),
            encode_failure(TrackerFailure("overloaded", 300.0)),
            encode({b"interval": 2**62, b"peers": [{b"ip": b"192.0.2.1", b"port": 1}] * 300}),
        ]
        random = Random(SEED)
        for number in range(runs(10_000, 100_000)):
            self.check(mutated(random.choice(bodies), random), f"seed {SEED}, answer {number}")

    @given(st.binary(max_size=300))
    def test_any_bytes(self, body: bytes) -> None:
        self.check(body, repr(body))

    def check(self, body: bytes, what: str) -> None:
        clock = Clock()
        found: list[Address] = []
        announcer = Announcer(
            clock,
            http_trackers(OneAnswer(body)),  # type: ignore[arg-type]
            [["http://tracker.example/announce"]],
            InfoHash(v1=b"h" * 20),
            lambda: AnnounceState(0, 0, 0, 6881, b"p" * 20),
            lambda peers, source: found.extend(peers),
            Random(1),
        )
        announcer.start()
        clock.advance(0)
        (status,) = announcer.statuses()
        self.assertNotEqual(status.last_error, "internal error", what)
        self.assertLessEqual(len(found), 200, what)
        if status.failures == 0:
            self.assertTrue(MIN_INTERVAL <= status.next_at <= MAX_INTERVAL, what)  # type: ignore[operator]
        self.successResultOf(announcer.stop())
        self.assertEqual(clock.getDelayedCalls(), [], what)


class OneAnswer:
    """An HttpClient whose every answer has this body."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def get(self, url: str, **options: object) -> object:
        return succeed(HttpResponse(200, {}, self._body, url))
