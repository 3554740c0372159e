"""Counting pieces, and the order of rarity, against what is counted by hand."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from bittwist.metainfo.bitfield import Bitfield
from bittwist.swarm.availability import Availability
from bittwist.swarm.rarest import LOOKS, SWEEP, Rarest


def bitfield(num_pieces: int, *indices: int) -> Bitfield:
    field = Bitfield(num_pieces)
    for index in indices:
        field.add(index)
    return field


@given(st.integers(1, 200), st.data())
def test_counts_are_those_of_the_peers_that_are_there(num_pieces: int, data: st.DataObject) -> None:
    availability = Availability(num_pieces)
    here: list[Bitfield] = []
    for _ in range(data.draw(st.integers(0, 12))):
        if here and data.draw(st.booleans()):
            availability.remove(here.pop(data.draw(st.integers(0, len(here) - 1))))
        else:
            indices = data.draw(st.sets(st.integers(0, num_pieces - 1)))
            here.append(bitfield(num_pieces, *indices))
            availability.add(here[-1])
    assert [availability[index] for index in range(num_pieces)] == [
        sum(index in field for field in here) for index in range(num_pieces)
    ]


def test_a_seed_costs_one_number() -> None:
    availability = Availability(8)
    counts = availability.partial
    availability.add(Bitfield.full(8))
    assert availability.partial is counts and availability.seeds == 1 and availability[3] == 1
    availability.remove(Bitfield.full(8))
    assert availability.seeds == 0


def test_a_peer_that_completes_becomes_a_seed() -> None:
    availability = Availability(3)
    availability.add(bitfield(3, 0, 1))
    availability.have(2)
    availability.completed()
    assert availability.seeds == 1 and availability.partial == [0, 0, 0]


def test_the_rarest_piece_of_a_peer_is_picked() -> None:
    availability = Availability(6)
    rarest = Rarest(availability, Bitfield.full(6))
    for index, count in enumerate((3, 1, 2, 5, 1, 4)):
        for _ in range(count):
            availability.have(index)
            rarest.moved(index)
    assert {rarest.pick(Bitfield.full(6), Random(seed)) for seed in range(20)} == {1, 4}
    assert rarest.pick(bitfield(6, 0, 2, 3), Random(1)) == 2
    rarest.discard(2)
    assert rarest.pick(bitfield(6, 0, 2, 3), Random(1)) == 0


def test_a_peer_without_a_wanted_piece_has_none_to_pick() -> None:
    rarest = Rarest(Availability(4), bitfield(4, 0))
    assert rarest.pick(bitfield(4, 1, 2), Random(1)) is None
    assert rarest.by_chance(bitfield(4, 1, 2), Random(1)) is None


def test_a_peer_with_one_common_piece_among_very_many_is_given_it() -> None:
    num_pieces = 10 * LOOKS
    availability = Availability(num_pieces)
    rarest = Rarest(availability, Bitfield.full(num_pieces))
    for index in range(num_pieces):
        availability.have(index)
        rarest.moved(index)
    availability.have(77)
    rarest.moved(77)
    assert rarest.pick(bitfield(num_pieces, 77), Random(1)) == 77


def test_after_a_peer_with_many_pieces_came_a_pick_still_finds_every_piece() -> None:
    num_pieces = 3 * SWEEP
    availability = Availability(num_pieces)
    rarest = Rarest(availability, Bitfield.full(num_pieces))
    most = bitfield(num_pieces, *range(num_pieces - 1))
    availability.add(most)
    rarest.all_moved()
    assert rarest.pick(bitfield(num_pieces, 5), Random(1)) == 5  # the sweep has not come to it
    for _ in range(3):
        rarest.pick(most, Random(1))
    assert rarest.pick(Bitfield.full(num_pieces), Random(1)) == num_pieces - 1


@given(st.integers(1, 40), st.data())
def test_the_pick_is_the_rarest_whatever_happened_before(num_pieces: int, data: st.DataObject) -> None:
    availability = Availability(num_pieces)
    rarest = Rarest(availability, Bitfield.full(num_pieces))
    indices = st.integers(0, num_pieces - 1)
    for _ in range(data.draw(st.integers(0, 40))):
        match data.draw(st.sampled_from(["have", "add", "discard", "join"])):
            case "have":
                index = data.draw(indices)
                availability.have(index)
                rarest.moved(index)
            case "add":
                rarest.add(data.draw(indices))
            case "discard":
                rarest.discard(data.draw(indices))
            case "join":
                availability.add(bitfield(num_pieces, *data.draw(st.sets(indices))))
                rarest.all_moved()
    has = bitfield(num_pieces, *data.draw(st.sets(indices, min_size=1)))
    for index in has:  # a peer's own pieces are counted
        availability.have(index)
    rarest.all_moved()
    offered = [index for index in has if index in rarest]
    picked = rarest.pick(has, Random(1))
    if not offered:
        assert picked is None
    else:
        assert picked in offered
        assert availability[picked] == min(availability[index] for index in offered)
        assert len(rarest) == sum(index in rarest for index in range(num_pieces))
