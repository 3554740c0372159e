"""The tracker over UDP, in memory, and the service that opens its ports (BEP 15, 41)."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import Clock
from twisted.internet.testing import FakeDatagramTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from bittwist.address import Address
from bittwist.announce.udp import (
    MAGIC,
    Announce,
    Announced,
    Connect,
    Connected,
    Refused,
    Reply,
    Request,
    Scrape,
    Scraped,
    decode_reply,
    encode_request,
)
from bittwist.announce.values import AnnounceRequest, AnnounceResponse, Event, ScrapeEntry
from bittwist.errors import ConfigError, NetworkError, TrackerFailure
from bittwist.net.policy import Network
from bittwist.tracker import AnnounceHook, Arrival, Front, ISwarmStore, SwarmAnswer, Tracker, TrackerSettings
from bittwist.tracker.connections import SECRET, ConnectionIds
from bittwist.tracker.datagram import UdpAnswers, UdpFront, UdpSettings, connection_ids, parse_udp
from tests.scale import SEED, runs

REQUEST = AnnounceRequest(b"h" * 20, b"p" * 20, 6881, left=1)
DAY = 1_800_000_000.0
PEER = ("192.0.2.1", 40_000)
PEER6 = ("2001:db8::1", 40_000)


def leech(number: int) -> AnnounceRequest:
    return replace(REQUEST, peer_id=b"%020d" % number)


class UdpCase(SynchronousTestCase):
    """A tracker with one port, and clients that say what they like."""

    settings = UdpSettings()
    hooks: Sequence[AnnounceHook] = ()
    store: Any = None

    def setUp(self) -> None:
        self.clock = Clock()
        self.wall = DAY
        self.build()

    def build(self, settings: TrackerSettings | None = None) -> None:
        self.tracker = Tracker(self.clock, settings, store=self.store, hooks=self.hooks)
        self.ids = ConnectionIds(b"s" * SECRET, lambda: self.wall, self.settings.window)
        self.answers = UdpAnswers(self.tracker, self.ids, self.settings)
        self.transport = FakeDatagramTransport()
        self.answers.makeConnection(self.transport)

    def replies(self, datagram: bytes, peer: Any = PEER) -> list[bytes]:
        """What came back at once, all of it to who asked."""
        self.transport.written.clear()
        self.answers.datagramReceived(datagram, peer)
        assert all(addr == peer for _, addr in self.transport.written)
        return [sent for sent, _ in self.transport.written]

    def ask(self, packet: Request, peer: Any = PEER) -> Reply:
        (reply,) = self.replies(encode_request(packet), peer)
        return self.read(reply, peer)

    def read(self, reply: bytes, peer: Any) -> Reply:
        return decode_reply(reply, ipv6=":" in peer[0] and not peer[0].startswith("::ffff:"))

    def connect(self, peer: Any = PEER) -> bytes:
        reply = self.ask(Connect(b"conn"), peer)
        assert isinstance(reply, Connected) and reply.transaction == b"conn"
        return reply.connection_id

    def announce(self, request: AnnounceRequest, peer: Any = PEER, url: bytes = b"") -> AnnounceResponse:
        reply = self.ask(Announce(self.connect(peer), b"tran", request, url), peer)
        assert isinstance(reply, Announced) and reply.transaction == b"tran", reply
        return reply.response

    def scrape(self, *info_hashes: bytes) -> tuple[ScrapeEntry, ...]:
        reply = self.ask(Scrape(self.connect(), b"scra", info_hashes))
        assert isinstance(reply, Scraped) and reply.transaction == b"scra"
        return reply.entries

    def reason(self, packet: Request, peer: Any = PEER) -> str:
        reply = self.ask(packet, peer)
        assert isinstance(reply, Refused), reply
        return reply.reason


class AnnounceTests(UdpCase):
    def test_peers_find_each_other(self) -> None:
        first = self.announce(leech(1))
        self.assertEqual((first.peers, first.complete, first.incomplete), ((), 0, 1))
        second = self.announce(replace(leech(2), left=0), ("192.0.2.2", 5))
        self.assertEqual(second.peers, (Address("192.0.2.1", 6881),))
        self.assertEqual((second.complete, second.incomplete), (1, 1))
        self.assertEqual(self.announce(leech(1)).peers, (Address("192.0.2.2", 6881),))

    def test_peers_of_either_family_are_told_of_their_own(self) -> None:
        for host in ("192.0.2.2", "2001:db8::2"):
            self.announce(leech(1), (host, 1))
        self.assertEqual(self.announce(leech(2)).peers, (Address("192.0.2.2", 6881),))
        self.assertEqual(
            self.announce(leech(3), ("2001:db8::3", 1, 0, 0)).peers, (Address("2001:db8::2", 6881),)
        )

    def test_who_stops_is_forgotten(self) -> None:
        self.announce(leech(1))
        gone = self.announce(replace(leech(1), event=Event.STOPPED))
        self.assertEqual((gone.peers, gone.incomplete), ((), 0))
        self.assertEqual(self.announce(leech(2), ("192.0.2.2", 1)).peers, ())

    def test_a_partial_seed_is_a_paused_one(self) -> None:
        seen: list[Event] = []

        class Hook(AnnounceHook):
            def announcing(self, request: AnnounceRequest, arrival: Arrival) -> None:
                seen.append(request.event)

        self.hooks = (Hook(),)
        self.build()
        for event in Event:
            self.announce(replace(leech(1), event=event))
        self.assertEqual(seen, list(Event))

    def test_one_id_is_good_for_many_requests(self) -> None:
        connection_id = self.connect()
        for number in range(3):
            transaction = b"%04d" % number
            reply = self.ask(Announce(connection_id, transaction, leech(number)), (PEER[0], 1000 + number))
            self.assertEqual(reply.transaction, transaction)
        self.assertIsInstance(self.ask(Scrape(connection_id, b"tran", (b"h" * 20,))), Scraped)

    def test_replies_are_as_long_as_the_settings_allow(self) -> None:
        self.build(TrackerSettings(peers_per_address=1000, max_numwant=1000))
        for peer, width in ((PEER, 6), (PEER6, 18)):
            for number in range(250):
                self.announce(replace(leech(number), port=1 + number), peer)
            many = replace(leech(0), port=1, numwant=1000)
            (reply,) = self.replies(encode_request(Announce(self.connect(peer), b"tran", many)), peer)
            self.assertEqual((len(reply) - 20) // width, (1232 - 20) // width)

    def test_a_peer_without_a_wish_gets_what_the_tracker_has_for_all(self) -> None:
        self.build(TrackerSettings(numwant=7, max_numwant=9))
        for number in range(20):
            self.announce(replace(leech(number), port=1 + number))
        self.assertEqual(len(self.announce(replace(leech(0), port=1)).peers), 7)
        self.assertEqual(len(self.announce(replace(leech(0), port=1, numwant=20)).peers), 9)
        self.assertEqual(len(self.announce(replace(leech(0), port=1, numwant=0)).peers), 0)

    def test_numbers_follow_the_trackers_settings_as_they_change(self) -> None:
        for number in range(20):
            self.announce(replace(leech(number), port=1 + number))
        self.tracker.apply(TrackerSettings(numwant=3, max_numwant=3))
        self.assertEqual(len(self.announce(replace(leech(0), port=1)).peers), 3)


class AddressTests(UdpCase):
    def address_of(self, peer: Any, request: AnnounceRequest = REQUEST) -> Address:
        seen: list[Address] = []

        class Hook(AnnounceHook):
            def announcing(self, request: AnnounceRequest, arrival: Arrival) -> None:
                assert request.address is not None
                seen.append(request.address)

        self.hooks = (Hook(),)
        self.build()
        self.announce(request, peer)
        (address,) = seen
        return address

    def test_a_mapped_address_is_the_ipv4_one_it_is(self) -> None:
        mapped = ("::ffff:192.0.2.1", 40_000, 0, 0)
        self.assertEqual(self.address_of(mapped), Address("192.0.2.1", 6881))
        self.announce(leech(2), ("192.0.2.2", 1))
        self.assertEqual(self.announce(leech(1), mapped).peers, (Address("192.0.2.2", 6881),))
        # An id is the host's, whichever way it comes.
        self.ask(Announce(self.connect(mapped), b"tran", leech(1)), PEER)

    def test_the_interface_of_a_link_local_peer_is_left_out(self) -> None:
        self.assertEqual(self.address_of(("fe80::1%eth0", 9, 0, 2)).host, "fe80::1")

    def test_an_address_in_a_request_counts_from_trusted_hosts_only(self) -> None:
        named = replace(REQUEST, ip="203.0.113.9")
        self.assertEqual(self.address_of(("127.0.0.1", 9), named), Address("203.0.113.9", 6881))
        self.assertEqual(self.address_of(PEER, named), Address(PEER[0], 6881))
        packet = Announce(self.connect(("127.0.0.1", 9)), b"tran", replace(REQUEST, ip="224.0.0.1"))
        self.assertIn("ip: 224.0.0.1", self.reason(packet, ("127.0.0.1", 9)))

    def test_the_address_is_the_one_that_other_fronts_find(self) -> None:
        @given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)), st.integers(1, 65535))
        def same(ip: Any, port: int) -> None:
            family = socket.AF_INET6 if ip.version == 6 else socket.AF_INET
            host = socket.inet_ntop(family, ip.packed)  # as the system writes it
            request = replace(REQUEST, port=port)
            found = self.address_of((host, 9), request)
            self.assertEqual(found, self.tracker.locate(host, request, Front.UDP))
            self.assertEqual(found.packed, self.tracker.locate(host, request, Front.UDP).packed)

        same()
        for text in (
            "::",
            "::1",
            "::ffff:1.2.3.4",
            "::1.2.3.4",
            "64:ff9b::1.2.3.4",
            "1::",
            "2001:db8:0:0:1::",
        ):
            host = socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, text))
            self.assertEqual(self.address_of((host, 9, 0, 0)), self.tracker.locate(host, REQUEST, Front.UDP))


class ScrapeTests(UdpCase):
    def test_sizes_come_in_the_order_of_the_hashes(self) -> None:
        self.announce(replace(leech(1), left=0, event=Event.COMPLETED))
        self.announce(leech(2), ("192.0.2.2", 1))
        held, none = ScrapeEntry(1, 1, 1), ScrapeEntry()
        hashes = (b"x" * 20, b"h" * 20, b"y" * 20, b"h" * 20)
        self.assertEqual(self.scrape(*hashes), (none, held, none, held))

    def test_many_hashes_are_answered_and_more_are_left_out(self) -> None:
        hashes = [b"%020d" % number for number in range(100)]
        self.assertEqual(len(self.scrape(*hashes[:74])), 74)
        self.assertEqual(len(self.scrape(*hashes)), 74)

    def test_a_tracker_that_answers_fewer_gives_no_size_to_the_wrong_hash(self) -> None:
        self.build(TrackerSettings(max_scrape=2))
        self.announce(leech(1))
        self.assertEqual(
            self.scrape(b"x" * 20, b"h" * 20, b"h" * 20), (ScrapeEntry(), *[ScrapeEntry(0, 0, 1)] * 2)
        )
        self.assertEqual(len(self.scrape(b"x" * 20, b"y" * 20, b"h" * 20)), 2)

    def test_a_reply_has_no_more_bytes_than_it_may_whatever_is_scraped(self) -> None:
        hashes = [b"%020d" % number for number in range(200)]
        for most, limits, answered in ((548, 200, 45), (1232, 200, 102), (1232, 50, 50)):
            self.settings = UdpSettings(max_reply=most, max_scrape=limits)
            self.build(TrackerSettings(max_scrape=200))
            (reply,) = self.replies(encode_request(Scrape(self.connect(), b"tran", tuple(hashes))))
            self.assertEqual((len(reply), len(reply) <= most), (8 + 12 * answered, True))

    def test_a_scrape_of_nothing_is_told_so(self) -> None:
        self.assertIn("info_hash: missing", self.reason(Scrape(self.connect(), b"tran", ())))


class VerificationTests(UdpCase):
    def test_a_wrong_connection_id_gets_silence(self) -> None:
        good = self.connect()
        elsewhere = self.connect(("192.0.2.9", 1))
        for wrong in (bytes(8), b"\xff" * 8, MAGIC, elsewhere, good[:7] + bytes((good[7] ^ 1,))):
            for packet in (Announce(wrong, b"tran", REQUEST), Scrape(wrong, b"tran", (b"h" * 20,))):
                self.assertEqual(self.replies(encode_request(packet)), [])
        self.assertEqual(self.answers.counts.unverified, 10)
        self.assertEqual(self.scrape(b"h" * 20), (ScrapeEntry(),))

    def test_an_id_lasts_for_the_window(self) -> None:
        connection_id = self.connect()
        self.wall += 120
        self.ask(Announce(connection_id, b"tran", REQUEST))
        self.wall += 1
        self.assertEqual(self.replies(encode_request(Announce(connection_id, b"tran", REQUEST))), [])

    def test_an_id_outlives_a_restart(self) -> None:
        connection_id = self.connect()
        self.build()
        self.ask(Announce(connection_id, b"tran", REQUEST))

    def test_nobody_is_answered_at_port_0(self) -> None:
        connection_id = self.connect()
        for packet in (Connect(b"tran"), Announce(connection_id, b"tran", REQUEST)):
            self.assertEqual(self.replies(encode_request(packet), (PEER[0], 0)), [])
        self.assertEqual(self.scrape(b"h" * 20), (ScrapeEntry(),))

    def test_what_is_no_request_gets_silence_even_with_a_good_id(self) -> None:
        connection_id = self.connect()
        whole = encode_request(Announce(connection_id, b"tran", REQUEST))
        for datagram in (
            whole[:97],
            connection_id + b"\0\0\0\0tran",  # connect needs the magic
            connection_id + b"\0\0\0\3tran",
            connection_id + b"\0\0\0\7tran",
        ):
            self.assertEqual(self.replies(datagram), [])
        self.assertEqual(self.tracker.statistics.failures[Front.UDP], 4)

    def test_a_port_of_0_is_told_so(self) -> None:
        datagram = encode_request(Announce(self.connect(), b"tran", REQUEST))[:96] + bytes(2)
        (reply,) = self.replies(datagram)
        self.assertEqual(decode_reply(reply), Refused(b"tran", "port: 0 is not in 1 to 65535"))

    def test_amplify_who_is_not_verified_never_gets_more_than_was_sent(self) -> None:
        # T16: bytes out / bytes in, of anything a spoofed address can send.
        random = Random(SEED)
        elsewhere = self.connect(("203.0.113.1", 1))
        requests = [
            encode_request(Connect(b"tran")),
            encode_request(Announce(elsewhere, b"tran", REQUEST, b"/announce/key")),
            encode_request(Scrape(elsewhere, b"tran", (b"h" * 20,) * 74)),
            MAGIC + b"\0\0\0\1tran" + bytes(82),
            b"",
        ]
        for number in range(60):
            self.announce(replace(leech(number), port=1 + number), ("203.0.113.1", 1))
        for _ in range(runs(20_000, 1_000_000)):
            datagram = mutated(random, random.choice(requests))
            peer: Any = random.choice((PEER, PEER6, ("127.0.0.1", 7)))
            replies = self.replies(datagram, peer)
            self.assertLessEqual(sum(map(len, replies)), len(datagram))
            if replies:
                self.assertEqual((len(replies), len(replies[0]), replies[0][:4]), (1, 16, bytes(4)))

    def test_tracker_fuzz_no_request_is_answered_with_an_error_of_ours(self) -> None:
        # T21, by UDP: ids are good, so that what stands behind them is read.
        random = Random(SEED)
        for _ in range(runs(10_000, 100_000)):
            peer: Any = random.choice((PEER, PEER6, ("::ffff:192.0.2.7", 7, 0, 0)))
            connection_id = self.ids.issue(self.host_of(peer[0]))
            requests = [
                encode_request(
                    Announce(connection_id, b"tran", leech(random.randrange(100)), b"/announce/a?jwt=b")
                ),
                encode_request(Scrape(connection_id, b"tran", (b"h" * 20,) * random.randrange(90))),
            ]
            datagram = connection_id + mutated(random, random.choice(requests)[8:])
            for reply in self.replies(datagram, peer):
                self.assertLessEqual(len(reply), 1232)
                answer = self.read(reply, peer)
                if isinstance(answer, Refused):
                    self.assertNotIn("error of its own", answer.reason)
                    self.assertNotIn("Traceback", answer.reason)
        self.assertEqual(self.answers.counts.failed, 0)
        self.assertEqual(self.flushLoggedErrors(), [])

    @staticmethod
    def host_of(host: str) -> bytes:
        return Address(host, 1).packed[:-2]


def mutated(random: Random, datagram: bytes) -> bytes:
    changed = bytearray(datagram)
    for _ in range(random.choice((0, 1, 1, 2, 8))):
        if changed:
            changed[random.randrange(len(changed))] = random.choice((0, 1, 127, 255, random.randrange(256)))
    if random.random() < 0.2:
        del changed[random.randrange(len(changed) + 1) :]
    if random.random() < 0.2:
        changed += random.randbytes(random.randrange(300))
    return bytes(changed)


class CredentialsTests(UdpCase):
    def setUp(self) -> None:
        self.arrivals: list[Arrival] = []
        arrivals = self.arrivals

        class Hook(AnnounceHook):
            def announcing(self, request: AnnounceRequest, arrival: Arrival) -> None:
                arrivals.append(arrival)

            def scraping(self, info_hashes: Sequence[bytes], arrival: Arrival) -> None:
                arrivals.append(arrival)

        self.hooks = (Hook(),)
        super().setUp()

    def arrival(self, url: bytes, peer: Any = PEER) -> Arrival:
        self.announce(REQUEST, peer, url)
        return self.arrivals[-1]

    def test_the_url_of_an_announce_has_passkey_and_token(self) -> None:
        for url, passkey, token in (
            (b"", None, None),
            (b"/announce", None, None),
            (b"/announce/k%65y", "key", None),
            (b"/key/announce", "key", None),
            (b"/announce/key?jwt=a.b.c&x=y", "key", b"a.b.c"),
            (b"?jwt=abc", None, b"abc"),
            (b"/announce?jwt=%41", None, b"A"),
            (b"/a/b/announce", None, None),
            (b"/elsewhere", None, None),
            (b"/announce/\xff", "\ufffd", None),
        ):
            self.assertEqual(self.arrival(url), Arrival(Front.UDP, PEER[0], passkey, token), url)

    def test_hooks_hear_who_asks(self) -> None:
        self.assertEqual(self.arrival(b"", PEER6).host, PEER6[0])
        self.scrape(b"h" * 20)
        self.assertEqual(self.arrivals[-1], Arrival(Front.UDP, PEER[0]))


@implementer(ISwarmStore)
class Slow:
    """A store that answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[Deferred[Any]] = []

    def announce(self, request: AnnounceRequest) -> Deferred[SwarmAnswer]:
        self.asked.append(Deferred())
        return self.asked[-1]

    def scrape(self, info_hashes: Sequence[bytes]) -> Deferred[dict[bytes, ScrapeEntry]]:
        self.asked.append(Deferred())
        return self.asked[-1]


