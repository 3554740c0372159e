"""The links of the Redis store to a server, and to the nodes of a cluster."""

from __future__ import annotations

import sys
from itertools import pairwise
from random import Random
from unittest.mock import patch

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IProtocol, IProtocolFactory
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from bittwist.errors import ConfigError, NetworkError, RemoteProtocolError
from bittwist.tracker.redis import RedisSettings
from bittwist.tracker.redis_cluster import RedisCluster, slot_of
from bittwist.tracker.redis_link import FIRST_PAUSE, JITTER, RedisLink
from bittwist.tracker.redis_script import (
    ANNOUNCE,
    SCRIPTS,
    TOTALS,
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
