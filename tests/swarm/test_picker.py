"""Whom the picker asks for what, case by case."""

from random import Random

import pytest

from bittwist.errors import LocalProtocolError
from bittwist.metainfo.bitfield import Bitfield
from bittwist.metainfo.geometry import BLOCK, Geometry
from bittwist.swarm.picker import OVERDUE, OVERDUE_AT_BOUND, Picker, PieceState
from bittwist.swarm.requests import MAX_COPIES, MAX_HASTY
from bittwist.swarm.reservations import RESERVED_FOR
from tests.swarm.single import flying, received, seed_joins

ALICE, BOB, CAROL, DAVE = 1, 2, 3, 4


def picker(
    pieces: int = 8, blocks: int = 4, *, max_active: int = 8, random_first: int = 0, short: int = 0
) -> Picker:
    geometry = Geometry(blocks * BLOCK, pieces * blocks * BLOCK - short)
    return Picker(geometry, Random(1), max_active=max_active, random_first=random_first)


def having(pieces: int, *indices: int) -> Bitfield:
    bitfield = Bitfield(pieces)
    for index in indices:
        bitfield.add(index)
    return bitfield


def fetch(picks: Picker, key: int, count: int = 1000, *, now: float = 0.0) -> list[tuple[int, int, int]]:
    """Ask a peer for blocks, and they all come."""
    blocks = picks.pick(key, count, now=now)
    for index, begin, _ in blocks:
        if received(picks, key, index, begin).complete:
            picks.verified(index)
    return blocks


# One peer


def test_a_seed_is_asked_for_whole_pieces_in_block_order() -> None:
    picks = picker()
    seed_joins(picks, ALICE)
    blocks = picks.pick(ALICE, 3, now=0.0) + picks.pick(ALICE, 9, now=0.0)
    for at in (0, 4, 8):
        index = blocks[at][0]
        assert blocks[at : at + 4] == [(index, begin * BLOCK, BLOCK) for begin in range(4)]


def test_the_last_block_of_all_is_as_long_as_what_is_left() -> None:
    picks = picker(2, short=BLOCK + 100)
    seed_joins(picks, ALICE)
    blocks = picks.pick(ALICE, 100, now=0.0)
    assert len(blocks) == 7
    assert (1, 2 * BLOCK, BLOCK - 100) in blocks
    assert sum(length for *_, length in blocks) == 7 * BLOCK - 100


def test_a_torrent_of_one_short_block() -> None:
    picks = picker(1, 1, short=BLOCK - 1)
    seed_joins(picks, ALICE)
    assert picks.pick(ALICE, 4, now=0.0) == [(0, 0, 1)]
    assert received(picks, ALICE, 0, 0).complete
    picks.verified(0)
    assert picks.have.complete and picks.wanted_left == 0 and not picks.interesting(ALICE)


def test_a_torrent_without_content_wants_nothing() -> None:
    picks = Picker(Geometry(BLOCK, 0), Random(1), max_active=1)
    seed_joins(picks, ALICE)
    assert picks.pick(ALICE, 4, now=0.0) == []
    assert not picks.interesting(ALICE) and not picks.endgame


def test_a_piece_goes_through_its_states() -> None:
    picks = picker(1)
    seed_joins(picks, ALICE)
    seen = [picks.state(0)]
    for index, begin, _ in picks.pick(ALICE, 4, now=0.0):
        seen.append(picks.state(0))
        receipt = received(picks, ALICE, index, begin)
        assert receipt.fresh and receipt.others == ()
    assert receipt.complete
    seen.append(picks.state(0))
    picks.verified(0)
    seen.append(picks.state(0))
    assert list(dict.fromkeys(seen)) == [state for state in PieceState if state is not PieceState.UNWANTED]


def test_a_piece_that_failed_is_wanted_again_and_says_who_gave_it() -> None:
    picks = picker(1)
    seed_joins(picks, ALICE)
    seed_joins(picks, BOB)
    for key in (ALICE, BOB, ALICE, BOB):
        ((index, begin, _),) = picks.pick(key, 1, now=0.0)
        received(picks, key, index, begin)
    assert picks.failed(0) == {0: ALICE, BLOCK: BOB, 2 * BLOCK: ALICE, 3 * BLOCK: BOB}
    assert picks.state(0) is PieceState.WANTED
    assert len(fetch(picks, BOB)) == 4
    assert 0 in picks.have


