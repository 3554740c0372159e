"""Announces answered from their bytes: as the resource would answer them, byte for byte."""

from __future__ import annotations

import random
from collections.abc import Callable
from random import Random

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.static import Data

from bittwist.announce.values import AnnounceRequest
from bittwist.errors import TrackerFailure
from bittwist.net.site import SiteFront, SiteSettings, make_site
from bittwist.tracker import AnnounceHook, Arrival, SwarmAnswer, Tracker, TrackerSettings
from bittwist.tracker.channel import QuickAnnounces
from tests.scale import SEED, runs

GET = b"GET /announce?%b HTTP/1.1\r\nHost: tracker.example:6969\r\n%b\r\n"
QUERY = b"info_hash=%b&peer_id=-BW0001-123456789012&port=6881&uploaded=0&downloaded=0&left=1&compact=1" % (
    b"%12%34%ABcdefghijklmnop%00%FF%20"
)
CLOSE = b"Connection: close\r\n"
STRANGER = IPv4Address("TCP", "192.0.2.1", 1234)
PROXY = IPv4Address("TCP", "198.51.100.1", 1234)


class Way:
    """A tracker with a site of its own; in one of them nothing takes the quick way."""

    def __init__(
        self, quick: bool, settings: SiteSettings, root: Callable[[], Resource] | None = None
    ) -> None:
        self.clock = Clock()
        self.seen: list[tuple[AnnounceRequest, Arrival]] = []
        self.tracker = Tracker(
            self.clock,
            TrackerSettings(warning="soon down", tracker_id="x"),
            hooks=[Seeing(self.seen)],
            random=Random(1),
        )
        self.asked = 0
        self.site: SiteFront = self.tracker.site(settings, None if root is None else root())
        self._quick = self.site.quick
        self.site.quick = self._counted if quick else None

    def _counted(self, target: bytes, host: str) -> bytes | Deferred[bytes] | None:
        assert self._quick is not None
        body = self._quick(target, host)
        self.asked += body is not None
        return body

    def talk(self, parts: list[bytes], peer: IAddress = STRANGER) -> tuple[bytes, bool]:
        """What it says to this, and whether it closes the connection."""
        transport = StringTransport(hostAddress=IPv4Address("TCP", "192.0.2.99", 6969), peerAddress=peer)
        channel = self.site.buildProtocol(peer)
        assert channel is not None
        channel.makeConnection(transport)
        for part in parts:
            if not transport.disconnecting:
                channel.dataReceived(part)
        closed = bool(transport.disconnecting)
        channel.connectionLost(Failure(ConnectionDone()))
        return transport.value(), closed


class Seeing(AnnounceHook):
    def __init__(self, seen: list[tuple[AnnounceRequest, Arrival]]) -> None:
        self._seen = seen

    def announcing(self, request: AnnounceRequest, arrival: Arrival) -> None:
        self._seen.append((request, arrival))
        if request.port == 666:
            raise TrackerFailure("not that port", 3600)
        if request.port == 667:
            raise RuntimeError("a bug")


class BothWays(SynchronousTestCase):
    """Every case goes down both ways, to trackers that have heard the same."""

    settings = SiteSettings(trusted_proxies=("198.51.100.0/24",))
    root: Callable[[], Resource] | None = None

    def setUp(self) -> None:
        self.plain = Way(False, self.settings, self.root)
        self.quick = Way(True, self.settings, self.root)

    def assertSame(self, *parts: bytes, peer: IAddress = STRANGER) -> bytes:
        expected = self.plain.talk(list(parts), peer)
        self.assertEqual(self.quick.talk(list(parts), peer), expected, parts)
        self.assertEqual(self.quick.seen, self.plain.seen, parts)
        return expected[0]

    def assertQuick(self, *parts: bytes, peer: IAddress = STRANGER) -> bytes:
        before = self.quick.asked
        said = self.assertSame(*parts, peer=peer)
        self.assertGreater(self.quick.asked, before, parts)
        return said

    def assertGeneral(self, *parts: bytes, peer: IAddress = STRANGER) -> bytes:
        before = self.quick.asked
        said = self.assertSame(*parts, peer=peer)
        self.assertEqual(self.quick.asked, before, parts)
        return said


