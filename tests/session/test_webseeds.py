"""Downloads from web seeds on simulated hosts: alone, beside peers, and from bad ones (SECURITY.md T14)."""

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from bittwist.session import SessionSettings
from bittwist.session.lifecycle import State
from bittwist.session.webseeds import WebSeedState
from tests.net.fileserver import FileServer
from tests.session.swarm import Swarm
from tests.session.torrents import content, torrent

DATA = content(3_000_000)
METAINFO = torrent(DATA, piece_length=65536)
URL = "http://20.0.0.1/data.bin"


class WebSeedCase(SynchronousTestCase):
    def setUp(self):
        self.swarm = Swarm()
        self.leech = self.swarm.session("10.0.0.2")

    def serve(self, files, script=None, address="20.0.0.1"):
        server = FileServer(files, *([script] if script else []))
        port = self.swarm.network.host(address).listenTCP(80, server)
        self.addCleanup(port.stopListening)
        self.ports = [*getattr(self, "ports", ()), port]
        return server

    def fetch(self, metainfo=METAINFO, *urls, peers=()):
        return self.swarm.add(self.leech, replace(metainfo, web_seeds=urls or (URL,)), peers)

    def until_complete(self, fetching, metainfo=METAINFO, data=DATA, limit=600):
        took = self.swarm.until_complete(fetching, limit=limit)
        self.assertEqual(self.swarm.data("10.0.0.2", metainfo.info), data)
        return took

    def quiet(self):
        for port in self.ports:
            port.stopListening()
        self.swarm.quiet()


class AloneTests(WebSeedCase):
    def test_a_web_seed_alone_completes_a_download(self):
        server = self.serve({"/data.bin": DATA})
        fetching = self.fetch()
        self.until_complete(fetching)
        self.assertEqual(fetching.tally.downloaded, len(DATA))
        self.assertEqual((fetching.tally.wasted, fetching.tally.failed_pieces), (0, 0))
        self.assertLessEqual(len(server.visitors), 3)
        self.assertLess(len(server.asked), 12, "ranges are long")
        self.quiet()
