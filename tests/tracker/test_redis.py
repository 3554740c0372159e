"""The Redis store without Redis: what it does while there is nobody to ask, and its bounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from random import Random
from unittest import TestCase

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from bittwist.address import Address
from bittwist.announce.values import AnnounceRequest, Event, ScrapeEntry
from bittwist.errors import NetworkError, RemoteProtocolError, TrackerFailure
from bittwist.testing.stores import asked
from bittwist.tracker import ISwarmStore, SwarmAnswer, Tracker, TrackerSettings
from bittwist.tracker.interfaces import Totals
from bittwist.tracker.redis import MAX_MISSED, TOLD_AT_ONCE, RedisSettings, RedisSwarms
from bittwist.tracker.redis_script import (
    ANNOUNCE,
    Script,
    read_answer,
    read_sizes,
)
from tests.scale import SEED


class Absent:
    """Redis as the store sees it: here or not, and answering as the test says."""

    def __init__(self) -> None:
        self.here = False
        self.asked: list[tuple[Script, Sequence[bytes]]] = []
        self.torrents: list[bytes] = []  # the first key of each
        self.replies: list[Deferred[object]] = []
        self.came: Callable[[], None] = lambda: None

    def start(self, came: Callable[[], None]) -> None:
        self.came = came

    def stop(self) -> Deferred[None]:
        return succeed(None)

    def slot(self, key: bytes) -> int:
        return 0

    def ask(self, script: Script, keys: Sequence[bytes], words: Sequence[bytes]) -> Deferred[object]:
        if not self.here:
            raise NetworkError("redis", "is away")
        self.asked.append((script, words))
        self.torrents.append(keys[0])
        self.replies.append(Deferred())
        return self.replies[-1]


ALONE = bytes.fromhex("00000000 00000001 00000000 0000 0000")


class AwayTests(SynchronousTestCase):
    def store(self, rules: TrackerSettings | None = None, **settings: object) -> RedisSwarms:
        self.clock = Clock()
        self.redis = Absent()
        chosen = RedisSettings(("redis:1",), **settings)  # type: ignore[arg-type]
        store = RedisSwarms(self.clock, self.redis, chosen, rules or TrackerSettings(), Random(SEED))
        store.startService()
        self.addCleanup(self.stop, store)
        return store

    def stop(self, store: RedisSwarms) -> None:
        self.successResultOf(store.stopService())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def come(self) -> None:
        self.redis.here = True
        self.redis.came()
        self.clock.advance(0)

    def test_a_scrape_of_a_slot_that_no_node_holds_leaves_no_answer_unheard(self) -> None:
        store = self.store()
        self.come()
        asking = self.redis.ask

        def ask(script: Script, keys: Sequence[bytes], words: Sequence[bytes]) -> Deferred[object]:
            if self.redis.replies:
                raise NetworkError("slot 1", "no node is known to hold it")
            return asking(script, keys, words)

        self.redis.replies.clear()
        self.patch(self.redis, "ask", ask)
        slots = count()
        self.patch(self.redis, "slot", lambda key: next(slots))  # each torrent on a node of its own
        scraping = store.scrape([b"a" * 20, b"b" * 20])
        self.redis.replies[0].errback(NetworkError("redis", "connection lost"))
        self.assertEqual(len(self.successResultOf(scraping)), 2)  # of what is known here

    def test_it_is_a_store_that_goes_by_the_trackers_settings(self) -> None:
        store = self.store()
        verifyObject(ISwarmStore, store)
        tracker = Tracker(self.clock, store=store)
        tracker.apply(TrackerSettings(seeds_meet_seeds=True))
        self.assertTrue(store.settings.seeds_meet_seeds)

    def test_while_it_is_away_what_is_known_here_is_told(self) -> None:
        store = self.store()
        self.assertEqual(store.announce(asked("10.0.0.1")), SwarmAnswer(incomplete=1))
        answer = store.announce(asked("10.0.0.2", left=0))
        self.assertEqual(answer, SwarmAnswer(1, 1, peers4=asked("10.0.0.1").address.packed))  # type: ignore[union-attr]
        entries = self.successResultOf(store.scrape([b"h" * 20]))
        self.assertEqual(entries, {b"h" * 20: ScrapeEntry(1, 0, 1, 1)})
        self.assertEqual(self.successResultOf(store.totals()), Totals(1, 1, 1))
        self.assertEqual(self.successResultOf(store.largest(9)), list(entries.items()))

    def test_or_peers_are_asked_back_later(self) -> None:
        store = self.store(when_away="fail", retry_in=90)
        refused = self.assertRaises(TrackerFailure, store.announce, asked("10.0.0.1"))
        self.assertEqual(refused.retry_in, 90)
        refused = self.failureResultOf(store.scrape([b"h" * 20]), TrackerFailure).value
        self.assertEqual(refused.retry_in, 90)
        self.come()
        self.assertEqual(self.redis.asked, [], "nothing was promised to anybody")

    def test_an_announce_whose_answer_is_lost_is_answered_from_here(self) -> None:
        store = self.store()
        self.redis.here = True
        one = store.announce(asked("10.0.0.1"))
        other = store.announce(asked("10.0.0.2"))
        assert isinstance(one, Deferred) and isinstance(other, Deferred)
        self.redis.replies[0].callback(ALONE)
        self.redis.here = False
        self.redis.replies[1].errback(NetworkError("redis", "connection lost"))
        self.assertEqual(self.successResultOf(one), SwarmAnswer(incomplete=1))
        answer = self.successResultOf(other)
        self.assertEqual((answer.incomplete, len(answer.peers4)), (2, 6), "it remembers the other one")

    def test_an_answer_that_is_none_is_no_answer(self) -> None:
        store = self.store()
        self.redis.here = True
        answer = store.announce(asked("10.0.0.1"))
        assert isinstance(answer, Deferred)
        self.redis.replies[0].callback(b"nonsense")
        self.assertEqual(self.successResultOf(answer), SwarmAnswer(incomplete=1))

    def test_on_its_return_it_is_told_who_came_and_went(self) -> None:
        store = self.store()
        for request in (
            asked("10.0.0.1"),
            asked("10.0.0.2"),
            asked("10.0.0.2", event=Event.STOPPED),
            asked("10.0.0.1", left=0, event=Event.COMPLETED),
        ):
            store.announce(request)
        self.come()
        told = [(words[0][3], words[2], words[4]) for script, words in self.redis.asked if script is ANNOUNCE]
        self.assertEqual(told, [(1, b"1", b"0"), (2, b"0", b"0")], "the last of each, who wants nobody")
        for reply in self.redis.replies:
            reply.callback(ALONE)
        self.come()
        self.assertEqual(len(self.redis.asked), 2, "once")

    def test_it_is_told_some_at_a_time_and_the_rest_when_it_has_taken_them(self) -> None:
        store = self.store()
        for number in range(TOLD_AT_ONCE + 5):
            store.announce(asked("10.0.0.1", 1000 + number))
        self.come()
        self.assertEqual(len(self.redis.asked), TOLD_AT_ONCE)
        for reply in list(self.redis.replies):
            reply.callback(ALONE)
        self.assertEqual(len(self.redis.asked), TOLD_AT_ONCE + 5)
        for reply in self.redis.replies[TOLD_AT_ONCE:]:
            reply.errback(NetworkError("redis", "connection lost"))
        self.come()
        self.assertEqual(len(self.redis.asked), TOLD_AT_ONCE + 10, "what it did not take is told again")
        for reply in self.redis.replies[TOLD_AT_ONCE + 5 :]:
            reply.callback(ALONE)

    def test_what_is_kept_for_its_return_is_bounded(self) -> None:
        store = self.store()
        store._missed = dict.fromkeys(((b"x", b"%d" % n) for n in range(MAX_MISSED)), asked("10.0.0.1"))
        store.announce(asked("10.0.0.1"))
        self.assertEqual(len(store._missed), MAX_MISSED)

    def test_who_stays_away_is_forgotten_here_as_well(self) -> None:
        store = self.store()
        store.announce(asked("10.0.0.1"))
        for _ in range(200):
            self.clock.advance(30)
        self.assertEqual(self.successResultOf(store.totals()), Totals())

    def told(self) -> list[tuple[str, bytes, bytes]]:
        """Of each announce that Redis was told since: the peer, the torrent, and its role."""
        found = [
            (str(Address.unpack(words[0])), bytes.fromhex(key.split(b"{")[1][:40].decode())[:1], words[2])
            for key, (script, words) in zip(self.redis.torrents, self.redis.asked)
            if script is ANNOUNCE
        ]
        self.redis.asked.clear()
        self.redis.torrents.clear()
        replies, self.redis.replies = self.redis.replies, []
        for reply in replies:
            reply.callback(ALONE)
        return found

    def test_over_its_torrents_an_addresss_oldest_goes_from_redis_too(self) -> None:
        """T19: by what this process knows of the address, beside the announce's one round trip."""
        for settings in ({}, {"when_away": "fail"}):
            store = self.store(TrackerSettings(torrents_per_address=2), **settings)
            self.come()
            store.announce(asked("10.0.0.9", info_hash=b"a" * 20))
            for torrent in b"abca":
                store.announce(asked("10.0.0.1", info_hash=bytes([torrent]) * 20))
            one, leech, leaves = "10.0.0.1:6881", b"3", b"0"
            self.assertEqual(
                self.told(),
                [
                    ("10.0.0.9:6881", b"a", leech),
                    (one, b"a", leech),
                    (one, b"b", leech),
                    (one, b"a", leaves),
                    (one, b"c", leech),
                    (one, b"b", leaves),
                    (one, b"a", leech),
                ],
            )
            self.come()
            self.assertEqual(self.told(), [], "once")

    def test_who_comes_back_after_all_is_not_taken_away_by_what_was_to_be_told(self) -> None:
        store = self.store(TrackerSettings(torrents_per_address=1))
        self.come()
        for torrent in (b"a", b"b"):
            store.announce(asked("10.0.0.1", info_hash=torrent * 20))
        self.assertEqual([role for _, _, role in self.told()], [b"3", b"0", b"3"])
        asking = self.redis.ask

        def busy(script: Script, keys: Sequence[bytes], words: Sequence[bytes]) -> Deferred[object]:
            if words[2] == b"0":
                raise NetworkError("redis", "is busy")
            return asking(script, keys, words)

        self.patch(self.redis, "ask", busy)
        store.announce(asked("10.0.0.1", info_hash=b"a" * 20))  # so that it has to leave b
        store.announce(asked("10.0.0.1", info_hash=b"b" * 20))
        self.patch(self.redis, "ask", asking)
        self.clock.advance(5)
        told = self.told()
        self.assertEqual(told[:2], [("10.0.0.1:6881", b"a", b"3"), ("10.0.0.1:6881", b"b", b"3")])
        self.assertEqual(told[2:], [("10.0.0.1:6881", b"a", b"0")], "and not of b")

    def test_a_process_that_holds_enough_takes_newcomers_only_for_a_flood(self) -> None:
        for limit in ({"max_peers": 100}, {"max_torrents": 100}):
            store = self.store(TrackerSettings(**limit))  # type: ignore[arg-type]
            self.come()
            hashes = [number.to_bytes(20, "big") for number in range(200)]
            for info_hash in hashes[:90]:
                store.announce(asked("10.0.0.1", info_hash=info_hash))
            for number, info_hash in enumerate(hashes[90:150]):
                store.announce(asked(f"10.0.1.{number}", info_hash=info_hash))
            told = self.told()
            self.assertEqual({peer for peer, _, role in told if role == b"0"}, {"10.0.0.1:6881"})
            self.assertLessEqual(len(told) - 2 * sum(role == b"0" for _, _, role in told), 100)
            refused = 0
            for number, info_hash in enumerate(hashes[150:]):
                try:
                    store.announce(asked(f"10.0.2.{number}", info_hash=info_hash))
                except TrackerFailure as failure:
                    self.assertIn("no room for another", failure.reason)
                    refused += 1
            told = self.told()
            self.assertGreater(refused, 0, "where no address has 64 newcomers find no room")
            self.assertEqual(sum(role == b"3" for _, _, role in told), 50 - refused)

    def test_sizes_are_noted_in_one_command_for_many(self) -> None:
        store = self.store()
        self.redis.here = True
        for number in range(3):
            answer = store.announce(asked("10.0.0.1", info_hash=bytes([number]) * 20))
            assert isinstance(answer, Deferred)
            self.redis.replies[-1].callback(ALONE)
        self.clock.advance(5)
        _, words = self.redis.asked[-1]
        self.assertEqual((len(self.redis.asked), len(words)), (4, 1 + 3 * 3))
        self.redis.replies[-1].errback(NetworkError("redis", "connection lost"))


