"""Tiers of trackers, walked until one answers (BEP 12, "order of processing")."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterator
from random import Random

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from bittwist.announce.values import AnnounceResponse, Event
from bittwist.discovery.interfaces import TrackerClient
from bittwist.discovery.relation import Account, Relation, TrackerState, new_relation
from bittwist.discovery.schedule import after_answer, after_failure
from bittwist.errors import BitTwistError, NetworkError, TrackerFailure

HEAD_START = 5.0  # seconds that a tracker has before the next is asked: most answer within two
MOST_ASKED = 5  # trackers that one walk awaits at the same time
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
    """Keeps one tracker of its tiers told: the first that answers, moved to the front of its tier.

    It goes in passes. A pass begins at the top when an announce is due, asks everybody at most once, and ends
    when one has answered or all have failed; so no retry of a dead tracker keeps those behind it waiting. Who
    is silent for `HEAD_START` is awaited still, while the next is asked. If it answers after all, both have
    been told of us, and the one that stands first is kept.
    """

    def __init__(
        self,
        clock: IReactorTime,
        tiers: list[list[Tracker]],
        ask: Callable[[TrackerClient, Event], Deferred[AnnounceResponse]],
        heard: Callable[[str, AnnounceResponse], None],
        random: Random,
        one_by_one: Callable[[], bool],
    ) -> None:
        """`tiers` is shared with the caller: promotions are seen there. While `one_by_one`, nobody is asked
        before the one that is awaited has failed.
        """
        self.tiers = tiers
        self._clock = clock
        self._ask = ask
        self._heard = heard
        self._random = random
        self._one_by_one = one_by_one
        self._next: IDelayedCall | None = None  # the next pass, or the next tracker of this one
        self._asking: dict[Tracker, Deferred[AnnounceResponse]] = {}  # of this pass, or silent since another
        self._passed: set[Tracker] | None = None  # who was asked in this pass; None between passes
        self._over = False

    def wake(self) -> None:
        """Look again when the next announce is due."""
        if self._passed is not None or self._over:
            return  # a pass looks again when it is done
        self._unplan()
        due_at = self._due_at()
        if due_at < math.inf:
            self._plan(max(0.0, due_at - self._clock.seconds()), self._set_out)

    def stop(self) -> dict[Tracker, Deferred[AnnounceResponse]]:
        """Cancel whatever is planned or under way, but for a `completed`: those are handed over to be waited
        for. Sent again, they would be counted twice.
        """
        self._over = True
        self._unplan()
        return {
            tracker: asking
            for tracker in tuple(self._asking)
            if (asking := self._released(tracker)) is not None
        }

    def drop(self, tracker: Tracker) -> Deferred[AnnounceResponse] | None:
        """It was removed from its tier: its announce is cancelled; a `completed` returned, as by `stop`."""
        was_asked = tracker in self._asking
        completing = self._released(tracker)
        if was_asked and self._passed is not None:
            self._plan(0.0, self._go_on)
        else:
            self.wake()
        return completing

    def _released(self, tracker: Tracker) -> Deferred[AnnounceResponse] | None:
        """A `completed` that is under way there; anything else is cancelled."""
        asking = self._asking.pop(tracker, None)
        if asking is not None and tracker.account.sent is not Event.COMPLETED:
            asking.cancel()
            return None
        return asking

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
        waiting = (tracker.due_at for tracker in trackers if tracker not in self._asking)
        return min(waiting, default=math.inf)

    def _plan(self, seconds: float, what: Callable[[], None]) -> None:
        """Do this next, instead of what was planned."""

        def do() -> None:
            self._next = None
            what()

        self._unplan()
        self._next = self._clock.callLater(seconds, do)

    def _unplan(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _set_out(self) -> None:
        self._passed = set()
        self._go_on()

    def _go_on(self) -> None:
        """Ask the next of this pass, if there is room; wait for the next pass where this one is over."""
        self._unplan()
        while self._passed is not None and not self._over:
            tracker = self._first_due(self._passed)
            if tracker is None and self._passed.isdisjoint(self._asking):
                self._passed = None  # all have failed
            elif tracker is None or len(self._asking) >= (1 if self._one_by_one() else MOST_ASKED):
                return  # until one that is under way has failed
            elif not self._begin(tracker, self._passed):
                return self._plan(HEAD_START, self._go_on)
        self.wake()

    def _begin(self, tracker: Tracker, passed: set[Tracker]) -> bool:
        """Announce to it; whether that is over already."""
        passed.add(tracker)
        announced = Deferred.fromCoroutine(self._announce(tracker))
        announced.addErrback(lambda failure: _log.failure("announcing broke off", failure))
        over = announced.called
        if not over:
            announced.addCallback(lambda _: None if tracker.removed else self._go_on())
        return over

    def _first_due(self, passed: Container[Tracker]) -> Tracker | None:
        now = self._clock.seconds() + SLACK
        return next(
            (
                tracker
                for tracker in self._in_order()
                if tracker.due_at <= now and tracker not in passed and tracker not in self._asking
            ),
            None,
        )

    def _promote(self, tracker: Tracker) -> None:
        """To the front of its tier, unless one before it there has answered while it was silent."""
        for tier in self.tiers:
            if tracker in tier and not any(each.works for each in tier[: tier.index(tracker)]):
                tier.remove(tracker)
                tier.insert(0, tracker)

    async def _announce(self, tracker: Tracker) -> None:
        """Announce to one tracker, and note and tell what came of it."""
        assert tracker.client is not None, "a tracker without a client is refused, and never due"
        reason, retry_in = "", None
        event = tracker.relation.announce()
        try:
            asking = self._asking[tracker] = self._ask(tracker.client, event)
            answer = await asking
        except (BitTwistError, CancelledError) as problem:
            reason = reason_of(problem)
            retry_in = problem.retry_in if isinstance(problem, TrackerFailure) else None
        except Exception:
            _log.failure(
                "a bug in announcing to {url}; it is tried again like a tracker that fails", url=tracker.url
            )
            reason = "internal error"
        if self._over or tracker.removed:
            return  # whoever stopped us, or removed it, sees to the rest
        self._asking.pop(tracker, None)
        now = self._clock.seconds()
        if not reason:
            tracker.relation.answered(answer, after_answer(answer, now, self._random))
            self._promote(tracker)
            self._passed = None
            self.wake()
            self._heard(tracker.url, answer)
        elif retry_in == math.inf:
            tracker.relation.refused(reason)
        else:
            failures = tracker.account.failures + 1
            tracker.relation.failed(reason, after_failure(failures, retry_in, now, self._random))


def reason_of(problem: BaseException) -> str:
    """What to show beside a tracker's URL, so without the URL."""
    if isinstance(problem, NetworkError):
        return problem.reason
    return str(problem) or type(problem).__name__