def test_a_second_copy_of_a_block_is_not_fresh() -> None:
    picks = picker(1)
    seed_joins(picks, ALICE)
    picks.pick(ALICE, 4, now=0.0)
    assert received(picks, ALICE, 0, 0).fresh
    assert not received(picks, ALICE, 0, 0).fresh
    assert not received(picks, BOB, 0, 0).fresh


def test_at_least_one_piece_must_be_allowed_in_flight() -> None:
    with pytest.raises(LocalProtocolError):
        picker(max_active=0)


# Which piece


def test_the_first_pieces_are_picked_by_chance_and_the_others_by_rarity() -> None:
    first, third = set(), set()
    for seed in range(30):
        picks = Picker(Geometry(BLOCK, 20 * BLOCK), Random(seed), max_active=20, random_first=2)
        seed_joins(picks, ALICE)
        picks.joined(BOB, having(20, *range(17)))
        first.add(fetch(picks, ALICE, 1)[0][0])
        fetch(picks, ALICE, 1)
        third.add(fetch(picks, ALICE, 1)[0][0])
    assert len(first) > 10
    assert third <= {17, 18, 19}


def test_rarest_first() -> None:
    picks = picker(4, 1)
    seed_joins(picks, ALICE)
    picks.joined(BOB, having(4, 0, 1, 2))
    picks.joined(CAROL, having(4, 0, 1))
    picks.joined(DAVE, having(4, 0))
    assert [fetch(picks, ALICE, 1)[0][0] for _ in range(4)] == [3, 2, 1, 0]


def test_a_have_changes_the_order() -> None:
    picks = picker(3, 1)
    seed_joins(picks, ALICE)
    picks.joined(BOB, having(3, 0, 1))
    picks.joined(CAROL, having(3))
    picks.peer_have(CAROL, 2)
    picks.peer_have(CAROL, 2)  # said twice, counted once
    picks.peer_have(CAROL, 0)
    picks.peer_have(BOB, 2)
    assert picks.availability[2] == 3
    assert fetch(picks, ALICE, 1)[0][0] == 1


def test_a_peer_that_leaves_is_not_counted_any_more() -> None:
    picks = picker(2, 1)
    seed_joins(picks, ALICE)
    picks.joined(BOB, having(2, 0))
    picks.joined(CAROL, having(2, 1))
    picks.left(CAROL)
    assert fetch(picks, ALICE, 1)[0][0] == 1


def test_a_peer_that_becomes_a_seed_by_haves_is_one() -> None:
    picks = picker(2, 1)
    picks.joined(ALICE, having(2))
    for index in (0, 1):
        picks.peer_have(ALICE, index)
    assert picks.availability.seeds == 1
    assert sorted(block[0] for block in fetch(picks, ALICE)) == [0, 1]
    picks.left(ALICE)
    assert picks.availability.seeds == 0 and picks.availability[0] == 0


def test_a_peer_is_asked_only_for_what_it_has() -> None:
    picks = picker()
    picks.joined(ALICE, having(8, 5))
    assert {block[0] for block in picks.pick(ALICE, 100, now=0.0)} == {5}
    assert picks.offers(ALICE, 5) and not picks.offers(ALICE, 4) and not picks.offers(BOB, 5)


def test_a_pick_can_be_limited_to_some_pieces() -> None:
    picks = picker()
    seed_joins(picks, ALICE)
    picks.pick(ALICE, 1, now=0.0)
    assert {block[0] for block in picks.pick(ALICE, 100, now=0.0, only={6, 2})} <= {6, 2}
    assert picks.pick(ALICE, 100, now=0.0, only=frozenset()) == []


@pytest.mark.parametrize(
    ("theirs", "ours", "interesting"),
    [
        ((), (), False),
        ((1,), (), True),
        ((1,), (1,), False),
        ((1, 2), (1,), True),
        ((0, 1, 2, 3), (0,), True),
    ],
)
def test_interest_is_in_what_we_lack(
    theirs: tuple[int, ...], ours: tuple[int, ...], interesting: bool
) -> None:
    picks = picker(4)
    picks.restore(having(4, *ours))
    picks.joined(ALICE, having(4, *theirs))
    assert picks.interesting(ALICE) is interesting


