"""Superseeding to real clients: each piece is given about once until the first has them all (BEP 16)."""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import pytest

from tests.interop.clients import Libtorrent, Source, Talking
from tests.interop.content import single_file
from tests.interop.hosts import Host
from tests.interop.shared import ENOUGH, Shared

COPIES = 1.2  # given before the first leech is complete


class Superseeder(Talking):
    """Our session, superseeding, as a program of its own."""

    name = "bittwist, superseeding"
    needs = ()

    def command(self, role: str, torrent: Source, folder: Path) -> list[str | Path]:
        return [sys.executable, Path(__file__).with_name("superseeder.py"), torrent, folder]


@pytest.mark.needs(*Libtorrent.needs, "nsenter", "unshare", "ip", "root")
def test_five_leeches_are_given_little_more_than_one_copy_before_the_first_is_complete(
    hosts: list[Host], tmp_path: Path
) -> None:
    shared = Shared.make(tmp_path, single_file)
    size = shared.content.stat().st_size
    with ExitStack() as stack:
        seed = Superseeder(hosts[0], tmp_path / "seed")
        stack.callback(seed.stop)
        seed.seed(shared.torrent, shared.content.parent)
        leeches: list[Libtorrent] = []
        for number, host in enumerate(hosts[1:6]):
            leech = Libtorrent(host, tmp_path / f"leech{number}")
            stack.callback(leech.stop)
            target = tmp_path / f"target{number}"
            target.mkdir()
            leech.download(shared.torrent, target, [seed.endpoint, *(other.endpoint for other in leeches)])
            leeches.append(leech)
        given = cast(int, seed.running.until_event("spread", ENOUGH)["uploaded"])
        for leech in leeches:
            leech.wait(ENOUGH)
    assert given <= COPIES * size, given / size
    original = shared.content.read_bytes()
    for number in range(5):
        assert (tmp_path / f"target{number}" / shared.content.name).read_bytes() == original
