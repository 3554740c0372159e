"""Pieces that are needed by a certain time: of whom, in what order, and again when late."""

from __future__ import annotations

from random import Random

from bittwist.metainfo.bitfield import Bitfield
from bittwist.metainfo.geometry import BLOCK, Geometry
from bittwist.swarm.deadlines import LATE, LATE_PAST, MAX_DEADLINES, Deadlines
from bittwist.swarm.picker import Picker
from tests.swarm.single import flying, received, seed_joins

FAST, SLOW, OTHER = 1, 2, 3


def picker(pieces: int = 8, blocks: int = 4, max_active: int = 8) -> Picker:
    geometry = Geometry(blocks * BLOCK, pieces * blocks * BLOCK)
    made = Picker(geometry, Random(1), max_active=max_active, random_first=0)
    for key in (FAST, SLOW, OTHER):
        seed_joins(made, key)
    return made


def pieces_of(blocks: list[tuple[int, int, int]]) -> list[int]:
    return [block[0] for block in blocks]


def test_the_soonest_piece_goes_first_and_before_what_a_peer_is_at() -> None:
    picks = picker()
    begun = picks.pick(FAST, 2, now=0.0)[0][0]
    late, soon = (
        (index for index in range(8) if index != begun and index in (2, 3, 4))
        if begun in (2, 3, 4)
        else (2, 3)
    )
    picks.deadlines.add(late, 20.0)
    picks.deadlines.add(soon, 10.0)
    assert pieces_of(picks.pick(FAST, 10, now=0.0)) == [soon] * 4 + [late] * 4 + [begun] * 2


def test_several_peers_share_a_piece_with_a_deadline() -> None:
    picks = picker()
    picks.deadlines.add(5, 10.0)
    blocks = [block for key in (FAST, SLOW, OTHER) for block in picks.pick(key, 1, now=0.0)]
    assert blocks == [(5, begin * BLOCK, BLOCK) for begin in range(3)]


def test_a_slow_peer_is_not_asked_while_a_faster_one_has_the_piece() -> None:
    picks = picker()
    picks.deadlines.add(5, 10.0)
    picks.deadlines.measured({FAST: 1000.0, SLOW: 100.0, OTHER: 600.0})
    assert 5 not in pieces_of(picks.pick(SLOW, 4, now=0.0))
    assert pieces_of(picks.pick(OTHER, 2, now=0.0)) == [5, 5]
    assert pieces_of(picks.pick(FAST, 2, now=0.0)) == [5, 5]
    picks.left(FAST)
    picks.left(OTHER)
    picks.deadlines.measured({SLOW: 100.0})
    assert pieces_of(picks.pick(SLOW, 4, now=0.0)) == [5, 5, 5, 5]


def test_a_block_that_is_late_is_asked_of_another() -> None:
    picks = picker()
    picks.deadlines.add(5, 10.0)
    assert pieces_of(picks.pick(OTHER, 4, now=0.0)) == [5] * 4
    assert 5 not in pieces_of(picks.pick(FAST, 1, now=LATE - 0.1))
    assert picks.pick(FAST, 1, now=LATE) == [(5, 0, BLOCK)]
    assert 5 not in pieces_of(picks.pick(OTHER, 4, now=LATE)), "nobody is asked twice for a block"


def test_once_the_deadline_has_passed_patience_is_shorter() -> None:
    picks = picker()
    picks.deadlines.add(5, 1.0)
    picks.pick(OTHER, 4, now=1.0)
    assert pieces_of(picks.pick(FAST, 4, now=1.0 + LATE_PAST)) == [5] * 4


def test_it_is_begun_though_the_bound_is_reached_and_only_one_more() -> None:
    picks = picker(max_active=1)
    first = picks.pick(FAST, 1, now=0.0)[0][0]
    one, two = [index for index in range(8) if index != first][:2]
    picks.deadlines.add(one, 1.0)
    picks.deadlines.add(two, 2.0)
    assert set(pieces_of(picks.pick(OTHER, 20, now=0.0))) == {one, first}
    assert flying(picks) == 2


def test_a_piece_that_is_here_or_not_wanted_is_passed_over() -> None:
    picks = picker(2)
    picks.deadlines.add(0, 1.0)
    for index, begin, _ in picks.pick(FAST, 4, now=0.0):
        if received(picks, FAST, index, begin).complete:
            picks.verified(index)
    assert list(picks.deadlines) == []
    picks.prioritise(bytes([4, 0]))
    picks.deadlines.add(1, 1.0)
    assert picks.pick(FAST, 4, now=0.0) == []


def test_a_piece_that_nobody_has_waits_and_holds_nothing_up() -> None:
    geometry = Geometry(BLOCK, 2 * BLOCK)
    picks = Picker(geometry, Random(1), max_active=2)
    has = Bitfield(2)
    has.add(1)
    picks.joined(FAST, has)
    picks.deadlines.add(0, 1.0)
    assert pieces_of(picks.pick(FAST, 4, now=5.0)) == [1]


def test_there_are_never_more_deadlines_than_the_bound() -> None:
    deadlines = Deadlines()
    for index in range(MAX_DEADLINES + 5):
        deadlines.add(index, float(-index))
    assert len(list(deadlines)) == MAX_DEADLINES
    assert 0 not in list(deadlines)
