"""The memory store: who stays away, what is bounded, and who pays where there is no room."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from random import Random
from unittest import TestCase

from hypothesis import given
from hypothesis import strategies as st

from bittwist.address import Address
from bittwist.announce.values import AnnounceRequest, Event, ScrapeEntry
from bittwist.errors import TrackerFailure
from bittwist.testing.stores import HASH, asked, told
from bittwist.tracker import Totals, TrackerSettings
from bittwist.tracker.swarms import LISTED, SORTED, Swarms
from tests.scale import SEED, SOAK, runs

MIB = 1 << 20


class StoreCase(TestCase):
    def setUp(self) -> None:
        self.now = 0.0
        self.settings = TrackerSettings(interval=1800)
        self.swarms = Swarms(lambda: self.now, Random(SEED), self.settings)

    def limit(self, **fields: int) -> None:
        self.swarms.settings = replace(self.swarms.settings, **fields)  # type: ignore[arg-type]

    def announce(self, *requests: AnnounceRequest) -> list[str]:
        """Whom the last of these is told of."""
        found: list[str] = []
        for request in requests:
            found = told(self.swarms.announce(request))
        return found

    def sweep(self) -> None:
        for _ in self.swarms.sweep():
            pass

    def size(self, info_hash: bytes = HASH) -> int:
        entry = self.swarms.scrape([info_hash])[info_hash]
        return entry.complete + entry.incomplete


class ExpiryTests(StoreCase):
    def test_who_stays_away_is_gone_and_who_comes_back_is_not(self) -> None:
        self.announce(asked("10.0.0.1"), asked("10.0.0.2", left=0))
        self.now = self.settings.expire_after
        self.announce(asked("10.0.0.2", left=0))
        self.sweep()
        self.assertEqual(self.swarms.peers, 2, "at the limit it is still here")
        self.now += 1
        self.sweep()
        self.assertEqual(self.swarms.scrape([HASH])[HASH], ScrapeEntry(1, 0, 0, 0))
        self.now += self.settings.expire_after + 1
        self.sweep()
        self.assertEqual((self.swarms.torrents, self.swarms.peers), (0, 0))

    def test_the_sweep_of_a_big_swarm_comes_in_steps(self) -> None:
        for number in range(5000):
            self.announce(asked(f"10.1.{number // 250}.{number % 250}", numwant=0))
        self.now = self.settings.expire_after + 1
        steps = 0
        for _ in self.swarms.sweep():
            steps += 1
            self.announce(asked(f"10.9.0.{steps}", left=steps % 2, numwant=0))
        self.assertGreaterEqual(steps, 5)
        self.assertLessEqual(self.swarms.peers, 2 * steps, "a new seed may save one peer from this pass")
        self.sweep()
        self.assertEqual(self.swarms.peers, steps, "who came in between is here; all others are gone")

    def test_the_sweep_of_many_swarms_comes_in_steps(self) -> None:
        for number in range(3000):
            self.announce(asked("10.0.0.1", info_hash=number.to_bytes(20, "big")))
        self.assertGreaterEqual(sum(1 for _ in self.swarms.sweep()), 5)
        self.assertEqual(self.swarms.torrents, 3000)

    def test_swarms_that_come_and_go_during_a_sweep_do_not_disturb_it(self) -> None:
        random = Random(SEED)
        for _ in range(20):
            for number in range(1500):
                self.announce(
                    asked("10.0.0.1", info_hash=random.randbytes(1) + bytes(18) + bytes([number % 7]))
                )
            self.now += self.settings.expire_after / 3
            for _ in self.swarms.sweep():
                for _ in range(20):
                    event = random.choice([Event.NONE, Event.STOPPED])
                    info_hash = random.randbytes(1) + bytes(18) + bytes([random.randrange(7)])
                    self.announce(asked("10.0.0.1", random.randrange(1, 4), info_hash=info_hash, event=event))
        self.now += 2 * self.settings.expire_after
        self.sweep()
        self.assertEqual(self.swarms.totals(), Totals())


class BoundTests(StoreCase):
    def test_over_the_torrents_of_an_address_its_own_oldest_goes_and_nobody_elses(self) -> None:
        for limit in (3, 200):  # of who holds little there is no record, and the same is promised
            self.setUp()
            self.limit(torrents_per_address=limit)
            hashes = [number.to_bytes(20, "big") for number in range(limit + 1)]
            self.announce(*(asked("10.0.0.9", info_hash=info_hash) for info_hash in hashes[:2]))
            self.announce(*(asked("10.0.0.1", info_hash=info_hash) for info_hash in hashes[:-1]))
            self.announce(asked("10.0.0.1", info_hash=hashes[0]))  # now hashes[1] is the oldest
            self.announce(asked("10.0.0.1", info_hash=hashes[-1]))
            sizes = [self.size(info_hash) for info_hash in hashes]
            self.assertEqual(sizes, [2, 1, *[1] * (limit - 1)])
            self.assertEqual(self.announce(asked("10.0.0.8", info_hash=hashes[1])), ["10.0.0.9:6881"])

    def test_all_peers_of_an_address_leave_the_oldest_torrent(self) -> None:
        self.limit(torrents_per_address=1)
        self.announce(*(asked("10.0.0.1", port) for port in (1, 2, 3)))
        self.announce(asked("10.0.0.1", 4, info_hash=b"x" * 20))
        self.assertEqual((self.size(), self.swarms.torrents, self.swarms.peers), (0, 1, 1))

    def test_a_64_of_ipv6_is_one_address(self) -> None:
        self.limit(peers_per_address=2, torrents_per_address=2)
        self.announce(*(asked(f"2001:db8::{number}") for number in (1, 2, 3)))
        self.assertEqual(self.size(), 2)
        self.announce(asked("2001:db8:0:1::1"))
        self.assertEqual(self.size(), 3)
        self.announce(asked("2001:db8::4", info_hash=b"x" * 20), asked("2001:db8::5", info_hash=b"y" * 20))
        self.assertEqual((self.size(), self.swarms.torrents), (1, 3))

    def test_a_limit_that_was_lowered_is_reached_by_and_by(self) -> None:
        hashes = [number.to_bytes(20, "big") for number in range(500)]
        self.announce(*(asked("10.0.0.1", info_hash=info_hash) for info_hash in hashes))
        self.limit(torrents_per_address=10)
        for number in range(20):
            self.announce(asked("10.0.0.1", info_hash=b"new" + number.to_bytes(17, "big")))
        self.assertEqual(self.swarms.torrents, 10)

    def test_where_nobody_holds_much_a_full_tracker_refuses_the_new_and_keeps_the_old(self) -> None:
        self.limit(max_torrents=1, max_peers=1)
        self.announce(asked("10.0.0.1"))
        with self.assertRaisesRegex(TrackerFailure, "no room for another peer"):
            self.announce(asked("10.0.0.2"))
        self.limit(max_peers=2)
        with self.assertRaisesRegex(TrackerFailure, "no room for another torrent"):
            self.announce(asked("10.0.0.2", info_hash=b"x" * 20))
        self.assertEqual(self.announce(asked("10.0.0.1")), [])
        self.assertEqual((self.swarms.torrents, self.swarms.peers), (1, 1))

    def test_a_full_tracker_takes_the_room_for_a_newcomer_from_who_holds_most(self) -> None:
        self.limit(max_peers=500)
        hashes = [number.to_bytes(20, "big") for number in range(400)]
        self.announce(*(asked("10.0.0.1", info_hash=info_hash) for info_hash in hashes))
        self.announce(*(asked("10.0.0.2", info_hash=info_hash) for info_hash in hashes[:70]))
        self.announce(*(asked(f"10.1.0.{number}") for number in range(30)))
        self.announce(asked("10.2.0.1"))
        self.assertEqual(self.swarms.peers, 500)
        self.assertEqual(self.size(hashes[0]), 1, "of the greediest the oldest entry is gone")
        self.assertEqual((self.size(hashes[1]), self.size()), (2, 31))

    def test_a_torrent_that_is_new_finds_room_too(self) -> None:
        self.limit(max_torrents=100)
        hashes = [number.to_bytes(20, "big") for number in range(100)]
        self.announce(*(asked("10.0.0.1", info_hash=info_hash) for info_hash in hashes))
        self.announce(asked("10.0.0.2"))
        self.assertEqual((self.swarms.torrents, self.size(), self.size(hashes[0])), (100, 1, 0))

    def test_who_holds_most_pays_for_itself(self) -> None:
        self.limit(max_peers=200)
        for number in range(100):
            self.announce(asked("10.0.0.1", info_hash=b"1" * 19 + bytes([number])))
            self.announce(asked("10.0.0.2", info_hash=b"2" * 19 + bytes([number])))
        for number in range(80):
            self.announce(asked("10.0.0.2", info_hash=b"3" * 19 + bytes([number])))
        self.assertEqual(self.swarms.totals(), Totals(200, 0, 200))
        self.assertEqual(self.size(b"2" * 19 + bytes([79])), 0)
        sizes = [self.size(b"1" * 19 + bytes([number])) for number in range(100)]
        self.assertEqual(sizes, [1] * 100, "the other, who holds as much, loses nothing")

    def test_a_torrent_without_room_for_its_peer_leaves_nothing(self) -> None:
        self.limit(max_peers=1)
        self.announce(asked("10.0.0.1"))
        with self.assertRaises(TrackerFailure):
            self.announce(asked("10.0.0.2", info_hash=b"x" * 20))
        self.assertEqual(self.swarms.torrents, 1)


def flood(count: int, hashes: list[bytes], seed: int) -> Iterable[AnnounceRequest]:
    """From one address: random ids and ports, and hashes of others' torrents or of none."""
    random = Random(seed)
    for _ in range(count):
        info_hash = random.choice(hashes) if hashes and random.random() < 0.5 else random.randbytes(20)
        port = random.randrange(1, 65536)
        left = random.randrange(2)
        yield AnnounceRequest(
            info_hash, random.randbytes(20), port, left=left, numwant=0, address=Address("198.51.100.7", port)
        )


