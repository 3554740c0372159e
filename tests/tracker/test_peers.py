"""The packed peers of one swarm, beside a plain dict."""

from __future__ import annotations

from collections import Counter
from random import Random
from unittest import TestCase

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bittwist.tracker.peers import LEECH, PARTIAL, SCANNED, SEED, PackedPeers, host_of, numbers_below
from tests.scale import SEED as RANDOM_SEED
from tests.scale import runs

kinds = st.sampled_from([SEED, PARTIAL, LEECH])
# Bytes that repeat, so that addresses are found across two others.
addresses = st.tuples(st.sampled_from([b"\1\1\1\1", b"\1\1\2\1", b"\2\1\1\1"]), st.integers(0, 600)).map(
    lambda parts: parts[0] + parts[1].to_bytes(2, "big")
)


class PeersMachine(RuleBasedStateMachine):
    """Adds, renews and removes, few or hundreds at once: over the size from which on there is an index."""

    def __init__(self) -> None:
        super().__init__()
        self.peers = PackedPeers(6)
        self.held: dict[bytes, tuple[bytes, int, int]] = {}
        self.now = 0

    @rule(packed=addresses, kind=kinds)
    def announce(self, packed: bytes, kind: int) -> None:
        self.now += 1
        peer_id = self.now.to_bytes(20, "big")
        slot = self.peers.find(packed)
        assert (slot >= 0) == (packed in self.held)
        if slot < 0:
            slot = self.peers.add(packed, peer_id, kind, self.now)
        else:
            slot = self.peers.renew(slot, peer_id, kind, self.now)
        assert (self.peers.address(slot), self.peers.kind(slot)) == (packed, kind)
        self.held[packed] = (peer_id, kind, self.now)

    @rule(first=st.integers(0, 500), count=st.integers(1, 150), kind=kinds)
    def many_announce(self, first: int, count: int, kind: int) -> None:
        for port in range(first, first + count):
            self.announce(b"\1\1\1\1" + port.to_bytes(2, "big"), kind)

    @rule(packed=addresses)
    def leave(self, packed: bytes) -> None:
        slot = self.peers.find(packed)
        assert (slot >= 0) == (packed in self.held)
        if slot >= 0:
            self.peers.remove(slot)
            del self.held[packed]

    @precondition(lambda self: self.held)
    @rule(age=st.integers(0, 400))
    def expire(self, age: int) -> None:
        before = self.now - age
        gone = self.peers.gone(before, 0, len(self.peers))
        assert sorted(gone, reverse=True) == gone
        for slot in gone:
            self.peers.remove(slot)
        self.held = {packed: each for packed, each in self.held.items() if each[2] >= before}

    @invariant()
    def all_are_there_in_the_order_of_their_kinds(self) -> None:
        columns = self.peers.copy(0, len(self.peers))
        found = {packed: (peer_id, kind, stamp) for packed, peer_id, kind, stamp in columns.peers()}
        assert len(columns) == len(self.held) and found == self.held
        by_kind = Counter(kind for _, kind, _ in self.held.values())
        assert (columns.seeds, columns.partials) == (by_kind[SEED], by_kind[PARTIAL])
        assert (self.peers.seeds, self.peers.leeches) == (by_kind[SEED], by_kind[LEECH])

    @invariant()
    def the_peers_of_a_host_are_found(self) -> None:
        for host in (b"\1\1\1\1", b"\1\1\2\1", b"\1\1\1\2"):
            found = {self.peers.address(slot) for slot in self.peers.of_host(host)}
            assert found == {packed for packed in self.held if packed[:4] == host}


PeersMachine.TestCase.settings = settings(max_examples=runs(40, 2000), stateful_step_count=30, deadline=None)
PeersMachineTests = PeersMachine.TestCase


def swarm(count: int, width: int = 6) -> PackedPeers:
    """Leeches that came one after the other."""
    peers = PackedPeers(width)
    for number in range(count):
        peers.add(number.to_bytes(width, "big"), number.to_bytes(20, "big"), LEECH, number)
    return peers


