"""Two peers in one program: one has a piece, the other dials it and asks for it.

The peer wire protocol by itself, without a session: run it with `python wire_peer.py`.
"""

from twisted.internet import defer, endpoints, error, task

from bittwist.metainfo.infohash import InfoHash
from bittwist.peer import PeerFactory
from bittwist.wire.messages import HaveAll, Interested, Piece, Request, Unchoke

TORRENT = InfoHash.parse("4a" * 20)
PIECE = b"sixteen thousand bytes are a block; these are fewer"


class MyPeer:
    """Sends the piece to whoever asks, and asks whoever unchokes it."""

    def __init__(self):
        self.done = defer.Deferred()

    def handshaken(self, peer, handshake):
        print("shook hands with", peer.address)
        peer.send(*([Interested()] if peer.outgoing else [HaveAll(), Unchoke()]))

    def received(self, peer, message):
        match message:
            case Unchoke():
                peer.send(Request(0, 0, len(PIECE)))
            case Request(index, begin, length):
                peer.send(Piece(index, begin, PIECE[begin : begin + length]))
            case Piece(_, _, block):
                print("received:", bytes(block).decode())
                peer.close(error.ConnectionDone())

    def lost(self, peer, reason):
        self.done.callback(reason)


async def main(reactor):
    one, other = MyPeer(), MyPeer()
    seed = PeerFactory(reactor, b"-XX0001-aaaaaaaaaaaa", {TORRENT: one}.get)
    leech = PeerFactory(reactor, b"-XX0001-bbbbbbbbbbbb", {TORRENT: other}.get)
    port = await endpoints.serverFromString(reactor, "tcp:0:interface=127.0.0.1").listen(seed)
    there = endpoints.clientFromString(reactor, f"tcp:127.0.0.1:{port.getHost().port}")
    await there.connect(leech.outgoing(TORRENT))
    await one.done
    await other.done
    await port.stopListening()


if __name__ == "__main__":
    task.react(lambda reactor: defer.ensureDeferred(main(reactor)))