class PlainTests(BothWays):
    def test_a_plain_announce_is_answered_quickly(self) -> None:
        said = self.assertQuick(GET % (QUERY, CLOSE))
        self.assertTrue(
            said.startswith(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/plain\r\n")
        )
        self.assertEqual(len(self.quick.seen), 1)

    def test_a_kept_connection_takes_one_after_the_other(self) -> None:
        said = self.assertQuick(GET % (QUERY, b""), GET % (QUERY, b""), GET % (QUERY, CLOSE), b"more")
        self.assertEqual(said.count(b"HTTP/1.1 200 OK"), 3)
        self.assertEqual(self.quick.asked, 3)

    def test_http_1_0_is_closed_without_a_word(self) -> None:
        said = self.assertQuick((GET % (QUERY, b"")).replace(b"HTTP/1.1", b"HTTP/1.0"))
        self.assertTrue(said.startswith(b"HTTP/1.0 200 OK\r\nContent-Type"))

    def test_odd_queries(self) -> None:
        for query in (
            b"",
            b"&",
            b"info_hash=x",
            QUERY.replace(b"&port=6881", b""),
            QUERY.replace(b"6881", b"0"),
            QUERY.replace(b"6881", b"666"),
            QUERY + b"&port=1&info_hash=" + b"x" * 20,
            QUERY + b"&compact=0",
            QUERY.replace(b"compact=1", b"compact=0"),
            QUERY.replace(b"compact=1", b"compact=0&no_peer_id=1"),
            QUERY + b"&event=stopped&numwant=0",
            QUERY + b"&event=paused&jwt=a.b%2Ec",
            QUERY + b"&numwant=-1&left=-1&key=%zz%5c%",
            QUERY.replace(b"%12%34", b"%1%g2+"),
            QUERY + b'&ip=10.0.0.1&ip6=x?y#z;\\"<>{}|^`',
            QUERY + b"&p=\x80\xb0",
            QUERY + b"&i%6efo_hash=x&uploaded=99999999999999999999",
        ):
            self.assertQuick(GET % (query, CLOSE))

    def test_a_failure_of_ours(self) -> None:
        self.assertQuick(GET % (QUERY.replace(b"6881", b"667"), CLOSE))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 2)

    def test_header_lines_that_do_not_matter(self) -> None:
        for lines in (
            b"",
            b"User-Agent: qBittorrent/4.6.3\r\nAccept-Encoding: gzip\r\n",
            b"connection:  Keep-Alive \r\n",
            b"CONNECTION:close\r\n",
            b"Cookie: a=b; c\r\nAuthorization: Basic !\r\nIf-None-Match: *\r\nRange: bytes=0-1\r\n",
            b"X:\r\nX: y:z\r\nX-Connection: close\r\n",
            b"X-Forwarded-For: 10.0.0.1\r\n",
            b"User-Agent: \xff\x01\t \x7f\r\n",
        ):
            self.assertQuick(GET % (QUERY, lines))

    def test_who_asks(self) -> None:
        for peer in (
            IPv6Address("TCP", "2001:db8::1", 1),
            IPv6Address("TCP", "::ffff:192.0.2.7", 1),
            IPv6Address("TCP", "fe80::1%eth0", 1),
            IPv4Address("TCP", "127.0.0.1", 1),
        ):
            self.assertQuick(GET % (QUERY + b"&ip=203.0.113.7", CLOSE), peer=peer)

    def test_passkeys(self) -> None:
        for path in (b"/announce/s3-cr_et", b"/s3-cr_et/announce"):
            self.assertQuick((GET % (QUERY, CLOSE)).replace(b"/announce", path))
            self.assertEqual(self.quick.seen[-1][1].passkey, "s3-cr_et")
        for path in (
            b"/announce/scrape",
            b"/announce/announce",
            b"/scrape/announce",
            b"/a%62c/announce",
            b"/announce/a/b",
            b"/a/announce/b",
            b"/announce/",
            b"//announce",
            b"/./announce",
            b"/scrape",
            b"/scrape/x",
            b"/",
            b"/x",
        ):
            self.assertGeneral((GET % (QUERY, CLOSE)).replace(b"/announce", path))


