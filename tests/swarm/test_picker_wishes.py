"""What the picker does with what is wanted, while that changes."""

from bittwist.metainfo.bitfield import Bitfield
from bittwist.metainfo.geometry import BLOCK
from bittwist.swarm.picker import PieceState
from tests.swarm.single import flying, received, seed_joins
from tests.swarm.test_picker import ALICE, BOB, CAROL, fetch, having, picker


def test_unwanted_pieces_are_never_asked_for_and_make_nobody_interesting() -> None:
    picks = picker(4)
    picks.prioritise(bytes([0, 4, 0, 0]))
    picks.joined(ALICE, having(4, 0, 2))
    seed_joins(picks, BOB)
    assert not picks.interesting(ALICE) and picks.interesting(BOB)
    assert picks.pick(ALICE, 9, now=0.0) == []
    assert {block[0] for block in fetch(picks, BOB)} == {1}
    assert picks.complete and not picks.interesting(BOB)
    picks.prioritise(bytes([4, 4, 0, 0]))
    assert not picks.complete and picks.interesting(ALICE)
    assert {block[0] for block in picks.pick(ALICE, 9, now=0.0)} == {0}


def test_what_is_wanted_most_goes_first_however_common() -> None:
    picks = picker(6, blocks=1)
    picks.joined(BOB, having(6, 3, 4))
    seed_joins(picks, ALICE)
    picks.prioritise(bytes([1, 1, 4, 7, 7, 8]))
    order = [block[0] for block in picks.pick(ALICE, 6, now=0.0)]
    assert order[0] == 5 and set(order[1:3]) == {3, 4} and order[3] == 2 and set(order[4:]) == {0, 1}


def test_in_order_the_first_pieces_go_first_within_a_priority() -> None:
    picks = picker(6, blocks=1, random_first=4)
    picks.joined(BOB, having(6, 0, 1))
    seed_joins(picks, ALICE)
    picks.prioritise(bytes([4, 4, 4, 4, 7, 7]), sequential=True)
    assert [block[0] for block in picks.pick(ALICE, 6, now=0.0)] == [4, 5, 0, 1, 2, 3]


def test_a_piece_that_is_not_wanted_any_more_keeps_its_blocks_until_it_is_again() -> None:
    picks = picker(2)
    seed_joins(picks, ALICE)
    picks.prioritise(bytes([7, 4]))
    asked = picks.pick(ALICE, 2, now=0.0)
    received(picks, ALICE, *asked[0][:2])
    picks.prioritise(bytes([0, 4]))
    assert picks.forgotten() == []
    assert {block[0] for block in picks.pick(ALICE, 4, now=0.0)} == {1}
    received(picks, ALICE, *asked[1][:2])  # it was on its way
    picks.prioritise(bytes([7, 4]))
    assert picks.pick(ALICE, 2, now=0.0) == [(0, 2 * BLOCK, BLOCK), (0, 3 * BLOCK, BLOCK)]


def test_blocks_of_an_unwanted_piece_that_are_given_back_are_asked_of_nobody() -> None:
    picks = picker(2)
    seed_joins(picks, ALICE)
    seed_joins(picks, BOB)
    picks.prioritise(bytes([7, 4]))
    asked = picks.pick(ALICE, 4, now=0.0)
    received(picks, ALICE, *asked[0][:2])
    picks.prioritise(bytes([0, 4]))
    picks.released(ALICE, asked[1:])
    assert {block[0] for block in picks.pick(BOB, 100, now=100.0)} == {1}


def test_an_unwanted_piece_makes_room_and_is_given_up_when_all_else_is_there() -> None:
    for max_active in (1, 2):
        picks = picker(2, max_active=max_active)
        seed_joins(picks, ALICE)
        picks.prioritise(bytes([7, 4]))
        asked = picks.pick(ALICE, 2, now=0.0)
        received(picks, ALICE, *asked[0][:2])
        picks.prioritise(bytes([0, 4]))
        assert {block[0] for block in fetch(picks, ALICE)} == {1}
        assert picks.complete and picks.forgotten() == [0] and flying(picks) == 0
        assert picks.state(0) is PieceState.UNWANTED


def test_a_piece_nothing_was_done_for_is_given_up_at_once() -> None:
    picks = picker(2)
    seed_joins(picks, ALICE)
    picks.prioritise(bytes([7, 4]))
    picks.released(ALICE, picks.pick(ALICE, 2, now=0.0))
    picks.prioritise(bytes([0, 4]))
    assert picks.forgotten() == [0]


def test_unwanted_pieces_in_flight_do_not_keep_the_end_game_away() -> None:
    picks = picker(3)
    for key in (ALICE, BOB, CAROL):
        seed_joins(picks, key)
    picks.prioritise(bytes([8, 7, 4]))
    whole = picks.pick(CAROL, 4, now=0.0)
    for block in whole:
        received(picks, CAROL, *block[:2])
    picks.pick(ALICE, 2, now=0.0)
    picks.prioritise(bytes([0, 0, 4]))
    picks.pick(BOB, 4, now=0.0)
    assert picks.endgame
    assert {block[0] for block in picks.pick(ALICE, 9, now=0.0)} == {2}


def test_a_reserved_piece_that_is_not_wanted_any_more_is_reserved_for_nobody() -> None:
    picks = picker(1)
    seed_joins(picks, ALICE)
    seed_joins(picks, BOB)
    for block in picks.pick(ALICE, 4, now=0.0):
        received(picks, ALICE, *block[:2])
    picks.failed(0)
    picks.reserve(0, ALICE)
    picks.prioritise(bytes([0]))
    picks.prioritise(bytes([4]))
    assert len(picks.pick(BOB, 4, now=0.0)) == 4


def test_a_row_of_pieces_ends_where_something_else_is_wanted_more() -> None:
    picks = picker(6, blocks=1)
    picks.joined(ALICE, Bitfield.full(6), in_rows=True)
    picks.prioritise(bytes([7, 4, 4, 4, 4, 4]))
    assert [block[0] for block in picks.pick(ALICE, 2, now=0.0)] == [0, 1]
    picks.prioritise(bytes([4, 4, 4, 4, 7, 4]))
    assert [block[0] for block in picks.pick(ALICE, 2, now=0.0)] == [4, 5]
