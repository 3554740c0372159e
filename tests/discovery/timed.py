"""Trackers that answer, or fail to, after a time of their own; for announcers on a Clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock

from bittwist.announce.values import AnnounceRequest, AnnounceResponse, Event, ScrapeEntry
from bittwist.discovery import Announcer, AnnouncerSettings, AnnounceState
from bittwist.errors import NetworkError
from bittwist.metainfo.infohash import InfoHash

HTTP_SILENCE, UDP_SILENCE = 30.0, 45.0  # seconds after which a client gives a silent tracker up


@dataclass
class TimedTracker:
    """Answers `after` so many seconds where it is `alive`, and fails then where it is not."""

    world: World
    url: str
    alive: bool
    after: float
    interval: int = 1800
    asked: list[tuple[float, Event]] = field(default_factory=list)
    answered: list[float] = field(default_factory=list)
    under_way: int = 0

    def announce(self, request: AnnounceRequest) -> Deferred[AnnounceResponse]:
        world = self.world
        self.asked.append((world.clock.seconds(), request.event))
        world.log.append((world.clock.seconds(), self.url))
        told: Deferred[AnnounceResponse] = Deferred(lambda _: self._over(timer))
        timer = world.clock.callLater(self.after, self._end, told)
        self.under_way += 1
        world.most = max(world.most, sum(each.under_way for each in world.trackers.values()))
        return told

    def scrape(self, info_hashes: Sequence[bytes]) -> Deferred[dict[bytes, ScrapeEntry]]:
        raise AssertionError("an announcer does not scrape")

    @property
    def events(self) -> list[Event]:
        return [event for _, event in self.asked]

    @property
    def times(self) -> list[float]:
        return [at for at, _ in self.asked]

    def _end(self, told: Deferred[AnnounceResponse]) -> None:
        self.under_way -= 1
        if self.alive:
            self.answered.append(self.world.clock.seconds())
            told.callback(AnnounceResponse(interval=self.interval))
        else:
            told.errback(NetworkError(self.url, "no answer"))

    def _over(self, timer: IDelayedCall) -> None:
        timer.cancel()
        self.under_way -= 1


class World:
    """A Clock, the trackers of one torrent, and what they were asked when; `most` at the same time."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.trackers: dict[str, TimedTracker] = {}
        self.log: list[tuple[float, str]] = []
        self.most = 0
        self.order: list[str] = []  # in which the trackers stand at the start

    def dead(self, url: str, after: float) -> str:
        self.trackers[url] = TimedTracker(self, url, False, after)
        return url

    def live(self, url: str, after: float = 0.0) -> str:
        self.trackers[url] = TimedTracker(self, url, True, after)
        return url

    def started(self, *tiers: Sequence[str], seed: int = 0, private: bool = False) -> Announcer:
        announcer = Announcer(
            self.clock,
            self.trackers.__getitem__,
            tiers,
            InfoHash(v1=b"h" * 20),
            lambda: AnnounceState(1000, 0, 0, 6881, b"p" * 20),
            lambda peers, source: None,
            Random(seed),
            AnnouncerSettings(),
            private=lambda: private,
        )
        self.order = [status.url for status in announcer.statuses()]
        announcer.start()
        self.clock.advance(0)
        return announcer

    def pass_time(self, seconds: float, step: float = 1.0) -> None:
        until = self.clock.seconds() + seconds
        while self.clock.seconds() < until:
            self.clock.advance(step)
