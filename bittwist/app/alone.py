"""Why a transfer has no peers, in words."""

from __future__ import annotations

from collections.abc import Sequence

from bittwist.discovery.announcer import TrackerStatus
from bittwist.discovery.relation import TrackerState
from bittwist.session.finding import SourceStatus


def why_alone(
    known_peers: int,
    trackers: Sequence[TrackerStatus],
    sources: Sequence[SourceStatus] = (),
    web_seed: str | None = None,
) -> str:
    """Why there are no peers, as far as can be told; `web_seed` is what a web seed that fails says."""
    if web_seed is not None:
        return f"{why_alone(known_peers, trackers, sources)}; web seeds fail: {web_seed}"
    if known_peers == 1:
        return "the one that is known has not answered"
    if known_peers:
        return f"none of the {known_peers} that are known has answered"
    if not trackers:
        return _without_trackers(sources)
    several = len(trackers) > 1
    if any(tracker.state is TrackerState.WORKING for tracker in trackers):
        return "the trackers know of nobody else" if several else "its tracker knows of nobody else"
    if all(tracker.last_error for tracker in trackers):
        return "no tracker answers" if several else "its tracker does not answer"
    return "no tracker has answered yet" if several else "its tracker has not answered yet"


def _without_trackers(sources: Sequence[SourceStatus]) -> str:
    if any(source.name == "lsd" and source.state == "on" and source.error is None for source in sources):
        return "it names no tracker: only the local network is asked (--peer HOST:PORT dials a peer)"
    return "it names no tracker, and nobody else is asked (--peer HOST:PORT dials a peer)"
