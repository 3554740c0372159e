"""What a torrent tells of what does not come: why peers are not met, who has metadata, whence bytes came."""

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from bittwist.address import Address
from bittwist.metainfo.magnet import Magnet
from bittwist.testing import Conduct, FakePeers
from tests.net.fileserver import FileServer
from tests.session.swarm import Swarm
from tests.session.torrents import content, torrent

DATA = content(300_000)
METAINFO = torrent(DATA, piece_length=32768)
LINK = Magnet.of(METAINFO)


class TroubleTests(SynchronousTestCase):
    def setUp(self):
        self.swarm = Swarm()
        self.leech = self.swarm.session("10.0.0.2")

    def troubles(self, torrent_):
        return [str(each) for each in torrent_.troubles()]

    def test_why_a_peer_is_not_met_is_told_beside_its_address_and_once(self):
        self.swarm.network.host("10.0.0.1")
        fetching = self.swarm.add(self.leech, METAINFO, ["10.0.0.1:9"])
        self.assertEqual(fetching.troubles(), ())
        self.swarm.network.advance(2)
        self.assertEqual(self.troubles(fetching), ["10.0.0.1:9: connection refused"])
        self.swarm.quiet()

    def test_one_that_hangs_up_or_is_no_peer_is_told_of_too(self):
        fakes = FakePeers(self.swarm.network.host("10.0.0.1"), Conduct(METAINFO.info.info_hash.short))
        port = fakes.listen(6881)
        fetching = self.swarm.add(self.leech, METAINFO, ["10.0.0.1:6881"])
        self.swarm.network.advance(2)
        self.assertEqual((len(fetching), fetching.troubles()), (1, ()))
        fakes.peers[0].close()
        self.swarm.network.advance(2)
        self.assertEqual(self.troubles(fetching), ["10.0.0.1:6881: connection closed"])
        port.stopListening()
        self.swarm.quiet()

    def test_nobody_is_met_at_our_own_address(self):
        fetching = self.swarm.add(self.leech, METAINFO, ["10.0.0.2:6881"])
        self.swarm.network.advance(2)
        self.assertEqual(fetching.trouble(Address("10.0.0.2", 6881)), "it is our own address")
        self.swarm.quiet()

    def test_how_many_peers_offer_the_metadata(self):
        other, seed = self.swarm.session("10.0.0.1"), self.swarm.session("10.0.0.3", DATA)
        self.swarm.add(other, LINK)
        fetching = self.swarm.add(self.leech, LINK, ["10.0.0.1:6881"])
        self.swarm.network.advance(5)
        self.assertEqual((len(fetching), fetching.metadata_offers), (1, 0))
        self.swarm.add(seed, METAINFO)
        self.swarm.network.host("10.0.0.3").limit(upload=10)  # no more than its handshakes come
        self.leech.add_peers(fetching, ["10.0.0.3:6881"])
        self.swarm.network.run_until(lambda: fetching.metadata_offers == 1, 120)
        self.swarm.network.host("10.0.0.3").limit(upload=None)
        self.swarm.until_complete(fetching)
        self.assertEqual(fetching.metadata_offers, 0)
        self.swarm.quiet()

    def test_what_every_source_brought_is_told_once_and_makes_the_sum(self):
        port = self.swarm.network.host("20.0.0.1").listenTCP(80, FileServer({"/data.bin": DATA}))
        self.swarm.network.host("20.0.0.1").limit(upload=40_000)
        self.swarm.network.host("10.0.0.1").limit(upload=40_000)
        self.swarm.add(self.swarm.session("10.0.0.1", DATA), METAINFO)
        source = replace(METAINFO, web_seeds=("http://20.0.0.1/data.bin",))
        fetching = self.swarm.add(self.leech, source, ["10.0.0.1:6881"])
        self.swarm.until_complete(fetching)
        brought = {each.name: each.downloaded for each in fetching.sources()}
        self.assertEqual(sum(each.downloaded for each in fetching.sources()), fetching.tally.downloaded)
        self.assertTrue(brought["manual"] and brought["web_seed"], brought)
        port.stopListening()
        self.swarm.quiet()
