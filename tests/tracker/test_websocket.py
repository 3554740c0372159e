"""The tracker's WebSocket front, and what it relays, on the simulated network."""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from dataclasses import replace
from unittest import mock

from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from bittwist.address import Address
from bittwist.announce.fields import Offer
from bittwist.announce.values import AnnounceRequest, Event, ScrapeEntry
from bittwist.announce.websocket import Announce, Answer, Scrape, encode_message
from bittwist.announce.websocket_reply import Announced, AnswerFrom, OfferFrom, Refused, Scraped
from bittwist.errors import ConfigError, TrackerFailure
from bittwist.testing import SimulatedNetwork
from bittwist.tracker import AnnounceHook, Arrival, Front, ISwarmStore, SwarmAnswer, Tracker, TrackerSettings
from bittwist.tracker.relay import Browser, Relay
from bittwist.tracker.websocket import WebSocketFront, WebSocketSettings
from tests.scale import SEED, runs
from tests.tracker.pages import BINARY, CLOSE, PING, Page, frame, open_page, request

TRACKER, PORT = "198.51.100.1", 8000
SWARM, OTHER = b"s" * 20, b"o" * 20
STEADY = TrackerSettings(jitter=0)


def peer_id(number: int) -> bytes:
    return b"%020d" % number


def offer(number: int) -> Offer:
    return Offer(b"%020d" % number, f"v=0 offer {number}")


def announce(
    number: int,
    offers: int = 0,
    *,
    swarm: bytes = SWARM,
    left: int = 1,
    event: Event = Event.NONE,
    token: bytes | None = None,
) -> Announce:
    """An announce by peer `number`, with so many offers, whose ids are 100 × number, and so on."""
    asked = AnnounceRequest(swarm, peer_id(number), 0, left=left, event=event, numwant=offers)
    return Announce(asked, tuple(offer(100 * number + place) for place in range(offers)), token)


def answer(number: int, to: int, offer_number: int, *, swarm: bytes = SWARM) -> Answer:
    return Answer(swarm, peer_id(number), peer_id(to), Offer(b"%020d" % offer_number, f"v=0 by {number}"))


class FrontCase(SynchronousTestCase):
    """A tracker with a front, and pages on hosts 192.0.2.1 and so on."""

    settings = WebSocketSettings()
    tracker_settings = STEADY

    def setUp(self) -> None:
        self.network = SimulatedNetwork(SEED, random_segments=True)
        self.host = self.network.host(TRACKER)
        self.tracker = self.make_tracker()
        self.front = WebSocketFront(self.host, self.tracker, self.settings)
        self.port = self.host.listenTCP(PORT, self.front)

    def make_tracker(self) -> Tracker:
        return Tracker(self.host, self.tracker_settings, random=random.Random(SEED))

    def tearDown(self) -> None:
        if self.port in self.host.open_ports:
            self.port.stopListening()
        self.network.run_until_quiet()
        self.network.assert_quiet()
        self.assertEqual(self.tracker.browsers.connections, 0)
        self.assertEqual(self.front.connections, 0)

    def dial(self, number: int = 1, target: str = "/", head: bytes | None = None) -> Page:
        host = self.network.host(f"192.0.2.{number}")
        page = open_page(host, TRACKER, PORT, request(target) if head is None else head)
        self.network.run_until(lambda: page.head or page.lost)
        return page

    def page(self, number: int = 1, target: str = "/", head: bytes | None = None) -> Page:
        page = self.dial(number, target, head)
        self.assertEqual(page.status, 101)
        return page

    def joined(self, number: int, offers: int = 0, **how: object) -> Page:
        """A page that has announced itself."""
        page = self.page(number)
        page.say(announce(number, offers, **how))  # type: ignore[arg-type]
        self.settle()
        return page

    def settle(self) -> None:
        self.network.advance(1)

    def answer_to(self, page: Page, message: Announce | Scrape | bytes) -> object:
        """What the tracker says next."""
        before = len(page.said)
        page.say(message)
        self.network.run_until(lambda: len(page.said) > before)
        return page.said[before]


