"""What a session leaves behind when it has stopped: nothing, whenever that is and whoever does not answer."""

from random import Random

from twisted.internet.defer import succeed
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from bittwist.errors import SessionError
from bittwist.metainfo.infohash import InfoHash
from bittwist.metainfo.magnet import Magnet
from bittwist.session import SessionSettings
from bittwist.session.finding import with_tracker
from bittwist.session.limits import LimitSettings
from bittwist.session.webseeds import with_web_seed
from bittwist.testing.names import Resolution
from tests.session.lan import Lan
from tests.session.swarm import Swarm
from tests.session.torrents import content, torrent

ROUNDS = 20
SILENT = "10.9.0.1"  # takes connections and datagrams, and never answers
TRACKERS = (f"http://{SILENT}/announce", f"udp://{SILENT}:80/announce", "http://tracker.test/announce")
LIMITS = LimitSettings(download_rate=40_000, upload_rate=40_000)
DATA = content(600_000)
METAINFO = torrent(DATA, piece_length=32768)
OTHER = torrent(content(200_000), piece_length=16384, name="other")


class Slow:
    """A resolver that never gets an answer for one name."""

    def __init__(self, others):
        self.others = others

    def resolveHostName(self, receiver, name, *more, **how):
        if name != "never.test":
            return self.others.resolveHostName(receiver, name, *more, **how)
        receiver.resolutionBegan(Resolution(name))
        return receiver


class Void:
    """UDP ports whose datagrams reach nobody."""

    def __init__(self):
        self.open = []

    def listenUDP(self, port, protocol, interface="", maxPacketSize=8192):
        self.open.append(protocol)
        protocol.makeConnection(self)
        return Port(self.open, protocol)

    def write(self, datagram, address):
        """It is lost."""


class Port(Void):
    def __init__(self, open_ports, protocol):
        self.open, self.protocol = open_ports, protocol

    def stopListening(self):
        self.open.remove(self.protocol)
        return succeed(None)


class LeftoverTests(SynchronousTestCase):
    def setUp(self):
        self.swarm = Swarm(seed=6)
        self.udp = Void()
        silent = self.swarm.network.host(SILENT)
        factory = Factory.forProtocol(Protocol)
        factory.noisy = False
        silent.listenTCP(80, factory)
        self.swarm.network.names.set("tracker.test", SILENT)

    def begin(self, number):
        """A seed and three leeches on one network, each with all that keeps it busy."""
        lan = Lan(self.swarm.network.clock)
        self.swarm.sessions.clear()
        busy = METAINFO
        for url in TRACKERS:
            busy = with_tracker(busy, url, None)
        busy = with_web_seed(busy, f"http://{SILENT}/files/data.bin")
        unknown = Magnet(InfoHash(b"m" * 20), trackers=TRACKERS, peers=(f"{SILENT}:80", "never.test:6881"))
        waiting = []
        for host in range(1, 5):
            at = self.swarm.network.host(f"10.{number + 1}.0.{host}")
            at.listenUDP = self.udp.listenUDP
            at.nameResolver = Slow(at.nameResolver)
            session = self.swarm.session(
                f"10.{number + 1}.0.{host}",
                DATA if host == 1 else None,
                SessionSettings(ports=(6881,), limits=LIMITS, reuse_similar=True),
            )
            lan.connect(session, f"10.{number + 1}.0.{host}")
            self.swarm.network.advance(0)
            peers = [f"10.{number + 1}.0.1:6881", f"10.{number + 1}.0.{max(1, host - 1)}:6881"]
            for source in (busy, OTHER, unknown):
                added = self.swarm.network.result_of(session.add(source, "/nowhere"))
                session.add_peers(added, [*peers, "never.test:1"])
                waiting += [added.when_metadata(), added.when_complete(), added.when_stopped()]
        return waiting

    def test_twenty_sessions_stopped_at_any_moment_leave_nothing(self):
        random = Random(6)
        for number in range(ROUNDS):
            waiting = self.begin(number)
            self.swarm.network.advance(random.choice((0, 0.01, 1, 5, 20, 70)) * random.random())
            began = self.swarm.network.seconds()
            for stopped in [session.stopService() for session in self.swarm.sessions]:
                self.swarm.network.result_of(stopped)
            self.assertLess(self.swarm.network.seconds() - began, 6)
            late = [call for call in self.swarm.network.clock.getDelayedCalls() if not self.is_near(call)]
            self.assertEqual(late, [])
            self.swarm.network.advance(1)  # what is on its way arrives
            for each in waiting:
                self.assertTrue(each.called, "somebody waits for ever")
                each.addErrback(lambda failure: failure.trap(SessionError))
            listening = [host for host in self.swarm.network.hosts if host.open_ports]
            self.assertEqual(listening, [self.swarm.network.host(SILENT)])
            self.assertEqual(self.udp.open, [])
            connections = [each for host in self.swarm.network.hosts for each in host.connections]
            self.assertEqual(connections, [])
            self.assertEqual(self.swarm.network.clock.getDelayedCalls(), [])
            self.assertEqual(self.swarm.network.failures, [])

    def is_near(self, call):
        """What is sent arrives; users are told from the reactor's next turn."""
        return call.getTime() <= self.swarm.network.seconds() + 0.5


class LookUpTests(SynchronousTestCase):
    """Names of peers to dial, and the end of the session."""

    def setUp(self):
        self.swarm = Swarm(seed=6)
        host = self.swarm.network.host("10.0.0.9")
        host.nameResolver = Slow(host.nameResolver)
        self.session = self.swarm.session("10.0.0.9")

    def test_a_stop_tells_nothing_of_the_look_ups_under_way(self):
        self.swarm.add(self.session, METAINFO, ["never.test:1"])
        with capturedLogs() as events:
            self.swarm.quiet()
        self.assertEqual([event for event in events if event["log_level"] >= LogLevel.warn], [])

    def test_what_is_not_found_in_time_is_told(self):
        self.swarm.add(self.session, METAINFO, ["never.test:1"])
        with capturedLogs() as events:
            self.swarm.network.advance(60)
        told = [formatEvent(event) for event in events if event["log_level"] is LogLevel.warn]
        self.assertEqual(told, ["A peer cannot be dialed: never.test: name look-up timed out"])
        self.swarm.quiet()

    def test_after_the_stop_nothing_is_looked_up(self):
        fetching = self.swarm.add(self.session, METAINFO)
        self.swarm.network.result_of(self.session.stopService())
        self.swarm.network.advance(1)
        self.session.add_peers(fetching, ["never.test:1"])
        self.assertRaises(ValueError, self.session.add_peers, fetching, ["never.test"])
        self.swarm.network.assert_quiet()
