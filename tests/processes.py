"""Real programs for integration tests: started by name, watched by their logs, and all gone at the end."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.interop.hosts import Host, Program

LOOPBACK = Host("127.0.0.1")
GRACE = 10.0  # seconds from SIGTERM to SIGKILL: our own programs promise six


class Programs:
    """A context in which programs run; leaving it stops them and whatever they started.

    Each has a log of its own in `folder`, named after it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._started: list[Program] = []

    def __enter__(self) -> Programs:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def bittwist(self, *words: str | Path, host: Host = LOOPBACK) -> Program:
        """`bittwist WORDS…`, from the tree these tests are in."""
        return self.start([sys.executable, "-m", "bittwist", *words], "bittwist", host)

    def twistd(self, *words: str | Path, host: Host = LOOPBACK) -> Program:
        """`twistd WORDS…`, in the foreground and without a pid file."""
        script = Path(sys.executable).with_name("twistd")
        return self.start([sys.executable, script, "--nodaemon", "--pidfile=", *words], "twistd", host)

    def start(self, command: Sequence[str | Path], name: str, host: Host = LOOPBACK) -> Program:
        log = self.folder / f"{name}-{len(self._started)}.log"
        program = Program(command, host, log, folder=self.folder)
        self._started.append(program)
        return program

    def stop(self) -> None:
        """SIGTERM to all at once, SIGKILL to those that stay; their children do not outlive them."""
        children = [child for program in self._started for child in descendants(program.pid)]
        for program in self._started:
            if program.running():
                os.kill(program.pid, signal.SIGTERM)
        deadline = time.monotonic() + GRACE
        for program in self._started:
            program.stop(max(0.0, deadline - time.monotonic()))
        self._started.clear()
        for pid, born in children:
            if _born(pid) == born:  # else the number is another process's by now
                os.kill(pid, signal.SIGKILL)


def free_port(address: str = "127.0.0.1") -> int:
    """A TCP port nobody listens on at the moment: ask for port 0 where the program can say what it got."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port


def descendants(pid: int) -> list[tuple[int, str]]:
    """The processes that this one started, and those that they did: their ids and times of birth."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found: list[tuple[int, str]] = []
    waiting = [pid]
    while waiting:
        for child in children.get(waiting.pop(), []):
            waiting.append(child)
            if born := _born(child):
                found.append((child, born))
    return found


def _born(pid: int) -> str:
    """When a process started, in ticks since boot; nothing if it is gone or only waits to be collected."""
    fields = _stat(pid)
    return fields[19] if fields and fields[0] != "Z" else ""


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on: what stands before may contain blanks."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    return text.rpartition(")")[2].split()
