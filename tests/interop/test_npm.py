"""The programs of npm at our tracker: its tracker client, and webtorrent for Node."""

from __future__ import annotations

import json
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from bittwist.net.policy import Network
from bittwist.net.site import make_site
from bittwist.tracker import Tracker
from bittwist.tracker.datagram import UdpFront, UdpSettings, connection_ids
from bittwist.tracker.websocket import WebSocketFront
from tests.interop.hosts import Host, Program
from tests.interop.partners import NPM

LOCAL = Host("127.0.0.1")
INFO_HASH = bytes(range(236, 256))
SEED, LEECH = b"-TS0001-seed00000000", b"-TS0001-leech0000000"
INTERVAL = {"http": 1800, "ws": 120}  # over UDP it does not say


@asynccontextmanager
async def fronts() -> AsyncIterator[dict[str, str]]:
    """A tracker with default options on loopback; its announce URLs by the name of the protocol."""
    tracker = Tracker(reactor, random=random.Random(1))
    udp = UdpFront(tracker, Network(reactor), [("127.0.0.1", 0)], connection_ids(UdpSettings(), time.time))
    site = make_site(reactor, tracker.resource())
    ports = {
        "http": reactor.listenTCP(0, site, interface="127.0.0.1"),
        "ws": reactor.listenTCP(0, WebSocketFront(reactor, tracker), interface="127.0.0.1"),
    }
    tracker.startService()
    udp.startService()
    try:
        urls = {name: f"{name}://127.0.0.1:{port.getHost().port}/announce" for name, port in ports.items()}
        yield {**urls, "udp": f"udp://{udp.addresses[0]}/announce"}
    finally:
        for port in ports.values():
            await port.stopListening()
        await udp.stopService()
        await tracker.stopService()


@pytest.mark.needs("node", "bittorrent-tracker")
@pytest.mark.parametrize("protocol", ["http", "udp", "ws"])
@pytest_twisted.ensureDeferred
async def test_the_client_of_npm_announces_finds_others_and_scrapes(protocol: str, tmp_path: Path) -> None:
    async with fronts() as urls:
        # With one URL both would share one WebSocket.
        told = [urls[protocol], f"{urls[protocol]}?second", INFO_HASH.hex()]
        program = Program(["node", NPM / "announces.mjs", *told], LOCAL, tmp_path / "log")
        try:
            status = await deferToThread(program.wait, 30)
        finally:
            program.stop()
    lines = [json.loads(line) for line in program.output.splitlines() if line.startswith("{")]
    steps = {line["step"]: line for line in lines}
    assert status == 0, program.output

    def sizes(name: str) -> tuple[int, int]:
        return steps[name]["complete"], steps[name]["incomplete"]

    assert sizes("seed") == (1, 0)
    assert sizes("leech") == sizes("scrape") == (1, 1)
    assert sizes("completed") == (2, 0)
    assert sizes("left") == (1, 0)
    assert steps["left"]["downloaded"] == 1
    if protocol in INTERVAL:
        assert INTERVAL[protocol] <= steps["seed"]["interval"] <= 1.1 * INTERVAL[protocol]
    if protocol == "ws":
        assert steps["met"]["id"] == SEED.hex()
        assert steps["answer"]["sdp"] == "v=0\r\ns=an offer – 1\r\ns=its answer\r\n"
    else:
        assert steps["met"]["address"] == "127.0.0.1:7001"
