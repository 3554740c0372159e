"""Plain Twisted protocols over the simulated network."""

from __future__ import annotations

from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.error import (
    CannotListenError,
    ConnectBindError,
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
    DNSLookupError,
    NoRouteError,
    TimeoutError,
    UserError,
)
from twisted.internet.interfaces import IHalfCloseableProtocol, IReactorTCP, IReactorTime, ITCPTransport
from twisted.internet.protocol import ClientFactory, Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from bittwist.testing import Link, NotQuiet, SimulatedNetwork, Stalled


class Recorder(Protocol):
    """Keeps what it is told."""

    def __init__(self):
        self.received = b""
        self.chunks = []
        self.made_at = None
        self.lost = None

    def connectionMade(self):
        self.made_at = self.factory.seconds()

    def dataReceived(self, data):
        self.received += data
        self.chunks.append((self.factory.seconds(), len(data)))

    def connectionLost(self, reason):
        assert self.lost is None
        self.lost = reason


@implementer(IHalfCloseableProtocol)
class HalfRecorder(Recorder):
    read_lost = write_lost = 0

    def readConnectionLost(self):
        self.read_lost += 1

    def writeConnectionLost(self):
        self.write_lost += 1


class Recorders(Factory):
    noisy = False

    def __init__(self, seconds, protocol=Recorder):
        self.seconds = seconds
        self.protocol = protocol
        self.built = []
        self.stopped = 0

    def buildProtocol(self, addr):
        protocol = super().buildProtocol(addr)
        protocol.addr = addr
        self.built.append(protocol)
        return protocol

    def stopFactory(self):
        self.stopped += 1


class SimulationTestCase(SynchronousTestCase):
    """Two hosts, one of them listening."""

    def setUp(self):
        self.build(SimulatedNetwork(seed=1))

    def build(self, network):
        self.network = network
        self.here = network.host("10.0.0.1")
        self.there = network.host("10.0.0.2", "2001:db8::2")

    def connect(self, port=6881, here=Recorder, there=Recorder, **kwargs):
        servers = Recorders(self.network.seconds, there)
        self.port = self.there.listenTCP(port, servers)
        endpoint = TCP4ClientEndpoint(self.here, "10.0.0.2", port, **kwargs)
        client = self.network.result_of(endpoint.connect(Recorders(self.network.seconds, here)))
        self.network.run_until(lambda: servers.built)
        return client, servers.built[0]

    def finish(self):
        """The listening port closes; nothing may be left."""
        self.port.stopListening()
        self.network.run_until_quiet()
        self.network.assert_quiet()


