"""Which address is dialed next, which waits, which is forgotten."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from bittwist.address import Address
from bittwist.swarm.candidates import (
    MAX_BANS,
    MAX_OURS,
    MAX_REASON,
    Candidates,
    CandidateSettings,
    Trouble,
)


def address(number: int, port: int = 6881) -> Address:
    return Address(f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}", port)


def candidates(**settings: int) -> Candidates:
    return Candidates(CandidateSettings(**settings), Random(1))


def dial(found: Candidates, now: float) -> Address | None:
    one = found.next(now)
    if one is not None:
        found.connecting(one)
    return one


def test_an_address_is_dialed_once_at_a_time() -> None:
    found = candidates()
    assert found.add(address(1), "tracker", 0.0)
    assert not found.add(address(1), "pex", 0.0)
    assert dial(found, 0.0) == address(1)
    assert dial(found, 1e9) is None
    found.connected(address(1))
    assert dial(found, 1e9) is None


def test_what_fails_waits_longer_each_time_and_is_then_forgotten() -> None:
    found = candidates()
    found.add(address(1), "tracker", 0.0)
    now, waits = 0.0, []
    while found.known():
        while dial(found, now) is None:
            now += 1.0
        found.failed(address(1), "refused", now)
        failed_at = now
        while found.known() and found.next(now) is None:
            now += 1.0
        waits.append(now - failed_at)
    assert len(waits) == 8 and waits.pop() == 0
    for number, wait in enumerate(waits):
        assert 0.89 * 30 * 2**number <= wait <= 1.11 * 30 * 2**number + 1
    assert found.add(address(1), "tracker", now), "it may be named again"


def test_the_wait_has_an_end() -> None:
    found = candidates(give_up_after=100)
    found.add(address(1), "tracker", 0.0)
    now = 0.0
    for _ in range(50):
        now += 4000.0
        assert dial(found, now) == address(1)
        found.failed(address(1), "refused", now)


def test_a_connection_that_lasted_is_no_failure_and_one_that_did_not_is() -> None:
    found = candidates(give_up_after=2)
    found.add(address(1), "tracker", 0.0)
    now = 0.0
    for _ in range(5):
        now += 100.0
        assert dial(found, now) == address(1)
        found.connected(address(1))
        now += 61.0
        found.lost(address(1), "closed", now)
    for _ in range(1):
        now += 100.0
        assert dial(found, now) == address(1)
        found.connected(address(1))
        found.lost(address(1), "closed", now + 1)
    assert found.known() == ()


def test_what_is_not_known_may_fail_or_be_lost() -> None:
    found = candidates()
    found.connecting(address(1))
    found.connected(address(1))
    found.failed(address(1), "refused", 0.0)
    found.lost(address(1), "closed", 0.0)
    assert found.known() == ()


def test_a_banned_host_is_gone_and_does_not_come_back() -> None:
    found = candidates()
    for port in (1, 2, 3):
        found.add(address(1, port), "tracker", 0.0)
    found.add(address(2), "tracker", 0.0)
    found.ban(address(1).host, "sent a bad block")
    assert found.banned(address(1).host) and not found.banned(address(2).host)
    assert found.known() == (address(2),)
    assert not found.add(address(1, 4), "manual", 0.0)
    assert dial(found, 0.0) == address(2)


def test_bans_are_bounded() -> None:
    found = candidates()
    for number in range(MAX_BANS + 1):
        found.ban(address(number).host, "bad")
    assert not found.banned(address(0).host) and found.banned(address(MAX_BANS).host)


def test_our_own_addresses_are_not_dialed() -> None:
    found = candidates()
    found.add(address(1), "tracker", 0.0)
    found.exclude(address(1))
    assert not found.add(address(1), "tracker", 0.0)
    assert dial(found, 0.0) is None


def test_who_pretends_to_be_us_costs_no_more_than_so_much() -> None:
    found = candidates()
    for number in range(MAX_OURS + 1):
        found.exclude(address(number))
    assert found.add(address(0), "tracker", 0.0) and not found.add(address(1), "tracker", 0.0)


def test_port_0_is_nobody() -> None:
    assert not candidates().add(address(1, 0), "tracker", 0.0)


def test_one_host_has_so_many_ports_and_no_more() -> None:
    found = candidates(max_of_host=4)
    added = [found.add(address(1, port), "tracker", 0.0) for port in range(1, 7)]
    assert added == [True] * 4 + [False] * 2
    assert found.add(address(1, 99), "manual", 0.0), "the user may know better"


def test_the_list_is_bounded_at_the_limit_and_one_over() -> None:
    found = candidates(max_kept=40)
    for number in range(40):
        assert found.add(address(number), "tracker", 0.0)
    assert len(found) == 40
    assert found.add(address(40), "tracker", 0.0)
    assert len(found) <= 40
    assert address(0) not in found.known() and address(40) in found.known()


def test_peer_exchange_never_pushes_out_what_a_tracker_said() -> None:
    """SECURITY.md B8."""
    found = candidates(max_kept=40)
    for number in range(40):
        found.add(address(number), "tracker", 0.0)
    assert not any(found.add(address(number), "pex", 0.0) for number in range(100, 200))
    assert found.known() == tuple(address(number) for number in range(40))


def test_what_failed_most_goes_first() -> None:
    found = candidates(max_kept=40)
    for number in range(40):
        found.add(address(number), "tracker", 0.0)
    failing = [dial(found, 0.0) for _ in range(2)]
    for one in failing:
        assert one is not None
        found.failed(one, "refused", 0.0)
    assert found.add(address(99), "pex", 0.0)
    assert not set(failing) & set(found.known())


def test_what_is_in_use_is_never_pushed_out() -> None:
    found = candidates(max_kept=10)
    for number in range(10):
        found.add(address(number), "pex", 0.0)
    using = [dial(found, 0.0) for _ in range(10)]
    assert not found.add(address(99), "manual", 0.0)
    assert set(using) == set(found.known())


def test_the_order_is_by_chance_and_the_same_for_the_same_seed() -> None:
    def order(seed: int) -> list[Address | None]:
        found = Candidates(CandidateSettings(), Random(seed))
        for number in range(50):
            found.add(address(number), "tracker", 0.0)
        return [dial(found, 0.0) for _ in range(50)]

    assert order(1) == order(1) != order(2)
    assert len(set(order(1))) == 50


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "pex", "dial", "connected", "failed", "lost", "ban"]),
        st.integers(0, 15),
        st.floats(0, 200),
    ),
    max_size=80,
)


@given(STEPS)
def test_never_too_many_never_twice_never_a_banned_one(steps: list[tuple[str, int, float]]) -> None:
    found = candidates(max_kept=6, max_of_host=2, give_up_after=3)
    now = 0.0
    using: set[Address] = set()
    banned: set[str] = set()
    for what, number, passed in steps:
        now += passed
        one = address(number // 2, 1 + number % 2)
        match what:
            case "add" | "pex":
                found.add(one, what, now)
            case "dial":
                dialed = dial(found, now)
                if dialed is not None:
                    assert dialed not in using and dialed.host not in banned
                    using.add(dialed)
            case "connected" if one in using:
                found.connected(one)
            case "failed" | "lost" if one in using:
                found.connecting(one) if what == "failed" else found.connected(one)
                found.failed(one, "", now) if what == "failed" else found.lost(one, "", now)
                using.discard(one)
            case "ban":
                found.ban(one.host, "bad")
                banned.add(one.host)
                using = {other for other in using if other.host != one.host}
        assert len(found) == len(found.known()) == len(set(found.known())) <= 6
        assert using <= set(found.known())
        assert not banned & {known.host for known in found.known()}


def test_a_dial_that_we_gave_up_is_no_failure() -> None:
    found = candidates()
    found.add(address(1), "tracker", 0.0)
    for now in range(0, 200, 10):
        assert dial(found, float(now)) == address(1)
        found.given_up(address(1), float(now), 5.0)
        assert found.next(now + 4.9) is None
    assert dial(found, 300.0) == address(1)
    found.connected(address(1))
    found.given_up(address(1), 300.0, 0.0)
    assert found.next(1000.0) is None, "it leads to a peer that is here"


def test_a_connection_that_we_ended_is_no_failure_and_those_before_are_forgiven() -> None:
    found = candidates()
    found.add(address(1), "tracker", 0.0)
    now = 0.0
    for _ in range(30):
        while dial(found, now) is None:
            now += 1.0
        found.failed(address(1), "refused", now)
        while dial(found, now) is None:
            now += 1.0
        found.parted(address(1), now, 0.0)
        assert found.next(now) is None, "only a connection can be ended"
        found.connected(address(1))
        found.parted(address(1), now, 3600.0)
        assert found.next(now + 3599.0) is None
        now += 3600.0
    assert found.known() == (address(1),)


def test_what_waits_without_having_failed_can_be_woken() -> None:
    found = candidates()
    for number in (1, 2, 3):
        found.add(address(number), "tracker", 0.0)
        found.connecting(address(number))
    for number in (1, 2):
        found.connected(address(number))
    found.parted(address(1), 0.0, 3600.0)
    found.failed(address(3), "refused", 0.0)
    assert found.next(1.0) is None
    found.wake(1.0)
    assert dial(found, 1.0) == address(1)
    assert dial(found, 1.0) is None


def test_the_better_source_comes_first_and_then_the_higher_priority() -> None:
    """BEP 40."""
    priorities = {address(1): 5, address(2): 9, address(3): 7, address(4): 99}
    found = Candidates(CandidateSettings(), Random(1), priorities.get)
    for number in (1, 2, 3):
        found.add(address(number), "tracker", 0.0)
    found.add(address(4), "pex", 0.0)
    assert [dial(found, 0.0) for _ in range(4)] == [address(number) for number in (2, 3, 1, 4)]


def test_who_was_never_dialed_comes_before_who_was_whatever_the_priority() -> None:
    priorities = {address(1): 9, address(2): 1}
    found = Candidates(CandidateSettings(), Random(1), priorities.get)
    found.add(address(1), "tracker", 0.0)
    for now in (0.0, 10.0):
        assert dial(found, now) == address(1)
        found.given_up(address(1), now, 10.0)
    found.add(address(2), "pex", 20.0)
    assert [dial(found, 20.0) for _ in range(3)] == [address(2), address(1), None]


def test_it_is_known_who_named_an_address_first() -> None:
    found = candidates()
    found.add(address(1), "tracker", 0.0, "http://one/announce")
    found.add(address(2), "tracker", 0.0, "http://two/announce")
    found.add(address(1), "pex", 0.0)
    assert found.origin(address(1)) == ("tracker", "http://one/announce")
    assert found.origin(address(9)) is None
    assert (found.kept_of("tracker"), found.kept_of("pex")) == (2, 0)
    found.ban(address(1).host, "bad")
    assert found.kept_of("tracker") == 1


def test_what_only_some_sources_named_can_be_forgotten() -> None:
    found = candidates()
    for number, source in enumerate(("tracker", "pex", "lsd", "pex", "pex"), 1):
        found.add(address(number), source, 0.0)
    found.add(address(4), "tracker", 0.0)
    found.connecting(address(5))
    assert found.forget(("pex", "lsd")) == (address(2), address(3), address(5))
    assert found.known() == (address(1), address(4))


def test_the_places_of_what_was_forgotten_do_not_pile_up() -> None:
    found = candidates(max_kept=8)
    for number in range(1000):
        found.add(address(number), "tracker", 0.0)
        assert found.next(0.0) is not None
        assert len(found._queue) <= 32 and len(found._due) <= 34


def test_why_an_address_failed_is_known_until_it_is_met() -> None:
    found = candidates()
    for number in (1, 2, 3):
        found.add(address(number), "tracker", 0.0)
    assert found.troubles(9) == () and found.trouble(address(1)) == ""
    found.failed(address(2), "connection timed out", 0.0)
    found.failed(address(1), "connection refused", 0.0)
    assert found.troubles(9) == (
        Trouble("10.0.0.1:6881", "connection refused"),
        Trouble("10.0.0.2:6881", "connection timed out"),
    )
    assert str(found.troubles(1)[0]) == "10.0.0.1:6881: connection refused"
    found.connecting(address(1))
    assert found.trouble(address(1)) == "connection refused", "it may fail again"
    found.connected(address(1))
    assert found.trouble(address(1)) == ""
    found.lost(address(1), "too many bitfields", 1.0)
    assert found.trouble(address(1)) == "too many bitfields"
    assert found.trouble(address(9)) == ""


def test_whom_we_parted_from_had_no_trouble() -> None:
    found = candidates()
    found.add(address(1), "tracker", 0.0)
    found.failed(address(1), "connection refused", 0.0)
    found.connected(address(1))
    found.parted(address(1), 1.0, 3600.0)
    assert found.troubles(9) == ()


def test_what_strangers_say_is_not_kept_at_length() -> None:
    found = candidates()
    found.add(address(1), "tracker", 0.0)
    found.failed(address(1), "x" * MAX_REASON, 0.0)
    assert found.trouble(address(1)) == "x" * MAX_REASON
    found.failed(address(1), "y" * (MAX_REASON + 1), 0.0)
    assert found.trouble(address(1)) == "y" * (MAX_REASON - 1) + "…"


def test_bans_and_our_own_address_are_reasons_too() -> None:
    found = candidates()
    for number in (1, 2, 3):
        found.add(address(number), "tracker", 0.0)
    found.ban(address(1).host, "it sent wrong data")
    found.exclude(address(2))
    found.failed(address(3), "connection refused", 0.0)
    assert found.trouble(address(1)) == "banned: it sent wrong data"
    assert found.trouble(address(2)) == "it is our own address"
    assert [str(trouble) for trouble in found.troubles(9)] == [
        "10.0.0.3:6881: connection refused",
        "10.0.0.1: banned: it sent wrong data",
    ]


def test_no_more_troubles_are_told_than_asked_for() -> None:
    found = candidates(max_of_host=99)
    for port in range(1, 20):
        found.add(address(1, port), "tracker", 0.0)
        found.failed(address(1, port), "connection refused", 0.0)
    assert len(found.troubles(5)) == 5
