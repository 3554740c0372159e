"""Blame: what proves a host guilty, and what does not (SECURITY.md, rule 5, B10, B11)."""

from collections.abc import Mapping
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from bittwist.metainfo.geometry import BLOCK
from bittwist.swarm.blame import MAX_ATTEMPTS, MAX_DIGESTS, UNKNOWN, Blame

ALICE, BOB, MALLORY = "192.0.2.1", "192.0.2.2", "192.0.2.66"


def givers(*hosts: str) -> Mapping[int, str]:
    return {number * BLOCK: host for number, host in enumerate(hosts)}


def test_a_whole_piece_from_one_host_that_fails_is_proof() -> None:
    blame = Blame()
    assert blame.failed(3, givers(MALLORY, MALLORY), (b"x", b"b")) == (MALLORY,)
    assert not blame.suspect(3)


def test_a_failure_that_several_share_proves_nothing() -> None:
    blame = Blame()
    assert blame.failed(3, givers(ALICE, MALLORY), (b"a", b"x")) == ()
    assert blame.suspect(3) and not blame.suspect(4)


def test_who_sent_a_block_that_differs_from_the_one_that_passed_is_guilty() -> None:
    blame = Blame()
    blame.failed(3, givers(ALICE, MALLORY, BOB), (b"a", b"x", b"c"))
    assert blame.passed(3, (b"a", b"b", b"c")) == (MALLORY,)
    assert not blame.suspect(3)


def test_shared_failures_alone_never_ban_however_many() -> None:
    blame = Blame()
    for index in range(100):
        assert blame.failed(index, givers(ALICE, MALLORY), (b"a", b"x")) == ()


def test_a_host_that_sends_two_blocks_for_one_place_is_guilty() -> None:
    blame = Blame()
    blame.failed(3, givers(ALICE, MALLORY), (b"a", b"x"))
    assert blame.failed(3, givers(ALICE, MALLORY), (b"a", b"y")) == (MALLORY,)


def test_several_guilty_are_named_once_each_in_order() -> None:
    blame = Blame()
    blame.failed(0, givers(MALLORY, ALICE, BOB, MALLORY), (b"x", b"b", b"x", b"x"))
    assert blame.passed(0, (b"a", b"b", b"c", b"d")) == (MALLORY, BOB)


def test_our_own_fault_bans_nobody() -> None:
    """The blocks were right and the piece failed all the same: memory, disk, a bug."""
    blame = Blame()
    blame.failed(0, givers(ALICE, BOB), (b"a", b"b"))
    assert blame.passed(0, (b"a", b"b")) == ()


def test_what_met_a_check_of_the_disk_blames_nobody() -> None:
    """SECURITY.md B11."""
    blame = Blame()
    assert blame.failed(0, givers(UNKNOWN, ALICE), (b"x", b"b")) == ()
    assert blame.passed(0, (b"a", b"b")) == ()
    blame.failed(0, givers(ALICE, BOB), (b"x", b"b"))
    blame.forget(0)
    assert blame.passed(0, (b"a", b"b")) == ()


def test_without_digests_a_shared_failure_makes_the_piece_suspect() -> None:
    blame = Blame()
    assert blame.failed(0, givers(ALICE, MALLORY), None) == ()
    assert blame.suspect(0)
    assert blame.passed(0, (b"a", b"b")) == ()


def test_a_suspect_piece_is_fetched_from_who_was_not_there_when_it_failed() -> None:
    blame = Blame()
    blame.failed(0, givers(ALICE, MALLORY), (b"a", b"x"))
    assert blame.choose(0, (MALLORY, ALICE, BOB)) == BOB
    assert blame.choose(0, (MALLORY, ALICE)) == MALLORY
    blame.failed(1, givers(BOB, MALLORY), (b"a", b"x"))
    assert blame.choose(0, (MALLORY, ALICE)) == ALICE, "the other was there twice"


def test_attempts_are_bounded() -> None:
    blame = Blame()
    hosts = [f"198.51.100.{number}" for number in range(MAX_ATTEMPTS + 1)]
    for host in hosts:
        blame.failed(0, givers(host, BOB), (b"x", b"b"))
    assert blame.passed(0, (b"a", b"b")) == tuple(hosts[1:])


def test_digests_are_bounded_and_the_oldest_pieces_go() -> None:
    blame = Blame()
    width = MAX_DIGESTS // 8
    hosts = givers(*[ALICE, MALLORY] * (width // 2))
    for index in range(9):
        blame.failed(index, hosts, [b"x"] * width)
    assert not blame.suspect(0) and blame.suspect(1) and blame.suspect(8)


@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 3), st.floats(0.02, 1.0))
def test_the_guilty_are_found_and_the_honest_never(seed: int, honest: int, bad: int, share: float) -> None:
    """Pieces of eight blocks from a mixed crowd, until each has passed: proof is only ever of the bad."""
    random = Random(seed)
    good_hosts = [f"192.0.2.{number}" for number in range(honest)]
    bad_hosts = [f"198.51.100.{number}" for number in range(bad)]
    blame = Blame()
    here = good_hosts + bad_hosts

    def digest(host: str, number: int) -> bytes:
        return b"%d" % number if host in good_hosts or random.random() >= share else random.randbytes(20)

    for index in range(10):
        for _ in range(200):
            hosts = [random.choice(here) for _ in range(8)]
            if blame.suspect(index):
                hosts = [blame.choose(index, here)] * 8
            digests = [digest(host, number) for number, host in enumerate(hosts)]
            good = digests == [b"%d" % number for number in range(8)]
            guilty = blame.passed(index, digests) if good else blame.failed(index, givers(*hosts), digests)
            assert set(guilty) <= set(bad_hosts)
            here = [host for host in here if host not in guilty]
            if good:
                break
        else:
            raise AssertionError("the piece never passed")
