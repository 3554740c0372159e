"""The UDP tracker client against a tracker that answers to order, on a Clock (BEP 15, 41)."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import count

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bittwist.address import Address
from bittwist.announce.udp import (
    Announce,
    Announced,
    Connect,
    Connected,
    Refused,
    Scrape,
    Scraped,
    decode_request,
    encode_reply,
)
from bittwist.announce.values import AnnounceRequest, AnnounceResponse, Event, ScrapeEntry
from bittwist.discovery.udp import ID_LIFETIME, PATIENCE, UdpTrackers
from bittwist.errors import LocalProtocolError, NetworkError, RemoteProtocolError, TrackerFailure
from bittwist.net.policy import NetworkSettings

REQUEST = AnnounceRequest(b"h" * 20, b"p" * 20, 6881, left=7, event=Event.STARTED, numwant=50, key=b"keys")
FOUR, SIX = "192.0.2.80", "2001:db8::80"
PEERS = (Address("192.0.2.1", 1), Address("192.0.2.2", 2))


class Port:
    """A socket as the client opens it; owns what was sent by it."""

    def __init__(self, network, protocol, ipv6):
        self.protocol, self.ipv6, self.network = protocol, ipv6, network
        self.open = True

    def write(self, datagram, address):
        if self.network.unreachable is self.ipv6:
            raise OSError(101, "Network is unreachable")
        self.network.heard.append((decode_request(datagram, ipv6=self.ipv6), Address(*address), self))
        self.network.tracker(*self.network.heard[-1])

    def answer(self, reply, sender):
        self.protocol.datagramReceived(encode_reply(reply, ipv6=self.ipv6), (sender.host, sender.port))

    def stopListening(self):
        self.open = False
        return succeed(None)


class FakeNetwork:
    """Names with addresses, and a tracker at each of them, which answers unless it is `silent`."""

    def __init__(self, *hosts, bind=None):
        self.settings = NetworkSettings(bind=bind)
        self.hosts = hosts
        self.heard = []
        self.ports = []
        self.silent = set()
        self.filtered = set()
        self.unreachable = None
        self.reply = self.honest
        self._ids = count(1)

    def refusal(self, host):
        return "filtered" if host in self.filtered else None

    def resolve(self, name):
        return succeed(self.hosts)

    def listen_udp(self, host, port, protocol):
        self.ports.append(Port(self, protocol, ":" in host))
        return self.ports[-1]

    def tracker(self, request, address, port):
        if address.host in self.silent:
            return
        port.answer(self.reply(request), address)

    def honest(self, request):
        match request:
            case Connect(transaction):
                return Connected(transaction, next(self._ids).to_bytes(8, "big"))
            case Announce(_, transaction, _, _):
                return Announced(transaction, AnnounceResponse(900, None, 3, 4, peers=PEERS))
            case Scrape(_, transaction, hashes):
                return Scraped(transaction, tuple(ScrapeEntry(n, n, n) for n in range(len(hashes))))

    @property
    def asked(self):
        return [type(request) for request, _, _ in self.heard]


class UdpTrackerTests(SynchronousTestCase):
    def client(self, *hosts, url="udp://tracker.example:6969/announce", bind=None):
        self.clock = Clock()
        self.network = FakeNetwork(*(hosts or (FOUR,)), bind=bind)
        numbers = count(1)
        self.trackers = UdpTrackers(
            self.clock, self.network, lambda size: next(numbers).to_bytes(size, "big")
        )
        self.addCleanup(self.close)
        return self.trackers.tracker(url)

    def close(self):
        self.successResultOf(self.trackers.close())
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertFalse(any(port.open for port in self.network.ports))

    def test_a_connect_and_then_the_announce(self):
        answer = self.successResultOf(self.client().announce(REQUEST))
        self.assertEqual((answer.interval, answer.complete, answer.incomplete), (900, 3, 4))
        self.assertEqual(answer.peers, PEERS)
        self.assertEqual(self.network.asked, [Connect, Announce])
        announce = self.network.heard[1][0]
        self.assertEqual((announce.connection_id, announce.url), ((1).to_bytes(8, "big"), b""))
        self.assertEqual((announce.request.left, announce.request.event), (7, Event.STARTED))

    def test_a_connection_id_is_used_for_a_minute_by_all_torrents(self):
        one = self.client()
        other = self.trackers.tracker(one.url)
        self.successResultOf(one.announce(REQUEST))
        self.successResultOf(other.announce(REQUEST))
        self.clock.advance(ID_LIFETIME)
        self.successResultOf(one.announce(REQUEST))
        self.assertEqual(self.network.asked, [Connect, Announce, Announce, Connect, Announce])
        self.assertEqual(len(self.network.ports), 1)

    def test_a_scrape_of_more_than_a_datagram_holds(self):
        hashes = [number.to_bytes(20, "big") for number in range(100)]
        found = self.successResultOf(self.client().scrape(hashes))
        self.assertEqual(list(found), hashes)
        self.assertEqual(self.network.asked, [Connect, Scrape, Scrape])

    def test_what_stands_behind_the_port_goes_along_unless_it_says_nothing(self):
        for url, sent in {
            "udp://t.example:1": b"",
            "udp://t.example:1/": b"",
            "udp://t.example:1/announce": b"",
            "udp://t.example:1/announce?pass=1": b"/announce?pass=1",
            "udp://t.example:1/key/announce": b"/key/announce",
        }.items():
            self.successResultOf(self.client(url=url).announce(REQUEST))
            self.assertEqual(self.network.heard[-1][0].url, sent)

    def test_who_does_not_answer_is_asked_again_with_twice_the_patience(self):
        client = self.client()
        self.network.silent = {FOUR}
        asked = client.announce(REQUEST)
        self.clock.advance(PATIENCE - 1)
        self.assertEqual(len(self.network.heard), 1)
        self.clock.advance(1)
        self.assertEqual(len(self.network.heard), 2)
        self.assertNotEqual(*(request.transaction for request, _, _ in self.network.heard))
        self.clock.advance(2 * PATIENCE - 1)
        self.assertNoResult(asked)
        self.clock.advance(1)
        self.assertIn("no answer", str(self.failureResultOf(asked, NetworkError).value))

    def test_an_id_that_is_good_no_longer_is_replaced_when_there_is_silence(self):
        client = self.client()
        self.successResultOf(client.announce(REQUEST))
        self.network.reply = lambda request: (
            self.network.honest(request)
            if isinstance(request, Connect) or request.connection_id != (1).to_bytes(8, "big")
            else Refused(b"none", "lost on its way")
        )
        asked = client.announce(REQUEST)
        self.clock.advance(PATIENCE)
        self.successResultOf(asked)
        self.assertEqual(self.network.asked[2:], [Announce, Connect, Announce])

    def test_a_refusal_in_the_trackers_words(self):
        client = self.client()
        self.network.reply = lambda request: (
            self.network.honest(request)
            if isinstance(request, Connect)
            else Refused(request.transaction, "not registered")
        )
        failure = self.failureResultOf(client.announce(REQUEST), TrackerFailure)
        self.assertEqual(failure.value.reason, "not registered")

    def test_the_next_address_where_one_does_not_answer_and_the_good_one_first_from_then_on(self):
        client = self.client("192.0.2.81", FOUR)
        self.network.silent = {"192.0.2.81"}
        asked = client.announce(REQUEST)
        self.clock.advance(PATIENCE)
        self.successResultOf(asked)
        del self.network.heard[:]
        self.successResultOf(client.announce(REQUEST))
        self.assertEqual([address.host for _, address, _ in self.network.heard], [FOUR])

    def test_a_family_that_cannot_be_sent_by_costs_no_time(self):
        client = self.client(SIX, "2001:db8::81", "2001:db8::82", FOUR)
        self.network.unreachable = True
        self.assertEqual(self.successResultOf(client.announce(REQUEST)).peers, PEERS)

    def test_a_datagram_that_is_lost_is_repeated_whatever_cannot_be_sent_by(self):
        client = self.client(SIX, FOUR)
        self.network.unreachable = True
        self.network.silent = {FOUR}
        asked = client.announce(REQUEST)
        self.clock.advance(PATIENCE)
        self.assertNoResult(asked)
        self.clock.advance(2 * PATIENCE)
        self.assertIn("no answer", str(self.failureResultOf(asked, NetworkError).value))
        self.assertEqual([address.host for _, address, _ in self.network.heard], [FOUR] * 2)

    def test_an_announce_that_cannot_be_written_down_leaves_nothing_behind(self):
        asked = self.client().announce(replace(REQUEST, numwant=2**31))
        self.failureResultOf(asked, LocalProtocolError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_ipv6_peers_of_an_ipv6_tracker(self):
        client = self.client(SIX)
        six = (Address("2001:db8::1", 9),)
        self.network.reply = lambda request: (
            self.network.honest(request)
            if isinstance(request, Connect)
            else Announced(request.transaction, AnnounceResponse(900, None, 0, 0, peers=six))
        )
        self.assertEqual(self.successResultOf(client.announce(REQUEST)).peers, six)

    def test_it_is_sent_from_the_address_that_is_dialed_from(self):
        client = self.client(SIX, bind="127.0.0.2")
        self.failureResultOf(client.announce(REQUEST), NetworkError)
        self.assertEqual(self.network.heard, [])

    def test_answers_from_elsewhere_late_or_to_other_questions_change_nothing(self):
        client = self.client()
        self.network.silent = {FOUR}
        asked = client.announce(REQUEST)
        connect, address, port = self.network.heard[0]
        good = Connected(connect.transaction, bytes(8))
        port.answer(good, Address("192.0.2.66", 6969))
        port.answer(good, Address(FOUR, 6970))
        port.answer(Connected(b"\0\0\0\0", bytes(8)), address)
        port.protocol.datagramReceived(b"", (FOUR, 6969))
        port.protocol.datagramReceived(b"x" * 7, ("fe80::1%eth0", 6969))
        self.assertNoResult(asked)
        self.assertEqual(len(self.network.heard), 1)
        port.answer(good, address)
        self.assertEqual(self.network.asked, [Connect, Announce])
        port.answer(good, address)
        asked.cancel()
        self.failureResultOf(asked)

    def test_an_answer_of_the_wrong_kind_or_form_is_the_trackers_fault(self):
        client = self.client()
        self.network.reply = lambda request: Scraped(request.transaction, ())
        self.failureResultOf(client.announce(REQUEST), RemoteProtocolError)
        self.network.silent = {FOUR}
        asked = client.announce(REQUEST)
        connect, _, port = self.network.heard[-1]
        port.protocol.datagramReceived(bytes(4) + connect.transaction + b"short", (FOUR, 6969))
        self.failureResultOf(asked, RemoteProtocolError)

    def test_cancelling_leaves_nothing_behind(self):
        client = self.client()
        self.network.silent = {FOUR}
        asked = client.announce(REQUEST)
        asked.cancel()
        self.failureResultOf(asked)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_closing_gives_up_what_is_under_way(self):
        client = self.client()
        self.network.silent = {FOUR}
        asked = client.announce(REQUEST)
        self.successResultOf(self.trackers.close())
        self.failureResultOf(asked)

    def test_addresses_that_are_none_of_a_trackers_are_not_asked(self):
        for host in ("224.0.0.1", "0.0.0.0", "169.254.169.254", "ff02::1"):
            self.failureResultOf(self.client(host).announce(REQUEST), NetworkError)
            self.assertEqual(self.network.heard, [])

    def test_a_tracker_on_the_filter_list_is_not_asked(self):
        client = self.client()
        self.network.filtered = set(self.network.hosts)
        self.failureResultOf(client.announce(REQUEST), NetworkError)
        self.assertEqual(self.network.heard, [])

    def test_urls_that_are_no_udp_trackers_are_refused_for_good(self):
        self.client()
        for url in (
            "http://t.example/announce",
            "udp://t.example",
            "udp://:80",
            "udp://t.example:0",
            "udp://t.example:99999",
            "udp://[::1",
            "udp://xn--e1afmkfd.example:1",
            "udp://пример.example:1",
            "udp://t.example:1/" + 2048 * "x",
        ):
            with self.assertRaises(TrackerFailure) as caught:
                self.trackers.tracker(url)
            self.assertEqual(caught.exception.retry_in, math.inf)

    def test_a_name_without_address_and_one_that_fails(self):
        client = self.client()
        self.network.hosts = ()
        self.failureResultOf(client.announce(REQUEST), NetworkError)
        looking: Deferred[tuple[str, ...]] = Deferred()
        self.network.resolve = lambda name: looking
        asked = client.announce(REQUEST)
        looking.errback(NetworkError("t.example", "no such host"))
        self.failureResultOf(asked, NetworkError)
