"""One tracker with nothing but default options: every client completes a download over each protocol it has.

Browsers, which have WebSocket alone, are in test_websocket.py. webtorrent has no WebSocket trackers in Node
without a native WebRTC module.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.interop.clients import STARTED, Aria2, Client, Libtorrent, Lonely, Transmission
from tests.interop.content import single_file
from tests.interop.hosts import Host, Program, namespace
from tests.interop.partners import present
from tests.interop.swarms import Swarm
from tests.interop.webtorrent import Webtorrent

PORT = 6969  # the default, of both protocols
FEW_MIB = partial(single_file, size=(2 << 20) + 5)


class Aria2WithUdp(Aria2):
    """aria2 has UDP trackers only together with the DHT, in which nobody is here."""

    dht = True


CLIENTS: dict[str, tuple[type[Client], ...]] = {
    "http": (Libtorrent, Transmission, Aria2, Webtorrent),
    "udp": (Libtorrent, Transmission, Aria2WithUdp, Webtorrent),
}
WAYS = [(protocol, client) for protocol, clients in CLIENTS.items() for client in clients]


@pytest.fixture(scope="module")
def hosts() -> Iterator[list[Host]]:
    with namespace(1 + len(CLIENTS) + len(WAYS)) as made:
        yield made


@pytest.fixture(scope="module")
def tracker(hosts: list[Host], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """HOST:PORT of the tracker, one process for all tests here."""
    work = tmp_path_factory.mktemp("tracker")
    command: list[str | Path] = [
        Path(sys.executable).with_name("twistd"),
        "--nodaemon",
        "--pidfile=",
        "bittwist-tracker",
    ]
    program = Program(command, hosts[0], work / "log", folder=work)
    try:
        program.until_listening(PORT, STARTED)
        program.until(lambda: "taken on udp://" in program.output, STARTED, "announces over UDP")
        yield f"{hosts[0].address}:{PORT}"
    finally:
        program.stop()


Joined = dict[tuple[str, type[Client]], tuple[Swarm, Client]]


@pytest.fixture(scope="module")
def joined(tracker: str, hosts: list[Host], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Joined]:
    """A swarm for each protocol, with all its leeches at once: transmission takes 20 s for anything."""
    others = iter(hosts[1:])
    with ExitStack() as stack:
        swarms: dict[str, Swarm] = {}
        for protocol in CLIENTS:
            work = tmp_path_factory.mktemp(protocol)
            swarms[protocol] = Swarm(stack, work, FEW_MIB, f"{protocol}://{tracker}/announce")
            swarms[protocol].seed(Lonely(next(others), work / "seed"), f"http://{tracker}/announce")
        found: Joined = {}
        for number, (protocol, client) in enumerate(WAYS):
            if all(present(name) for name in client.needs):
                # webtorrent listens on every address, and announces from the one that the tracker has.
                host = hosts[0] if client is Webtorrent else next(others)
                leech = client(host, swarms[protocol].work / client.name, 7000 + number)
                swarms[protocol].join(leech)
                found[protocol, client] = swarms[protocol], leech
        yield found


@pytest.mark.needs("nsenter", "unshare", "ip", "root")
@pytest.mark.parametrize(
    ("protocol", "client"),
    [
        pytest.param(protocol, client, id=f"{client.name}-{protocol}", marks=pytest.mark.needs(*client.needs))
        for protocol, client in WAYS
    ],
)
def test_a_client_completes_a_download(protocol: str, client: type[Client], joined: Joined) -> None:
    swarm, leech = joined[protocol, client]
    assert swarm.finished(leech) == []
