"""What the fronts need of a tracker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from twisted.internet.defer import Deferred

from bittwist.address import Address
from bittwist.announce.values import AnnounceRequest, ScrapeEntry
from bittwist.tracker.interfaces import Arrival, Front, Reply
from bittwist.tracker.settings import TrackerSettings
from bittwist.tracker.statistics import Statistics


class Tracked(Protocol):
    """What the front needs of a tracker."""

    @property
    def settings(self) -> TrackerSettings: ...

    @property
    def statistics(self) -> Statistics: ...

    def locate(self, host: str, request: AnnounceRequest, front: Front) -> Address: ...

    def announce(self, request: AnnounceRequest, arrival: Arrival) -> Reply | Deferred[Reply]: ...

    def scrape(
        self, info_hashes: Sequence[bytes], arrival: Arrival
    ) -> dict[bytes, ScrapeEntry] | Deferred[dict[bytes, ScrapeEntry]]: ...
