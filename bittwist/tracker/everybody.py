"""Who is in which swarm, as the admin port tells it: a store's peers and the browsers together."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import nlargest
from itertools import islice
from typing import TypeVar

from twisted.internet.defer import Deferred

from bittwist.announce.values import ScrapeEntry
from bittwist.tracker.browsers import Browsers
from bittwist.tracker.interfaces import ISwarmStore, Totals

SAMPLED = 500  # swarms of browsers that the store is asked about; the others are taken to be like them

T = TypeVar("T")


class Everybody:
    """Sizes of swarms, their browsers counted in. What the store raises or fails with, these do."""

    def __init__(self, store: ISwarmStore, browsers: Browsers) -> None:
        self._store = store
        self._browsers = browsers

    async def sizes(self, info_hashes: Sequence[bytes]) -> dict[bytes, ScrapeEntry]:
        """The size of each of these swarms."""
        return self._browsers.scraped(await _now(self._store.scrape(info_hashes)))

    async def totals(self) -> Totals:
        """How many there are; of more than 500 swarms of browsers it is estimated which the store has too."""
        held, browsers = await _now(self._store.totals()), self._browsers.totals()
        return Totals(
            held.torrents + await self._alone(browsers.torrents),
            held.seeds + browsers.seeds,
            held.leeches + browsers.leeches,
        )

    async def largest(self, count: int) -> list[tuple[bytes, ScrapeEntry]]:
        """At most `count` of those that are large in the store or among the browsers."""
        found = [info_hash for info_hash, _ in await _now(self._store.largest(count))]
        hashes = tuple(dict.fromkeys([*found, *self._browsers.largest(count)]))
        entries = await self.sizes(hashes) if hashes else {}
        return nlargest(count, entries.items(), key=lambda item: item[1].complete + item[1].incomplete)

    async def _alone(self, swarms: int) -> int:
        """How many of the browsers' swarms have no other peers."""
        if not swarms:
            return 0
        sample = tuple(islice(self._browsers, SAMPLED))
        entries = await _now(self._store.scrape(sample))
        alone = sum(not (entry.complete or entry.incomplete) for entry in entries.values())
        return round(swarms * alone / len(sample))


async def _now(said: T | Deferred[T]) -> T:
    return await said if isinstance(said, Deferred) else said