class UnusualTests(BothWays):
    def test_other_methods_and_versions(self) -> None:
        good = GET % (QUERY, CLOSE)
        for start in (b"HEAD", b"POST", b"get", b"OPTIONS", b"G@T", b"", b"GET GET", b"PUT\t"):
            self.assertGeneral(good.replace(b"GET", start, 1))
        for version in (b"HTTP/1.2", b"HTTP/2.0", b"http/1.1", b"HTTP/1.1 ", b"", b"HTTP/0.9", b"HTTP/1.1\n"):
            self.assertGeneral(good.replace(b"HTTP/1.1", version, 1))

    def test_other_targets(self) -> None:
        good = GET % (QUERY, CLOSE)
        for target in (
            b"http://tracker.example/announce",
            b"*",
            b"announce",
            b"/announce\xb1",
            b"/%61nnounce",
        ):
            self.assertGeneral(good.replace(b"/announce", target, 1))
        self.assertGeneral(good.replace(b"6881", b"68 81"))
        self.assertGeneral(good.replace(b"6881", b"68\t81"))
        self.assertGeneral(good.replace(b"6881", b"68\n81"))
        self.assertGeneral(good.replace(b"6881", b"68\xff81"))
        self.assertGeneral(b"\r\n" + good)
        self.assertGeneral(b"\r\n\r\n" + good)
        self.assertGeneral(good.replace(b"\r\n", b"\n"))

    def test_header_lines_that_do(self) -> None:
        for lines in (
            b" folded: x\r\n",
            b"X: a\r\n b\r\n",
            b"X: a\r\n\tb\r\nConnection: close\r\n",
            b"Connection: keep-alive, close\r\n",
            b"Connection: close, x\r\n",
            b"Connection: keep-alive close\r\n",
            b"Connection: keep-alive\r\nConnection: close\r\n",
            b"Connection:\r\n",
            b"Connection: upgrade\r\nUpgrade: h2c\r\n",
            b"Content-Length: 0\r\n",
            b"Content-Length: x\r\n",
            b"Content-Length: 99999999\r\n",
            b"Transfer-Encoding: identity\r\n",
            b"Transfer-Encoding: gzip\r\n",
            b"Expect: 100-continue\r\n",
            b"no colon\r\n",
            b": nothing\r\n",
            b"sp ace: x\r\n",
            b"X: \0\r\n",
            b"X: a\rb\r\n",
            b"X: a\nb\r\n",
            b"X: " + b"y" * 2000 + b"\r\n",
            b"X: " + b"y" * 17000 + b"\r\n",
            b"X:\r\n" * 501,
        ):
            self.assertGeneral(GET % (QUERY, lines))

    def test_bodies(self) -> None:
        self.assertGeneral(GET % (QUERY, b"Content-Length: 3\r\n") + b"abc")
        self.assertGeneral(GET % (QUERY, b"Transfer-Encoding: chunked\r\n") + b"1\r\nx\r\n0\r\n\r\n")
        self.assertGeneral(GET % (QUERY, b"") + b"rest")

    def test_pipelined_requests(self) -> None:
        good = GET % (QUERY, b"")
        self.assertEqual(self.assertGeneral(good * 3).count(b"200 OK"), 3)
        self.assertEqual(self.assertSame(good, good * 2, good).count(b"200 OK"), 4)
        self.assertEqual(self.assertSame(GET % (QUERY, CLOSE) + good).count(b"200 OK"), 1)

    def test_a_request_in_two_parts_wherever_it_is_cut(self) -> None:
        good = GET % (QUERY, b"User-Agent: x\r\n")
        for place in range(1, len(good)):
            self.assertGeneral(good[:place], good[place:])

    def test_a_request_byte_by_byte(self) -> None:
        good = GET % (QUERY, CLOSE)
        self.assertGeneral(*(good[place : place + 1] for place in range(len(good))))


