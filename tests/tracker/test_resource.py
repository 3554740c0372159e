"""The tracker over HTTP, in memory, through a real Site."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import quote_from_bytes

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.interfaces import IAddress
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import IResource, Resource
from twisted.web.server import Site
from zope.interface import implementer

from bittwist.address import Address
from bittwist.announce.http import (
    decode_announce_response,
    decode_scrape_response,
    encode_announce_url,
    scrape_url,
)
from bittwist.announce.values import AnnounceRequest, AnnounceResponse, Event, ScrapeEntry
from bittwist.errors import RemoteProtocolError, TrackerFailure
from bittwist.metainfo.bencode import decode
from bittwist.net.site import SiteSettings, make_site
from bittwist.tracker import (
    AnnounceHook,
    Arrival,
    Front,
    IAnnounceHook,
    ISwarmStore,
    Reply,
    SwarmAnswer,
    Tracker,
    TrackerSettings,
)
from tests.scale import SEED, runs

STEADY = TrackerSettings(jitter=0)
REQUEST = AnnounceRequest(b"h" * 20, b"p" * 20, 6881, left=1)


def leech(number: int) -> AnnounceRequest:
    return replace(REQUEST, peer_id=b"%020d" % number)


class TrackerTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.tracker = Tracker(self.clock, STEADY)
        self.site = make_site(self.clock, self.tracker.resource())

    def fetch(
        self, target: str | bytes, host: str = "192.0.2.1", site: Site | None = None
    ) -> tuple[int, bytes]:
        raw = target.encode() if isinstance(target, str) else target
        return self.talk(
            b"GET %b HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n" % raw, address(host), site
        )

    def talk(self, request: bytes, peer: IAddress, site: Site | None = None) -> tuple[int, bytes]:
        transport = StringTransport(hostAddress=IPv4Address("TCP", "192.0.2.99", 6969), peerAddress=peer)
        channel = (site or self.site).buildProtocol(peer)  # type: ignore[no-untyped-call]
        assert channel is not None
        channel.makeConnection(transport)
        channel.dataReceived(request)
        head, _, body = transport.value().partition(b"\r\n\r\n")
        channel.connectionLost(None)
        self.head = head
        return int(head.split()[1] if head else 0), body

    def announce(self, request: AnnounceRequest, host: str = "192.0.2.1") -> AnnounceResponse:
        _, body = self.fetch(encode_announce_url("/announce", request), host)
        return decode_announce_response(body)

    def failure(self, target: str, host: str = "192.0.2.1") -> str:
        with self.assertRaises(TrackerFailure) as caught:
            decode_announce_response(self.fetch(target, host)[1])
        return caught.exception.reason


def address(host: str) -> IAddress:
    return IPv6Address("TCP", host, 1234) if ":" in host else IPv4Address("TCP", host, 1234)


class AnnounceTests(TrackerTestCase):
    def test_peers_find_each_other(self) -> None:
        self.assertEqual(self.announce(leech(1), "192.0.2.1").peers, ())
        response = self.announce(replace(leech(2), left=0, event=Event.COMPLETED), "192.0.2.2")
        self.assertEqual(response.peers, (Address("192.0.2.1", 6881),))
        self.assertEqual((response.complete, response.incomplete, response.downloaded), (1, 1, 1))
        self.assertEqual((response.interval, response.min_interval), (1800, 300))
        self.assertEqual(response.external_ip, "192.0.2.2")

    def test_the_reply_has_a_length_and_sorted_keys(self) -> None:
        status, body = self.fetch(encode_announce_url("/announce", REQUEST))
        self.assertEqual(status, 200)
        self.assertIn(b"Content-Length: %d" % len(body), self.head)
        self.assertNotIn(b"chunked", self.head)
        decode(body, strict=True)

    def test_dictionary_replies_name_the_peers(self) -> None:
        self.announce(leech(1), "192.0.2.1")
        self.announce(leech(2), "2001:db8::2")
        response = self.announce(replace(leech(3), compact=False), "192.0.2.3")
        self.assertEqual(response.peers, (Address("192.0.2.1", 6881), Address("2001:db8::2", 6881)))
        self.assertEqual(response.peer_ids, (leech(1).peer_id, leech(2).peer_id))
        response = self.announce(replace(leech(3), compact=False, no_peer_id=True), "192.0.2.3")
        self.assertEqual((len(response.peers), response.peer_ids), (2, ()))

    def test_ipv6_peers_come_in_peers6(self) -> None:
        self.announce(leech(1), "2001:db8::1")
        _, body = self.fetch(encode_announce_url("/announce", leech(2)), "2001:db8::2")
        reply = decode(body)
        assert isinstance(reply, dict)
        self.assertEqual(reply[b"peers6"], Address("2001:db8::1", 6881).packed)
        self.assertEqual(reply[b"peers"], b"")

    def test_mapped_and_scoped_addresses_are_read(self) -> None:
        self.assertEqual(self.announce(leech(1), "::ffff:192.0.2.1").external_ip, "192.0.2.1")
        self.assertEqual(self.announce(leech(2), "fe80::1%eth0").external_ip, "fe80::1")

    def test_a_negative_numwant_is_none(self) -> None:
        for number in range(60):
            self.announce(leech(number), f"192.0.2.{number + 1}")
        url = encode_announce_url("/announce", leech(99))
        for said, told in (("-1", 50), ("-7", 50), ("7", 7)):
            _, body = self.fetch(f"{url}&numwant={said}", "192.0.2.200")
            self.assertEqual(len(decode_announce_response(body).peers), told)
        self.assertIn("numwant", self.failure(f"{url}&numwant=-x"))

    def test_numwant_is_bounded_and_has_a_default(self) -> None:
        for number in range(100):
            self.announce(leech(number), f"198.51.100.{number}")
        for numwant, told in ((None, 50), (0, 0), (5, 5), (74, 74), (75, 74), (2**60, 74)):
            self.assertEqual(len(self.announce(replace(REQUEST, numwant=numwant)).peers), told)

    def test_who_stops_leaves(self) -> None:
        self.announce(leech(1), "192.0.2.1")
        self.announce(replace(leech(1), event=Event.STOPPED), "192.0.2.1")
        self.assertEqual(self.announce(leech(2), "192.0.2.2").peers, ())

    def test_a_strangers_ip_is_ignored_and_a_neighbours_is_not(self) -> None:
        named = replace(leech(1), ip="203.0.113.7")
        self.assertEqual(self.announce(named, "198.51.100.1").external_ip, "198.51.100.1")
        self.assertEqual(self.announce(named, "10.0.0.1").external_ip, "10.0.0.1")
        self.assertEqual(self.announce(named, "127.0.0.1").external_ip, "203.0.113.7")
        self.assertEqual(self.announce(named, "::1").external_ip, "203.0.113.7")

    def test_nobody_is_at_no_address(self) -> None:
        for ip in ("0.0.0.0", "224.0.0.1", "::"):
            reason = self.failure(encode_announce_url("/announce", replace(REQUEST, ip=ip)), "127.0.0.1")
            self.assertTrue(reason.startswith("ip: "), reason)

    def test_an_address_the_front_cannot_see_is_said_so(self) -> None:
        query = encode_announce_url("/announce", REQUEST).encode()
        _, body = self.talk(b"GET %b HTTP/1.0\r\n\r\n" % query, UNIXAddress(None))
        self.assertIn(b"cannot see your address", body)

    def test_the_failure_names_the_parameter(self) -> None:
        self.assertEqual(self.failure("/announce"), "port: missing")
        self.assertEqual(self.failure("/announce?port=1"), "info_hash: missing")
        self.assertEqual(self.failure("/scrape?info_hash=x"), "info_hash: 1 bytes instead of 20")
        self.assertEqual(self.fetch("/announce")[0], 200, "clients read reasons in good replies only")

    def test_http_1_0_and_head(self) -> None:
        query = encode_announce_url("/announce", REQUEST).encode()
        status, body = self.talk(b"GET %b HTTP/1.0\r\n\r\n" % query, address("192.0.2.1"))
        self.assertEqual((status, body[:1]), (200, b"d"))
        status, body = self.talk(b"HEAD %b HTTP/1.0\r\n\r\n" % query, address("192.0.2.1"))
        self.assertEqual((status, body), (200, b""))


class ScrapeTests(TrackerTestCase):
    def test_many_hashes_at_once(self) -> None:
        self.announce(replace(leech(1), left=0), "192.0.2.1")
        self.announce(leech(2), "192.0.2.2")
        url = scrape_url("/announce", [b"h" * 20, b"\xff" * 20])
        assert url is not None
        self.assertEqual(
            decode_scrape_response(self.fetch(url)[1]),
            {
                b"h" * 20: ScrapeEntry(complete=1, incomplete=1, downloaders=1),
                b"\xff" * 20: ScrapeEntry(downloaders=0),
            },
        )

    def test_the_first_so_many_are_answered(self) -> None:
        self.tracker.apply(replace(STEADY, max_scrape=50))
        url = scrape_url("/announce", [bytes([number]) * 20 for number in range(60)])
        assert url is not None
        self.assertEqual(len(decode_scrape_response(self.fetch(url)[1])), 50)

    def test_partial_seeds_are_no_downloaders(self) -> None:
        """BEP 21."""
        self.announce(leech(1), "192.0.2.1")
        self.announce(replace(leech(2), event=Event.PAUSED), "192.0.2.2")
        _, body = self.fetch("/scrape?info_hash=" + "h" * 20)
        self.assertEqual(decode_scrape_response(body)[b"h" * 20], ScrapeEntry(0, 0, 2, downloaders=1))


class MountTests(TrackerTestCase):
    def site_of(self, **children: IResource) -> Site:
        root = Resource()
        for name, child in children.items():
            root.putChild(name.encode(), child)
        return Site(root, reactor=self.clock)  # type: ignore[no-untyped-call]

    def test_as_announce_and_scrape_in_any_site(self) -> None:
        site = self.site_of(announce=self.tracker.resource(), scrape=self.tracker.resource())
        _, body = self.fetch(encode_announce_url("/announce", REQUEST), site=site)
        self.assertEqual(decode_announce_response(body).incomplete, 1)
        _, body = self.fetch("/scrape?info_hash=" + "h" * 20, site=site)
        self.assertEqual(decode_scrape_response(body)[b"h" * 20].incomplete, 1)

    def test_below_another_name(self) -> None:
        site = self.site_of(tracker=self.tracker.resource())
        _, body = self.fetch(encode_announce_url("/tracker/announce", REQUEST), site=site)
        self.assertEqual(decode_announce_response(body).incomplete, 1)
        self.assertEqual(self.fetch("/tracker", site=site)[0], 404)

    def test_elsewhere_there_is_nothing(self) -> None:
        for target in ("/", "/x", "/x/y", "/announce/x/y", "/announcex", "/announce/", "/%ff", "/%00"):
            status, body = self.fetch(target)
            self.assertEqual(status, 404, target)
            self.assertNotIn(b"Traceback", body)


class CredentialTests(TrackerTestCase):
    """What a private tracker's hooks are shown."""

    def setUp(self) -> None:
        super().setUp()
        self.hook = Hook(*[None] * 20)
        self.tracker = Tracker(self.clock, STEADY, hooks=[self.hook])
        self.site = make_site(self.clock, self.tracker.resource())
        self.query = encode_announce_url("/", REQUEST)[1:]

    def credentials(self) -> tuple[str | None, bytes | None]:
        arrival = self.hook.arrivals[-1]
        self.assertEqual((arrival.front, arrival.host), (Front.HTTP, "192.0.2.1"))
        return arrival.passkey, arrival.token

    def test_the_passkey_stands_before_or_behind_the_word(self) -> None:
        for path, passkey in {
            "/announce": None,
            "/announce/s3cret": "s3cret",
            "/s3cret/announce": "s3cret",
            "/s3%63ret/announce": "s3cret",
        }.items():
            self.assertEqual(self.fetch(path + self.query)[0], 200, path)
            self.assertEqual(self.credentials(), (passkey, None), path)
        for path, passkey in {
            "/scrape": None,
            "/scrape/s3cret": "s3cret",
            "/s3cret/scrape": "s3cret",
        }.items():
            self.assertEqual(self.fetch(f"{path}?info_hash={'h' * 20}&jwt=abc")[0], 200, path)
            self.assertEqual(self.credentials(), (passkey, b"abc"), path)

    def test_the_passkey_stands_behind_a_mount_too(self) -> None:
        root = Resource()
        for name in (b"announce", b"scrape", b"tracker"):
            root.putChild(name, self.tracker.resource())
        site = Site(root, reactor=self.clock)  # type: ignore[no-untyped-call]
        for path in ("/announce/s3cret", "/tracker/announce/s3cret", "/tracker/s3cret/announce"):
            self.assertEqual(self.fetch(path + self.query, site=site)[0], 200, path)
            self.assertEqual(self.credentials(), ("s3cret", None), path)
        self.fetch(f"/scrape/s3cret?info_hash={'h' * 20}", site=site)
        self.assertEqual(self.credentials(), ("s3cret", None))

    def test_the_log_of_requests_does_not_tell_passkeys(self) -> None:
        paths: list[object] = []

        def observe(event: LogEvent) -> None:
            paths.append(event.get("path"))

        site = self.tracker.site(SiteSettings(log_requests=True))
        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        for path in ("/s3cret/announce", "/announce/s3cret", "/s3cret", "/announce/s3cret/"):
            self.fetch(path + self.query, site=site)
        self.fetch(f"/s3cret/scrape?info_hash={'h' * 20}", site=site)
        self.talk(b"POST /s3cret/announce HTTP/1.1\r\nHost: t\r\n\r\n", address("192.0.2.1"), site)
        told = ["/-/announce", "/announce/-", "/-", "/announce/-/", "/-/scrape", "/-/announce"]
        self.assertEqual(paths, told)

    def test_the_token_is_the_first_parameter_jwt(self) -> None:
        self.fetch(f"/announce{self.query}&jwt=a.b%2Dc&jwt=x")
        self.assertEqual(self.credentials(), (None, b"a.b-c"))


