"""How long silence is borne, after the interval was changed."""

from __future__ import annotations

from unittest import TestCase

from hypothesis import given
from hypothesis import strategies as st

from bittwist.tracker import TrackerSettings
from bittwist.tracker.patience import MOST_TERMS, Patience, Term


class PatienceTests(TestCase):
    def test_two_missed_announces_are_borne_jitter_included(self) -> None:
        self.assertEqual(TrackerSettings(interval=1800, jitter=0).expire_after, 3660)
        self.assertEqual(TrackerSettings(interval=1800, jitter=0.1).expire_after, 4020)
        self.assertEqual(TrackerSettings(interval=1800, jitter=1).expire_after, 7260)

    def test_who_was_told_a_longer_interval_is_awaited_for_as_long_as_that_lasts(self) -> None:
        patience = Patience(4000.0)
        patience.change(140.0, now=1000.0)
        self.assertEqual([patience.at(now) for now in (1000.0, 4999.0, 5001.0)], [4000.0, 4000.0, 140.0])

    def test_a_longer_one_holds_at_once_and_alone(self) -> None:
        patience = Patience(140.0)
        patience.change(4000.0, now=1000.0)
        self.assertEqual(patience.at(1000.0), 4000.0)
        self.assertEqual(patience.terms(1000.0), (Term(4000.0, 5000.0),))

    def test_what_a_process_before_this_one_told_holds_too_and_no_longer_than_it_can(self) -> None:
        patience = Patience(140.0)
        patience.keep(Term(4000.0, until=900.0), now=1000.0)
        self.assertEqual(patience.at(1000.0), 140.0, "it is over")
        patience.keep(Term(4000.0, until=2000.0), now=1000.0)
        self.assertEqual([patience.at(now) for now in (1000.0, 2001.0)], [4000.0, 140.0])
        patience.keep(Term(4000.0, until=1e12), now=1000.0)
        self.assertEqual([patience.at(now) for now in (4999.0, 5001.0)], [4000.0, 140.0])

    @given(st.lists(st.tuples(st.integers(1, 500), st.integers(0, 300)), max_size=60))
    def test_nobody_is_given_up_before_what_it_was_told_is_over(self, changes: list[tuple[int, int]]) -> None:
        now = 0.0
        patience = Patience(100.0)
        told = [(100.0, now)]  # what held until when
        for seconds, later in changes:
            now += later
            told[-1] = (told[-1][0], now)
            patience.change(float(seconds), now=now)
            told.append((float(seconds), now))
            self.assertGreaterEqual(
                patience.at(now), max(after for after, until in told if until + after > now or until == now)
            )
            self.assertLessEqual(len(patience.terms(now)), MOST_TERMS + 1)
            self.assertLessEqual(patience.at(now), max(after for after, _ in told))
        self.assertEqual(patience.at(now + 501), told[-1][0])
