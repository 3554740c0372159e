"""Whom the choker unchokes: by rate, by chance, by turns."""

from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from bittwist.swarm.choker import Choker, ChokerSettings, PeerRates

SETTINGS = ChokerSettings(upload_slots=3)


def peer(
    key: int,
    rate: float = 0.0,
    *,
    interested: bool = True,
    to: float = 0.0,
    snubbed: bool = False,
    connected_at: float = -1000.0,
    host: str = "",
) -> PeerRates:
    return PeerRates(key, interested, rate, to, snubbed, connected_at, host)


def choker(seed: int = 1) -> Choker:
    return Choker(SETTINGS, Random(seed))


def test_the_fastest_are_unchoked_and_one_by_chance() -> None:
    peers = [peer(key, 1000.0 * key) for key in range(1, 9)]
    by_chance = set()
    for seed in range(40):
        chosen = choker(seed).choose(peers, now=0.0, seeding=False)
        assert set(chosen) >= {6, 7, 8} and len(chosen) == 4
        by_chance.update(set(chosen) - {6, 7, 8})
    assert by_chance == {1, 2, 3, 4, 5}


def test_who_is_not_interested_takes_no_slot_by_chance() -> None:
    peers = [peer(1, interested=False), peer(2, interested=False), peer(3)]
    assert choker().choose(peers, now=0.0, seeding=False) == (3,)
    assert choker().choose(peers[:2], now=0.0, seeding=True) == ()


def test_the_faster_that_are_not_interested_are_unchoked_beside_the_others() -> None:
    peers = [peer(key, 1000.0 * key, interested=key % 2 == 0) for key in range(1, 9)]
    chosen = choker().choose(peers, now=0.0, seeding=False)
    assert {8, 7, 6, 5, 4} <= set(chosen)
    assert 3 not in chosen and 1 not in chosen


def test_a_peer_that_snubs_us_earns_no_slot() -> None:
    peers = [peer(key, 1000.0 * key, snubbed=key == 9) for key in range(1, 10)]
    chances = sum(9 in choker(seed).choose(peers, now=0.0, seeding=False) for seed in range(60))
    assert 0 < chances < 30  # by chance only


def test_slots_that_nobody_earns_go_by_chance() -> None:
    peers = [peer(key) for key in range(10)]
    assert len(choker().choose(peers, now=0.0, seeding=False)) == 4
    assert len(choker().choose(peers[:3], now=0.0, seeding=False)) == 3


def test_nobody_is_choked_between_rounds() -> None:
    choke = choker()
    peers = [peer(key, 1000.0 * key) for key in range(1, 9)]
    chosen = choke.choose(peers, now=0.0, seeding=False)
    turned = [peer(key, 9000.0 - 1000.0 * key) for key in range(1, 9)]
    assert choke.choose(turned, now=5.0, seeding=False) == chosen
    assert set(choke.choose(turned, now=10.0, seeding=False)) >= {1, 2, 3}


def test_a_free_slot_is_filled_at_once() -> None:
    choke = choker()
    assert choke.choose([peer(1, 10.0)], now=0.0, seeding=False) == (1,)
    assert set(choke.choose([peer(1, 10.0), peer(2)], now=3.0, seeding=False)) == {1, 2}


def test_the_one_by_chance_changes_every_30_seconds() -> None:
    choke = choker(3)
    peers = [peer(key, 1000.0 * (key > 3)) for key in range(1, 7)]
    lucky = []
    for now in range(0, 121, 10):
        (one,) = set(choke.choose(peers, now=float(now), seeding=False)) - {4, 5, 6}
        lucky.append(one)
    for at in range(0, 12, 3):
        assert lucky[at] == lucky[at + 1] == lucky[at + 2] != lucky[at + 3]


def test_new_peers_are_three_times_as_likely_to_be_chosen() -> None:
    peers = [peer(key, 1000.0 * (key > 90)) for key in range(81, 94)]
    peers[0] = peer(81, connected_at=-5.0)
    count = sum(81 in choker(seed).choose(peers, now=0.0, seeding=False) for seed in range(2000))
    assert 0.2 < count / 2000 < 0.3  # 3 of 12


def test_seeding_serves_by_turns_whatever_the_rates() -> None:
    choke = choker()
    served: Counter[int] = Counter()
    for now in range(0, 6000, 10):
        peers = [peer(key, to=1e6 if key == 1 else 1e3) for key in range(1, 13)]
        served.update(choke.choose(peers, now=float(now), seeding=True))
    assert max(served.values()) <= 1.05 * min(served.values())


