"""How fast counts grow."""

from __future__ import annotations

import pytest

from bittwist.tracker.rates import MAX_SAMPLES, SAMPLE_EVERY, WINDOW, Rates


def test_a_rate_is_of_the_last_window() -> None:
    rates = Rates()
    for step in range(100):
        rates.sample({"announces": 50 * step if step < 50 else 2450}, now=step * SAMPLE_EVERY)
    assert rates.per_second("announces") == 0
    rates.sample({"announces": 2450 + 600}, now=100 * SAMPLE_EVERY)
    assert rates.per_second("announces") == 600 / WINDOW


def test_a_young_tracker_has_a_rate_since_its_start() -> None:
    rates = Rates()
    assert rates.per_second("announces") == 0
    rates.sample({}, now=100.0)
    assert rates.per_second("announces") == 0
    rates.sample({"announces": 20}, now=110.0)
    assert rates.per_second("announces") == 2


def test_samples_that_came_late_count_with_their_own_times() -> None:
    rates = Rates()
    rates.sample({"announces": 0}, now=0.0)
    rates.sample({"announces": 10}, now=5.0)
    rates.sample({"announces": 40}, now=20.0)
    assert rates.history("announces") == (2, 2)


def test_two_samples_at_once_divide_by_nothing() -> None:
    rates = Rates()
    rates.sample({"announces": 0}, now=1.0)
    rates.sample({"announces": 9}, now=1.0)
    assert rates.per_second("announces") == 0
    assert rates.history("announces") == ()


def test_after_a_pause_longer_than_the_window_there_is_a_rate_since_the_sample_before() -> None:
    rates = Rates()
    rates.sample({"announces": 0}, now=0.0)
    rates.sample({"announces": 500}, now=500.0)
    assert rates.per_second("announces") == pytest.approx(1.0)


def test_the_history_is_bounded() -> None:
    rates = Rates()
    for step in range(3 * MAX_SAMPLES):
        rates.sample({"announces": step}, now=float(step))
    assert len(rates.history("announces")) == MAX_SAMPLES - 1
