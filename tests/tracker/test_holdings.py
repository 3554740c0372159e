"""What each address holds, beside plain counters."""

from __future__ import annotations

from collections import Counter
from unittest import TestCase

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bittwist.tracker.holdings import HEAVY, Holdings
from tests.scale import runs

HOSTS = [b"\1\1\1\1", b"\1\1\1\2", b"\2" * 8]
hosts = st.sampled_from(HOSTS)
swarms = st.integers(0, 90)


class HoldingsMachine(RuleBasedStateMachine):
    """Peers come and go, one or many at once: over the number from which on a host has a record."""

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[bytes, Counter[int]] = {host: Counter() for host in HOSTS}
        self.last: dict[tuple[bytes, int], int] = {}
        self.now = 0
        self.holdings = Holdings(lambda host, number: self.last[host, number])

    @rule(host=hosts, number=swarms)
    def add(self, host: bytes, number: int) -> None:
        self.now += 1
        self.last[host, number] = self.now
        self.held[host][number] += 1
        self.holdings.add(host, number)

    @rule(host=hosts, first=swarms, count=st.integers(1, 80))
    def add_many(self, host: bytes, first: int, count: int) -> None:
        for number in range(first, first + count):
            self.add(host, number)

    @rule(host=hosts, number=swarms)
    def renew(self, host: bytes, number: int) -> None:
        if self.held[host][number]:
            self.now += 1
            self.last[host, number] = self.now
            self.holdings.renew(host, number)

    @rule(host=hosts, count=st.integers(1, 90))
    def remove_oldest(self, host: bytes, count: int) -> None:
        for _ in range(min(count, self.held[host].total())):
            number = self.holdings.oldest(host)
            self.holdings.remove(host, number)
            self.held[host][number] -= 1
            self.held[host] = +self.held[host]

    @precondition(lambda self: any(self.held.values()))
    @rule()
    def settle(self) -> None:
        self.holdings.settle()

    @invariant()
    def counts_and_the_oldest_agree(self) -> None:
        for host, counter in self.held.items():
            swarms = +counter
            assert self.holdings.reaches(host, len(swarms))
            assert not self.holdings.reaches(host, len(swarms) + 1)
            if swarms:
                oldest = min(swarms, key=lambda number: self.last[host, number])
                assert self.holdings.oldest(host) == oldest

    @invariant()
    def the_greediest_is_known_to_a_factor_of_two(self) -> None:
        totals = {host: counter.total() for host, counter in self.held.items()}
        most = max(totals.values())
        for asker in HOSTS:
            greediest = self.holdings.greediest(asker)
            if most >= HEAVY:
                assert greediest is not None and totals[greediest] > most / 2
            if greediest is not None:
                assert totals[greediest] >= HEAVY // 2
                if totals[asker].bit_length() == most.bit_length() and totals[asker] >= HEAVY:
                    assert greediest == asker, "who asks gives first"


HoldingsMachine.TestCase.settings = settings(
    max_examples=runs(60, 3000), stateful_step_count=25, deadline=None
)
HoldingsMachineTests = HoldingsMachine.TestCase


class BoundTests(TestCase):
    def test_many_peers_in_one_swarm_are_many_peers_and_one_swarm(self) -> None:
        holdings = Holdings(lambda host, number: 0)
        for _ in range(HEAVY + 1):
            holdings.add(HOSTS[0], 7)
        self.assertTrue(holdings.any_heavy)
        self.assertTrue(holdings.reaches(HOSTS[0], 1))
        self.assertFalse(holdings.reaches(HOSTS[0], 2))
        self.assertEqual(holdings.greediest(HOSTS[1]), HOSTS[0])
        for _ in range(HEAVY + 1):
            holdings.remove(HOSTS[0], 7)
        self.assertFalse(holdings.any_heavy)
        self.assertFalse(holdings.reaches(HOSTS[0], 1))