class ChoiceTests(TestCase):
    def test_addresses_and_ids_are_those_of_the_slots(self) -> None:
        for width, count in ((6, 50), (6, 1000), (18, 50), (18, 1000)):
            peers = swarm(count, width)
            for slots in ([], [3], [7, 3], list(range(0, count, 7))):
                packed = b"".join(slot.to_bytes(width, "big") for slot in slots)
                self.assertEqual(peers.addresses(slots), packed)
                self.assertEqual(peers.ids(slots), b"".join(slot.to_bytes(20, "big") for slot in slots))

    def test_as_many_as_wanted_all_different_and_never_the_asker(self) -> None:
        random = Random(RANDOM_SEED)
        for count in (2, 5, 51, 75, 76, 100, 101, 102, 300, 3000):
            peers = swarm(count)
            for wanted in (0, 1, 2, 49, 50, 51, 74, 100, 200):
                for first, but in (
                    (0, -1),
                    (0, 0),
                    (0, count - 1),
                    (count // 3, count // 2),
                    (count // 3, 0),
                ):
                    others = count - first - (but >= first)
                    if wanted > others:
                        continue
                    chosen = peers.choose(wanted, first, but, random)
                    self.assertEqual((len(chosen), len(set(chosen))), (wanted, wanted))
                    self.assertTrue(all(first <= slot < count and slot != but for slot in chosen))

    def test_every_slot_and_every_pair_of_slots_is_as_likely(self) -> None:
        """Chi squared, whether the chosen are few or many: no slot has favourites among the others."""
        for count, wanted in ((20, 3), (20, 10), (20, 15), (200, 4)):
            peers, random = swarm(count), Random(RANDOM_SEED)
            but, rounds = 7, 6000
            slots: Counter[int] = Counter()
            pairs: Counter[bool] = Counter()
            for _ in range(rounds):
                chosen = peers.choose(wanted, 0, but, random)
                slots.update(chosen)
                near = sum(abs(one - other) == 1 for one in chosen for other in chosen) // 2
                pairs[True] += near
                pairs[False] += wanted * (wanted - 1) // 2 - near
            others = count - 1
            chi_squared = sum(
                (slots[slot] - rounds * wanted / others) ** 2 / (rounds * wanted / others)
                for slot in range(count)
                if slot != but
            )
            # The mean is others * (1 - wanted / others); six standard deviations above it.
            mean = others - wanted
            self.assertLess(chi_squared, mean + 6 * (2 * mean) ** 0.5, f"seed {RANDOM_SEED}")
            share = (others - 2) / (others * (others - 1) / 2)  # of all pairs, those who came in a row
            total = pairs.total()
            self.assertAlmostEqual(pairs[True] / total, share, delta=6 * (share / total) ** 0.5)

    def test_numbers_below_a_bound_are_spread_evenly(self) -> None:
        random = Random(RANDOM_SEED)
        for span in (1, 2, 3, 1000, 2**31, 2**32 - 1):
            numbers = [number for _ in range(50) for number in numbers_below(span, random)]
            self.assertTrue(all(0 <= number < span for number in numbers))
            mean = sum(numbers) / len(numbers)
            self.assertAlmostEqual(mean, (span - 1) / 2, delta=max(0.01, span / 40))


class HostTests(TestCase):
    def test_an_ipv6_customer_is_one_address(self) -> None:
        one, other = bytes(range(16)) + b"\0\1", bytes(range(8)) + b"\xff" * 8 + b"\0\2"
        self.assertEqual(host_of(one), host_of(other))
        self.assertNotEqual(host_of(b"\1\2\3\4\0\1"), host_of(b"\1\2\3\5\0\1"))

    def test_the_peers_of_a_64_are_found_with_and_without_an_index(self) -> None:
        for others in (3, 2 * SCANNED):
            peers = PackedPeers(18)
            for number in range(others):
                peers.add(b"\x20" + number.to_bytes(17, "little"), bytes(20), LEECH, number)
            mine = {peers.add(b"\x21" * 8 + bytes([n]) * 10, bytes(20), LEECH, n) for n in range(5)}
            self.assertEqual(set(peers.of_host(b"\x21" * 8)), mine)
