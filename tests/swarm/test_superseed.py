"""What a superseeding seed reveals: to whom, when, and when no more (BEP 16)."""

from itertools import chain
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bittwist.metainfo.bitfield import Bitfield
from bittwist.swarm.superseed import AHEAD, Superseed, SuperseedSettings

PATIENCE = 60.0


def having(*indices, num_pieces=8):
    bitfield = Bitfield(num_pieces)
    for index in indices:
        bitfield.add(index)
    return bitfield


def superseed(num_pieces=8, seed=1):
    return Superseed(num_pieces, Random(seed), SuperseedSettings(PATIENCE))


class Seed:
    """A policy, and what it has revealed to whom."""

    def __init__(self, peers, num_pieces=8, seed=1):
        self.policy = superseed(num_pieces, seed)
        self.told = {}
        self.num_pieces = num_pieces
        for key in range(1, peers + 1):
            self.told[key] = []
            self.take(self.policy.joined(key, having(num_pieces=num_pieces), 0.0))

    def take(self, reveals):
        for key, index in reveals:
            self.told[key].append(index)
        return reveals

    def have(self, key, index, now=0.0):
        return self.take(self.policy.peer_have(key, index, now))

    def tick(self, now):
        return self.take(self.policy.tick(now))


def test_each_peer_is_told_of_one_piece_of_its_own():
    seed = Seed(5)
    assert [len(told) for told in seed.told.values()] == [1] * 5
    assert len({told[0] for told in seed.told.values()}) == 5


def test_a_peer_is_told_of_the_next_piece_when_the_first_is_seen_at_another():
    seed = Seed(2)
    (first,) = seed.told[1]
    assert seed.have(1, first, 1.0) == []
    ((key, index),) = seed.have(2, first, 2.0)
    assert key == 1 and index not in (first, *seed.told[2])


def test_a_piece_seen_at_another_before_its_receiver_shows_it_counts_too():
    seed = Seed(2)
    (first,) = seed.told[1]
    assert [key for key, _ in seed.have(2, first, 1.0)] == [1]
    assert seed.have(1, first, 2.0) == []


def test_a_receiver_that_never_says_what_it_got_is_told_of_the_next_and_is_known_to_have_everything():
    seed = Seed(2, num_pieces=2)
    first, second = seed.told[1][0], seed.told[2][0]
    assert seed.have(2, first, 1.0) == []
    assert sorted(seed.have(1, second, 2.0)) == [(1, None), (2, None)]


def test_what_a_peer_has_besides_changes_nothing():
    seed = Seed(3)
    other = next(index for index in range(8) if index not in chain(*seed.told.values()))
    assert seed.have(1, other) == [] and seed.have(2, other) == []


def test_only_what_nobody_has_is_told_while_there_is_such_a_piece():
    policy = superseed()
    policy.joined(1, having(0, 1, 2, 3, 4, 5), 0.0)
    reveals = policy.joined(2, having(), 0.0) + policy.joined(3, having(), 0.0)
    assert {index for _, index in reveals} < {6, 7}


def test_when_every_piece_was_told_of_a_peer_that_is_done_waits():
    seed = Seed(2, num_pieces=2)
    first, second = seed.told[1][0], seed.told[2][0]
    assert {first, second} == {0, 1}
    assert seed.have(1, first, 1.0) == []
    seed.policy.joined(3, having(num_pieces=2), 1.0)
    assert seed.policy.peer_have(3, first, 2.0) == []
    assert seed.tick(3.0) == []


@pytest.mark.parametrize("passed_on", [False, True])
def test_a_receiver_whose_piece_nobody_else_shows_is_told_of_the_next_after_a_while(passed_on):
    seed = Seed(2)
    (first,) = seed.told[1]
    seed.have(1, first, 10.0)
    if passed_on:
        assert seed.have(2, first, 11.0)
    else:
        assert 1 not in dict(seed.tick(10.0 + PATIENCE - 1))
        assert 1 in dict(seed.tick(10.0 + PATIENCE))


def test_a_piece_that_its_receiver_does_not_fetch_is_told_to_another_and_the_receiver_of_another_one():
    seed = Seed(2, num_pieces=3)
    held, (second,) = seed.told[1][0], seed.told[2]
    seed.policy.joined(3, having(num_pieces=3), 0.0)
    seed.have(2, second, 1.0)
    seed.told[3] = []
    assert seed.policy.peer_have(3, second, 2.0) == []
    assert seed.tick(PATIENCE - 1) == []
    told = dict(seed.tick(PATIENCE))
    assert told[2] == held


