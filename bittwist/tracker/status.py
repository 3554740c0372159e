"""How a tracker is doing, gathered in one value: what the status page shows and /stats.json tells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from bittwist.announce.values import Event, ScrapeEntry
from bittwist.tracker.interfaces import Front, Totals
from bittwist.tracker.rates import Rates
from bittwist.tracker.statistics import Statistics

OUTCOMES = ("answered", "refused", "failed", "gone")  # the last: its client was, before its answer
DEGRADED = "the store does not answer; peers are told of those this process knows itself"
CLIENTS = 20  # the most frequent ones are told apart

Json = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Gauges:
    """What goes up and down; `totals` is None while the store does not answer, `uptime` is seconds."""

    running: bool
    totals: Totals | None
    uptime: float
    worker: int = 0


@dataclass(frozen=True, slots=True)
class FrontStatus:
    """One front's work: announces and scrapes by outcome; half and 99 % of the announces took so many seconds
    at most."""

    outcomes: Mapping[str, int]
    per_second: float
    scrape_outcomes: Mapping[str, int]
    unreadable: int
    p50: float | None
    p99: float | None

    @property
    def announces(self) -> int:
        return sum(self.outcomes.values())

    @property
    def scrapes(self) -> int:
        return sum(self.scrape_outcomes.values())


@dataclass(frozen=True, slots=True)
class LargeSwarm:
    """A swarm and, if the registry knows it, its torrent's name: a stranger's text."""

    info_hash: bytes
    name: str | None
    size: ScrapeEntry


@dataclass(frozen=True, slots=True)
class Status:
    """All of it. `uptime` is seconds, rates are a second, `totals` is None where the store says nothing.
    Announces are answered all the same then where the tracker `answers_alone`.

    Counts are this process's since its start; swarms are the store's. Clients' names come from strangers.
    """

    version: str
    worker: int
    uptime: float
    running: bool
    totals: Totals | None
    answers_alone: bool
    announces_per_second: float
    scrapes_per_second: float
    history: tuple[float, ...]
    fronts: Mapping[str, FrontStatus]
    families: Mapping[str, int]
    events: Mapping[str, int]
    clients: tuple[tuple[str, int], ...]
    largest: tuple[LargeSwarm, ...]
    datagrams: Mapping[str, int]

    @property
    def outcomes(self) -> dict[str, int]:
        return {name: sum(front.outcomes[name] for front in self.fronts.values()) for name in OUTCOMES}

    @property
    def completed(self) -> int:
        """Downloads that peers said they had completed."""
        return self.events[Event.COMPLETED.value]

    @property
    def trouble(self) -> str | None:
        """Why the tracker is not well; None if it is."""
        if not self.running:
            return "the tracker does not run"
        if self.totals is not None:
            return None
        return DEGRADED if self.answers_alone else "the store does not answer"

    @property
    def degraded(self) -> str | None:
        """The trouble, where announces are answered all the same."""
        return self.trouble if self.trouble == DEGRADED else None


def counts(statistics: Statistics) -> dict[str, int]:
    """What rates are kept of: announces and scrapes, and announces by front."""
    by_front: Counter[str] = Counter()
    for (front, _, _, _), count in statistics.announces.items():
        by_front[front.value] += count
    return {**by_front, "announces": by_front.total(), "scrapes": statistics.scrapes.total()}


def front_status(statistics: Statistics, rates: Rates) -> dict[str, FrontStatus]:
    """Each front's work, by its name."""
    announces = statistics.announces
    found = {}
    for front in Front:
        outcomes = dict.fromkeys(OUTCOMES, 0)
        for (came_by, _, _, outcome), count in announces.items():
            if came_by is front:
                outcomes[outcome] += count
        latency = statistics.latency(front)
        found[front.value] = FrontStatus(
            outcomes,
            rates.per_second(front.value),
            {outcome: statistics.scrapes[front, outcome] for outcome in OUTCOMES},
            statistics.failures[front],
            latency.within(0.5),
            latency.within(0.99),
        )
    return found


def families(statistics: Statistics) -> dict[str, int]:
    """Announces by address family."""
    found = {"ipv4": 0, "ipv6": 0}
    for (_, six, _, _), count in statistics.announces.items():
        found["ipv6" if six else "ipv4"] += count
    return found


def events(statistics: Statistics) -> dict[str, int]:
    """Answered announces by event; the empty name is that of no event."""
    found = {event.value: 0 for event in Event}
    for (_, _, event, outcome), count in statistics.announces.items():
        if outcome == "answered":
            found[event] += count
    return found


def as_json(status: Status) -> Json:
    """What /stats.json tells."""
    totals = status.totals
    return {
        "version": status.version,
        "worker": status.worker,
        "uptime": round(status.uptime, 1),
        "running": status.running,
        "store_here": totals is not None,
        "degraded": status.degraded,
        "torrents": totals and totals.torrents,
        "seeds": totals and totals.seeds,
        "leeches": totals and totals.leeches,
        "completed": status.completed,
        "announces_per_second": round(status.announces_per_second, 3),
        "scrapes_per_second": round(status.scrapes_per_second, 3),
        "outcomes": status.outcomes,
        "families": status.families,
        "events": {name or "none": count for name, count in status.events.items()},
        "udp": dict(status.datagrams),
        "fronts": {name: _front_json(front) for name, front in status.fronts.items()},
        "clients": [{"client": name, "announces": count} for name, count in status.clients],
        "largest": [
            {"info_hash": swarm.info_hash.hex(), "name": swarm.name, **size_json(swarm.size)}
            for swarm in status.largest
        ],
    }


def size_json(size: ScrapeEntry) -> dict[str, int]:
    """A swarm's size."""
    return {"seeds": size.complete, "leeches": size.incomplete, "completed": size.downloaded}


def _front_json(front: FrontStatus) -> Json:
    return {
        "announces": front.announces,
        **front.outcomes,
        "per_second": round(front.per_second, 3),
        "scrapes": front.scrapes,
        "scrape_outcomes": dict(front.scrape_outcomes),
        "unreadable": front.unreadable,
        "p50_seconds": _finite(front.p50),
        "p99_seconds": _finite(front.p99),
    }


def _finite(seconds: float | None) -> float | None:
    """JSON has no infinity: beyond the last bucket nothing is known."""
    return None if seconds == float("inf") else seconds
