"""What there is to tell of a transfer while it goes on; each thing once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from bittwist.address import Address
from bittwist.app.alone import no_metadata, why_alone
from bittwist.app.named_peers import NamedPeers
from bittwist.app.news import News
from bittwist.app.report import Report
from bittwist.discovery.announcer import TrackerStatus
from bittwist.discovery.relation import TrackerState
from bittwist.session.finding import SourceStatus
from bittwist.session.lifecycle import State
from bittwist.session.sourceverbs import WEB_SEED
from bittwist.session.statistics import TorrentStatistics
from bittwist.session.webseeds import WebSeedState
from bittwist.swarm.candidates import Trouble

ALONE_FOR = 5.0  # seconds without a peer, or with none that has given metadata, until it is said why
SLOW = 4.0  # seconds without an answer until a tracker is named: UDP gives up only after 45 (BEP 15)
NOT_YET = "no answer yet"

_WANTS_PEERS = (State.METADATA, State.DOWNLOADING)


class Watched(Protocol):
    """What is asked of a torrent."""

    @property
    def metadata_offers(self) -> int: ...
    def add_peers(self, addresses: Iterable[Address], source: str = ...) -> None: ...
    def statistics(self) -> TorrentStatistics: ...
    def trackers(self) -> tuple[TrackerStatus, ...]: ...
    def sources(self) -> tuple[SourceStatus, ...]: ...
    def trouble(self, address: Address) -> str: ...
    def troubles(self) -> tuple[Trouble, ...]: ...


class Watch:
    """Looks at one torrent again and again, and tells a report what has changed."""

    def __init__(self, report: Report, named: NamedPeers | None = None) -> None:
        """`named` are peers to be told of by their names."""
        self._report = report
        self._named = named
        self._waiting = ""
        self._errors: dict[str, str] = {}  # what was told of each tracker that fails
        self._asked_at: dict[str, float] = {}  # trackers that never answered and are being asked
        self._answered: set[str] = set()  # trackers
        self._alone_since: float | None = None
        self._why_alone = News()
        self._met_since: float | None = None  # the first peer, with the metadata still to come
        self._why_no_metadata = News()
        self._found: dict[tuple[str, str], int] = {}  # peers of each source, as told last
        self._web_errors: dict[str, News] = {}  # of each web seed that was told of

    def look(self, torrent: Watched, now: float) -> TorrentStatistics:
        """Report how it goes at `now`."""
        found, trackers = torrent.statistics(), torrent.trackers()
        self._report.progress(found)
        if found.state is State.WAITING and found.reason != self._waiting:
            self._report.waiting(found.reason)
        self._waiting = found.reason
        self._look_at_trackers(trackers, now)
        sources = torrent.sources()
        self._look_at_sources(sources, now)
        if self._named is not None:
            self._named.look(torrent)
        self._look_for_peers(torrent, found, trackers, sources, now)
        self._look_for_metadata(torrent, found, now)
        return found

    def brought(self, torrent: Watched) -> None:
        """Report what every source has brought, at the end of a download."""
        for source in torrent.sources():
            if source.downloaded:
                self._report.source(source)

    def _look_at_trackers(self, trackers: Sequence[TrackerStatus], now: float) -> None:
        for tracker in trackers:
            told = self._errors.get(tracker.url, "")
            error = tracker.last_error or (NOT_YET if self._is_slow(tracker, now) else told)
            if tracker.state is TrackerState.WORKING and not tracker.last_error:
                error = ""  # in other states it may only not be asked any more
            if error != told:
                self._errors[tracker.url] = error
                self._report.tracker(tracker.url, error or None)

    def _is_slow(self, tracker: TrackerStatus, now: float) -> bool:
        """Whether a tracker that has never answered is asked, and has been for too long."""
        if tracker.state is TrackerState.WORKING:
            self._answered.add(tracker.url)
        if tracker.state is not TrackerState.ANNOUNCING or tracker.url in self._answered:
            self._asked_at.pop(tracker.url, None)
            return False
        return now - self._asked_at.setdefault(tracker.url, now) >= SLOW

    def _look_at_sources(self, sources: Sequence[SourceStatus], now: float) -> None:
        """Each is told of when it finds somebody, or with the first bytes of who came by themselves."""
        for source in sources:
            if source.name == WEB_SEED:
                self._look_at_web_seed(source, now)
                continue
            told = self._found.get((source.name, source.detail))
            if source.found > (told or 0) or (told is None and source.downloaded):
                self._found[source.name, source.detail] = source.found
                self._report.source(source)

    def _look_at_web_seed(self, seed: SourceStatus, now: float) -> None:
        """It is told of when it is fetched from first, and when it fails otherwise than before."""
        known = seed.detail in self._web_errors
        begun = seed.state == WebSeedState.WORKING.value or seed.downloaded
        if not (known or begun or seed.error):
            return
        errors = self._web_errors.setdefault(seed.detail, News())
        fails_anew = seed.error is not None and errors.is_news(seed.error, now)
        if fails_anew or not known:
            self._report.source(seed)

    def _look_for_peers(
        self,
        torrent: Watched,
        found: TorrentStatistics,
        trackers: Sequence[TrackerStatus],
        sources: Sequence[SourceStatus],
        now: float,
    ) -> None:
        if found.peers or found.web_seeds or found.state not in _WANTS_PEERS:
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = now
        elif now - self._alone_since >= ALONE_FOR:
            troubles = torrent.troubles()
            why = why_alone(found.known_peers, trackers, sources, troubles)
            if self._why_alone.is_news(why, now):
                self._report.alone(why, troubles)

    def _look_for_metadata(self, torrent: Watched, found: TorrentStatistics, now: float) -> None:
        """Peers may come and go meanwhile: none of them has given it."""
        if found.state is not State.METADATA:
            self._met_since = None
        elif found.peers:
            if self._met_since is None:
                self._met_since = now
            offers = torrent.metadata_offers
            why = no_metadata(found.peers, offers)
            if now - self._met_since >= ALONE_FOR and self._why_no_metadata.is_news(why, now):
                self._report.no_metadata(why, found.peers, offers)
