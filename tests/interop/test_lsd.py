"""Local discovery with libtorrent: each finds the other over a cable, without a tracker (BEP 14)."""

from pathlib import Path

import pytest

from tests.interop.clients import Bittwist, Client, Libtorrent
from tests.interop.content import differences, single_file
from tests.interop.hosts import namespace_pair
from tests.interop.shared import ENOUGH, Shared

pytestmark = pytest.mark.needs("libtorrent", "nsenter", "unshare", "ip", "root")


@pytest.mark.parametrize(
    ("seeds", "leeches"), [(Bittwist, Libtorrent), (Libtorrent, Bittwist)], ids=["to", "from"]
)
def test_bittwist_and_libtorrent_find_each_other(
    seeds: type[Client], leeches: type[Client], tmp_path: Path
) -> None:
    shared = Shared.make(tmp_path, single_file)
    with namespace_pair(1, 1) as ([one], [other]):
        seed, leech = seeds(one, tmp_path / "seed"), leeches(other, tmp_path / "leech")
        for client in (seed, leech):
            if isinstance(client, Libtorrent):
                client.looks_around = True
        try:
            seed.seed(shared.torrent, shared.content.parent)
            leech.download(shared.torrent, shared.target)
            leech.wait(ENOUGH)
        finally:
            leech.stop()
            seed.stop()
    assert differences(shared.content, shared.target / shared.content.name) == []
