"""How deep a pipeline is, and what becomes of what was asked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bittwist.metainfo.geometry import BLOCK
from bittwist.swarm.pipeline import ASSUMED_REQQ, Pipeline, PipelineSettings
from tests.swarm.single import was_asked


def blocks(count: int, first: int = 0) -> list[tuple[int, int, int]]:
    return [(0, number * BLOCK, BLOCK) for number in range(first, first + count)]


def stream(pipeline: Pipeline, *, rate: float, delay: float, seconds: float, start: float = 0.0) -> float:
    """A peer that sends `rate` bytes/s, `delay` seconds after it was asked; the time when that ends."""
    now, free_at, asked, sent = start, start, [], 0
    while now < start + seconds:
        more = [(1, (sent + number) * BLOCK, BLOCK) for number in range(pipeline.room(now))]
        sent += len(more)
        pipeline.requested(more, now)
        for block in more:
            free_at = max(free_at, now + delay) + BLOCK / rate
            asked.append((free_at, block))
        now, (index, begin, _) = asked.pop(0)
        assert was_asked(pipeline, index, begin, now)
    return now


def test_a_pipeline_starts_small() -> None:
    assert Pipeline().room(0.0) == 4


@pytest.mark.parametrize(
    ("rate", "delay", "least", "most"),
    [
        (10e3, 0.1, 4, 4),  # a slow peer: the least there is
        (1e6, 0.1, 100, 150),  # 2.1 s of it
        (1e6, 1.0, 150, 220),  # far away: as much more as is on its way
        (100e6, 0.02, ASSUMED_REQQ, ASSUMED_REQQ),  # fast: what the peer queues
    ],
)
def test_the_depth_follows_rate_and_delay(rate: float, delay: float, least: int, most: int) -> None:
    pipeline = Pipeline()
    now = stream(pipeline, rate=rate, delay=delay, seconds=20)
    assert least <= pipeline.depth(now) <= most


def test_a_fast_peer_is_asked_for_enough_within_a_few_round_trips() -> None:
    pipeline = Pipeline()
    pipeline.limit(2000)
    now = stream(pipeline, rate=100e6, delay=0.05, seconds=0.6)
    assert pipeline.depth(now) == PipelineSettings().max


@given(st.integers(1, 1000), st.floats(1e3, 1e9), st.floats(0.0001, 2))
def test_the_depth_stays_within_its_bounds(reqq: int, rate: float, delay: float) -> None:
    pipeline = Pipeline()
    pipeline.limit(reqq)
    now = stream(pipeline, rate=rate, delay=delay, seconds=min(5, 400 * BLOCK / rate))
    settings = PipelineSettings()
    assert 1 <= pipeline.depth(now) <= min(reqq, settings.max)
    assert pipeline.outstanding <= min(reqq, settings.max)


def test_what_was_never_asked_for_is_counted_as_that() -> None:
    pipeline = Pipeline()
    assert not was_asked(pipeline, 0, 0, 1.0)
    assert (pipeline.unrequested, pipeline.late) == (1, 0)


def test_a_block_that_comes_after_its_cancel_was_asked_for_once() -> None:
    pipeline = Pipeline()
    pipeline.requested(blocks(2), 0.0)
    pipeline.cancelled(0, 0)
    assert pipeline.outstanding == 1
    assert was_asked(pipeline, 0, 0, 1.0)
    assert pipeline.late == 1
    assert not was_asked(pipeline, 0, 0, 1.0)


def test_a_choke_empties_the_pipeline_and_late_blocks_are_tolerated() -> None:
    pipeline = Pipeline()
    pipeline.requested(blocks(3), 0.0)
    assert pipeline.clear() == blocks(3)
    assert pipeline.outstanding == 0 and not pipeline.snubbed(1000.0)
    assert was_asked(pipeline, 0, BLOCK, 1.0)


def test_late_blocks_are_remembered_up_to_a_bound() -> None:
    settings = PipelineSettings(max=10)
    pipeline = Pipeline(settings)
    for first in range(0, 30, 10):
        pipeline.requested(blocks(10, first), 0.0)
        pipeline.clear()
    assert not was_asked(pipeline, 0, 9 * BLOCK, 1.0)  # the oldest ten are forgotten
    assert was_asked(pipeline, 0, 10 * BLOCK, 1.0)


def test_a_reject_of_what_is_expected_is_known_from_one_that_is_of_no_account() -> None:
    pipeline = Pipeline()
    pipeline.requested(blocks(2), 0.0)
    assert not pipeline.rejected(0, 0, 5)
    assert pipeline.rejected(0, 0, BLOCK)
    assert not pipeline.rejected(0, 0, BLOCK)
    pipeline.cancelled(0, BLOCK)
    assert not pipeline.rejected(0, BLOCK, BLOCK)  # how BEP 6 answers a Cancel
    assert not pipeline.came([(0, BLOCK, b"")], 1.0), "it is not to come late either"
    assert pipeline.outstanding == 0


def test_a_peer_that_sends_nothing_for_a_minute_snubs_us() -> None:
    pipeline = Pipeline()
    pipeline.requested(blocks(4), 100.0)
    assert not pipeline.snubbed(159.0)
    assert pipeline.snubbed(160.0)
    assert pipeline.timed_out(160.0) == blocks(4)
    assert pipeline.snubbed(161.0), "giving up does not clear the peer"
    assert pipeline.room(161.0) == 1, "but it may show that it has changed"
    pipeline.requested(blocks(1, 9), 161.0)
    assert pipeline.timed_out(162.0) == []
    assert was_asked(pipeline, 0, 9 * BLOCK, 163.0)
    assert not pipeline.snubbed(163.0)
    assert pipeline.room(163.0) >= 4


def test_a_slow_peer_that_keeps_sending_is_not_snubbing() -> None:
    pipeline = Pipeline()
    now = 0.0
    pipeline.requested(blocks(4), now)
    for number in range(20):
        now += 55.0
        assert not pipeline.snubbed(now)
        assert was_asked(pipeline, 0, number * BLOCK, now)
        pipeline.requested(blocks(1, number + 4), now)


def test_a_block_that_is_passed_over_is_given_up_in_the_end() -> None:
    pipeline = Pipeline()
    pipeline.requested(blocks(1), 0.0)
    for second in range(1, 130):
        pipeline.requested(blocks(1, second), float(second))
        assert was_asked(pipeline, 0, second * BLOCK, second + 0.5)
        overdue = pipeline.timed_out(second + 0.5)
        assert overdue == ([] if second != 120 else blocks(1))


def test_who_was_asked_for_nothing_owes_nothing() -> None:
    pipeline = Pipeline()
    pipeline.requested(blocks(1), 0.0)
    was_asked(pipeline, 0, 0, 1.0)
    assert not pipeline.snubbed(500.0)
    assert pipeline.timed_out(500.0) == []


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("ask"), st.integers(0, 12), st.integers(1, 6)),
            st.tuples(st.just("cancel"), st.integers(0, 12), st.just(0)),
            st.tuples(st.just("choke"), st.just(0), st.just(0)),
            st.tuples(st.just("come"), st.lists(st.integers(0, 15), max_size=8), st.just(0)),
        ),
        max_size=25,
    )
)
def test_blocks_in_a_row_count_as_they_would_one_by_one(steps: list[tuple[str, object, int]]) -> None:
    together, apart = Pipeline(PipelineSettings(max=5)), Pipeline(PipelineSettings(max=5))
    now = 0.0
    for step, what, count in steps:
        now += 0.25
        if step == "come":
            assert isinstance(what, list)
            arrived = [(0, number * BLOCK, b"") for number in what]
            asked = [block for block in arrived if was_asked(apart, *block[:2], now)]
            assert together.came(arrived, now) == asked
        elif step == "choke":
            assert together.clear() == apart.clear()
        for pipeline in together, apart:
            if step == "ask":
                assert isinstance(what, int)
                pipeline.requested(blocks(count, what), now)
            elif step == "cancel":
                assert isinstance(what, int)
                pipeline.cancelled(0, what * BLOCK)
        for of in ("outstanding", "late", "unrequested"):
            assert getattr(together, of) == getattr(apart, of)
        assert together.rate.per_second(now) == apart.rate.per_second(now)
        assert together.depth(now) == apart.depth(now)
        for later in (now + 59.0, now + 60.0):
            assert together.snubbed(later) == apart.snubbed(later)
    assert together.timed_out(now + 130.0) == apart.timed_out(now + 130.0)
