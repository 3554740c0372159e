"""What Prometheus reads of a tracker."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from prometheus_client import REGISTRY
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from prometheus_client.parser import text_string_to_metric_families as families
from twisted.trial.unittest import SynchronousTestCase

from bittwist import __version__
from bittwist.address import Address
from bittwist.announce.values import AnnounceRequest, Event
from bittwist.tracker.interfaces import Front, Totals
from bittwist.tracker.metrics import Exposition, TrackerCollector
from bittwist.tracker.statistics import BUCKETS, Statistics
from bittwist.tracker.status import Gauges
from tests.scale import SEED

REQUEST = AnnounceRequest(b"h" * 20, b"-qB4650-abcdefghijkl", 6881, address=Address("192.0.2.1", 6881))


class MetricsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.statistics = Statistics()
        self.gauges = Gauges(running=True, totals=Totals(3, 4, 5), uptime=12.5, worker=2)
        self.exposition = Exposition(TrackerCollector(self.statistics, lambda: self.gauges))

    def samples(self) -> dict[tuple[str, ...], float]:
        """By name and the values of the labels, in the alphabetical order of these."""
        text, _ = self.exposition.render("")
        return {
            (sample.name.removeprefix("bittwist_tracker_"), *_values(sample.labels)): sample.value
            for family in families(text.decode())
            for sample in family.samples
        }

    def test_the_store_and_the_tracker(self) -> None:
        samples = self.samples()
        self.assertEqual(samples["torrents",], 3)
        self.assertEqual((samples["peers", "seed"], samples["peers", "leech"]), (4, 5))
        self.assertEqual((samples["up",], samples["store_up",]), (1, 1))
        self.assertEqual(samples["uptime_seconds",], 12.5)
        self.assertEqual(samples["info", __version__, "2"], 1)

    def test_a_store_that_is_away_has_no_totals_rather_than_zeros(self) -> None:
        self.gauges = replace(self.gauges, totals=None, running=False)
        samples = self.samples()
        self.assertEqual((samples["up",], samples["store_up",]), (0, 0))
        self.assertNotIn(("torrents",), samples)
        self.assertNotIn(("peers", "seed"), samples)

    def test_announces_by_front_family_event_and_outcome(self) -> None:
        six = replace(REQUEST, address=Address("2001:db8::1", 1), event=Event.COMPLETED)
        self.statistics.announced(Front.HTTP, REQUEST, "answered", 0.0)
        self.statistics.announced(Front.UDP, six, "refused", 0.0)
        samples = self.samples()
        self.assertEqual(samples["announces_total", "none", "ipv4", "http", "answered"], 1)
        self.assertEqual(samples["announces_total", "completed", "ipv6", "udp", "refused"], 1)

    def test_scrapes_and_the_unreadable(self) -> None:
        self.statistics.scraped(Front.UDP)
        self.statistics.scraped(Front.UDP, "refused")
        self.statistics.unreadable(Front.WEBSOCKET)
        self.statistics.datagrams_of_port().unverified += 3
        samples = self.samples()
        for key, count in ((("udp", "answered"), 1), (("udp", "refused"), 1), (("http", "answered"), 0)):
            self.assertEqual(samples["scrapes_total", *key], count)
        self.assertEqual(samples["udp_datagrams_total", "unverified"], 3)
        self.assertEqual(samples["unreadable_requests_total", "ws"], 1)

    def test_durations_are_a_cumulative_histogram(self) -> None:
        for seconds in (BUCKETS[0], BUCKETS[2], 100.0):
            self.statistics.announced(Front.HTTP, REQUEST, "answered", seconds)
        samples = self.samples()
        name = "announce_duration_seconds"
        values = [samples[f"{name}_bucket", "http", str(bound)] for bound in (*BUCKETS, "+Inf")]
        self.assertEqual(values, [1, 1, *[2] * (len(BUCKETS) - 2), 3])
        self.assertEqual(samples[f"{name}_count", "http"], 3)
        self.assertAlmostEqual(samples[f"{name}_sum", "http"], 100 + BUCKETS[0] + BUCKETS[2])

    def test_clients_are_a_bounded_number_of_series(self) -> None:
        random = Random(SEED)
        for _ in range(3000):
            self.statistics.announced(
                Front.HTTP, replace(REQUEST, peer_id=b"-qB" + random.randbytes(17)), "answered", 0.0
            )
        clients = {key[1] for key in self.samples() if key[0] == "client_announces_total"}
        self.assertLessEqual(clients, {"qBittorrent", "other"})

    def test_hostile_peer_ids_leave_the_text_readable(self) -> None:
        for peer_id in (b'"} 1\nevil_metric 1\n#x', b"-BL<\"\\\n'>-abcdefghijk", b"\x00" * 20, b"\xff" * 20):
            self.statistics.announced(
                Front.HTTP, replace(REQUEST, peer_id=peer_id[:20].ljust(20)), "answered", 0.0
            )
        self.assertNotIn(b"evil", self.exposition.render("")[0])
        self.assertEqual(self.samples()["announces_total", "none", "ipv4", "http", "answered"], 4)

    def test_open_metrics_for_who_accepts_it(self) -> None:
        self.statistics.announced(Front.HTTP, REQUEST, "answered", 1e-3)
        text, content_type = self.exposition.render(
            "application/openmetrics-text;version=1.0.0,text/plain;q=0.1"
        )
        self.assertIn("application/openmetrics-text", content_type)
        names = {family.name for family in open_families(text.decode())}
        self.assertIn("bittwist_tracker_announce_duration_seconds", names)
        self.assertIn("text/plain", self.exposition.render("*/*")[1])

    def test_the_registry_is_its_own_and_has_the_process(self) -> None:
        self.assertIn("process_resident_memory_bytes", {key[0] for key in self.samples()})
        ours = [metric.name for metric in REGISTRY.collect() if metric.name.startswith("bittwist")]
        self.assertEqual(ours, [])


def _values(labels: dict[str, str]) -> list[str]:
    return [value for _, value in sorted(labels.items())]
