"""What the tracker counts, and that nobody can make it count without bound."""

from __future__ import annotations

import time
from dataclasses import replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bittwist.address import Address
from bittwist.announce.values import AnnounceRequest, Event
from bittwist.tracker.interfaces import Front
from bittwist.tracker.statistics import BUCKETS, MAX_CLIENTS, OTHER, Latency, Statistics
from tests.scale import SEED, SOAK, runs

REQUEST = AnnounceRequest(b"h" * 20, b"-qB4650-abcdefghijkl", 6881, address=Address("192.0.2.1", 6881))


class CountTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.statistics = Statistics()

    def test_announces_are_counted_by_front_family_event_and_outcome(self) -> None:
        six = replace(REQUEST, address=Address("2001:db8::1", 1), event=Event.STARTED)
        self.statistics.announced(Front.HTTP, REQUEST, "answered", 0.0)
        self.statistics.announced(Front.HTTP, REQUEST, "answered", 0.0)
        self.statistics.announced(Front.UDP, six, "refused", 0.0)
        self.assertEqual(
            self.statistics.announces,
            {
                (Front.HTTP, False, "", "answered"): 2,
                (Front.UDP, True, "started", "refused"): 1,
            },
        )

    def test_scrapes_and_what_cannot_be_read_are_counted_by_front(self) -> None:
        self.statistics.scraped(Front.UDP)
        self.statistics.scraped(Front.HTTP, "refused")
        self.statistics.unreadable(Front.WEBSOCKET)
        self.assertEqual(self.statistics.scrapes, {(Front.UDP, "answered"): 1, (Front.HTTP, "refused"): 1})
        self.assertEqual(self.statistics.failures, {Front.WEBSOCKET: 1})

    def test_what_udp_ports_count_is_added_up(self) -> None:
        for connects in (1, 2):
            self.statistics.datagrams_of_port().connects += connects
        self.assertEqual(
            self.statistics.datagrams, {"connects": 3, "unverified": 0, "overdue": 0, "failed": 0}
        )

    def test_an_announce_whose_address_is_unknown_is_counted(self) -> None:
        self.statistics.announced(Front.HTTP, replace(REQUEST, address=None), "failed", 0.0)
        self.assertEqual(self.statistics.announces, {(Front.HTTP, False, "", "failed"): 1})


class LatencyTests(SynchronousTestCase):
    def test_a_bucket_holds_what_is_as_long_as_its_end(self) -> None:
        statistics = Statistics()
        for bound in BUCKETS:
            statistics.announced(Front.HTTP, REQUEST, "answered", bound)
        statistics.announced(Front.HTTP, REQUEST, "refused", 1e9)
        latency = statistics.latency(Front.HTTP)
        self.assertEqual(latency.counts, (1,) * (len(BUCKETS) + 1))
        self.assertEqual(latency.count, len(BUCKETS) + 1)
        self.assertAlmostEqual(latency.seconds, sum(BUCKETS) + 1e9)

    def test_each_front_has_its_own(self) -> None:
        statistics = Statistics()
        statistics.announced(Front.UDP, REQUEST, "answered", 0.02)
        self.assertEqual(statistics.latency(Front.UDP).seconds, 0.02)
        self.assertEqual(statistics.latency(Front.HTTP), Latency())

    def test_shares_are_rounded_up_to_a_bucket(self) -> None:
        counts = [0] * (len(BUCKETS) + 1)
        counts[0], counts[3], counts[-1] = 90, 9, 1
        latency = Latency(tuple(counts))
        self.assertEqual(latency.within(0.5), BUCKETS[0])
        self.assertEqual(latency.within(0.99), BUCKETS[3])
        self.assertEqual(latency.within(1.0), float("inf"))
        self.assertIsNone(Latency().within(0.5))


class ClientTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.statistics = Statistics()

    def announce(self, peer_id: bytes, times: int = 1) -> None:
        for _ in range(times):
            self.statistics.announced(
                Front.HTTP, replace(REQUEST, peer_id=peer_id.ljust(20, b"x")), "answered", 0.0
            )

    def test_clients_are_named_with_their_versions_the_most_frequent_first(self) -> None:
        self.announce(b"-TR4050-", 2)
        self.announce(b"-qB4650-", 3)
        self.announce(b"T03I-----")
        self.assertEqual(
            self.statistics.clients(10),
            [("qBittorrent 4.6.5", 3), ("Transmission 4.0.5", 2), ("BitTornado 0.3.18", 1)],
        )
        self.assertEqual(self.statistics.clients(1), [("qBittorrent 4.6.5", 3), (OTHER, 3)])

    def test_software_is_counted_without_versions_and_strangers_together(self) -> None:
        self.announce(b"-qB4650-", 2)
        self.announce(b"-qB4640-")
        self.announce(b"-ZZ0000-")
        self.assertEqual(self.statistics.software(), {"qBittorrent": 3, OTHER: 1})

    def test_made_up_clients_cost_bounded_memory_and_do_not_hide_real_ones(self) -> None:
        random = Random(SEED)
        self.announce(b"-TR4050-", 50)
        made_up = runs(5_000, 200_000)
        for number in range(made_up):
            self.announce(random.randbytes(20))
            if number % 50 == 0:
                self.announce(b"-qB4650-")
        self.assertLessEqual(len(self.statistics.clients(10**6)), MAX_CLIENTS + 1)
        told = dict(self.statistics.clients(2))
        self.assertEqual(told["qBittorrent 4.6.5"], made_up // 50)
        self.assertEqual(told["Transmission 4.0.5"], 50)
        self.assertEqual(sum(told.values()), self.statistics.announces.total())

    def test_versions_made_up_for_a_known_client_make_no_more_names_than_the_known(self) -> None:
        """What /metrics has a series for is bounded, and no series ever falls."""
        random = Random(SEED)
        before: dict[str, int] = {}
        for _ in range(runs(3_000, 30_000)):
            self.announce(b"-UT" + random.randbytes(17))
            if random.random() < 0.01:
                now = self.statistics.software()
                self.assertLessEqual(set(now), {"µTorrent", OTHER})
                self.assertTrue(all(now[name] >= count for name, count in before.items()))
                before = dict(now)
        self.assertEqual(self.statistics.software().total(), self.statistics.announces.total())


@settings(deadline=None)
@given(st.lists(st.binary(min_size=20, max_size=20), max_size=30), st.floats(0, 100))
def test_no_peer_id_and_no_duration_is_lost(peer_ids: list[bytes], seconds: float) -> None:
    statistics = Statistics()
    for peer_id in peer_ids:
        statistics.announced(Front.UDP, replace(REQUEST, peer_id=peer_id), "answered", seconds)
    assert sum(count for _, count in statistics.clients(5)) == len(peer_ids)
    assert statistics.software().total() == statistics.latency(Front.UDP).count == len(peer_ids)


def test_counting_an_announce_costs_about_a_microsecond() -> None:
    statistics = Statistics()
    announces = runs(10_000, 200_000)
    best = min(_seconds_each(statistics, announces) for _ in range(5))
    assert best < 1.5e-6 if SOAK else statistics.announces.total() == 5 * announces


def _seconds_each(statistics: Statistics, announces: int) -> float:
    began = time.perf_counter()
    for _ in range(announces):
        statistics.announced(Front.HTTP, REQUEST, "answered", 1e-5)
    return (time.perf_counter() - began) / announces
