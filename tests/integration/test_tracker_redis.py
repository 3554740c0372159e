"""The Redis store beside real redis-servers: the contract, expiry, and a Redis that goes and comes back."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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
from bittwist.errors import NetworkError, RemoteProtocolError, TrackerFailure
from bittwist.net.policy import Network
from bittwist.testing.stores import CHECKS, Check, announced, asked, scraped, told
from bittwist.tracker import TrackerSettings
from bittwist.tracker.interfaces import SwarmAnswer, Totals
from bittwist.tracker.redis import RedisSettings, RedisSwarms, redis_swarms
from bittwist.tracker.redis_cluster import slot_of
from bittwist.tracker.redis_script import TRIMMED, Script
from tests.redisserver import BlockingRedis, RedisSays, RedisServer, make_cluster
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


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RedisServer]]:
    folder = tmp_path_factory.mktemp("cluster")
    with (
        RedisServer(folder, cluster=True) as one,
        RedisServer(folder, cluster=True) as two,
        RedisServer(folder, cluster=True) as three,
    ):
        make_cluster([one, two, three])
        yield [one, two, three]


async def until(condition: Callable[[], bool], timeout: float = 10.0) -> float:
    """Wait for it; after how many seconds it held."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < timeout, "it did not come to that"
        await deferLater(reactor, 0.01)
    return time.monotonic() - began


@contextmanager
def running(settings: RedisSettings, rules: TrackerSettings = RULES) -> Iterator[RedisSwarms]:
    store = redis_swarms(reactor, Network(reactor), settings, rules, Random(SEED))
    store.startService()
    try:
        yield store
    finally:
        pytest_twisted.blockon(store.stopService())


def of(server: RedisServer, **settings: object) -> RedisSettings:
    return RedisSettings((server.server,), prefix=own_prefix(), **settings)  # type: ignore[arg-type]


async def keep_contract(check: Check, settings: RedisSettings) -> None:
    store = redis_swarms(reactor, Network(reactor), settings, RULES, Random(SEED))
    store.startService()
    try:
        await until(lambda: store.here)

        def with_rules(rules: TrackerSettings) -> RedisSwarms:
            store.settings = rules
            return store

        await check(with_rules)
        assert store.here
    finally:
        await store.stopService()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest_twisted.ensureDeferred
async def test_it_keeps_the_contract(server: RedisServer, check: Check) -> None:
    await keep_contract(check, of(server))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest_twisted.ensureDeferred
async def test_a_cluster_of_three_keeps_the_contract(cluster: list[RedisServer], check: Check) -> None:
    await keep_contract(check, RedisSettings((cluster[0].server,), cluster=True, prefix=own_prefix()))