class LaterTests(UdpCase):
    settings = UdpSettings(max_waiting=2)

    def setUp(self) -> None:
        self.store = self.slow = Slow()
        super().setUp()

    def test_a_store_may_answer_later(self) -> None:
        packet = encode_request(Announce(self.connect(), b"tran", REQUEST))
        self.assertEqual(self.replies(packet), [])
        self.slow.asked[0].callback(SwarmAnswer(1, 2, 3, Address("192.0.2.9", 9).packed))
        ((reply, addr),) = self.transport.written
        answer = decode_reply(reply)
        assert isinstance(answer, Announced)
        self.assertEqual((addr, answer.transaction), (PEER, b"tran"))
        self.assertEqual(answer.response.peers, (Address("192.0.2.9", 9),))
        self.assertEqual((answer.response.complete, answer.response.incomplete), (1, 2))

    def test_a_scrape_may_be_answered_later(self) -> None:
        self.assertEqual(self.replies(encode_request(Scrape(self.connect(), b"tran", (b"h" * 20,)))), [])
        self.slow.asked[0].callback({b"h" * 20: ScrapeEntry(1, 2, 3)})
        ((reply, _),) = self.transport.written
        self.assertEqual(decode_reply(reply), Scraped(b"tran", (ScrapeEntry(1, 2, 3),)))

    def test_what_fails_later_is_told(self) -> None:
        connection_id = self.connect()
        for packet in (
            Announce(connection_id, b"tran", REQUEST),
            Scrape(connection_id, b"tran", (b"h" * 20,)),
        ):
            self.assertEqual(self.replies(encode_request(packet)), [])
            self.slow.asked[-1].errback(TrackerFailure("the store is away", 30))
            ((reply, _),) = self.transport.written
            self.assertEqual(decode_reply(reply), Refused(b"tran", "the store is away (ask again in 30 s)"))

    def test_only_so_many_wait(self) -> None:
        packet = encode_request(Announce(self.connect(), b"tran", REQUEST))
        for _ in range(3):
            self.assertEqual(self.replies(packet), [])
        self.assertEqual((len(self.slow.asked), self.answers.counts.overdue), (2, 1))
        self.assertEqual(len(self.replies(encode_request(Connect(b"tran")))), 1)
        self.slow.asked[0].callback(SwarmAnswer())
        self.slow.asked[1].errback(TrackerFailure("no"))
        self.replies(packet)
        self.replies(packet)
        self.assertEqual((len(self.slow.asked), self.answers.counts.overdue), (4, 1))

    def test_nothing_is_sent_once_the_port_is_closed(self) -> None:
        self.assertEqual(self.replies(encode_request(Announce(self.connect(), b"tran", REQUEST))), [])
        self.answers.doStop()
        self.slow.asked[0].callback(SwarmAnswer())
        self.assertEqual(self.transport.written, [])


