"""What the tests of this room share: a user of the protocol, a remote end, a torrent."""

from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from bittwist.metainfo.geometry import Geometry
from bittwist.metainfo.infohash import InfoHash
from bittwist.peer.factory import PeerFactory
from bittwist.peer.settings import PeerSettings
from bittwist.wire import messages as m
from bittwist.wire.connection import WireConnection
from bittwist.wire.handshake import Handshake, reserved
from bittwist.wire.runs import Pieces, Requests

TORRENT = InfoHash(v1=b"h" * 20)
GEOMETRY = Geometry(32768, 10 * 32768)
OUR_ID = b"-bW0100-ourselves---"
THEIRS = Handshake(TORRENT.short, b"-XX0001-the-other---", reserved())


class Recorder:
    """Callbacks that write down what they are told, and answer as `replies` says."""

    def __init__(self, geometry=GEOMETRY):
        self.geometry = geometry
        self.handshakes = []
        self.messages = []
        self.reasons = []
        self.turns = 0
        self.drains = 0
        self.replies = {}  # type of message → what to do with (peer, message)

    def handshaken(self, peer, handshake):
        self.handshakes.append(handshake)
        if self.geometry is not None:
            peer.know(self.geometry)

    def received(self, peer, message):
        kept = (
            m.Piece(message.index, message.begin, bytes(message.block))
            if isinstance(message, m.Piece)
            else message
        )
        self.messages.append(kept)
        reply = self.replies.get(type(message))
        if reply is not None:
            reply(peer, message)

    def settled(self, peer):
        self.turns += 1

    def drained(self, peer):
        self.drains += 1

    def lost(self, peer, reason):
        self.reasons.append(reason)


class RunRecorder(Recorder):
    """The same, for callbacks that take messages in a row together; `runs` says how they came."""

    takes_runs = True

    def __init__(self, geometry=GEOMETRY):
        super().__init__(geometry)
        self.runs = []

    def received(self, peer, run):
        self.runs.append(type(run))
        for message in run.messages() if isinstance(run, (Pieces, Requests)) else [run]:
            super().received(peer, message)


class Wire(StringTransport):
    """A transport that is lost, one turn later, when it is closed; it says whether it was aborted."""

    aborted = False

    def __init__(self, clock, protocol):
        super().__init__()
        self.clock = clock
        self.protocol = protocol
        self.gone = False
        self.stuck = False  # the other end reads nothing: closing waits for it

    def loseConnection(self):
        if not self.disconnecting:
            super().loseConnection()
            if not self.stuck:
                self.clock.callLater(0, self.lose, ConnectionDone())

    def abortConnection(self):
        if not self.aborted:
            self.aborted = self.disconnecting = True
            self.clock.callLater(0, self.lose, ConnectionAborted())

    def lose(self, reason=None):
        if not self.gone:
            self.gone = True
            self.protocol.connectionLost(Failure(reason or ConnectionDone()))


class End:
    """One protocol of ours on a `Wire`, and what reads its bytes at the other end."""

    def __init__(self, *, outgoing=True, callbacks=None, clock=None, factory=None, **settings):
        self.clock = clock or Clock()
        self.callbacks = callbacks or Recorder()
        self.factory = factory or PeerFactory(
            self.clock,
            OUR_ID,
            {TORRENT: self.callbacks}.get,
            settings=PeerSettings(**settings),
        )
        maker = self.factory.outgoing(TORRENT) if outgoing else self.factory
        self.protocol = maker.buildProtocol(None)
        self.transport = Wire(self.clock, self.protocol)
        self.protocol.makeConnection(self.transport)
        self.remote = WireConnection() if outgoing else WireConnection(THEIRS)
        self.turn()

    def turn(self):
        self.clock.advance(0)

    def receive(self, *sent):
        """Bytes or messages of the other end arrive, as one."""
        self.protocol.dataReceived(b"".join(s if isinstance(s, bytes) else m.encode(s) for s in sent))

    def shake(self, theirs=THEIRS):
        self.receive(theirs.encode())
        self.turn()
        return self

    def sent(self):
        """What our end has sent since last asked, as the other end reads it."""
        self.turn()
        data = self.transport.value()
        self.transport.clear()
        facts = []
        for fact in self.remote.receive(data):
            facts.append(fact)
            if type(fact).__name__ == "Opened":
                self.remote.admit(THEIRS)
        return [m.Piece(f.index, f.begin, bytes(f.block)) if isinstance(f, m.Piece) else f for f in facts]

    def sent_messages(self):
        return [f for f in self.sent() if not isinstance(f, Handshake) and type(f).__name__ != "Opened"]

    @property
    def open(self):
        return not self.transport.gone
