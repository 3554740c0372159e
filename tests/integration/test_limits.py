"""Rate limits on real sockets: ten peers, up and down."""

import time
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.internet.task import deferLater

from bittwist.session import Session, SessionSettings
from bittwist.session.lifecycle import State
from bittwist.session.limits import LimitSettings, PeerClass
from bittwist.storage.memory import MemoryStorage
from bittwist.swarm.choker import ChokerSettings
from tests.scale import SOAK, runs
from tests.session.swarm import fill
from tests.session.torrents import content, torrent

PEERS = 10
SECONDS = runs(5, 10)
LIMITS = (300_000, 1_000_000, 3_000_000) if SOAK else (1_000_000,)
DATA = content(48 << 20)
METAINFO = torrent(DATA, piece_length=1 << 18, private=1)  # private: they know whom they are told of
SETTLED = 2.0  # seconds until all are connected and unchoked


class Side:
    """One session with the torrent, on loopback."""

    def __init__(self, complete, **limits):
        def storage(_path, info):
            made = MemoryStorage(info)
            if complete:
                fill(made, info, DATA)
            return made

        self.session = Session(
            reactor,
            SessionSettings(
                listen_host="127.0.0.1",
                ports=(0,),
                choker=ChokerSettings(upload_slots=PEERS),
                limits=LimitSettings(**limits),
            ),
            storage=storage,
        )

    async def start(self, peers=()):
        self.session.startService()
        self.address = await self.session.when_listening()
        self.torrent = await self.session.add(METAINFO, "/nowhere")
        self.session.add_peers(self.torrent, [str(peer) for peer in peers])

    def moved(self):
        """Bytes over each connection, both ways: (down, up)."""
        talks = sorted(self.torrent._peers, key=lambda talk: talk.key)
        return [(talk.peer.received_bytes, talk.peer.sent_bytes) for talk in talks]


@asynccontextmanager
async def one_and_ten(*, gives, **limits):
    """A limited session that gives to ten leeches, or takes from ten seeds."""
    one, ten = Side(gives, **limits), [Side(not gives) for _ in range(PEERS)]
    try:
        await one.start()
        while one.torrent.state not in (State.DOWNLOADING, State.SEEDING):
            await deferLater(reactor, 0.05)
        for other in ten:
            await other.start([one.address])
        while len(one.torrent) < PEERS:
            await deferLater(reactor, 0.05)
        await deferLater(reactor, SETTLED)
        yield one
    finally:
        await gatherResults([side.session.stopService() for side in (one, *ten)])


async def rates(side, way, seconds=SECONDS):
    """Bytes a second of each connection, `way` 0 for down and 1 for up."""
    began, before = time.monotonic(), side.moved()
    await deferLater(reactor, seconds)
    passed, after = time.monotonic() - began, side.moved()
    assert len(before) == len(after) == PEERS
    return [(then[way] - first[way]) / passed for first, then in zip(before, after, strict=True)]


def show_fair(each, limit):
    assert abs(sum(each) / limit - 1) <= 0.05, (sum(each), limit)
    fair = sum(each) / len(each)
    assert max(abs(rate / fair - 1) for rate in each) <= 0.10, [round(rate) for rate in each]


@pytest.mark.parametrize("limit", LIMITS)
@pytest_twisted.ensureDeferred
async def test_an_upload_limit_holds_and_ten_peers_get_the_same(limit):
    async with one_and_ten(gives=True, upload_rate=limit) as side:
        show_fair(await rates(side, 1), limit)


@pytest.mark.parametrize("limit", LIMITS)
@pytest_twisted.ensureDeferred
async def test_a_download_limit_holds_and_ten_peers_give_the_same(limit):
    async with one_and_ten(gives=False, download_rate=limit) as side:
        show_fair(await rates(side, 0), limit)


@pytest_twisted.ensureDeferred
async def test_limits_change_while_running_and_the_tightest_counts():
    async with one_and_ten(gives=True, upload_rate=2_000_000) as side:
        session, torrent = side.session, side.torrent
        torrent.set_limits(None, 400_000)
        await deferLater(reactor, 1)
        show_fair(await rates(side, 1, 3), 400_000)
        torrent.set_limits(None, None)
        limits = LimitSettings(classes=(PeerClass("here", ("127.0.0.0/8",), upload_rate=1_000_000),))
        session.apply(replace(session.settings, limits=limits))
        await deferLater(reactor, 1)
        show_fair(await rates(side, 1, 3), 1_000_000)
