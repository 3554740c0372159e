"""The programs of npm at our tracker: its tracker client, and webtorrent for Node."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.interop.clients import Bittwist, BittwistTracker, Libtorrent
from tests.interop.content import many_files, single_file
from tests.interop.fronts import Fronts
from tests.interop.hosts import Host, Program
from tests.interop.partners import NPM
from tests.interop.shared import Shared
from tests.interop.webtorrent import Webtorrent

LOCAL = Host("127.0.0.1")
INFO_HASH = bytes(range(236, 256))
SEED = b"-TS0001-seed00000000"  # the peer id in announces.mjs
INTERVAL = {"http": 1800, "ws": 120}  # over UDP it does not say


@pytest.mark.needs("node", "bittorrent-tracker")
@pytest.mark.parametrize("protocol", ["http", "udp", "ws"])
def test_the_client_of_npm_announces_finds_others_and_scrapes(protocol: str, tmp_path: Path) -> None:
    with Fronts(LOCAL, tmp_path / "tracker") as tracker:
        url = tracker.urls[protocol]
        # With one URL both would share one WebSocket.
        program = Program(
            ["node", NPM / "announces.mjs", url, f"{url}?second", INFO_HASH.hex()], LOCAL, tmp_path / "log"
        )
        try:
            assert program.wait(30) == 0, program.output
        finally:
            program.stop()
    lines = [json.loads(line) for line in program.output.splitlines()]
    steps = {line["step"]: line for line in lines}

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


@pytest.mark.needs(*Webtorrent.needs, "nsenter", "unshare", "ip", "root", "libtorrent")
@pytest.mark.parametrize("webtorrent_seeds", [False, True], ids=["leech", "seed"])
@pytest.mark.parametrize("protocol", ["http", "udp"])
def test_webtorrent_and_libtorrent_find_each_other_and_finish(
    protocol: str, webtorrent_seeds: bool, hosts: list[Host], tmp_path: Path
) -> None:
    """By each protocol that webtorrent has in Node."""
    tracking = BittwistTracker(hosts[0], tmp_path / "tracker")
    shared = Shared.make(tmp_path, single_file, [tracking.url if protocol == "http" else tracking.udp_url])
    # It listens on every address, and announces from the one that the tracker has.
    webtorrent = Webtorrent(hosts[0], tmp_path / "webtorrent", 6882)
    libtorrent = Libtorrent(hosts[1], tmp_path / "libtorrent")
    if webtorrent_seeds:
        shared.exchange(webtorrent, libtorrent, tracking)
    else:
        shared.exchange(libtorrent, webtorrent, tracking)


@pytest.mark.needs(*Webtorrent.needs, "nsenter", "unshare", "ip", "root")
@pytest.mark.parametrize("webtorrent_seeds", [False, True], ids=["leech", "seed"])
def test_webtorrent_and_bittwist_find_each_other_and_finish(
    webtorrent_seeds: bool, hosts: list[Host], tmp_path: Path
) -> None:
    tracking = BittwistTracker(hosts[0], tmp_path / "tracker")
    shared = Shared.make(tmp_path, many_files, [tracking.url])
    webtorrent = Webtorrent(hosts[0], tmp_path / "webtorrent", 6882)
    bittwist = Bittwist(hosts[1], tmp_path / "bittwist")
    if webtorrent_seeds:
        shared.exchange(webtorrent, bittwist, tracking)
    else:
        shared.exchange(bittwist, webtorrent, tracking)