def test_interest_ends_with_the_last_piece_and_comes_back_with_a_have() -> None:
    picks = picker(2, 1)
    picks.joined(ALICE, having(2, 0))
    fetch(picks, ALICE)
    assert not picks.interesting(ALICE)
    picks.peer_have(ALICE, 1)
    assert picks.interesting(ALICE)


def test_what_is_restored_is_not_asked_for() -> None:
    picks = picker()
    have = picks.have
    picks.restore(having(8, 0, 1, 2, 3, 4, 5))
    seed_joins(picks, ALICE)
    assert {block[0] for block in picks.pick(ALICE, 100, now=0.0)} == {6, 7}
    picks.restore(having(8, 7))
    assert picks.have is have and list(have) == [7]
    assert len({block[0] for block in picks.pick(ALICE, 100, now=0.0)}) == 7


# Several peers


def test_fast_peers_keep_to_their_own_pieces() -> None:
    picks = picker()
    for key in (ALICE, BOB):
        seed_joins(picks, key)
    pieces: dict[int, set[int]] = {ALICE: set(), BOB: set()}
    for _ in range(8):
        for key in (ALICE, BOB):
            pieces[key].update(block[0] for block in picks.pick(key, 1, now=0.0))
    assert not pieces[ALICE] & pieces[BOB]


def test_slow_peers_may_share_a_piece() -> None:
    picks = picker()
    pieces = set()
    for key in (ALICE, BOB, CAROL):
        seed_joins(picks, key)
        pieces.update(block[0] for block in picks.pick(key, 1, now=0.0, share=True))
    assert len(pieces) == 1


def test_what_a_peer_began_that_left_is_finished_first() -> None:
    picks = picker()
    seed_joins(picks, ALICE)
    seed_joins(picks, BOB)
    (first, *_, last) = picks.pick(ALICE, 3, now=0.0)
    received(picks, ALICE, first[0], first[1])
    picks.left(ALICE)
    blocks = picks.pick(BOB, 3, now=0.0)
    assert [block[0] for block in blocks] == [first[0]] * 3
    assert last in blocks and first not in blocks


def test_a_peer_that_is_owned_a_piece_and_chokes_leaves_it_to_others() -> None:
    picks = picker()
    seed_joins(picks, ALICE)
    seed_joins(picks, BOB)
    asked = picks.pick(ALICE, 2, now=0.0)
    picks.released(ALICE, asked)
    assert picks.pick(BOB, 2, now=0.0) == asked


def test_a_late_block_of_a_released_request_still_counts() -> None:
    picks = picker(1)
    seed_joins(picks, ALICE)
    asked = picks.pick(ALICE, 4, now=0.0)
    picks.released(ALICE, asked)
    assert received(picks, ALICE, *asked[1][:2]).fresh
    assert picks.pick(ALICE, 9, now=0.0) == [asked[0], asked[2], asked[3]]


