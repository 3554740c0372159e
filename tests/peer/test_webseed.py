"""One web seed by itself: how it asks, what it gives up, how it waits, and that it keeps to an allowance."""

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from bittwist.errors import RangeRefused
from bittwist.metainfo import bencode
from bittwist.metainfo.geometry import BLOCK
from bittwist.metainfo.info import Info
from bittwist.metainfo.webseed import FileUrls
from bittwist.net.http import HttpClient
from bittwist.net.policy import Network
from bittwist.net.throttle import UNLIMITED
from bittwist.peer.webseed import Condition, WebSeed, WebSeedSettings
from bittwist.testing import SimulatedNetwork
from tests.net.allowance import Purse
from tests.net.fileserver import FileServer, Visitor
from tests.storage.torrents import content_of

PIECE = 4 * BLOCK
SIZE = 40 * PIECE + 5000
CONTENT = content_of(SIZE)
INFO = Info.parse(
    bencode.encode({"name": "f", "piece length": PIECE, "length": SIZE, "pieces": bytes(20 * 41)})
)
BLOCKS = [(index, begin, length) for index in range(41) for begin, length in INFO.geometry.blocks(index)]


class Taker:
    """Remembers what it is told."""

    def __init__(self):
        self.came, self.lost, self.refusals, self.offers = [], [], [], 0

    def blocks(self, blocks):
        for index, begin, block in blocks:
            assert block == CONTENT[index * PIECE + begin :][: len(block)]
            self.came.append((index, begin, len(block)))

    def ready(self):
        self.offers += 1

    def gave_up(self, blocks):
        self.lost += blocks

    def refused(self, file, error):
        self.refusals.append((file, error.reason))


