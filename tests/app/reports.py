"""What the tests of reports share: a torrent's statistics to order, and a report that writes down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bittwist.address import Address
from bittwist.discovery.announcer import TrackerStatus
from bittwist.discovery.relation import TrackerState
from bittwist.metainfo.magnet_parts import Ignored
from bittwist.session.finding import SourceStatus
from bittwist.session.lifecycle import State
from bittwist.session.statistics import TorrentStatistics
from bittwist.swarm.candidates import Trouble


def statistics(state: State = State.DOWNLOADING, **changed: object) -> TorrentStatistics:
    """A transfer half done, as far as nothing else is said."""
    facts: dict[str, object] = dict(
        state=state, reason="", name="holiday", total=1 << 30, done=1 << 29, num_pieces=1024, pieces_done=512,
        downloaded=0, uploaded=0, wasted=0, failed_pieces=0, download_rate=12.5 * (1 << 20), upload_rate=0.0,
        peers=5, seeds=2, known_peers=7,
    )  # fmt: skip
    return TorrentStatistics(**{**facts, **changed})  # type: ignore[arg-type]


def status(
    url: str = "http://t/announce", state: TrackerState = TrackerState.WORKING, error: str | None = None
) -> TrackerStatus:
    return TrackerStatus(url, 0, state, error, None, None, int(error is not None), None, None, None, 0)


@dataclass
class Told:
    """A Report that keeps what it is told, but for progress."""

    lines: list[tuple[object, ...]] = field(default_factory=list)

    def say(self, line: str) -> None:
        self.lines.append(("say", line))

    def listening(self, address: Address) -> None:
        self.lines.append(("listening", str(address)))

    def progress(self, now: TorrentStatistics) -> None:
        pass

    def waiting(self, reason: str) -> None:
        self.lines.append(("waiting", reason))

    def tracker(self, url: str, error: str | None) -> None:
        self.lines.append(("tracker", url, error))

    def source(self, source: SourceStatus) -> None:
        self.lines.append(("source", source.name, source.detail, source.found, source.downloaded))

    def ignored(self, part: Ignored) -> None:
        self.lines.append(("ignored", str(part)))

    def unreachable(self, peer: str, why: str) -> None:
        self.lines.append(("unreachable", peer, why))

    def alone(self, why: str, troubles: Sequence[Trouble]) -> None:
        self.lines.append(("alone", why, *map(str, troubles)))

    def no_metadata(self, why: str, peers: int, offers: int) -> None:
        self.lines.append(("no metadata", why, peers, offers))

    def complete(self, path: str) -> None:
        self.lines.append(("complete", path))

    def failed(self, reason: str) -> None:
        self.lines.append(("failed", reason))

    def close(self) -> None:
        self.lines.append(("closed",))

    def take(self) -> list[tuple[object, ...]]:
        taken, self.lines = self.lines, []
        return taken
