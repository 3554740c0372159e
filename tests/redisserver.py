"""Real redis-servers for tests and benchmarks: on loopback, each in a folder of its own, nothing kept."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from types import TracebackType

from bittwist.tracker.redis_script import Script, words_of
from tests.interop.hosts import TIED
from tests.interop.partners import program
from tests.processes import free_port

POLL = 0.01
PATIENCE = 20.0  # seconds for a server to come up, on a machine that is busy


class RedisServer:
    """A server on 127.0.0.1, which can be killed, stopped and started again; a context that ends it."""

    def __init__(self, folder: Path, *options: str, cluster: bool = False) -> None:
        self.port = _port_with_bus() if cluster else free_port()
        self.folder = folder / f"redis-{self.port}"
        self.folder.mkdir(parents=True)
        self.path = str(self.folder / "redis.sock")
        self._options = ["--cluster-enabled", "yes"] if cluster else []
        self._options += options
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def server(self) -> str:
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> RedisServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        command = [program("redis-server") or "redis-server", "--port", str(self.port)]
        command += ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--unixsocket", self.path]
        with (self.folder / "log").open("ab") as log:
            self._child = subprocess.Popen(
                [*TIED, *command, *self._options], cwd=self.folder, stdout=log, stderr=subprocess.STDOUT
            )
        self.until(self._answers, "it answers")

    def kill(self) -> None:
        """As `kill -9`."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None

    def signal(self, number: signal.Signals) -> None:
        assert self._child is not None
        os.kill(self._child.pid, number)

    def cpu(self) -> float:
        """Seconds of processor time it has used."""
        assert self._child is not None
        fields = Path(f"/proc/{self._child.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def ask(self, *words: bytes | str) -> object:
        """One command, on a connection of its own."""
        with closing(BlockingRedis(self.port)) as connection:
            return connection.command([word.encode() if isinstance(word, str) else word for word in words])

    def until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            over = time.monotonic() > deadline or self._child is None or self._child.poll() is not None
            if over:
                log = (self.folder / "log").read_text(errors="replace")[-2000:]
                raise AssertionError(f"redis-server on {self.port}: {what}: not so\n{log}")
            time.sleep(POLL)

    def _answers(self) -> bool:
        try:
            return self.ask("PING") == "PONG"
        except OSError:
            return False
        except RedisSays as error:
            return str(error).startswith("NOAUTH")


def make_cluster(nodes: Sequence[RedisServer]) -> None:
    """Let three servers, started with `cluster`, share the slots."""
    command = [program("redis-cli") or "redis-cli", "--cluster", "create", *(node.server for node in nodes)]
    subprocess.run([*command, "--cluster-yes"], check=True, capture_output=True, timeout=PATIENCE)
    for node in nodes:
        node.until(partial(_is_in_order, node), "the cluster is in order")


def _is_in_order(node: RedisServer) -> bool:
    told = node.ask("CLUSTER", "INFO")
    return isinstance(told, bytes) and b"cluster_state:ok" in told


def _port_with_bus() -> int:
    """A free port whose 10,000th successor, by which nodes talk to each other, is a port and free too."""
    while True:
        port = free_port()
        with socket.socket() as bus:
            try:
                bus.bind(("127.0.0.1", port + 10_000))
            except (OSError, OverflowError):
                continue
            return port


class RedisSays(Exception):
    """An error reply."""


class BlockingRedis:
    """A connection that waits for each answer."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self._stream = self._socket.makefile("rb")

    def command(self, words: Sequence[bytes]) -> object:
        self._socket.sendall(words_of(words))
        return self._reply()

    def script(self, script: Script, keys: Sequence[bytes], words: Sequence[bytes]) -> object:
        return self.command((b"EVAL", script.text, b"%d" % len(keys), *keys, *words))

    def close(self) -> None:
        self._stream.close()
        self._socket.close()

    def _reply(self) -> object:
        line = self._stream.readline()
        if not line:
            raise ConnectionResetError("redis-server hung up")
        kind, rest = line[:1], line[1:-2]
        match kind:
            case b"+":
                return rest.decode()
            case b"-":
                raise RedisSays(rest.decode())
            case b":":
                return int(rest)
            case b"$":
                return None if rest == b"-1" else self._stream.read(int(rest) + 2)[:-2]
            case b"*":
                return [self._reply() for _ in range(int(rest))]
        raise AssertionError(f"no reply: {line!r}")