class ConnectingTests(SimulationTestCase):
    def test_a_host_is_a_reactor(self):
        verifyObject(IReactorTCP, self.here)
        verifyObject(IReactorTime, self.here)

    def test_a_transport_is_a_tcp_transport(self):
        client, _server = self.connect()
        verifyObject(ITCPTransport, client.transport)
        client.transport.loseConnection()
        self.finish()

    def test_bytes_go_both_ways_and_take_the_latency(self):
        client, server = self.connect()
        self.assertAlmostEqual(client.made_at, 0.02)
        self.assertAlmostEqual(server.made_at, 0.03)
        started = self.network.seconds()
        client.transport.write(b"hello ")
        client.transport.writeSequence([b"wor", b"ld"])
        self.network.run_until(lambda: server.received)
        self.assertEqual(server.received, b"hello world")
        self.assertAlmostEqual(self.network.seconds() - started, 0.01)
        server.transport.write(b"and back")
        self.network.run_until(lambda: client.received)
        client.transport.loseConnection()
        self.network.run_until(lambda: server.lost)
        self.assertTrue(client.lost.check(ConnectionDone))
        self.assertTrue(server.lost.check(ConnectionDone))
        self.finish()

    def test_both_ends_know_the_addresses(self):
        client, server = self.connect(bindAddress=("10.0.0.1", 50000))
        self.assertEqual(client.transport.getPeer(), server.transport.getHost())
        self.assertEqual(client.transport.getHost(), server.transport.getPeer())
        self.assertEqual((server.addr.host, server.addr.port), ("10.0.0.1", 50000))
        client.transport.abortConnection()
        self.finish()

    def test_ipv6_and_mapped_addresses(self):
        network, here = self.network, self.network.host("10.0.0.9", "2001:db8::9")
        servers = Recorders(network.seconds)
        port = self.there.listenTCP(6881, servers, interface="::")
        for target in ("2001:db8::2", "10.0.0.2"):
            network.result_of(
                HostnameEndpoint(here, target, 6881).connect(Recorders(network.seconds))
            ).transport.loseConnection()
        network.run_until(lambda: len(servers.built) == 2)
        self.assertEqual([p.addr.host for p in servers.built], ["2001:db8::9", "::ffff:10.0.0.9"])
        port.stopListening()
        network.run_until_quiet()
        network.assert_quiet()

    def test_a_host_reaches_itself_by_loopback(self):
        servers = Recorders(self.network.seconds)
        port = self.there.listenTCP(0, servers, interface="127.0.0.1")
        client = self.network.result_of(
            HostnameEndpoint(self.there, "localhost", port.getHost().port).connect(
                Recorders(self.network.seconds)
            )
        )
        self.assertEqual(client.transport.getHost().host, "127.0.0.1")
        refused = TCP4ClientEndpoint(self.here, "127.0.0.1", port.getHost().port).connect(Factory())
        self.assertRaises(ConnectionRefusedError, self.network.result_of, refused)
        client.transport.loseConnection()
        port.stopListening()
        self.network.run_until_quiet()
        self.network.assert_quiet()

    def test_dialing_fails_as_it_would(self):
        self.there.listenTCP(1, Recorders(self.network.seconds)).stopListening()
        firewalled = self.network.host("10.0.0.3")
        firewalled.firewalled = True
        cases = [
            ("10.0.0.2", 9, None, ConnectionRefusedError, 0.02),
            ("10.9.9.9", 9, None, NoRouteError, 0.01),
            ("10.0.0.3", 9, None, TimeoutError, 5.0),
            ("10.0.0.2", 1, ("10.0.0.77", 0), ConnectBindError, 0.0),
            ("2001:db8::2", 1, None, ConnectBindError, 0.0),
            ("nowhere.example", 1, None, DNSLookupError, 0.0),
        ]
        for host, port, bind, error, after in cases:
            with self.subTest(host=host, error=error):
                started = self.network.seconds()
                endpoint = TCP4ClientEndpoint(self.here, host, port, timeout=5, bindAddress=bind)
                self.assertRaises(error, self.network.result_of, endpoint.connect(Factory()))
                self.assertAlmostEqual(self.network.seconds() - started, after)
        self.network.assert_quiet()

    def test_cancelling_a_dial_leaves_nothing(self):
        servers = Recorders(self.network.seconds)
        self.port = self.there.listenTCP(6881, servers)
        for cancel_after in (0.0, 0.005, 0.015):
            dialing = TCP4ClientEndpoint(self.here, "10.0.0.2", 6881).connect(Recorders(self.network.seconds))
            self.network.advance(cancel_after)
            dialing.cancel()
            self.failureResultOf(dialing)
        self.network.run_until_quiet()
        self.assertEqual(servers.built, [])
        self.finish()

    def test_a_client_factory_is_told_everything_in_order(self):
        told = []

        class Client(ClientFactory):
            noisy = False

            def doStart(self):
                told.append("start")

            def doStop(self):
                told.append("stop")

            def startedConnecting(self, connector):
                told.append("connecting")

            def buildProtocol(self, addr):
                told.append("build")
                return Protocol()

            def clientConnectionFailed(self, connector, reason):
                told.append(reason.type)

            def clientConnectionLost(self, connector, reason):
                told.append(reason.type)

        port = self.there.listenTCP(6881, Recorders(self.network.seconds))
        connector = self.here.connectTCP("10.0.0.2", 6881, Client())
        self.network.run_until(lambda: connector.state == "connected")
        connector.disconnect()
        self.network.run_until(lambda: connector.state == "disconnected")
        self.assertEqual(told, ["start", "connecting", "build", ConnectionDone, "stop"])
        told.clear()
        port.stopListening()
        connector.connect()
        connector.stopConnecting()
        self.assertEqual(told, ["start", "connecting", UserError, "stop"])
        self.network.run_until_quiet()
        self.network.assert_quiet()

    def test_a_refusing_factory_closes_the_connection(self):
        class Refusing(Factory):
            def buildProtocol(self, addr):
                return None

        self.port = self.there.listenTCP(6881, Refusing())
        client = self.network.result_of(
            TCP4ClientEndpoint(self.here, "10.0.0.2", 6881).connect(Recorders(self.network.seconds))
        )
        self.network.run_until(lambda: client.lost)
        self.assertTrue(client.lost.check(ConnectionDone))
        self.finish()


