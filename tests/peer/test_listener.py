"""Listening on the first free port of a list."""

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.protocol import ServerFactory
from twisted.trial.unittest import SynchronousTestCase

from bittwist.address import Address
from bittwist.errors import LocalProtocolError, NetworkError
from bittwist.peer.listener import EndpointListener, Listener


class Port:
    def __init__(self, number):
        self.number = number
        self.stopped = False

    def getHost(self):
        return IPv4Address("TCP", "127.0.0.1", self.number)

    def stopListening(self):
        self.stopped = True
        return succeed(None)


class Ports:
    """A network on which some ports are taken."""

    def __init__(self, *taken):
        self.taken = taken
        self.asked = []
        self.open = None

    def listen(self, host, port, factory):
        self.asked.append(port)
        if port in self.taken:
            return fail(NetworkError(f"{host}:{port}", "address in use"))
        self.open = Port(port or 50000)
        return succeed(self.open)


class ListenerTests(SynchronousTestCase):
    def listener(self, network, ports=(6881, 6882, 0)):
        return Listener(network, ServerFactory(), "127.0.0.1", ports)

    def test_the_first_free_port_is_taken(self):
        network = Ports(6881)
        address = self.successResultOf(self.listener(network).start())
        self.assertEqual(address, Address("127.0.0.1", 6882))
        self.assertEqual(network.asked, [6881, 6882])

    def test_without_ipv6_every_ipv4_address_is_listened_on_instead(self):
        hosts = []

        class NoIPv6(Ports):
            def listen(self, host, port, factory):
                hosts.append((host, port))
                if ":" in host:
                    return fail(NetworkError(f"[{host}]:{port}", "address family not supported by protocol"))
                return super().listen(host, port, factory)

        address = self.successResultOf(Listener(NoIPv6(1), ServerFactory(), "::", (1, 2)).start())
        self.assertEqual(address.port, 2)
        self.assertEqual(hosts, [("::", 1), ("::", 2), ("0.0.0.0", 1), ("0.0.0.0", 2)])

    def test_zero_takes_any_port(self):
        address = self.successResultOf(self.listener(Ports(6881, 6882)).start())
        self.assertEqual(address.port, 50000)

    def test_where_no_port_is_free_the_last_refusal_is_told(self):
        start = self.listener(Ports(6881, 6882), (6881, 6882)).start()
        self.assertEqual(self.failureResultOf(start, NetworkError).value.target, "127.0.0.1:6882")

    def test_without_ports_there_is_nothing_to_listen_on(self):
        self.failureResultOf(self.listener(Ports(), ()).start(), NetworkError)

    def test_a_start_that_failed_can_be_tried_again(self):
        network = Ports(6881)
        listener = self.listener(network, (6881,))
        self.failureResultOf(listener.start(), NetworkError)
        network.taken = ()
        self.assertEqual(self.successResultOf(listener.start()).port, 6881)

    def test_stop_closes_the_port_once(self):
        network = Ports()
        listener = self.listener(network)
        self.successResultOf(listener.start())
        self.successResultOf(listener.stop())
        self.assertTrue(network.open.stopped)
        self.successResultOf(listener.stop())

    def test_a_listener_is_started_once(self):
        listener = self.listener(Ports())
        self.successResultOf(listener.start())
        self.assertRaises(LocalProtocolError, listener.start)

    def test_stop_gives_up_a_start_under_way(self):
        class Slow(Ports):
            def listen(self, host, port, factory):
                self.waiting = Deferred()
                return self.waiting

        listener = self.listener(Slow())
        start = listener.start()
        start.addErrback(lambda failure: None)
        self.successResultOf(listener.stop())
        self.assertTrue(start.called)


class Endpoints:
    """A network that can listen at some endpoint strings."""

    def __init__(self, *free):
        self.free = list(free)
        self.ports = []

    def listen_on(self, description, factory):
        if description not in self.free:
            return fail(NetworkError(description, "cannot listen"))
        self.ports.append(Port(7000 + len(self.ports)))
        return succeed(self.ports[-1])


class EndpointListenerTests(SynchronousTestCase):
    def listener(self, network, *endpoints):
        return EndpointListener(network, ServerFactory(), endpoints)

    def test_all_endpoints_are_listened_on_and_the_first_is_told(self):
        network = Endpoints("a", "b")
        listener = self.listener(network, "a", "b")
        self.assertEqual(self.successResultOf(listener.start()), Address("127.0.0.1", 7000))
        self.successResultOf(listener.stop())
        self.assertEqual([port.stopped for port in network.ports], [True, True])

    def test_where_one_cannot_be_had_none_is_left_open(self):
        network = Endpoints("a")
        self.failureResultOf(self.listener(network, "a", "b").start(), NetworkError)
        self.assertEqual([port.stopped for port in network.ports], [True])

    def test_without_endpoints_there_is_nothing_to_listen_on(self):
        self.failureResultOf(self.listener(Endpoints()).start(), NetworkError)
