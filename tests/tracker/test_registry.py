"""Registered and blocked torrents: who is served, what is kept of them, and what survives."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from bittwist.address import Address
from bittwist.announce.values import AnnounceRequest
from bittwist.errors import AccessError, AlreadyThere, MetainfoError, NotThere, StorageError
from bittwist.metainfo.infohash import InfoHash
from bittwist.metainfo.metainfo import Metainfo
from bittwist.tracker import Tracker
from bittwist.tracker.ledgerfile import Codec
from bittwist.tracker.registry import MAX_SIZE, Registry
from bittwist.tracker.torrents import (
    MAX_NAME,
    Torrent,
    TorrentChange,
    TorrentsSum,
    What,
    decode_change,
    encode_change,
)
from tests.metainfo.torrents import hybrid, torrent, v1_single, v2
from tests.tracker.arrivals import ARRIVAL, HASH, OTHER, announcing, scraping
from tests.tracker.ledgerlines import check_read_or_refused, check_written_and_read
from tests.tracker.machine import LatePool, Machine

CODEC = Codec(encode_change, decode_change)
V2 = b"2" * 32


def both() -> bytes:
    info, layers = hybrid()
    return torrent(info, piece_layers=layers)


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir(parents=True)
        self.path = folder / "torrents"
        self.machine = Machine()
        self.registry = self.restarted()

    def restarted(self, machine: Machine | None = None, *, only_registered: bool = True) -> Registry:
        registry = Registry(
            machine or self.machine, self.path, self.machine.wall, only_registered=only_registered
        )
        registry.load()
        return registry


class RegistryTests(Case):
    def test_an_uploaded_torrent_is_served_under_its_name_and_size(self) -> None:
        added = self.successResultOf(self.registry.upload(torrent(v1_single())))
        self.assertEqual((added.name, added.size, added.added_at), ("a.bin", 40000, self.machine.wall()))
        self.assertEqual(added.hashes, (Metainfo.parse(torrent(v1_single())).info.info_hash.short,))
        self.assertIsNone(announcing(self.registry, info_hash=added.info_hash))
        self.assertIsNone(scraping(self.registry, hashes=added.hashes))
        self.assertIn("not registered", str(announcing(self.registry, info_hash=OTHER)))
        self.assertIn("not registered", str(scraping(self.registry, hashes=(added.info_hash, OTHER))))

    def test_a_hybrid_is_served_by_both_hashes_as_one_swarm(self) -> None:
        added = self.successResultOf(self.registry.upload(both()))
        v1, short = added.hashes
        self.assertEqual((added.v1, (added.v2 or b"")[:20]), (v1, short))
        for registry in (self.registry, self.restarted()):
            self.assertIsNone(scraping(registry, hashes=(v1, short)))
            self.assertEqual((registry.swarm_of(short), registry.swarm_of(v1)), (v1, v1))
            self.assertEqual(registry.swarm_of(OTHER), OTHER)
            self.assertEqual(registry.get(short), registry.get(v1))
            self.assertEqual(registry.get(added.v2 or b""), registry.get(v1))
        self.successResultOf(self.registry.remove(short))
        self.assertEqual(self.registry.swarm_of(short), short)
        self.assertIsNotNone(scraping(self.registry, hashes=(v1,)))

    def test_its_peers_meet_in_the_tracker(self) -> None:
        tracker = Tracker(Machine(), hooks=(self.registry,), hybrids=self.registry.hybrids)
        v1, short = self.successResultOf(self.registry.upload(both())).hashes
        for number, info_hash in enumerate((v1, short)):
            address = Address(f"192.0.2.{number}", 6881)
            reply = tracker.announce(
                AnnounceRequest(info_hash, bytes(20), 6881, left=1, address=address), ARRIVAL
            )
        self.assertEqual(reply.swarm.incomplete, 2)  # type: ignore[union-attr]
        self.assertEqual(len(reply.swarm.peers4), 6)  # type: ignore[union-attr]
        entries = tracker.scrape((v1, short), ARRIVAL)
        self.assertEqual([entry.incomplete for entry in entries.values()], [2, 2])  # type: ignore[union-attr]

    def test_a_v2_torrent_goes_by_its_truncated_hash(self) -> None:
        info, layers = v2()
        added = self.successResultOf(self.registry.upload(torrent(info, piece_layers=layers)))
        self.assertEqual((added.v1, added.info_hash), (None, (added.v2 or b"")[:20]))
        self.assertIsNone(announcing(self.registry, info_hash=added.info_hash))

    def test_a_hash_alone_is_enough(self) -> None:
        self.successResultOf(self.registry.add(InfoHash(v1=HASH), "name", 5))
        self.successResultOf(self.registry.add(InfoHash(v2=V2), "x" * MAX_NAME, MAX_SIZE))
        found = self.restarted().list()
        self.assertEqual([each.info_hash for each in found], [V2[:20], HASH])
        self.assertEqual((len(found[0].name), found[0].size), (MAX_NAME, MAX_SIZE))
        self.assertIsNone(announcing(self.registry, info_hash=V2[:20]))

    def test_a_name_or_size_that_no_torrent_has_is_refused_and_named(self) -> None:
        for name, size, key in (("x" * (MAX_NAME + 1), 0, "name"), ("", -5, "size"), ("", 1 << 100, "size")):
            failure = self.failureResultOf(self.registry.add(InfoHash(v1=HASH), name, size), AccessError)
            self.assertTrue(failure.getErrorMessage().startswith(f"{key}: must "))
        self.assertEqual(len(self.registry), 0)

    def test_what_is_no_torrent_is_not_registered(self) -> None:
        for content in (b"", b"de", b"i1e", b"\xff" * 100, torrent(v1_single(pieces=b"x"))):
            self.failureResultOf(self.registry.upload(content), MetainfoError)
        self.assertEqual(len(self.registry), 0)

    def test_a_torrent_is_registered_once(self) -> None:
        v1, short = self.successResultOf(self.registry.upload(both())).hashes
        self.failureResultOf(self.registry.upload(both()), AlreadyThere)
        for info_hash in (InfoHash(v1=v1), InfoHash(v2=short + bytes(12))):
            self.failureResultOf(self.registry.add(info_hash), AlreadyThere)

    def test_a_blocked_torrent_is_refused_for_good_registered_or_not(self) -> None:
        registry = self.restarted(only_registered=False)
        self.assertIsNone(announcing(registry))
        self.assertFalse(self.successResultOf(registry.block(HASH)).registered)
        failure = announcing(registry)
        assert failure is not None
        self.assertEqual(
            (failure.reason, failure.retry_in), ("info_hash: this torrent is blocked here", math.inf)
        )
        self.assertIsNotNone(scraping(registry, hashes=(OTHER, HASH)))
        self.assertIsNotNone(announcing(self.restarted(only_registered=False)))
        self.successResultOf(registry.unblock(HASH))
        self.assertIsNone(announcing(registry))
        self.assertEqual(registry.list(), [])

    def test_a_block_of_either_hash_outlives_the_registration(self) -> None:
        hashes = Metainfo.parse(both()).info.info_hash
        v1, short = hashes.v1, (hashes.v2 or b"")[:20]
        for info_hash in (v1 or b"", short):
            self.successResultOf(self.registry.block(info_hash))
            added = self.successResultOf(self.registry.upload(both()))
            self.assertTrue(added.blocked and added.registered)
            self.assertEqual(len(self.registry), 1)
            self.assertIn("blocked", str(announcing(self.registry, info_hash=v1)))
            self.assertEqual(self.restarted().list(), self.registry.list())
            self.successResultOf(self.registry.unblock(info_hash))
            self.assertIsNone(announcing(self.registry, info_hash=short))
            self.successResultOf(self.registry.remove(v1 or b""))

    def test_what_is_not_there_cannot_be_changed(self) -> None:
        changes: tuple[Callable[[bytes], Deferred[None]], ...] = (self.registry.unblock, self.registry.remove)
        for change in changes:
            self.failureResultOf(change(HASH), NotThere)

    def test_torrents_are_listed_a_page_at_a_time(self) -> None:
        hashes = [bytes([number]) * 20 for number in range(25)]
        for info_hash in reversed(hashes):
            self.successResultOf(self.registry.add(InfoHash(v1=info_hash)))
        found: list[bytes] = []
        while page := self.registry.list(found[-1] if found else None, 10):
            found += [each.info_hash for each in page]
        self.assertEqual(found, hashes)

    def test_what_one_worker_registers_the_others_serve(self) -> None:
        other = self.restarted()
        self.successResultOf(self.registry.add(InfoHash(v1=HASH)))
        self.assertIsNotNone(announcing(other))
        self.successResultOf(other.reload())
        self.assertIsNone(announcing(other))

    def test_two_workers_that_register_the_same_at_once_agree(self) -> None:
        pool = LatePool()
        other = self.restarted(Machine(pool))
        late = other.add(InfoHash(v1=HASH, v2=V2), "late")
        self.successResultOf(self.registry.add(InfoHash(v1=HASH), "first"))
        pool.run()
        self.failureResultOf(late, AlreadyThere)
        self.assertEqual(other.list(), self.registry.list())

    def test_a_torrent_that_cannot_be_kept_is_not_registered(self) -> None:
        self.successResultOf(self.registry.add(InfoHash(v1=HASH)))
        self.path.unlink()
        self.failureResultOf(self.registry.add(InfoHash(v1=OTHER)), StorageError)
        self.assertIsNotNone(announcing(self.registry, info_hash=OTHER))

    def test_a_torrent_is_parsed_in_a_thread(self) -> None:
        pool = LatePool()
        registry = self.restarted(Machine(pool))
        added = registry.upload(torrent(v1_single()))
        self.assertNoResult(added)
        self.assertEqual(len(pool.waiting), 1)
        pool.run()
        self.successResultOf(added)


HASHES = st.sampled_from([bytes([number]) * 20 for number in range(4)])
TORRENTS = st.one_of(
    st.builds(Torrent, HASHES, st.none(), st.text(max_size=20), st.integers(0, MAX_SIZE), st.floats(0, 1e10)),
    st.builds(Torrent, st.none(), HASHES.map(lambda short: short + bytes(12))),
    st.builds(Torrent, HASHES, HASHES.map(lambda short: short + bytes(12))).filter(
        lambda each: each.hashes[0] != each.hashes[1]
    ),
)
CHANGES = st.one_of(
    st.builds(TorrentChange, st.just(What.ADDED), TORRENTS),
    st.builds(
        TorrentChange,
        st.sampled_from([What.BLOCKED, What.UNBLOCKED, What.REMOVED]),
        st.builds(Torrent, HASHES, st.none()),
    ),
)
JSON = st.none() | st.booleans() | st.integers() | st.floats() | st.text("0123abcdefé", max_size=70)


class LineTests(SynchronousTestCase):
    def test_a_change_is_read_as_it_was_written(self) -> None:
        check_written_and_read(CODEC, CHANGES)

    def test_any_line_is_a_change_or_a_value_error(self) -> None:
        keys = st.sampled_from(["add", "block", "remove", "v1", "v2", "name", "size", "at"])
        check_read_or_refused(
            CODEC, st.dictionaries(keys, st.one_of(JSON, st.just("ab" * 20), st.just("ab" * 32)))
        )

    def test_any_changes_in_any_order_lead_to_a_state_that_can_be_told_again(self) -> None:
        @given(st.lists(CHANGES, max_size=30))
        def tried(changes: list[TorrentChange]) -> None:
            state, again = TorrentsSum(), TorrentsSum()
            for change in changes:
                state.apply(change)
            for change in state.changes():
                again.apply(change)
            self.assertEqual(again.second, state.second)
            self.assertEqual(
                {each.info_hash: replace(each, added_at=0) for each in again.torrents},
                {each.info_hash: replace(each, added_at=0) for each in state.torrents},
            )
            names = [name for each in state.torrents for name in each.hashes]
            self.assertEqual(len(names), len(set(names)))
            for name in names:
                found = state.find(name)
                assert found is not None
                self.assertIn(name, found.hashes)

        tried()
