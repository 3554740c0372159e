"""The verbs of a torrent that are about how much it takes and gives: each forwards to `Bounds` or `Peers`."""

from __future__ import annotations

from abc import ABC, abstractmethod

from twisted.internet.defer import Deferred

from bittwist.session.bounds import Bounds
from bittwist.session.limits import TorrentLimits
from bittwist.session.peers import Peers
from bittwist.session.rules import Goals


class LimitVerbs(ABC):
    """What a Torrent has of them; all that is set is remembered across a restart."""

    _bounds: Bounds
    _peers: Peers

    @abstractmethod
    def save(self) -> Deferred[None]: ...

    @property
    def limits(self) -> TorrentLimits:
        """Its own rates, as `set_limits` set them."""
        return self._bounds.limits

    def set_limits(self, download: int | None, upload: int | None) -> None:
        """Limit this torrent to these bytes a second; 0 for no limit, None for what the settings say."""
        self._bounds.limits = TorrentLimits(download, upload)
        self.save()

    @property
    def goals(self) -> Goals:
        """When it has seeded enough: its own goals, or else those of the settings."""
        return self._bounds.goals

    def set_goals(self, goals: Goals | None) -> None:
        """Stop seeding when one of them is reached; None for those of the settings."""
        self._bounds.own_goals = goals
        self.save()

    @property
    def superseeding(self) -> bool:
        """Whether `set_superseeding` asked for it; no more when another peer has all pieces."""
        return self._peers.superseeds

    def set_superseeding(self, on: bool) -> None:
        """Give each piece once, as far as peers pass it on (BEP 16), as soon as it is a seed."""
        self._peers.superseed(on)
        self.save()
