"""Why nothing comes, in words: there are no peers, or none that has the metadata."""

from __future__ import annotations

from collections.abc import Sequence

from bittwist.app.wording import count, without_secrets
from bittwist.discovery.announcer import TrackerStatus
from bittwist.discovery.relation import TrackerState
from bittwist.session.finding import SourceStatus
from bittwist.session.sourceverbs import WEB_SEED
from bittwist.swarm.candidates import Trouble

MOST_NAMED = 3  # of a kind in a sentence: with more it is read by nobody


def why_alone(
    known_peers: int,
    trackers: Sequence[TrackerStatus],
    sources: Sequence[SourceStatus] = (),
    troubles: Sequence[Trouble] = (),
) -> str:
    """Why there are no peers, and nothing comes from web seeds, as far as can be told."""
    why = _why_no_peers(known_peers, trackers, sources, troubles)
    failing = [
        f"{without_secrets(source.detail)}: {source.error}"
        for source in sources
        if source.name == WEB_SEED and source.error
    ]
    return f"{why}; web seeds fail: {_listed(failing)}" if failing else why


def no_metadata(peers: int, offers: int) -> str:
    """What there is to say of a magnet link's peers, of whom `offers` say that they have the metadata."""
    if offers:
        offer = "offers" if offers == 1 else "offer"
        return f"{offers} of {count(peers, 'peer')} {offer} the metadata, which has not come yet"
    if peers == 1:
        return "the only peer has no metadata yet"
    return f"none of {peers} peers has the metadata yet"


def _why_no_peers(
    known_peers: int,
    trackers: Sequence[TrackerStatus],
    sources: Sequence[SourceStatus],
    troubles: Sequence[Trouble],
) -> str:
    told = _listed([str(trouble) for trouble in troubles])
    if not known_peers:
        why = _nobody_known(trackers, sources)
        return f"{why}; {told}" if told else why
    if not told:
        several = f"none of the {known_peers} that are known has answered"
        return several if known_peers > 1 else "the one that is known has not answered"
    return told if known_peers == 1 else f"none of the {known_peers} that are known is of use: {told}"


def _nobody_known(trackers: Sequence[TrackerStatus], sources: Sequence[SourceStatus]) -> str:
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


def _listed(facts: Sequence[str]) -> str:
    return "; ".join([*facts[:MOST_NAMED], *(["and others"] if len(facts) > MOST_NAMED else [])])
