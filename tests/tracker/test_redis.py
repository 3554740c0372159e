"""The Redis store without Redis: its links, its bounds, and what it does while there is nobody to ask."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from random import Random
from unittest import TestCase
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IProtocol, IProtocolFactory
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from bittwist.announce.values import AnnounceRequest, Event, ScrapeEntry
from bittwist.errors import ConfigError, NetworkError, RemoteProtocolError, TrackerFailure
from bittwist.testing.stores import asked
from bittwist.tracker import ISwarmStore, SwarmAnswer, Tracker, TrackerSettings
from bittwist.tracker.interfaces import Totals
from bittwist.tracker.redis import MAX_MISSED, TOLD_AT_ONCE, RedisSettings, RedisSwarms
from bittwist.tracker.redis_cluster import RedisCluster, slot_of
from bittwist.tracker.redis_link import FIRST_PAUSE, JITTER, RedisLink
from bittwist.tracker.redis_script import (
    ANNOUNCE,
    SCRIPTS,
    TOTALS,
    Script,
    read_answer,
    read_sizes,
    torrent_keys,
    words_of,
)
from tests.scale import SEED

SETTINGS = RedisSettings(("redis.example:6379",))


class Line(StringTransport):
    """A connection whose end the test brings about."""

    def __init__(self) -> None:
        super().__init__()
        self.aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


class Dials:
    """A network whose dials the test answers."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.times: list[float] = []
        self.to: list[object] = []
        self.waiting: list[tuple[IProtocolFactory, Deferred[IProtocol]]] = []
        self.lines: list[tuple[IProtocol, Line]] = []

    def dial_name(
        self, host: str, port: int, factory: IProtocolFactory, *, timeout: float
    ) -> Deferred[IProtocol]:
        return self._dial((host, port), factory)

    def dial_path(self, path: str, factory: IProtocolFactory, *, timeout: float) -> Deferred[IProtocol]:
        return self._dial(path, factory)

    def _dial(self, to: object, factory: IProtocolFactory) -> Deferred[IProtocol]:
        self.times.append(self.clock.seconds())
        self.to.append(to)
        dialed: Deferred[IProtocol] = Deferred()
        self.waiting.append((factory, dialed))
        return dialed

    def refuse(self) -> None:
        _, dialed = self.waiting.pop(0)
        dialed.errback(NetworkError("redis.example:6379", "connection refused"))

    def accept(self) -> Line:
        factory, dialed = self.waiting.pop(0)
        protocol, line = factory.buildProtocol(None), Line()
        assert protocol is not None
        protocol.makeConnection(line)
        self.lines.append((protocol, line))
        dialed.callback(protocol)
        return line

    def say(self, *replies: bytes) -> None:
        for reply in replies:
            self.lines[-1][0].dataReceived(reply)

    def hang_up(self) -> None:
        self.lines[-1][0].connectionLost(Failure(ConnectionDone()))

    def said(self) -> bytes:
        line = self.lines[-1][1]
        data: bytes = line.value()
        line.clear()
        return data


def bulk(data: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(data), data)


class LinkTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.dials = Dials(self.clock)
        self.events: list[str] = []
        self.link = self.made(SETTINGS)

    def made(self, settings: RedisSettings) -> RedisLink:
        dials = self.dials
        server = settings.servers[0]
        return RedisLink(self.clock, dials, server, settings, Random(SEED))  # type: ignore[arg-type]

    def start(self, link: RedisLink | None = None) -> None:
        (link or self.link).start(lambda: self.events.append("came"), lambda: self.events.append("went"))

    def connect(self) -> None:
        self.start()
        self.dials.accept()
        for script in SCRIPTS:
            self.dials.say(bulk(script.name))
        self.dials.said()

    def stop(self) -> None:
        stopped = self.link.stop()
        if self.dials.lines and self.dials.lines[-1][1].aborted:
            self.dials.hang_up()
        self.successResultOf(stopped)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_it_is_here_once_it_has_learnt_the_scripts(self) -> None:
        self.start()
        self.assertEqual(self.dials.to, [("redis.example", 6379)])
        self.dials.accept()
        for script in SCRIPTS:
            self.assertFalse(self.link.here)
            self.assertEqual(self.dials.said(), words_of((b"SCRIPT", b"LOAD", script.text)))
            self.dials.say(bulk(script.name))
        self.assertTrue(self.link.here)
        self.assertEqual(self.events, ["came"])
        self.stop()

    def test_a_path_is_a_unix_socket(self) -> None:
        self.link = self.made(RedisSettings(("/run/redis.sock",)))
        self.start()
        self.assertEqual(self.dials.to, ["/run/redis.sock"])
        self.stop()

    def test_it_logs_in_and_takes_its_database_first(self) -> None:
        self.link = self.made(RedisSettings(("r:1",), username="u", password="p", database=4))
        self.start()
        self.dials.accept()
        self.assertEqual(self.dials.said(), words_of((b"AUTH", b"u", b"p")))
        self.dials.say(b"+OK\r\n")
        self.assertEqual(self.dials.said(), words_of((b"SELECT", b"4")))
        self.dials.say(b"+OK\r\n")
        self.assertEqual(self.dials.said(), words_of((b"SCRIPT", b"LOAD", SCRIPTS[0].text)))
        self.stop()

    def test_a_refused_password_is_tried_again_later(self) -> None:
        self.link = self.made(RedisSettings(("r:1",), password="p"))
        self.start()
        self.dials.accept()
        self.dials.say(b"-WRONGPASS invalid\r\n")
        self.assertTrue(self.dials.lines[-1][1].disconnecting)
        self.dials.hang_up()
        self.clock.advance(FIRST_PAUSE)
        self.assertEqual((len(self.dials.times), self.link.here), (2, False))
        self.stop()

    def test_it_is_dialed_again_after_ever_longer_pauses_that_chance_shortens(self) -> None:
        self.start()
        for _ in range(9):
            self.dials.refuse()
            while not self.dials.waiting:
                self.clock.advance(0.001)
        times = self.dials.times
        pauses = [after - before for before, after in pairwise(times)]
        whole = [min(FIRST_PAUSE * 2**number, SETTINGS.longest_pause) for number in range(9)]
        for pause, longest in zip(pauses, whole):
            self.assertTrue(longest * (1 - JITTER) <= pause <= longest + 0.002, (pause, longest))
        self.assertGreater(len({round(pause / longest, 2) for pause, longest in zip(pauses, whole)}), 5)
        self.assertEqual(self.events, ["went"] * 9)
        self.stop()

    def test_a_server_that_is_loading_is_not_here_yet(self) -> None:
        self.start()
        self.dials.accept()
        self.dials.say(b"-LOADING Redis is loading the dataset in memory\r\n")
        self.assertTrue(self.dials.lines[-1][1].aborted)
        self.dials.hang_up()
        self.assertEqual((self.link.here, self.events), (False, ["went"]))
        self.stop()

    def test_a_server_that_accepts_and_says_nothing_is_given_up(self) -> None:
        self.start()
        self.dials.accept()
        self.clock.advance(SETTINGS.timeout)
        self.assertTrue(self.dials.lines[-1][1].aborted)
        self.dials.hang_up()
        self.assertEqual(self.events, ["went"])
        self.stop()

    def test_replies_go_to_who_asked_in_order(self) -> None:
        self.connect()
        one, other = self.link.ask(TOTALS, (b"a", b"b"), (b"c",)), self.link.ask(ANNOUNCE, (b"k",), ())
        asked = words_of((b"EVALSHA", TOTALS.name, b"2", b"a", b"b", b"c"))
        self.assertEqual(self.dials.said(), asked + words_of((b"EVALSHA", ANNOUNCE.name, b"1", b"k")))
        self.dials.say(b":7\r\n")
        self.assertEqual(self.successResultOf(one), 7)
        self.assertNoResult(other)
        self.dials.say(b"-ERR no\r\n")
        self.assertIn("no", str(self.failureResultOf(other, RemoteProtocolError).value))
        self.stop()

    def test_who_no_longer_waits_costs_the_others_nothing(self) -> None:
        self.connect()
        one, other = self.link.ask(TOTALS, (), ()), self.link.ask(TOTALS, (), ())
        one.addErrback(lambda _: None)
        one.cancel()
        self.dials.say(b":1\r\n", b":2\r\n")
        self.assertEqual(self.successResultOf(other), 2)
        self.stop()

    def test_a_script_that_was_forgotten_is_sent_whole(self) -> None:
        self.connect()
        reply = self.link.ask(TOTALS, (b"k",), (b"w",))
        self.dials.said()
        self.dials.say(b"-NOSCRIPT No matching script.\r\n")
        self.assertEqual(self.dials.said(), words_of((b"EVAL", TOTALS.text, b"1", b"k", b"w")))
        self.dials.say(b":3\r\n")
        self.assertEqual(self.successResultOf(reply), 3)
        self.stop()

    def test_a_late_answer_is_none_and_the_connection_is_closed(self) -> None:
        self.connect()
        early = self.link.ask(TOTALS, (), ())
        self.clock.advance(1.5)
        late = self.link.ask(TOTALS, (), ())
        self.dials.say(b":1\r\n")
        self.successResultOf(early)
        self.clock.advance(0.5)
        self.assertTrue(self.link.here, "the deadline of the first is not that of the second")
        self.clock.advance(1.5)
        self.assertEqual((self.link.here, self.dials.lines[-1][1].aborted), (False, True))
        self.assertRaises(NetworkError, self.link.ask, TOTALS, (), ())
        self.dials.hang_up()
        self.assertIn("no answer", str(self.failureResultOf(late, NetworkError).value))
        self.assertEqual(self.events, ["came", "went"])
        self.stop()

    def test_what_waits_is_bounded(self) -> None:
        self.link = self.made(RedisSettings(("r:1",), max_in_flight=3))
        self.connect()
        waiting = [self.link.ask(TOTALS, (), ()) for _ in range(3)]
        self.assertRaises(NetworkError, self.link.ask, TOTALS, (), ())
        self.dials.say(b":1\r\n")
        waiting.append(self.link.ask(TOTALS, (), ()))
        self.dials.hang_up()
        self.successResultOf(waiting[0])
        for lost in waiting[1:]:
            self.failureResultOf(lost, NetworkError)
        self.stop()

    def test_an_answer_nobody_asked_for_ends_the_connection(self) -> None:
        self.connect()
        self.dials.say(b":1\r\n")
        self.assertEqual((self.link.here, self.dials.lines[-1][1].aborted), (False, True))
        self.dials.hang_up()
        self.stop()

    def test_who_asks_again_as_soon_as_it_fails_is_told_that_it_is_away(self) -> None:
        self.connect()
        again: list[object] = []

        def ask_again(failure: Failure) -> None:
            try:
                self.link.ask(TOTALS, (), ())
            except NetworkError as error:
                again.append(error)

        self.link.ask(TOTALS, (), ()).addErrback(ask_again)
        self.dials.hang_up()
        self.assertEqual(len(again), 1)
        self.stop()

    def test_stopping_ends_what_waits(self) -> None:
        self.connect()
        waiting = self.link.ask(TOTALS, (), ())
        self.stop()
        self.failureResultOf(waiting, NetworkError)

    def test_without_txredisapi_the_setting_is_at_fault(self) -> None:
        with patch.dict(sys.modules, {"txredisapi": None}):
            error = self.assertRaises(ConfigError, self.made, SETTINGS)
        self.assertIn("bittwist[redis]", str(error))


class ClusterTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.dials = Dials(self.clock)
        settings = RedisSettings(("one:1", "two:2"), cluster=True)
        self.cluster = RedisCluster(self.clock, self.dials, settings, Random(SEED))  # type: ignore[arg-type]
        self.came = 0

    def begin(self) -> None:
        def came() -> None:
            self.came += 1

        self.cluster.start(came)
        self.dials.refuse()  # the first is not there
        self.dials.accept()
        self.dials.say(*(bulk(script.name) for script in SCRIPTS))
        self.dials.said()

    def stop(self) -> None:
        stopped = self.cluster.stop()
        for protocol, line in self.dials.lines:
            if line.aborted:
                protocol.connectionLost(Failure(ConnectionDone()))
        self.successResultOf(stopped)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_slots_are_those_of_the_specification(self) -> None:
        self.assertEqual(slot_of(b"123456789"), 0x31C3)
        self.assertEqual(slot_of(b"{user1000}.following"), slot_of(b"user1000"))
        self.assertEqual(slot_of(b"foo{bar}{zap}"), slot_of(b"bar"))
        self.assertEqual(slot_of(b"foo{{bar}}zap"), slot_of(b"{bar"))
        self.assertNotEqual(slot_of(b"foo{}{bar}"), slot_of(b"bar"))

    def test_all_keys_of_a_torrent_are_in_one_slot(self) -> None:
        for info_hash in (b"}" * 20, b"{" * 20, bytes(20)):
            for six in (False, True):
                keys = torrent_keys(b"p:", info_hash, six)
                self.assertEqual(len({*keys}), 7)
                self.assertEqual({slot_of(key) for key in keys}, {slot_of(info_hash.hex().encode())})

    def test_nobody_is_asked_before_the_map_is_there(self) -> None:
        self.begin()
        self.assertFalse(self.cluster.here)
        self.assertRaises(NetworkError, self.cluster.ask, TOTALS, (b"k",), ())
        self.dials.say(b"*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$0\r\n\r\n:2\r\n$2\r\nid\r\n")
        self.assertTrue(self.cluster.here, "the node that is asked knows itself without a host")
        self.assertEqual(self.came, 1)
        reply = self.cluster.ask(TOTALS, (b"k",), ())
        self.dials.say(b":5\r\n")
        self.assertEqual(self.successResultOf(reply), 5)
        self.stop()

    def test_a_map_that_is_none_is_asked_for_again(self) -> None:
        self.begin()
        for nonsense in (b"+OK\r\n", b"*1\r\n:3\r\n", b"*1\r\n*3\r\n:5\r\n:99999\r\n*2\r\n$1\r\na\r\n:1\r\n"):
            self.dials.say(nonsense)
            self.assertFalse(self.cluster.here)
            self.clock.advance(1.0)
            self.assertIn(b"SLOTS", self.dials.said())
        self.stop()

    def test_a_redirection_to_nonsense_is_an_error_of_theirs(self) -> None:
        self.begin()
        self.dials.say(b"*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$3\r\ntwo\r\n:2\r\n")
        for said in (b"MOVED", b"MOVED 1", b"MOVED x two:2", b"MOVED 99999 two:2", b"MOVED 1 two:port"):
            reply = self.cluster.ask(TOTALS, (b"k",), ())
            self.dials.say(b"-%s\r\n" % said)
            self.failureResultOf(reply, RemoteProtocolError)
        self.stop()

    def test_a_node_that_has_left_the_cluster_is_left_alone(self) -> None:
        self.begin()
        self.dials.say(b"*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$5\r\nthree\r\n:3\r\n")
        self.assertEqual(self.dials.to[-1], ("three", 3))
        self.clock.advance(1.0)
        self.dials.say(b"*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$3\r\ntwo\r\n:2\r\n")
        self.assertTrue(self.cluster.here)
        for _ in range(20):
            self.clock.advance(1.0)
        self.assertEqual(self.dials.to.count(("three", 3)), 1)
        self.stop()

    def test_redirections_that_go_in_circles_end(self) -> None:
        self.begin()
        self.dials.say(b"*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$3\r\ntwo\r\n:2\r\n")
        reply = self.cluster.ask(TOTALS, (b"k",), ())
        for _ in range(4):
            self.assertNoResult(reply)
            self.dials.say(b"-MOVED 7629 two:2\r\n")
        self.failureResultOf(reply, RemoteProtocolError)
        self.stop()


class Absent:
    """Redis as the store sees it: here or not, and answering as the test says."""

    def __init__(self) -> None:
        self.here = False
        self.asked: list[tuple[Script, Sequence[bytes]]] = []
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
        self.replies.append(Deferred())
        return self.replies[-1]


ALONE = bytes.fromhex("00000000 00000001 00000000 0000 0000")


class AwayTests(SynchronousTestCase):
    def store(self, **settings: object) -> RedisSwarms:
        self.clock = Clock()
        self.redis = Absent()
        chosen = RedisSettings(("redis:1",), **settings)  # type: ignore[arg-type]
        store = RedisSwarms(self.clock, self.redis, chosen, TrackerSettings(), Random(SEED))
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
