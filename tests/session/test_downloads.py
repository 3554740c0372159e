"""What becomes of blocks that arrive in rows: gathered, kept, late, twice, too short, not asked for."""

from random import Random

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bittwist.errors import RemoteProtocolError, StorageError
from bittwist.metainfo.bitfield import Bitfield
from bittwist.metainfo.geometry import BLOCK, Geometry
from bittwist.session.downloads import MAX_UNASKED, Downloads
from bittwist.session.statistics import Tally
from bittwist.storage.assembler import Assembler
from bittwist.storage.disk import Kept
from bittwist.swarm.blame import Blame
from bittwist.swarm.picker import Picker, PieceState
from bittwist.swarm.pipeline import Pipeline, PipelineSettings
from tests.storage.torrents import content_of

PIECE = 4 * BLOCK
SIZE = 3 * PIECE - BLOCK - 100  # three pieces: 4, 4 and 3 blocks, of which the last is short
GEOMETRY = Geometry(PIECE, SIZE)
CONTENT = content_of(SIZE)


class Keeper:
    """A store that keeps what is right, when it is told to."""

    def __init__(self):
        self.waiting = []
        self.kept = {}
        self.fault = None

    def keep(self, index, view, *, digests=False):
        answer = Deferred()
        self.waiting.append((index, view, answer))
        return answer

    def work(self):
        while self.waiting:
            index, view, answer = self.waiting.pop(0)
            if self.fault is not None:
                answer.errback(self.fault)
            elif view == CONTENT[index * PIECE : (index + 1) * PIECE]:
                assert index not in self.kept, "kept twice"
                self.kept[index] = bytes(view)
                answer.callback(Kept(True))
            else:
                answer.callback(Kept(False))


class Source:
    """A peer that says what the test has it say."""

    def __init__(self, key, depth=100):
        self.key = key
        self.host = f"host{key}"
        self.pipeline = Pipeline(PipelineSettings(min=depth, max=depth))
        self.downloaded = 0
        self.asked = []
        self.cancels = []
        self.wanted = False
        self.closed = []
        self.choking = False

    def askable(self):
        return not self.choking and not self.closed

    def request(self, blocks):
        self.asked += blocks

    def cancel(self, block):
        self.cancels.append(block)

    def interest(self, wanted):
        self.wanted = wanted

    def close(self, reason):
        self.closed.append(reason)


def right(blocks):
    """The Piece messages that answer these requests."""
    return [(index, begin, CONTENT[index * PIECE + begin :][:length]) for index, begin, length in blocks]


def wrong(blocks):
    return [(index, begin, bytes(length)) for index, begin, length in blocks]


