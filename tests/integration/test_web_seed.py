"""Whole downloads from web servers of our own on real sockets, good and bad (BEP 19, SECURITY.md T14)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor, ssl
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import deferLater

from bittwist.net.http import HttpClient
from bittwist.net.lane import RangeLane, Ways
from bittwist.net.policy import Network
from bittwist.net.ranges import Wanted
from bittwist.peer.webseed import WebSeedSettings
from bittwist.session import Session, SessionSettings, Torrent
from bittwist.session.webseeds import WebSeedState
from tests.integration.test_evil_http import certificate
from tests.net.fileserver import FileServer, Visitor
from tests.session.torrents import content, torrent

SIZE = 20_000_000
DATA = content(SIZE)
METAINFO = torrent(DATA, piece_length=262_144)
LIMIT = 60.0  # seconds; some two are enough
SETTINGS = SessionSettings(
    listen_host="127.0.0.1", ports=(0,), web_seeds=WebSeedSettings(retry_after=0.2, retry_at_most=1.0)
)

Script = Callable[[Visitor], None]


class Ground:
    """Servers and sessions on loopback, all ended with the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sessions: list[Session] = []
        self.ports: list[IListeningPort] = []

    def serve(
        self, script: Script = Visitor.give, tls: ssl.CertificateOptions | None = None
    ) -> tuple[FileServer, str]:
        server = FileServer({"/data.bin": DATA}, script)
        if tls is None:
            port = reactor.listenTCP(0, server, interface="127.0.0.1")
        else:
            port = reactor.listenSSL(0, server, tls, interface="127.0.0.1")
        self.ports.append(port)
        return server, f"http{'s' if tls else ''}://127.0.0.1:{port.getHost().port}/data.bin"

    async def fetch(self, *urls: str, peers: tuple[str, ...] = ()) -> Torrent:
        session = Session(reactor, SETTINGS)
        self.sessions.append(session)
        session.startService()
        await session.when_listening()
        source = replace(METAINFO, web_seeds=urls)
        found = await session.add(source, self.folder / f"leech-{len(self.sessions)}")
        session.add_peers(found, peers)
        return found

    async def seed(self) -> str:
        """A peer that has everything: its address."""
        folder = self.folder / "seed"
        folder.mkdir()
        (folder / "data.bin").write_bytes(DATA)
        session = Session(reactor, SETTINGS)
        self.sessions.append(session)
        session.startService()
        address = await session.when_listening()
        await (await session.add(METAINFO, folder, force=True)).when_complete()
        return str(address)

    async def end(self) -> None:
        for session in self.sessions:
            await session.stopService()
        for port in self.ports:
            await port.stopListening()


@pytest_twisted.async_yield_fixture
async def ground(tmp_path: Path) -> AsyncIterator[Ground]:
    made = Ground(tmp_path)
    yield made
    await made.end()


async def complete(fetching: Torrent) -> None:
    await fetching.when_complete().addTimeout(LIMIT, reactor)
    assert (fetching.save_path / "data.bin").read_bytes() == DATA


async def until(condition: Callable[[], bool]) -> None:
    deadline = reactor.seconds() + LIMIT
    while not condition():
        assert reactor.seconds() < deadline
        await deferLater(reactor, 0.02)


@pytest_twisted.ensureDeferred
async def test_ranges(ground: Ground) -> None:
    server, url = ground.serve()
    fetching = await ground.fetch(url)
    await complete(fetching)
    assert sum(last - first + 1 for _, (first, last) in server.asked) == SIZE
    assert len(server.visitors) == 3
    await until(lambda: all(visitor.closed for visitor in server.visitors))


@pytest_twisted.ensureDeferred
async def test_a_redirect(ground: Ground) -> None:
    server, url = ground.serve()
    first, before = ground.serve(lambda visitor: visitor.redirect(url))
    await complete(await ground.fetch(before))
    assert len(first.asked) <= 3 < len(server.asked)


@pytest_twisted.ensureDeferred
async def test_broken_off(ground: Ground) -> None:
    def script(visitor: Visitor) -> None:
        first, last = visitor.range
        body = DATA[first : last + 1]
        visitor.head(206, Content_Length=str(len(body)), Content_Range=f"bytes {first}-{last}/{SIZE}")
        visitor.transport.write(body[:1_000_000])
        visitor.transport.loseConnection()

    server, url = ground.serve(script)
    await complete(await ground.fetch(url))
    given = sum(min(last - first + 1, 1_000_000) for _, (first, last) in server.asked)
    assert given == SIZE, "not a byte twice"


