"""What a tracker counts of its work, cheaply enough to count it always.

An announce costs two dictionary look-ups and no translation: what the numbers are called is found out when
they are read. Clients are told apart by the first eight bytes of their peer ids (BEP 20).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, fields

from bittwist.announce.values import AnnounceRequest
from bittwist.metainfo.peerid import client_name, client_software
from bittwist.tracker.interfaces import Front

# Upper ends of the buckets of an announce's duration, in seconds: a store in memory takes tens of
# microseconds, one over the network a millisecond, and seconds mean that something is wrong.
BUCKETS = (2e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 5e-2, 0.25, 1.0)
MAX_CLIENTS = 512  # beginnings of peer ids told apart: an attacker can make up any number of them
KEPT_CLIENTS = MAX_CLIENTS // 2  # when those are too many, the most frequent stay
OTHER = "other"  # the clients that have no name of their own


@dataclass(frozen=True, slots=True)
class Latency:
    """How long announces took: how many up to each of BUCKETS (not added up) and beyond, and the sum."""

    counts: tuple[int, ...] = (0,) * (len(BUCKETS) + 1)
    seconds: float = 0.0

    @property
    def count(self) -> int:
        return sum(self.counts)

    def within(self, share: float) -> float | None:
        """The seconds that this share of the announces took at most, rounded up to a bucket.

        None without announces; infinite where it is beyond the last bucket.
        """
        if not self.count:
            return None
        reached = 0
        for bound, count in zip((*BUCKETS, float("inf")), self.counts):
            reached += count
            if reached >= share * self.count:
                return bound
        return float("inf")


@dataclass(slots=True)
class DatagramCounts:
    """What came over UDP beside announces and scrapes, or was not answered."""

    connects: int = 0
    unverified: int = 0  # requests without a good connection id
    overdue: int = 0  # requests that were dropped since too many were waiting
    failed: int = 0  # errors of ours


class Statistics:
    """Counts since the start; owned by the tracker, read by the admin pages."""

    def __init__(self) -> None:
        self.scrapes: Counter[tuple[Front, str]] = Counter()  # by front and outcome
        self._datagrams: list[DatagramCounts] = []  # of each UDP port
        self.failures: Counter[Front] = Counter()
        # For each (front, event, outcome, whether IPv6) the counts of a Latency, then its sum of seconds.
        self._announces: dict[tuple[str, str, str, bool], list[float]] = {}
        self._clients: dict[bytes, int] = {}
        self._examples: dict[bytes, bytes] = {}  # a whole peer id for each, since some names need it
        self._forgotten: Counter[str] = Counter()  # announces of those not told apart any more, by software

    def announced(self, front: Front, request: AnnounceRequest, outcome: str, seconds: float) -> None:
        """An announce was answered, refused or failed, or its client had gone, after so many seconds."""
        address = request.address
        # `_value_`: `value` is a descriptor written in Python, and takes longer than all the rest.
        key = (front._value_, request.event._value_, outcome, address is not None and ":" in address.host)
        try:
            row = self._announces[key]
        except KeyError:
            row = self._announces[key] = [0] * (len(BUCKETS) + 2)
        row[bisect_left(BUCKETS, seconds)] += 1
        row[-1] += seconds
        client = request.peer_id[:8]
        try:
            self._clients[client] += 1
        except KeyError:
            self._meet(client, request.peer_id)

    def scraped(self, front: Front, outcome: str = "answered") -> None:
        """A scrape was answered, refused or failed, or its client had gone."""
        self.scrapes[front, outcome] += 1

    def datagrams_of_port(self) -> DatagramCounts:
        """Where a UDP port counts."""
        counts = DatagramCounts()
        self._datagrams.append(counts)
        return counts

    @property
    def datagrams(self) -> dict[str, int]:
        """The counts of all UDP ports together, by their names."""
        names = [field.name for field in fields(DatagramCounts)]
        return {name: sum(getattr(counts, name) for counts in self._datagrams) for name in names}

    def unreadable(self, front: Front) -> None:
        """Something came that is neither announce nor scrape."""
        self.failures[front] += 1

    @property
    def announces(self) -> Counter[tuple[Front, bool, str, str]]:
        """How many announces by front, whether over IPv6, event and outcome."""
        return Counter(
            {
                (Front(front), six, event, outcome): int(sum(row[:-1]))
                for (front, event, outcome, six), row in self._announces.items()
            }
        )

    def latency(self, front: Front) -> Latency:
        """How long the announces that came in by this front took."""
        rows = [row for key, row in self._announces.items() if key[0] == front.value]
        sums = [sum(column) for column in zip(*rows)] or [0.0] * (len(BUCKETS) + 2)
        return Latency(tuple(int(count) for count in sums[:-1]), sums[-1])

    def clients(self, most: int) -> list[tuple[str, int]]:
        """Announces by client and version, the most frequent first; all but `most` are in the last, OTHER."""
        named: Counter[str] = Counter()
        for client, count in self._clients.items():
            named[client_name(self._examples[client])] += count
        told = sorted(named.items(), key=lambda item: (-item[1], item[0]))[:most]
        others = self._forgotten.total() + named.total() - sum(count for _, count in told)
        return [*told, (OTHER, others)] if others else told

    def software(self) -> Counter[str]:
        """Announces by client without version. No count ever falls, and there are a hundred at most."""
        found = Counter(self._forgotten)
        for client, count in self._clients.items():
            found[client_software(self._examples[client]) or OTHER] += count
        return found

    def _meet(self, client: bytes, peer_id: bytes) -> None:
        if len(self._clients) >= MAX_CLIENTS:
            self._forget()
        self._clients[client] = 1
        self._examples[client] = peer_id

    def _forget(self) -> None:
        """Made-up clients come once each, real ones again and again: the frequent stay."""
        ranked = sorted(self._clients, key=self._clients.__getitem__, reverse=True)
        for client in ranked[KEPT_CLIENTS:]:
            software = client_software(self._examples.pop(client)) or OTHER
            self._forgotten[software] += self._clients.pop(client)
