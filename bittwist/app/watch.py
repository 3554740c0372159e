"""What there is to tell of a transfer while it goes on; each thing once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bittwist.app.report import Report
from bittwist.discovery.announcer import TrackerStatus
from bittwist.discovery.relation import TrackerState
from bittwist.session.finding import SourceStatus
from bittwist.session.lifecycle import State
from bittwist.session.statistics import TorrentStatistics
from bittwist.session.webseeds import WebSeedStatus

ALONE_FOR = 10.0  # seconds without a peer until it is said why: a tracker has answered by then

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
        self._alone_since: float | None = None
        self._why_alone = ""
        self._found: dict[tuple[str, str], int] = {}  # peers of each source, as told last

    def look(self, torrent: Watched, now: float) -> TorrentStatistics:
        """Report how it goes at `now`."""
        found, trackers = torrent.statistics(), torrent.trackers()
        self._report.progress(found)
        if found.state is State.WAITING and found.reason != self._waiting:
            self._report.waiting(found.reason)
        self._waiting = found.reason
        self._look_at_trackers(trackers)
        for source in torrent.sources():
            # Told when it finds somebody; what it has brought is told at the end.
            if source.found > self._found.get((source.name, source.detail), 0):
                self._found[source.name, source.detail] = source.found
                self._report.source(source)
        self._look_for_peers(found, trackers, torrent.web_seeds(), now)
        return found

    def brought(self, torrent: Watched) -> None:
        """Report what every source has brought, at the end of a download."""
        for source in torrent.sources():
            if source.downloaded:
                self._report.source(source)

    def _look_at_trackers(self, trackers: Sequence[TrackerStatus]) -> None:
        for tracker in trackers:
            error = tracker.last_error or ""
            if error != self._errors.get(tracker.url, ""):
                self._errors[tracker.url] = error
                self._report.tracker(tracker.url, error or None)

    def _look_for_peers(
        self,
        found: TorrentStatistics,
        trackers: Sequence[TrackerStatus],
        web_seeds: Sequence[WebSeedStatus],
        now: float,
    ) -> None:
        if found.peers or found.web_seeds or found.state not in _WANTS_PEERS:
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = now
        elif now - self._alone_since >= ALONE_FOR:
            failing = next((seed.error for seed in web_seeds if seed.error), None)
            why = why_alone(found.known_peers, trackers, failing)
            if why != self._why_alone:
                self._why_alone = why
                self._report.alone(why)


def why_alone(known_peers: int, trackers: Sequence[TrackerStatus], web_seed: str | None = None) -> str:
    """Why there are no peers, as far as can be told; `web_seed` is what a web seed that fails says."""
    if web_seed is not None:
        return f"{why_alone(known_peers, trackers)}; web seeds fail: {web_seed}"
    if known_peers == 1:
        return "the one that is known cannot be reached"
    if known_peers:
        return f"none of the {known_peers} that are known can be reached"
    if not trackers:
        return "the torrent names no tracker (--peer HOST:PORT dials a peer)"
    if any(tracker.state is TrackerState.WORKING for tracker in trackers):
        return "the trackers know of nobody else" if len(trackers) > 1 else "its tracker knows of nobody else"
    if all(tracker.last_error for tracker in trackers):
        return "no tracker answers" if len(trackers) > 1 else "its tracker does not answer"
    return "no tracker has answered yet"
