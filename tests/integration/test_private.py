"""A private torrent sends nothing but to its tracker and that tracker's peers: all packets of a network
namespace are looked at (SECURITY.md T40)."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.interop.clients import COMMAND, BittwistTracker
from tests.interop.content import differences, single_file
from tests.interop.hosts import Host, Program, namespace
from tests.processes import Programs

pytestmark = pytest.mark.needs("nsenter", "unshare", "ip", "root")

LONG = 60.0  # seconds: a slow machine
SNIFFER = Path(__file__).with_name("sniffer.py")
PORT = 6881
LSD_PORT = 6771


def capture(tmp_path: Path, hosts: list[Host], *, private: bool, as_link: bool) -> list[dict[str, object]]:
    """What is sent while one leech of two fetches a torrent from its seed, by a tracker."""
    tracker, seed, leech, other = hosts
    source = tmp_path / "source"
    source.mkdir()
    content = single_file(source, 3_000_000)
    torrent = tmp_path / "shared.torrent"
    tracking = BittwistTracker(tracker, tmp_path / "tracker")
    flags = ["--private"] if private else []
    create = [*COMMAND, "create", content, "-o", torrent, "--tracker", tracking.url, "--json", *flags]
    made = subprocess.run(create, check=True, capture_output=True, text=True, timeout=LONG)
    info_hash = json.loads(made.stdout)["info_hash_v1"]
    what = f"magnet:?xt=urn:btih:{info_hash}&tr={tracking.url}" if as_link else str(torrent)
    sniffer = Program([sys.executable, SNIFFER, "ut_pex", "BT-SEARCH"], tracker, tmp_path / "sniffer.log")
    try:
        sniffer.until_event("listening", LONG)
        tracking.start([info_hash])
        with Programs(tmp_path) as programs:
            seeding = programs.bittwist(
                "seed", torrent, source, "--json", "--bind", seed.address, "--port", str(PORT), host=seed
            )
            seeding.until_event("complete", LONG)
            for number, host in enumerate((leech, other)):
                target = tmp_path / f"target-{number}"
                where = ["--bind", host.address, "--port", str(PORT)]
                fetching = programs.bittwist(
                    "download", what, "-o", target, "--seed", "--json", *where, host=host
                )
                fetching.until_event("complete", LONG)
                assert differences(content, target / content.name) == []
    finally:
        tracking.stop()
        ended = sniffer.stop()
    assert ended == 0, sniffer.output
    return [event for event in sniffer.events() if event["event"] == "packets"]


@pytest.mark.parametrize("as_link", [False, True], ids=["torrent file", "magnet link"])
def test_a_private_torrent_speaks_with_its_tracker_and_its_peers_alone(as_link: bool, tmp_path: Path) -> None:
    with namespace(4) as hosts:
        packets = capture(tmp_path, hosts, private=True, as_link=as_link)
    assert len(packets) > 4
    tracker, *peers = (host.address for host in hosts)
    allowed = {(tracker, 6969), *((peer, PORT) for peer in peers)}
    for packet in packets:
        assert packet["protocol"] == "tcp", packet
        ends = {(packet["source"], packet["source_port"]), (packet["target"], packet["target_port"])}
        assert ends & allowed and {host for host, _ in ends} <= {tracker, *peers}, packet
        assert packet["words"] == [], packet


def test_of_a_public_torrent_the_same_capture_shows_local_discovery_and_peer_exchange(tmp_path: Path) -> None:
    with namespace(4) as hosts:
        packets = capture(tmp_path, hosts, private=False, as_link=False)
    assert any(
        packet["target_port"] == LSD_PORT and "BT-SEARCH" in str(packet["words"]) for packet in packets
    )
    assert any(packet["protocol"] == "tcp" and "ut_pex" in str(packet["words"]) for packet in packets)
