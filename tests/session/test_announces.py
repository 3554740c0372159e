"""What a session tells trackers, and what it makes of their answers: over HTTP, on the simulated network."""

from urllib.parse import parse_qs

from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Site

from bittwist.metainfo import bencode
from bittwist.session.lifecycle import State
from tests.session.swarm import Swarm
from tests.session.torrents import content, torrent

DATA = content(300_000)
METAINFO = torrent(DATA, piece_length=32768, trackers=("http://10.0.0.9:6969/announce",))


class Counter(Resource):
    """Answers every announce with the peers it was given, and keeps what was asked."""

    isLeaf = True

    def __init__(self):
        super().__init__()
        self.asked = []
        self.peers = b""
        self.external = b""

    def render_GET(self, request):
        query = request.uri.partition(b"?")[2].decode("latin-1")
        self.asked.append({key: values[0] for key, values in parse_qs(query, encoding="latin-1").items()})
        answer = {"interval": 1800, "peers": self.peers}
        if self.external:
            answer["external ip"] = self.external
        return bencode.encode(answer)

    def told(self, *keys):
        return [tuple(asked.get(key) for key in keys) for asked in self.asked]


class AnnounceTests(SynchronousTestCase):
    def setUp(self):
        self.swarm = Swarm()
        self.tracker = Counter()
        site = Site(self.tracker)
        self.port = self.swarm.network.host("10.0.0.9").listenTCP(6969, site)

    def end(self):
        self.port.stopListening()
        for session in self.swarm.sessions:
            self.swarm.network.result_of(session.stopService())

    def test_a_download_found_by_the_tracker_says_started_completed_and_stopped(self):
        self.tracker.peers = bytes((10, 0, 0, 1)) + (6881).to_bytes(2, "big")
        self.swarm.add(self.swarm.session("10.0.0.1", DATA), torrent(DATA, piece_length=32768))
        fetching = self.swarm.add(self.swarm.session("10.0.0.2"), METAINFO)
        self.swarm.until_complete(fetching)
        self.swarm.network.advance(1)
        self.swarm.network.result_of(fetching.stop())
        size = str(len(DATA))
        self.assertEqual(
            self.tracker.told("event", "left", "downloaded", "uploaded", "port"),
            [
                ("started", size, "0", "0", "6881"),
                ("completed", "0", size, "0", "6881"),
                ("stopped", "0", size, "0", "6881"),
            ],
        )
        self.end()

    def test_a_second_start_counts_from_nothing_again(self):
        seeding = self.swarm.add(self.swarm.session("10.0.0.1", DATA), METAINFO)
        leech = self.swarm.session("10.0.0.2")
        plain = torrent(DATA, piece_length=32768)
        fetching = self.swarm.add(leech, plain, ["10.0.0.1:6881"])
        self.swarm.until_complete(seeding, fetching)
        self.swarm.network.advance(1)
        self.swarm.network.result_of(seeding.stop())
        seeding.start()
        self.swarm.network.advance(1)
        size = str(len(DATA))
        self.assertEqual(
            self.tracker.told("event", "left", "uploaded"),
            [("started", "0", "0"), ("stopped", "0", size), ("started", "0", "0")],
        )
        self.assertEqual(seeding.tally.uploaded, len(DATA))
        self.end()

    def test_a_torrent_added_without_a_start_tells_no_tracker(self):
        session = self.swarm.session("10.0.0.1", DATA)
        seeding = self.swarm.network.result_of(session.add(METAINFO, "/nowhere", start=False))
        self.assertIs(seeding.state, State.STOPPED)
        self.swarm.network.advance(5)
        self.assertEqual(self.tracker.asked, [])
        self.end()