class FailureTests(UdpCase):
    problem: Exception | Deferred[None] | None = None

    def setUp(self) -> None:
        case = self

        class Hook(AnnounceHook):
            def announcing(self, request: AnnounceRequest, arrival: Arrival) -> Deferred[None] | None:
                if isinstance(case.problem, Exception):
                    raise case.problem
                return case.problem

            def scraping(self, info_hashes: Sequence[bytes], arrival: Arrival) -> Deferred[None] | None:
                return self.announcing(REQUEST, arrival)

        self.hooks = (Hook(),)
        super().setUp()

    def reasons(self) -> tuple[str, str]:
        connection_id = self.connect()
        announce = self.reason(Announce(connection_id, b"tran", REQUEST))
        return announce, self.reason(Scrape(connection_id, b"tran", (b"h" * 20,)))

    def test_a_refusal_says_when_to_ask_again(self) -> None:
        for retry_in, words in (
            (None, ""),
            (5.5, " (ask again in 6 s)"),
            (119.0, " (ask again in 119 s)"),
            (3600.0, " (ask again in 60 minutes)"),
            (float("inf"), " (do not ask again)"),
        ):
            self.problem = TrackerFailure("not here", retry_in)
            self.assertEqual(self.reasons(), ("not here" + words,) * 2)

    def test_hooks_may_decide_later(self) -> None:
        self.problem = succeed(None)
        self.announce(REQUEST)
        for refused in range(2):
            self.problem = fail(TrackerFailure("not you"))
            self.assertEqual(self.reasons_of(refused), "not you")

    def reasons_of(self, scrape: int) -> str:
        connection_id = self.connect()
        packets = (Announce(connection_id, b"tran", REQUEST), Scrape(connection_id, b"tran", (b"h" * 20,)))
        return self.reason(packets[scrape])

    def test_an_error_of_ours_is_logged_and_says_nothing_of_itself(self) -> None:
        self.problem = ZeroDivisionError("secret")
        for reason in self.reasons():
            self.assertEqual(reason, "the tracker had an error of its own; try again later")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_a_flood_of_errors_is_no_flood_in_the_log(self) -> None:
        self.problem = ZeroDivisionError()
        connection_id = self.connect()
        for _ in range(1000):
            self.reason(Announce(connection_id, b"tran", REQUEST))
        self.assertEqual(self.answers.counts.failed, 1000)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 10)

    def test_a_long_reason_is_cut(self) -> None:
        self.problem = TrackerFailure("x" * 5000)
        self.assertEqual(self.reasons(), ("x" * 500,) * 2)


