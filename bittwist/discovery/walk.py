"""Tiers of trackers, walked until one answers (BEP 12, "order of processing")."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from random import Random

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from bittwist.announce.values import AnnounceResponse, Event
from bittwist.discovery.interfaces import TrackerClient
from bittwist.discovery.relation import Account, Relation, TrackerState, new_relation
from bittwist.discovery.schedule import after_answer, after_failure
from bittwist.errors import BitTwistError, NetworkError, TrackerFailure

SLACK = 0.001  # seconds: a timer may come a rounding error before its time

_log = Logger()


class Tracker:
    """One tracker of a torrent: its URL, its client, and how it stands with us."""

    def __init__(self, url: str, trackers: Callable[[str], TrackerClient]) -> None:
        self.url = url
        self.account = Account(-math.inf)
        self.relation: Relation = new_relation(self.account)
        self.client: TrackerClient | None = None
        self.removed = False  # the user wants it no more
        self._trackers = trackers
        self.begin()

    def begin(self) -> None:
        """Be strangers again."""
        self.account = Account(-math.inf)
        self.relation = new_relation(self.account)
        try:
            self.client = self.client or self._trackers(self.url)
        except BitTwistError as problem:
            self.relation.refused(reason_of(problem))

    @property
    def works(self) -> bool:
        return self.relation.state() is TrackerState.WORKING

    @property
    def due_at(self) -> float:
        """When the next announce is to go out; infinity for never."""
        return -math.inf if self.works and self.account.owed is not Event.NONE else self.account.next_at


class Walk:
    """Keeps one tracker of its tiers told: the first that answers, moved to the front of its tier."""

    def __init__(
        self,
        clock: IReactorTime,
        tiers: list[list[Tracker]],
        ask: Callable[[TrackerClient, Event], Deferred[AnnounceResponse]],
        heard: Callable[[str, AnnounceResponse], None],
        random: Random,
    ) -> None:
        """`tiers` is shared with the caller: promotions are seen there."""
        self.tiers = tiers
        self._clock = clock
        self._ask = ask
        self._heard = heard
        self._random = random
        self._next: IDelayedCall | None = None
        self._asking: Deferred[AnnounceResponse] | None = None
        self._asked: Tracker | None = None  # who is, or was, asked last
        self._over = False

    def wake(self) -> None:
        """Look again when the next announce is due."""
        if self._asking is not None or self._over:
            return  # what is under way looks again when it is done
        if self._next is not None:
            self._next.cancel()
            self._next = None
        due_at = self._due_at()
        if due_at < math.inf:
            self._next = self._clock.callLater(max(0.0, due_at - self._clock.seconds()), self._set_out)

    def stop(self) -> dict[Tracker, Deferred[AnnounceResponse]]:
        """Cancel whatever is planned or under way, but for a `completed`: it is handed over to be waited for.

        Sent again, it would be counted twice.
        """
        self._over = True
        if self._next is not None:
            self._next.cancel()
            self._next = None
        if self._asking is None or self._asked is None:
            return {}
        if self._asked.account.sent is Event.COMPLETED:
            return {self._asked: self._asking}
        self._asking.cancel()
        return {}

    def drop(self, tracker: Tracker) -> None:
        """It was removed from its tier: what it is asked is cancelled."""
        if self._asking is not None and self._asked is tracker:
            self._asking.cancel()
        self.wake()

    def _in_order(self) -> Iterator[Tracker]:
        """The trackers up to the first that works: those behind it are its substitutes."""
        for tier in self.tiers:
            for tracker in tier:
                yield tracker
                if tracker.works:
                    return

    def _due_at(self) -> float:
        trackers = list(self._in_order())
        if trackers and trackers[-1].works:
            return trackers[-1].due_at  # those before it that fail are tried again on its next announce
        return min((tracker.due_at for tracker in trackers), default=math.inf)

    def _set_out(self) -> None:
        self._next = None
        Deferred.fromCoroutine(self._go()).addErrback(
            lambda failure: _log.failure("announcing broke off", failure)
        )

    async def _go(self) -> None:
        while (tracker := self._first_due()) is not None:
            answer = await self._announce(tracker)
            if self._over:
                return
            if answer is not None:
                self._promote(tracker)
                self.wake()
                self._heard(tracker.url, answer)
                return
        self.wake()

    def _first_due(self) -> Tracker | None:
        now = self._clock.seconds() + SLACK
        return next((tracker for tracker in self._in_order() if tracker.due_at <= now), None)

    def _promote(self, tracker: Tracker) -> None:
        for tier in self.tiers:
            if tracker in tier:
                tier.remove(tracker)
                tier.insert(0, tracker)

    async def _announce(self, tracker: Tracker) -> AnnounceResponse | None:
        """Announce to one tracker and note what came of it; None where nothing did."""
        assert tracker.client is not None, "a tracker without a client is refused, and never due"
        reason, retry_in = "", None
        event = tracker.relation.announce()
        try:
            self._asked = tracker
            self._asking = self._ask(tracker.client, event)
            answer = await self._asking
        except (BitTwistError, CancelledError) as problem:
            reason = reason_of(problem)
            retry_in = problem.retry_in if isinstance(problem, TrackerFailure) else None
        except Exception:
            _log.failure(
                "a bug in announcing to {url}; it is tried again like a tracker that fails", url=tracker.url
            )
            reason = "internal error"
        finally:
            self._asking = None
        if self._over or tracker.removed:
            return None  # whoever stopped us, or removed it, sees to the rest
        now = self._clock.seconds()
        if not reason:
            tracker.relation.answered(answer, after_answer(answer, now, self._random))
            return answer
        if retry_in == math.inf:
            tracker.relation.refused(reason)
        else:
            failures = tracker.account.failures + 1
            tracker.relation.failed(reason, after_failure(failures, retry_in, now, self._random))
        return None


def reason_of(problem: BaseException) -> str:
    """What to show beside a tracker's URL, so without the URL."""
    if isinstance(problem, NetworkError):
        return problem.reason
    return str(problem) or type(problem).__name__
