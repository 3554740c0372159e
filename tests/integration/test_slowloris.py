"""Clients that hold on to a tracker's connections: T22 and T23, and half-open floods, over real sockets.

The tracker runs by itself; its clients come from many addresses of 127/8, so that no limit of one address
stops them. Under `make soak` the numbers, deadlines and ceilings are those of SECURITY.md.
"""

from __future__ import annotations

import os
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from bittwist.announce.http import decode_announce_response, encode_announce_url
from bittwist.announce.values import AnnounceRequest
from tests.interop.hosts import Program
from tests.processes import Programs, free_port
from tests.scale import SOAK, runs

DEADLINE = runs(1, 10)  # seconds for headers and bodies; ten is the default
MIB = 1 << 20
LINE = encode_announce_url("/announce", AnnounceRequest(b"h" * 20, b"p" * 20, 6881, left=1)).encode()
ANNOUNCE = b"GET %b HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n" % LINE
HALF = ANNOUNCE[: len(ANNOUNCE) // 2]
PATIENT = ANNOUNCE.replace(b"Connection: close\r\n", b"")
BODY = b"POST /announce HTTP/1.1\r\nHost: t\r\nContent-Length: 60000\r\n\r\n"


@dataclass(slots=True)
class Server:
    program: Program
    port: int

    def connect(self, number: int, *, buffer: int | None = None) -> socket.socket:
        """A client's connection, from the `number`th of many addresses."""
        client = socket.socket()
        if buffer is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        client.bind((f"127.{1 + number // 62500}.{number // 250 % 250}.{1 + number % 250}", 0))
        client.settimeout(10)
        client.connect(("127.0.0.1", self.port))
        return client

    def announce(self, number: int) -> float:
        """The seconds that an announce of somebody else took, from connecting to its whole answer."""
        began = time.monotonic()
        with self.connect(5_000_000 + number) as client:
            client.sendall(ANNOUNCE)
            said = b""
            while part := client.recv(65536):
                said += part
        taken = time.monotonic() - began
        decode_announce_response(said.partition(b"\r\n\r\n")[2])
        return taken

    def connections(self) -> int:
        """How many sockets it has open, its own among them."""
        return sum(is_socket(entry) for entry in Path(f"/proc/{self.program.pid}/fd").iterdir())

    def memory(self) -> int:
        """The bytes resident."""
        status = Path(f"/proc/{self.program.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # the tracker inherits it
    port = free_port()
    settings = tmp_path / "tracker.toml"
    deadlines = (f"{key}_deadline = {DEADLINE}.0\n" for key in ("header", "body", "response"))
    settings.write_text("[listen]\nudp = []\n[site]\n" + "".join(deadlines))
    try:
        with Programs(tmp_path) as programs:
            words = ("bittwist-tracker", "--config", settings, "--http", f"tcp:{port}:interface=127.0.0.1")
            program = programs.twistd(*words)
            program.until_listening(port)
            yield Server(program, port)
            assert "Traceback" not in program.output, program.output
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def is_socket(entry: Path) -> bool:
    try:
        return os.readlink(entry).startswith("socket:")
    except OSError:  # closed meanwhile
        return False


def closed(client: socket.socket) -> bool:
    """Whether the server has closed this connection; what it said before is read and thrown away."""
    client.setblocking(False)
    try:
        while client.recv(65536):
            pass
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def p99(times: list[float]) -> float:
    return sorted(times)[int(len(times) * 0.99)]


def test_who_drips_is_closed_in_time_and_others_are_served(server: Server) -> None:
    """T23."""
    count = runs(50, 2_000)
    began = time.monotonic()
    dripping = [server.connect(number) for number in range(2 * count)]
    for number, client in enumerate(dripping):
        client.sendall(HALF if number % 2 else BODY)
        client.setblocking(False)
    times = []
    last = time.monotonic()
    while dripping and time.monotonic() - began < 2 * DEADLINE + 3:
        times.append(server.announce(len(times)))
        if time.monotonic() - last > DEADLINE / 10:
            last = time.monotonic()
            for client in dripping:
                with suppress(OSError):
                    client.send(b"x")
            ended = [client for client in dripping if closed(client)]
            for client in ended:
                client.close()
                dripping.remove(client)
    assert not dripping, f"{len(dripping)} are still connected"
    if SOAK:
        assert time.monotonic() - began <= 20
        assert p99(times) <= 0.2


def test_who_never_reads_its_answers_is_closed_in_time(server: Server) -> None:
    """T23, the other end: each asks for more than its buffers hold, and takes nothing."""
    own = server.connections()
    deaf = [server.connect(number, buffer=4096) for number in range(runs(5, 200))]
    for client in deaf:
        client.setblocking(False)
        with suppress(BlockingIOError):
            for _ in range(1_000):
                client.send(PATIENT)
    deadline = time.monotonic() + 3 * DEADLINE + 5
    times = []
    # Whom the system gives up is not told so: they would have to read to hear it.
    while (held := server.connections()) > own:
        assert time.monotonic() < deadline, f"{held - own} of {len(deaf)} are still connected"
        times.append(server.announce(len(times)))
    for client in deaf:
        client.close()
    if SOAK:
        assert server.memory() <= 400 * MIB


def test_half_open_requests_of_many_addresses_leave_announces_served(server: Server) -> None:
    """A flood that goes on: whoever is closed comes back from another address."""
    count = runs(200, 5_000)
    flood = [server.connect(number) for number in range(count)]
    for client in flood:
        with suppress(OSError):  # on a slow machine its time is over already
            client.sendall(HALF)
    times = []
    end = time.monotonic() + 2 * DEADLINE
    came = count
    while time.monotonic() < end:
        times.append(server.announce(len(times)))
        for place in range(0, count, 10):
            if closed(flood[place]):
                flood[place].close()
                flood[place] = server.connect(came)
                came += 1
                with suppress(OSError):
                    flood[place].send(HALF)
    for client in flood:
        client.close()
    if SOAK:
        assert p99(times) <= 0.2


def test_idle_connections_leave_announces_served(server: Server) -> None:
    """T22."""
    count = runs(300, 10_000)
    idle = []
    for number in range(count):  # each asks at once: a connection that says nothing has its deadline
        idle.append(server.connect(number))
        idle[-1].sendall(PATIENT)
    for client in idle:
        assert client.recv(65536).startswith(b"HTTP/1.1 200 OK")
    times = [server.announce(number) for number in range(runs(300, 10_000))]
    assert not any(closed(client) for client in idle[: count // 10]), "they have a minute"
    idle[-1].setblocking(True)
    idle[-1].sendall(PATIENT)
    assert idle[-1].recv(65536).startswith(b"HTTP/1.1 200 OK")
    for client in idle:
        client.close()
    if SOAK:
        assert server.memory() <= 400 * MIB
        assert p99(times) <= 0.1
