"""Some files of a torrent by a magnet link that chooses them (BEP 53): no others are there afterwards."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from bittwist.metainfo.files import OURS, safe_paths
from bittwist.metainfo.infohash import InfoHash
from bittwist.metainfo.magnet import Magnet
from bittwist.metainfo.metainfo import Metainfo
from tests.interop.clients import Bittwist, Client, Libtorrent, Once
from tests.interop.content import differences, many_files
from tests.interop.hosts import Host
from tests.interop.shared import ENOUGH, Shared

CHOSEN = (range(2, 5), range(13, 14), range(80, 82), range(199, 200))  # 80 and 81 are empty, 199 is the last

pytestmark = pytest.mark.needs("nsenter", "unshare", "ip", "root")


@pytest.mark.parametrize(
    "seeding",
    [
        pytest.param(Bittwist, id="bittwist"),
        pytest.param(Libtorrent, id="libtorrent", marks=pytest.mark.needs(*Libtorrent.needs)),
    ],
)
def test_only_the_files_that_the_link_chooses_exist_afterwards(
    seeding: type[Client], hosts: list[Host], tmp_path: Path
) -> None:
    shared = Shared.make(tmp_path, many_files)
    paths = safe_paths(Metainfo.parse(shared.torrent.read_bytes()).info)
    with ExitStack() as stack:
        seed = seeding(hosts[1], tmp_path / "seed")
        stack.callback(seed.stop)
        seed.seed(shared.torrent, shared.content.parent)
        leech = Once(hosts[2], tmp_path / "leech")
        stack.callback(leech.stop)
        magnet = Magnet(InfoHash.parse(shared.info_hash), peers=(seed.endpoint,), select_only=CHOSEN)
        leech.download(str(magnet), shared.target)
        leech.wait(ENOUGH)
    chosen = {paths[index] for span in CHOSEN for index in span}
    missing = sorted(str(path.relative_to(shared.content.name)) for path in set(paths) - chosen)
    copy = shared.target / shared.content.name
    assert differences(shared.content, copy) == [f"missing: {name}" for name in missing]
    assert {path.name for path in shared.target.iterdir()} <= {copy.name, OURS}  # kept for the rest
