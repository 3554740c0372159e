"""Dials, listens and look-ups, on the simulated network."""

from __future__ import annotations

import errno

from twisted.internet import error
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol
from twisted.internet.testing import MemoryReactor, MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from bittwist.address import Address
from bittwist.errors import NetworkError
from bittwist.net.policy import BACKLOG, MAX_ADDRESSES, Network, NetworkSettings, reason_of
from bittwist.testing import SimulatedNetwork


class Quiet(Factory[Protocol]):
    protocol = Protocol
    noisy = False

    def __init__(self) -> None:
        self.from_hosts: list[str] = []

    def buildProtocol(self, addr: object) -> Protocol | None:
        self.from_hosts.append(getattr(addr, "host", ""))
        return super().buildProtocol(addr)  # type: ignore[arg-type]


class PolicyCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.simulation = SimulatedNetwork()
        self.there = self.simulation.host("192.0.2.1", "2001:db8::1")
        self.here = self.simulation.host("192.0.2.2", "192.0.2.3", "2001:db8::2")
        self.network = Network(self.here)
        self.ports: list[IListeningPort] = []

    def tearDown(self) -> None:
        for port in self.ports:
            port.stopListening()
        for host in (self.here, self.there):
            for connection in list(host.connections):
                connection.abortConnection()
        self.simulation.run_until_quiet()
        self.simulation.assert_quiet()

    def serve(self, host: str, port: int = 6881) -> Quiet:
        factory = Quiet()
        self.ports.append(self.successResultOf(Network(self.there).listen(host, port, factory)))
        return factory

    def fails(self, deferred: Deferred[object], limit: float = 60.0) -> NetworkError:
        return self.assertRaises(NetworkError, self.simulation.result_of, deferred, limit)


class DialTests(PolicyCase):
    def test_connects_over_ipv4_and_ipv6(self) -> None:
        four, six = self.serve("0.0.0.0", 1), self.serve("2001:db8::1", 2)
        for port, host in ((1, "192.0.2.1"), (2, "2001:db8::1")):
            protocol = self.simulation.result_of(self.network.dial(Address(host, port), Quiet()))
            self.assertIsInstance(protocol, Protocol)
        self.simulation.advance(1)
        self.assertEqual((four.from_hosts, six.from_hosts), (["192.0.2.2"], ["2001:db8::2"]))

    def test_dials_from_the_bound_address(self) -> None:
        server = self.serve("0.0.0.0")
        network = Network(self.here, NetworkSettings(bind="192.0.2.3"))
        self.simulation.result_of(network.dial(Address("192.0.2.1", 6881), Quiet()))
        self.simulation.advance(1)
        self.assertEqual(server.from_hosts, ["192.0.2.3"])

    def test_nothing_is_dialed_from_an_address_of_the_other_family(self) -> None:
        server = self.serve("2001:db8::1")
        network = Network(self.here, NetworkSettings(bind="192.0.2.3"))
        problem = self.fails(network.dial(Address("2001:db8::1", 6881), Quiet()))
        self.assertEqual(problem.reason, "IPv6 cannot be reached from 192.0.2.3, where we dial from")
        self.assertEqual(server.from_hosts, [])

    def test_a_bad_address_to_dial_from_is_refused_at_once(self) -> None:
        self.assertRaises(ValueError, NetworkSettings, bind="eth0")

    def test_a_refusal_says_so(self) -> None:
        problem = self.fails(self.network.dial(Address("192.0.2.1", 6881), Quiet()))
        self.assertEqual((problem.target, problem.reason), ("192.0.2.1:6881", "connection refused"))

    def test_a_silent_host_times_out(self) -> None:
        self.there.firewalled = True
        dialed = self.network.dial(Address("192.0.2.1", 6881), Quiet(), timeout=3)
        self.assertEqual(self.fails(dialed, limit=3.01).reason, "connection timed out")

    def test_cancelling_gives_up_at_once(self) -> None:
        self.there.firewalled = True
        dialed = self.network.dial(Address("192.0.2.1", 6881), Quiet())
        dialed.cancel()
        self.assertEqual(self.failureResultOf(dialed, NetworkError).value.reason, "cancelled")


