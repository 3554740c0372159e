"""Two peers over real sockets, in bulk and plain."""

import hashlib
import runpy
from pathlib import Path
from random import Random

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol

from bittwist.address import Address
from bittwist.errors import NetworkError, RemoteProtocolError
from bittwist.metainfo.geometry import BLOCK, Geometry
from bittwist.metainfo.infohash import InfoHash
from bittwist.net import Network, bulk
from bittwist.net.bulk import Bulk
from bittwist.peer.connector import Connector
from bittwist.peer.factory import PeerFactory
from bittwist.peer.listener import Listener
from bittwist.peer.plain import Plain
from bittwist.wire import messages as m
from bittwist.wire.handshake import Handshake, reserved
from tests.scale import SEED

TORRENT = InfoHash(v1=b"h" * 20)
PIECES = 24
GEOMETRY = Geometry(1 << 20, PIECES << 20)
CONTENT = memoryview(Random(SEED).randbytes(PIECES << 20))
EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "wire_peer.py"


class Seed:
    """Sends what is asked; never keeps much more than half a MiB unsent."""

    def __init__(self):
        self.asked = []
        self.most_unsent = 0
        self.peers = []
        self.reason = Deferred()

    def handshaken(self, peer, handshake):
        self.peers.append(peer)
        peer.know(GEOMETRY)
        peer.send(m.HaveAll(), m.Unchoke())

    def received(self, peer, message):
        if isinstance(message, m.Request):
            self.asked.append(message)

    def settled(self, peer):
        while self.asked and peer.unsent < 512 << 10:
            request = self.asked.pop(0)
            at = (request.index << 20) + request.begin
            peer.send_blocks([(request.index, request.begin, CONTENT[at : at + request.length])])
        self.most_unsent = max(self.most_unsent, peer.unsent)

    drained = settled

    def lost(self, peer, reason):
        self.reason.callback(reason)


class Leech:
    """Asks for everything, in shuffled order, and puts it together."""

    def __init__(self):
        wanted = [(index, begin) for index in range(PIECES) for begin in range(0, 1 << 20, BLOCK)]
        Random(SEED).shuffle(wanted)
        self.wanted = wanted
        self.left = len(wanted)
        self.content = bytearray(PIECES << 20)
        self.done = Deferred()
        self.reason = Deferred()

    def handshaken(self, peer, handshake):
        peer.know(GEOMETRY)
        peer.send(m.HaveNone(), m.Interested())

    def received(self, peer, message):
        match message:
            case m.Unchoke():
                self.ask(peer, 200)
            case m.Piece(index, begin, block):
                at = (index << 20) + begin
                self.content[at : at + len(block)] = block
                self.left -= 1
                self.ask(peer, 1)
                if not self.left:
                    self.done.callback(None)

    def ask(self, peer, count):
        now, self.wanted = self.wanted[:count], self.wanted[count:]
        peer.request([(index, begin, BLOCK) for index, begin in now])

    def lost(self, peer, reason):
        self.reason.callback(reason)


class Meeting:
    """A seed that listens on loopback and a leech that has dialed it."""

    def __init__(self):
        self.seed, self.leech = Seed(), Leech()
        network = Network(reactor)
        self.seeding = PeerFactory(reactor, b"s" * 20, {TORRENT: self.seed}.get)
        leeching = PeerFactory(reactor, b"l" * 20, {TORRENT: self.leech}.get)
        self.listener = Listener(network, self.seeding, "127.0.0.1", (0,))
        self.connector = Connector(reactor, network, leeching)

    async def __aenter__(self):
        self.address = await self.listener.start()
        return self

    async def __aexit__(self, *exception):
        self.connector.stop()
        await self.listener.stop()


def digest(content):
    return hashlib.sha1(content).hexdigest()


