"""Each source of peers by itself completes a download: trackers over HTTP and UDP, and peers in the link.

Where what came was from is what `bittwist download --json` says. For peer exchange see test_pex.py, for web
seeds test_web_seed.py; local discovery needs no other program (tests/integration/test_lsd.py).
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from bittwist.metainfo.infohash import InfoHash
from bittwist.metainfo.magnet import Magnet
from tests.interop.clients import BittwistTracker, Lonely, Once, Opentracker
from tests.interop.content import single_file
from tests.interop.hosts import Host, Program
from tests.interop.shared import ENOUGH, Shared

FEW_MIB = partial(single_file, size=(2 << 20) + 5)

pytestmark = pytest.mark.needs("nsenter", "unshare", "ip", "root")


def named(kind: type[Opentracker] | type[BittwistTracker]) -> ParameterSet:
    return pytest.param(kind, id=kind.name, marks=pytest.mark.needs(*kind.needs))


def used(program: Program) -> dict[tuple[object, object], int]:
    """The bytes that each source has brought, as a download that is over has told."""
    events = [event for event in program.events() if event["event"] == "source"]
    last = {(event["name"], event["detail"]): int(str(event["downloaded"])) for event in events}
    return {source: brought for source, brought in last.items() if brought}


@pytest.mark.parametrize("protocol", ["http", "udp"])
@pytest.mark.parametrize("tracker", [named(BittwistTracker), named(Opentracker)])
def test_a_download_completes_by_its_tracker_alone(
    tracker: type[Opentracker] | type[BittwistTracker], protocol: str, hosts: list[Host], tmp_path: Path
) -> None:
    tracking = tracker(hosts[0], tmp_path / "tracker")
    url = tracking.url.replace("http", protocol, 1)
    shared = Shared.make(tmp_path, FEW_MIB, [url])
    leech = Once(hosts[2], tmp_path / "leech")
    shared.exchange(Lonely(hosts[1], tmp_path / "seed"), leech, tracking)
    assert used(leech.running) == {("tracker", url): shared.content.stat().st_size}


def test_a_download_completes_by_the_peer_in_its_magnet_link_alone(hosts: list[Host], tmp_path: Path) -> None:
    """`x.pe`. From other clients: test_magnets.py."""
    shared = Shared.make(tmp_path, FEW_MIB)
    with ExitStack() as stack:
        seed = Lonely(hosts[1], tmp_path / "seed")
        stack.callback(seed.stop)
        seed.seed(shared.torrent, shared.content.parent)
        leech = Once(hosts[2], tmp_path / "leech")
        stack.callback(leech.stop)
        leech.download(str(Magnet(InfoHash.parse(shared.info_hash), peers=(seed.endpoint,))), shared.target)
        leech.wait(ENOUGH)
    assert shared.differences(leech) == []
    assert used(leech.running) == {("magnet", ""): shared.content.stat().st_size}
