"""Dialing through a network that is a list of Deferreds."""

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bittwist.address import Address
from bittwist.errors import NetworkError, RemoteProtocolError
from bittwist.peer.connector import Connector
from bittwist.peer.factory import PeerFactory
from bittwist.wire.handshake import Handshake

from .doubles import OUR_ID, THEIRS, TORRENT, Recorder, Wire

THERE = Address("10.0.0.1", 6881)


class Dials:
    """A network that waits for the test to say how each dial ends."""

    def __init__(self, clock):
        self.clock = clock
        self.under_way = []
        self.cancelled = 0

    def dial(self, address, factory, *, timeout):
        deferred = Deferred(self._cancel)
        self.under_way.append((deferred, factory))
        return deferred

    def _cancel(self, deferred):
        self.cancelled += 1

    def connect(self, at=0):
        deferred, factory = self.under_way.pop(at)
        protocol = factory.buildProtocol(None)
        transport = Wire(self.clock, protocol)
        protocol.makeConnection(transport)
        deferred.callback(protocol)
        return protocol, transport


class ConnectorTests(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.network = Dials(self.clock)
        self.callbacks = Recorder()
        self.factory = PeerFactory(self.clock, OUR_ID, {TORRENT: self.callbacks}.get)
        self.connector = Connector(self.clock, self.network, self.factory, half_open_limit=2)

    def dial(self):
        return self.connector.dial(THERE, TORRENT)

    def test_a_dial_fires_when_they_have_shaken_hands(self):
        dial = self.dial()
        protocol, _ = self.network.connect()
        self.assertNoResult(dial)
        protocol.dataReceived(THEIRS.encode())
        self.assertIs(self.successResultOf(dial), protocol)

    def test_a_dial_that_is_refused_fails_as_the_network_says(self):
        dial = self.dial()
        self.network.under_way[0][0].errback(NetworkError("there", "refused"))
        self.assertEqual(self.failureResultOf(dial, NetworkError).value.reason, "refused")

    def test_a_broken_handshake_fails_with_its_reason(self):
        dial = self.dial()
        protocol, _ = self.network.connect()
        protocol.dataReceived(Handshake(b"x" * 20, b"y" * 20).encode())
        self.clock.advance(0)
        self.failureResultOf(dial, RemoteProtocolError)

    def test_a_connection_closed_before_its_handshake_is_a_network_error(self):
        dial = self.dial()
        _, transport = self.network.connect()
        transport.lose()
        reason = self.failureResultOf(dial, NetworkError).value.reason
        self.assertRegex(reason, "^closed before its handshake: connection (closed|lost)$")

    def test_beyond_the_limit_dials_wait_for_their_turn(self):
        dials = [self.dial() for _ in range(3)]
        self.assertEqual(len(self.network.under_way), 2)
        protocol, _ = self.network.connect()
        self.assertEqual(len(self.network.under_way), 1)
        protocol.dataReceived(THEIRS.encode())
        self.assertEqual(len(self.network.under_way), 2)
        self.successResultOf(dials[0])
        self.connector.stop()
        for dial in dials[1:]:
            self.failureResultOf(dial, CancelledError)

    def test_a_waiting_dial_can_be_cancelled(self):
        dials = [self.dial() for _ in range(3)]
        dials[2].cancel()
        self.failureResultOf(dials[2], CancelledError)
        dials[0].cancel()
        self.failureResultOf(dials[0], CancelledError)
        self.assertEqual((len(self.network.under_way), self.network.cancelled), (2, 1))
        dials[1].cancel()
        self.failureResultOf(dials[1], CancelledError)

    def test_a_dial_cancelled_in_its_handshake_gives_the_connection_up(self):
        dial = self.dial()
        _, transport = self.network.connect()
        dial.cancel()
        self.failureResultOf(dial, CancelledError)
        self.clock.advance(0)
        self.assertTrue(transport.gone)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_after_stop_nothing_is_dialed(self):
        self.connector.stop()
        self.failureResultOf(self.dial(), NetworkError)
        self.assertEqual(self.network.under_way, [])

    def test_a_cancelled_dial_leaves_its_place_to_others(self):
        for _ in range(5):
            dial = self.dial()
            dial.cancel()
            self.failureResultOf(dial, CancelledError)
        self.assertEqual(self.network.cancelled, 5)
