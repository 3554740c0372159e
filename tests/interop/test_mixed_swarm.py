"""A mixed swarm: bittwist, libtorrent, transmission and aria2 get a torrent from one seed at once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.interop.clients import Aria2, BittwistTracker, Client, Libtorrent, Lonely, Source, Transmission
from tests.interop.content import many_files, single_file
from tests.interop.hosts import Host
from tests.interop.swarms import Swarm

LEECHES: tuple[type[Client], ...] = (Lonely, Lonely, Libtorrent, Transmission, Aria2)

pytestmark = [
    pytest.mark.needs("nsenter", "unshare", "ip", "root"),
    pytest.mark.needs(*Libtorrent.needs, *Transmission.needs, *Aria2.needs),
]


class Slow(Lonely):
    """A seed that would take some 20 s to give five copies by itself."""

    def command(self, role: str, torrent: Source, folder: Path) -> list[str | Path]:
        return [*super().command(role, torrent, folder), "--limit-up", "2MiB"]


@pytest.mark.parametrize(
    ("seeding", "content"),
    [pytest.param(Slow, many_files, id="bittwist"), pytest.param(Libtorrent, single_file, id="libtorrent")],
)
def test_five_leeches_of_four_kinds_complete_from_one_seed(
    seeding: type[Client], content: Callable[[Path], Path], hosts: list[Host], tmp_path: Path
) -> None:
    tracker = BittwistTracker(hosts[0], tmp_path / "tracker")
    with ExitStack() as stack:
        stack.callback(tracker.stop)
        tracker.start([])
        swarm = Swarm(stack, tmp_path, content, tracker.url)
        swarm.seed(seeding(hosts[1], tmp_path / "seed"), tracker.url)
        leeches = [
            kind(host, tmp_path / f"{number} {kind.name}")
            for number, (kind, host) in enumerate(zip(LEECHES, hosts[2:]))
        ]
        for leech in leeches:
            swarm.join(leech)
        differing = {leech.work.name: swarm.finished(leech) for leech in reversed(leeches)}
    assert differing == {leech.work.name: [] for leech in leeches}
    told = [event for leech in leeches[:2] for event in leech.running.events()]
    assert any(event.get("upload_rate") for event in told), "they only took"
