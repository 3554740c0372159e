"""Trackers of several processes: workers that share ports, and trackers that share a Redis."""

from __future__ import annotations

import os
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from threading import Event, Thread

import pytest

from bittwist.address import Address
from bittwist.announce.http import decode_announce_response, encode_announce_url
from bittwist.announce.values import AnnounceRequest, AnnounceResponse
from tests.interop.hosts import Program
from tests.processes import Programs, descendants, free_port
from tests.redisserver import RedisServer
from tests.scale import runs

pytestmark = pytest.mark.needs("redis-server")
HASH = b"h" * 20
STARTED = 30.0  # seconds for a tracker and its workers to be up, on a machine that is busy


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as server:
        yield server


class Running:
    """A tracker on a port of TCP and UDP."""

    def __init__(self, programs: Programs, redis: RedisServer, *words: str) -> None:
        self.port = free_port()
        self.redis = redis
        config = programs.folder / f"{self.port}.toml"
        config.write_text(f'[redis]\nservers = ["{redis.server}"]\ntimeout = 1.0\n')
        where = ("--http", f"tcp:{self.port}:interface=127.0.0.1", "--udp", f"127.0.0.1:{self.port}")
        self.program: Program = programs.twistd("bittwist-tracker", "--config", config, *where, *words)
        self.until_up(int(words[1]) if words[:1] == ("--workers",) else 1)

    def until_up(self, times: int) -> None:
        def up() -> bool:
            output = self.program.output
            opened = output.count("announces are taken on udp://")
            return min(opened, output.count(f"Redis at {self.redis.server} is here")) >= times

        self.program.until(up, STARTED, f"up {times} times")

    @property
    def workers(self) -> list[int]:
        return [pid for pid, _ in descendants(self.program.pid)]

    def announce(
        self, number: int, connection: HTTPConnection | None = None, **fields: int
    ) -> AnnounceResponse:
        request = AnnounceRequest(HASH, b"%020d" % number, 1000 + number, left=1, **fields)
        asked = connection or HTTPConnection("127.0.0.1", self.port, timeout=10)
        asked.request("GET", encode_announce_url("/announce", request))
        answer = decode_announce_response(asked.getresponse().read())
        if connection is None:
            asked.close()
        return answer


def peers(answer: AnnounceResponse) -> set[int]:
    assert all(peer.host == "127.0.0.1" for peer in answer.peers)
    return {peer.port - 1000 for peer in answer.peers}


def owner(connection: HTTPConnection, pids: list[int]) -> int:
    """Which of these processes has the other end of a connection."""
    here, there = connection.sock.getsockname()[1], connection.sock.getpeername()[1]
    for row in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = row.split()
        if fields[1].endswith(f":{there:04X}") and fields[2].endswith(f":{here:04X}"):
            link = f"socket:[{fields[9]}]"
            for pid in pids:
                for entry in Path(f"/proc/{pid}/fd").iterdir():
                    with suppress(OSError):
                        if os.readlink(entry) == link:
                            return pid
    raise AssertionError("nobody has it")