class AnnounceTests(FrontCase):
    def test_an_announce_is_answered_with_the_size_of_its_swarm(self) -> None:
        page = self.joined(1)
        (said,) = page.said
        assert isinstance(said, Announced)
        self.assertEqual(said.info_hash, SWARM)
        self.assertEqual((said.response.complete, said.response.incomplete), (0, 1))
        self.assertEqual((said.response.interval, said.response.min_interval), (120, 120))

    def test_the_peers_of_other_fronts_are_counted_and_count_browsers(self) -> None:
        self.joined(1)
        client = AnnounceRequest(SWARM, peer_id(9), 6881, left=0, address=Address("203.0.113.1", 6881))
        reply = self.tracker.announce(client, Arrival(Front.HTTP, "203.0.113.1"))
        assert not isinstance(reply, Deferred)
        self.assertEqual((reply.swarm.complete, reply.swarm.incomplete), (1, 1))
        self.assertEqual((reply.swarm.peers4, reply.swarm.peers6), (b"", b""))  # nobody can dial a browser
        said = self.joined(2).said[0]
        assert isinstance(said, Announced)
        self.assertEqual((said.response.complete, said.response.incomplete), (1, 2))
        scraped = self.tracker.scrape([SWARM], Arrival(Front.UDP, "203.0.113.1"))
        assert not isinstance(scraped, Deferred)
        self.assertEqual((scraped[SWARM].complete, scraped[SWARM].incomplete), (1, 2))

    def test_a_peer_lives_as_long_as_its_connection(self) -> None:
        page = self.joined(1)
        self.network.advance(10 * self.tracker.settings.expire_after)
        self.assertEqual(self.tracker.browsers.size(SWARM).incomplete, 1)
        page.transport.loseConnection()
        self.settle()
        self.assertEqual(self.tracker.browsers.size(SWARM).incomplete, 0)

    def test_who_stops_is_gone_and_hands_on_nothing(self) -> None:
        other = self.joined(2)
        page = self.joined(1)
        page.say(announce(1, 1, event=Event.STOPPED))
        self.settle()
        self.assertEqual(len(other.said), 1)
        self.assertEqual(self.tracker.browsers.size(SWARM).incomplete, 1)

    def test_a_scrape_names_each_swarm(self) -> None:
        self.joined(1, left=0)
        said = self.answer_to(self.joined(2), Scrape((SWARM, OTHER)))
        assert isinstance(said, Scraped)
        self.assertEqual((said.entries[SWARM].complete, said.entries[SWARM].incomplete), (1, 1))
        self.assertEqual((said.entries[OTHER].complete, said.entries[OTHER].incomplete), (0, 0))
        self.assertEqual(said.interval, 120)

    def test_a_message_may_come_as_binary_and_in_pieces(self) -> None:
        page = self.page()
        payload = b'{"action":"scrape","info_hash":"' + b"s" * 20 + b'"}'
        page.send(frame(payload, BINARY))
        page.send(frame(payload[:9], final=False) + frame(b"", PING) + frame(payload[9:], 0))
        self.settle()
        self.assertEqual([type(said) for said in page.said], [Scraped, Scraped])
        self.assertEqual(page.pongs, 1)

    def test_what_a_message_lacks_is_said_and_the_connection_stays(self) -> None:
        page = self.page()
        for payload, expected in (
            (b"{", Refused("this is no JSON")),
            (
                b'{"action":"scrape"}',
                Refused("info_hash: missing (swarms are scraped by name)", None, "scrape"),
            ),
            (
                b'{"action":"announce","info_hash":"' + SWARM + b'","peer_id":"p"}',
                Refused("peer_id: 1 bytes instead of 20", None, "announce", SWARM),
            ),
        ):
            self.assertEqual(self.answer_to(page, payload), expected)
        self.assertEqual(self.tracker.statistics.failures[Front.WEBSOCKET], 3)
        self.assertIsInstance(self.answer_to(page, announce(1)), Announced)


