"""Magnet links between bittwist and real clients, both ways.

By the peer's address in the link alone, where a client takes one from a link. As leeches transmission and
aria2 find peers by tracker only: opentracker, since aria2 asks for metadata as if it were a seed, and ours
does not tell seeds of seeds.
"""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from _pytest.mark import ParameterSet

from bittwist.metainfo.magnet import Magnet
from bittwist.metainfo.metainfo import Metainfo
from tests.interop.clients import Aria2, Bittwist, Client, Libtorrent, Opentracker, Transmission
from tests.interop.content import many_files
from tests.interop.hosts import Host
from tests.interop.shared import ENOUGH, Shared
from tests.interop.webtorrent import Webtorrent

OWN_PORT = 6882  # webtorrent listens on every address: nobody else may have the port

pytestmark = pytest.mark.needs("nsenter", "unshare", "ip", "root")


def named(kind: type[Client]) -> ParameterSet:
    return pytest.param(kind, id=kind.name, marks=pytest.mark.needs(*kind.needs))


def link(shared: Shared, seed: Client, *, peer: bool = True) -> Path:
    """Our magnet link of it, with the seed's address or without; it stands where a torrent file would."""
    magnet = Magnet.of(Metainfo.parse(shared.torrent.read_bytes()))
    return cast(Path, str(replace(magnet, peers=(seed.endpoint,) if peer else ())))


@pytest.mark.parametrize("client", [named(c) for c in (Libtorrent, Transmission, Aria2, Webtorrent)])
def test_bittwist_completes_by_the_address_in_the_link_alone(
    client: type[Client], hosts: list[Host], tmp_path: Path
) -> None:
    shared = Shared.make(tmp_path, many_files)
    with ExitStack() as stack:
        seed = client(hosts[1], tmp_path / "seed", OWN_PORT)
        stack.callback(seed.stop)
        seed.seed(shared.torrent, shared.content.parent)
        leech = Bittwist(hosts[2], tmp_path / "leech")
        stack.callback(leech.stop)
        leech.download(link(shared, seed), shared.target)
        leech.wait(ENOUGH)
    assert shared.differences(leech) == []


@pytest.mark.parametrize("client", [named(c) for c in (Libtorrent, Transmission, Aria2, Webtorrent)])
def test_of_a_link_that_chooses_files_only_these_exist_afterwards(
    client: type[Client], hosts: list[Host], tmp_path: Path
) -> None:
    shared = Shared.make(tmp_path, many_files)
    files = Metainfo.parse(shared.torrent.read_bytes()).info.files
    with ExitStack() as stack:
        seed = client(hosts[1], tmp_path / "seed", OWN_PORT)
        stack.callback(seed.stop)
        seed.seed(shared.torrent, shared.content.parent)
        leech = Bittwist(hosts[2], tmp_path / "leech")
        stack.callback(leech.stop)
        leech.download(cast(Path, f"{link(shared, seed)}&so=1,40-42"), shared.target)
        leech.wait(ENOUGH)
    folder = shared.target / shared.content.name
    chosen = {"/".join(files[index].path) for index in (1, 40, 41, 42)}
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == chosen
    for path in chosen:
        assert (folder / path).read_bytes() == (shared.content / path).read_bytes()


@pytest.mark.parametrize("client", [named(c) for c in (Libtorrent, Webtorrent)])
def test_a_client_completes_by_the_address_in_our_link_alone(
    client: type[Client], hosts: list[Host], tmp_path: Path
) -> None:
    shared = Shared.make(tmp_path, many_files)
    with ExitStack() as stack:
        seed = Bittwist(hosts[1], tmp_path / "seed")
        stack.callback(seed.stop)
        seed.seed(shared.torrent, shared.content.parent)
        leech = client(hosts[2], tmp_path / "leech", OWN_PORT)
        stack.callback(leech.stop)
        leech.download(link(shared, seed), shared.target)
        leech.wait(ENOUGH)
    assert shared.differences(leech) == []


@pytest.mark.needs(*Opentracker.needs)
@pytest.mark.parametrize("client", [named(c) for c in (Libtorrent, Transmission, Aria2, Webtorrent)])
def test_a_client_completes_by_the_tracker_in_our_link(
    client: type[Client], hosts: list[Host], tmp_path: Path
) -> None:
    tracking = Opentracker(hosts[0], tmp_path / "tracker")
    shared = Shared.make(tmp_path, many_files, [tracking.url])
    with ExitStack() as stack:
        stack.callback(tracking.stop)
        tracking.start([shared.info_hash])
        seed = Bittwist(hosts[1], tmp_path / "seed")
        stack.callback(seed.stop)
        seed.seed(shared.torrent, shared.content.parent)
        # Of webtorrent the tracker knows only the host's first address.
        leech = client(hosts[0], tmp_path / "leech", OWN_PORT)
        stack.callback(leech.stop)
        shared.until_tracked(seed, tracking.url)
        leech.download(link(shared, seed, peer=False), shared.target)
        if isinstance(leech, Aria2):  # its hook tells of the metadata, too
            leech.running.until(lambda: shared.differences(leech) == [], ENOUGH, "complete")
        else:
            leech.wait(ENOUGH)
    assert shared.differences(leech) == []
