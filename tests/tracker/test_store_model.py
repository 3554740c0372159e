"""The memory store beside a naive one: whatever comes in whatever order, both hold the same peers."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from unittest import TestCase

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bittwist.address import Address
from bittwist.announce.values import AnnounceRequest, Event, ScrapeEntry
from bittwist.testing.stores import asked, told
from bittwist.tracker import TrackerSettings
from bittwist.tracker.swarms import Swarms
from tests.scale import SEED, runs

LIMITS = TrackerSettings(
    interval=10, min_interval=1, numwant=50, max_numwant=1000, peers_per_address=3, torrents_per_address=4
)


@dataclass(slots=True)
class Known:
    """What the naive store knows of a peer."""

    seed: bool
    partial: bool
    seen: float


class NaiveStore:
    """One dict, in the order of the last announces: the key is (info hash, peer)."""

    def __init__(self, limits: TrackerSettings) -> None:
        self.limits = limits
        self.peers: dict[tuple[bytes, Address], Known] = {}
        self.downloaded: dict[bytes, int] = {}

    def announce(self, request: AnnounceRequest, now: float) -> list[str]:
        """Whom the peer is told of where it wants all."""
        assert request.address is not None
        key = (request.info_hash, request.address)
        before = self.peers.pop(key, None)
        if request.event is Event.STOPPED:
            self._tidy()
            return []
        if before is None:
            self._make_room(key)
        seed = request.left == 0
        partial = not seed and request.event is Event.PAUSED
        told = sorted(
            str(address)
            for (info_hash, address), known in self.peers.items()
            if info_hash == request.info_hash
            and not ((seed or partial) and (known.seed or known.partial))
            and (
                address.is_ipv6 == request.address.is_ipv6
                or address.packed.rjust(20, b"-") != request.peer_id
            )
        )
        self.peers[key] = Known(seed, partial, now)
        if request.event is Event.COMPLETED and seed and not (before and before.seed):
            self.downloaded[request.info_hash] = self.downloaded.get(request.info_hash, 0) + 1
        self._tidy()
        return told

    def expire(self, before: float) -> None:
        self.peers = {key: known for key, known in self.peers.items() if known.seen >= before}
        self._tidy()

    def scrape(self, info_hash: bytes) -> ScrapeEntry:
        here = [known for (torrent, _), known in self.peers.items() if torrent == info_hash]
        seeds = sum(known.seed for known in here)
        partials = sum(known.partial for known in here)
        downloaded = self.downloaded.get(info_hash, 0)
        return ScrapeEntry(seeds, downloaded, len(here) - seeds, len(here) - seeds - partials)

    def _make_room(self, key: tuple[bytes, Address]) -> None:
        info_hash, host = key[0], host_of(key[1])
        held = [each for each in self.peers if host_of(each[1]) == host]
        here = [each for each in held if each[0] == info_hash]
        if len(here) == self.limits.peers_per_address:
            del self.peers[here[0]]
        last = {torrent: at for at, (torrent, _) in enumerate(held)}  # its last announce to each
        if not here and len(last) == self.limits.torrents_per_address:
            oldest = min(last, key=last.__getitem__)
            for each in held:
                if each[0] == oldest:
                    del self.peers[each]

    def _tidy(self) -> None:
        for info_hash in set(self.downloaded) - {torrent for torrent, _ in self.peers}:
            del self.downloaded[info_hash]


def host_of(address: Address) -> bytes:
    return address.packed[:8] if address.is_ipv6 else address.packed[:4]


TORRENTS = [bytes([number]) * 20 for number in range(6)]
HOSTS = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"]
torrents = st.sampled_from(TORRENTS)
hosts = st.sampled_from(HOSTS)
ports = st.integers(1, 5)


class StoreMachine(RuleBasedStateMachine):
    """Few hosts and torrents, and low bounds, so that all of these are met."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.store = Swarms(lambda: self.now, Random(SEED), LIMITS)
        self.naive = NaiveStore(LIMITS)

    @rule(
        info_hash=torrents,
        host=hosts,
        port=ports,
        left=st.integers(0, 1),
        event=st.sampled_from([Event.NONE, Event.STARTED, Event.COMPLETED, Event.PAUSED]),
    )
    def announce(self, info_hash: bytes, host: str, port: int, left: int, event: Event) -> None:
        request = asked(host, port, info_hash=info_hash, left=left, event=event, numwant=1000)
        assert told(self.store.announce(request)) == self.naive.announce(request, self.now)

    @rule(info_hash=torrents, host=hosts, port=ports)
    def stop(self, info_hash: bytes, host: str, port: int) -> None:
        request = asked(host, port, info_hash=info_hash, event=Event.STOPPED)
        assert told(self.store.announce(request)) == self.naive.announce(request, self.now)

    @rule(info_hash=torrents)
    def forget(self, info_hash: bytes) -> None:
        self.store.forget(info_hash)
        self.naive.peers = {key: each for key, each in self.naive.peers.items() if key[0] != info_hash}
        self.naive.downloaded.pop(info_hash, None)

    @rule(seconds=st.integers(1, 60))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds
        for _ in self.store.sweep():
            pass
        self.naive.expire(self.now - LIMITS.expire_after)

    @rule()
    def restart(self) -> None:
        """All portions into another store: the naive one notices nothing."""
        after = Swarms(lambda: self.now, Random(SEED), LIMITS)
        for step in self.store.portions():
            for portion in step:
                after.restore(portion)
        after.settle()
        self.store = after

    @invariant()
    def the_sizes_agree(self) -> None:
        expected = {info_hash: self.naive.scrape(info_hash) for info_hash in TORRENTS}
        assert self.store.scrape(TORRENTS) == expected
        totals = self.store.totals()
        assert totals.torrents == len({torrent for torrent, _ in self.naive.peers})
        assert totals.seeds == sum(entry.complete for entry in expected.values())
        assert totals.leeches == sum(entry.incomplete for entry in expected.values())