def test_a_peer_that_leaves_gives_back_the_piece_it_was_told_of():
    seed = Seed(2, num_pieces=2)
    (lost,) = seed.told[1]
    assert seed.policy.left(1, 1.0) == []
    assert seed.policy.joined(3, having(num_pieces=2), 2.0) == [(3, lost)]


def test_a_piece_that_was_lost_with_its_only_peer_is_told_again():
    seed = Seed(3, num_pieces=3)
    (lost,) = seed.told[1]
    seed.have(1, lost, 1.0)
    assert seed.policy.left(1, 2.0) == []
    assert seed.policy.joined(4, having(num_pieces=3), 3.0) == [(4, lost)]


def test_once_another_peer_has_everything_everyone_is_told_of_everything():
    seed = Seed(2, num_pieces=2)
    seed.have(1, 0)
    assert sorted(seed.have(1, 1)) == [(1, None), (2, None)]
    assert seed.policy.over and seed.policy.knows(2) is None
    assert seed.policy.joined(3, having(num_pieces=2), 9.0) == [(3, None)]
    assert seed.policy.tick(99.0) == [] and seed.policy.left(3, 99.0) == []


def test_another_seed_ends_it():
    seed = Seed(2)
    assert (1, None) in seed.policy.joined(3, Bitfield.full(8), 1.0)
    assert seed.policy.over


def test_the_only_peer_for_a_while_is_told_of_everything_and_those_who_come_later_are_not():
    seed = Seed(1)
    assert seed.tick(PATIENCE - 1) == []
    assert seed.tick(PATIENCE) == [(1, None)]
    assert seed.policy.knows(1) is None and not seed.policy.over
    ((key, index),) = seed.policy.joined(2, having(), PATIENCE + 1)
    assert key == 2 and index is not None
    assert list(seed.policy.knows(2)) == [index]


def test_the_only_peer_is_told_of_the_next_piece_when_it_has_one_and_then_of_a_few_ahead():
    seed = Seed(1, num_pieces=20)
    (first,) = seed.told[1]
    assert len(seed.have(1, first, 1.0)) == AHEAD
    assert len(seed.have(1, seed.told[1][1], 2.0)) == 1
    assert len(set(seed.told[1])) == len(seed.told[1]) == AHEAD + 2


def test_when_another_peer_comes_what_the_first_is_given_is_to_be_passed_on_again():
    seed = Seed(1, num_pieces=20)
    seed.have(1, seed.told[1][0], 1.0)
    seed.told[2] = []
    seed.take(seed.policy.joined(2, having(num_pieces=20), 2.0))
    ahead = seed.told[1][1:]
    for index in ahead:
        assert seed.have(1, index, 3.0) == []
    for index in ahead[:-1]:
        assert seed.have(2, index, 4.0) == []
    assert [key for key, _ in seed.have(2, ahead[-1], 4.0)] == [1]


def test_a_peer_that_could_pass_nothing_on_is_not_kept_waiting_again_until_something_of_its_is_seen():
    seed = Seed(2, num_pieces=20)
    (first,) = seed.told[1]
    seed.have(1, first, 1.0)
    told = [index for key, index in seed.tick(1.0 + PATIENCE) if key == 1]
    assert len(told) == AHEAD
    assert [key for key, _ in seed.have(1, told[0], 62.0)] == [1]
    seed.have(2, first, 63.0)
    assert seed.have(1, told[1], 64.0) == []


def test_two_peers_that_cannot_reach_each_other_are_given_the_rest_without_more_waiting():
    seed = Seed(2, num_pieces=30)
    has = {1: set(), 2: set()}
    now = 0.0
    while not seed.policy.over and now < 3 * PATIENCE:
        now += 1.0
        for key, told in seed.told.items():
            for index in [index for index in told if index is not None and index not in has[key]]:
                has[key].add(index)
                seed.have(key, index, now)
        seed.tick(now)
    assert seed.policy.over