class DialNameTests(PolicyCase):
    def test_tries_the_addresses_in_turn(self) -> None:
        server = self.serve("0.0.0.0")
        self.simulation.names.set("seed.example", "192.0.2.3", "192.0.2.1")
        self.simulation.result_of(self.network.dial_name("seed.example", 6881, Quiet()))
        self.simulation.advance(1)
        self.assertEqual(server.from_hosts, ["192.0.2.2"])

    def test_skips_what_is_not_permitted(self) -> None:
        forbidden = self.serve("192.0.2.1")
        asked: list[str] = []

        def permit(host: str) -> str | None:
            asked.append(host)
            return f"{host} is not for you"

        self.simulation.names.set("seed.example", "192.0.2.1")
        problem = self.fails(self.network.dial_name("seed.example", 6881, Quiet(), permit=permit))
        self.assertEqual((problem.target, problem.reason), ("seed.example", "192.0.2.1 is not for you"))
        self.assertEqual((asked, forbidden.from_hosts), (["192.0.2.1"], []))

    def test_literals_are_checked_too(self) -> None:
        dialed = self.network.dial_name("192.0.2.1", 6881, Quiet(), permit=lambda host: "no")
        self.assertEqual(self.fails(dialed).reason, "no")
        self.assertEqual(self.simulation.names.lookups, [])

    def test_the_last_failure_is_told(self) -> None:
        self.simulation.names.set("seed.example", "192.0.2.1", "2001:db8::1")
        problem = self.fails(self.network.dial_name("seed.example", 6881, Quiet()))
        self.assertEqual((problem.target, problem.reason), ("[2001:db8::1]:6881", "connection refused"))

    def test_a_zone_full_of_addresses_is_not_tried_to_its_end(self) -> None:
        asked: list[str] = []
        self.simulation.names.set("many.example", *(f"198.51.100.{n}" for n in range(100)))
        self.fails(
            self.network.dial_name("many.example", 1, Quiet(), permit=lambda host: asked.append(host) or "no")
        )
        self.assertEqual(len(asked), MAX_ADDRESSES)

    def test_cancelling_does_not_go_on_to_the_next_address(self) -> None:
        server = self.serve("2001:db8::1")
        self.there.firewalled = True
        self.simulation.names.set("seed.example", "192.0.2.1", "2001:db8::1")
        dialed = self.network.dial_name("seed.example", 6881, Quiet())
        self.simulation.advance(1)
        self.there.firewalled = False
        dialed.cancel()
        self.simulation.advance(20)
        self.assertEqual(self.failureResultOf(dialed, NetworkError).value.reason, "cancelled")
        self.assertEqual(server.from_hosts, [])


class ListenTests(PolicyCase):
    def test_port_0_takes_any_that_is_free(self) -> None:
        port = self.successResultOf(self.network.listen("", 0, Quiet()))
        self.assertGreater(port.getHost().port, 0)  # type: ignore[attr-defined]
        port.stopListening()

    def test_a_taken_port_says_so(self) -> None:
        self.serve("192.0.2.1")
        problem = self.failureResultOf(
            Network(self.there).listen("192.0.2.1", 6881, Quiet()), NetworkError
        ).value
        self.assertEqual((problem.target, problem.reason), ("192.0.2.1:6881", "address already in use"))

    def test_an_address_of_another_machine_says_so(self) -> None:
        problem = self.failureResultOf(self.network.listen("2001:db8::9", 1, Quiet()), NetworkError).value
        self.assertEqual(
            (problem.target, problem.reason), ("[2001:db8::9]:1", "cannot assign requested address")
        )


class EndpointTests(SynchronousTestCase):
    """`listen_on` and `listen_udp` on Twisted's own memory reactor: a simulated host has neither."""

    def test_a_rush_of_clients_has_room_to_wait_in(self) -> None:
        for description, backlog in (("tcp:1", BACKLOG), ("tcp:1:backlog=7", 7)):
            reactor = MemoryReactor()
            self.successResultOf(Network(reactor).listen_on(description, Quiet()))
            self.assertEqual([port[2] for port in reactor.tcpServers], [backlog])

    def test_listens_where_a_description_says(self) -> None:
        reactor = MemoryReactor()
        self.successResultOf(Network(reactor).listen_on("tcp:6969:interface=127.0.0.1", Quiet()))
        self.assertEqual([(port, host) for port, _, _, host in reactor.tcpServers], [(6969, "127.0.0.1")])

    def test_a_bad_description_says_so(self) -> None:
        for description in ("", "tcp", "nosuch:1", "tcp:x", "tcp:1:nosuch=1"):
            with self.subTest(description):
                failed = Network(MemoryReactor()).listen_on(description, Quiet())
                problem = self.failureResultOf(failed, NetworkError).value
                self.assertEqual(problem.target, description)
                self.assertIn("not an endpoint to listen on", problem.reason)

    def test_opens_udp_ports(self) -> None:
        reactor = MemoryReactor()
        protocol = DatagramProtocol()
        reactor.listenUDP = lambda *a, **k: opened.append((a, k))  # type: ignore[assignment,method-assign]
        opened: list[object] = []
        Network(reactor).listen_udp("127.0.0.1", 6881, protocol)
        self.assertEqual(opened, [((6881, protocol), {"interface": "127.0.0.1", "maxPacketSize": 8192})])

    def test_a_taken_udp_port_says_so(self) -> None:
        def taken(*arguments: object, **options: object) -> None:
            raise error.CannotListenError("::1", 6881, OSError(errno.EADDRINUSE, "Address already in use"))

        reactor = MemoryReactor()
        reactor.listenUDP = taken  # type: ignore[assignment,method-assign]
        problem = self.assertRaises(
            NetworkError, Network(reactor).listen_udp, "::1", 6881, DatagramProtocol()
        )
        self.assertEqual((problem.target, problem.reason), ("[::1]:6881", "address already in use"))