class ReplyTests(TestCase):
    @given(st.one_of(st.binary(max_size=200), st.none(), st.integers(), st.lists(st.binary())), st.booleans())
    def test_any_reply_is_an_answer_or_their_fault(self, reply: object, six: bool) -> None:
        try:
            answer = read_answer(reply, six)
        except RemoteProtocolError:
            return
        assert len(answer.peers4) % 6 == len(answer.peers6) % 18 == len(answer.peer_ids) % 20 == 0

    @given(st.one_of(st.binary(max_size=200), st.none(), st.lists(st.binary())), st.integers(0, 9))
    def test_any_sizes_are_as_many_as_asked_for_or_their_fault(self, reply: object, count: int) -> None:
        try:
            assert len(read_sizes(reply, count)) == count
        except RemoteProtocolError:
            return


class SettingsTests(TestCase):
    def test_what_cannot_be_used_is_named(self) -> None:
        table: list[tuple[str, dict[str, object]]] = [
            ("servers", {"servers": ("redis",)}),
            ("servers", {"servers": ("redis:99999",)}),
            ("servers", {"servers": ("one:1", "two:2")}),
            ("servers", {"servers": ("/run/redis.sock",), "cluster": True}),
            ("database", {"servers": ("one:1",), "cluster": True, "database": 1}),
            ("database", {"database": -1}),
            ("prefix", {"prefix": "{x}"}),
            ("password", {"username": "me"}),
            ("timeout", {"timeout": 0.0}),
            ("max_in_flight", {"max_in_flight": 0}),
            ("longest_pause", {"longest_pause": -1.0}),
            ("retry_in", {"retry_in": 0}),
        ]
        for key, fields in table:
            with self.subTest(fields):
                try:
                    RedisSettings(**fields)  # type: ignore[arg-type]
                except ValueError as error:
                    self.assertEqual(error.args[0], key)
                else:
                    self.fail(f"{fields} was taken")

    def test_the_default_is_no_redis(self) -> None:
        self.assertEqual(RedisSettings().servers, ())
        self.assertIsInstance(asked("10.0.0.1"), AnnounceRequest)
