"""Where a test's programs run: an address of its own for each, on loopback or in a network namespace.

A namespace has no way out: what runs in it proves that nothing leaves, and its addresses are taken by
clients that refuse a peer in 127.0.0.0/8.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.interop.partners import program

LISTEN = "0A"  # the state in /proc/net/tcp
POLL = 0.02
ROOT = Path(__file__).parents[2]
ENVIRONMENT = {"LC_ALL": "C.UTF-8", "TERM": "dumb", "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
TIED = ("setpriv", "--pdeathsig", "TERM", "--")  # ends with the process that started it


@dataclass(frozen=True, slots=True)
class Host:
    """An address to bind to, and the words that go before a command to run it there."""

    address: str
    prefix: tuple[str, ...] = ()


def loopback(count: int, first: int = 2) -> list[Host]:
    """Hosts on 127.0.0.0/8."""
    return [Host(f"127.0.0.{number}") for number in range(first, first + count)]


def _run(prefix: tuple[str, ...], *words: str) -> None:
    subprocess.run([*prefix, program(words[0]) or words[0], *words[1:]], check=True, capture_output=True)


@contextmanager
def _namespaces(count: int) -> Iterator[list[tuple[int, tuple[str, ...]]]]:
    """New network namespaces: of each the process that holds it, and the words that run a command in it.

    They have no names: each goes with its holder, and the holder with this process, however that ends.
    """
    holders = []
    try:
        for _ in range(count):
            command = ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "sleep", "infinity"]
            holders.append(subprocess.Popen(command, stdin=subprocess.DEVNULL))
        ours = os.readlink("/proc/self/ns/net")
        for holder in holders:
            deadline = time.monotonic() + 10
            while os.readlink(f"/proc/{holder.pid}/ns/net") == ours:
                assert holder.poll() is None and time.monotonic() < deadline, "no network namespace"
                time.sleep(POLL)
        yield [(holder.pid, ("nsenter", "--target", str(holder.pid), "--net", "--")) for holder in holders]
    finally:
        for holder in holders:
            holder.kill()
            holder.wait()


def _hosts(prefix: tuple[str, ...], device: str, first: int, count: int) -> list[Host]:
    addresses = [f"10.81.0.{number}" for number in range(first, first + count)]
    for name in {"lo", device}:
        _run(prefix, "ip", "link", "set", name, "up")
    for address in addresses:
        _run(prefix, "ip", "address", "add", f"{address}/24", "dev", device)
    return [Host(address, prefix) for address in addresses]


@contextmanager
def namespace(count: int) -> Iterator[list[Host]]:
    """`count` hosts in one new network namespace, all on its loopback device. Needs root."""
    with _namespaces(1) as [(_, prefix)]:
        yield _hosts(prefix, "lo", 1, count)


@contextmanager
def namespace_pair(left: int, right: int) -> Iterator[tuple[list[Host], list[Host]]]:
    """Two network namespaces with a cable between them, and hosts at each end. Needs root."""
    with _namespaces(2) as [(_, one), (other_pid, other)]:
        ends = (
            "ip",
            "link",
            "add",
            "cable",
            "type",
            "veth",
            "peer",
            "name",
            "cable",
            "netns",
            str(other_pid),
        )
        _run(one, *ends)
        yield _hosts(one, "cable", 1, left), _hosts(other, "cable", 101, right)


class Program:
    """A child process: its output in a log, its end by its own process id, and with its parent's."""

    def __init__(
        self, command: Sequence[str | Path], host: Host, log: Path, *, folder: Path | None = None
    ) -> None:
        self.log = log
        with log.open("wb") as output:
            self._child = subprocess.Popen(
                [*TIED, *host.prefix, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={**os.environ, **ENVIRONMENT, "HOME": str(log.parent)},
            )

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def running(self) -> bool:
        return self._child.poll() is None

    def wait(self, timeout: float) -> int:
        """The exit status, once the program ends by itself."""
        return self._child.wait(timeout)

    def until(self, condition: Callable[[], bool], timeout: float, what: str) -> None:
        """Wait until `condition` holds; AssertionError with the log's end when it does not."""
        deadline = time.monotonic() + timeout
        while not condition():
            over = time.monotonic() > deadline
            if over or (not self.running() and not condition()):
                why = f"not within {timeout:g} s" if over else f"it ended with {self._child.returncode}"
                raise AssertionError(f"{self._child.args!r}\n{what}: {why}\n{self.output[-3000:]}")
            time.sleep(POLL)

    def until_listening(self, port: int, timeout: float = 20.0) -> None:
        self.until(lambda: listens(self.pid, port), timeout, f"listening on port {port}")

    def events(self) -> list[dict[str, object]]:
        """The JSON objects it has printed so far, one a line."""
        lines = self.output.split("\n")[:-1]
        return [json.loads(line) for line in lines if line.startswith("{")]

    def until_event(self, name: str, timeout: float) -> dict[str, object]:
        """Wait for the first event of that name."""
        self.until(
            lambda: any(event.get("event") == name for event in self.events()), timeout, f"event {name}"
        )
        return next(event for event in self.events() if event.get("event") == name)

    def stop(self, grace: float = 10.0) -> int:
        """Ask it to end, and after `grace` seconds end it; its exit status."""
        if self.running():
            self._child.send_signal(signal.SIGTERM)
            try:
                self._child.wait(grace)
            except subprocess.TimeoutExpired:
                self._child.kill()
        return self._child.wait()


def listens(pid: int, port: int) -> bool:
    """Does anything listen on TCP `port` in the network namespace of process `pid`?"""
    suffix = f":{port:04X}"
    for table in ("tcp", "tcp6"):
        path = Path(f"/proc/{pid}/net/{table}")
        try:
            rows = path.read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            if fields[3] == LISTEN and fields[1].endswith(suffix):
                return True
    return False