def test_who_was_told_of_everything_before_is_told_of_nothing_and_what_it_has_counts():
    policy = superseed()
    assert policy.joined(1, having(0, 1, 2, 3, 4, 5, 6), 0.0, free=True) == []
    assert policy.knows(1) is None
    assert policy.joined(2, having(), 0.0) == [(2, 7)]
    assert policy.peer_have(1, 7, 1.0) and policy.over


def test_one_left_of_two_is_alone_from_then_on():
    seed = Seed(2)
    seed.policy.left(2, 100.0)
    assert (1, None) not in seed.tick(100.0 + PATIENCE - 1)
    assert seed.tick(100.0 + PATIENCE) == [(1, None)]


def test_a_stalled_swarm_is_given_its_rarest_pieces():
    policy = superseed(4)
    policy.joined(1, having(0, 1, 2, num_pieces=4), 0.0)
    policy.joined(2, having(0, 1, num_pieces=4), 0.0)
    assert policy.joined(3, having(0, 3, num_pieces=4), 0.0) == []
    assert policy.tick(PATIENCE - 1) == []
    assert dict(policy.tick(PATIENCE))[3] == 2, "which one has, and not 1, which two have"


def test_a_peer_that_says_anew_what_it_has_is_followed():
    seed = Seed(2)
    (first,) = seed.told[1]
    seed.take(seed.policy.joined(1, having(first), 1.0))
    ((key, _),) = seed.take(seed.policy.joined(2, having(first), 2.0))
    assert key == 1


def test_whom_nobody_has_heard_of_may_ask_for_nothing():
    assert superseed().knows(7) == ()


@given(st.integers(0, 2**32), st.integers(2, 6), st.integers(1, 40))
def test_peers_that_trade_fetch_one_copy_of_the_seed(seed, peers, num_pieces):
    """Whatever the order: nothing is told twice while peers pass on what they get, and all is told of."""
    random = Random(seed)
    swarm = Seed(peers, num_pieces, seed)
    has = {key: set() for key in swarm.told}
    given = 0
    now = 0.0
    while not swarm.policy.over:
        now += 0.01
        moves = [
            (key, index, True)
            for key, told in swarm.told.items()
            for index in told
            if index is not None and index not in has[key]
        ]
        moves += [
            (key, index, False) for key in has for other in has for index in sorted(has[other] - has[key])
        ]
        assert moves, "stuck"
        key, index, from_seed = random.choice(moves)
        if index not in set().union(*has.values()):
            assert from_seed
            given += 1
        elif from_seed and all(move[2] for move in moves if move[:2] == (key, index)):
            given += 1
        has[key].add(index)
        swarm.have(key, index, now)
        for told in swarm.told.values():
            assert len(set(told)) == len(told)
        if not swarm.policy.over:
            first = [index for told in swarm.told.values() for index in told]
            assert len(set(first)) == len(first), "a piece was told to two"
    assert given == num_pieces


@given(st.data())
def test_whatever_happens_a_peer_is_told_only_of_what_it_lacks_and_never_of_many_pieces_at_once(data):
    num_pieces = data.draw(st.integers(1, 20))
    policy = superseed(num_pieces, data.draw(st.integers(0, 99)))
    has, now, told_at = {}, 0.0, {}
    for _ in range(data.draw(st.integers(1, 60))):
        now += data.draw(st.sampled_from([0.0, 1.0, PATIENCE]))
        key = data.draw(st.integers(1, 5))
        what = data.draw(st.sampled_from(["join", "have", "left", "tick"]))
        if what == "join":
            pieces = data.draw(st.sets(st.integers(0, num_pieces - 1)))
            has[key] = having(*pieces, num_pieces=num_pieces)
            reveals = policy.joined(key, has[key], now)
        elif what == "have" and key in has:
            index = data.draw(st.integers(0, num_pieces - 1))
            has[key].add(index)
            reveals = policy.peer_have(key, index, now)
        elif what == "left":
            has.pop(key, None)
            told_at.pop(key, None)
            reveals = policy.left(key, now)
        else:
            reveals = policy.tick(now)
        assert len(set(reveals)) == len(reveals)
        told = [key for key, _ in reveals]
        assert all(told.count(key) <= AHEAD for key in told)
        for key, index in reveals:
            assert key in has
            known = policy.knows(key)
            assert known is None if index is None else index in known
            if index is not None:
                assert index not in has[key] and not policy.over
        if any(pieces.complete for pieces in has.values()):
            assert policy.over
