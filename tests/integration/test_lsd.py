"""Local discovery over real sockets: two network namespaces with a cable between them, and nothing else."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.interop.clients import COMMAND
from tests.interop.content import differences, single_file
from tests.interop.hosts import Host, namespace_pair
from tests.interop.shared import Shared
from tests.processes import Programs

pytestmark = pytest.mark.needs("nsenter", "unshare", "ip", "root")

LONG = 60.0  # seconds: a slow machine

SPEAK = """
import socket, sys
speaker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
speaker.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(sys.argv[1]))
speaker.bind((sys.argv[1], 0))
speaker.sendto(sys.argv[2].encode(), ("239.192.152.143", 6771))
"""


@pytest.mark.parametrize("bound", [True, False], ids=["bound to an address", "on all addresses"])
def test_two_on_one_link_find_each_other_without_a_tracker(bound: bool, tmp_path: Path) -> None:
    shared = Shared.make(tmp_path, single_file)
    with namespace_pair(1, 1) as ([giver], [taker]), Programs(tmp_path) as programs:

        def where(host: Host) -> list[str]:
            return ["--bind", host.address] if bound else []

        seed = programs.bittwist(
            "seed", shared.torrent, shared.content.parent, "--json", *where(giver), host=giver
        )
        seed.until_event("complete", LONG)
        words = ["download", shared.torrent, "-o", shared.target, "--json", *where(taker)]
        assert programs.bittwist(*words, host=taker).wait(LONG) == 0
    assert differences(shared.content, shared.target / shared.content.name) == []


def test_it_speaks_ipv6_too(tmp_path: Path) -> None:
    shared = Shared.make(tmp_path, single_file)
    with namespace_pair(1, 1) as ([giver], [taker]), Programs(tmp_path) as programs:
        for number, host in enumerate((giver, taker), 1):
            address = f"fd81::{number}"
            add = ["ip", "address", "add", f"{address}/64", "dev", "cable", "nodad"]
            subprocess.run([*host.prefix, *add], check=True, timeout=LONG)
        words = ["seed", shared.torrent, shared.content.parent, "--json", "--bind", "fd81::1"]
        programs.bittwist(*words, host=giver).until_event("complete", LONG)
        words = ["download", shared.torrent, "-o", shared.target, "--json", "--bind", "fd81::2"]
        assert programs.bittwist(*words, host=taker).wait(LONG) == 0
    assert differences(shared.content, shared.target / shared.content.name) == []


def test_a_private_torrent_is_neither_announced_nor_heard_of(tmp_path: Path) -> None:
    """SECURITY.md D11."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    content = single_file(source, 100_000)
    torrent = tmp_path / "private.torrent"
    create = [*COMMAND, "create", str(content), "-o", str(torrent), "--private", "--json"]
    made = subprocess.run(create, check=True, capture_output=True, text=True, timeout=LONG)
    info_hash = json.loads(made.stdout)["info_hash_v1"]
    with namespace_pair(1, 1) as ([giver], [taker]), Programs(tmp_path) as programs:
        seed = programs.bittwist("seed", torrent, source, "--json", "--bind", giver.address, host=giver)
        seed.until_event("complete", LONG)
        leech = programs.bittwist(
            "download", torrent, "-o", target, "--json", "--bind", taker.address, host=taker
        )
        leech.until_event("progress", LONG)
        announce = f"BT-SEARCH * HTTP/1.1\r\nHost: x\r\nPort: 6881\r\nInfohash: {info_hash}\r\n\r\n\r\n"
        for host in (giver, taker):
            subprocess.run(
                [*host.prefix, "python3", "-c", SPEAK, host.address, announce], check=True, timeout=LONG
            )
        for _ in range(8):  # a report each half second
            count = len(leech.events())
            leech.until(lambda count=count: len(leech.events()) > count, LONG, "another report")
        assert {event.get("peers", 0) for event in leech.events()} == {0}
