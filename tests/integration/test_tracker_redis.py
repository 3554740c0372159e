"""The Redis store beside real redis-servers: the contract, expiry, and a Redis that goes and comes back."""

from __future__ import annotations

import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from random import Random

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock, deferLater

from bittwist.announce.values import Event, ScrapeEntry
from bittwist.errors import RemoteProtocolError, TrackerFailure
from bittwist.net.policy import Network
from bittwist.testing.stores import CHECKS, Check, announced, asked, scraped, told
from bittwist.tracker import TrackerSettings
from bittwist.tracker.interfaces import SwarmAnswer, Totals
from bittwist.tracker.redis import RedisSettings, RedisSwarms, redis_swarms
from bittwist.tracker.redis_script import TRIMMED, Script
from tests.redisserver import BlockingRedis, RedisSays, RedisServer
from tests.scale import SEED, runs
from tests.tracker.test_store_model import HOSTS, LIMITS, TORRENTS, NaiveStore

pytestmark = pytest.mark.needs("redis-server", "redis-cli")
RULES = TrackerSettings()
_numbers = count()


def own_prefix() -> str:
    """Of each test the keys are its own."""
    return f"t{next(_numbers)}:"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as running:
        yield running


async def until(condition: Callable[[], bool], timeout: float = 10.0) -> float:
    """Wait for it; after how many seconds it held."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < timeout, "it did not come to that"
        await deferLater(reactor, 0.01)
    return time.monotonic() - began


@asynccontextmanager
async def running(settings: RedisSettings) -> AsyncIterator[RedisSwarms]:
    store = redis_swarms(reactor, Network(reactor), settings, RULES, Random(SEED))
    store.startService()
    try:
        yield store
    finally:
        await store.stopService()


def of(server: RedisServer, **settings: object) -> RedisSettings:
    return RedisSettings((server.server,), prefix=own_prefix(), **settings)  # type: ignore[arg-type]


async def keep_contract(check: Check, settings: RedisSettings) -> None:
    async with running(settings) as store:
        await until(lambda: store.here)

        def with_rules(rules: TrackerSettings) -> RedisSwarms:
            store.settings = rules
            return store

        await check(with_rules)
        assert store.here


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest_twisted.ensureDeferred
async def test_it_keeps_the_contract(server: RedisServer, check: Check) -> None:
    await keep_contract(check, of(server))


class AtATime:
    """Asks a real server and waits for the answer. Its clock is `now`, seconds that the test sets."""

    here = True

    def __init__(self, server: RedisServer) -> None:
        self._connection = BlockingRedis(server.port)
        self.now = 1_800_000_000.0

    def start(self, came: Callable[[], None]) -> None:
        came()

    def stop(self) -> Deferred[None]:
        self._connection.close()
        return succeed(None)

    def slot(self, key: bytes) -> int:
        return 0

    def ask(self, script: Script, keys: Sequence[bytes], words: Sequence[bytes]) -> Deferred[object]:
        time_said = b"{%d, %d}" % divmod(self.now * 1_000_000, 1_000_000)
        told_time = Script(script.text.replace(b"call('TIME')", time_said), b"")
        try:
            return succeed(self._connection.script(told_time, keys, words))
        except RedisSays as error:
            return fail(RemoteProtocolError(str(error)))


@contextmanager
def timed(
    server: RedisServer, rules: TrackerSettings = RULES
) -> Iterator[tuple[RedisSwarms, AtATime, Clock]]:
    servers, clock = AtATime(server), Clock()
    store = RedisSwarms(clock, servers, of(server, when_away="fail"), rules, Random(SEED))
    store.startService()
    try:
        yield store, servers, clock
    finally:
        store.stopService()
        assert not clock.getDelayedCalls()


@pytest_twisted.ensureDeferred
async def test_who_stays_away_is_gone_by_the_servers_clock(server: RedisServer) -> None:
    with timed(server) as (store, servers, _):
        await announced(store, asked("10.0.0.1", left=0, event=Event.COMPLETED), asked("2001:db8::1"))
        servers.now += RULES.expire_after
        assert told(await announced(store, asked("10.0.0.2"))) == ["10.0.0.1:6881", "[2001:db8::1]:6881"]
        servers.now += 0.002
        zeros = ScrapeEntry(downloaded=1, incomplete=1, downloaders=1)
        assert (await scraped(store, b"h" * 20)) == {b"h" * 20: zeros}
        assert (await announced(store, asked("10.0.0.3"))).incomplete == 2
        assert told(await announced(store, asked("10.0.0.2"))) == ["10.0.0.3:6881"]


@pytest_twisted.ensureDeferred
async def test_a_shorter_interval_loses_nobody_who_was_told_the_longer_one(server: RedisServer) -> None:
    """Whether this tracker told it before its settings changed, or another one does still."""
    shorter = TrackerSettings(interval=30)
    with timed(server) as (store, servers, _):
        await announced(store, asked("10.0.0.1"))
        servers.now += 100
        store.settings = shorter
        assert told(await announced(store, asked("10.0.0.2"))) == ["10.0.0.1:6881"]
        servers.now += RULES.expire_after - 101
        assert (await scraped(store, b"h" * 20))[b"h" * 20].incomplete == 2
        assert told(await announced(store, asked("10.0.0.3"))) == ["10.0.0.1:6881", "10.0.0.2:6881"]
        servers.now += 102
        assert (await scraped(store, b"h" * 20))[b"h" * 20].incomplete == 1, "the longer one is over"
        assert told(await announced(store, asked("10.0.0.4"))) == ["10.0.0.3:6881"]
        servers.now += shorter.expire_after + 1
        assert (await scraped(store, b"h" * 20))[b"h" * 20].incomplete == 0
        store.settings = RULES
        await announced(store, asked("10.0.0.5"))
        servers.now += RULES.expire_after
        assert (await scraped(store, b"h" * 20))[b"h" * 20].incomplete == 1
        await announced(store, asked("10.0.0.5", event=Event.STOPPED))
        assert not [key for key in server.ask("KEYS", "*") if key.startswith(store._prefix + b"{68")]


@pytest_twisted.ensureDeferred
async def test_many_who_left_at_once_are_removed_by_and_by_and_never_told_of(server: RedisServer) -> None:
    gone = 3 * TRIMMED + 7
    with timed(server) as (store, servers, _):
        await announced(store, *(asked(f"10.0.{n // 250}.{n % 250}", numwant=0) for n in range(gone)))
        servers.now += RULES.expire_after + 1
        alive = [f"10.1.0.{n}" for n in range(40)]
        for number, host in enumerate(alive, 1):
            answer = await announced(store, asked(host, numwant=5))
            assert {peer.split(":")[0] for peer in told(answer)} <= set(alive) - {host}
            assert len(told(answer)) == min(number - 1, 5)
            assert answer.incomplete == number
        kept = [key for key in server.ask("KEYS", "*") if key.startswith(store._prefix)]
        assert sorted(server.ask("ZCARD", key) for key in kept if key.endswith(b"l4")) == [40]
        assert sorted(server.ask("HLEN", key) for key in kept if key.endswith(b"h")) == [41]
        keep = 2 * RULES.expire_after
        assert all(keep - 60 < server.ask("TTL", key) <= keep for key in kept)


@pytest_twisted.ensureDeferred
async def test_choices_among_many_who_left_are_as_fair(server: RedisServer) -> None:
    with timed(server) as (store, servers, _):
        for second in range(2):
            left = asked("10.9.9.9", left=1)
            many = [f"10.{second}.{n // 250}.{n % 250}" for n in range(20 * TRIMMED if not second else 40)]
            await announced(store, *(replace(asked(host), numwant=0) for host in many), left)
            servers.now += RULES.expire_after + 1 if not second else 0
        found: dict[str, int] = {}
        for _ in range(400):
            for peer in told(await announced(store, asked("10.9.9.9", numwant=4))):
                found[peer] = found.get(peer, 0) + 1
        expected = 400 * 4 / 40
        assert len(found) == 40
        assert sum((count - expected) ** 2 / expected for count in found.values()) < 81


@pytest_twisted.ensureDeferred
async def test_it_agrees_with_a_naive_store(server: RedisServer) -> None:
    """Whatever comes, in whatever order; addresses are in any number of torrents here."""
    random = Random(SEED)
    limits = replace(LIMITS, torrents_per_address=100)
    with timed(server, limits) as (store, servers, _):
        naive = NaiveStore(limits)
        for turn in range(runs(3000, 60_000)):
            servers.now += random.choice([0.001, 0.5, 1, 5, 30]) if random.random() < 0.3 else 0.001
            naive.expire(servers.now - limits.expire_after)
            request = asked(
                random.choice(HOSTS),
                random.randrange(1, 6),
                info_hash=random.choice(TORRENTS),
                left=random.randrange(2),
                event=random.choice([*Event, Event.NONE]),
                numwant=1000,
            )
            found, expected = told(await announced(store, request)), naive.announce(request, servers.now)
            assert found == expected, f"turn {turn}, seed {SEED}"
            if turn % 10 == 0:
                sizes = {info_hash: naive.scrape(info_hash) for info_hash in TORRENTS}
                assert await scraped(store, *TORRENTS) == sizes, f"turn {turn}, seed {SEED}"


@pytest_twisted.ensureDeferred
async def test_totals_and_the_largest_are_noted_now_and_then(server: RedisServer) -> None:
    with timed(server) as (store, servers, clock):
        for number, torrent in enumerate(TORRENTS, 1):
            peers = [asked(f"10.0.0.{host}", info_hash=torrent, left=host % 3) for host in range(number)]
            await announced(store, *peers)
        assert await store.totals() == Totals()
        clock.advance(5)
        assert await store.totals() == Totals(6, 9, 12)
        sizes = await scraped(store, *TORRENTS)
        assert await store.largest(2) == [(torrent, sizes[torrent]) for torrent in (TORRENTS[5], TORRENTS[4])]
        await store.forget(TORRENTS[5])
        stopped = asked("10.0.0.0", info_hash=TORRENTS[0], event=Event.STOPPED)
        await announced(store, stopped)
        clock.advance(5)
        assert await store.totals() == Totals(4, 6, 8)
        servers.now += RULES.expire_after + 2
        await announced(store, asked("10.0.0.1", info_hash=TORRENTS[0]))
        clock.advance(5)
        assert await store.totals() == Totals(1, 0, 1)


@pytest_twisted.ensureDeferred
async def test_a_full_redis_refuses_newcomers_and_lets_go(server: RedisServer) -> None:
    with timed(server) as (store, _, _):
        await announced(store, asked("10.0.0.1"))
        server.ask("CONFIG", "SET", "maxmemory", "1")
        try:
            with pytest.raises(TrackerFailure, match="no room") as refused:
                await announced(store, asked("10.0.0.2"))
            assert refused.value.retry_in == 3600
            assert (await scraped(store, b"h" * 20))[b"h" * 20].incomplete == 1
            await announced(store, asked("10.0.0.1", event=Event.STOPPED))
        finally:
            server.ask("CONFIG", "SET", "maxmemory", "0")
        assert (await announced(store, asked("10.0.0.2"))).incomplete == 1


@pytest_twisted.ensureDeferred
async def test_a_flood_from_one_address_evicts_nobody_else_from_redis(server: RedisServer) -> None:
    """T19: an address is in so many torrents of those that announce to this process, and in no more."""
    rules = replace(RULES, torrents_per_address=20, max_peers=400)
    async with running(of(server)) as store:
        store.settings = rules
        await until(lambda: store.here)
        torrents = [number.to_bytes(20, "big") for number in range(300)]
        for host, torrent in enumerate(torrents[:50]):
            await announced(store, asked(f"10.0.0.{host}", info_hash=torrent))
        flood = [asked("10.9.9.9", port, info_hash=torrent) for torrent in torrents for port in (1, 2, 3)]
        for request in flood:
            await announced(store, request)
        sizes = await scraped(store, *torrents)
        held = {torrent: sizes[torrent].incomplete for torrent in torrents}
        assert sum(held.values()) == 50 + 20 * 3, "the flood has the twenty it announced to last"
        assert all(held[torrent] == 1 for torrent in torrents[:50])
        assert all(held[torrent] == 3 for torrent in torrents[-20:])


@pytest_twisted.ensureDeferred
async def test_two_trackers_on_one_redis_see_each_others_peers(server: RedisServer) -> None:
    settings = of(server)
    by_path = replace(settings, servers=(server.path,))  # the one over TCP, the other over a UNIX socket
    async with running(settings) as one, running(by_path) as other:
        await until(lambda: one.here and other.here)
        await announced(one, asked("10.0.0.1"))
        answer = await announced(other, asked("10.0.0.2", left=0))
        assert (told(answer), answer.complete, answer.incomplete) == (["10.0.0.1:6881"], 1, 1)
        assert told(await announced(one, asked("10.0.0.1"))) == ["10.0.0.2:6881"]


@pytest_twisted.ensureDeferred
async def test_a_password_and_a_database_are_used(tmp_path: Path) -> None:
    with RedisServer(tmp_path, "--requirepass", "open sesame") as server:
        settings = replace(of(server), password="open sesame", database=3)
        async with running(settings) as store, running(replace(settings, password="wrong")) as refused:
            await until(lambda: store.here)
            answer = await announced(store, asked("10.0.0.1"))
            assert answer == SwarmAnswer(incomplete=1)
            connection = BlockingRedis(server.port)
            connection.command((b"AUTH", b"open sesame"))
            assert b"db3:keys=" in bytes(connection.command((b"INFO", b"keyspace")))  # type: ignore[arg-type]
            connection.close()
            assert not refused.here


class Load:
    """Announces, many a second, from peers who stay; and what is wrong with the answers."""

    def __init__(self, store: RedisSwarms) -> None:
        self.store = store
        self.random = Random(SEED)
        self.known: dict[bytes, set[str]] = {torrent: set() for torrent in TORRENTS}
        self.answered = 0
        self.refused = 0
        self.slowest = 0.0
        self.wrong: list[str] = []
        self.waiting = 0
        self._stopped = False

    def begin(self) -> None:
        if self._stopped:
            return
        for _ in range(10):
            self._announce()
        reactor.callLater(0.01, self.begin)

    async def end(self) -> None:
        self._stopped = True
        await until(lambda: not self.waiting)

    def _announce(self) -> None:
        torrent = self.random.choice(TORRENTS)
        request = asked(f"10.0.{self.random.randrange(3)}.{self.random.randrange(250)}", info_hash=torrent)
        self.known[torrent].add(str(request.address))
        self.waiting += 1
        began = time.monotonic()
        try:
            answer = self.store.announce(request)
        except TrackerFailure as failure:
            answer = fail(failure)
        if not isinstance(answer, Deferred):
            answer = succeed(answer)

        def judge(answer: SwarmAnswer) -> None:
            self.answered += 1
            peers = told(answer)
            strangers = set(peers) - (self.known[torrent] - {str(request.address)})
            if strangers or len(set(peers)) < len(peers) or not 0 < answer.incomplete <= 750:
                self.wrong.append(f"{request} got {answer}")

        def refuse(failure: object) -> None:
            if not isinstance(failure.value, TrackerFailure) or failure.value.retry_in != 60:  # type: ignore[attr-defined]
                self.wrong.append(repr(failure))
            self.refused += 1

        def done(_: object) -> None:
            self.waiting -= 1
            self.slowest = max(self.slowest, time.monotonic() - began)

        answer.addCallbacks(judge, refuse).addBoth(done)


async def through_an_outage(
    settings: RedisSettings, leave: Callable[[], None], come_back: Callable[[], None], here: RedisServer
) -> Load:
    """Load before, during and after; it must be the same within 5 seconds of the return."""
    async with running(settings) as store:
        await until(lambda: store.here)
        load = Load(store)
        load.begin()
        await until(lambda: load.answered > 200)
        leave()
        before = load.answered + load.refused
        await until(lambda: not store.here)
        await deferLater(reactor, runs(1, 10))
        assert load.answered + load.refused > before, "each is answered meanwhile"
        come_back()
        began = time.monotonic()
        await until(lambda: store.here, 5)
        await until(lambda: here.ask("DBSIZE") != 0, 5)
        assert time.monotonic() - began < 5
        refused = load.refused
        await deferLater(reactor, 0.3)
        assert load.refused == refused, "none is refused now"
        await load.end()
        assert not load.wrong, load.wrong[:3]
    return load


@pytest.mark.parametrize("when_away", ["local", "fail"])
@pytest_twisted.ensureDeferred
async def test_killed_under_load_redis_is_back_at_once_though_empty(tmp_path: Path, when_away: str) -> None:
    with RedisServer(tmp_path) as server:
        settings = of(server, when_away=when_away)
        load = await through_an_outage(settings, server.kill, server.start, server)
        assert bool(load.refused) == (when_away == "fail")


@pytest_twisted.ensureDeferred
async def test_a_redis_that_hangs_counts_as_away(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        load = await through_an_outage(
            of(server, timeout=0.5, max_in_flight=200),
            lambda: server.signal(signal.SIGSTOP),
            lambda: server.signal(signal.SIGCONT),
            server,
        )
        assert not load.refused
        assert load.slowest < 2


@pytest_twisted.ensureDeferred
async def test_who_came_and_went_while_redis_was_away_is_told_on_its_return(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        async with running(of(server)) as store:
            await until(lambda: store.here)
            await announced(store, asked("10.0.0.1"))
            server.kill()
            await until(lambda: not store.here)
            stopped = asked("10.0.0.2", event=Event.STOPPED)
            answer = await announced(store, asked("10.0.0.2"), asked("10.0.0.3", left=0), stopped)
            assert answer == SwarmAnswer(complete=1, incomplete=1), "the one from before is known here"
            assert await scraped(store, b"h" * 20) == {b"h" * 20: ScrapeEntry(1, 0, 1, 1)}
            server.start()
            await until(lambda: server.ask("DBSIZE") != 0)
            assert told(await announced(store, asked("10.0.0.4"))) == ["10.0.0.3:6881"]


@pytest_twisted.ensureDeferred
async def test_scripts_that_redis_forgot_are_taught_again(server: RedisServer) -> None:
    async with running(of(server)) as store:
        await until(lambda: store.here)
        await announced(store, asked("10.0.0.1"))
        server.ask("SCRIPT", "FLUSH")
        answers = [store.announce(asked(f"10.0.1.{host}")) for host in range(20)]
        assert [(await answer).incomplete for answer in answers] == list(range(2, 22))
        assert store.here


@pytest_twisted.ensureDeferred
async def test_a_redis_that_cannot_write_is_as_one_that_is_away(server: RedisServer) -> None:
    server.ask("REPLICAOF", "127.0.0.1", "1")
    try:
        async with running(of(server)) as store, running(of(server, when_away="fail")) as strict:
            await until(lambda: store.here and strict.here)
            assert (await announced(store, asked("10.0.0.1"))).incomplete == 1
            with pytest.raises(TrackerFailure):
                await announced(strict, asked("10.0.0.1"))
    finally:
        server.ask("REPLICAOF", "NO", "ONE")
