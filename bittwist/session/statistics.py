"""Immutable snapshots of how a torrent is doing."""

from __future__ import annotations

from dataclasses import dataclass

from bittwist.session.lifecycle import State
from bittwist.swarm.rate import Rate


@dataclass(slots=True)
class Tally:
    """What a torrent moved, in payload bytes, since it was added. The torrent owns it."""

    downloaded: int = 0
    uploaded: int = 0
    wasted: int = 0
    failed_pieces: int = 0


class Pace:
    """How fast the amounts of a tally grow."""

    def __init__(self, tally: Tally) -> None:
        self.download_rate, self.upload_rate = Rate(), Rate()
        self._tally = tally
        self._counted = (tally.downloaded, tally.uploaded)

    def count(self, now: float) -> None:
        """What moved since the last count makes the rates."""
        downloaded, uploaded = self._counted
        self._counted = (self._tally.downloaded, self._tally.uploaded)
        self.download_rate.add(self._tally.downloaded - downloaded, now)
        self.upload_rate.add(self._tally.uploaded - uploaded, now)


@dataclass(frozen=True, slots=True)
class PeerStatistics:
    """One connection: amounts in bytes, rates in bytes/s, `progress` from 0 to 1."""

    address: str
    client: str
    outgoing: bool
    progress: float
    downloaded: int
    uploaded: int
    download_rate: float
    upload_rate: float
    choking_us: bool
    choked_by_us: bool
    interested: bool


@dataclass(frozen=True, slots=True)
class TorrentStatistics:
    """Amounts in bytes, rates in bytes/s; `total` and `done` are 0 until the metadata is known.

    `done` counts verified pieces, `skipped` those that are neither here nor wanted, `downloaded` and
    `uploaded` payload since the torrent was added, `wasted` payload that was not asked for or came twice,
    `failed_pieces` hashes that did not match.
    """

    state: State
    reason: str
    name: str
    total: int
    done: int
    num_pieces: int
    pieces_done: int
    downloaded: int
    uploaded: int
    wasted: int
    failed_pieces: int
    download_rate: float
    upload_rate: float
    peers: int
    seeds: int
    known_peers: int
    web_seeds: int = 0  # that are being fetched from
    skipped: int = 0

    @property
    def complete(self) -> bool:
        """Whether all that is wanted is here."""
        return self.num_pieces > 0 and self.done + self.skipped == self.total

    @property
    def wanted(self) -> int:
        """Bytes that are here or wanted: `done` of these are here."""
        return self.total - self.skipped

    @property
    def ratio(self) -> float:
        """Uploaded for each byte of the torrent."""
        return self.uploaded / self.total if self.total else 0.0

    @property
    def seconds_left(self) -> float | None:
        """How long at the rate of now; None while nothing arrives."""
        if self.download_rate <= 0 or not self.total:
            return None
        return (self.total - self.skipped - self.done) / self.download_rate