class FloodTests(StoreCase):
    """T19 and must-show 5: what one address announces costs nobody else anything."""

    def setUp(self) -> None:
        super().setUp()
        self.hashes = [number.to_bytes(20, "big") for number in range(50)]
        self.others = [
            asked(f"10.0.{number}.{host}", info_hash=info_hash, left=host % 2)
            for number, info_hash in enumerate(self.hashes)
            for host in range(20)
        ]
        self.announce(*self.others)

    def flooders(self, info_hash: bytes) -> int:
        answer = told(self.swarms.announce(asked("10.9.9.9", info_hash=info_hash, numwant=1000)))
        return sum(peer.startswith("198.51.100.7:") for peer in answer)

    def check(self, announces: int) -> None:
        for request in flood(announces, self.hashes, SEED):
            self.swarms.announce(request)
            self.assertLessEqual(self.swarms.torrents, self.settings.torrents_per_address + len(self.hashes))
        held = {
            (info_hash, peer)
            for info_hash in self.hashes
            for peer in told(self.swarms.announce(asked("10.9.9.9", info_hash=info_hash, numwant=1000)))
        }
        missing = {(each.info_hash, str(each.address)) for each in self.others} - held
        self.assertEqual(missing, set(), "nobody else is evicted")

    def test_a_flood_from_one_address_evicts_nobody_else(self) -> None:
        self.check(runs(20_000, 100_000))
        for info_hash in self.hashes:
            self.assertLessEqual(self.flooders(info_hash), self.settings.peers_per_address)

    def test_a_flood_into_a_tracker_that_it_fills_evicts_nobody_else_and_keeps_no_newcomer_out(self) -> None:
        self.limit(max_peers=5000, max_torrents=3000)
        self.check(runs(20_000, 100_000))
        self.assertLessEqual(self.swarms.peers, 5000)
        for number in range(1000):
            newcomer = asked(
                f"10.8.{number // 250}.{number % 250}", info_hash=b"new" + number.to_bytes(17, "big")
            )
            self.announce(newcomer)
            self.assertEqual(self.size(newcomer.info_hash), 1)
        self.assertLessEqual(self.swarms.peers, 5000)

    def test_a_flood_that_refreshes_what_it_holds_ages_like_everybody(self) -> None:
        for request in flood(3000, [], SEED):
            self.swarms.announce(request)
        self.now = self.settings.expire_after + 1
        self.sweep()
        self.assertEqual(self.swarms.totals(), Totals())

    def test_a_million_announces_from_one_address_fit_into_200_mib(self) -> None:
        """T19: in a process of its own, which says how much memory it took at most."""
        program = (
            "import time; from random import Random; from bittwist.tracker import TrackerSettings\n"
            "from bittwist.tracker.swarms import Swarms; from tests.tracker.test_swarms import flood\n"
            "from bench.measure import peak_memory; import os\n"
            "store = Swarms(time.monotonic, Random(1), TrackerSettings())\n"
            f"for request in flood({runs(10_000, 1_000_000)}, [], 1): store.announce(request)\n"
            "print(store.torrents, peak_memory(os.getpid()))"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=240, check=True
        )
        torrents, peak = map(int, done.stdout.split())
        self.assertLessEqual(torrents, self.settings.torrents_per_address)
        if SOAK:
            self.assertLessEqual(peak, 200 * MIB)