def test_a_block_that_nobody_was_asked_for_yet_may_come_from_a_former_attempt() -> None:
    picks = picker(1)
    seed_joins(picks, ALICE)
    picks.pick(ALICE, 1, now=0.0)
    assert received(picks, ALICE, 0, 2 * BLOCK).fresh
    assert [block[1] // BLOCK for block in picks.pick(ALICE, 9, now=0.0)] == [1, 3]


# The end game


def end_game() -> Picker:
    picks = picker(2)
    seed_joins(picks, ALICE)
    picks.pick(ALICE, 8, now=0.0)
    assert picks.endgame
    return picks


def test_in_the_end_game_others_are_asked_too_and_cancelled() -> None:
    picks = end_game()
    seed_joins(picks, BOB)
    again = picks.pick(BOB, 100, now=0.0)
    assert len(again) == MAX_HASTY
    index, begin, _ = again[0]
    assert received(picks, BOB, index, begin).others == (ALICE,)
    index, begin, _ = again[1]
    assert received(picks, ALICE, index, begin).others == (BOB,)


def test_in_the_end_game_what_would_come_last_is_asked_for_again_first() -> None:
    picks = picker(1, 8)
    seed_joins(picks, ALICE)
    seed_joins(picks, BOB)
    asked = picks.pick(ALICE, 8, now=0.0)
    assert picks.pick(BOB, 2, now=0.0) == [asked[7], asked[6]]


def test_what_is_overdue_is_asked_for_again_first_and_without_the_haste_bound() -> None:
    picks = end_game()
    seed_joins(picks, BOB)
    assert len(picks.pick(BOB, 100, now=OVERDUE)) == 8


def test_a_block_is_asked_of_a_few_peers_only() -> None:
    picks = end_game()
    copies = 1
    for key in range(2, 10):
        seed_joins(picks, key)
        copies += bool(picks.pick(key, 100, now=OVERDUE))
    assert copies == MAX_COPIES


def test_a_copy_is_enough_when_the_first_peer_leaves() -> None:
    picks = picker(1, 1)
    for key in (ALICE, BOB, CAROL):
        seed_joins(picks, key)
    picks.pick(ALICE, 1, now=0.0)
    assert picks.pick(BOB, 1, now=0.0) == [(0, 0, BLOCK)]
    picks.left(ALICE)
    assert received(picks, BOB, 0, 0).others == ()


def test_a_peer_that_gives_up_its_copy_changes_nothing_for_the_first() -> None:
    picks = picker(1, 1)
    for key in (ALICE, BOB):
        seed_joins(picks, key)
    picks.pick(ALICE, 1, now=0.0)
    picks.released(BOB, picks.pick(BOB, 1, now=0.0))
    assert received(picks, ALICE, 0, 0).others == ()


def test_no_end_game_while_a_piece_is_there_to_begin() -> None:
    picks = picker(2)
    seed_joins(picks, ALICE)
    seed_joins(picks, BOB)
    picks.pick(ALICE, 4, now=0.0)
    assert not picks.endgame
    assert picks.pick(BOB, 4, now=0.0)[0][0] != picks.pick(ALICE, 1, now=0.0)


# The bound on pieces in flight


def test_no_more_pieces_are_in_flight_than_allowed() -> None:
    picks = picker(max_active=2)
    seed_joins(picks, ALICE)
    assert len({block[0] for block in picks.pick(ALICE, 100, now=0.0)}) == 2
    assert flying(picks) == 2


def test_a_piece_that_is_being_verified_counts() -> None:
    picks = picker(max_active=1)
    seed_joins(picks, ALICE)
    for index, begin, _ in picks.pick(ALICE, 4, now=0.0):
        receipt = received(picks, ALICE, index, begin)
    assert receipt.complete
    assert picks.pick(ALICE, 4, now=0.0) == []
    picks.verified(index)
    assert len(picks.pick(ALICE, 4, now=0.0)) == 4


def test_at_the_bound_peers_help_with_what_is_active() -> None:
    picks = picker(max_active=1)
    seed_joins(picks, ALICE)
    seed_joins(picks, BOB)
    (mine,) = picks.pick(ALICE, 1, now=0.0)
    blocks = picks.pick(BOB, 2, now=0.0)
    assert [block[0] for block in blocks] == [mine[0]] * 2 and mine not in blocks


def test_at_the_bound_the_blocks_a_slow_peer_owes_are_taken_from_it() -> None:
    picks = picker(max_active=1)
    seed_joins(picks, ALICE)
    seed_joins(picks, BOB)
    owed = picks.pick(ALICE, 4, now=0.0)
    assert picks.pick(BOB, 9, now=OVERDUE_AT_BOUND / 2) == []
    assert picks.pick(BOB, 9, now=OVERDUE_AT_BOUND) == owed
    for index, begin, _ in owed:
        assert received(picks, BOB, index, begin).others == (ALICE,)


def test_a_piece_that_nobody_can_finish_makes_room_for_one_that_somebody_can() -> None:
    picks = picker(2, max_active=1)
    picks.joined(ALICE, having(2, 0))
    (asked,) = picks.pick(ALICE, 1, now=0.0)
    received(picks, ALICE, *asked[:2])
    picks.left(ALICE)
    picks.joined(BOB, having(2, 1))
    assert len(picks.pick(BOB, 4, now=0.0)) == 4
    assert picks.forgotten() == [0] and picks.forgotten() == []
    assert picks.state(0) is PieceState.WANTED
    assert not received(picks, ALICE, *asked[:2]).fresh, "there is no buffer for it"
    for number in range(4):
        assert received(picks, BOB, 1, number * BLOCK).fresh
    picks.verified(1)
    picks.joined(CAROL, having(2, 0))
    assert len(fetch(picks, CAROL)) == 4 and picks.have.complete, "it is fetched again, whole"


def test_what_could_still_be_finished_is_given_up_last() -> None:
    picks = picker(3, max_active=2)
    picks.joined(ALICE, having(3, 0))
    picks.joined(BOB, having(3, 1))
    for key in (ALICE, BOB):
        (asked,) = picks.pick(key, 1, now=0.0)
        received(picks, key, *asked[:2])
    picks.released(ALICE, [])
    picks.left(BOB)
    picks.joined(CAROL, having(3, 2))
    picks.pick(CAROL, 1, now=0.0)
    assert picks.forgotten() == [1]


# Pieces fetched from one peer, for blame


def test_a_reserved_piece_is_asked_of_its_peer_only() -> None:
    picks = picker(1)
    seed_joins(picks, ALICE)
    seed_joins(picks, BOB)
    picks.reserve(0, ALICE)
    assert picks.pick(BOB, 9, now=0.0) == []
    assert len(picks.pick(ALICE, 2, now=0.0)) == 2
    assert picks.pick(BOB, 9, now=OVERDUE) == []
    assert len(fetch(picks, ALICE)) == 2


def test_a_reserved_piece_comes_first() -> None:
    picks = picker()
    seed_joins(picks, ALICE)
    picks.reserve(6, ALICE)
    assert picks.pick(ALICE, 1, now=0.0)[0][0] == 6


@pytest.mark.parametrize("how", ["left", "released", "idle"])
@pytest.mark.parametrize("begun", [False, True])
def test_a_reservation_ends_when_its_peer_does_not_get_on(how: str, begun: bool) -> None:
    picks = picker(1)
    seed_joins(picks, ALICE)
    seed_joins(picks, BOB)
    picks.reserve(0, ALICE)
    asked = picks.pick(ALICE, 2, now=0.0) if begun else []
    assert picks.pick(BOB, 9, now=0.0) == []
    if how == "left":
        picks.left(ALICE)
    elif how == "released":
        picks.released(ALICE, asked)
    else:
        assert picks.pick(BOB, 9, now=RESERVED_FOR - 0.1) == []
        picks.pick(BOB, 9, now=RESERVED_FOR)
    picks.pick(BOB, 9, now=RESERVED_FOR)
    assert all(received(picks, BOB, 0, number * BLOCK).fresh for number in range(4))


def test_a_piece_cannot_be_reserved_for_a_peer_without_it() -> None:
    picks = picker(2)
    picks.joined(ALICE, having(2, 0))
    picks.joined(BOB, having(2, 1))
    picks.reserve(0, BOB)
    assert len(picks.pick(ALICE, 9, now=0.0)) == 4


# Facts that come at odd times


def test_a_piece_that_a_check_of_the_disk_found_is_not_fetched_on() -> None:
    picks = picker(2)
    seed_joins(picks, ALICE)
    asked = picks.pick(ALICE, 3, now=0.0)
    picks.verified(asked[0][0])
    assert not received(picks, ALICE, *asked[0][:2]).fresh
    assert {block[0] for block in picks.pick(ALICE, 9, now=0.0)} == {1 - asked[0][0]}
    assert picks.failed(asked[0][0]) == {}


def test_the_same_seed_gives_the_same_trace() -> None:
    def trace() -> list[tuple[int, int, int]]:
        picks = Picker(Geometry(4 * BLOCK, 400 * BLOCK), Random(7), max_active=9)
        for key in range(5):
            picks.joined(key, having(100, *range(key, 100, key + 1)))
        return [block for turn in range(60) for block in fetch(picks, turn % 5, 3)]

    assert trace() == trace()