def until(condition: Callable[[], bool], timeout: float = 10.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_peers_announced_through_either_worker_are_seen_through_both(
    redis: RedisServer, tmp_path: Path
) -> None:
    with Programs(tmp_path) as programs:
        tracker = Running(programs, redis, "--workers", "2")
        workers = tracker.workers
        assert len(workers) == 2
        known: set[int] = set()
        served: set[int] = set()
        for number in range(40):
            connection = HTTPConnection("127.0.0.1", tracker.port, timeout=10)
            assert peers(tracker.announce(number, connection)) == known
            served.add(owner(connection, workers))
            connection.close()
            known.add(number)
        assert served == set(workers)
        assert all(" worker " in line for line in tracker.program.output.splitlines() if "taken" in line)


def test_a_connection_id_of_one_worker_is_good_for_the_other(redis: RedisServer, tmp_path: Path) -> None:
    """UDP: the system deals datagrams out by the port they come from, ids go by the address."""
    with Programs(tmp_path) as programs:
        tracker = Running(programs, redis, "--workers", "2")

        def asked(data: bytes) -> bytes:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
                peer.settimeout(5)
                peer.sendto(data, ("127.0.0.1", tracker.port))
                return peer.recv(2000)

        connection = asked(struct.pack(">QII", 0x41727101980, 0, 7))[8:]
        for number in range(20):
            tail = struct.pack(">QQQIIIiH", 0, 1, 0, 0, 0, 0, 50, 2000 + number)
            announce = connection + struct.pack(">II", 1, number) + HASH + b"%020d" % number + tail
            answer = asked(announce)
            action, transaction, _, leeches, _ = struct.unpack_from(">IIIII", answer)
            assert (action, transaction, leeches) == (1, number, number + 1)
            assert len(answer) == 20 + 6 * number


def test_a_worker_that_ends_is_started_again_while_the_other_serves(
    redis: RedisServer, tmp_path: Path
) -> None:
    with Programs(tmp_path) as programs:
        tracker = Running(programs, redis, "--workers", "2")
        killed, other = tracker.workers
        os.kill(killed, signal.SIGKILL)
        until(lambda: gone(killed))
        for number in range(10):
            assert peers(tracker.announce(number)) == set(range(number))
        tracker.until_up(3)
        assert len(set(tracker.workers) - {killed, other}) == 1
        assert "signal 9" in tracker.program.output


def test_all_end_with_the_one_that_started_them(redis: RedisServer, tmp_path: Path) -> None:
    with Programs(tmp_path) as programs:
        tracker = Running(programs, redis, "--workers", "2")
        workers = tracker.workers
        began = time.monotonic()
        assert tracker.program.stop() == -signal.SIGTERM
        assert time.monotonic() - began < 6
        assert all(map(gone, workers))
        assert "Traceback" not in tracker.program.output
        assert "has ended" not in tracker.program.output


def test_none_outlives_a_kill_9(redis: RedisServer, tmp_path: Path) -> None:
    with Programs(tmp_path) as programs:
        tracker = Running(programs, redis, "--workers", "2")
        workers = tracker.workers
        os.kill(tracker.program.pid, signal.SIGKILL)
        until(lambda: all(map(gone, workers)))


def test_a_port_that_is_taken_is_named_and_nothing_starts(redis: RedisServer, tmp_path: Path) -> None:
    with Programs(tmp_path) as programs:
        first = Running(programs, redis, "--workers", "2")
        where = f"tcp:{first.port}:interface=127.0.0.1"
        config = tmp_path / f"{first.port}.toml"
        second = programs.twistd("bittwist-tracker", "--config", config, "--workers", "2", "--http", where)
        assert second.wait(STARTED) == 1
        assert "address already in use" in second.output
        assert "is process" not in second.output


def test_an_admin_or_ws_port_that_is_taken_is_named_and_nothing_starts(
    redis: RedisServer, tmp_path: Path
) -> None:
    config = tmp_path / "redis.toml"
    config.write_text(f'[redis]\nservers = ["{redis.server}"]\n')
    with Programs(tmp_path) as programs, socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        def tried(*words: str) -> Program:
            here = ("--http", f"tcp:{free_port()}:interface=127.0.0.1", "--udp", f"127.0.0.1:{free_port()}")
            return programs.twistd("bittwist-tracker", "--config", config, "--workers", "2", *here, *words)

        ws = tried("--ws", f"tcp:{port}:interface=127.0.0.1")
        admin = tried("--admin", f"tcp:port={port - 2}")
        assert ws.wait(STARTED) == admin.wait(STARTED) == 1
        assert f"listen.ws: tcp:{port}:interface=127.0.0.1: address already in use" in ws.output
        assert f"listen.admin: tcp:port={port}:interface=127.0.0.1: address already in use" in admin.output
        assert "is process" not in ws.output + admin.output


def test_workers_need_a_redis_and_ports_they_can_share(redis: RedisServer, tmp_path: Path) -> None:
    config = tmp_path / "redis.toml"
    config.write_text(f'[redis]\nservers = ["{redis.server}"]\n')
    lists = tmp_path / "lists.toml"
    lists.write_text(config.read_text() + '[access]\nusers = "/proc/x/y"\n')
    table = [
        (("--workers", "2"), "redis.servers"),
        (("--workers", "two"), "no whole number"),
        (("--workers", "0"), "1 to 256"),
        (("--config", str(config), "--workers", "2", "--http", "unix:x"), "tcp: or ssl:"),
        (("--config", str(config), "--workers", "2", "--http", "tcp:0"), "a port of its own"),
        (("--config", str(config), "--workers", "2", "--udp", "0"), "a port of its own"),
        (("--config", str(config), "--workers", "2", "--admin", "tcp:65534"), "listen.admin"),
        (("--config", str(config), "--workers", "2", "--ws", "stdio:"), "listen.ws"),
        (("--config", str(lists), "--workers", "2"), "/proc/x/y: users: "),
    ]
    with Programs(tmp_path) as programs:
        tried = [(programs.twistd("bittwist-tracker", *words), said) for words, said in table]
        for program, said in tried:
            assert program.wait(STARTED) == 1
            assert said in program.output
            assert "Traceback" not in program.output


def test_two_trackers_on_one_redis_see_each_others_peers(redis: RedisServer, tmp_path: Path) -> None:
    with Programs(tmp_path) as programs:
        one, other = Running(programs, redis), Running(programs, redis)
        assert one.announce(1).peers == ()
        assert other.announce(2).peers == (Address("127.0.0.1", 1001),)
        assert peers(one.announce(1)) == {2}


@contextmanager
def load(tracker: Running, first: int) -> Iterator[list[AnnounceResponse]]:
    """A hundred peers announce, one after the other, again and again; the answers so far."""
    answers: list[AnnounceResponse] = []
    troubles: list[Exception] = []
    over = Event()

    def announce() -> None:
        number = 0
        while not over.wait(0.005):
            try:
                answers.append(tracker.announce(first + number % 100))
            except (OSError, HTTPException, ValueError) as error:
                troubles.append(error)
            number += 1

    thread = Thread(target=announce)
    thread.start()
    try:
        yield answers
    finally:
        over.set()
        thread.join()
    assert not troubles, troubles


def test_a_redis_killed_under_load_costs_no_answer_and_is_back_within_5_seconds(
    redis: RedisServer, tmp_path: Path
) -> None:
    with Programs(tmp_path) as programs:
        one, other = Running(programs, redis, "--workers", "2"), Running(programs, redis)
        with load(one, 0) as answers, load(other, 500) as others:
            until(lambda: len(answers) > 100 and len(others) > 100)
            assert peers(answers[-1]) & set(range(500, 600)), "they share"
            redis.kill()
            time.sleep(0.5)
            before = len(answers), len(others)
            time.sleep(runs(1, 10))
            assert len(answers) > before[0] + 10 and len(others) > before[1] + 10
            redis.start()
            began = time.monotonic()
            seen: set[int] = set()
            while not (seen & set(range(500, 600)) and seen & set(range(100))):
                assert time.monotonic() - began < 5
                seen = peers(one.announce(999, numwant=74))
                time.sleep(0.05)
        for answer in (*answers, *others):
            assert peers(answer) <= {*range(100), *range(500, 600), 999}
            assert len(set(answer.peers)) == len(answer.peers)
            assert 0 < (answer.incomplete or 0) <= 201
        for tracker in (one, other):
            assert "Traceback" not in tracker.program.output
            assert tracker.program.output.count("Redis is away") <= 6
            assert "Redis is away" in tracker.program.output