class ManyAddressesTests(TestCase):
    def test_two_hundred_thousand_addresses_cost_160_bytes_each_and_no_step_takes_20_ms(self) -> None:
        """T20, the store's part."""
        program = (
            "import gc, os, time; from random import Random; from bench.measure import own_memory\n"
            "from bench.tracker_growth import longest_step, peer\n"
            "from bittwist.tracker import TrackerSettings; from bittwist.tracker.swarms import Swarms\n"
            "clock = [0.0]; store = Swarms(lambda: clock[0], Random(1), TrackerSettings())\n"
            "hashes = [bytes([number]) * 20 for number in range(10)]\n"
            "before = own_memory(os.getpid())\n"
            f"for number in range({runs(20_000, 200_000)}): store.announce(peer(number, hashes))\n"
            "memory = own_memory(os.getpid()) - before; peers = store.peers\n"
            "copies = longest_step(store.portions()); clock[0] = 1e6; sweep = longest_step(store.sweep())\n"
            "print(peers, store.peers, memory, max(copies, sweep))"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=240, check=True
        )
        peers, left, memory, longest = done.stdout.split()
        self.assertEqual((int(peers), int(left)), (runs(20_000, 200_000), 0))
        if SOAK:
            self.assertLessEqual(int(memory) / int(peers), 160)
            self.assertLessEqual(float(longest), 0.020)


