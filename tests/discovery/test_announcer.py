"""The announcer against scripted trackers, on a Clock."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from random import Random

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bittwist.address import Address
from bittwist.announce.values import AnnounceRequest, AnnounceResponse, Event, ScrapeEntry
from bittwist.discovery import Announcer, AnnouncerSettings, AnnounceState, IPeerSource, TrackerState
from bittwist.discovery.announcer import MAX_TRACKERS
from bittwist.errors import FetchError, RemoteProtocolError, TrackerFailure
from bittwist.metainfo.infohash import InfoHash
from tests.scale import SEED

PEER = Address("192.0.2.1", 6881)
Reply = AnnounceResponse | Exception | None  # None: no answer

TOGETHER = AnnouncerSettings(all_tiers=True)


class ScriptedTracker:
    """Answers what it is told to, and remembers what it heard."""

    def __init__(self, log: list[tuple[str, Event]], url: str) -> None:
        self.url = url
        self.reply: Reply = AnnounceResponse(interval=1800, peers=(PEER,))
        self.heard: list[AnnounceRequest] = []
        self.cancelled = 0
        self.pending: Deferred[AnnounceResponse] | None = None
        self._log = log

    def announce(self, request: AnnounceRequest) -> Deferred[AnnounceResponse]:
        self.heard.append(request)
        self._log.append((self.url, request.event))
        if isinstance(self.reply, AnnounceResponse):
            return succeed(self.reply)
        if self.reply is not None:
            return fail(self.reply)
        self.pending = Deferred(self._cancel)
        return self.pending

    def _cancel(self, _: object) -> None:
        self.cancelled += 1

    def scrape(self, info_hashes: Sequence[bytes]) -> Deferred[dict[bytes, ScrapeEntry]]:
        raise AssertionError("an announcer does not scrape")

    @property
    def events(self) -> list[Event]:
        return [request.event for request in self.heard]


class AnnouncerCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))  # after all others
        self.log: list[tuple[str, Event]] = []
        self.trackers: dict[str, ScriptedTracker] = {}
        self.found: list[tuple[tuple[Address, ...], str]] = []
        self.found_hook: Callable[[], object] = lambda: None
        self.left = 1000
        self.partial = False
        self.heard: list[str] = []

    def tracker(self, url: str) -> ScriptedTracker:
        if url.startswith("udp:"):
            raise TrackerFailure("trackers are not asked over udp", math.inf)
        return self.trackers.setdefault(url, ScriptedTracker(self.log, url))

    def take(self, peers: Sequence[Address], source: str) -> None:
        self.found.append((tuple(peers), source))
        self.found_hook()

    def announcer(
        self,
        tiers: Sequence[Sequence[str]],
        settings: AnnouncerSettings = TOGETHER,
        seed: int = SEED,
        private: bool = False,
    ) -> Announcer:
        def stop() -> None:
            stopped = announcer.stop()
            self.clock.advance(settings.stop_deadline)
            self.successResultOf(stopped)

        announcer = Announcer(
            self.clock,
            self.tracker,
            tiers,
            InfoHash(v1=b"h" * 20),
            lambda: AnnounceState(self.left, 10, 20, 6881, b"p" * 20, b"key", partial=self.partial),
            self.take,
            Random(seed),
            settings,
            private=lambda: private,
            heard=lambda url, answer: self.heard.append(url),
        )
        self.addCleanup(stop)
        return announcer

    def started(self, *tiers: Sequence[str], settings: AnnouncerSettings = TOGETHER) -> Announcer:
        announcer = self.announcer(tiers, settings)
        announcer.start()
        self.clock.advance(0)
        return announcer


class EventTests(AnnouncerCase):
    def test_is_a_peer_source(self) -> None:
        self.assertTrue(IPeerSource.providedBy(self.announcer([])))

    def test_nothing_is_sent_or_found_inside_the_call_to_start(self) -> None:
        announcer = self.announcer([["a"]])
        announcer.start()
        self.assertEqual(self.log, [])
        self.clock.advance(0)
        self.assertEqual(self.log, [("a", Event.STARTED)])

    def test_the_first_announce_says_started_and_who_we_are(self) -> None:
        self.started(["a"])
        self.assertEqual(
            self.trackers["a"].heard,
            [
                AnnounceRequest(
                    b"h" * 20, b"p" * 20, 6881, 10, 20, 1000, Event.STARTED, numwant=100, key=b"key"
                )
            ],
        )
        self.assertEqual(self.found, [((PEER,), "tracker")])

    def test_starting_twice_is_starting_once(self) -> None:
        self.started(["a"]).start()
        self.clock.advance(0)
        self.assertEqual(self.trackers["a"].events, [Event.STARTED])

    def test_an_announce_in_between_carries_no_event(self) -> None:
        self.started(["a"])
        self.left = 400
        self.clock.advance(1800 * 1.06)
        self.assertEqual(self.trackers["a"].events, [Event.STARTED, Event.NONE])
        self.assertEqual(self.trackers["a"].heard[1].left, 400)

    def test_completed_is_told_at_once_and_once(self) -> None:
        announcer = self.started(["a"])
        self.left = 0
        announcer.completed()
        self.assertEqual(self.trackers["a"].events, [Event.STARTED])
        self.clock.advance(0)
        self.clock.advance(1800 * 1.06)
        self.assertEqual(self.trackers["a"].events, [Event.STARTED, Event.COMPLETED, Event.NONE])

    def test_completed_while_started_is_under_way_follows_it(self) -> None:
        tracker = self.tracker("a")
        tracker.reply = None
        announcer = self.started(["a"])
        announcer.completed()
        self.clock.advance(1)
        self.assertEqual(tracker.events, [Event.STARTED])
        pending, tracker.reply = tracker.pending, AnnounceResponse()
        pending.callback(AnnounceResponse())
        self.clock.advance(0)
        self.assertEqual(tracker.events, [Event.STARTED, Event.COMPLETED])

    def test_a_completed_that_fails_is_told_again(self) -> None:
        tracker = self.tracker("a")
        announcer = self.started(["a"])
        tracker.reply = FetchError("a", "connection refused")
        announcer.completed()
        self.clock.advance(0)
        tracker.reply = AnnounceResponse()
        self.clock.advance(20)
        self.assertEqual(tracker.events, [Event.STARTED, Event.COMPLETED, Event.COMPLETED])

    def test_a_tracker_that_did_not_hear_started_is_not_told_completed(self) -> None:
        tracker = self.tracker("a")
        tracker.reply = FetchError("a", "connection refused")
        announcer = self.started(["a"])
        announcer.completed()
        tracker.reply = AnnounceResponse()
        self.clock.advance(20)
        self.assertEqual(tracker.events, [Event.STARTED, Event.STARTED])


class IntervalTests(AnnouncerCase):
    def wait_after(self, answer: AnnounceResponse) -> float:
        self.tracker("a").reply = answer
        announcer = self.started(["a"])
        (status,) = announcer.statuses()
        assert status.next_at is not None
        return status.next_at - self.clock.seconds()

    def test_the_interval_is_kept_within_reason(self) -> None:
        for interval, least, most in (
            (1800, 1800, 1890),
            (1, 60, 60),
            (0, 60, 60),
            (-5, 60, 60),
            (59, 60, 62),
            (86400, 86400, 86400),
            (2**63 - 1, 86400, 86400),
        ):
            with self.subTest(str(interval)):
                self.assertTrue(least <= self.wait_after(AnnounceResponse(interval=interval)) <= most)

    def test_no_announce_comes_before_the_least_interval_that_the_tracker_takes(self) -> None:
        for interval, min_interval, least in (
            (60, 900, 900),
            (1800, 900, 1800),
            (1800, 1800, 1800),
            (1800, 0, 1800),
            (60, 2**63, 86400),
        ):
            with self.subTest(interval=interval, min_interval=min_interval):
                wait = self.wait_after(AnnounceResponse(interval=interval, min_interval=min_interval))
                self.assertTrue(least <= wait <= max(least * 1.05, 60), wait)

    def test_failures_back_off_to_an_hour(self) -> None:
        self.tracker("a").reply = FetchError("a", "connection refused")
        announcer = self.started(["a"])
        waits = []
        for _ in range(12):
            (status,) = announcer.statuses()
            assert status.next_at is not None
            waits.append(status.next_at - self.clock.seconds())
            self.clock.advance(waits[-1])
        for number, wait in enumerate(waits):
            expected = min(15 * 2**number, 3600)
            self.assertTrue(expected / 2 <= wait <= expected, (number, wait))
        self.assertEqual(len(self.tracker("a").heard), 13)

    def test_clients_do_not_come_back_together_after_an_outage(self) -> None:
        due = []
        for seed in range(200):
            self.trackers.clear()
            self.tracker("a").reply = FetchError("a", "connection refused")
            announcer = self.announcer([["a"]], seed=seed)
            announcer.start()
            self.clock.advance(0)
            due.append(announcer.statuses()[0].next_at)
        spread = max(due) - min(due)  # type: ignore[type-var,operator]
        self.assertGreater(spread, 7)
        for moment in due:
            near = sum(1 for other in due if abs(other - moment) < 0.25)  # type: ignore[operator]
            self.assertLess(near, 40)

    def test_retry_in_is_honoured_within_reason(self) -> None:
        for retry_in, wait in ((300.0, 300), (1.0, 60), (1e9, 86400)):
            with self.subTest(str(retry_in)):
                self.trackers.clear()
                self.tracker("a").reply = TrackerFailure("overloaded", retry_in)
                self.started(["a"])
                self.clock.advance(wait - 1)
                self.assertEqual(len(self.tracker("a").heard), 1)
                self.clock.advance(1)
                self.assertEqual(len(self.tracker("a").heard), 2)

    def test_never_means_never(self) -> None:
        self.tracker("a").reply = TrackerFailure("not a tracker", math.inf)
        announcer = self.started(["a"])
        announcer.completed()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        (status,) = announcer.statuses()
        self.assertEqual((status.state, status.last_error), (TrackerState.REFUSED, "not a tracker"))
        self.assertIsNone(status.next_at)


class TierTests(AnnouncerCase):
    def asked(self) -> list[str]:
        urls = [url for url, _ in self.log]
        self.log.clear()
        return urls

    def test_a_tier_is_shuffled_and_the_one_that_answers_comes_first_from_then_on(self) -> None:
        urls = ["a", "b", "c", "d"]
        for url in urls[:3]:
            self.tracker(url).reply = FetchError(url, "connection refused")
        announcer = self.started(urls)
        order = self.asked()
        self.assertEqual(order[-1], "d")
        self.assertEqual(announcer.statuses()[0].url, "d")
        self.clock.advance(1800 * 1.06)
        self.assertEqual(self.asked(), ["d"])

    def test_the_order_is_by_chance(self) -> None:
        firsts = set()
        for seed in range(30):
            announcer = self.announcer([["a", "b", "c"]], seed=seed)
            firsts.add(announcer.statuses()[0].url)
        self.assertEqual(firsts, {"a", "b", "c"})

    def test_when_the_first_fails_later_the_next_takes_over(self) -> None:
        announcer = self.started(["a", "b"])
        first, second = (status.url for status in announcer.statuses())
        self.assertEqual(self.asked(), [first])
        self.trackers[first].reply = FetchError(first, "connection refused")
        self.clock.advance(1800 * 1.06)
        self.assertEqual(self.asked(), [first, second])
        self.assertEqual(self.trackers[second].events, [Event.STARTED])
        self.assertEqual([status.url for status in announcer.statuses()], [second, first])

    def test_all_tiers_are_told_at_once(self) -> None:
        self.tracker("a").reply = None
        self.started(["a"], ["b"])
        self.assertEqual(self.asked(), ["a", "b"])

    def test_one_tier_after_the_other_unless_all_are_asked_for(self) -> None:
        """BEP 12, "order of processing"."""
        self.tracker("a").reply = None
        self.started(["a"], ["b"], settings=AnnouncerSettings())
        self.assertEqual(self.asked(), ["a"])
        pending, self.trackers["a"].reply = self.trackers["a"].pending, FetchError("a", "gone")
        pending.errback(FetchError("a", "gone"))
        self.assertEqual(self.asked(), ["b"])
        self.trackers["a"].reply = AnnounceResponse()
        self.clock.advance(1000)
        self.assertEqual(self.asked(), [])  # not before the next announce
        self.clock.advance(1000)
        self.assertEqual(self.asked(), ["a"])

    def test_a_tracker_listed_twice_is_told_once(self) -> None:
        announcer = self.started(["a", "a"], ["a"], ["b"])
        self.assertEqual(self.asked(), ["a", "b"])
        announcer.add("a")
        self.clock.advance(1)
        self.assertEqual(self.asked(), [])

    def test_no_more_trackers_than_the_bound(self) -> None:
        announcer = self.announcer([[str(n)] for n in range(MAX_TRACKERS + 5)])
        announcer.add("one more")
        self.assertEqual(len(announcer.statuses()), MAX_TRACKERS)

    def test_a_tracker_added_later_is_told_at_once(self) -> None:
        for settings in (AnnouncerSettings(), TOGETHER):
            announcer = self.started(["a"], settings=settings)
            self.assertEqual(self.asked(), ["a"])
            self.assertTrue(announcer.add("late"))
            self.clock.advance(0)
            self.assertEqual(self.asked(), ["late"])
            self.assertFalse(announcer.add("late"))
            self.trackers.clear()

    def test_a_tracker_added_to_a_tier_waits_there_for_those_before_it(self) -> None:
        announcer = self.started(["a"], ["b"])
        self.assertEqual(self.asked(), ["a", "b"])
        announcer.add("late", tier=0)
        self.clock.advance(0)
        self.assertEqual(self.asked(), [])
        self.assertEqual([(s.url, s.tier) for s in announcer.statuses()], [("a", 0), ("late", 0), ("b", 1)])
        self.trackers["a"].reply = FetchError("a", "gone")
        self.clock.advance(1800 * 1.06)
        self.assertIn("late", self.asked())

    def test_of_a_private_torrent_one_tracker_is_told_at_a_time_whatever_the_settings(self) -> None:
        """BEP 27."""
        announcer = self.announcer([["a"], ["b"]], TOGETHER, private=True)
        announcer.start()
        self.clock.advance(0)
        announcer.add("c")
        self.clock.advance(0)
        self.assertEqual(self.asked(), ["a"])
        self.trackers["a"].reply = FetchError("a", "gone")
        self.clock.advance(1800 * 1.06)
        self.assertEqual(self.asked(), ["a", "b"])

    def test_a_tracker_that_is_removed_is_told_stopped_and_nothing_more(self) -> None:
        announcer = self.started(["a"], ["b"])
        self.assertTrue(announcer.remove("a"))
        self.clock.advance(5000)
        self.assertEqual(self.trackers["a"].events, [Event.STARTED, Event.STOPPED])
        self.assertEqual([status.url for status in announcer.statuses()], ["b"])
        self.assertFalse(announcer.remove("a"))

    def test_a_tracker_removed_while_it_is_asked_is_told_stopped_and_the_next_one_asked(self) -> None:
        self.tracker("a").reply = None
        announcer = self.started(["a"], ["b"], settings=AnnouncerSettings())
        self.assertTrue(announcer.remove("a"))
        self.clock.advance(0)
        self.assertEqual(self.trackers["a"].cancelled, 1)
        self.assertEqual(self.trackers["a"].events, [Event.STARTED, Event.STOPPED])
        self.assertEqual(self.trackers["b"].events, [Event.STARTED])
        self.clock.advance(TOGETHER.stop_deadline)

    def test_a_tracker_that_is_not_told_of_us_is_removed_without_a_word(self) -> None:
        announcer = self.started(["a"], ["b"], settings=AnnouncerSettings())
        announcer.remove("b")
        self.clock.advance(1)
        self.assertEqual(self.asked(), ["a"])

    def test_a_tracker_removed_before_the_start_is_never_asked(self) -> None:
        announcer = self.announcer([["a"], ["b"]])
        announcer.remove("a")
        announcer.start()
        self.clock.advance(0)
        self.assertEqual(self.asked(), ["b"])

    def test_who_takes_leave_of_a_removed_tracker_that_is_dead_stops_in_time(self) -> None:
        announcer = self.started(["a"])
        self.trackers["a"].reply = None
        announcer.remove("a")
        stopped = announcer.stop()
        self.assertNoResult(stopped)
        self.clock.advance(TOGETHER.stop_deadline)
        self.successResultOf(stopped)

    def test_it_is_told_whose_answer_came(self) -> None:
        self.started(["a"], ["b"])
        self.assertEqual(self.heard, ["a", "b"])

    def test_a_partial_seed_says_paused_with_every_announce_that_has_no_other_event(self) -> None:
        """BEP 21."""
        self.started(["a"])
        self.partial = True
        for _ in range(2):
            self.clock.advance(1800 * 1.06)
        self.assertEqual(self.trackers["a"].events, [Event.STARTED, Event.PAUSED, Event.PAUSED])

    def test_one_that_cannot_be_spoken_to_is_refused_and_the_others_told(self) -> None:
        announcer = self.started(["udp://x"], ["b"])
        self.assertEqual(self.asked(), ["b"])
        status = announcer.statuses()[0]
        self.assertEqual(
            (status.state, status.last_error), (TrackerState.REFUSED, "trackers are not asked over udp")
        )

    def test_many_that_fail_at_once_do_not_pile_up(self) -> None:
        for n in range(MAX_TRACKERS):
            self.tracker(str(n)).reply = FetchError(str(n), "no such host")
        self.started([str(n) for n in range(MAX_TRACKERS)])
        self.assertEqual(len(self.asked()), MAX_TRACKERS)


class StopTests(AnnouncerCase):
    def test_stopped_goes_to_those_that_list_us(self) -> None:
        self.tracker("b").reply = FetchError("b", "connection refused")
        announcer = self.started(["a"], ["b"])
        self.successResultOf(announcer.stop())
        self.assertEqual(self.trackers["a"].events, [Event.STARTED, Event.STOPPED])
        self.assertEqual(self.trackers["a"].heard[1].numwant, 0)
        self.assertEqual(self.trackers["b"].events, [Event.STARTED])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual([status.state for status in announcer.statuses()], [TrackerState.STOPPED] * 2)

    def test_a_dead_tracker_is_waited_for_four_seconds(self) -> None:
        announcer = self.started(["a"], ["b"])
        for tracker in self.trackers.values():
            tracker.reply = None
        stopped = announcer.stop()
        self.clock.advance(3.9)
        self.assertNoResult(stopped)
        self.assertEqual(announcer.statuses()[0].state, TrackerState.STOPPING)
        self.clock.advance(0.2)
        self.successResultOf(stopped)
        self.assertEqual([tracker.cancelled for tracker in self.trackers.values()], [1, 1])

    def test_what_is_under_way_is_cancelled(self) -> None:
        tracker = self.tracker("a")
        tracker.reply = None
        announcer = self.started(["a"])
        tracker.reply = AnnounceResponse(peers=(PEER,))
        self.successResultOf(announcer.stop())
        self.assertEqual(tracker.cancelled, 1)
        self.assertEqual(tracker.events, [Event.STARTED, Event.STOPPED])  # `started` may have arrived
        self.assertEqual(self.found, [])

    def test_a_completed_under_way_is_waited_for_and_not_sent_twice(self) -> None:
        announcer = self.started(["a"])
        tracker = self.trackers["a"]
        tracker.reply = None
        announcer.completed()
        self.clock.advance(0)
        stopped = announcer.stop()
        self.assertNoResult(stopped)
        tracker.reply = AnnounceResponse()
        assert tracker.pending is not None
        tracker.pending.callback(AnnounceResponse())
        self.successResultOf(stopped)
        self.assertEqual(tracker.events, [Event.STARTED, Event.COMPLETED, Event.STOPPED])

    def test_a_completed_that_is_owed_is_told_before_the_end(self) -> None:
        for reply in (AnnounceResponse(), FetchError("a", "connection refused")):
            announcer = self.started(["a"])
            tracker = self.trackers["a"]
            announcer.completed()
            tracker.reply = reply
            self.successResultOf(announcer.stop())
            self.assertEqual(tracker.events, [Event.STARTED, Event.COMPLETED, Event.STOPPED])
            self.trackers.clear()

    def test_a_completed_under_way_to_one_that_is_removed_is_not_sent_twice(self) -> None:
        announcer = self.started(["a"])
        tracker = self.trackers["a"]
        tracker.reply = None
        announcer.completed()
        self.clock.advance(0)
        announcer.remove("a")
        self.assertEqual((tracker.events, tracker.cancelled), ([Event.STARTED, Event.COMPLETED], 0))
        tracker.reply = AnnounceResponse()
        assert tracker.pending is not None
        tracker.pending.callback(AnnounceResponse())
        self.assertEqual(tracker.events, [Event.STARTED, Event.COMPLETED, Event.STOPPED])

    def test_peers_are_not_told_of_inside_a_call_to_remove(self) -> None:
        self.tracker("a").reply = None
        announcer = self.started(["a"], ["b"], settings=AnnouncerSettings())
        announcer.remove("a")
        self.assertEqual(self.found, [])
        self.clock.advance(0)
        self.assertEqual(self.found, [((PEER,), "tracker")])
        self.clock.advance(TOGETHER.stop_deadline)

    def test_a_completed_that_is_not_heard_is_given_up_at_the_deadline(self) -> None:
        for advance in (0.0, None):  # under way, and not yet sent
            announcer = self.started(["a"])
            tracker = self.trackers["a"]
            tracker.reply = None
            announcer.completed()
            if advance is not None:
                self.clock.advance(advance)
            stopped = announcer.stop()
            self.clock.advance(TOGETHER.stop_deadline)
            self.successResultOf(stopped)
            self.assertEqual(tracker.events, [Event.STARTED, Event.COMPLETED])
            self.assertEqual((tracker.cancelled, self.clock.getDelayedCalls()), (1, []))
            self.trackers.clear()

    def test_a_tracker_known_to_be_dead_does_not_delay_the_end(self) -> None:
        tracker = self.tracker("a")
        tracker.reply = FetchError("a", "connection timed out")
        announcer = self.started(["a"])
        tracker.reply = None
        self.clock.advance(15)
        self.successResultOf(announcer.stop())
        self.assertEqual(tracker.events, [Event.STARTED, Event.STARTED])

    def test_a_stopped_that_fails_does_not_matter(self) -> None:
        announcer = self.started(["a"])
        self.trackers["a"].reply = FetchError("a", "connection refused")
        self.successResultOf(announcer.stop())

    def test_stopping_twice_or_before_the_start_is_harmless(self) -> None:
        announcer = self.announcer([["a"]])
        self.successResultOf(announcer.stop())
        announcer.start()
        self.clock.advance(0)
        self.trackers["a"].reply = None
        first, second = announcer.stop(), announcer.stop()
        self.clock.advance(5)
        self.successResultOf(first)
        self.successResultOf(second)
        self.assertEqual(self.trackers["a"].events, [Event.STARTED, Event.STOPPED])

    def test_stopping_before_the_first_announce_sends_nothing(self) -> None:
        announcer = self.announcer([["a"]])
        announcer.start()
        self.successResultOf(announcer.stop())
        self.assertEqual((self.log, self.clock.getDelayedCalls()), ([], []))

    def test_a_bug_of_ours_does_not_keep_us_from_stopping(self) -> None:
        announcer = self.started(["a"], ["b"])
        self.trackers["a"].reply = ZeroDivisionError()
        self.successResultOf(announcer.stop())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.trackers["b"].events, [Event.STARTED, Event.STOPPED])

    def test_one_who_takes_the_peers_may_stop_us(self) -> None:
        announcer = self.announcer([["a"]])
        self.found_hook = announcer.stop
        announcer.start()
        self.clock.advance(0)
        self.assertEqual(self.trackers["a"].events, [Event.STARTED, Event.STOPPED])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_may_start_again(self) -> None:
        announcer = self.started(["a"])
        self.successResultOf(announcer.stop())
        announcer.start()
        self.clock.advance(0)
        self.assertEqual(self.trackers["a"].events, [Event.STARTED, Event.STOPPED, Event.STARTED])


class AnswerTests(AnnouncerCase):
    def test_no_more_peers_than_the_bound_are_used(self) -> None:
        peers = tuple(Address("192.0.2.1", port) for port in range(1, 1001))
        self.tracker("a").reply = AnnounceResponse(peers=peers)
        self.started(["a"])
        self.assertEqual(self.found, [(peers[:200], "tracker")])

    def test_statuses_tell_how_each_tracker_stands(self) -> None:
        self.tracker("a").reply = AnnounceResponse(
            complete=5, incomplete=7, downloaded=9, peers=(PEER,), warning="be nice"
        )
        self.tracker("b").reply = RemoteProtocolError("not bencoding")
        self.tracker("c").reply = None
        announcer = self.started(["a"], ["b"], ["c"])
        a, b, c = announcer.statuses()
        self.assertEqual(
            (a.url, a.tier, a.state, a.complete, a.incomplete, a.downloaded, a.peers, a.warning),
            ("a", 0, TrackerState.WORKING, 5, 7, 9, 1, "be nice"),
        )
        self.assertEqual(
            (b.state, b.last_error, b.failures, b.peers), (TrackerState.FAILING, "not bencoding", 1, 0)
        )
        self.assertEqual((c.state, c.last_error), (TrackerState.ANNOUNCING, None))
        self.assertEqual(self.announcer([["d"]]).statuses()[0].state, TrackerState.WAITING)

    def test_a_bug_in_a_client_is_logged_and_the_tracker_tried_again(self) -> None:
        self.tracker("a").reply = ZeroDivisionError()
        announcer = self.started(["a"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(announcer.statuses()[0].last_error, "internal error")
        self.tracker("a").reply = AnnounceResponse()
        self.clock.advance(15)
        self.assertEqual(announcer.statuses()[0].state, TrackerState.WORKING)

    def test_a_bug_in_who_takes_the_peers_does_not_end_the_announcing(self) -> None:
        announcer = self.started(["a"])
        self.found = None  # type: ignore[assignment]
        self.clock.advance(1800 * 1.06)
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)
        self.clock.advance(1800 * 1.06)
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)
        self.assertEqual(len(self.trackers["a"].heard), 3)
        self.assertEqual(announcer.statuses()[0].state, TrackerState.WORKING)
