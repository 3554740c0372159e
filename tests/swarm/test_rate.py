"""The moving rate against the sum it stands for."""

from hypothesis import given
from hypothesis import strategies as st

from bittwist.swarm.rate import WINDOW, Rate

STEPS = st.lists(st.tuples(st.floats(0, 20), st.integers(0, 1 << 20)), min_size=1, max_size=60)


def test_nothing_came_so_the_rate_is_nothing() -> None:
    assert Rate().per_second(1000.0) == 0.0


def test_a_steady_stream_has_its_rate() -> None:
    rate = Rate()
    for tick in range(1000):
        rate.add(500, 50 + tick / 10)
    assert abs(rate.per_second(150.0) - 5000) < 50


def test_the_rate_rises_within_the_first_second() -> None:
    rate = Rate()
    rate.add(1 << 20, 7.25)
    assert rate.per_second(7.26) == 1 << 20


def test_a_stream_that_ended_is_forgotten_after_the_window() -> None:
    rate = Rate()
    rate.add(1 << 20, 5.0)
    assert rate.per_second(5.0 + WINDOW - 1) > 0
    assert rate.per_second(5.0 + WINDOW) == 0
    assert rate.total == 1 << 20


@given(STEPS)
def test_the_rate_is_the_bytes_of_the_last_seconds_over_their_time(steps: list[tuple[float, int]]) -> None:
    rate, now, came = Rate(), 1000.0, []
    for passed, count in steps:
        now += passed
        rate.add(count, now)
        came.append((now, count))
    since = now // 1 - WINDOW + 1
    expected = sum(count for at, count in came if at >= since)
    span = max(1.0, min(now - came[0][0], now - since))
    assert abs(rate.per_second(now) - expected / span) < 1e-6 * max(1, expected)
    assert rate.total == sum(count for _, count in came)