class ProxyTests(BothWays):
    def test_the_client_is_whom_a_stated_proxy_names(self) -> None:
        for lines, host in {
            b"": "198.51.100.1",
            b"X-Forwarded-For: 203.0.113.9\r\n": "203.0.113.9",
            b"x-forwarded-for:203.0.113.9:4711 \r\n": "203.0.113.9",
            b"X-Forwarded-For: ::ffff:203.0.113.9\r\n": "203.0.113.9",
            b"X-Forwarded-For: [2001:db8::5]:80\r\n": "2001:db8::5",
            b"X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 203.0.113.9, 198.51.100.7\r\n": "203.0.113.9",
            b"Forwarded: for=203.0.113.9\r\n": "198.51.100.1",
            b"X-Forwarded-For: nobody\r\n": "198.51.100.1",
        }.items():
            self.assertQuick(GET % (QUERY, lines), peer=PROXY)
            self.assertEqual(self.quick.seen[-1][1].host, host, lines)
            self.assertQuick(GET % (QUERY, lines))
            self.assertEqual(self.quick.seen[-1][1].host, "192.0.2.1", lines)


class ForwardedTests(BothWays):
    settings = SiteSettings(trusted_proxies=("198.51.100.0/24",), proxy_header="Forwarded")

    def test_the_client_is_whom_a_stated_proxy_names(self) -> None:
        for lines, host in {
            b"Forwarded: for=203.0.113.9;proto=http\r\n": "203.0.113.9",
            b'forwarded: for=1.1.1.1, For="[2001:db8::5]:4711";by=_x\r\n': "2001:db8::5",
            b"X-Forwarded-For: 1.1.1.1\r\n": "198.51.100.1",
        }.items():
            self.assertQuick(GET % (QUERY, lines), peer=PROXY)
            self.assertEqual(self.quick.seen[-1][1].host, host, lines)


class MountedTests(BothWays):
    @staticmethod
    def root() -> Resource:
        root = Resource()
        root.putChild(b"", Data(b"hello", "text/plain"))
        return root

    def test_a_tracker_beside_a_page(self) -> None:
        self.assertQuick(GET % (QUERY, CLOSE))
        self.assertQuick((GET % (QUERY, CLOSE)).replace(b"/announce", b"/announce/s3cret"))
        said = self.assertGeneral((GET % (QUERY, CLOSE)).replace(b"/announce", b"/s3cret/announce"))
        self.assertTrue(said.startswith(b"HTTP/1.1 404 "))
        said = self.plain.talk([b"GET / HTTP/1.0\r\n\r\n"])[0]
        self.assertTrue(said.endswith(b"hello"))


class ManyTests(BothWays):
    def test_a_thousand_requests(self) -> None:
        """The same, mutated, cut and run together, down both ways."""
        rng = Random(SEED)
        for number in range(runs(1_000, 20_000)):
            self.clocks(number)
            data = b"".join(mutated(rng) for _ in range(rng.choice([1, 1, 1, 2])))
            cuts = sorted(rng.sample(range(len(data)), rng.choice([0, 0, 1, 2])))
            parts = [data[first:last] for first, last in zip([0, *cuts], [*cuts, len(data)]) if first < last]
            self.assertSame(*parts, peer=rng.choice([STRANGER, PROXY, IPv6Address("TCP", "2001:db8::1", 1)]))
        self.assertGreater(self.quick.asked, 100)
        self.flushLoggedErrors(RuntimeError)

    def clocks(self, number: int) -> None:
        if number % 100 == 0:
            self.plain.clock.advance(1)
            self.quick.clock.advance(1)


def mutated(rng: random.Random) -> bytes:
    query = QUERY.replace(b"6881", b"%d" % rng.choice([1, 0, 666, 6881, 65536, rng.randrange(65536)]))
    query += rng.choice([b"", b"&numwant=5", b"&event=completed&left=0", b"&compact=0", b"&port=7", b"&x=%"])
    request = bytearray(GET % (query, rng.choice([b"", CLOSE, b"X-Forwarded-For: 10.0.0.9\r\n"])))
    for _ in range(rng.choice([0, 0, 0, 1, 2, 5])):
        place = rng.randrange(len(request))
        match rng.randrange(3):
            case 0:
                request[place] = rng.choice([rng.randrange(256), *b"%&=+/? \r\n:\xff"])
            case 1:
                del request[place : place + rng.randrange(1, 9)]
            case _:
                request[place:place] = rng.choice([b"\r\n", b"%", b"&port=1", b"\r\nConnection: close", b" "])
    return bytes(request)