class DownloadsTestCase(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.picker = Picker(GEOMETRY, Random(1), max_active=8, random_first=0)
        self.store = Keeper()
        self.tally = Tally()
        self.verified, self.failed, self.guilty, self.storage_failures = [], [], [], []
        self.assembler = Assembler(GEOMETRY)
        self.downloads = Downloads(
            self.clock, GEOMETRY, self.picker, self.assembler, self.store, Blame(), self.tally, self
        )
        self.downloads.start()

    # The owner

    def piece_verified(self, index):
        self.verified.append(index)

    def piece_failed(self, index):
        self.failed.append(index)

    def storage_failed(self, error):
        self.storage_failures.append(error)

    def host_guilty(self, host):
        self.guilty.append(host)

    # What happens

    def joins(self, key, **how):
        source = Source(key, **how)
        self.downloads.joined(source, Bitfield.full(GEOMETRY.num_pieces))
        return source

    def leaves(self, source):
        source.closed.append(None)
        self.downloads.left(source)

    def finish(self, *sources):
        """Everybody sends what is asked of it, until there is no more."""
        for _ in range(20):
            for source in sources:
                blocks, source.asked = source.asked, []
                self.downloads.blocks(source, right(blocks))
                self.downloads.ask(source)
            self.store.work()
            self.clock.advance(5)
            self.downloads.tick()
        self.assertTrue(self.picker.have.complete)
        self.assertEqual(b"".join(self.store.kept[index] for index in range(3)), CONTENT)


class Rows(DownloadsTestCase):
    def test_all_pieces_may_come_in_one_row(self):
        source = self.joins(1)
        self.assertTrue(source.wanted)
        self.downloads.blocks(source, right(source.asked))
        self.assertEqual(len(self.store.waiting), 3)
        self.store.work()
        self.assertEqual(b"".join(self.store.kept[index] for index in range(3)), CONTENT)
        self.assertEqual(sorted(self.verified), [0, 1, 2])
        self.assertEqual((source.downloaded, self.tally.downloaded, self.tally.wasted), (SIZE, SIZE, 0))

    def test_a_row_may_mix_pieces_in_any_order(self):
        for seed in range(20):
            self.setUp()
            source = self.joins(1)
            row = right(source.asked)
            Random(seed).shuffle(row)
            half = len(row) // 2
            self.downloads.blocks(source, row[:half])
            self.downloads.blocks(source, row[half:])
            self.store.work()
            self.assertEqual(b"".join(self.store.kept[index] for index in range(3)), CONTENT)

    def test_the_bytes_may_change_as_soon_as_they_were_told(self):
        source = self.joins(1)
        row = [(index, begin, memoryview(bytearray(block))) for index, begin, block in right(source.asked)]
        self.downloads.blocks(source, row)
        for _, _, view in row:
            view[:] = bytes(len(view))
        self.store.work()
        self.assertEqual(len(self.store.kept), 3)

    def test_a_block_that_comes_twice_in_a_row_counts_once(self):
        source = self.joins(1)
        (block, *_) = right(source.asked)
        self.downloads.blocks(source, [block, block])
        self.assertEqual((source.downloaded, self.tally.wasted), (BLOCK, BLOCK))
        self.finish(source)

    def test_a_bad_piece_costs_its_host_and_is_fetched_again(self):
        source, other = self.joins(1), self.joins(2)
        blocks = [block for block in source.asked if block[0] == source.asked[0][0]]
        index = blocks[0][0]
        self.downloads.blocks(source, wrong(blocks))
        self.store.work()
        self.assertEqual((self.failed, self.guilty, self.tally.failed_pieces), ([index], ["host1"], 1))
        self.leaves(source)
        self.finish(other)

    def test_a_piece_that_cannot_be_kept_is_told_and_wanted_again(self):
        source = self.joins(1)
        self.store.fault = StorageError("data", "the disk is gone")
        self.downloads.blocks(source, right(source.asked))
        self.store.work()
        self.assertEqual(len(self.storage_failures), 3)
        self.assertEqual([self.picker.state(index) for index in range(3)], [PieceState.WANTED] * 3)
        self.assertLessEqual(self.assembler.bytes, 3 * PIECE, "the buffers are given back")


class WrongLengths(DownloadsTestCase):
    def test_a_block_of_a_wrong_length_ends_the_connection_and_no_download(self):
        for at in range(11):
            for cut in 0, 1, BLOCK // 2:
                self.setUp()
                source, other = self.joins(1), self.joins(2)
                row = right(source.asked)
                index, begin, block = row[at % len(row)]
                row[at % len(row)] = (index, begin, block[:cut])
                self.downloads.blocks(source, row)
                self.assertIsInstance(source.closed[0], RemoteProtocolError)
                self.leaves(source)
                self.finish(other)

    def test_the_short_last_block_is_as_long_as_it_is(self):
        source = self.joins(1)
        last = (2, 2 * BLOCK, SIZE - 2 * PIECE - 2 * BLOCK)
        self.assertIn(last, source.asked)
        self.downloads.blocks(source, right([last]))
        self.assertEqual(source.closed, [])


class NotAskedFor(DownloadsTestCase):
    def test_a_few_blocks_that_were_not_asked_for_are_waste_and_more_end_the_connection(self):
        source = self.joins(1, depth=1)
        (asked,) = source.asked
        stray = (asked[0], (asked[1] + BLOCK) % PIECE, bytes(BLOCK))
        self.downloads.blocks(source, [stray] * MAX_UNASKED)
        self.assertEqual((source.closed, source.downloaded), ([], 0))
        self.assertEqual(self.tally.wasted, MAX_UNASKED * BLOCK)
        self.downloads.blocks(source, [stray])
        self.assertIsInstance(source.closed[0], RemoteProtocolError)

    def test_what_was_asked_for_counts_though_it_comes_among_what_was_not(self):
        source = self.joins(1, depth=1)
        (asked,) = source.asked
        stray = (asked[0], (asked[1] + BLOCK) % PIECE, bytes(BLOCK))
        self.downloads.blocks(source, [stray, *right([asked]), stray])
        self.assertEqual((source.downloaded, self.tally.wasted), (BLOCK, 2 * BLOCK))

    def test_before_anything_is_asked_nothing_counts(self):
        self.downloads.stop()
        source = self.joins(1)
        self.assertEqual(source.asked, [])
        self.downloads.blocks(source, right([(0, 0, BLOCK)]))
        self.assertEqual((source.downloaded, self.tally.wasted), (0, BLOCK))


class Late(DownloadsTestCase):
    def test_blocks_that_come_after_a_choke_count(self):
        source = self.joins(1)
        source.choking = True
        self.downloads.choked(source)
        self.downloads.blocks(source, right(source.asked))
        self.store.work()
        self.assertEqual((len(self.store.kept), source.downloaded, self.tally.wasted), (3, SIZE, 0))

    def test_blocks_that_come_after_others_were_asked_for_them_count(self):
        slow = self.joins(1)
        late = list(slow.asked)
        self.clock.advance(PipelineSettings().snub_after)
        self.downloads.tick()
        other = self.joins(2)
        self.assertTrue(set(other.asked) & set(late))
        self.downloads.blocks(slow, right(late))
        self.assertEqual(slow.downloaded, SIZE)
        self.assertEqual(set(other.cancels), set(other.asked))
        self.downloads.blocks(other, right(other.asked))
        self.assertEqual((other.downloaded, other.closed), (0, []))
        self.store.work()
        self.assertEqual(len(self.store.kept), 3)


class EndGame(DownloadsTestCase):
    """One source holds all that is left; a second one is asked for some of it too."""

    def setUp(self):
        super().setUp()
        self.first = self.joins(1)
        self.second = self.joins(2)
        self.both = list(self.second.asked)
        self.assertTrue(self.both)
        self.assertLessEqual(set(self.both), set(self.first.asked))

    def test_who_is_late_gets_a_cancel_for_each_block_of_the_row(self):
        self.downloads.blocks(self.second, right(self.both))
        self.assertEqual(self.first.cancels, self.both)
        self.assertEqual(self.second.cancels, [])
        self.finish(self.first, self.second)

    def test_what_crosses_its_cancel_is_waste_and_no_fault(self):
        self.downloads.blocks(self.second, right(self.both))
        self.downloads.blocks(self.first, right(self.first.asked))
        self.assertEqual(self.first.closed, [])
        self.assertEqual(self.second.cancels, [])
        length = sum(length for *_, length in self.both)
        self.assertEqual((self.first.downloaded, self.tally.wasted), (SIZE - length, length))
        self.store.work()
        self.assertEqual(len(self.store.kept), 3)

    def test_who_has_left_gets_no_cancel(self):
        self.leaves(self.first)
        self.downloads.blocks(self.second, right(self.both))
        self.assertEqual(self.first.cancels, [])
        self.second.asked = [block for block in self.second.asked if block not in self.both]
        self.finish(self.second)

    def test_the_reject_that_answers_a_cancel_changes_nothing(self):
        self.downloads.blocks(self.second, right(self.both))
        owed = [block for block in self.first.asked if block not in self.both]
        state = [self.picker.state(index) for index in range(3)]
        outstanding = self.first.pipeline.outstanding
        for block in self.first.cancels:
            self.downloads.rejected(self.first, block)
        self.assertEqual([self.picker.state(index) for index in range(3)], state)
        self.assertEqual(self.first.pipeline.outstanding, outstanding)
        self.assertEqual(len(owed), outstanding)
        self.finish(self.first, self.second)


class Stopping(DownloadsTestCase):
    def test_a_piece_that_was_on_its_way_to_the_disk_may_be_kept_or_not(self):
        for fault in None, StorageError("data", "the disk is gone"):
            self.setUp()
            source = self.joins(1)
            self.downloads.blocks(source, right(source.asked))
            self.downloads.stop()
            self.leaves(source)
            self.store.fault = fault
            self.store.work()
            self.assertEqual(self.picker.have.count, 0 if fault else 3)
            self.assertLessEqual(self.assembler.bytes, 3 * PIECE)
            self.assertEqual(self.flushLoggedErrors(), [])
