"""Blocks from disk to the peers that asked: in order, read ahead, and no more of them than a peer takes."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bittwist.metainfo.bitfield import Bitfield
from bittwist.metainfo.geometry import BLOCK
from bittwist.session.fastpieces import FastPieces
from bittwist.session.statistics import Tally
from bittwist.session.uploads import CHOKE_INTERVAL, MAX_ASKED, MAX_LOOKS, SEND_AHEAD, Uploads
from bittwist.storage.disk import Disk, DiskSettings
from bittwist.storage.memory import MemoryStorage
from bittwist.storage.reads import MAX_AT_ONCE
from bittwist.swarm.choker import PeerRates
from tests.storage.fakes import FakeReactor
from tests.storage.torrents import content_of, make_info

PIECE = 64 << 10
PIECES = 40
CONTENT = content_of(PIECES * PIECE)
INFO = make_info(CONTENT, piece_length=PIECE)
ENOUGH = 2000  # replies of the disk in one test; more and something reads for ever


def blocks_of(*indices):
    return [(index, begin, BLOCK) for index in indices for begin in range(0, PIECE, BLOCK)]


class Counting(MemoryStorage):
    """Counts what is read of each piece."""

    def __init__(self):
        super().__init__(INFO, CONTENT)
        self.reads = []

    def read_into(self, index, begin, view):
        self.reads.append((index, begin, len(view)))
        super().read_into(index, begin, view)


class Peer:
    """A taker whose connection holds what it is given until `take`."""

    knows = None
    host = "10.0.0.9"
    has = None

    def __init__(self, key=1, *, fast=True, choked=False):
        self.key = key
        self.fast = fast
        self.allowed = []
        self.suggested = []
        self.closed = None
        self.interested = True
        self.choked_by_us = choked
        self.uploaded = 0
        self.given = []
        self.rejected = []
        self.most_unsent = 0
        self._unsent = []  # the views themselves: they hold memory

    @property
    def unsent(self):
        return sum(map(len, self._unsent))

    def give(self, blocks):
        for index, begin, block in blocks:
            assert block == CONTENT[index * PIECE + begin :][: len(block)]
            self.given.append((index, begin, len(block)))
            self._unsent.append(block)
        self.most_unsent = max(self.most_unsent, self.unsent)

    def take(self):
        self._unsent.clear()

    def reject(self, block):
        self.rejected.append(block)

    def suggest(self, index):
        self.suggested.append(index)

    def allow_fast(self, indices):
        self.allowed += indices

    def close(self, reason):
        self.closed = reason

    def choke(self):
        self.choked_by_us = True

    def unchoke(self):
        self.choked_by_us = False

    def rates(self, now):
        return PeerRates(self.key, self.interested, 0.0, 0.0, False, 0.0, "host")


class Chosen:
    """A choker that unchokes whom the test says."""

    keys = ()

    def __init__(self):
        self.looks = 0

    def choose(self, peers, *, now, seeding, most=None):
        self.looks += 1
        return self.keys


class UploadsTestCase(SynchronousTestCase):
    settings = DiskSettings()
    allowed_fast = 0
    suggests = False

    def setUp(self):
        self.reactor = FakeReactor()
        self.disk = Disk(self.reactor, self.settings)
        self.storage = Counting()
        store = self.disk.open(self.storage, INFO)
        store.start(check=True)
        self.reactor.turn()
        self.storage.reads.clear()
        self.have = Bitfield.full(PIECES)
        self.tally = Tally()
        self.failures = []
        self.peers = [Peer()]
        self.choker = Chosen()
        self.clock = Clock()
        self.uploads = Uploads(
            self.clock,
            self.choker,
            store,
            self.have,
            self.tally,
            lambda: self.peers,
            lambda: True,
            self.failures.append,
            FastPieces(INFO.info_hash.short, INFO.geometry, self.have, lambda: self.allowed_fast),
            lambda: self.suggests,
        )

    @property
    def peer(self):
        return self.peers[0]

    def ask(self, blocks, peer=None):
        """The peer asks in one turn of its connection."""
        peer = peer or self.peer
        self.uploads.requested(peer, blocks)
        self.uploads.give(peer)

    def settle(self):
        """The disk answers until nothing is asked of it."""
        for _ in range(ENOUGH):
            if not self.reactor.replies:
                return
            function, args = self.reactor.replies.pop(0)
            function(*args)
        self.fail("reading never ends")

    def take_all(self, peer=None):
        """The peer takes what it was given, again and again, until it gets no more."""
        peer = peer or self.peer
        self.settle()
        while peer.unsent:
            peer.take()
            self.uploads.give(peer)
            self.settle()


class Answers(UploadsTestCase):
    def test_blocks_are_given_in_the_order_they_were_asked_for(self):
        asked = blocks_of(3, 1) + blocks_of(2)[::-1] + [(0, 5, 100), (3, 40_000, 1), (0, 0, PIECE)]
        self.ask(asked)
        self.take_all()
        self.assertEqual(self.peer.given, asked)
        sent = sum(length for *_, length in asked)
        self.assertEqual((self.peer.uploaded, self.tally.uploaded), (sent, sent))
        self.assertEqual(self.peer.rejected, [])

    def test_what_is_in_memory_is_given_in_the_same_turn(self):
        self.ask(blocks_of(0)[:1])
        self.settle()
        self.ask(blocks_of(0)[1:])
        self.assertEqual(self.peer.given, blocks_of(0))
        self.assertEqual(len(self.storage.reads), 1)

    def test_a_request_said_twice_is_answered_once(self):
        self.ask(blocks_of(0) + blocks_of(0))
        self.take_all()
        self.assertEqual(self.peer.given, blocks_of(0))

    def test_two_peers_that_want_the_same_cause_one_read(self):
        self.peers.append(Peer(2))
        for peer in self.peers:
            self.ask(blocks_of(0), peer)
        self.settle()
        self.assertEqual([peer.given for peer in self.peers], [blocks_of(0)] * 2)
        self.assertEqual(len(self.storage.reads), 1)

    def test_what_cannot_be_given_is_rejected_where_the_peer_understands_it(self):
        self.have.discard(7)
        for fast in True, False:
            peer = Peer(fast=fast)
            self.ask(blocks_of(7, 8), peer)
            self.take_all(peer)
            self.assertEqual(peer.given, blocks_of(8))
            self.assertEqual(peer.rejected, blocks_of(7) if fast else [])

    def test_requests_while_choked_are_not_answered_later_either(self):
        for fast in True, False:
            peer = Peer(fast=fast, choked=True)
            self.ask(blocks_of(0), peer)
            peer.unchoke()
            self.uploads.give(peer)
            self.settle()
            self.assertEqual(peer.given, [])
            self.assertEqual(peer.rejected, blocks_of(0) if fast else [])
        self.assertEqual(self.storage.reads, [])

    def test_of_more_requests_than_a_peer_may_have_open_the_last_are_rejected(self):
        asked = [(0, begin, 10) for begin in range(MAX_ASKED + 20)]
        self.ask(asked)
        self.take_all()
        self.assertEqual(self.peer.given, asked[:MAX_ASKED])
        self.assertEqual(self.peer.rejected, asked[MAX_ASKED:])


class SecondThoughts(UploadsTestCase):
    def test_a_cancelled_request_is_rejected_and_not_given_though_it_is_being_read(self):
        first, second, *_ = blocks_of(0)
        self.ask([first, second])
        self.uploads.cancelled(self.peer, first)
        self.uploads.cancelled(self.peer, (9, 0, BLOCK))
        self.settle()
        self.assertEqual(self.peer.given, [second])
        self.assertEqual(self.peer.rejected, [first])

    def test_a_choke_voids_what_was_asked_though_it_is_being_read(self):
        for index, fast in enumerate((True, False)):
            self.peers[:] = [Peer(fast=fast)]
            self.ask(blocks_of(index))
            self.clock.advance(CHOKE_INTERVAL)
            self.uploads.tick()
            self.assertTrue(self.peer.choked_by_us)
            self.peer.unchoke()
            self.settle()
            self.uploads.give(self.peer)
            self.assertEqual(self.peer.given, [])
            self.assertEqual(self.peer.rejected, blocks_of(index) if fast else [])

    def test_a_peer_that_leaves_is_given_nothing_more(self):
        self.ask(blocks_of(0))
        self.uploads.left(self.peer)
        self.settle()
        self.uploads.give(self.peer)
        self.assertEqual(self.peer.given, [])

    def test_a_disk_that_fails_is_told_and_not_asked_again_and_again(self):
        del self.storage._pieces[3]
        self.ask(blocks_of(3))
        self.settle()
        self.assertEqual(len(self.failures), 1)
        self.assertEqual(len(self.storage.reads), 1)


class Stopped(UploadsTestCase):
    def test_nothing_is_read_or_given_any_more(self):
        self.ask(blocks_of(0)[:1])
        self.settle()
        self.uploads.stop()
        self.storage.reads.clear()
        self.ask(blocks_of(0, 1))
        self.uploads.cancelled(self.peer, blocks_of(1)[0])
        self.uploads.interest_changed(self.peer)
        self.uploads.tick()
        self.settle()
        self.assertEqual((self.storage.reads, self.peer.given), ([], blocks_of(0)[:1]))
        self.assertEqual((self.peer.rejected, self.choker.looks), ([], 0))

    def test_a_read_that_is_under_way_ends_in_nothing(self):
        self.ask(blocks_of(*range(2 * MAX_AT_ONCE)))
        self.uploads.stop()
        self.settle()
        self.assertEqual(self.peer.given, [])
        self.assertEqual(len(self.storage.reads), MAX_AT_ONCE)

    def test_a_read_that_fails_after_it_is_not_told(self):
        del self.storage._pieces[3]
        self.ask(blocks_of(3))
        self.uploads.stop()
        self.settle()
        self.assertEqual(self.failures, [])


class Interest(UploadsTestCase):
    def test_the_newly_interested_are_unchoked_at_once(self):
        self.peer.choke()
        self.choker.keys = (1,)
        self.uploads.interest_changed(self.peer)
        self.assertFalse(self.peer.choked_by_us)

    def test_interest_that_comes_and_goes_is_looked_at_so_often_a_second_and_then_by_the_clock(self):
        self.uploads.tick()
        self.peer.choke()
        self.choker.looks = 0
        for _ in range(5 * MAX_LOOKS):
            self.uploads.interest_changed(self.peer)
        self.assertEqual(self.choker.looks, MAX_LOOKS)
        self.choker.keys = (1,)
        self.clock.advance(1)
        self.uploads.tick()
        self.assertFalse(self.peer.choked_by_us)
        self.assertEqual(self.choker.looks, MAX_LOOKS + 1)
        self.clock.advance(1)
        self.uploads.tick()
        self.assertEqual(self.choker.looks, MAX_LOOKS + 1)


class Bounds(UploadsTestCase):
    settings = DiskSettings(read_ahead=PIECE, read_cache=4 * PIECE, read_memory=16 * PIECE)

    def test_a_peer_that_takes_nothing_is_given_no_more_than_the_bound(self):
        self.ask(blocks_of(*range(PIECES)))
        self.settle()
        self.assertEqual(self.peer.given, blocks_of(*range(PIECES))[: SEND_AHEAD // BLOCK])
        self.uploads.give(self.peer)
        self.assertEqual(self.peer.unsent, SEND_AHEAD)
        self.take_all()
        self.assertEqual(self.peer.given, blocks_of(*range(PIECES)))
        self.assertEqual(self.peer.most_unsent, SEND_AHEAD)

    def test_what_will_be_given_next_is_read_before_there_is_room_for_it(self):
        self.ask(blocks_of(*range(20)))
        self.settle()
        given = len(self.peer.given)
        self.peer.take()
        self.uploads.give(self.peer)
        self.assertGreater(len(self.peer.given), given)

    def test_peers_that_take_nothing_do_not_keep_the_disk_busy(self):
        """More is wanted ahead than the cache holds: what was read is gone before its time comes."""
        self.peers[:] = [Peer(key) for key in range(6)]
        for number, peer in enumerate(self.peers):
            pieces = [(index * 7 + number) % PIECES for index in range(PIECES)]
            self.ask(
                [(index, 0, BLOCK) for index in pieces] + [(index, BLOCK, BLOCK) for index in pieces], peer
            )
        self.settle()
        reads = len(self.storage.reads)
        for peer in self.peers:
            self.uploads.give(peer)
        self.settle()
        self.assertEqual(len(self.storage.reads), reads, "nobody took anything")
        for peer in self.peers:
            self.take_all(peer)
            self.assertEqual(len(peer.given), 2 * PIECES)
            self.assertLessEqual(peer.most_unsent, SEND_AHEAD)

    def test_without_memory_to_read_ahead_with_blocks_come_all_the_same_and_in_order(self):
        self.assertTrue(self.disk.cache.reserve(self.settings.read_memory))  # slow peers hold it all
        asked = blocks_of(*range(20))
        self.ask(asked)
        self.settle()
        self.assertEqual(self.peer.given, asked[: SEND_AHEAD // BLOCK])
        self.take_all()
        self.assertEqual(self.peer.given, asked)
        self.assertEqual(self.peer.most_unsent, SEND_AHEAD, "nor are they given to who does not take them")
        self.assertLessEqual(len(self.storage.reads), len(asked) + 4)

    def test_blocks_that_no_single_read_ahead_covers_come_in_their_place(self):
        asked = [(0, 0, BLOCK), (1, 100, PIECE - 200), (0, BLOCK, BLOCK), (2, 0, PIECE), (3, 0, 10)]
        self.ask(asked)
        self.take_all()
        self.assertEqual(self.peer.given, asked)

    def test_memory_that_slow_peers_hold_is_free_again_when_they_take_it(self):
        self.peers[:] = [Peer(key) for key in range(8)]
        for number, peer in enumerate(self.peers):
            self.ask([((index + 5 * number) % PIECES, 0, BLOCK) for index in range(PIECES)], peer)
        self.settle()
        self.assertLessEqual(self.disk.cache.memory.used, self.settings.read_memory)
        for peer in self.peers:
            self.take_all(peer)
            self.assertEqual(len(peer.given), PIECES)
        self.assertLessEqual(self.disk.cache.memory.used, self.settings.read_cache)


class SmallChunks(Bounds):
    """Blocks that begin in one chunk and end in the next are never in memory whole."""

    settings = DiskSettings(read_ahead=24 << 10, read_cache=96 << 10, read_memory=16 * PIECE)


class EnoughMemory(UploadsTestCase):
    settings = DiskSettings(read_cache=32 * PIECE)

    def test_what_is_asked_for_in_order_is_read_once(self):
        self.ask(blocks_of(*range(PIECES)))
        self.take_all()
        self.assertEqual(self.peer.given, blocks_of(*range(PIECES)))
        self.assertEqual(self.storage.reads, [(index, 0, PIECE) for index in range(PIECES)])
