"""Patience with many, by one timer."""

from __future__ import annotations

import random

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bittwist.net.deadlines import Deadlines
from tests.scale import SEED


class DeadlinesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.late: list[tuple[str, float]] = []
        self.deadlines: Deadlines[str] = Deadlines(
            self.clock, 10, lambda who: self.late.append((who, self.clock.seconds()))
        )

    def test_each_has_its_time_and_one_timer_does_for_all(self) -> None:
        for who in "abc":
            self.deadlines.begin(who)
            self.assertEqual(len(self.clock.getDelayedCalls()), 1)
            self.clock.advance(1)
        self.clock.pump([0.5] * 30)
        self.assertEqual(self.late, [("a", 10), ("b", 11), ("c", 12)])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_who_is_done_is_not_late(self) -> None:
        self.deadlines.begin("a")
        self.deadlines.begin("b")
        self.deadlines.end("a")
        self.deadlines.end("nobody")
        self.clock.advance(10)
        self.assertEqual(self.late, [("b", 10)])

    def test_the_last_to_be_done_takes_the_timer_along(self) -> None:
        self.deadlines.begin("a")
        self.deadlines.end("a")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_who_begins_again_has_all_its_time_again(self) -> None:
        self.deadlines.begin("a")
        self.deadlines.begin("b")
        self.clock.advance(9)
        self.deadlines.begin("a")
        self.clock.pump([1] * 12)
        self.assertEqual(self.late, [("b", 10), ("a", 19)])

    def test_who_is_late_may_end_others_and_begin_again(self) -> None:
        deadlines: Deadlines[str] = Deadlines(self.clock, 10, lambda who: (told(who), None)[1])

        def told(who: str) -> None:
            self.late.append((who, self.clock.seconds()))
            deadlines.end("b")
            if len(self.late) < 3:
                deadlines.begin("a")

        deadlines.begin("a")
        self.clock.advance(5)
        deadlines.begin("b")
        self.clock.pump([5] * 10)
        self.assertEqual(self.late, [("a", 10), ("a", 20), ("a", 30)])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_the_longest_waited_for(self) -> None:
        self.assertIsNone(self.deadlines.longest())
        self.deadlines.begin("a")
        self.clock.advance(2)
        self.deadlines.begin("b")
        self.assertEqual(self.deadlines.longest(), "a")
        self.assertEqual(self.deadlines.longest(2), "a")
        self.assertIsNone(self.deadlines.longest(2.1))

    def test_against_a_timer_for_each(self) -> None:
        rng = random.Random(SEED)
        due: dict[str, float] = {}
        expected = []
        for _ in range(5_000):
            now = self.clock.seconds()
            who = rng.choice("abcdefgh")
            if rng.random() < 0.5:
                self.deadlines.begin(who)
                due[who] = now + 10
            elif rng.random() < 0.5:
                self.deadlines.end(who)
                due.pop(who, None)
            step = rng.choice([0, 0.25, 1, 3])
            for who, at in sorted(due.items(), key=lambda item: item[1]):
                if at <= now + step:
                    expected.append(who)
                    del due[who]
            self.clock.advance(step)
            self.assertEqual(len(self.deadlines), len(due))
        self.assertEqual(sorted(who for who, _ in self.late), sorted(expected))
        self.assertEqual(bool(self.clock.getDelayedCalls()), bool(due))