def test_a_seed_with_few_peers_chokes_nobody() -> None:
    choke = choker()
    peers = [peer(key, to=1e6) for key in range(4)]
    for now in range(0, 600, 10):
        assert set(choke.choose(peers, now=float(now), seeding=True)) == {0, 1, 2, 3}


def test_a_turn_in_which_nothing_is_taken_ends_early() -> None:
    choke = choker()
    peers = [peer(key, to=0.0 if key == 0 else 1e5) for key in range(8)]
    assert 0 in choke.choose(peers, now=0.0, seeding=True)
    choke.choose(peers, now=10.0, seeding=True)
    assert 0 not in choke.choose(peers, now=20.0, seeding=True)


def test_a_leech_gains_nothing_by_connecting_anew() -> None:
    """SECURITY.md B15: a peer that disconnects after each turn goes to the back of the queue."""
    choke = choker()
    served: Counter[int] = Counter()
    key, connected_at, was_served = 100, 0.0, False
    for now in range(0, 12000, 10):
        peers = [peer(other, to=1e5, connected_at=0.0) for other in range(12)]
        peers.append(peer(key, to=1e6, connected_at=connected_at, host="192.0.2.1"))
        chosen = choke.choose(peers, now=float(now), seeding=True)
        served.update(min(one, 100) for one in chosen)
        if was_served and key not in chosen:
            key, connected_at = key + 1, float(now)
        was_served = key in chosen
    honest = [served[other] for other in range(12)]
    assert served[100] <= 1.05 * max(honest)


def test_many_connections_of_one_host_do_not_crowd_out_the_others() -> None:
    choke = choker()
    peers = [peer(key, to=1e5, host="192.0.2.1", connected_at=-2000.0) for key in range(50)]
    peers += [peer(key, to=1e5, host=f"192.0.2.{key}") for key in range(50, 53)]
    chosen = choke.choose(peers, now=0.0, seeding=True)
    assert {50, 51, 52} <= set(chosen)


PEERS = st.lists(
    st.builds(
        peer,
        st.integers(0, 30),
        st.floats(0, 1e6),
        interested=st.booleans(),
        to=st.floats(0, 1e6),
        snubbed=st.booleans(),
        connected_at=st.floats(-100, 0),
        host=st.sampled_from(["", "192.0.2.1", "192.0.2.2"]),
    ),
    max_size=20,
    unique_by=lambda each: each.key,
)


@given(st.lists(st.tuples(PEERS, st.floats(0, 40), st.booleans()), max_size=12))
def test_never_more_slots_than_there_are_and_none_stays_free(
    rounds: list[tuple[list[PeerRates], float, bool]],
) -> None:
    choke, now = choker(), 0.0
    for peers, passed, seeding in rounds:
        now += passed
        chosen = choke.choose(peers, now=now, seeding=seeding)
        interested = {each.key for each in peers if each.interested}
        assert len(set(chosen)) == len(chosen)
        assert set(chosen) <= {each.key for each in peers}
        assert len(interested & set(chosen)) == min(len(interested), SETTINGS.upload_slots + 1) or (
            not seeding and len(interested & set(chosen)) >= min(len(interested), SETTINGS.upload_slots + 1)
        )
        assert len(chosen) <= 3 * SETTINGS.upload_slots + 1


@given(st.lists(st.tuples(PEERS, st.booleans(), st.integers(0, 6)), max_size=12))
def test_where_torrents_share_slots_no_round_gives_to_more_than_it_may(
    rounds: list[tuple[list[PeerRates], bool, int]],
) -> None:
    choke = choker()
    for number, (peers, seeding, most) in enumerate(rounds):
        chosen = choke.choose(peers, now=10.0 * number, seeding=seeding, most=most)
        interested = {each.key for each in peers if each.interested}
        assert len(chosen) == min(most, len(interested), SETTINGS.upload_slots + 1)
        assert set(chosen) <= interested


def test_with_fewer_slots_than_before_nobody_is_choked_between_rounds() -> None:
    peers = [peer(key) for key in range(1, 9)]
    for seeding in (False, True):
        choke = choker()
        before = choke.choose(peers, now=0.0, seeding=seeding)
        between = choke.choose(peers, now=5.0, seeding=seeding, most=1)
        assert len(before) == 4 and (not seeding or between == before)
        assert len(choke.choose(peers, now=10.0, seeding=seeding, most=1)) == 1
