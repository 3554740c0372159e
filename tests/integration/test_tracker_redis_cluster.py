"""The Redis store beside a real Redis Cluster of three nodes, on this machine."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import deferLater

from bittwist.errors import TrackerFailure
from bittwist.testing.stores import CHECKS, Check, announced, asked, scraped, told
from bittwist.tracker.redis import RedisSettings, RedisSwarms
from bittwist.tracker.redis_cluster import slot_of
from tests.integration.test_tracker_redis import keep_contract, own_prefix, running, until
from tests.redisserver import RedisServer, make_cluster

pytestmark = pytest.mark.needs("redis-server", "redis-cli")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RedisServer]]:
    folder = tmp_path_factory.mktemp("cluster")
    partly = ("--cluster-require-full-coverage", "no")  # what is there serves, without the rest
    with (
        RedisServer(folder, *partly, cluster=True) as one,
        RedisServer(folder, *partly, cluster=True) as two,
        RedisServer(folder, *partly, cluster=True) as three,
    ):
        make_cluster([one, two, three])
        yield [one, two, three]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest_twisted.ensureDeferred
async def test_a_cluster_of_three_keeps_the_contract(cluster: list[RedisServer], check: Check) -> None:
    await keep_contract(check, RedisSettings((cluster[0].server,), cluster=True, prefix=own_prefix()))


@pytest_twisted.ensureDeferred
async def test_torrents_are_on_all_nodes_of_a_cluster(cluster: list[RedisServer]) -> None:
    settings = RedisSettings((cluster[1].server,), cluster=True, prefix=own_prefix())
    hashes = [number.to_bytes(20, "big") for number in range(60)]
    async with running(settings) as store:
        await until(lambda: store.here)
        await announced(store, *(asked("10.0.0.1", info_hash=info_hash) for info_hash in hashes))
        entries = await scraped(store, *hashes)
        assert [entry.incomplete for entry in entries.values()] == [1] * 60
        for node in cluster:
            keys = [key for key in node.ask("KEYS", settings.prefix + "*") if key.endswith(b"}h")]
            assert 5 < len(keys) < 40, "about a third"
            assert all(node.ask("CLUSTER", "KEYSLOT", key) == slot_of(key) for key in keys)


@pytest_twisted.ensureDeferred
async def test_a_slot_that_moves_to_another_node_is_followed(cluster: list[RedisServer]) -> None:
    settings = RedisSettings((cluster[0].server,), cluster=True, prefix=own_prefix())
    key = (settings.prefix + "{" + (b"h" * 20).hex() + "}h").encode()
    slot = str(slot_of(key))
    async with running(settings) as store:
        await until(lambda: store.here)
        await announced(store, asked("10.0.0.1"))
        (old,) = [node for node in cluster if node.ask("CLUSTER", "COUNTKEYSINSLOT", slot)]
        new = cluster[(cluster.index(old) + 1) % 3]
        old_id, new_id = (bytes(node.ask("CLUSTER", "MYID")) for node in (old, new))
        new.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", old_id)
        old.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", new_id)
        for moved in old.ask("CLUSTER", "GETKEYSINSLOT", slot, "1000"):
            old.ask("MIGRATE", "127.0.0.1", str(new.port), moved, "0", "5000")
        answer = await announced(store, asked("10.0.0.2"))  # the nodes say ASK and TRYAGAIN
        assert told(answer) == ["10.0.0.1:6881"], "as known here"
        for node in (new, old):
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", new_id)
        answer = await announced(store, asked("10.0.0.3"))  # and now MOVED
        # The store may have told of 10.0.0.2 already, or not yet.
        assert "10.0.0.1:6881" in told(answer)
        assert set(told(answer)) <= {"10.0.0.1:6881", "10.0.0.2:6881"}
        await until(lambda: b"3" in sizes_at(new, key), 10)  # 10.0.0.2 has been told of
        assert (await announced(store, asked("10.0.0.4"))).incomplete == 4


def sizes_at(node: RedisServer, key: bytes) -> bytes:
    return b"%d" % node.ask("ZCARD", key.replace(b"}h", b"}l4"))  # type: ignore[str-bytes-safe]


@pytest_twisted.ensureDeferred
async def test_while_one_node_of_a_cluster_is_away_the_others_serve(cluster: list[RedisServer]) -> None:
    seeds = (cluster[0].server, cluster[1].server)
    settings = RedisSettings(seeds, cluster=True, when_away="fail", prefix=own_prefix())
    hashes = [number.to_bytes(20, "big") for number in range(30)]
    async with running(settings) as store:
        await until(lambda: store.here)
        await announced(store, *(asked("10.0.0.1", info_hash=info_hash) for info_hash in hashes))
        cluster[0].kill()
        await deferLater(reactor, 0.2)
        assert 0 < await refusals(store, hashes) < 30
        cluster[0].start()
        began = time.monotonic()
        while await refusals(store, hashes):
            assert time.monotonic() - began < 5
            await deferLater(reactor, 0.1)


async def refusals(store: RedisSwarms, hashes: Sequence[bytes]) -> int:
    refused = 0
    for info_hash in hashes:
        try:
            await announced(store, asked("10.0.0.1", info_hash=info_hash))
        except TrackerFailure:
            refused += 1
    return refused