class OverviewTests(StoreCase):
    def test_totals_are_counted_all_the_time(self) -> None:
        self.announce(asked("10.0.0.1"), asked("10.0.0.2", left=0), asked("2001:db8::1", left=0))
        self.announce(asked("10.0.0.1", info_hash=b"x" * 20, event=Event.PAUSED))
        self.assertEqual(self.swarms.totals(), Totals(2, 2, 2))
        self.announce(asked("10.0.0.2"), asked("2001:db8::1", event=Event.STOPPED))
        self.assertEqual(self.swarms.totals(), Totals(2, 0, 3))

    def test_the_largest_come_first(self) -> None:
        for size, letter in ((3, b"a"), (1, b"b"), (2, b"c")):
            for host in range(size):
                self.announce(asked(f"10.0.0.{host}", info_hash=letter * 20))
        found = self.swarms.largest(2)
        self.assertEqual([(name[:1], entry.incomplete) for name, entry in found], [(b"a", 3), (b"c", 2)])

    def test_of_very_many_the_largest_are_those_of_the_last_sweep(self) -> None:
        self.limit(torrents_per_address=1_000_000)
        for number in range(SORTED + 1):
            self.announce(asked("10.0.0.1", info_hash=number.to_bytes(20, "big"), numwant=0))
        last = SORTED.to_bytes(20, "big")
        self.announce(asked("10.0.0.2", info_hash=last))
        self.sweep()
        self.assertEqual(self.swarms.largest(1), [(last, ScrapeEntry(0, 0, 2, 2))])
        self.assertEqual(len(self.swarms.largest(SORTED)), LISTED)

    def test_a_big_swarm_that_is_forgotten_goes_in_steps(self) -> None:
        for number in range(2000):
            self.announce(asked(f"10.1.{number // 250}.{number % 250}", left=number % 2, numwant=0))
        self.swarms.forget(HASH)
        self.assertEqual((self.size(), self.announce(asked("10.0.0.1"))), (0, []))
        self.sweep()
        self.assertEqual(self.swarms.totals(), Totals(1, 0, 1))