class SettingsTests(SynchronousTestCase):
    def test_what_cannot_be_used_is_refused_by_name(self) -> None:
        for key, value in (
            ("window", 0),
            ("window", 86_400),
            ("secret", "short"),
            ("max_scrape", 0),
            ("max_reply", 100),
            ("batch", 0),
            ("receive_buffer", 0),
            ("max_waiting", 0),
        ):
            with self.assertRaises(ValueError) as caught:
                UdpSettings(**{key: value})  # type: ignore[arg-type]
            self.assertEqual(caught.exception.args[0], key)
        with self.assertRaises(ValueError) as caught:
            UdpSettings(secret="s" * 16, secret_file="file")
        self.assertEqual(caught.exception.args[0], "secret_file")

    def test_places(self) -> None:
        for text, place in (
            ("6969", ("", 6969)),
            ("127.0.0.1:1", ("127.0.0.1", 1)),
            ("[::1]:6969", ("::1", 6969)),
            ("[::]:0", ("::", 0)),
        ):
            self.assertEqual(parse_udp(text), place)
        for text in (
            "",
            "x",
            "65536",
            "-1",
            "tcp:6969",
            "::1:6969",
            "localhost:6969",
            ":6969",
            "[::1]",
            "1:2:3",
        ):
            with self.assertRaises(ValueError, msg=text):
                parse_udp(text)

    def test_ids_are_made_with_the_secret_the_settings_have(self) -> None:
        def wall() -> float:
            return DAY

        folder = Path(self.mktemp())
        folder.mkdir()
        host = bytes(4)
        for settings in (UdpSettings(secret="s" * 16), UdpSettings(secret_file=str(folder / "secret"))):
            connection_id = connection_ids(settings, wall).issue(host)
            self.assertTrue(connection_ids(settings, wall).valid(connection_id, host))
        chance = connection_ids(UdpSettings(), wall).issue(host)
        self.assertFalse(connection_ids(UdpSettings(), wall).valid(chance, host))
        with self.assertRaises(ConfigError):
            connection_ids(UdpSettings(secret_file=str(folder)), wall)


