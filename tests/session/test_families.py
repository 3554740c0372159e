"""IPv4 and IPv6 peers in one swarm: reached, dialed, and told at which address they are seen."""

from twisted.trial.unittest import SynchronousTestCase

from bittwist.testing import Conduct, FakePeers
from bittwist.testing.speech import EXTENDED, Id
from bittwist.wire.extension import ExtensionHandshake
from tests.session.swarm import Swarm
from tests.session.torrents import content, torrent

DATA = content(300_000)
METAINFO = torrent(DATA, piece_length=32768)
BOTH = ("10.0.0.1", "2001:db8::1")


class FamiliesTests(SynchronousTestCase):
    def setUp(self):
        self.swarm = Swarm()
        self.swarm.network.host(*BOTH)
        self.seed = self.swarm.session(BOTH[0], DATA)
        self.seeding = self.swarm.add(self.seed, METAINFO)

    def test_a_seed_is_reached_over_either(self):
        leeches = [
            self.swarm.add(self.swarm.session(own), METAINFO, [at])
            for own, at in (("10.0.0.2", "10.0.0.1:6881"), ("2001:db8::2", "[2001:db8::1]:6881"))
        ]
        self.swarm.until_complete(*leeches)
        self.assertEqual(self.swarm.data("2001:db8::2", METAINFO.info), DATA)
        self.swarm.quiet()

    def test_a_peer_of_one_family_gets_what_only_the_other_family_had(self):
        """Through one that has both."""
        middle = self.swarm.network.host("10.0.0.3", "2001:db8::3")
        self.assertIs(self.swarm.network.host("10.0.0.3"), middle)
        between = self.swarm.add(self.swarm.session("10.0.0.3"), METAINFO, ["10.0.0.1:6881"])
        far = self.swarm.add(self.swarm.session("2001:db8::4"), METAINFO, ["[2001:db8::3]:6881"])
        self.swarm.until_complete(between, far)
        self.swarm.quiet()

    def hello(self, own, at):
        conduct = Conduct(METAINFO.info.info_hash.v1, reserved=EXTENDED)
        peer = self.swarm.network.result_of(FakePeers(self.swarm.network.host(own), conduct).dial(at, 6881))
        self.swarm.network.advance(1)
        told = next(frame.payload[1:] for frame in peer.got(Id.EXTENDED) if frame.payload[0] == 0)
        peer.close()
        return ExtensionHandshake.decode(told)

    def test_each_is_told_at_which_address_it_is_seen(self):
        self.assertEqual(self.hello("10.0.0.7", "10.0.0.1").yourip, "10.0.0.7")
        self.assertEqual(self.hello("2001:db8::7", "2001:db8::1").yourip, "2001:db8::7")
        self.swarm.quiet()

    def test_and_our_own_address_of_the_other_family_once_others_have_named_it(self):
        self.assertIsNone(self.hello("10.0.0.7", "10.0.0.1").ipv6)
        self.seeding._peers._own_hosts.told("2a00::1", by="2a00::9")
        self.seeding._peers._own_hosts.told("8.1.1.1", by="8.8.8.8")
        four, six = self.hello("10.0.0.7", "10.0.0.1"), self.hello("2001:db8::7", "2001:db8::1")
        self.assertEqual((four.ipv4, four.ipv6), (None, "2a00::1"))
        self.assertEqual((six.ipv4, six.ipv6), ("8.1.1.1", None))
        self.swarm.quiet()