class FairnessTests(TestCase):
    def test_every_other_peer_of_a_big_swarm_is_as_likely(self) -> None:
        """Chi squared over 300 peers: neither who came first nor the asker's neighbours are favoured."""
        swarms = Swarms(lambda: 0.0, Random(SEED), TrackerSettings())
        for number in range(301):
            swarms.announce(asked(f"10.0.{number // 250}.{number % 250}", left=number % 3))
        rounds, numwant = 3000, 50
        found: Counter[str] = Counter()
        for _ in range(rounds):
            found.update(told(swarms.announce(asked("10.0.0.20", left=2, numwant=numwant))))
        expected = rounds * numwant / 300
        self.assertEqual((len(found), sum(found.values())), (300, rounds * numwant))
        chi_squared = sum((count - expected) ** 2 / expected for count in found.values())
        self.assertLess(chi_squared, 250 + 6 * 500**0.5, f"seed {SEED}: the mean is 250")


class PropertyTests(TestCase):
    @given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 12), st.integers(0, 20))
    def test_as_many_as_wanted_or_as_there_are_all_different(
        self, seeds: int, partials: int, leeches: int, numwant: int
    ) -> None:
        swarms = Swarms(lambda: 0.0, Random(SEED), TrackerSettings())
        for number in range(seeds + partials + leeches):
            event = Event.PAUSED if seeds <= number < seeds + partials else Event.NONE
            swarms.announce(asked("10.0.0.1", 100 + number, left=int(number >= seeds), event=event))
        everybody = told(swarms.announce(asked("10.0.0.2", numwant=numwant)))
        self.assertEqual(len(set(everybody)), min(numwant, seeds + partials + leeches))
        self.assertEqual(len(everybody), len(set(everybody)))
        downloaders = told(swarms.announce(asked("10.0.0.2", left=0, numwant=numwant)))
        self.assertEqual(len(set(downloaders)), min(numwant, leeches))


class SpeedTests(TestCase):
    def test_an_announce_in_a_swarm_of_twenty_takes_8_microseconds(self) -> None:
        """With the making of the request and of the address; the best of some rounds."""
        swarms = Swarms(time.monotonic, Random(SEED), TrackerSettings())
        best = 1.0
        for _ in range(runs(2, 20)):
            began = time.process_time()
            for number in range(2000):
                address = Address(f"10.0.0.{number % 20}", 6881)
                swarms.announce(AnnounceRequest(HASH, b"p" * 20, 6881, left=1, numwant=50, address=address))
            best = min(best, (time.process_time() - began) / 2000)
        self.assertEqual(swarms.peers, 20)
        if SOAK:
            self.assertLessEqual(best, 8e-6)
