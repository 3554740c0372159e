"""The memory store: who is told about whom."""

from collections import Counter
from dataclasses import replace
from random import Random
from unittest import TestCase

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from zope.interface.verify import verifyObject

from bittwist.address import Address
from bittwist.announce.values import AnnounceRequest, Event, ScrapeEntry
from bittwist.errors import TrackerFailure
from bittwist.metainfo.compact import unpack
from bittwist.tracker import ISwarmStore, SwarmAnswer, TrackerSettings
from bittwist.tracker.swarms import Swarms
from tests.scale import SEED

HASH = b"h" * 20


def asked(host: str, port: int = 6881, **fields: object) -> AnnounceRequest:
    """A leech's announce from that address, with an id of its own."""
    address = Address(host, port)
    peer_id = address.packed.rjust(20, b"-")
    request = AnnounceRequest(HASH, peer_id, port, left=1, numwant=50, address=address)
    return replace(request, **fields)  # type: ignore[arg-type]


def peers_in(answer: SwarmAnswer) -> list[str]:
    return sorted(str(peer) for peer in (*unpack(answer.peers4, 6), *unpack(answer.peers6, 18)))


class StoreTests(TestCase):
    def setUp(self) -> None:
        self.now = 0.0
        self.settings = TrackerSettings(interval=1800)
        self.swarms = Swarms(lambda: self.now, Random(SEED), self.settings)

    def sweep(self) -> None:
        for _ in self.swarms.sweep():
            pass

    def test_it_is_a_store(self) -> None:
        verifyObject(ISwarmStore, self.swarms)

    def test_the_first_peer_is_told_of_nobody(self) -> None:
        self.assertEqual(self.swarms.announce(asked("10.0.0.1")), SwarmAnswer(incomplete=1))

    def test_a_peer_is_told_of_the_others_and_never_of_itself(self) -> None:
        self.swarms.announce(asked("10.0.0.1"))
        self.swarms.announce(asked("10.0.0.2"))
        answer = self.swarms.announce(asked("10.0.0.1"))
        self.assertEqual((peers_in(answer), answer.incomplete), (["10.0.0.2:6881"], 2))

    def test_two_peers_behind_one_address_are_two(self) -> None:
        self.swarms.announce(asked("10.0.0.1", 1))
        answer = self.swarms.announce(asked("10.0.0.1", 2))
        self.assertEqual((peers_in(answer), answer.incomplete), (["10.0.0.1:1"], 2))

    def test_swarms_do_not_mix(self) -> None:
        self.swarms.announce(asked("10.0.0.1"))
        answer = self.swarms.announce(asked("10.0.0.2", info_hash=b"x" * 20))
        self.assertEqual(peers_in(answer), [])

    def test_a_seed_is_told_of_leeches_only_and_a_leech_of_both(self) -> None:
        self.swarms.announce(asked("10.0.0.1", left=0))
        self.swarms.announce(asked("10.0.0.2", left=0))
        self.swarms.announce(asked("10.0.0.3"))
        answer = self.swarms.announce(asked("10.0.0.1", left=0))
        self.assertEqual(peers_in(answer), ["10.0.0.3:6881"])
        self.assertEqual((answer.complete, answer.incomplete), (2, 1))
        answer = self.swarms.announce(asked("10.0.0.3"))
        self.assertEqual(peers_in(answer), ["10.0.0.1:6881", "10.0.0.2:6881"])

    def test_seeds_are_told_of_seeds_where_that_is_asked_for(self) -> None:
        """aria2 says left=0 while it knows no metadata."""
        self.settings = TrackerSettings(seeds_meet_seeds=True)
        self.swarms = Swarms(lambda: self.now, Random(SEED), self.settings)
        self.swarms.announce(asked("10.0.0.1", left=0))
        self.swarms.announce(asked("10.0.0.2"))
        answer = self.swarms.announce(asked("10.0.0.3", left=0))
        self.assertEqual(peers_in(answer), ["10.0.0.1:6881", "10.0.0.2:6881"])
        self.assertEqual((answer.complete, answer.incomplete), (2, 1))

    def test_a_leech_becomes_a_seed_and_a_leech_again(self) -> None:
        for left, counts in ((1, (0, 1)), (0, (1, 0)), (5, (0, 1))):
            answer = self.swarms.announce(asked("10.0.0.1", left=left))
            self.assertEqual((answer.complete, answer.incomplete), counts)

    def test_who_stops_is_gone_and_told_of_nobody(self) -> None:
        self.swarms.announce(asked("10.0.0.1"))
        self.swarms.announce(asked("10.0.0.2"))
        answer = self.swarms.announce(asked("10.0.0.2", event=Event.STOPPED))
        self.assertEqual(answer, SwarmAnswer(incomplete=1))
        self.assertEqual(self.swarms.peers, 1)

    def test_stopping_what_never_began_leaves_nothing(self) -> None:
        self.assertEqual(self.swarms.announce(asked("10.0.0.1", event=Event.STOPPED)), SwarmAnswer())
        self.assertEqual(self.swarms.torrents, 0)

    def test_a_download_counts_once(self) -> None:
        self.swarms.announce(asked("10.0.0.1"))
        for event in (Event.COMPLETED, Event.COMPLETED, Event.NONE):
            answer = self.swarms.announce(asked("10.0.0.1", left=0, event=event))
            self.assertEqual(answer.downloaded, 1)
        answer = self.swarms.announce(asked("10.0.0.2", left=0, event=Event.STARTED))
        self.assertEqual(answer.downloaded, 1, "a peer that comes as a seed has downloaded nothing here")
        self.assertEqual(self.swarms.scrape([HASH]), {HASH: ScrapeEntry(2, 1, 0, 0)})

    def test_scraping_the_unknown_gives_zeros(self) -> None:
        self.assertEqual(self.swarms.scrape([b"x" * 20]), {b"x" * 20: ScrapeEntry(downloaders=0)})
        self.assertEqual(self.swarms.torrents, 0)

    def test_numwant_is_honoured(self) -> None:
        for host in range(1, 31):
            self.swarms.announce(asked(f"10.0.0.{host}"))
        for numwant, told in ((0, 0), (1, 1), (10, 10), (29, 29), (50, 29)):
            self.assertEqual(len(peers_in(self.swarms.announce(asked("10.0.0.1", numwant=numwant)))), told)

    def test_families_are_apart_and_the_own_one_comes_first(self) -> None:
        for number in range(1, 4):
            self.swarms.announce(asked(f"10.0.0.{number}"))
            self.swarms.announce(asked(f"2001:db8::{number}"))
        answer = self.swarms.announce(asked("2001:db8::1", numwant=3))
        self.assertEqual((len(answer.peers4), len(answer.peers6)), (6, 36))
        answer = self.swarms.announce(asked("10.0.0.1"))
        self.assertEqual((len(answer.peers4), len(answer.peers6)), (12, 54))
        self.assertEqual(answer.incomplete, 6)

    def test_a_peer_is_not_told_of_its_own_other_address(self) -> None:
        self.swarms.announce(asked("10.0.0.1", peer_id=b"me" * 10))
        self.assertEqual(peers_in(self.swarms.announce(asked("2001:db8::1", peer_id=b"me" * 10))), [])

    def test_mapped_addresses_are_ipv4(self) -> None:
        self.swarms.announce(asked("::ffff:10.0.0.1"))
        self.assertEqual(peers_in(self.swarms.announce(asked("10.0.0.2"))), ["10.0.0.1:6881"])

    def test_ids_are_given_where_they_are_wanted(self) -> None:
        self.swarms.announce(asked("10.0.0.1", peer_id=b"a" * 20))
        self.swarms.announce(asked("2001:db8::1", peer_id=b"b" * 20))
        wanted = self.swarms.announce(asked("10.0.0.2", compact=False))
        self.assertEqual(wanted.ids(), (b"a" * 20, b"b" * 20))
        self.assertEqual(self.swarms.announce(asked("10.0.0.2", compact=False, no_peer_id=True)).ids(), ())
        self.assertEqual(self.swarms.announce(asked("10.0.0.2")).ids(), ())

    def test_a_peer_that_comes_back_with_another_id_has_that_id(self) -> None:
        self.swarms.announce(asked("10.0.0.1", peer_id=b"a" * 20))
        self.swarms.announce(asked("10.0.0.1", peer_id=b"b" * 20))
        self.assertEqual(self.swarms.announce(asked("10.0.0.2", compact=False)).ids(), (b"b" * 20,))

    def test_who_stays_away_is_gone_and_who_comes_back_is_not(self) -> None:
        self.swarms.announce(asked("10.0.0.1"))
        self.swarms.announce(asked("10.0.0.2", left=0))
        self.now = self.settings.expire_after
        self.swarms.announce(asked("10.0.0.2", left=0))
        self.sweep()
        self.assertEqual(self.swarms.peers, 2, "at the limit it is still here")
        self.now += 1
        self.sweep()
        self.assertEqual(self.swarms.scrape([HASH])[HASH], ScrapeEntry(complete=1, downloaders=0))
        self.now += self.settings.expire_after + 1
        self.sweep()
        self.assertEqual((self.swarms.torrents, self.swarms.peers), (0, 0))

    def test_the_sweep_of_a_big_swarm_comes_in_steps(self) -> None:
        for number in range(5000):
            self.swarms.announce(asked(f"10.1.{number // 250}.{number % 250}", numwant=0))
        self.now = self.settings.expire_after + 1
        steps = 0
        for _ in self.swarms.sweep():
            steps += 1
            self.swarms.announce(asked(f"10.9.0.{steps}", left=steps % 2, numwant=0))
        self.assertGreaterEqual(steps, 2)
        self.assertLessEqual(self.swarms.peers, 2 * steps, "a new seed may save one peer from this pass")
        self.sweep()
        self.assertEqual(self.swarms.peers, steps, "who came in between is here; all others are gone")

    def test_over_the_limit_an_address_loses_its_own_oldest_and_nobody_elses(self) -> None:
        self.swarms.settings = replace(self.settings, peers_per_address=3)
        self.swarms.announce(asked("10.0.0.9"))
        for port in (1, 2, 3):
            self.swarms.announce(asked("10.0.0.1", port))
        self.swarms.announce(asked("10.0.0.1", 1))  # now port 2 is the oldest
        self.swarms.announce(asked("10.0.0.1", 4))
        self.assertEqual(
            peers_in(self.swarms.announce(asked("10.0.0.8"))),
            ["10.0.0.1:1", "10.0.0.1:3", "10.0.0.1:4", "10.0.0.9:6881"],
        )
        self.assertEqual(self.swarms.peers, 5)

    def test_a_full_tracker_refuses_the_new_and_keeps_the_old(self) -> None:
        self.swarms.settings = replace(self.settings, max_torrents=1, max_peers=1)
        self.swarms.announce(asked("10.0.0.1"))
        with self.assertRaisesRegex(TrackerFailure, "no room for another peer"):
            self.swarms.announce(asked("10.0.0.2"))
        self.swarms.settings = replace(self.settings, max_torrents=1)
        with self.assertRaisesRegex(TrackerFailure, "no room for another torrent"):
            self.swarms.announce(asked("10.0.0.2", info_hash=b"x" * 20))
        self.swarms.announce(asked("10.0.0.1"))
        self.assertEqual((self.swarms.torrents, self.swarms.peers), (1, 1))

    def test_a_torrent_without_room_for_its_peer_leaves_nothing(self) -> None:
        self.swarms.settings = replace(self.settings, max_peers=1)
        self.swarms.announce(asked("10.0.0.1"))
        with self.assertRaises(TrackerFailure):
            self.swarms.announce(asked("10.0.0.2", info_hash=b"x" * 20))
        self.assertEqual(self.swarms.torrents, 1)


