"""Scenarios played over real TCP and over the simulated network: both must tell the same story.

Each is a coroutine function that acts on a `Stage`, whose story then is what the protocols were told, free of
anything that depends on time or on how bytes were cut.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from zope.interface import implementer

BIG = bytes(range(256)) * (4 << 12)  # 4 MiB: more than all buffers on the way hold


class End(Protocol):
    """One end, as the story of what it was told."""

    def __init__(self, name, story):
        self.name, self.story = name, story
        self.received = bytearray()
        self.lost = False

    def connectionMade(self):
        pass

    def dataReceived(self, data):
        self.received += data

    def connectionLost(self, reason):
        assert not self.lost
        self.lost = True
        self.story.append((self.name, "lost", reason.type.__name__, bytes(self.received)))


@implementer(IHalfCloseableProtocol)
class HalfEnd(End):
    def readConnectionLost(self):
        self.story.append((self.name, "read lost", bytes(self.received)))

    def writeConnectionLost(self):
        self.story.append((self.name, "write lost"))


class Broken(End):
    def dataReceived(self, data):
        raise ZeroDivisionError("on purpose")


class Ends(Factory):
    noisy = False

    def __init__(self, name, kind, story):
        self.name, self.kind, self.story = name, kind, story
        self.built = []

    def buildProtocol(self, addr):
        if self.kind is None:
            return None
        end = self.kind(self.name, self.story)
        self.built.append(end)
        return end


class Stage:
    """A connected client and server, and their common story."""

    def __init__(self, here, there, address):
        self.here, self.there, self.address = here, there, address
        self.story = []

    async def __aenter__(self):
        return self

    async def __aexit__(self, *exception):
        await maybeDeferred(self.port.stopListening)

    async def connect(self, client=End, server=End):
        servers = Ends("server", server, self.story)
        self.port = self.there.listenTCP(0, servers, interface=self.address)
        endpoint = TCP4ClientEndpoint(self.here, self.address, self.port.getHost().port)
        made = await endpoint.connect(Ends("client", client, self.story))
        if server is not None:
            await self.until(lambda: servers.built)
        return made, (servers.built or [None])[0]

    async def until(self, condition):
        for _ in range(500):
            if condition():
                return
            await deferLater(self.here, 0.01, lambda: None)
        raise AssertionError(f"not so after 5 s; so far: {[told[:3] for told in self.story]}")

    async def settle(self):
        await deferLater(self.here, 0.15, lambda: None)


async def all_is_sent_before_a_connection_is_lost(stage):
    client, server = await stage.connect()
    client.transport.write(BIG)
    client.transport.loseConnection()
    client.transport.write(b"and this")
    await stage.until(lambda: client.lost and server.lost)


async def an_abort_is_a_reset(stage):
    client, server = await stage.connect()
    client.transport.write(b"never sent")
    client.transport.abortConnection()
    client.transport.abortConnection()
    client.transport.loseConnection()
    stage.story.append(client.lost)
    await stage.until(lambda: client.lost and server.lost)


async def the_other_end_closes(stage):
    client, server = await stage.connect()
    server.transport.loseConnection()
    await stage.until(lambda: client.lost and server.lost)
    client.transport.write(b"too late")
    client.transport.loseConnection()
    client.transport.abortConnection()
    client.transport.resumeProducing()


async def closing_with_unread_bytes_resets(stage):
    client, server = await stage.connect()
    server.transport.pauseProducing()
    client.transport.write(b"unread")
    await stage.settle()
    server.transport.loseConnection()
    await stage.until(lambda: server.lost)
    client.transport.write(b"into the void")
    await stage.until(lambda: client.lost)


async def half_closed_by_the_client(stage):
    client, server = await stage.connect(client=HalfEnd, server=HalfEnd)
    client.transport.write(BIG)
    client.transport.loseWriteConnection()
    await stage.until(lambda: len(stage.story) == 2)
    stage.story.sort()  # which end is told first depends on buffers
    client.transport.write(b"ignored")
    server.transport.write(BIG)
    server.transport.loseConnection()
    await stage.until(lambda: server.lost and len(stage.story) == 4)
    stage.story.sort()
    client.transport.loseConnection()
    await stage.until(lambda: client.lost)


async def half_close_towards_one_who_knows_no_halves(stage):
    client, server = await stage.connect()
    client.transport.write(b"question")
    client.transport.loseWriteConnection()
    await stage.until(lambda: client.lost and server.lost)


async def a_connection_lost_behind_a_pause(stage):
    client, server = await stage.connect()
    server.transport.pauseProducing()
    client.transport.write(b"last words")
    client.transport.loseConnection()
    await stage.until(lambda: client.lost)
    await stage.settle()
    stage.story.append(("server", bytes(server.received), server.lost))
    server.transport.resumeProducing()
    await stage.until(lambda: server.lost)


async def a_protocol_that_raises(stage):
    client, server = await stage.connect(server=Broken)
    client.transport.write(b"x")
    await stage.until(lambda: client.lost and server.lost)
    stage.story.sort(reverse=True)


async def a_factory_that_refuses(stage):
    client, _ = await stage.connect(server=None)
    await stage.until(lambda: client.lost)


async def nobody_listens(stage):
    client, _ = await stage.connect()
    number = stage.port.getHost().port
    await stage.port.stopListening()
    client.transport.loseConnection()
    await stage.until(lambda: client.lost)
    for endpoint in (TCP4ClientEndpoint, HostnameEndpoint):
        try:
            await endpoint(stage.here, stage.address, number).connect(Ends("late", End, stage.story))
        except Exception as error:
            stage.story.append(("refused", type(error).__name__))
    stage.story.append([told for told in stage.story if told[1] != "lost"])


async def a_push_producer_is_paused_and_stopped(stage):
    client, server = await stage.connect()
    server.transport.pauseProducing()
    told = []

    class Producer:
        def pauseProducing(self):
            told.append("pause")

        def resumeProducing(self):
            told.append("resume")

        def stopProducing(self):
            told.append("stop")

    client.transport.registerProducer(Producer(), True)
    client.transport.write(bytes(16 << 20))
    await stage.settle()
    stage.story.append(list(told))
    server.transport.resumeProducing()
    await stage.until(lambda: len(server.received) == 16 << 20)
    stage.story.append(list(told))
    server.transport.abortConnection()
    await stage.until(lambda: client.lost)
    stage.story[:] = [*stage.story[:2], told]


async def a_pull_producer_is_asked_until_it_is_done(stage):
    client, server = await stage.connect()
    asked = []

    class Producer:
        def resumeProducing(self):
            asked.append(1)
            if len(asked) <= 300:
                client.transport.write(bytes(1000))
            else:
                client.transport.unregisterProducer()
                client.transport.loseConnection()

        def stopProducing(self):
            asked.append("stop")

    client.transport.registerProducer(Producer(), False)
    await stage.until(lambda: server.lost and client.lost)
    stage.story.append(len(asked))


async def losing_a_connection_waits_for_a_pull_producer(stage):
    client, server = await stage.connect()
    left = [b"three", b"two", b"one"]

    class Producer:
        def resumeProducing(self):
            if left:
                client.transport.write(left.pop())
            else:
                client.transport.unregisterProducer()

        def stopProducing(self):
            stage.story.append("stopped")

    client.transport.registerProducer(Producer(), False)
    client.transport.loseConnection()
    await stage.until(lambda: server.lost and client.lost)


async def losing_a_connection_inside_data_received(stage):
    class Once(End):
        def dataReceived(self, data):
            super().dataReceived(data)
            self.transport.write(b"bye")
            self.transport.loseConnection()

    client, server = await stage.connect(server=Once)
    client.transport.write(b"hello")
    await stage.until(lambda: client.lost and server.lost)
    stage.story.sort()


SCENARIOS = [
    all_is_sent_before_a_connection_is_lost,
    an_abort_is_a_reset,
    the_other_end_closes,
    closing_with_unread_bytes_resets,
    half_closed_by_the_client,
    half_close_towards_one_who_knows_no_halves,
    a_connection_lost_behind_a_pause,
    a_protocol_that_raises,
    a_factory_that_refuses,
    nobody_listens,
    a_push_producer_is_paused_and_stopped,
    a_pull_producer_is_asked_until_it_is_done,
    losing_a_connection_waits_for_a_pull_producer,
    losing_a_connection_inside_data_received,
]


async def play(scenario, here, there, address):
    """What a scenario's protocols were told."""
    async with Stage(here, there, address) as stage:
        await scenario(stage)
    return stage.story


def simulated(network, scenario):
    """The same, in a simulated network."""
    here, there = network.host("10.0.0.1"), network.host("10.0.0.2")
    return network.result_of(Deferred.fromCoroutine(play(scenario, here, there, "10.0.0.2")))