@pytest_twisted.ensureDeferred
async def test_reset_now_and_then(ground: Ground) -> None:
    def script(visitor: Visitor) -> None:
        visitor.give()
        if len(visitor.server.asked) % 4 == 1:
            reactor.callLater(0.01, visitor.transport.abortConnection)

    _, url = ground.serve(script)
    await complete(await ground.fetch(url))


@pytest_twisted.ensureDeferred
async def test_one_that_is_slow_does_not_hold_up_a_good_one(ground: Ground) -> None:
    def drip(visitor: Visitor) -> None:
        if not visitor.closed:
            visitor.transport.write(bytes(10))
            reactor.callLater(0.1, drip, visitor)

    def script(visitor: Visitor) -> None:
        first, last = visitor.range
        visitor.head(206, Content_Range=f"bytes {first}-{last}/{SIZE}")
        drip(visitor)

    _, slow = ground.serve(script)
    fetching = await ground.fetch(slow)
    await deferLater(reactor, 0.2)
    _, good = ground.serve()
    fetching.add_web_seed(good)
    await complete(fetching)


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (lambda visitor: visitor.answer(DATA), "it does not give ranges"),
        (lambda visitor: visitor.answer(bytes(99)), f"the file there has 99 bytes, not {SIZE}"),
        (lambda visitor: visitor.answer(b"", 404), "HTTP status 404"),
        (
            lambda visitor: visitor.answer(bytes(9), 206, Content_Range=f"bytes 0-8/{SIZE}"),
            "it gives bytes 0-8, not those asked for",
        ),
    ],
    ids=["200 instead of 206", "wrong length", "404", "another range"],
)
@pytest_twisted.ensureDeferred
async def test_what_is_no_answer_is_refused_and_peers_complete(
    script: Script, error: str, ground: Ground
) -> None:
    server, url = ground.serve(script)
    fetching = await ground.fetch(url)
    await until(lambda: fetching.web_seeds()[0].state is WebSeedState.REFUSED)
    assert fetching.web_seeds()[0].error == f"data.bin: {error}"
    ground.sessions[0].add_peers(fetching, [await ground.seed()])
    await complete(fetching)
    assert len(server.asked) <= 3


@pytest_twisted.ensureDeferred
async def test_wrong_bytes_get_it_banned_and_peers_complete(ground: Ground) -> None:
    wrong = bytearray(DATA)
    for at in range(5_000_000, SIZE, SIZE // 8):
        wrong[at] ^= 0x55
    server, url = ground.serve()
    server.files = {"/data.bin": bytes(wrong)}
    fetching = await ground.fetch(url)
    await until(lambda: fetching.web_seeds()[0].state is WebSeedState.BANNED)
    assert fetching.tally.failed_pieces <= 6
    ground.sessions[0].add_peers(fetching, [await ground.seed()])
    await complete(fetching)


@pytest_twisted.ensureDeferred
async def test_a_server_that_comes_back(ground: Ground) -> None:
    _, url = ground.serve()
    port = ground.ports.pop()
    number = port.getHost().port
    await port.stopListening()
    fetching = await ground.fetch(url)
    await until(lambda: fetching.web_seeds()[0].state is WebSeedState.WAITING)
    assert fetching.web_seeds()[0].error == "connection refused"
    server = FileServer({"/data.bin": DATA})
    ground.ports.append(reactor.listenTCP(number, server, interface="127.0.0.1"))
    await complete(fetching)


@pytest_twisted.ensureDeferred
async def test_over_tls_a_connection_is_kept_held_and_cut(ground: Ground) -> None:
    options, authority = certificate("127.0.0.1")
    server, url = ground.serve(tls=options)
    heard: list[int] = []
    lane = RangeLane(HttpClient(reactor, Network(reactor), trust=[authority]), Ways(), heard.append)
    came: list[bytes] = []

    paused: list[bool] = []

    def take(part: bytes) -> None:
        came.append(part)
        if (
            not paused and sum(map(len, came)) > 4_000_000
        ):  # at once: the rest comes within a look at the clock
            paused.append(True)
            lane.pauseProducing()

    def fetch(first: int, length: int) -> Deferred[None]:
        return lane.fetch(Wanted(url, first, length, SIZE), take).addTimeout(LIMIT, reactor)

    await fetch(0, 3_000_000)
    fetching = fetch(3_000_000, SIZE - 3_000_000)
    await until(lambda: bool(paused))
    await deferLater(reactor, 0.1)
    held = sum(heard)
    await deferLater(reactor, 0.2)
    assert sum(heard) == held < SIZE
    lane.resumeProducing()
    await fetching
    assert b"".join(came) == DATA
    assert len(server.visitors) == 1
    assert sum(heard) > SIZE
    lane.close()
    await until(lambda: server.visitors[0].closed)
