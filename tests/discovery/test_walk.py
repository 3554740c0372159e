"""How tiers of trackers are walked where some are dead and take their time over it (BEP 12)."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bittwist.announce.values import Event
from bittwist.discovery import TrackerState
from bittwist.discovery.schedule import FIRST_RETRY, MAX_RETRY, RETRY_SPREAD, SPREAD
from bittwist.discovery.walk import HEAD_START, MOST_ASKED
from tests.discovery.timed import HTTP_SILENCE, UDP_SILENCE, World
from tests.scale import runs

SEEDS = range(20)


class WalkCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World()

    def stop(self, announcer) -> None:
        stopped = announcer.stop()
        self.world.clock.advance(10)
        self.successResultOf(stopped)
        self.assertEqual(self.world.clock.getDelayedCalls(), [])


class PassTests(WalkCase):
    """One tracker at a time, as of a private torrent."""

    def first_asked(self, silences, seed) -> float:
        self.world = world = World()
        urls = [world.dead(f"dead{n}", silence) for n, silence in enumerate(silences)]
        urls.append(world.live("live"))
        announcer = world.started(*([url] for url in urls), seed=seed, private=True)
        world.pass_time(sum(silences) + 1)
        self.stop(announcer)
        asked = world.trackers["live"].times
        return asked[0] if asked else float("inf")

    def test_the_last_tier_is_asked_when_those_before_it_have_failed_once(self) -> None:
        for silences in (
            [HTTP_SILENCE, UDP_SILENCE],
            [UDP_SILENCE, HTTP_SILENCE],
            [UDP_SILENCE] * 3,
            [0.0, UDP_SILENCE, 0.0, HTTP_SILENCE],
        ):
            for seed in SEEDS:
                with self.subTest(silences=silences, seed=seed):
                    self.assertLessEqual(self.first_asked(silences, seed), sum(silences) + 1)

    def test_the_last_of_a_tier_is_asked_when_those_before_it_have_failed_once(self) -> None:
        for seed in SEEDS:
            self.world = world = World()
            urls = [world.dead("dead1", HTTP_SILENCE), world.dead("dead2", UDP_SILENCE), world.live("live")]
            announcer = world.started(urls, seed=seed, private=True)
            world.pass_time(HTTP_SILENCE + UDP_SILENCE + 1)
            self.assertEqual(len(world.trackers["live"].asked), 1, seed)
            self.assertEqual(announcer.statuses()[0].url, "live")
            self.stop(announcer)

    def test_when_all_have_failed_it_begins_at_the_top_again(self) -> None:
        world = self.world
        urls = [world.dead(f"dead{n}", UDP_SILENCE) for n in range(4)]
        announcer = world.started(*([url] for url in urls), private=True)
        world.pass_time(2 * 4 * (UDP_SILENCE + 1))
        self.assertEqual([url for _, url in world.log[:8]], urls + urls)
        self.stop(announcer)

    def test_on_the_next_announce_those_before_the_one_that_answers_are_tried_first(self) -> None:
        world = self.world
        announcer = world.started(
            [world.dead("a", HTTP_SILENCE)], [world.live("b")], [world.live("c")], private=True
        )
        world.pass_time(1800 + HTTP_SILENCE)
        del world.log[:]
        world.pass_time(1800 * SPREAD + HTTP_SILENCE + 1)
        self.assertEqual([url for _, url in world.log], ["a", "b"])
        self.stop(announcer)

    def test_one_is_asked_at_a_time(self) -> None:
        world = self.world
        urls = [world.dead(f"dead{n}", UDP_SILENCE) for n in range(5)]
        announcer = world.started(urls, [world.live("live", 20)], private=True)
        world.pass_time(1000)
        self.assertEqual(world.most, 1)
        self.stop(announcer)


class HeadStartTests(WalkCase):
    """Of a torrent that is not private, the next is asked beside one that is silent."""

    def test_a_dead_tracker_holds_the_others_up_for_a_few_seconds(self) -> None:
        world = self.world
        announcer = world.started(
            [world.dead("a", UDP_SILENCE)], [world.dead("b", HTTP_SILENCE)], [world.live("c")]
        )
        world.pass_time(UDP_SILENCE)
        self.assertEqual(world.log, [(0, "a"), (HEAD_START, "b"), (2 * HEAD_START, "c")])
        self.stop(announcer)

    def test_who_fails_at_once_holds_nobody_up(self) -> None:
        world = self.world
        announcer = world.started(
            [world.dead("a", 0)], [world.dead("b", 0)], [world.dead("c", 1)], [world.live("d")]
        )
        world.pass_time(2)
        self.assertEqual(world.log, [(0, "a"), (0, "b"), (0, "c"), (1, "d")])
        self.stop(announcer)

    def test_who_answers_in_time_is_the_only_one_told(self) -> None:
        world = self.world
        announcer = world.started([world.live("a", HEAD_START - 1)], [world.live("b")])
        world.pass_time(10000)
        self.assertEqual(world.trackers["b"].asked, [])
        self.stop(announcer)

    def test_no_more_are_awaited_at_once_than_the_bound(self) -> None:
        world = self.world
        urls = [world.dead(f"dead{n}", UDP_SILENCE) for n in range(12)]
        announcer = world.started(*([url] for url in urls), [world.live("live")])
        world.pass_time(3 * UDP_SILENCE)
        self.assertEqual(world.most, MOST_ASKED)
        self.assertEqual(len(world.trackers["live"].asked), 1)
        self.stop(announcer)

    def test_a_slow_tracker_of_an_earlier_tier_is_the_one_that_is_kept(self) -> None:
        world = self.world
        announcer = world.started([world.live("a", HEAD_START + 3)], [world.live("b")])
        world.pass_time(HEAD_START + 1)
        self.assertEqual(
            [s.state for s in announcer.statuses()], [TrackerState.ANNOUNCING, TrackerState.WORKING]
        )
        world.pass_time(5)
        world.trackers["a"].after = 0
        del world.log[:]
        world.pass_time(4000)
        self.assertEqual([url for _, url in world.log], ["a", "a"])
        self.stop(announcer)
        self.assertEqual(world.trackers["b"].events, [Event.STARTED, Event.STOPPED])

    def test_of_one_tier_the_first_to_answer_comes_to_the_front_and_stays_there(self) -> None:
        world = self.world
        announcer = world.started([world.live("a", HEAD_START + 3), world.live("b", HEAD_START + 3)])
        first, second = (status.url for status in announcer.statuses())
        world.trackers[second].after = 0
        world.pass_time(HEAD_START + 10)
        self.assertEqual([status.url for status in announcer.statuses()], [second, first])
        self.stop(announcer)

    def test_a_silent_one_that_fails_after_another_has_answered_changes_nothing(self) -> None:
        world = self.world
        announcer = world.started([world.dead("a", UDP_SILENCE)], [world.live("b")], [world.live("c")])
        world.pass_time(1700)
        self.assertEqual([url for _, url in world.log], ["a", "b"])
        self.stop(announcer)

    def test_completed_is_told_while_another_is_silent_still(self) -> None:
        world = self.world
        announcer = world.started([world.dead("a", UDP_SILENCE)], [world.live("b")])
        world.pass_time(HEAD_START + 1)
        announcer.completed()
        world.clock.advance(0)
        self.assertEqual(world.trackers["b"].events, [Event.STARTED, Event.COMPLETED])
        self.assertEqual(world.trackers["a"].events, [Event.STARTED])
        self.stop(announcer)

    def test_all_that_may_list_us_are_told_of_the_end(self) -> None:
        world = self.world
        announcer = world.started([world.live("a", UDP_SILENCE)], [world.live("b", 2)], [world.live("c")])
        world.pass_time(HEAD_START + 1)
        for tracker in world.trackers.values():
            tracker.after = 0
        self.stop(announcer)
        self.assertEqual(world.trackers["a"].events, [Event.STARTED, Event.STOPPED])
        self.assertEqual(world.trackers["b"].events, [Event.STARTED, Event.STOPPED])
        self.assertEqual(world.trackers["c"].events, [])

    def test_one_that_is_removed_while_silent_makes_room_for_the_next_at_once(self) -> None:
        world = self.world
        announcer = world.started([world.dead("a", UDP_SILENCE)], [world.live("b")])
        announcer.remove("a")
        world.clock.advance(0)
        self.assertEqual(len(world.trackers["b"].asked), 1)
        self.stop(announcer)

    def test_when_the_one_that_answered_is_removed_the_silent_one_is_waited_for(self) -> None:
        world = self.world
        announcer = world.started([world.dead("a", UDP_SILENCE)], [world.live("b")])
        world.pass_time(HEAD_START + 1)
        announcer.remove("b")
        world.pass_time(10)
        self.assertEqual(len(world.trackers["a"].asked), 1)
        world.pass_time(UDP_SILENCE + FIRST_RETRY)
        self.assertEqual(len(world.trackers["a"].asked), 2)
        self.stop(announcer)


def mixes():
    """Tiers of trackers: alive or not at first, alive or not later, and after how long that shows."""
    tracker = st.tuples(st.booleans(), st.booleans(), st.sampled_from([0, 1, 6, 20, 30, 45]))
    return st.lists(st.lists(tracker, min_size=1, max_size=4), min_size=1, max_size=6)


class MixedTests(SynchronousTestCase):
    @settings(max_examples=runs(60, 2000), deadline=None)
    @given(mixes(), st.booleans(), st.integers(0, 1000))
    def test_whoever_is_alive_is_found_and_nobody_is_pestered(self, mix, private, seed) -> None:
        world = World()
        tiers, later = [], {}
        for n, tier in enumerate(mix):
            tiers.append([])
            for m, (alive, then_alive, after) in enumerate(tier):
                url = f"{n}.{m}"
                tiers[-1].append(world.live(url, after) if alive else world.dead(url, after))
                later[url] = then_alive
        announcer = world.started(*tiers, seed=seed, private=private)
        trackers = world.trackers.values()
        a_pass = sum(tracker.after for tracker in trackers) + 1

        world.pass_time(a_pass)
        self.assertEqual(
            any(tracker.answered for tracker in trackers), any(tracker.alive for tracker in trackers)
        )
        met = list(dict.fromkeys(url for _, url in world.log))
        self.assertEqual(met, world.order[: len(met)])  # nobody before those who stand in front of it

        for tracker in trackers:
            tracker.alive = later[tracker.url]
        changed_at = world.clock.seconds()
        world.pass_time(MAX_RETRY + 2 * a_pass)
        self.assertEqual(
            any(tracker.answered and tracker.answered[-1] > changed_at for tracker in trackers),
            any(tracker.alive for tracker in trackers),
        )

        self.assertLessEqual(world.most, 1 if private else MOST_ASKED)
        for tracker in trackers:
            for at, then in pairwise(tracker.times):
                answered = at + tracker.after in tracker.answered
                wait = tracker.interval if answered else FIRST_RETRY * (1 - RETRY_SPREAD)
                self.assertGreaterEqual(then, at + tracker.after + wait)
        stopped = announcer.stop()
        world.clock.advance(10)
        self.successResultOf(stopped)
        self.assertEqual(world.clock.getDelayedCalls(), [])