async def transfer(carrier):
    async with Meeting() as meeting:
        peer = await meeting.connector.dial(meeting.address, TORRENT)
        assert peer.address == meeting.address
        assert type(peer._carrier) is carrier
        assert type(meeting.seed.peers[0]._carrier) is carrier
        await meeting.leech.done
        assert digest(meeting.leech.content) == digest(CONTENT)
        assert meeting.seed.most_unsent < (512 << 10) + 2 * BLOCK
        assert meeting.seed.peers[0].sent_bytes == peer.received_bytes
        peer.close(NetworkError("seed", "enough"))
        assert isinstance(await meeting.leech.reason, NetworkError)
        await meeting.seed.reason


@pytest_twisted.ensureDeferred
async def test_a_torrent_crosses_in_bulk_with_messages_split_by_reads():
    await transfer(Bulk)


@pytest_twisted.ensureDeferred
async def test_a_torrent_crosses_over_plain_transports(monkeypatch):
    monkeypatch.setattr(bulk, "install", lambda *arguments, **options: None)
    await transfer(Plain)


@pytest_twisted.ensureDeferred
async def test_a_torrent_crosses_in_very_small_reads(monkeypatch):
    monkeypatch.setattr(bulk, "READ_SIZE", 4099)
    await transfer(Bulk)


@pytest.mark.parametrize("plain", [False, True])
@pytest_twisted.ensureDeferred
async def test_what_is_unsent_at_a_close_still_arrives(monkeypatch, plain):
    if plain:
        monkeypatch.setattr(bulk, "install", lambda *arguments, **options: None)
    async with Meeting() as meeting:
        peer = await meeting.connector.dial(meeting.address, TORRENT)
        meeting.leech.ask = lambda peer, count: None
        meeting.leech.left = count = 8 * 64
        peer.pause()
        seeding = meeting.seed.peers[0]
        blocks = [(at >> 20, at % (1 << 20)) for at in range(0, count * BLOCK, BLOCK)]
        seeding.send_blocks([(i, b, CONTENT[(i << 20) + b : (i << 20) + b + BLOCK]) for i, b in blocks])
        seeding.close(NetworkError("leech", "enough"))
        assert seeding.unsent > 0
        peer.resume()
        await meeting.leech.done
        assert meeting.leech.content[: 8 << 20] == CONTENT[: 8 << 20]
        assert isinstance(await meeting.seed.reason, NetworkError)
        await meeting.leech.reason


class Garbage(Protocol):
    """Shakes hands and then lies about a length."""

    def connectionMade(self):
        self.transport.write(Handshake(TORRENT.short, b"x" * 20, reserved()).encode() + b"\xff" * 8)


@pytest_twisted.ensureDeferred
async def test_a_peer_that_breaks_the_protocol_is_lost_with_the_reason():
    async with Meeting() as meeting:
        network = Network(reactor)
        await network.dial(meeting.address, Factory.forProtocol(Garbage))
        assert isinstance(await meeting.seed.reason, RemoteProtocolError)


@pytest_twisted.ensureDeferred
async def test_dialing_ourselves_or_nobody_fails():
    async with Meeting() as meeting:
        network = Network(reactor)
        ourselves = PeerFactory(reactor, b"s" * 20, lambda info_hash: Leech())
        with pytest.raises((RemoteProtocolError, NetworkError)):
            await Connector(reactor, network, ourselves).dial(meeting.address, TORRENT)
        with pytest.raises(NetworkError):
            await meeting.connector.dial(meeting.address, InfoHash(v1=b"?" * 20))
        await meeting.listener.stop()
        with pytest.raises(NetworkError):
            await meeting.connector.dial(Address("127.0.0.1", meeting.address.port), TORRENT)


@pytest_twisted.ensureDeferred
async def test_the_example_of_the_documentation_runs(capsys):
    await Deferred.fromCoroutine(runpy.run_path(str(EXAMPLE))["main"](reactor))
    assert "received: sixteen thousand bytes are a block" in capsys.readouterr().out
