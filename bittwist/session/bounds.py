"""How much a torrent takes, gives and seeds: its rates, its part of the upload slots, its goals."""

from __future__ import annotations

from typing import Protocol

from bittwist.metainfo.geometry import BLOCK
from bittwist.net.throttle import Allowance
from bittwist.session.content import Content
from bittwist.session.limits import TorrentLimits
from bittwist.session.rules import GoalKind, Goals, Seeding
from bittwist.session.settings import SessionSettings
from bittwist.session.state import SavedTorrent
from bittwist.session.throttling import Throttling
from bittwist.swarm.slots import Slots

ASK_AHEAD = 30.0  # seconds of a limited rate that may be asked for at once; after 60 a peer counts as silent
LEAST_ASKED = 2  # blocks


class Around(Protocol):
    """What is needed of the session's surroundings."""

    @property
    def throttling(self) -> Throttling: ...
    @property
    def slots(self) -> Slots: ...
    def settings(self) -> SessionSettings: ...


class Bounds:
    """Owns the goals of one torrent, and how long it has seeded; the session's throttling keeps its rates."""

    def __init__(self, around: Around, saved: SavedTorrent) -> None:
        self._around = around
        self._key = saved.info_hash.short
        self._seeding = Seeding(saved.seeded)
        self.own_goals = saved.goals  # None: those of the settings
        around.throttling.set_limits(self._key, saved.limits)
        self._lane = around.throttling.web_seeds(self._key)

    def close(self) -> None:
        """The torrent is given up."""
        self._lane.close()

    @property
    def web_seeds(self) -> Allowance:
        """What all web seeds together may download."""
        return self._lane.download

    @property
    def limits(self) -> TorrentLimits:
        return self._around.throttling.limits_of(self._key)

    @limits.setter
    def limits(self, limits: TorrentLimits) -> None:
        self._around.throttling.set_limits(self._key, limits)

    @property
    def goals(self) -> Goals:
        return self.own_goals if self.own_goals is not None else self._around.settings().goals

    @property
    def seeded(self) -> float:
        """Seconds, since it was added."""
        return self._seeding.seeded

    def bind(self, content: Content) -> None:
        """Blocks are about to come and go: give no more peers something at once than may be."""
        content.uploads.slots = self._around.slots, self._key

    def pace(self, content: Content) -> None:
        """Ask for no more than comes in good time: under a low limit peers would seem to be silent."""
        rate = self._around.throttling.download_rate(self._key)
        most = None if rate is None else max(LEAST_ASKED, int(rate * ASK_AHEAD / BLOCK))
        content.downloads.most_outstanding = most

    def seeds(self, now: float, *, uploaded: int, done: int) -> GoalKind | None:
        """Told each second that it seeds, with its bytes; which goal it has reached."""
        self._seeding.tick(now, uploaded)
        ratio = uploaded / max(1, done)
        return self.goals.reached(ratio=ratio, seeded=self.seeded, idle=self._seeding.idle)

    def seeds_no_more(self) -> None:
        """Until it is told again."""
        self._seeding.stopped()
