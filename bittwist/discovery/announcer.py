"""One torrent and its trackers: who is told what, and when (BEP 3 events, BEP 12 tiers)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from twisted.internet.defer import CancelledError, Deferred, DeferredList, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from bittwist.address import Address
from bittwist.announce.values import AnnounceRequest, AnnounceResponse, Event
from bittwist.discovery.interfaces import IPeerSource, TrackerClient
from bittwist.discovery.relation import TrackerState
from bittwist.discovery.walk import Tracker, Walk
from bittwist.errors import BitTwistError
from bittwist.metainfo.infohash import InfoHash
from bittwist.settings import COUNT, SECONDS, check_bounds

MAX_TRACKERS = 100  # of one torrent: more would make its announces a burden on others

_log = Logger()


@dataclass(frozen=True, slots=True)
class AnnouncerSettings:
    """`all_tiers`: one tracker of each tier is told, at the same time; else later tiers wait until all
    trackers of those before them fail, as BEP 12 has it."""

    all_tiers: bool = False
    numwant: int = 100
    max_peers: int = 200  # used of one answer: nobody needs more at once
    stop_deadline: float = 4.0  # seconds for all `stopped` announces together: six are promised for the whole

    def __post_init__(self) -> None:
        check_bounds(self, {"numwant": COUNT, "max_peers": COUNT, "stop_deadline": SECONDS})


@dataclass(frozen=True, slots=True)
class AnnounceState:
    """What a tracker is told; bytes of the torrent since it was started, and the port peers dial.

    `partial`: all that is wanted is there, but not all there is (BEP 21).
    """

    left: int
    uploaded: int
    downloaded: int
    port: int
    peer_id: bytes
    key: bytes | None = None
    ip: str | None = None  # our address, where a tracker could not see the one that others can reach
    partial: bool = False


@dataclass(frozen=True, slots=True)
class TrackerStatus:
    """One tracker, to be shown and explained; `next_at` is monotonic, None where nothing is planned."""

    url: str
    tier: int
    state: TrackerState
    last_error: str | None
    warning: str | None
    next_at: float | None
    failures: int
    complete: int | None
    incomplete: int | None
    downloaded: int | None
    peers: int


@implementer(IPeerSource)
class Announcer:
    """Announces one torrent. All tiers are one walk, or each tier is one by itself."""

    name = "tracker"

    def __init__(
        self,
        clock: IReactorTime,
        trackers: Callable[[str], TrackerClient],
        tiers: Iterable[Iterable[str]],
        info_hash: InfoHash,
        state: Callable[[], AnnounceState],
        found: Callable[[Sequence[Address], str], None],
        random: Random,
        settings: AnnouncerSettings = AnnouncerSettings(),
        *,
        private: Callable[[], bool] = lambda: False,
        heard: Callable[[str, AnnounceResponse], None] = lambda url, answer: None,
    ) -> None:
        """`trackers` makes the client for a URL, or raises a BitTwistError for one that cannot be used.

        While the torrent is `private`, one tracker is told at a time, whatever the settings (BEP 27); whether
        all tiers are one walk is decided at each start. `heard` is told the URL and answer of each announce,
        before `found`.
        """
        self._clock = clock
        self._trackers = trackers
        self._info_hash = info_hash.short
        self._state = state
        self._found = found
        self._random = random
        self._settings = settings
        self._private = private
        self._tell = heard
        self._tiers: list[list[Tracker]] = []
        for tier in tiers:
            fresh = self._met(tier)
            random.shuffle(fresh)
            if fresh:
                self._tiers.append(fresh)
        self._walks: list[Walk] | None = None  # while started
        self._waiting: list[Deferred[None]] = []  # for the end of the leave-taking that is under way
        self._departing: set[Deferred[None]] = set()  # the leave-taking of trackers that were removed

    def start(self) -> None:
        """Announce `started`, and keep announcing."""
        if self._walks is not None:
            return
        for tracker in self._all():
            tracker.begin()
        if self._settings.all_tiers and not self._private():
            self._walks = [self._walk([tier]) for tier in self._tiers]
        else:
            self._walks = [self._walk(list(self._tiers))]
        self._wake()

    def completed(self) -> None:
        """Tell the trackers that the download is complete."""
        for tracker in self._all():
            tracker.relation.complete()
        self._wake()

    def add(self, url: str, tier: int | None = None) -> bool:
        """Take one more tracker; whether it was not listed yet.

        It is the last of that tier, or in a tier of its own, which is walked by itself until the next start:
        the others may work, and know of nobody.
        """
        fresh = self._met([url])
        if not fresh:
            return False
        if tier is not None and 0 <= tier < len(self._tiers):
            self._tiers[tier] += fresh
        else:
            self._tiers.append(fresh)
            if self._walks is not None and self._private():
                self._walks[0].tiers.append(fresh)
            elif self._walks is not None:
                self._walks.append(self._walk([fresh]))
        self._wake()
        return True

    def remove(self, url: str) -> bool:
        """Ask this tracker no more, and take leave of it where it lists us. Whether it was listed."""
        found = next((each for each in self._all() if each.url == url), None)
        if found is None:
            return False
        found.removed = True
        lists_us = self._walks is not None and found.relation.leave()
        for tier in self._tiers:
            if found in tier:
                tier.remove(found)
        self._tiers[:] = [tier for tier in self._tiers if tier]
        completing = [walk.drop(found) for walk in self._walks or ()]
        if lists_us:
            under_way = next((told for told in completing if told is not None), None)
            goodbye = Deferred.fromCoroutine(self._say_goodbye(found, under_way))
            self._departing.add(goodbye)
            goodbye.addBoth(lambda _: self._departing.discard(goodbye))
            goodbye.addTimeout(self._settings.stop_deadline, self._clock)
        return True

    def stop(self) -> Deferred[None]:
        """Announce `stopped` to those that list us, after a `completed` that is still owed to them.

        All within the deadline; what else is under way is cancelled.
        """
        walks, self._walks = self._walks, None
        if walks is None and not self._waiting:
            return succeed(None)
        stopped: Deferred[None] = Deferred()
        self._waiting.append(stopped)
        if walks is not None:
            completing = {tracker: told for walk in walks for tracker, told in walk.stop().items()}
            self._take_leave(completing).addBoth(self._gone)
        return stopped

    def statuses(self) -> tuple[TrackerStatus, ...]:
        """Every tracker, in the order in which they are asked."""
        return tuple(_status(tracker, number) for number, tier in enumerate(self._tiers) for tracker in tier)

    def _wake(self) -> None:
        for walk in self._walks or ():
            walk.wake()

    def _all(self) -> Iterator[Tracker]:
        return (tracker for tier in self._tiers for tracker in tier)

    def _met(self, urls: Iterable[str]) -> list[Tracker]:
        """The trackers among `urls` that are new to us, within the bound."""
        listed = {tracker.url for tracker in self._all()}
        fresh = [url for url in dict.fromkeys(urls) if url not in listed]
        return [Tracker(url, self._trackers) for url in fresh[: MAX_TRACKERS - len(listed)]]

    def _walk(self, tiers: list[list[Tracker]]) -> Walk:
        return Walk(self._clock, tiers, self._ask, self._heard, self._random, self._private)

    def _ask(self, client: TrackerClient, event: Event) -> Deferred[AnnounceResponse]:
        state = self._state()
        if state.partial and event is Event.NONE:
            event = Event.PAUSED
        return client.announce(
            AnnounceRequest(
                info_hash=self._info_hash,
                peer_id=state.peer_id,
                port=state.port,
                uploaded=state.uploaded,
                downloaded=state.downloaded,
                left=state.left,
                event=event,
                numwant=0 if event is Event.STOPPED else self._settings.numwant,
                key=state.key,
                ip=state.ip,
            )
        )

    def _heard(self, url: str, answer: AnnounceResponse) -> None:
        self._tell(url, answer)
        peers = answer.peers[: self._settings.max_peers]
        if peers:
            self._found(peers, self.name)

    def _take_leave(
        self, completing: Mapping[Tracker, Deferred[AnnounceResponse]]
    ) -> Deferred[list[tuple[bool, None]]]:
        leaving = list(self._departing)
        for tracker in self._all():
            if tracker.relation.leave():
                goodbye = self._say_goodbye(tracker, completing.get(tracker))
                leaving.append(Deferred.fromCoroutine(goodbye))
            else:
                tracker.relation.left()
        return DeferredList(leaving).addTimeout(
            self._settings.stop_deadline, self._clock, onTimeoutCancel=lambda result, seconds: []
        )

    async def _say_goodbye(self, tracker: Tracker, completing: Deferred[AnnounceResponse] | None) -> None:
        assert tracker.client is not None, "a tracker without a client never lists us"
        try:
            if tracker.account.owed is Event.COMPLETED:
                await _settled(completing or self._ask(tracker.client, Event.COMPLETED))
            await self._ask(tracker.client, Event.STOPPED)
        except (BitTwistError, CancelledError):
            # It will find out that we are gone.
            pass
        except Exception:
            _log.failure("a bug in taking leave of {url}; we are gone anyway", url=tracker.url)
        finally:
            tracker.relation.left()

    def _gone(self, _: object) -> None:
        waiting, self._waiting = self._waiting, []
        for stopped in waiting:
            stopped.callback(None)


def _settled(announce: Deferred[AnnounceResponse]) -> Deferred[None]:
    """Fires with nothing when the announce is over, however; cancelling it cancels the announce."""

    def cancel(settled: Deferred[None]) -> None:
        settled.errback(CancelledError())
        announce.cancel()

    def over(result: AnnounceResponse | Failure | None) -> None:
        if isinstance(result, Failure) and not result.check(BitTwistError, CancelledError):
            _log.failure("a bug in announcing that the download is complete", result)
        if not settled.called:
            settled.callback(None)

    settled: Deferred[None] = Deferred(cancel)
    announce.addBoth(over)
    return settled


def _status(tracker: Tracker, tier: int) -> TrackerStatus:
    account, answer = tracker.account, tracker.account.last_answer
    return TrackerStatus(
        url=tracker.url,
        tier=tier,
        state=tracker.relation.state(),
        last_error=account.last_error,
        warning=answer.warning if answer else None,
        next_at=account.next_at if math.isfinite(account.next_at) else None,
        failures=account.failures,
        complete=answer.complete if answer else None,
        incomplete=answer.incomplete if answer else None,
        downloaded=answer.downloaded if answer else None,
        peers=len(answer.peers) if answer else 0,
    )