class PortTests(SimulationTestCase):
    def test_ports_clash_as_on_linux(self):
        cases = [
            ("", "", True),
            ("", "10.0.0.2", True),
            ("10.0.0.2", "127.0.0.1", False),
            ("10.0.0.2", "2001:db8::2", False),
            ("::", "", True),
            ("127.0.0.1", "127.0.0.2", False),
        ]
        for first, second, clash in cases:
            with self.subTest(first=first, second=second):
                factory = Recorders(self.network.seconds)
                ports = [self.there.listenTCP(80, factory, interface=first)]
                if clash:
                    self.assertRaises(CannotListenError, self.there.listenTCP, 80, factory, interface=second)
                else:
                    ports.append(self.there.listenTCP(80, factory, interface=second))
                for port in ports:
                    port.stopListening()
                self.network.run_until_quiet()
        self.network.assert_quiet()

    def test_an_address_of_another_host_cannot_be_listened_on(self):
        self.assertRaises(CannotListenError, self.there.listenTCP, 80, Factory(), interface="10.0.0.1")

    def test_port_zero_is_any_free_port(self):
        factory = Recorders(self.network.seconds)
        ports = [self.there.listenTCP(0, factory) for _ in range(3)]
        self.assertEqual(len({port.getHost().port for port in ports}), 3)

    def test_a_server_endpoint_listens_and_stops(self):
        factory = Recorders(self.network.seconds)
        port = self.successResultOf(TCP4ServerEndpoint(self.there, 6881).listen(factory))
        self.assertEqual(port.getHost().port, 6881)
        self.network.result_of(port.stopListening())
        self.assertEqual(factory.stopped, 1)
        self.network.assert_quiet()