StoreMachine.TestCase.settings = settings(max_examples=runs(80, 3000), stateful_step_count=60, deadline=None)
StoreMachineTests = StoreMachine.TestCase


class BigStoreTests(TestCase):
    def test_a_store_of_thousands_agrees_with_the_naive_one(self) -> None:
        """Swarms with an index, hosts with a record, and back: sizes that the machine does not get to."""
        limits = TrackerSettings(max_numwant=1000, peers_per_address=20, torrents_per_address=100)
        random = Random(SEED)
        now = 0.0
        store, naive = Swarms(lambda: now, Random(SEED), limits), NaiveStore(limits)
        hosts = [f"10.0.{number // 250}.{number % 250}" for number in range(300)] + ["10.1.0.1"] * 300
        hashes = [number.to_bytes(20, "big") for number in range(150)]
        for turn in range(runs(6000, 60_000)):
            now += 0.5
            info_hash = hashes[0] if random.random() < 0.4 else random.choice(hashes)
            host = random.choice(hosts)
            event = random.choice([Event.NONE] * 5 + [Event.PAUSED, Event.COMPLETED, Event.STOPPED])
            if event is Event.STOPPED and host == "10.1.0.1":
                # Of who holds much the last announce to a torrent counts, though its peer has left since:
                # the naive store only knows those of peers who are there.
                event = Event.NONE
            request = asked(
                host,
                random.randrange(1, 6),
                info_hash=info_hash,
                left=random.randrange(2),
                event=event,
                numwant=1000,
            )
            found, expected = told(store.announce(request)), naive.announce(request, now)
            self.assertEqual(found, expected, f"turn {turn}, seed {SEED}")
            if turn % 1000 == 999:
                for _ in store.sweep():
                    pass
                naive.expire(now - limits.expire_after)
                sizes = {each: naive.scrape(each) for each in hashes}
                self.assertEqual(store.scrape(hashes), sizes, f"turn {turn}, seed {SEED}")