class WebSeedTests(SynchronousTestCase):
    allowance = UNLIMITED
    settings = WebSeedSettings(range_size=16 * BLOCK)

    def setUp(self):
        self.simulation = SimulatedNetwork(random_segments=True)
        self.here = self.simulation.host("10.0.0.2")
        self.there = self.simulation.host("20.0.0.1")
        self.server = FileServer({"/f": CONTENT})
        self.port = self.there.listenTCP(80, self.server)
        self.taker = Taker()
        self.seed = WebSeed(
            self.here, HttpClient(self.here, Network(self.here)), FileUrls("http://20.0.0.1/f", INFO),
            INFO.geometry, self.taker, Random(1), self.settings, self.allowance,
        )  # fmt: skip

    def tearDown(self):
        self.seed.close()
        self.port.stopListening()
        self.simulation.advance(1)
        self.simulation.assert_quiet()

    def ranges(self):
        return [(last - first + 1) / BLOCK for _, (first, last) in self.server.asked]

    def test_blocks_in_a_row_are_asked_for_together_and_shared_by_connections(self):
        self.assertEqual(self.seed.depth, 48)
        self.seed.request(BLOCKS[:48])
        self.assertFalse(self.seed.has_room)
        self.simulation.advance(5)
        self.assertEqual(sorted(self.taker.came), BLOCKS[:48])
        self.assertEqual(self.ranges(), [16, 16, 16])
        self.assertEqual((self.taker.offers, self.seed.has_room, len(self.server.visitors)), (3, True, 3))

    def test_blocks_apart_are_asked_for_in_turn(self):
        self.seed.request(BLOCKS[0:4] + BLOCKS[8:12] + BLOCKS[3 * 16 : 3 * 16 + 2] + BLOCKS[-1:])
        self.assertFalse(self.seed.has_room)
        self.simulation.advance(5)
        self.assertEqual(self.ranges()[:3], [4, 4, 2])
        self.assertEqual(len(self.taker.came), 11)
        self.assertEqual(self.taker.offers, 3, "one of the four was the next for its connection")

    def test_what_comes_slowly_is_asked_for_in_smaller_ranges(self):
        self.there.limit(upload=20_000)
        self.seed.request(BLOCKS[:48])
        self.simulation.advance(60)
        self.assertEqual(self.seed.depth, 48, "not below the least")

    def test_what_comes_quickly_is_asked_for_in_larger_ones(self):
        seed = WebSeed(
            self.here, HttpClient(self.here, Network(self.here)), FileUrls("http://20.0.0.1/f", INFO),
            INFO.geometry, self.taker, Random(1), WebSeedSettings(range_size=2 << 20),
        )  # fmt: skip
        self.assertEqual(seed.depth, 3 * 64)
        seed.request(BLOCKS[:64])
        self.simulation.advance(3)
        self.assertEqual(seed.depth, 3 * 128)
        self.there.limit(upload=30_000)
        seed.request(BLOCKS[64:130])
        self.simulation.advance(60)
        self.assertEqual(seed.depth, 3 * 64)
        seed.close()

    def test_what_is_cancelled_does_not_come(self):
        self.there.limit(upload=200_000)
        self.seed.request(BLOCKS[:64])
        self.simulation.advance(0.2)
        for block in BLOCKS[2:30]:
            self.seed.cancel(block)
        self.simulation.advance(30)
        self.assertEqual(sorted(set(self.taker.came) | set(BLOCKS[:2])), BLOCKS[:2] + BLOCKS[30:64])
        self.assertEqual(self.taker.lost, [])

    def test_a_connection_of_which_nothing_more_is_wanted_is_closed_and_there_is_room(self):
        self.there.limit(upload=100_000)
        self.seed.request(BLOCKS[:48])
        self.simulation.advance(0.2)
        for block in BLOCKS[:16]:
            self.seed.cancel(block)
        self.simulation.advance(1)
        self.assertEqual([visitor.closed for visitor in self.server.visitors].count(True), 1)
        self.assertEqual((self.seed.connections, self.seed.has_room), (2, True))
        self.assertGreaterEqual(self.taker.offers, 1)

    def test_what_is_cancelled_before_it_is_asked_for_is_not(self):
        self.seed.request(BLOCKS[:80])
        for block in BLOCKS[64:80] + BLOCKS[50:54]:
            self.seed.cancel(block)
        self.simulation.advance(10)
        self.assertEqual(sorted(self.taker.came), BLOCKS[:50] + BLOCKS[54:64])
        self.assertEqual(sorted(self.ranges()), [2, 10, 16, 16, 16])

    def test_after_an_error_it_waits_twice_as_long_each_time_and_never_more_than_it_may(self):
        self.server.script = lambda visitor: visitor.answer(b"", 500)
        waits = []
        for _ in range(12):
            self.seed.request(BLOCKS[:4])
            self.simulation.advance(1)
            self.assertIs(self.seed.condition, Condition.WAITING)
            self.assertFalse(self.seed.has_room)
            waits.append(self.seed.retry_at - self.simulation.seconds())
            offers = self.taker.offers
            self.simulation.run_until(lambda: self.seed.has_room, 5000)
            self.assertEqual(self.taker.offers, offers + 1)
        for number, wait in enumerate(waits):
            least = min(10.0 * 2**number, 3600.0)
            self.assertTrue(least - 1 <= wait <= 1.2 * least, (number, wait))
        self.assertEqual(self.taker.lost, 12 * BLOCKS[:4])
        self.server.script = Visitor.give
        self.seed.request(BLOCKS[:4])
        self.simulation.advance(1)
        self.assertEqual((self.taker.came, self.seed.error), (BLOCKS[:4], None))
        self.server.script = lambda visitor: visitor.answer(b"", 500)
        self.seed.request(BLOCKS[:4])
        self.simulation.advance(1)
        self.assertLess(self.seed.retry_at - self.simulation.seconds(), 12.0)

    def test_what_it_was_told_to_wait_it_waits_within_reason(self):
        for told, least, most in (("300", 299, 361), ("1", 9, 12), ("99999999", 3599, 4321)):
            self.server.script = lambda visitor, told=told: visitor.answer(b"", 503, Retry_After=told)
            self.seed._failures = 0
            self.seed.request(BLOCKS[:4])
            self.simulation.advance(1)
            wait = self.seed.retry_at - self.simulation.seconds()
            self.assertTrue(least - 1 <= wait <= most, (told, wait))
            self.simulation.run_until(lambda: self.seed.has_room, 5000)

    def test_a_refusal_says_which_file_and_gives_up_what_was_asked_of_it(self):
        self.server.script = lambda visitor: visitor.answer(b"", 404)
        self.seed.request(BLOCKS[:64])
        self.simulation.advance(1)
        self.assertEqual(set(self.taker.refusals), {(0, "HTTP status 404")})
        self.assertEqual(set(self.taker.lost), set(BLOCKS[:64]))
        self.assertIs(self.seed.condition, Condition.READY)
        self.assertIsInstance(self.seed.error, RangeRefused)

    def test_while_paused_nothing_is_begun_or_read(self):
        self.seed.pause()
        self.assertFalse(self.seed.has_room)
        self.seed.request(BLOCKS[:16])
        self.simulation.advance(100)
        self.assertEqual(self.server.asked, [])
        self.seed.resume()
        self.simulation.advance(3)
        self.assertEqual(self.taker.came, BLOCKS[:16])
        self.assertEqual(self.taker.offers, 2)

    def test_closed_it_says_nothing_more_whenever_that_is(self):
        for seconds in (0.0, 0.01, 0.03, 0.05, 0.07, 0.3):
            with self.subTest(seconds):
                self.tearDown()
                self.setUp()
                self.there.limit(upload=300_000)
                self.seed.request(BLOCKS[:64])
                self.simulation.advance(seconds)
                self.seed.close()
                told = len(self.taker.came), self.taker.offers
                self.simulation.advance(60)
                self.assertEqual((len(self.taker.came), self.taker.offers), told)
                self.assertEqual((self.taker.lost, self.taker.refusals), ([], []))


class AllowanceTests(WebSeedTests):
    """It asks before it reads on; what comes for one request more is a debt."""

    def setUp(self):
        self.allowance = Purse(10**9)
        super().setUp()

    def test_all_bytes_of_the_wire_are_asked_for(self):
        self.seed.request(BLOCKS[:48])
        self.simulation.advance(5)
        taken = 10**9 - self.allowance.amount
        self.assertEqual(taken, self.there.sent_bytes)
        self.assertGreater(taken, 48 * BLOCK)

    def test_with_nothing_allowed_nothing_is_read_and_nobody_is_late(self):
        self.allowance.amount = 0
        self.seed.request(BLOCKS[:48])
        self.simulation.advance(200)
        self.assertLess(len(self.taker.came), 48)
        self.assertEqual((self.seed.error, self.seed.connections), (None, 3))
        for _ in range(100):
            self.allowance.fill(20_000)
            self.simulation.advance(1)
        self.assertEqual(sorted(self.taker.came), BLOCKS[:48])