@implementer(IAnnounceHook)
class Hook(AnnounceHook):
    def __init__(self, *verdicts: Deferred[None] | Exception | None) -> None:
        self.verdicts = list(verdicts)
        self.asked: list[AnnounceRequest] = []
        self.arrivals: list[Arrival] = []

    def announcing(self, request: AnnounceRequest, arrival: Arrival) -> Deferred[None] | None:
        self.asked.append(request)
        self.arrivals.append(arrival)
        verdict = self.verdicts.pop(0)
        if isinstance(verdict, Exception):
            raise verdict
        return verdict

    def scraping(self, info_hashes: Sequence[bytes], arrival: Arrival) -> None:
        self.arrivals.append(arrival)
        self.scraped = tuple(info_hashes)


@implementer(ISwarmStore)
class LaterStore:
    """A store that answers by Deferred."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def announce(self, request: AnnounceRequest) -> Deferred[SwarmAnswer]:
        return self._later()

    def scrape(self, info_hashes: object) -> Deferred[dict[bytes, ScrapeEntry]]:
        return self._later()

    def _later(self) -> Deferred[object]:
        return fail(self.answer) if isinstance(self.answer, Exception) else succeed(self.answer)


@implementer(ISwarmStore)
class NeverStore(LaterStore):
    """A store that does not answer."""

    def __init__(self) -> None:
        super().__init__(None)

    def _later(self) -> Deferred[object]:
        return Deferred()


class HookTests(TrackerTestCase):
    def with_hooks(self, *hooks: Hook) -> Tracker:
        self.tracker = Tracker(self.clock, hooks=hooks)
        self.site = make_site(self.clock, self.tracker.resource())
        return self.tracker

    def test_a_hook_sees_the_address_and_lets_pass(self) -> None:
        hook = Hook(None)
        self.with_hooks(hook)
        self.assertEqual(self.announce(REQUEST).incomplete, 1)
        self.assertEqual(hook.asked[0].address, Address("192.0.2.1", 6881))

    def test_a_hook_sees_a_hybrid_by_one_hash_whatever_was_asked(self) -> None:
        """So that a list that names it holds for announces and scrapes alike."""
        v1, v2 = b"1" * 20, b"2" * 20
        hook = Hook(None)
        self.with_hooks(hook).apply(replace(STEADY, hybrids=(f"{v1.hex()}:{v2.hex()}",)))
        self.announce(replace(REQUEST, info_hash=v2))
        self.assertEqual(hook.asked[0].info_hash, v1)
        url = scrape_url("/announce", [v2, b"h" * 20, v1])
        assert url is not None
        self.assertEqual(set(decode_scrape_response(self.fetch(url)[1])), {v1, v2, b"h" * 20})
        self.assertEqual(hook.scraped, (v1, b"h" * 20))

    def test_a_hook_refuses_with_its_reason_at_once_or_later(self) -> None:
        for verdict in (TrackerFailure("not yours"), fail(TrackerFailure("not yours"))):
            after = Hook(None)
            self.with_hooks(Hook(verdict), after)
            self.assertEqual(self.failure(encode_announce_url("/announce", REQUEST)), "not yours")
            self.assertEqual(after.asked, [])

    def test_hooks_that_take_their_time_are_asked_one_after_the_other(self) -> None:
        first: Deferred[None] = Deferred()
        second: Deferred[None] = Deferred()
        later = Hook(second)
        tracker = self.with_hooks(Hook(None), Hook(first), later)
        arrival = Arrival(Front.HTTP, "192.0.2.1")
        answer = tracker.announce(replace(REQUEST, address=Address("192.0.2.1", 1)), arrival)
        assert isinstance(answer, Deferred)
        self.assertNoResult(answer)
        self.assertEqual(later.asked, [])
        first.callback(None)
        second.callback(None)
        reply = self.successResultOf(answer)
        assert isinstance(reply, Reply)
        self.assertEqual(reply.swarm, SwarmAnswer(incomplete=1))

    def test_an_announce_whose_client_went_away_is_no_failure(self) -> None:
        arrival = Arrival(Front.HTTP, "192.0.2.1")
        request = replace(REQUEST, address=Address("192.0.2.1", 1))
        for tracker in (self.with_hooks(Hook(Deferred())), Tracker(self.clock, store=NeverStore())):
            answer = tracker.announce(request, arrival)
            assert isinstance(answer, Deferred)
            answer.cancel()
            self.failureResultOf(answer, CancelledError)
            self.assertEqual(tracker.statistics.announces, {(Front.HTTP, False, "", "gone"): 1})

    def test_a_store_may_answer_later(self) -> None:
        self.tracker = Tracker(self.clock, store=LaterStore(SwarmAnswer(complete=7)))
        self.site = make_site(self.clock, self.tracker.resource())
        self.assertEqual(self.announce(REQUEST).complete, 7)
        self.tracker = Tracker(self.clock, store=LaterStore({b"h" * 20: ScrapeEntry(1, 2, 3)}))
        self.site = make_site(self.clock, self.tracker.resource())
        _, body = self.fetch("/scrape?info_hash=" + "h" * 20)
        self.assertEqual(decode_scrape_response(body), {b"h" * 20: ScrapeEntry(1, 2, 3)})

    def test_an_error_of_ours_is_logged_and_the_peer_hears_nothing_of_it(self) -> None:
        for broken in (
            Tracker(self.clock, hooks=[Hook(RuntimeError("secret"))]),
            Tracker(self.clock, hooks=[Hook(fail(RuntimeError("secret")))]),
            Tracker(self.clock, store=LaterStore(RuntimeError("secret"))),
        ):
            self.site = make_site(self.clock, broken.resource())
            _, body = self.fetch(encode_announce_url("/announce", REQUEST))
            self.assertNotIn(b"secret", body)
            with self.assertRaises(TrackerFailure) as caught:
                decode_announce_response(body)
            self.assertEqual(caught.exception.retry_in, 300)
            self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)


class ServiceTests(TrackerTestCase):
    def test_peers_who_stay_away_are_forgotten_and_stopping_leaves_no_timer(self) -> None:
        settings = TrackerSettings(interval=60, min_interval=10)
        self.tracker = Tracker(self.clock, settings)
        self.site = make_site(self.clock, self.tracker.resource())
        self.tracker.startService()
        self.announce(leech(1), "192.0.2.1")
        self.clock.pump([1.0] * int(settings.expire_after))
        self.assertEqual(self.announce(replace(leech(2), event=Event.STOPPED), "192.0.2.2").incomplete, 1)
        self.clock.pump([1.0] * 35)
        self.assertEqual(self.announce(leech(2), "192.0.2.2").incomplete, 1)
        self.successResultOf(self.tracker.stopService())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_it_can_be_stopped_unstarted_and_started_again(self) -> None:
        for _ in range(2):
            self.tracker.startService()
            self.tracker.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_new_settings_hold_at_once(self) -> None:
        self.tracker.apply(
            replace(STEADY, interval=900, lonely_interval=900, external_ip=False, trust_ip_from=())
        )
        response = self.announce(replace(REQUEST, ip="203.0.113.7"), "127.0.0.1")
        self.assertEqual((response.interval, response.external_ip), (900, None))

    def test_a_leech_that_is_told_of_nobody_is_asked_back_soon_but_never_later_than_others(self) -> None:
        for interval, lonely in ((900, 60), (30, 30)):
            self.tracker.apply(TrackerSettings(interval=interval, min_interval=10, jitter=0))
            host = f"192.0.2.{lonely}"
            self.assertEqual(self.announce(REQUEST, host).interval, lonely)
            self.assertEqual(self.announce(leech(2), "192.0.2.9").interval, interval)
            for request, where in ((REQUEST, host), (leech(2), "192.0.2.9")):
                self.announce(replace(request, event=Event.STOPPED), where)

    def test_who_wants_nobody_or_nothing_more_does_not_wait_for_others(self) -> None:
        self.assertEqual(self.announce(replace(REQUEST, numwant=0)).interval, STEADY.interval)
        self.assertEqual(self.announce(replace(REQUEST, event=Event.PAUSED)).interval, STEADY.interval)
        self.assertEqual(self.announce(REQUEST).interval, STEADY.lonely_interval)

    def test_settings_that_make_no_sense_are_refused_by_name(self) -> None:
        bad: dict[str, object] = {
            "interval": 5,
            "min_interval": 1801,
            "lonely_interval": 0,
            "numwant": 75,
            "max_numwant": 40,
            "trust_ip_from": ("x",),
        }
        for key, value in bad.items():
            with self.assertRaises(ValueError) as caught:
                TrackerSettings(**{key: value})  # type: ignore[arg-type]
            self.assertEqual(caught.exception.args[0], key)
        with self.assertRaises(ValueError) as caught:
            TrackerSettings(numwant=30, max_numwant=20)
        self.assertEqual(caught.exception.args[0], "numwant")
        for pair in (f"{'1' * 40}:{'z' * 64}", "aa:bb", "1" * 40):
            with self.assertRaises(ValueError) as caught:
                TrackerSettings(hybrids=(pair,))
            self.assertEqual(caught.exception.args[0], "hybrids")
            self.assertIn(repr(pair), caught.exception.args[1])

    def test_the_least_interval_follows_a_shorter_interval_unless_it_is_given(self) -> None:
        self.assertEqual(TrackerSettings().least_interval, 300)
        self.assertEqual(TrackerSettings(interval=120).least_interval, 120)
        self.assertEqual(TrackerSettings(interval=120, min_interval=60).least_interval, 60)
        self.tracker.apply(TrackerSettings(interval=120, jitter=0))
        self.announce(leech(2), "192.0.2.9")
        response = self.announce(REQUEST)
        self.assertEqual((response.interval, response.min_interval), (120, 120))
        with self.assertRaises(ValueError) as caught:
            TrackerSettings(interval=120, min_interval=300)
        self.assertEqual(caught.exception.args, ("min_interval", "must be 1 to 120, which interval is"))


class HostileTests(TrackerTestCase):
    def test_mutated_requests_are_answered_without_a_traceback(self) -> None:
        """T21: nothing is logged as an error, and no body shows our insides."""
        rng = random.Random(SEED)
        query = encode_announce_url("/announce", replace(REQUEST, ip="10.0.0.1", numwant=5)).encode()
        heads = [
            b"GET "
            + query
            + b" HTTP/1.1\r\nHost: t\r\nX-Forwarded-For: 10.0.0.9\r\nConnection: close\r\n\r\n",
            b"GET /scrape?info_hash="
            + quote_from_bytes(bytes(20)).encode()
            + b" HTTP/1.0\r\nHost: [::1]:6969\r\n\r\n",
            b"POST /announce HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc",
        ]
        ways = [self.site, self.tracker.site()]  # the resource by itself, and what answers in front of it
        for _ in range(runs(2_000, 100_000)):
            request = bytearray(rng.choice(heads))
            for _ in range(rng.randint(1, 8)):
                request[rng.randrange(len(request))] = rng.choice([rng.randrange(256), *b"%&=+/? \r\n:\xff"])
            status, body = self.talk(bytes(request), address("192.0.2.1"), rng.choice(ways))
            self.assertNotIn(b"Traceback", body)
            self.assertNotEqual(status, 500, bytes(request))
            if status == 200 and body:
                try:
                    decode_announce_response(body)
                except (TrackerFailure, RemoteProtocolError):
                    pass
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_hosts_that_are_none_do_not_matter(self) -> None:
        query = encode_announce_url("/announce", REQUEST).encode()
        for host in (b"", b"\xff\xfe", b"a" * 300, b"..", b"x_y:99999", b"[", b"xn--"):
            for version in (b"1.0", b"1.1"):
                head = b"GET %b HTTP/%b\r\nHost: %b\r\nConnection: close\r\n\r\n" % (query, version, host)
                self.assertEqual(self.talk(head, address("192.0.2.1"))[0], 200, host)
