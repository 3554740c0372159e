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
FILES = [(("a",), 100_000), (("sub", "b"), 100_000), (("c",), 100_000)]
FOLDER = torrent(DATA, piece_length=32768, name="x", files=FILES)


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


class WebSeedTroubleTests(SynchronousTestCase):
    """What a web seed has not is told by the file's name."""

    def setUp(self):
        self.swarm = Swarm()
        self.leech = self.swarm.session("10.0.0.2")

    def fetch(self, script=None, files=None, metainfo=FOLDER):
        server = FileServer(files or {}, *([script] if script else []))
        port = self.swarm.network.host("20.0.0.1").listenTCP(80, server)
        self.addCleanup(port.stopListening)
        fetching = self.swarm.add(self.leech, replace(metainfo, web_seeds=("http://20.0.0.1/",)))
        self.swarm.network.advance(5)
        (status,) = fetching.web_seeds()
        port.stopListening()
        self.swarm.quiet()
        return status

    def test_a_file_that_is_not_there(self):
        here = {"/x/a": DATA[:100_000], "/x/c": DATA[200_000:]}
        self.assertEqual(self.fetch(files=here).error, "x/sub/b: HTTP status 404")

    def test_a_server_that_fails_for_now(self):
        status = self.fetch(lambda visitor: visitor.answer(b"", 500))
        self.assertRegex(status.error, "^x/(a|sub/b|c): HTTP status 500$")

    def test_a_torrent_of_one_file(self):
        status = self.fetch(metainfo=METAINFO)
        self.assertEqual((status.state.value, status.error), ("refused", "data.bin: HTTP status 404"))

    def test_a_server_that_says_nothing_is_no_matter_of_a_file(self):
        status = self.fetch(lambda visitor: visitor.transport.loseConnection())
        self.assertNotIn("x/", status.error)

    def test_a_long_name_is_cut(self):
        long = torrent(DATA, piece_length=32768, name="x" * 200)
        error = self.fetch(metainfo=long).error
        self.assertLess(len(error), 130)
        self.assertRegex(error, "^…x+: HTTP status 404$")
