"""The verbs of a torrent that are about where its peers and blocks come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

from twisted.internet.defer import Deferred

from bittwist.address import Address
from bittwist.discovery.announcer import TrackerStatus
from bittwist.errors import SessionError
from bittwist.metainfo.magnet import Magnet
from bittwist.metainfo.metainfo import Metainfo
from bittwist.metainfo.urls import tracker_urls
from bittwist.session.finding import Finding, SourceStatus, with_tracker, without_tracker
from bittwist.session.peers import Peers
from bittwist.session.webseeds import WebSeeds, WebSeedStatus, with_web_seed, without_web_seed
from bittwist.swarm.candidates import Candidates, Trouble

WEB_SEED = "web_seed"  # among the names of sources
MAX_TROUBLES = 20  # told at a time: the first few say it all


class SourceVerbs(ABC):
    """What a Torrent has of them."""

    source: Metainfo | Magnet
    _candidates: Candidates
    _finding: Finding
    _peers: Peers
    _web_seeds: WebSeeds

    @abstractmethod
    def save(self) -> Deferred[None]: ...

    def trackers(self) -> tuple[TrackerStatus, ...]:
        return self._finding.trackers()

    def sources(self) -> tuple[SourceStatus, ...]:
        """Where peers and blocks come from, and how much from where."""
        seeds = (
            SourceStatus(WEB_SEED, each.url, each.state.value, 0, each.downloaded, each.error or None)
            for each in self.web_seeds()
        )
        return (*self._finding.statuses(), *seeds)

    def troubles(self) -> tuple[Trouble, ...]:
        """Why known peers are not met, those known longest first; and which hosts are banned."""
        return self._candidates.troubles(MAX_TROUBLES)

    def trouble(self, address: Address) -> str:
        """Why nobody is met there; empty while that is not known, or somebody is."""
        return self._candidates.trouble(address)

    @property
    def metadata_offers(self) -> int:
        """How many peers say that they have the metadata, while it is not known."""
        return self._peers.fetch.offers if self._peers.fetch is not None else 0

    def web_seeds(self) -> tuple[WebSeedStatus, ...]:
        """In the order they were added, those of BEP 17 behind those of BEP 19."""
        return self._web_seeds.statuses()

    def add_peers(self, addresses: Iterable[Address], source: str = "manual") -> None:
        """Peers of this torrent may be there. What a private torrent must not use is passed over."""
        self._finding.found(addresses, source)

    def add_tracker(self, url: str, tier: int | None = None) -> None:
        """Announce to this tracker too, at once; as the last one of that tier it may have to wait its turn.

        SessionError for what has not the form of a tracker's URL.
        """
        if not tracker_urls([url]):
            raise SessionError(f"{url} is not the URL of a tracker")
        if self._finding.add_tracker(url, tier):
            self.source = with_tracker(self.source, url, tier)
            self._finding.trackers_changed()
            self.save()

    def remove_tracker(self, url: str) -> None:
        """Announce there no more, after a last word."""
        if self._finding.remove_tracker(url):
            self.source = without_tracker(self.source, url)
            self._finding.trackers_changed()
            self.save()

    def add_web_seed(self, url: str) -> None:
        """Fetch from there too (BEP 19), now and after a restart; MetainfoError if that is no http(s) URL."""
        self.source = with_web_seed(self.source, url)
        self._web_seeds.add(self.source.web_seeds)
        self.save()

    def remove_web_seed(self, url: str) -> None:
        """Fetch from there no more, of whichever kind it is."""
        self.source = without_web_seed(self.source, url)
        self._web_seeds.remove(url)
        self.save()