class ClosingTests(SimulationTestCase):
    def test_lose_connection_sends_everything_first(self):
        client, server = self.connect()
        sent = bytes(3 << 20)
        client.transport.write(sent)
        client.transport.loseConnection()
        self.assertTrue(client.transport.disconnecting)
        self.network.run_until(lambda: server.lost)
        self.assertEqual(len(server.received), len(sent))
        self.assertTrue(server.lost.check(ConnectionDone))
        self.assertTrue(client.lost.check(ConnectionDone))
        self.finish()

    def test_abort_sends_nothing_more(self):
        client, server = self.connect()
        client.transport.write(bytes(3 << 20))
        client.transport.abortConnection()
        self.assertIsNone(client.lost)
        self.network.run_until(lambda: server.lost)
        self.assertEqual(server.received, b"")
        self.assertTrue(client.lost.check(ConnectionAborted))
        self.assertTrue(server.lost.check(ConnectionLost))
        self.finish()

    def test_writing_to_a_closed_end_is_reset(self):
        client, server = self.connect()
        server.transport.loseConnection()
        client.transport.write(b"too late")
        self.network.run_until(lambda: client.lost and server.lost)
        self.assertEqual(server.received, b"")
        self.finish()

    def test_nothing_arrives_after_lose_connection(self):
        client, server = self.connect()
        client.transport.write(b"on its way")
        self.network.advance(0.005)
        server.transport.write(bytes(2 << 20))
        server.transport.loseConnection()
        client.transport.pauseProducing()
        self.network.advance(1)
        self.assertEqual(server.received, b"")
        client.transport.abortConnection()
        self.finish()

    def test_half_close_lets_the_other_direction_go_on(self):
        client, server = self.connect(there=HalfRecorder)
        client.transport.write(b"question")
        client.transport.loseWriteConnection()
        client.transport.write(b"?")
        self.network.run_until(lambda: server.read_lost)
        client.transport.write(b"ignored")
        self.assertEqual(server.received, b"question?")
        server.transport.write(b"answer")
        server.transport.loseConnection()
        self.network.run_until(lambda: client.lost)
        self.assertEqual(client.received, b"answer")
        self.assertEqual((server.read_lost, server.write_lost), (1, 0))
        self.finish()

    def test_both_halves_closed_one_after_the_other(self):
        client, server = self.connect(here=HalfRecorder, there=HalfRecorder)
        client.transport.loseWriteConnection()
        self.network.run_until(lambda: server.read_lost)
        self.assertEqual(client.write_lost, 1)
        server.transport.loseWriteConnection()
        self.network.run_until(lambda: client.read_lost)
        self.assertIsNone(client.lost)
        client.transport.loseConnection()
        server.transport.loseConnection()
        self.assertTrue(client.lost.check(ConnectionDone))
        self.finish()

    def test_a_protocol_that_raises_loses_its_connection(self):
        class Broken(Recorder):
            def dataReceived(self, data):
                raise ZeroDivisionError("on purpose")

        client, server = self.connect(there=Broken)
        client.transport.write(b"x")
        self.network.run_until(lambda: client.lost)
        self.assertTrue(server.lost.check(ZeroDivisionError))
        self.assertRaises(NotQuiet, self.network.assert_quiet)
        self.assertEqual(len(self.network.flush_failures(ZeroDivisionError)), 1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.finish()


class Filler:
    """A push producer."""

    def __init__(self, transport, size):
        self.transport, self.left, self.paused, self.pauses, self.stopped = transport, size, False, 0, False

    def resumeProducing(self):
        self.paused = False
        while self.left and not self.paused:
            size = min(self.left, 10_000)
            self.left -= size
            self.transport.write(bytes(size))
        if not self.left and not self.stopped:
            self.transport.unregisterProducer()

    def pauseProducing(self):
        self.paused = True
        self.pauses += 1

    def stopProducing(self):
        self.stopped = True


class PullFiller(Filler):
    def resumeProducing(self):
        size = min(self.left, 10_000)
        self.left -= size
        if size:
            self.transport.write(bytes(size))
        else:
            self.transport.unregisterProducer()
            self.transport.loseConnection()


class FlowTests(SimulationTestCase):
    def test_a_paused_reader_bounds_what_is_under_way(self):
        client, server = self.connect()
        server.transport.pauseProducing()
        filler = Filler(client.transport, 5 << 20)
        client.transport.registerProducer(filler, True)
        filler.resumeProducing()
        self.network.run_until_quiet()
        self.assertEqual(server.received, b"")
        self.assertLess((5 << 20) - filler.left, self.network.window + 2 * (64 << 10))
        self.assertGreater(filler.pauses, 0)
        server.transport.resumeProducing()
        self.network.run_until(lambda: len(server.received) == 5 << 20)
        client.transport.loseConnection()
        self.finish()

    def test_a_pull_producer_is_asked_as_long_as_there_is_room(self):
        client, server = self.connect()
        server.transport.pauseProducing()
        filler = PullFiller(client.transport, 1 << 20)
        client.transport.registerProducer(filler, False)
        self.network.run_until_quiet()
        self.assertLess((1 << 20) - filler.left, self.network.window + 20_000)
        server.transport.resumeProducing()
        self.network.run_until(lambda: server.lost)
        self.assertEqual(len(server.received), 1 << 20)
        self.assertTrue(server.lost.check(ConnectionDone))
        self.finish()

    def test_a_producer_is_stopped_when_the_connection_is_lost(self):
        client, server = self.connect()
        filler = Filler(client.transport, 5 << 20)
        client.transport.registerProducer(filler, True)
        self.assertRaises(RuntimeError, client.transport.registerProducer, filler, True)
        filler.resumeProducing()
        server.transport.abortConnection()
        self.network.run_until(lambda: client.lost)
        self.assertTrue(filler.stopped)
        late = Filler(client.transport, 1)
        client.transport.registerProducer(late, True)
        self.assertTrue(late.stopped)
        self.finish()

    def test_the_end_of_a_connection_waits_behind_a_pause(self):
        client, server = self.connect()
        server.transport.pauseProducing()
        client.transport.write(b"last words")
        client.transport.loseConnection()
        self.network.run_until_quiet()
        self.assertIsNone(server.lost)
        server.transport.resumeProducing()
        self.network.run_until(lambda: server.lost)
        self.assertEqual(server.received, b"last words")
        self.finish()

    def test_pausing_inside_data_received_keeps_the_rest(self):
        class Pausing(Recorder):
            def dataReceived(self, data):
                super().dataReceived(data)
                self.transport.pauseProducing()

        client, server = self.connect(there=Pausing)
        client.transport.write(bytes(200_000))
        self.network.run_until_quiet()
        got = len(server.received)
        self.assertLess(got, 200_000)
        while len(server.received) < 200_000:
            server.transport.resumeProducing()
            self.network.run_until_quiet()
        client.transport.abortConnection()
        server.transport.resumeProducing()
        self.finish()

    def test_only_bytes_are_written(self):
        client, _server = self.connect()
        self.assertRaises(TypeError, client.transport.write, "text")
        self.assertRaises(TypeError, client.transport.writeSequence, [b"", memoryview(b"x")])
        client.transport.loseConnection()
        self.finish()


class RateTests(SimulationTestCase):
    def test_a_link_limits_bytes_a_second(self):
        self.network.link(self.here, self.there, latency=0.05, bandwidth=1 << 20)
        client, server = self.connect()
        client.transport.write(bytes(4 << 20))
        took = self.network.run_until(lambda: len(server.received) == 4 << 20)
        self.assertAlmostEqual(took, 4.05, places=2)
        client.transport.abortConnection()
        self.finish()

    def test_an_upload_limit_is_shared_in_turns(self):
        self.here.limit(upload=1 << 20)
        servers = Recorders(self.network.seconds)
        self.port = self.there.listenTCP(6881, servers)
        for _ in range(4):
            client = Recorders(self.network.seconds)
            endpoint = TCP4ClientEndpoint(self.here, "10.0.0.2", 6881)
            self.network.result_of(endpoint.connect(client)).transport.write(bytes(1 << 20))
        took = self.network.run_until(lambda: sum(len(s.received) for s in servers.built) == 4 << 20)
        self.assertTrue(3.8 < took < 4.2, took)
        ends = [server.chunks[-1][0] for server in servers.built]
        self.assertLess(max(ends) - min(ends), 0.2)
        for server in servers.built:
            server.transport.abortConnection()
        self.finish()

    def test_a_download_limit_holds_for_all_senders_together(self):
        self.there.limit(download=1 << 20)
        servers = Recorders(self.network.seconds)
        self.port = self.there.listenTCP(6881, servers)
        for n in (3, 4):
            endpoint = TCP4ClientEndpoint(self.network.host(f"10.0.0.{n}"), "10.0.0.2", 6881)
            client = self.network.result_of(endpoint.connect(Recorders(self.network.seconds)))
            client.transport.write(bytes(1 << 20))
        started = self.network.seconds()
        self.network.run_until(lambda: sum(len(s.received) for s in servers.built) == 2 << 20)
        self.assertTrue(1.9 < self.network.seconds() - started < 2.1)
        for server in servers.built:
            server.transport.abortConnection()
        self.finish()

    def test_a_window_and_a_latency_limit_a_connection_without_limits(self):
        self.network.link(self.here, self.there, latency=0.5)
        client, server = self.connect()
        client.transport.write(bytes(2 << 20))
        took = self.network.run_until(lambda: len(server.received) == 2 << 20)
        self.assertAlmostEqual(took, 7.5, places=3)  # eight windows of 256 KiB, one each second
        client.transport.abortConnection()
        self.finish()


class TroubleTests(SimulationTestCase):
    def test_a_partition_holds_bytes_until_it_heals(self):
        client, server = self.connect()
        self.network.partition([self.here], [self.there])
        client.transport.write(b"patience")
        self.network.advance(60)
        self.assertEqual(server.received, b"")
        self.network.heal()
        self.network.run_until(lambda: server.received == b"patience", 1)
        client.transport.loseConnection()
        self.finish()

    def test_a_partition_that_lasts_ends_the_connection(self):
        client, server = self.connect()
        self.network.partition([self.here], [self.there])
        client.transport.write(b"patience")
        self.network.run_until(lambda: client.lost, 1000)
        self.assertTrue(client.lost.check(ConnectionLost))
        self.assertIsNone(server.lost)
        server.transport.abortConnection()
        self.finish()

    def test_dialing_across_a_partition_times_out(self):
        self.network.partition([self.here], [self.there])
        dialing = TCP4ClientEndpoint(self.here, "10.0.0.2", 1, timeout=7).connect(Factory())
        self.assertRaises(TimeoutError, self.network.result_of, dialing)
        self.assertAlmostEqual(self.network.seconds(), 7)
        self.network.assert_quiet()

    def test_a_dropped_host_says_nothing_and_then_resets(self):
        client, server = self.connect()
        fired = []
        self.there.callLater(1, fired.append, 1)
        self.there.drop()
        client.transport.write(b"anyone?")
        self.network.advance(60)
        self.assertEqual((fired, server.lost, client.lost), ([], None, None))
        self.there.restart()
        self.network.run_until(lambda: client.lost, 1)
        self.assertTrue(client.lost.check(ConnectionLost))
        self.network.assert_quiet()

    def test_a_dropped_host_does_not_answer_dials(self):
        self.port = self.there.listenTCP(6881, Recorders(self.network.seconds))
        self.there.drop()
        dialing = TCP4ClientEndpoint(self.here, "10.0.0.2", 6881, timeout=3).connect(Factory())
        self.assertRaises(TimeoutError, self.network.result_of, dialing)
        self.there.restart()
        dialing = TCP4ClientEndpoint(self.here, "10.0.0.2", 6881, timeout=3).connect(Factory())
        self.assertRaises(ConnectionRefusedError, self.network.result_of, dialing)
        self.network.assert_quiet()


class QuietTests(SimulationTestCase):
    def test_whatever_is_left_is_named(self):
        def left_over():
            return str(self.assertRaises(NotQuiet, self.network.assert_quiet))

        call = self.here.callLater(5, self.fail)
        self.assertIn("call", left_over())
        self.assertIn("seed 1", left_over())
        call.cancel()
        client, _server = self.connect()
        self.assertIn("<port 0.0.0.0:6881 of <host 10.0.0.2>", left_over())
        self.assertIn("<connection 10.0.0.1:49152 to 10.0.0.2:6881", left_over())
        client.transport.loseConnection()
        self.finish()

    def test_waiting_ends_at_its_limit(self):
        stalled = self.assertRaises(Stalled, self.network.run_until, lambda: False, 12.5)
        self.assertIn("12.5", str(stalled))
        self.assertEqual(self.network.seconds(), 12.5)


class DeterminismTests(SynchronousTestCase):
    def trace(self, seed):
        network = SimulatedNetwork(seed, link=Link(jitter=0.02), random_segments=True)
        servers = Recorders(network.seconds)
        network.host("10.0.0.1").listenTCP(80, servers)
        for n in range(2, 6):
            endpoint = TCP4ClientEndpoint(network.host(f"10.0.0.{n}"), "10.0.0.1", 80)
            endpoint.connect(Recorders(network.seconds)).addCallback(
                lambda p: p.transport.write(bytes(100_000))
            )
        network.run_until(lambda: sum(len(s.received) for s in servers.built) == 400_000)
        return [server.chunks for server in servers.built]

    def test_the_same_seed_gives_the_same_run(self):
        self.assertEqual(self.trace(7), self.trace(7))

    def test_another_seed_gives_another_run(self):
        self.assertNotEqual(self.trace(7), self.trace(8))