class ResolveTests(PolicyCase):
    def resolve(self, name: str) -> tuple[str, ...]:
        return self.simulation.result_of(self.network.resolve(name))

    def test_addresses_stand_for_themselves(self) -> None:
        self.assertEqual(self.successResultOf(self.network.resolve("::ffff:192.0.2.1")), ("192.0.2.1",))
        self.assertEqual(self.successResultOf(self.network.resolve("2001:DB8::0")), ("2001:db8::",))
        self.assertEqual(self.simulation.names.lookups, [])

    def test_names_have_their_addresses_once_each_and_in_order(self) -> None:
        self.simulation.names.set("a.example", "2001:db8::1", "192.0.2.1", "::ffff:192.0.2.1")
        self.assertEqual(self.resolve("a.example"), ("2001:db8::1", "192.0.2.1"))

    def test_a_name_that_does_not_exist_says_so(self) -> None:
        problem = self.fails(self.network.resolve("nowhere.example"))
        self.assertEqual((problem.target, problem.reason), ("nowhere.example", "no such host"))

    def test_a_resolver_that_never_answers_is_not_waited_for(self) -> None:
        resolver = Deaf()
        self.here.installNameResolver(resolver)  # type: ignore[arg-type]
        network = Network(self.here, NetworkSettings(resolve_timeout=4))
        self.assertEqual(
            self.fails(network.resolve("a.example"), limit=4.01).reason, "name look-up timed out"
        )
        resolver.receiver.resolutionComplete()  # late, and harmless

    def test_a_look_up_can_be_cancelled(self) -> None:
        resolver = Deaf()
        self.here.installNameResolver(resolver)  # type: ignore[arg-type]
        looked_up = self.network.resolve("a.example")
        looked_up.cancel()
        self.assertEqual(self.failureResultOf(looked_up, NetworkError).value.reason, "cancelled")
        resolver.receiver.resolutionComplete()

    def test_a_name_that_cannot_be_asked_for_says_so(self) -> None:
        self.here.installNameResolver(Deaf(UnicodeError("label too long")))  # type: ignore[arg-type]
        problem = self.failureResultOf(self.network.resolve("x" * 300), NetworkError).value
        self.assertEqual(problem.reason, "not a host name (label too long)")


class Deaf:
    """A resolver that does not answer, or cannot."""

    def __init__(self, problem: Exception | None = None) -> None:
        self._problem = problem

    def resolveHostName(self, receiver: object, name: str) -> None:
        if self._problem:
            raise self._problem
        self.receiver = receiver


class ReasonTests(SynchronousTestCase):
    def test_reasons_are_words(self) -> None:
        table = [
            (error.ConnectionRefusedError(), "connection refused"),
            (error.TimeoutError(), "connection timed out"),
            (error.TCPTimedOutError(errno.ETIMEDOUT), "connection timed out"),
            (error.NoRouteError(), "no route to host"),
            (error.DNSLookupError("x"), "no such host"),
            (error.ConnectionLost(), "connection lost"),
            (error.ConnectionDone(), "connection closed"),
            (
                error.ConnectBindError(errno.EADDRNOTAVAIL),
                "the address to dial from is not one of this machine's",
            ),
            (error.ConnectError(errno.ENETUNREACH), "network is unreachable"),
            (OSError(errno.EMFILE, "Too many open files"), "too many open files"),
            (ValueError("odd"), "odd"),
            (ValueError(), "ValueError"),
        ]
        for problem, reason in table:
            with self.subTest(reason):
                self.assertEqual(reason_of(problem), reason)

    def test_a_bound_dial_tells_the_reactor(self) -> None:
        reactor = MemoryReactorClock()
        Network(reactor, NetworkSettings(bind="127.0.0.2")).dial(Address("127.0.0.1", 1), Quiet())
        self.assertEqual(reactor.tcpClients[0][4], ("127.0.0.2", 0))
