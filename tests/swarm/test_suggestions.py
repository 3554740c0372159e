"""What peers suggest to us, and what we suggest to them."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from bittwist.metainfo.bitfield import Bitfield
from bittwist.metainfo.geometry import BLOCK, Geometry
from bittwist.swarm.picker import Picker
from bittwist.swarm.suggestions import MAX_SUGGESTED, Suggested, Suggesting


def any_(_index):
    return True


def test_the_newest_suggestion_comes_first_and_only_so_many_are_kept():
    suggested = Suggested()
    for index in range(MAX_SUGGESTED + 4):
        suggested.add(1, index)
    assert suggested.next(1, any_) == MAX_SUGGESTED + 3
    assert suggested.next(1, lambda index: index < 4) is None
    assert suggested.next(1, lambda index: index < 6) == 5
    assert suggested.next(2, any_) is None


def test_said_again_a_suggestion_is_new_again():
    suggested = Suggested()
    for index in (1, 2, 1):
        suggested.add(1, index)
    assert suggested.next(1, any_) == 1


def test_what_a_peer_that_left_suggested_is_forgotten():
    suggested = Suggested()
    suggested.add(1, 5)
    suggested.left(1)
    assert suggested.next(1, any_) is None


def test_a_new_piece_is_one_that_the_peer_suggests_if_it_has_it_and_it_is_wanted():
    picker = Picker(Geometry(BLOCK, 100 * BLOCK), Random(1), max_active=50)
    have, has = Bitfield(100), Bitfield.full(100)
    have.add(9)
    has.discard(7)
    picker.restore(have)
    picker.joined(1, has)
    picker.joined(2, Bitfield.full(100))
    for index in (42, 9, 7):
        picker.suggested(1, index)
    assert [block[0] for block in picker.pick(1, 1, now=0.0)] == [42]
    rest = {block[0] for block in picker.pick(1, 90, now=0.0)}
    assert not rest & {42, 9, 7}


def test_in_order_is_in_order_whatever_is_suggested():
    picker = Picker(Geometry(BLOCK, 10 * BLOCK), Random(1), max_active=50)
    picker.prioritise(bytes([4]) * 10, sequential=True)
    picker.joined(1, Bitfield.full(10))
    picker.suggested(1, 5)
    assert [block[0] for block in picker.pick(1, 2, now=0.0)] == [0, 1]


@given(st.lists(st.integers(0, 40), max_size=100), st.sets(st.integers(0, 40)), st.sets(st.integers(0, 40)))
def test_nothing_is_suggested_twice_nor_what_a_peer_has_or_has_asked_for(read, has, owed):
    suggesting = Suggesting()
    bitfield = Bitfield(41)
    for index in has:
        bitfield.add(index)
    for index in read:
        suggesting.at_hand(index)
    told = []
    while (index := suggesting.next(1, bitfield, owed)) is not None:
        told.append(index)
    assert len(set(told)) == len(told) <= MAX_SUGGESTED
    assert set(told) == set(list(dict.fromkeys(reversed(read)))[:MAX_SUGGESTED]) - has - owed


def test_who_left_is_told_anew():
    suggesting = Suggesting()
    suggesting.at_hand(3)
    none = Bitfield(5)
    assert [suggesting.next(1, none, ()) for _ in range(2)] == [3, None]
    suggesting.left(1)
    assert suggesting.next(1, none, ()) == 3
