"""How a transfer is shown: a bar on a terminal, plain lines in a pipe, or JSON for a program."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Protocol

import click

from bittwist.address import Address
from bittwist.app.wording import (
    count,
    duration,
    ignored_without_secrets,
    printable,
    size,
    without_secrets,
)
from bittwist.metainfo.magnet_parts import Ignored
from bittwist.session.finding import SourceStatus
from bittwist.session.lifecycle import State
from bittwist.session.sourceverbs import WEB_SEED
from bittwist.session.statistics import TorrentStatistics
from bittwist.swarm.candidates import Trouble

SOURCES = {  # what people read for the names of sources
    "tracker": "tracker",
    "pex": "peer exchange",
    "lsd": "the local network",
    "magnet": "the link's peers",
    "manual": "--peer",
    "incoming": "peers that dialed us",
    WEB_SEED: "web seed",
}
FETCHED, GIVEN = "Complete", "Seeding"  # what is done, when all is there: by `download`, and by `seed`
PLAIN_EVERY = 10  # of the half-second looks: a line each five seconds reads well in a log


class Report(Protocol):
    """What a transfer tells, in the order it happens."""

    def say(self, line: str) -> None: ...
    def listening(self, address: Address) -> None: ...
    def progress(self, now: TorrentStatistics) -> None: ...
    def waiting(self, reason: str) -> None: ...
    def tracker(self, url: str, error: str | None) -> None: ...
    def source(self, source: SourceStatus) -> None: ...
    def ignored(self, part: Ignored) -> None: ...
    def unreachable(self, peer: str, why: str) -> None: ...
    def alone(self, why: str, troubles: Sequence[Trouble]) -> None: ...
    def no_metadata(self, why: str, peers: int, offers: int) -> None: ...
    def complete(self, path: str) -> None: ...
    def failed(self, reason: str) -> None: ...
    def close(self) -> None: ...


def report(as_json: bool, *, done: str = FETCHED) -> Report:
    """The report that fits where standard output goes; `done` is what people read when all is there."""
    if as_json:
        return JsonReport()
    if sys.stdout.isatty():
        from bittwist.app.bar import BarReport

        return BarReport(done=done)
    return PlainReport(done=done)


class JsonReport:
    """One object a line; docs/howto.md has the events."""

    def __init__(self) -> None:
        self._skipped = 0  # as far as was told

    def _print(self, **event: object) -> None:
        click.echo(json.dumps(event))
        sys.stdout.flush()

    def say(self, line: str) -> None:
        """What is said to people is in the events for programs."""

    def listening(self, address: Address) -> None:
        self._print(event="listening", address=address.host, port=address.port)

    def progress(self, now: TorrentStatistics) -> None:
        self._skipped = now.skipped
        self._print(
            event="progress",
            done=now.done,
            total=now.wanted,
            download_rate=round(now.download_rate),
            upload_rate=round(now.upload_rate),
            peers=now.peers,
            web_seeds=now.web_seeds,
        )

    def waiting(self, reason: str) -> None:
        self._print(event="waiting", reason=reason)

    def tracker(self, url: str, error: str | None) -> None:
        self._print(event="tracker", url=url, error=error)

    def source(self, source: SourceStatus) -> None:
        self._print(
            event="source",
            name=source.name,
            detail=source.detail,
            state=source.state,
            found=source.found,
            downloaded=source.downloaded,
            error=source.error,
        )

    def ignored(self, part: Ignored) -> None:
        self._print(event="ignored", parameter=part.parameter, value=part.value, reason=part.reason)

    def unreachable(self, peer: str, why: str) -> None:
        self._print(event="peer", peer=peer, error=why)

    def alone(self, why: str, troubles: Sequence[Trouble]) -> None:
        failing = [{"peer": trouble.place, "error": trouble.reason} for trouble in troubles]
        self._print(event="no_peers", reason=why, failing=failing)

    def no_metadata(self, why: str, peers: int, offers: int) -> None:
        self._print(event="no_metadata", reason=why, peers=peers, offering=offers)

    def complete(self, path: str) -> None:
        self._print(event="complete", path=path, skipped=self._skipped)

    def failed(self, reason: str) -> None:
        self._print(event="failed", reason=reason)
        click.echo(printable(f"Failed: {reason}"), err=True)

    def close(self) -> None:
        """Nothing is held open."""


class PlainReport:
    """A line each few seconds, without control characters."""

    def __init__(self, *, done: str = FETCHED) -> None:
        self._done = done
        self._looks = 0
        self._now: TorrentStatistics | None = None  # what was told last

    def say(self, line: str) -> None:
        self._say(line)

    def listening(self, address: Address) -> None:
        self._say(f"Listening on {address}")

    def progress(self, now: TorrentStatistics) -> None:
        self._now = now
        if self._looks % PLAIN_EVERY == 0:
            self._say(sentence(now))
        self._looks += 1

    def waiting(self, reason: str) -> None:
        self._say(f"Waiting: {reason}")

    def tracker(self, url: str, error: str | None) -> None:
        self._say(tracker_news(url, error))

    def source(self, source: SourceStatus) -> None:
        self._say(source_news(source))

    def ignored(self, part: Ignored) -> None:
        self._say(ignored_news(part))

    def unreachable(self, peer: str, why: str) -> None:
        self._say(peer_news(peer, why))

    def alone(self, why: str, troubles: Sequence[Trouble]) -> None:
        self._say(f"No peers yet: {why}")

    def no_metadata(self, why: str, peers: int, offers: int) -> None:
        self._say(as_sentence(why))

    def complete(self, path: str) -> None:
        self._say(complete_news(self._done, path, self._now))

    def failed(self, reason: str) -> None:
        click.echo(printable(f"Failed: {reason}"), err=True)

    def close(self) -> None:
        """Nothing is held open."""

    def _say(self, line: str) -> None:
        click.echo(printable(line))
        sys.stdout.flush()


def sentence(now: TorrentStatistics) -> str:
    """One line about a transfer."""
    if now.state is State.METADATA:
        return f"fetching metadata, {count(now.peers, 'peer')}"
    percent = 100 * now.done / now.wanted if now.wanted else 0.0
    left = now.seconds_left
    remaining = f", {duration(left)} left" if left is not None and not now.complete else ""
    part = f" (of {size(now.total)} in all)" if now.skipped else ""
    return (
        f"{percent:.1f} % of {size(now.wanted)}{part}, down {size(now.download_rate)}/s, "
        f"up {size(now.upload_rate)}/s, {partners(now)}{remaining}"
    )


def partners(now: TorrentStatistics) -> str:
    """Who is at the other end, counted."""
    seeds = f", {count(now.web_seeds, 'web seed')}" if now.web_seeds else ""
    return count(now.peers, "peer") + seeds


def complete_news(done: str, path: str, now: TorrentStatistics | None) -> str:
    """One line about a transfer all of which is there, or all that was chosen."""
    if now is None or not now.skipped:
        return f"{done}: {path}"
    return f"{done}, the {size(now.wanted)} chosen of {size(now.total)}: {path}"


def tracker_news(url: str, error: str | None) -> str:
    """One line about a tracker that fails, or does not any more."""
    return f"Tracker {without_secrets(url)}: {error if error is not None else 'it answers now'}"


def source_news(source: SourceStatus) -> str:
    """One line about where peers or bytes came from."""
    where = f"{SOURCES.get(source.name, source.name)} {without_secrets(source.detail)}".rstrip()
    what = [count(source.found, "peer")] if source.found else []
    if source.downloaded:
        what.append(size(source.downloaded))
    if source.error is not None and source.name == WEB_SEED:  # of trackers that is told apart
        what.append(source.error)
    return f"From {where}: {', '.join(what) or 'nothing yet'}"


def as_sentence(reason: str) -> str:
    """A reason that stands alone on a line."""
    return reason[:1].upper() + reason[1:]


def ignored_news(part: Ignored) -> str:
    """One line about what is left out of a link."""
    return f"Ignored in the link: {ignored_without_secrets(part)}"


def peer_news(peer: str, why: str) -> str:
    """One line about a peer that cannot be dialed."""
    return f"Peer {peer}: {why}"