class FairnessTests(TestCase):
    def test_every_other_peer_is_as_likely(self) -> None:
        """Chi-squared over 40 peers, seeds and leeches: no position is favoured, next to the asker or not."""
        swarms = Swarms(lambda: 0.0, Random(SEED), TrackerSettings())
        for host in range(41):
            swarms.announce(asked(f"10.0.0.{host}", left=host % 3))
        rounds, numwant = 4000, 7
        told: Counter[str] = Counter()
        for _ in range(rounds):
            told.update(peers_in(swarms.announce(asked("10.0.0.20", left=2, numwant=numwant))))
        expected = rounds * numwant / 40
        self.assertEqual((len(told), sum(told.values())), (40, rounds * numwant))
        chi_squared = sum((count - expected) ** 2 / expected for count in told.values())
        self.assertLess(chi_squared, 80, f"seed {SEED}: 39 degrees of freedom, p < 0.0002")


class SwarmMachine(RuleBasedStateMachine):
    """Whatever order peers come, turn, go and expire in: the packed swarm says what a plain dict says."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.settings = TrackerSettings(interval=10, min_interval=1, peers_per_address=3)
        self.swarms = Swarms(lambda: self.now, Random(SEED), self.settings)
        self.model: dict[str, tuple[bool, float]] = {}

    @rule(
        host=st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.0.3", "2001:db8::1"]),
        port=st.integers(1, 5),
        left=st.integers(0, 1),
    )
    def announce(self, host: str, port: int, left: int) -> None:
        me = str(Address(host, port))
        answer = self.swarms.announce(asked(host, port, left=left))
        self.model.pop(me, None)
        mine = [peer for peer in self.model if Address.parse(peer).host == Address(host, 1).host]
        if len(mine) == 3:
            del self.model[mine[0]]
        expected = sorted(peer for peer, (seed, _) in self.model.items() if left or not seed)
        assert peers_in(answer) == expected
        self.model[me] = (left == 0, self.now)

    @rule(host=st.sampled_from(["10.0.0.1", "10.0.0.2", "2001:db8::1"]), port=st.integers(1, 5))
    def stop(self, host: str, port: int) -> None:
        self.swarms.announce(asked(host, port, event=Event.STOPPED))
        self.model.pop(str(Address(host, port)), None)

    @rule(seconds=st.integers(1, 60))
    def sweep(self, seconds: int) -> None:
        self.now += seconds
        for _ in self.swarms.sweep():
            pass
        limit = self.now - self.settings.expire_after
        self.model = {peer: entry for peer, entry in self.model.items() if entry[1] >= limit}

    @invariant()
    def counts_agree(self) -> None:
        seeds = sum(seed for seed, _ in self.model.values())
        entry = self.swarms.scrape([HASH])[HASH]
        assert (entry.complete, entry.incomplete) == (seeds, len(self.model) - seeds)
        assert self.swarms.peers == len(self.model)


SwarmMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
SwarmMachineTests = SwarmMachine.TestCase


class PropertyTests(TestCase):
    @given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 20))
    def test_as_many_as_wanted_or_as_there_are_all_different(
        self, seeds: int, leeches: int, numwant: int
    ) -> None:
        swarms = Swarms(lambda: 0.0, Random(SEED), TrackerSettings())
        for number in range(seeds + leeches):
            swarms.announce(asked("10.0.0.1", 100 + number, left=int(number >= seeds)))
        told = peers_in(swarms.announce(asked("10.0.0.2", numwant=numwant)))
        self.assertEqual(len(set(told)), min(numwant, seeds + leeches))
        self.assertEqual(len(told), len(set(told)))