@implementer(IListeningPort)
class Opened:
    """A port that is open, for all the front can see."""

    def __init__(self, host: str, port: int) -> None:
        kind = IPv6Address if ":" in host else IPv4Address
        self.host = kind("UDP", host, port or 40_000)
        self.open = True

    def startListening(self) -> None:
        raise NotImplementedError

    def getHost(self) -> IPv4Address | IPv6Address:
        return self.host

    def stopListening(self) -> Deferred[None]:
        self.open = False
        return succeed(None)


class Ports:
    """In place of a Network: opens anything but what `refused` has an errno for."""

    def __init__(self, **refused: int) -> None:
        self.opened: list[Opened] = []
        self.options: list[dict[str, Any]] = []
        self.refused = refused

    def listen_udp(self, host: str, port: int, protocol: Any, **options: Any) -> Opened:
        number = self.refused.get({"0.0.0.0": "four", "::": "six"}.get(host, "other"))
        if number is not None:
            raise NetworkError(host, "no") from OSError(number, "no")
        self.options.append(options)
        self.opened.append(Opened(host, port))
        return self.opened[-1]


class FrontTests(SynchronousTestCase):
    def front(self, ports: Ports, *places: str, shared: bool = False) -> UdpFront:
        ids = ConnectionIds(b"s" * SECRET, lambda: DAY)
        where = [parse_udp(place) for place in places]
        return UdpFront(Tracker(Clock()), cast(Network, ports), where, ids, shared=shared)

    def test_a_port_is_opened_for_both_families(self) -> None:
        ports = Ports()
        front = self.front(ports, "0", "127.0.0.1:7", shared=True)
        self.assertEqual(front.addresses, ())
        front.startService()
        self.assertEqual(
            front.addresses, (Address("0.0.0.0", 40_000), Address("::", 40_000), Address("127.0.0.1", 7))
        )
        self.assertEqual(len(front.answers), 3)
        self.assertEqual(
            ports.options, [{"shared": True, "receive_buffer": UdpSettings().receive_buffer}] * 3
        )
        self.successResultOf(front.stopService())
        self.assertFalse(any(port.open for port in ports.opened))

    def test_a_machine_without_ipv6_is_served_by_ipv4(self) -> None:
        front = self.front(Ports(six=errno.EAFNOSUPPORT), "7")
        front.startService()
        self.assertEqual(front.addresses, (Address("0.0.0.0", 7),))

    def test_a_place_that_cannot_be_had_opens_none(self) -> None:
        for ports in (Ports(six=errno.EADDRINUSE), Ports(other=errno.EAFNOSUPPORT)):
            front = self.front(ports, "7", "[::1]:7")
            self.assertRaises(NetworkError, front.startService)
            self.assertFalse(any(port.open for port in ports.opened))
            self.assertFalse(front.running)