class RelayTests(FrontCase):
    def test_an_offer_goes_to_another_and_its_answer_comes_back(self) -> None:
        other = self.joined(2)
        page = self.joined(1, 1)
        self.assertEqual(other.said[1:], [OfferFrom(SWARM, peer_id(1), offer(100))])
        other.say(answer(2, 1, 100))
        self.settle()
        self.assertEqual(page.said[1:], [AnswerFrom(SWARM, peer_id(2), Offer(b"%020d" % 100, "v=0 by 2"))])

    def test_each_offer_goes_to_a_peer_of_its_own_and_none_to_who_made_it(self) -> None:
        others = [self.joined(number) for number in range(2, 6)]
        page = self.joined(1, 3)
        self.assertEqual(len(page.said), 1)
        handed = [said.offer for other in others for said in other.said if isinstance(said, OfferFrom)]
        self.assertEqual(sorted(each.offer_id for each in handed), [b"%020d" % (100 + n) for n in range(3)])
        self.assertEqual(sorted(len(other.said) for other in others), [1, 2, 2, 2])

    def test_a_seed_makes_offers_to_leeches_only(self) -> None:
        seed, leech = self.joined(2, left=0), self.joined(3)
        self.joined(1, 5, left=0)
        self.assertEqual((len(seed.said), len(leech.said)), (1, 2))

    def test_offers_stay_within_their_swarm(self) -> None:
        other = self.joined(2, swarm=OTHER)
        self.joined(1, 5)
        self.assertEqual(len(other.said), 1)

    def test_no_more_offers_are_handed_on_than_the_settings_say(self) -> None:
        self.front.apply(replace(self.settings, max_offers=2))
        others = [self.joined(number) for number in range(2, 6)]
        self.joined(1, 4)
        self.assertEqual(sum(len(other.said) - 1 for other in others), 2)

    def test_an_answer_counts_once_from_who_was_asked_and_for_who_asked(self) -> None:
        """Nobody can answer in another's place, twice, to a stranger, or from outside of the swarm."""
        asked, stranger = self.joined(2), self.joined(3)
        page = self.page(1)
        page.say(announce(1, 2))
        self.settle()
        offered = {type(said) for said in stranger.said}
        self.assertIn(OfferFrom, offered)
        (mine,) = [said.offer.offer_id for said in asked.said if isinstance(said, OfferFrom)]
        number = int(mine)
        stranger.say(answer(3, 1, number))  # another's
        asked.say(answer(2, 3, number))  # to a stranger
        asked.say(answer(2, 1, 999))  # to no offer
        asked.say(answer(2, 1, number, swarm=OTHER))  # in another swarm
        asked.say(answer(7, 1, number))  # by a peer it is not
        self.settle()
        self.assertEqual(len(page.said), 1)
        asked.say(answer(2, 1, number), answer(2, 1, number))
        self.settle()
        self.assertEqual([type(said) for said in page.said], [Announced, AnswerFrom])

    def test_answers_to_who_has_left_go_nowhere(self) -> None:
        other = self.joined(2)
        page = self.joined(1, 1)
        page.transport.loseConnection()
        self.settle()
        other.say(answer(2, 1, 100))
        self.settle()
        self.assertEqual(len(other.said), 2)

    def test_of_offers_never_answered_the_oldest_are_forgotten(self) -> None:
        other = self.joined(2)
        page = self.joined(1)
        for place in range(65):
            asked = announce(1, 1)
            page.say(replace(asked, offers=(Offer(b"%020d" % place, "v=0"),)))
        self.settle()
        other.say(answer(2, 1, 0), answer(2, 1, 1))
        self.settle()
        answered = [said.answer.offer_id for said in page.said if isinstance(said, AnswerFrom)]
        self.assertEqual(answered, [b"%020d" % 1])

    def test_two_clients_of_one_page_meet(self) -> None:
        page = self.joined(1)
        page.say(announce(2, 1))
        self.settle()
        self.assertEqual(page.said[2], OfferFrom(SWARM, peer_id(2), offer(200)))
        page.say(answer(1, 2, 200))
        self.settle()
        self.assertIsInstance(page.said[3], AnswerFrom)


