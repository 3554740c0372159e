"""One port of the system for both families."""

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol

from bittwist.address import Address
from bittwist.net import Network
from bittwist.net.addresses import address_of
from bittwist.net.dual import EVERYWHERE
from bittwist.peer.listener import Listener


class Visitors(Factory):
    """Tells from where each connection came, and closes it."""

    def __init__(self):
        self.came = []

    def buildProtocol(self, addr):
        self.came.append(address_of(addr).host)
        protocol = Protocol()
        protocol.connectionMade = lambda: protocol.transport.loseConnection()
        return protocol


class Leaving(Factory):
    def __init__(self):
        self.left = Deferred()

    def buildProtocol(self, addr):
        protocol = Protocol()
        protocol.connectionLost = lambda reason: self.left.callback(None)
        return protocol


@pytest_twisted.ensureDeferred
async def test_connections_over_ipv4_and_ipv6_come_by_one_port_and_under_their_own_addresses():
    network = Network(reactor)
    visitors = Visitors()
    listener = Listener(network, visitors, EVERYWHERE, [0])
    address = await listener.start()
    assert address.host == EVERYWHERE
    for host in ("127.0.0.1", "::1"):
        leaving = Leaving()
        await network.dial(Address(host, address.port), leaving)
        await leaving.left
    assert visitors.came == ["127.0.0.1", "::1"]
    await listener.stop()
