"""A tracker's figures for Prometheus.

    bittwist_tracker_info{version,worker}           1
    bittwist_tracker_up                             whether it takes announces
    bittwist_tracker_store_up                       whether its store answers
    bittwist_tracker_uptime_seconds
    bittwist_tracker_torrents                       } the store's, and browsers; absent
    bittwist_tracker_peers{kind}                    } while the store is away
    bittwist_tracker_announces_total{front,family,event,outcome}  answered, refused, failed; gone: the
                                                    client was, before its answer
    bittwist_tracker_announce_duration_seconds{front}
    bittwist_tracker_client_announces_total{client} without versions: at most a hundred
    bittwist_tracker_scrapes_total{front,outcome}
    bittwist_tracker_udp_datagrams_total{kind}      connects; unverified (without a good connection id),
                                                    overdue (too many were waiting), failed
    bittwist_tracker_unreadable_requests_total{front}

With several workers each has an admin port, and so an `instance`, of its own. What it counts is its own work:
sum over the instances. Torrents and peers are the shared store's, which tells every worker the same: take
the maximum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from bittwist import __version__
from bittwist.tracker.interfaces import Front
from bittwist.tracker.statistics import BUCKETS, Statistics
from bittwist.tracker.status import OUTCOMES, Gauges

PREFIX = "bittwist_tracker"
OPEN_METRICS = "application/openmetrics-text"


class TrackerCollector(Collector):
    """Reads a tracker's statistics when Prometheus asks; `gauges` is asked then too."""

    def __init__(self, statistics: Statistics, gauges: Callable[[], Gauges]) -> None:
        self._statistics = statistics
        self._gauges = gauges

    def describe(self) -> list[Metric]:
        """Nothing: a registry would collect all to learn the names."""
        return []

    def collect(self) -> Iterator[Metric]:
        yield from self._gauged()
        yield from self._counted()
        yield self._durations()

    def _gauged(self) -> Iterator[Metric]:
        gauges = self._gauges()
        yield InfoMetricFamily(
            PREFIX, "Which tracker this is.", {"version": __version__, "worker": str(gauges.worker)}
        )
        yield GaugeMetricFamily(f"{PREFIX}_up", "Whether it takes announces.", int(gauges.running))
        yield GaugeMetricFamily(
            f"{PREFIX}_store_up", "Whether its store answers.", int(gauges.totals is not None)
        )
        yield GaugeMetricFamily(
            f"{PREFIX}_uptime_seconds", "Since when it runs.", gauges.uptime, unit="seconds"
        )
        if gauges.totals is not None:
            yield GaugeMetricFamily(f"{PREFIX}_torrents", "Swarms in the store.", gauges.totals.torrents)
            peers = GaugeMetricFamily(f"{PREFIX}_peers", "Peers in the store's swarms.", labels=["kind"])
            peers.add_metric(["seed"], gauges.totals.seeds)
            peers.add_metric(["leech"], gauges.totals.leeches)
            yield peers

    def _counted(self) -> Iterator[Metric]:
        statistics = self._statistics
        announces = CounterMetricFamily(
            f"{PREFIX}_announces",
            "Announces taken; gone: the client was, before its answer.",
            labels=["front", "family", "event", "outcome"],
        )
        for (front, six, event, outcome), count in statistics.announces.items():
            family = "ipv6" if six else "ipv4"
            announces.add_metric([front.value, family, event or "none", outcome], count)
        yield announces
        clients = CounterMetricFamily(
            f"{PREFIX}_client_announces", "Announces by client, as its peer id claims.", labels=["client"]
        )
        for client, count in sorted(statistics.software().items()):
            clients.add_metric([client], count)
        yield clients
        scrapes = CounterMetricFamily(
            f"{PREFIX}_scrapes", "Scrapes taken, as announces.", labels=["front", "outcome"]
        )
        unreadable = CounterMetricFamily(
            f"{PREFIX}_unreadable_requests",
            "Requests that are neither announce nor scrape.",
            labels=["front"],
        )
        for front in Front:
            for outcome in OUTCOMES:
                scrapes.add_metric([front.value, outcome], statistics.scrapes[front, outcome])
            unreadable.add_metric([front.value], statistics.failures[front])
        yield scrapes
        yield unreadable
        datagrams = CounterMetricFamily(
            f"{PREFIX}_udp_datagrams", "Datagrams that are no announce or scrape.", labels=["kind"]
        )
        for kind, count in statistics.datagrams.items():
            datagrams.add_metric([kind], count)
        yield datagrams

    def _durations(self) -> Metric:
        durations = HistogramMetricFamily(
            f"{PREFIX}_announce_duration_seconds",
            "From a decoded announce to its reply.",
            labels=["front"],
            unit="seconds",
        )
        bounds = [*(str(bound) for bound in BUCKETS), "+Inf"]
        for front in Front:
            latency = self._statistics.latency(front)
            durations.add_metric(
                [front.value], list(zip(bounds, accumulate(latency.counts))), latency.seconds
            )
        return durations


class Exposition:
    """The text that Prometheus reads: a registry with the tracker and its process, and nothing else."""

    def __init__(self, collector: TrackerCollector) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(collector)
        ProcessCollector(registry=self._registry)  # memory, processor time, descriptors

    def render(self, accept: str) -> tuple[bytes, str]:
        """The text and its content type: OpenMetrics for who accepts it, else the older one."""
        encode, content_type = choose_encoder(OPEN_METRICS if OPEN_METRICS in accept else "")
        return encode(self._registry), content_type
