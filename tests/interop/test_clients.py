"""The drivers by themselves: real clients trade through opentracker, without any code of ours."""

from pathlib import Path

import pytest

from tests.interop.clients import Aria2, Client, Libtorrent, Opentracker, Rtorrent, Transmission
from tests.interop.content import differences, make_torrent, single_file
from tests.interop.hosts import Host

RING = (Libtorrent, Aria2, Rtorrent, Transmission)  # each seeds to the next, and the last to the first
NEEDS = pytest.mark.needs("opentracker", "mktorrent", "nsenter", "unshare", "ip", "root", "libtorrent")


@NEEDS
@pytest.mark.parametrize(
    ("seeding", "leeching"),
    [
        pytest.param(
            one, other, id=f"{one.name}-{other.name}", marks=pytest.mark.needs(*one.needs, *other.needs)
        )
        for one, other in zip(RING, RING[1:] + RING[:1])
    ],
)
def test_a_driven_client_gets_from_another_what_that_seeds(
    seeding: type[Client], leeching: type[Client], hosts: list[Host], tmp_path: Path
) -> None:
    import libtorrent  # the partner may be missing when this module is collected

    source, target, torrent = tmp_path / "source", tmp_path / "target", tmp_path / "a.torrent"
    source.mkdir()
    target.mkdir()
    content = single_file(source, (1 << 20) + 5)
    tracker = Opentracker(hosts[0], tmp_path / "tracker")
    make_torrent(content, torrent, [tracker.url])
    seed, leech = seeding(hosts[1], tmp_path / "seed"), leeching(hosts[2], tmp_path / "leech")
    try:
        tracker.start([str(libtorrent.torrent_info(str(torrent)).info_hash())])
        seed.seed(torrent, source)
        leech.download(torrent, target)
        leech.wait(60)
        assert differences(content, target / content.name) == []
    finally:
        leech.stop()
        seed.stop()
        tracker.stop()