class LaterStore:
    """A store that answers when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[Deferred[SwarmAnswer]] = []

    def announce(self, request: AnnounceRequest) -> Deferred[SwarmAnswer]:
        self.waiting.append(Deferred())
        return self.waiting[-1]


class LaterTests(SynchronousTestCase):
    """Hooks and stores may take their time."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.store = LaterStore()
        self.tracker = Tracker(self.clock, TrackerSettings(jitter=0), store=self.store)  # type: ignore[arg-type]
        self.site = self.tracker.site()
        self.transport = StringTransport(peerAddress=STRANGER)
        channel = self.site.buildProtocol(STRANGER)
        assert channel is not None
        self.channel = channel
        self.channel.makeConnection(self.transport)

    def said(self) -> bytes:
        said = self.transport.value()
        self.transport.clear()
        return bytes(said)

    def test_the_answer_comes_when_it_is_there(self) -> None:
        self.channel.dataReceived(GET % (QUERY, CLOSE))
        self.clock.advance(100)
        self.assertEqual(self.said(), b"")
        self.assertFalse(self.transport.disconnecting, "it waits for us, not we for it")
        self.store.waiting[0].callback(SwarmAnswer(complete=7))
        self.assertIn(b"8:completei7e", self.said())
        self.assertTrue(self.transport.disconnecting)

    def test_what_comes_meanwhile_is_answered_after_it(self) -> None:
        self.channel.dataReceived(GET % (QUERY, b""))
        self.channel.dataReceived(GET % (QUERY, CLOSE))
        self.assertEqual(len(self.store.waiting), 1)
        self.store.waiting[0].callback(SwarmAnswer(complete=1))
        self.store.waiting[1].callback(SwarmAnswer(complete=2))
        said = self.said()
        self.assertLess(said.index(b"8:completei1e"), said.index(b"8:completei2e"))

    def test_who_goes_on_talking_is_cut_off(self) -> None:
        self.channel.dataReceived(GET % (QUERY, b""))
        for _ in range(20):
            self.channel.dataReceived(bytes(1000))
        self.assertTrue(self.transport.disconnected)
        self.store.waiting[0].callback(SwarmAnswer())
        self.assertEqual(self.said(), b"")

    def test_who_has_gone_is_not_waited_for(self) -> None:
        self.channel.dataReceived(GET % (QUERY, b""))
        self.channel.connectionLost(Failure(ConnectionDone()))
        self.assertTrue(self.store.waiting[0].called, "it was cancelled")
        ((_, _, _, outcome),) = self.tracker.statistics.announces
        self.assertEqual(outcome, "gone")
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_refusal_may_come_later_too(self) -> None:
        self.channel.dataReceived(GET % (QUERY, CLOSE))
        self.store.waiting[0].errback(TrackerFailure("the store is away", 60))
        self.assertIn(b"17:the store is away8:retry ini1e", self.said())


class DecliningTests(SynchronousTestCase):
    def test_only_announces_are_answered(self) -> None:
        quick = QuickAnnounces(Tracker(Clock()))
        for target in (b"/", b"/scrape?info_hash=x", b"/announcex?a", b"/x?/announce", b"/announce/?a"):
            self.assertIsNone(quick(target, "192.0.2.1"))
        self.assertIsNotNone(quick(b"/announce", "192.0.2.1"))

    def test_a_log_of_requests_is_written_by_the_usual_way(self) -> None:
        asked: list[bytes] = []

        def quick(target: bytes, host: str) -> Deferred[bytes]:
            asked.append(target)
            return succeed(b"")

        way = Way(False, SiteSettings())
        way.site = make_site(way.clock, way.tracker.resource(), SiteSettings(log_requests=True), quick)
        self.assertIn(b"200 OK", way.talk([GET % (QUERY, CLOSE)])[0])
        self.assertEqual(asked, [])
