"""The simulated network under a load of its own: random programs, many hosts, trouble on the way."""

from __future__ import annotations

from collections import Counter
from random import Random

import treq
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import Agent
from twisted.web.resource import Resource
from twisted.web.server import Site

from bittwist.testing import Conduct, FakePeers, Link, SimulatedNetwork, speech
from bittwist.testing.speech import Id
from tests.scale import SEED, runs


class Talker(Protocol):
    """Writes, pauses and closes at random; remembers what went in and what came out."""

    def __init__(self, host, random):
        self.host, self.random = host, random
        self.sent, self.received = bytearray(), bytearray()
        self.lost = []
        self.steps = 0

    def connectionMade(self):
        self.step()

    def dataReceived(self, data):
        assert not self.lost
        self.received += data
        if self.random.random() < 0.05:
            self.transport.pauseProducing()

    def connectionLost(self, reason):
        self.lost.append(reason.type)
        if self.call.active():
            self.call.cancel()

    def step(self):
        self.steps += 1
        self.call = self.host.callLater(self.random.expovariate(20), self.step)
        choice = self.random.random()
        if choice < 0.6:
            data = self.random.randbytes(self.random.randrange(1, 100_000))
            self.sent += data
            self.transport.write(data)
        elif choice < 0.9:
            self.transport.resumeProducing()
        elif self.steps > 50:
            self.call.cancel()
            self.transport.loseConnection()
            # Two ends that both only want to be rid of their bytes wait for each other for good, as over TCP.
            self.call = self.host.callLater(30, self.transport.abortConnection)


class Talkers(Factory):
    noisy = False

    def __init__(self, host, random, talkers):
        self.host, self.random, self.talkers = host, random, talkers

    def buildProtocol(self, addr):
        talker = Talker(self.host, self.random)
        self.talkers.append(talker)
        return talker


class RandomProgramTests(SynchronousTestCase):
    def play(self, seed):
        """Pairs that talk at random while partitions come and go."""
        network = SimulatedNetwork(seed, random_segments=True, link=Link(jitter=0.03))
        random = Random(seed)
        pairs = []
        for number in range(6):
            here, there = network.host(f"10.0.0.{number}"), network.host(f"10.0.1.{number}")
            servers, clients = [], []
            port = there.listenTCP(80, Talkers(there, random, servers))
            endpoint = TCP4ClientEndpoint(here, there.addresses[0], 80)
            network.result_of(endpoint.connect(Talkers(here, random, clients)))
            network.run_until(lambda servers=servers: servers)
            port.stopListening()
            pairs.append((clients[0], servers[0]))
        talkers = [talker for pair in pairs for talker in pair]
        while not all(talker.lost for talker in talkers):
            self.assertLess(network.seconds(), 1000, network.left_over())
            network.advance(random.random())
            if random.random() < 0.3:
                some = random.sample(network.hosts, 6)
                network.partition(some, [host for host in network.hosts if host not in some])
            else:
                network.heal()
            for talker in talkers:
                talker.transport.resumeProducing()
        network.heal()
        network.run_until_quiet()
        network.assert_quiet()
        return pairs

    def test_bytes_arrive_in_order_and_each_end_is_lost_once(self):
        for number in range(runs(3, 200)):
            seed = SEED + number
            with self.subTest(seed=seed):
                for pair in self.play(seed):
                    for one, other in (pair, pair[::-1]):
                        self.assertEqual(len(one.lost), 1)
                        self.assertIn(one.lost[0], (ConnectionAborted, ConnectionDone, ConnectionLost))
                        self.assertTrue(other.sent.startswith(one.received), f"seed {seed}")

    def test_a_run_can_be_repeated(self):
        def told(pairs):
            return [(bytes(t.received), t.lost, t.steps) for pair in pairs for t in pair]

        self.assertEqual(told(self.play(SEED)), told(self.play(SEED)))


class SwarmOfFakesTests(SynchronousTestCase):
    def test_one_seed_serves_thirty_leeches_its_upload_in_even_parts(self):
        content, piece_length = Random(SEED).randbytes(4 << 20), 1 << 18
        network = SimulatedNetwork(SEED)
        seed_host = network.host("10.0.0.1")
        seed_host.limit(upload=4 << 20)
        port = FakePeers(seed_host, Conduct.seed(b"h" * 20, content, piece_length)).listen(6881)
        leeches = []
        for number in range(2, 32):
            host = network.host(f"10.0.0.{number}")
            leeches.append(network.result_of(FakePeers(host, Conduct(b"h" * 20)).dial("10.0.0.1", 6881)))
        for leech in leeches:
            for block in range(64):
                leech.request(*divmod(block * 16384, piece_length), 16384)
        network.advance(5.0)
        counts = Counter(len(leech.blocks) for leech in leeches)
        self.assertGreater(min(counts), 0.9 * max(counts) - 1, counts)
        took = network.run_until(lambda: all(len(leech.blocks) == 64 for leech in leeches))
        self.assertTrue(2.0 < took < 3.2, took)
        answer = speech.honest(content, piece_length)
        for leech in leeches:
            self.assertEqual(leech.blocks[1, 16384], answer(1, 16384, 16384))
            leech.close()
        port.stopListening()
        network.run_until_quiet()
        network.assert_quiet()

    def test_half_the_leeches_lose_power(self):
        network = SimulatedNetwork(SEED)
        content = bytes(1 << 20)
        seeds = FakePeers(network.host("10.0.0.1"), Conduct.seed(b"h" * 20, content, 1 << 18))
        port = seeds.listen(6881)
        hosts = [network.host(f"10.0.0.{number}") for number in range(2, 12)]
        leeches = [
            network.result_of(FakePeers(host, Conduct(b"h" * 20)).dial("10.0.0.1", 6881)) for host in hosts
        ]
        network.run_until(lambda: all(leech.got(Id.BITFIELD) for leech in leeches))
        for host in hosts[:5]:
            host.drop()
        for peer in seeds.peers:
            peer.say(Id.HAVE, 0)
        network.advance(1000)
        self.assertEqual(
            [bool(peer.lost) for peer in seeds.peers if not peer.dialing], [True] * 5 + [False] * 5
        )
        for leech in leeches[5:]:
            leech.close()
        port.stopListening()
        network.run_until_quiet()
        network.assert_quiet()


class WebAcrossTroubleTests(SynchronousTestCase):
    def test_fifty_announcers_at_once_through_a_partition(self):
        class Count(Resource):
            isLeaf = True
            seen = 0

            def render_GET(self, request):
                Count.seen += 1
                return request.getClientAddress().host.encode()

        network = SimulatedNetwork(SEED)
        network.names.set("tracker.example", "10.0.0.1")
        tracker = network.host("10.0.0.1")
        site = Site(Count(), reactor=tracker)
        site.noisy = False
        port = tracker.listenTCP(6969, site)
        hosts = [network.host(f"10.0.1.{number}") for number in range(50)]

        async def announce(host):
            client = treq.client.HTTPClient(Agent(host))
            response = await client.get("http://tracker.example:6969/announce", reactor=host)
            return await response.text()

        network.partition([tracker], hosts[:25])
        network.clock.callLater(10, network.heal)
        answers = network.result_of(gatherResults([Deferred.fromCoroutine(announce(host)) for host in hosts]))
        self.assertEqual(answers, [host.addresses[0] for host in hosts])
        self.assertEqual(Count.seen, 50)
        self.assertGreater(network.seconds(), 10)
        port.stopListening()
        network.run_until_quiet()
        network.assert_quiet()
