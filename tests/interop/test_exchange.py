"""bittwist and real clients: each downloads from the other, whatever is shared, whoever tracks."""

from collections.abc import Callable
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from tests.interop.clients import (
    Aria2,
    Bittwist,
    BittwistTracker,
    Client,
    Libtorrent,
    Opentracker,
    Rtorrent,
    Transmission,
)
from tests.interop.content import many_files, single_file
from tests.interop.hosts import Host
from tests.interop.shared import Shared

Kind = Callable[[Path], Path]
NOBODY = "http://10.81.0.9:6969/announce"  # no tracker is there; rtorrent loads no torrent that names none

pytestmark = pytest.mark.needs("nsenter", "unshare", "ip", "root")


def named(kind: type[Client] | type[Opentracker] | type[BittwistTracker]) -> ParameterSet:
    return pytest.param(kind, id=kind.name, marks=pytest.mark.needs(*kind.needs))


contents = pytest.mark.parametrize("content", [single_file, many_files])
clients = pytest.mark.parametrize("client", [named(c) for c in (Libtorrent, Transmission, Aria2, Rtorrent)])
trackers = pytest.mark.parametrize("tracker", [named(BittwistTracker), named(Opentracker)])
dialing_clients = pytest.mark.parametrize("client", [named(Libtorrent), named(Rtorrent)])


@contents
@trackers
@clients
def test_a_client_downloads_from_bittwist(
    client: type[Client],
    tracker: type[Opentracker] | type[BittwistTracker],
    content: Kind,
    hosts: list[Host],
    tmp_path: Path,
) -> None:
    tracking = tracker(hosts[0], tmp_path / "tracker")
    shared = Shared.make(tmp_path, content, [tracking.url])
    shared.exchange(Bittwist(hosts[1], tmp_path / "seed"), client(hosts[2], tmp_path / "leech"), tracking)


@contents
@trackers
@clients
def test_bittwist_downloads_from_a_client(
    client: type[Client],
    tracker: type[Opentracker] | type[BittwistTracker],
    content: Kind,
    hosts: list[Host],
    tmp_path: Path,
) -> None:
    tracking = tracker(hosts[0], tmp_path / "tracker")
    shared = Shared.make(tmp_path, content, [tracking.url])
    shared.exchange(client(hosts[1], tmp_path / "seed"), Bittwist(hosts[2], tmp_path / "leech"), tracking)


@contents
@dialing_clients
def test_a_client_dials_bittwist(
    client: type[Client], content: Kind, hosts: list[Host], tmp_path: Path
) -> None:
    shared = Shared.make(tmp_path, content, [NOBODY])
    shared.exchange(Bittwist(hosts[1], tmp_path / "seed"), client(hosts[2], tmp_path / "leech"))


@contents
@clients
def test_bittwist_dials_a_client(
    client: type[Client], content: Kind, hosts: list[Host], tmp_path: Path
) -> None:
    shared = Shared.make(tmp_path, content, [NOBODY])
    shared.exchange(client(hosts[1], tmp_path / "seed"), Bittwist(hosts[2], tmp_path / "leech"))


@contents
def test_bittwist_downloads_from_bittwist(content: Kind, hosts: list[Host], tmp_path: Path) -> None:
    tracking = BittwistTracker(hosts[0], tmp_path / "tracker")
    shared = Shared.make(tmp_path, content, [tracking.url])
    shared.exchange(Bittwist(hosts[1], tmp_path / "seed"), Bittwist(hosts[2], tmp_path / "leech"), tracking)
