"""What trackers are told of a torrent, and by whom: the announcer that the session makes for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IReactorTime

from bittwist.discovery.announcer import Announcer, AnnounceState
from bittwist.discovery.interfaces import TrackerClient
from bittwist.metainfo.magnet import Magnet
from bittwist.session.lifecycle import State
from bittwist.session.settings import SessionSettings

if TYPE_CHECKING:
    from bittwist.session.finding import Finding
    from bittwist.session.torrent import Torrent


@dataclass(frozen=True, slots=True)
class Announcing:
    """Who we are to trackers, and how they are spoken to; the same for all torrents of a session."""

    clock: IReactorTime
    trackers: Callable[[str], TrackerClient]
    random: Random
    settings: Callable[[], SessionSettings]
    port: Callable[[], int]
    peer_id: bytes
    key: bytes

    def announcer(self, torrent: Torrent, finding: Finding) -> Announcer:
        """For one torrent; not started."""
        settings = self.settings().announcer
        if isinstance(torrent.source, Magnet):
            settings = replace(settings, all_tiers=True)  # a magnet link names trackers in no order (BEP 9)
        return Announcer(
            self.clock,
            self.trackers,
            torrent.tracker_tiers,
            torrent.info_hash,
            lambda: self._state(torrent),
            finding.found,
            self.random,
            settings,
            private=lambda: torrent.info is not None and torrent.info.private,
            heard=finding.heard,
        )

    def _state(self, torrent: Torrent) -> AnnounceState:
        uploaded, downloaded = torrent.announced
        return AnnounceState(
            left=torrent.left,
            uploaded=uploaded,
            downloaded=downloaded,
            port=self.port(),
            peer_id=self.peer_id,
            key=self.key,
            ip=self.settings().external_address,
            partial=torrent.state is State.SEEDING and torrent.left > 0,
        )
