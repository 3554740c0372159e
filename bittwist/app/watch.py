"""What there is to tell of a transfer while it goes on; each thing once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bittwist.app.alone import why_alone
from bittwist.app.report import WEB_SEED, Report
from bittwist.discovery.announcer import TrackerStatus
from bittwist.discovery.relation import TrackerState
from bittwist.session.finding import SourceStatus
from bittwist.session.lifecycle import State
from bittwist.session.statistics import TorrentStatistics
from bittwist.session.webseeds import WebSeedState, WebSeedStatus

ALONE_FOR = 5.0  # seconds without a peer until it is said why: most trackers have answered by then
SLOW = 4.0  # seconds without an answer until a tracker is named: UDP gives up only after 45 (BEP 15)
NOT_YET = "no answer yet"

_WANTS_PEERS = (State.METADATA, State.DOWNLOADING)


class Watched(Protocol):
    """What is asked of a torrent."""

    def statistics(self) -> TorrentStatistics: ...
    def trackers(self) -> tuple[TrackerStatus, ...]: ...
    def sources(self) -> tuple[SourceStatus, ...]: ...
    def web_seeds(self) -> tuple[WebSeedStatus, ...]: ...


class Watch:
    """Looks at one torrent again and again, and tells a report what has changed."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._waiting = ""
        self._errors: dict[str, str] = {}  # what was told of each tracker that fails
        self._asked_at: dict[str, float] = {}  # trackers that never answered and are being asked
        self._answered: set[str] = set()  # trackers
        self._alone_since: float | None = None
        self._why_alone = ""
        self._found: dict[tuple[str, str], int] = {}  # peers of each source, as told last
        self._web_errors: dict[str, str] = {}  # of each web seed that was told of

    def look(self, torrent: Watched, now: float) -> TorrentStatistics:
        """Report how it goes at `now`."""
        found, trackers = torrent.statistics(), torrent.trackers()
        self._report.progress(found)
        if found.state is State.WAITING and found.reason != self._waiting:
            self._report.waiting(found.reason)
        self._waiting = found.reason
        self._look_at_trackers(trackers, now)
        sources, web_seeds = torrent.sources(), torrent.web_seeds()
        self._look_at_sources(sources)
        self._look_at_web_seeds(web_seeds)
        self._look_for_peers(found, trackers, sources, web_seeds, now)
        return found

    def brought(self, torrent: Watched) -> None:
        """Report what every source has brought, at the end of a download."""
        for source in (*torrent.sources(), *map(_as_source, torrent.web_seeds())):
            if source.downloaded:
                self._report.source(source)

    def _look_at_trackers(self, trackers: Sequence[TrackerStatus], now: float) -> None:
        for tracker in trackers:
            error = tracker.last_error or self._slowness(tracker, now)
            if error != self._errors.get(tracker.url, ""):
                self._errors[tracker.url] = error
                self._report.tracker(tracker.url, error or None)

    def _slowness(self, tracker: TrackerStatus, now: float) -> str:
        """What to say of a tracker that has not failed, but may not have answered either."""
        if tracker.state is TrackerState.WORKING:
            self._answered.add(tracker.url)
        if tracker.state is not TrackerState.ANNOUNCING or tracker.url in self._answered:
            self._asked_at.pop(tracker.url, None)
            return ""
        asked_at = self._asked_at.setdefault(tracker.url, now)
        return NOT_YET if now - asked_at >= SLOW else ""

    def _look_at_sources(self, sources: Sequence[SourceStatus]) -> None:
        """Each is told of when it finds somebody, or with the first bytes of who came by themselves."""
        for source in sources:
            told = self._found.get((source.name, source.detail))
            if source.found > (told or 0) or (told is None and source.downloaded):
                self._found[source.name, source.detail] = source.found
                self._report.source(source)

    def _look_at_web_seeds(self, web_seeds: Sequence[WebSeedStatus]) -> None:
        """Each is told of when it is fetched from first, and when it fails otherwise than before."""
        for seed in web_seeds:
            told = self._web_errors.get(seed.url)
            begun = told is None and (seed.state is WebSeedState.WORKING or seed.downloaded)
            if begun or (seed.error and seed.error != told):
                self._report.source(_as_source(seed))
                self._web_errors[seed.url] = seed.error

    def _look_for_peers(
        self,
        found: TorrentStatistics,
        trackers: Sequence[TrackerStatus],
        sources: Sequence[SourceStatus],
        web_seeds: Sequence[WebSeedStatus],
        now: float,
    ) -> None:
        if found.peers or found.web_seeds or found.state not in _WANTS_PEERS:
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = now
        elif now - self._alone_since >= ALONE_FOR:
            failing = next((seed.error for seed in web_seeds if seed.error), None)
            why = why_alone(found.known_peers, trackers, sources, failing)
            if why != self._why_alone:
                self._why_alone = why
                self._report.alone(why)


def _as_source(seed: WebSeedStatus) -> SourceStatus:
    return SourceStatus(WEB_SEED, seed.url, seed.state.value, 0, seed.downloaded, seed.error or None)
