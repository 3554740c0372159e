"""A source that is asked for pieces in rows, so that one request gets many (BEP 19)."""

from itertools import pairwise
from random import Random

from bittwist.metainfo.bitfield import Bitfield
from bittwist.metainfo.geometry import BLOCK, Geometry
from bittwist.swarm.picker import Picker

GEOMETRY = Geometry(2 * BLOCK, 64 * 2 * BLOCK)


def picker(seed=1, have=(), **more):
    made = Picker(GEOMETRY, Random(seed), max_active=64, **more)
    mine = Bitfield(64)
    for index in have:
        mine.add(index)
    made.restore(mine)
    return made


def pieces(blocks):
    return list(dict.fromkeys(index for index, _, _ in blocks))


def test_a_row_runs_on_to_the_end_or_to_what_is_there_and_another_begins():
    for seed in range(20):
        ours = picker(seed, have=(10, 30))
        ours.joined(1, Bitfield.full(64), in_rows=True)
        asked = pieces(ours.pick(1, 1000, now=0.0))
        assert sorted(asked) == [index for index in range(64) if index not in (10, 30)]
        breaks = [one for one, other in pairwise(asked) if other != one + 1]
        assert len(breaks) <= 5, asked


def test_a_row_goes_on_with_the_next_question():
    ours = picker()
    ours.joined(1, Bitfield.full(64), in_rows=True)
    first = pieces(ours.pick(1, 6, now=0.0))
    second = pieces(ours.pick(1, 6, now=0.0))
    assert second == list(range(first[-1] + 1, first[-1] + 4)) or 63 in (*first, *second)


def test_a_row_does_not_run_into_what_others_are_asked_for_or_it_has_not():
    has = Bitfield(64)
    for index in (*range(20), *range(40, 50)):
        has.add(index)
    ours = picker()
    ours.joined(1, has, in_rows=True)
    ours.joined(2, Bitfield.full(64))
    others = pieces(ours.pick(2, 2 * 20, now=0.0))
    asked = pieces(ours.pick(1, 1000, now=0.0))
    assert set(asked).isdisjoint(others)
    assert set(asked) == set(has) - set(others)


def test_who_is_not_asked_in_rows_is_asked_for_the_rarest():
    ours = picker(random_first=0)
    rare = Bitfield(64)
    for index in range(0, 64, 2):
        rare.add(index)
    ours.joined(2, rare)
    ours.joined(1, Bitfield.full(64))
    assert all(index % 2 for index in pieces(ours.pick(1, 2 * 32, now=0.0)))


def test_a_row_is_forgotten_with_who_was_asked():
    ours = picker(random_first=0)
    ours.joined(1, Bitfield.full(64), in_rows=True)
    ours.pick(1, 2, now=0.0)
    ours.left(1)
    ours.joined(1, Bitfield.full(64))
    starts = {pieces(ours.pick(1, 2, now=0.0))[0] for _ in range(20)}
    assert len(starts) > 1
