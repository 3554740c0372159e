"""Peer exchange with a third client in between: libtorrent introduces two peers of ours that know only it."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.clients import Bittwist, Libtorrent, Talking
from tests.interop.content import differences, single_file
from tests.interop.hosts import Host, namespace
from tests.interop.shared import Shared

pytestmark = pytest.mark.needs("libtorrent", "nsenter", "unshare", "ip", "root")

INTRODUCED = 150.0  # seconds: libtorrent tells of others once a minute


@pytest.fixture
def apart() -> Iterator[list[Host]]:
    """Three hosts that reach each other, each in a network of its own: no local discovery between them."""
    with namespace(1) as [first]:
        addresses = ["10.82.0.1", "10.83.0.1", "10.84.0.1"]
        for address in addresses:
            add = ["ip", "address", "add", f"{address}/32", "dev", "lo"]
            subprocess.run([*first.prefix, *add], check=True)
        yield [Host(address, first.prefix) for address in addresses]


def peers(client: Talking) -> int:
    """The most peers that it had at once."""
    return max(int(str(event.get("peers", 0))) for event in client.running.events())


def test_two_peers_that_know_only_libtorrent_find_each_other(apart: list[Host], tmp_path: Path) -> None:
    """The one in between is slow: it would take seven minutes to pass all of it on."""
    shared = Shared.make(tmp_path, single_file)
    nothing = tmp_path / "between"
    nothing.mkdir()
    between = Libtorrent(apart[0], tmp_path / "libtorrent")
    between.at_most = 20_000
    seed, leech = Bittwist(apart[1], tmp_path / "seed"), Bittwist(apart[2], tmp_path / "leech")
    try:
        between.download(shared.torrent, nothing)
        seed.seed(shared.torrent, shared.content.parent, [between.endpoint])
        leech.download(shared.torrent, shared.target, [between.endpoint])
        leech.wait(INTRODUCED)
    finally:
        for client in (leech, seed, between):
            client.stop()
    assert differences(shared.content, shared.target / shared.content.name) == []


def test_bittwist_introduces_two_libtorrents_that_know_only_it(apart: list[Host], tmp_path: Path) -> None:
    """By the time the leech comes, ours is a seed too, and has parted from the other one."""
    shared = Shared.make(tmp_path, single_file)
    third = tmp_path / "third"
    third.mkdir()
    between = Bittwist(apart[0], tmp_path / "bittwist")
    seed, leech = Libtorrent(apart[1], tmp_path / "seed"), Libtorrent(apart[2], tmp_path / "leech")
    leech.at_most = 500_000  # so that it has time to meet both
    try:
        between.download(shared.torrent, third)
        seed.seed(shared.torrent, shared.content.parent, [between.endpoint])
        between.wait(INTRODUCED)
        leech.download(shared.torrent, shared.target, [between.endpoint])
        leech.running.until(lambda: peers(leech) == 2, INTRODUCED, "both are its peers")
        leech.wait(INTRODUCED)
    finally:
        for client in (leech, seed, between):
            client.stop()
    assert differences(shared.content, shared.target / shared.content.name) == []