class HybridTests(FrontCase):
    tracker_settings = TrackerSettings(jitter=0, hybrids=(SWARM.hex() + ":" + OTHER.hex(),))

    def test_each_side_reads_the_hash_that_it_knows(self) -> None:
        other = self.joined(2, swarm=OTHER)
        page = self.joined(1, 1, swarm=SWARM)
        self.assertEqual(other.said[1], OfferFrom(OTHER, peer_id(1), offer(100)))
        other.say(answer(2, 1, 100, swarm=OTHER))
        self.settle()
        assert isinstance(page.said[1], AnswerFrom)
        self.assertEqual(page.said[1].info_hash, SWARM)
        said = self.answer_to(other, Scrape((OTHER,)))
        assert isinstance(said, Scraped)
        self.assertEqual(said.entries[OTHER].incomplete, 2)

    def test_who_makes_up_peer_ids_is_remembered_by_no_more_names_than_it_has_members(self) -> None:
        relay = Relay(self.tracker, WebSocketSettings(swarms_per_connection=10))
        self.tracker.apply(replace(self.tracker_settings, peers_per_address=3))
        browser = Browser(_Deaf(), "192.0.2.1", None, None)
        relay.opened(browser)
        for number in range(100):
            relay.received(browser, encode_message(announce(number, swarm=OTHER)))
        self.assertEqual(self.tracker.browsers.memberships(browser), 3)
        self.assertLessEqual(len(browser.names), 10)
        last = self.tracker.browsers.member(browser, SWARM, peer_id(99))
        assert last is not None
        self.assertEqual(browser.name(last), OTHER)
        relay.closed(browser)


class _Deaf:
    """A line that takes everything."""

    congested = False

    def say(self, payload: bytes) -> None:
        """Nobody reads it."""

    def drop(self) -> None:
        """It is no connection."""


