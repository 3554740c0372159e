"""Downloads from Debian's nginx alone, without a peer: ranges, redirects, limits, restarts (BEP 19)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from bittwist.metainfo.metainfo import Metainfo
from tests.interop.clients import COMMAND
from tests.interop.content import differences, many_files, single_file
from tests.interop.hosts import Host, Program
from tests.interop.nginx import Nginx
from tests.interop.shared import ENOUGH, bittwist

pytestmark = pytest.mark.needs("nginx", "nsenter", "unshare", "ip", "root")


class Fetch:
    """A torrent of `content` with one web seed, and the download of it."""

    def __init__(self, stack: ExitStack, hosts: list[Host], work: Path) -> None:
        self._stack = stack
        self.hosts = hosts
        self.work = work
        self.source, self.target = work / "source", work / "target"
        self.source.mkdir()
        self.target.mkdir()

    def serve(self, own: str = "") -> Nginx:
        nginx = Nginx(self.hosts[0], self.work / "nginx", self.source, own)
        self._stack.callback(nginx.stop)
        nginx.start()
        return nginx

    def download(self, content: Path, url: str, *words: str) -> Program:
        torrent = self.work / "shared.torrent"
        bittwist("create", content, "-o", torrent, "--piece-length", "65536", "--web-seed", url)
        command: list[str | Path] = [*COMMAND, "download", torrent, "-o", self.target, *words]
        running = Program(command, self.hosts[1], self.work / "download.log")
        self._stack.callback(running.stop)
        return running


@pytest.fixture
def fetch(hosts: list[Host], tmp_path: Path) -> Iterator[Fetch]:
    with ExitStack() as stack:
        yield Fetch(stack, hosts, tmp_path)


@pytest.mark.parametrize("port", [Nginx.port, Nginx.redirecting], ids=["direct", "redirected"])
@pytest.mark.parametrize("kind", [single_file, many_files])
def test_a_download_completes_from_nginx_alone(kind: type, port: int, fetch: Fetch) -> None:
    content = kind(fetch.source)
    nginx = fetch.serve()
    running = fetch.download(content, nginx.url(port), "--json")
    assert running.wait(ENOUGH) == 0, running.output
    assert differences(content, fetch.target / content.name) == []
    asked = [each for each in nginx.asked() if each.port == Nginx.port]
    assert {each.status for each in asked} == {206}
    assert len({each.connection for each in asked}) <= 3
    size = sum(path.stat().st_size for path in (content, *content.rglob("*")) if path.is_file())
    assert sum(each.sent for each in asked) == size, "not a byte twice"
    assert all(each.agent.startswith("bittwist/") for each in asked)
    redirected = [each for each in nginx.asked() if each.port == Nginx.redirecting]
    assert bool(redirected) is (port == Nginx.redirecting)
    if kind is single_file:
        assert len(asked) < 12
        assert len(redirected) <= 3, "the way is remembered"


def test_the_file_itself_may_be_named(fetch: Fetch) -> None:
    content = single_file(fetch.source)
    content = content.rename(content.with_name("plain.bin"))
    nginx = fetch.serve()
    running = fetch.download(content, nginx.url(Nginx.port) + "plain.bin")
    assert running.wait(ENOUGH) == 0, running.output
    assert "No peers" not in running.output
    assert differences(content, fetch.target / content.name) == []


def test_a_server_that_lets_in_one_connection_at_a_time_is_enough(fetch: Fetch) -> None:
    content = single_file(fetch.source)
    nginx = fetch.serve("limit_conn each 1; limit_rate 8m;")
    running = fetch.download(content, nginx.url(Nginx.port))
    assert running.wait(ENOUGH) == 0, running.output
    assert differences(content, fetch.target / content.name) == []
    assert sum(each.status == 503 for each in nginx.asked()) <= 4


def test_a_restart_of_the_server_is_ridden_out_and_nothing_is_fetched_twice(fetch: Fetch) -> None:
    content = single_file(fetch.source, 24 << 20)
    nginx = fetch.serve("limit_rate 2m;")
    running = fetch.download(content, nginx.url(Nginx.port), "--json")
    running.until(lambda: any(each.get("done") for each in running.events()), ENOUGH, "some pieces")
    nginx.stop()
    time.sleep(1.0)
    nginx.start()
    assert running.wait(ENOUGH) == 0, running.output
    assert differences(content, fetch.target / content.name) == []
    given = sum(each.sent for each in nginx.asked())
    assert given < content.stat().st_size + (12 << 20), "what was under way, and no more"


def test_a_magnet_link_gets_its_data_from_nginx_once_a_peer_gave_the_metadata(fetch: Fetch) -> None:
    content = single_file(fetch.source)
    nginx = fetch.serve()
    torrent = fetch.work / "shared.torrent"
    bittwist("create", content, "-o", torrent)
    found = Metainfo.parse(torrent.read_bytes()).info.info_hash
    host = fetch.hosts[2]
    seed = Program(
        [*COMMAND, "seed", torrent, content, "--bind", host.address, "--port", "6881", "--json"],
        host, fetch.work / "seed.log",
    )  # fmt: skip
    try:
        seed.until_event("complete", ENOUGH)
        link = f"magnet:?xt=urn:btih:{found}&x.pe={host.address}:6881&ws={nginx.url(Nginx.port)}"
        words: Sequence[str | Path] = [*COMMAND, "download", link, "-o", fetch.target]
        running = Program(words, fetch.hosts[1], fetch.work / "download.log")
        try:
            assert running.wait(ENOUGH) == 0, running.output
        finally:
            running.stop()
    finally:
        seed.stop()
    assert differences(content, fetch.target / content.name) == []
    assert any(each.status == 206 for each in nginx.asked())
