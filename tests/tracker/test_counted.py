"""Every request is counted once, by what became of it, whichever front it came in by."""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from bittwist.announce.http import encode_announce_url
from bittwist.announce.udp import Announce, Scrape, encode_request
from bittwist.announce.values import AnnounceRequest
from bittwist.errors import TrackerFailure
from bittwist.tracker import AnnounceHook, Arrival, Front, Tracker
from bittwist.tracker.connections import SECRET, ConnectionIds
from bittwist.tracker.datagram import UdpAnswers
from bittwist.tracker.http import Answers
from tests.tracker.machine import Machine

HOST = "127.0.0.1"  # which may name another address
REQUEST = AnnounceRequest(b"h" * 20, b"p" * 20, 6881, left=1)
NOBODYS = replace(REQUEST, ip="224.0.0.1")


class NoScrapes(AnnounceHook):
    def scraping(self, info_hashes: object, arrival: Arrival) -> None:
        raise TrackerFailure("no")


class CountedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.build()

    def build(self, *hooks: AnnounceHook) -> None:
        self.tracker = Tracker(Machine(), hooks=hooks)
        self.http = Answers(self.tracker)
        ids = ConnectionIds(b"s" * SECRET, lambda: 0.0)
        self.connection_id = ids.issue(b"\x7f\0\0\1")
        self.udp = UdpAnswers(self.tracker, ids)
        self.udp.send = lambda datagram, addr: None  # type: ignore[method-assign]

    def say(self, packet: Announce | Scrape) -> bytes:
        return encode_request(packet)

    def announces(self) -> dict[tuple[Front, str], int]:
        counted = self.tracker.statistics.announces.items()
        return {(front, outcome): count for (front, _, _, outcome), count in counted}

    def test_an_ip_that_is_refused_is_a_refused_announce(self) -> None:
        self.http.announce(encode_announce_url("", NOBODYS).partition("?")[2].encode(), HOST)
        self.udp.datagramReceived(self.say(Announce(self.connection_id, b"tran", NOBODYS)), (HOST, 9))
        self.assertEqual(self.announces(), {(Front.HTTP, "refused"): 1, (Front.UDP, "refused"): 1})

    def test_a_udp_request_that_says_nonsense_is_unreadable(self) -> None:
        datagram = self.say(Announce(self.connection_id, b"tran", REQUEST))
        self.udp.datagramReceived(datagram[:96] + bytes(2), (HOST, 9))
        self.udp.datagramReceived(self.say(Scrape(self.connection_id, b"tran", ())), (HOST, 9))
        self.assertEqual(self.tracker.statistics.failures, {Front.UDP: 2})
        self.assertEqual(self.announces(), {})

    def test_a_scrape_is_counted_by_what_became_of_it(self) -> None:
        self.http.scrape(b"info_hash=" + b"h" * 20, HOST)
        self.assertEqual(self.tracker.statistics.scrapes, {(Front.HTTP, "answered"): 1})
        later: Deferred[None] = Deferred()

        class Later(AnnounceHook):
            def scraping(self, info_hashes: object, arrival: Arrival) -> Deferred[None]:
                return later

        self.build(Later(), NoScrapes())
        self.udp.datagramReceived(self.say(Scrape(self.connection_id, b"tran", (b"h" * 20,))), (HOST, 9))
        self.assertEqual(self.tracker.statistics.scrapes, {})
        later.callback(None)
        self.assertEqual(self.tracker.statistics.scrapes, {(Front.UDP, "refused"): 1})

    def test_what_udp_drops_is_in_the_figures(self) -> None:
        self.udp.datagramReceived(self.say(Announce(b"x" * 8, b"tran", REQUEST)), (HOST, 9))
        self.assertEqual(self.tracker.statistics.datagrams["unverified"], 1)