class _Gate(AnnounceHook):
    """Notes who comes, and does with announces and scrapes what a test says."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self.verdict: Exception | Deferred[None] | None = None

    def announcing(self, request: AnnounceRequest, arrival: Arrival) -> Deferred[None] | None:
        return self.scraping((), arrival)

    def scraping(self, info_hashes: Sequence[bytes], arrival: Arrival) -> Deferred[None] | None:
        self.arrivals.append(arrival)
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return self.verdict


class HookTests(FrontCase):
    def make_tracker(self) -> Tracker:
        self.gate = _Gate()
        return Tracker(self.host, STEADY, hooks=[self.gate], random=random.Random(SEED))

    def test_a_passkey_is_in_the_path_and_a_token_in_the_query_or_in_the_message(self) -> None:
        cases: list[tuple[str, bytes | None, str | None, bytes | None]] = [
            ("/", None, None, None),
            ("/announce", None, None, None),
            ("/announce/k%C3%A9y", None, "kéy", None),
            ("/key/announce", None, "key", None),
            ("/key", None, "key", None),
            ("/?jwt=a.b.c", None, None, b"a.b.c"),
            ("/?jwt=a.b.c", b"d.e.f", None, b"d.e.f"),
        ]
        for target, said, passkey, token in cases:
            page = self.page(1, target)
            self.answer_to(page, announce(1, token=said))
            arrival = self.gate.arrivals[-1]
            self.assertEqual((arrival.passkey, arrival.token), (passkey, token), target)
            self.assertEqual((arrival.front, arrival.host), (Front.WEBSOCKET, "192.0.2.1"))

    def test_who_is_refused_reads_why_and_joins_nothing(self) -> None:
        self.gate.verdict = TrackerFailure("not you", 60.0)
        page = self.page()
        self.assertEqual(self.answer_to(page, announce(1)), Refused("not you", 60.0, "announce", SWARM))
        self.assertEqual(self.answer_to(page, Scrape((SWARM,))), Refused("not you", 60.0, "scrape", SWARM))
        self.assertEqual(self.tracker.browsers.size(SWARM), ScrapeEntry(downloaders=0))

    def test_an_error_of_ours_is_logged_and_not_told(self) -> None:
        self.gate.verdict = KeyError("secret")
        said = self.answer_to(self.page(), announce(1))
        assert isinstance(said, Refused)
        self.assertEqual(said.reason, "the tracker had an error of its own; try again later")
        self.assertEqual(len(self.network.flush_failures(KeyError)), 1)
        self.flushLoggedErrors(KeyError)

    def test_a_hook_may_take_its_time(self) -> None:
        self.gate.verdict = later = Deferred[None]()
        page = self.page()
        page.say(announce(1))
        self.settle()
        self.assertEqual(page.said, [])
        later.callback(None)
        self.settle()
        self.assertIsInstance(page.said[0], Announced)

    def test_who_leaves_while_a_hook_takes_its_time_joins_nothing(self) -> None:
        self.gate.verdict = later = Deferred[None]()
        page = self.page()
        page.say(announce(1))
        self.settle()
        page.transport.loseConnection()
        self.settle()
        later.callback(None)
        self.settle()
        self.assertEqual(self.tracker.browsers.size(SWARM).incomplete, 0)


@implementer(ISwarmStore)
class _LateStore:
    """Answers scrapes with Deferreds."""

    def __init__(self) -> None:
        self.answers: dict[bytes, ScrapeEntry] | TrackerFailure = {}

    def scrape(self, info_hashes: Sequence[bytes]) -> Deferred[dict[bytes, ScrapeEntry]]:
        if isinstance(self.answers, TrackerFailure):
            raise self.answers
        found = self.answers
        return succeed({info_hash: found.get(info_hash, ScrapeEntry()) for info_hash in info_hashes})

    def announce(self, request: AnnounceRequest) -> SwarmAnswer:
        raise AssertionError("a browser is in no store")


class StoreTests(FrontCase):
    def make_tracker(self) -> Tracker:
        self.store = _LateStore()
        return Tracker(self.host, STEADY, store=self.store, random=random.Random(SEED))

    def test_a_store_elsewhere_is_asked_how_many_it_has(self) -> None:
        self.store.answers = {SWARM: ScrapeEntry(5, 6, 7)}
        page = self.joined(1)
        (said,) = page.said
        assert isinstance(said, Announced)
        found = said.response
        self.assertEqual((found.complete, found.downloaded, found.incomplete), (5, 6, 8))
        scraped = self.answer_to(page, Scrape((SWARM,)))
        self.assertEqual(scraped, Scraped({SWARM: ScrapeEntry(5, 6, 8)}, 120))

    def test_what_the_store_cannot_do_the_browser_reads(self) -> None:
        self.store.answers = TrackerFailure("the store is away", 30.0)
        (said,) = self.joined(1).said
        self.assertEqual(said, Refused("the store is away", 60.0, "announce", SWARM))


class HandshakeTests(FrontCase):
    def test_what_is_no_websocket_is_refused_and_not_repeated(self) -> None:
        evil = "evil\x1b[2J"
        cases = [
            (request(Upgrade=None), 426),
            (request(Sec_WebSocket_Version="8"), 400),
            (request(Sec_WebSocket_Key="short"), 400),
            (request(Host=None), 400),
            (request(Origin=evil), 400),
            (request("/a/b/c"), 404),
            (b"POST / HTTP/1.1\r\nHost: t\r\n\r\n", 405),
            (b"GET / HTTP/1.0\r\nHost: t\r\n\r\n", 505),
            (b"GET http://[ HTTP/1.1\r\nHost: t\r\n\r\n", 400),
            (b"\r\n\r\n", 400),
            (b"\x16\x03\x01 hello\r\n\r\n", 400),
            (request(X=evil + "\x85X-Forwarded-For: 203.0.113.5"), 400),
            (request(X="one\nX-Forwarded-For: 203.0.113.5"), 400),
        ]
        for head, status in cases:
            page = self.dial(head=head)
            self.assertEqual(page.status, status, head)
            self.assertNotIn(b"evil", page.head)
            self.settle()
            self.assertTrue(page.lost)

    def test_a_head_without_end_is_refused(self) -> None:
        page = self.dial(head=b"GET / HTTP/1.1\r\nX: " + b"x" * (20 << 10))
        self.assertEqual(page.status, 431)

    def test_who_does_not_finish_the_head_in_time_is_dropped(self) -> None:
        head = request()
        host = self.network.host("192.0.2.1")
        page = open_page(host, TRACKER, PORT, head[:-2])
        self.network.advance(9)
        self.assertFalse(page.lost)
        self.network.advance(2)
        self.assertTrue(page.lost)

    def test_pages_of_other_origins_are_refused_where_some_are_named(self) -> None:
        self.front.apply(replace(self.settings, allowed_origins=("https://Good.example",)))
        for origin, status in (
            ("https://good.example", 101),
            ("https://evil.example", 403),
            ("http://good.example", 403),
            ("null", 403),
            (None, 101),
        ):
            self.assertEqual(self.dial(head=request(Origin=origin)).status, status, origin)

    def test_any_origin_may_come_unless_some_are_named(self) -> None:
        for origin in ("https://evil.example", "null", "file://", None):
            self.assertEqual(self.dial(head=request(Origin=origin)).status, 101, origin)

    def test_compression_is_not_agreed_to(self) -> None:
        page = self.page(head=request(Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits"))
        self.assertNotIn(b"deflate", page.head)


class ProxyTests(FrontCase):
    settings = WebSocketSettings(trusted_proxies=("192.0.2.1", "192.0.2.2"), connections_per_address=2)

    def make_tracker(self) -> Tracker:
        self.gate = _Gate()
        return Tracker(self.host, STEADY, hooks=[self.gate], random=random.Random(SEED))

    def host_of(self, page: Page) -> str:
        self.assertIsInstance(self.answer_to(page, announce(1)), Announced)
        page.transport.loseConnection()
        self.settle()
        return self.gate.arrivals[-1].host

    def test_a_trusted_proxy_names_the_client(self) -> None:
        cases = {
            "203.0.113.9": "203.0.113.9",
            "made.up, 203.0.113.9": "203.0.113.9",
            "203.0.113.1, 203.0.113.9, 192.0.2.2": "203.0.113.9",
            "::ffff:203.0.113.9": "203.0.113.9",
            "unknown": "192.0.2.1",
        }
        for said, host in cases.items():
            self.assertEqual(self.host_of(self.page(head=request(X_Forwarded_For=said))), host, said)

    def test_nobody_else_does(self) -> None:
        self.assertEqual(self.host_of(self.page(3, head=request(X_Forwarded_For="203.0.113.9"))), "192.0.2.3")

    def test_a_proxy_at_a_unix_socket_is_believed_where_that_is_said(self) -> None:
        for proxies, host in (((), None), (("unix",), "203.0.113.9")):
            front = WebSocketFront(self.host, self.make_tracker(), WebSocketSettings(trusted_proxies=proxies))
            for forwarded, found in (([b"203.0.113.9"], host), ([b"unknown"], None), ([], None)):
                protocol = front.buildProtocol(UNIXAddress(b"/x"))
                self.assertEqual(front.admit(protocol, UNIXAddress(b"/x"), forwarded), found)  # type: ignore[arg-type]

    def test_the_nearest_line_counts(self) -> None:
        head = request(X_Forwarded_For="203.0.113.1", extra=[("x-forwarded-for", "203.0.113.9")])
        self.assertEqual(self.host_of(self.page(head=head)), "203.0.113.9")

    def test_connections_are_counted_for_clients_and_not_for_proxies(self) -> None:
        pages = [self.page(head=request(X_Forwarded_For="203.0.113.9")) for _ in range(2)]
        self.assertEqual(self.dial(head=request(X_Forwarded_For="203.0.113.9")).status, 503)
        self.page(head=request(X_Forwarded_For="203.0.113.8"))
        pages[0].transport.loseConnection()
        self.settle()
        self.page(head=request(X_Forwarded_For="203.0.113.9"))


class BoundTests(FrontCase):
    settings = WebSocketSettings(
        connections_per_address=3,
        max_connections=5,
        swarms_per_connection=2,
        messages_per_second=10,
        message_burst=20,
        max_message=4096,
    )

    def test_one_address_has_so_many_connections(self) -> None:
        pages = [self.page() for _ in range(3)]
        self.assertEqual(self.dial().status, 0)
        self.page(2)
        pages[0].transport.loseConnection()
        self.settle()
        self.page()

    def test_beyond_what_there_may_be_the_longest_silent_gives_way(self) -> None:
        joined = [self.joined(number) for number in (1, 2, 3)]
        silent = [self.page(4), self.page(5)]
        self.page(6)
        self.settle()
        self.assertEqual([page.lost for page in silent], [True, False])
        self.joined(7)
        self.joined(8)
        self.assertEqual(self.dial(9).status, 0)
        self.assertEqual([page.lost for page in joined], [False] * 3)

    def test_one_connection_is_in_so_many_swarms(self) -> None:
        page = self.page()
        for letter in b"ab":
            self.assertIsInstance(self.answer_to(page, announce(1, swarm=bytes([letter]) * 20)), Announced)
        third = announce(1, swarm=b"c" * 20)
        said = self.answer_to(page, third)
        self.assertEqual(said, Refused("too many torrents for one connection", None, "announce", b"c" * 20))
        self.assertIsInstance(self.answer_to(page, announce(1, swarm=b"a" * 20)), Announced)
        self.answer_to(page, announce(1, swarm=b"b" * 20, event=Event.STOPPED))
        self.assertIsInstance(self.answer_to(page, third), Announced)

    def test_where_there_is_no_room_for_a_further_browser_it_reads_so(self) -> None:
        self.front.apply(replace(self.settings, max_peers=1))
        self.joined(1)
        said = self.answer_to(self.page(2), announce(2))
        full = "this tracker has no room for another browser"
        self.assertEqual(said, Refused(full, 3600.0, "announce", SWARM))

    def test_who_says_much_is_read_slowly_and_loses_nothing(self) -> None:
        page = self.page()
        page.say(*[Scrape((SWARM,))] * 30)  # ten more than the burst: a second's worth
        self.network.advance(0.5)
        read = len(page.said)
        page.say(*[announce(1)] * 10)
        self.network.advance(0.4)
        self.assertLessEqual(len(page.said), 30)
        self.network.advance(5)
        self.assertEqual(len(page.said), 40)
        self.assertGreaterEqual(read, 20)
        self.assertFalse(page.lost)

    def test_frames_without_end_end_the_connection(self) -> None:
        floods = {
            "pings": frame(b"", PING) * 3000,
            "pieces": frame(b"", final=False) + frame(b"", 0, final=False) * 3000,
            "messages": frame(b"") * 3000,
        }
        for name, flood in floods.items():
            page = self.page()
            page.send(flood)
            self.network.advance(30)
            self.assertTrue(page.lost, name)
            self.assertLess(page.pongs, 41)

    def test_a_message_longer_than_the_settings_say_ends_the_connection(self) -> None:
        for payload in (frame(b" " * 5000), frame(b" " * 3000, final=False) + frame(b" " * 3000, 0)):
            page = self.page()
            page.send(payload)
            self.settle()
            self.assertTrue(page.lost)

    def test_who_says_nothing_sensible_is_dropped(self) -> None:
        page = self.page()
        page.say(*[b"{}"] * 17)
        self.settle()
        self.assertTrue(page.lost)
        self.assertLessEqual(len(page.said), 16)


class PatienceTests(FrontCase):
    def test_who_answers_pings_stays(self) -> None:
        page = self.joined(1)
        self.network.advance(600)
        self.assertGreater(page.pings, 15)
        self.assertFalse(page.lost)

    def test_who_does_not_is_dropped_and_leaves_its_swarms(self) -> None:
        page = self.joined(1)
        page.deaf = True
        self.network.advance(61)
        self.assertTrue(page.lost)
        self.assertEqual(self.tracker.browsers.size(SWARM).incomplete, 0)

    def test_who_loses_power_is_forgotten_too(self) -> None:
        self.joined(1)
        self.network.host("192.0.2.1").drop()
        self.network.advance(61)
        self.assertEqual(self.tracker.browsers.connections, 0)

    def test_who_does_not_read_is_sent_no_more_than_buffers_hold_and_dropped_in_the_end(self) -> None:
        slow = self.joined(2)
        slow.transport.pauseProducing()  # type: ignore[attr-defined]  # of Twisted's transports
        pages = [self.joined(number) for number in (1, 3)]
        big = Offer(b"i" * 20, "v" * 16_000)
        sent = 0
        for _ in range(40):
            for number, page in zip((1, 3), pages):
                page.say(replace(announce(number, 1), offers=(big,) * 1))
                sent += 16_000
            self.network.advance(0.5)
        self.assertLess(self.host.sent_bytes, sent)
        (transport,) = [t for t in self.host.connections if t.getPeer().host == "192.0.2.2"]
        self.assertLess(transport.unsent, 100_000)
        self.network.advance(61)
        self.assertEqual(self.tracker.browsers.connections, 2)
        self.network.host("192.0.2.2").drop()

    def test_a_close_is_answered(self) -> None:
        page = self.joined(1)
        page.send(frame(b"\x03\xe8", CLOSE))
        self.settle()
        self.assertEqual((page.closed, page.lost), (1000, True))

    def test_when_nobody_listens_any_more_all_are_told_to_go(self) -> None:
        page = self.joined(1)
        self.port.stopListening()
        self.settle()
        self.assertEqual(page.closed, 1001)
        self.network.advance(5)
        self.assertTrue(page.lost)


class HostileTests(FrontCase):
    """Whatever comes: an answer or the end of that connection, never an exception, and others are served."""

    def test_random_bytes_and_nearly_good_ones(self) -> None:
        chance = random.Random(SEED)
        good = self.joined(9)
        for number in range(runs(60, 6000)):
            data = bytearray(request("/announce?jwt=x"))
            data += frame(b'{"action":"scrape","info_hash":"' + SWARM + b'"}') * 2
            data += frame(b"\x03\xe8", CLOSE) if number % 3 else frame(b"\x03", chance.randrange(16))
            for _ in range(chance.randrange(1, 8)):
                data[chance.randrange(len(data))] = chance.randrange(256)
            page = open_page(self.network.host("192.0.2.1"), TRACKER, PORT, bytes(data))
            self.network.advance(0.2)
            if page.transport is not None:
                page.transport.abortConnection()
        self.assertIsInstance(self.answer_to(good, Scrape((SWARM,))), Scraped)


class MakingTests(SynchronousTestCase):
    def test_without_autobahn_the_operator_reads_what_to_install(self) -> None:
        host = SimulatedNetwork().host(TRACKER)
        name = "bittwist.tracker.websocket_protocol"
        others = {module: found for module, found in sys.modules.items() if module != name}
        hidden = mock.patch.dict(sys.modules, {**others, "autobahn.twisted.websocket": None}, clear=True)
        with hidden, self.assertRaisesRegex(ConfigError, r"bittwist\[ws\]"):
            WebSocketFront(host, Tracker(host))

    def test_an_origin_that_no_browser_sends_is_refused_and_named(self) -> None:
        for origin in (
            "https://example.org/",
            "example.org/",
            "example.org",
            "*",
            "https://*.example.org",
            "https://user@example.org",
            "https://example.org/page",
            "https://example.org:443",
            "http://example.org:80",
            "",
        ):
            with self.assertRaises(ValueError) as caught:
                WebSocketSettings(allowed_origins=("https://example.org", origin))
            self.assertEqual(caught.exception.args[0], "allowed_origins")
            self.assertIn(repr(origin), caught.exception.args[1])
        good = (
            "https://example.org",
            "http://localhost:8080",
            "http://[::1]:8080",
            "null",
            "moz-extension://x",
        )
        self.assertEqual(WebSocketSettings(allowed_origins=good).allowed_origins, good)

    def test_settings_out_of_range_are_refused_by_name(self) -> None:
        for key, value in {
            "interval": 0,
            "max_offers": -1,
            "max_message": 100,
            "message_burst": 0,
            "messages_per_second": 0.0,
            "handshake_deadline": float("inf"),
            "ping_interval": 1e30,
            "ping_timeout": 0.0,
            "connections_per_address": 0,
            "max_connections": 0,
            "max_peers": 0,
            "trusted_proxies": ("not a network",),
            "proxy_header": "X-Real-IP",
        }.items():
            with self.assertRaises(ValueError) as caught:
                WebSocketSettings(**{key: value})  # type: ignore[arg-type]
            self.assertEqual(caught.exception.args[0], key)
