"""Who is asked for blocks, and when again: after rejects, cancels, chokes and silence."""

from bittwist.metainfo.bitfield import Bitfield
from bittwist.metainfo.geometry import BLOCK
from bittwist.session.downloads import MAX_REJECTS, REST
from tests.session.test_downloads import GEOMETRY, DownloadsTestCase, Source, right


def blocks_of_all():
    return [(index, begin, length) for index in range(3) for begin, length in GEOMETRY.blocks(index)]


class AskedAgain(DownloadsTestCase):
    """A source with room does not have to say something to be asked."""

    def second_hand(self, seconds):
        for _ in range(seconds):
            self.clock.advance(1)
            self.downloads.tick()

    def test_whose_requests_were_all_cancelled_is_asked_for_other_blocks(self):
        slow = self.joins(1, depth=4)
        has = Bitfield(3)
        has.add(slow.asked[0][0])
        quick = Source(2)
        self.second_hand(6)
        self.downloads.joined(quick, has)
        self.second_hand(1)
        self.assertLessEqual(set(slow.asked), set(quick.asked))
        slow.asked.clear()
        self.downloads.blocks(quick, right(quick.asked))
        self.assertEqual((len(slow.cancels), slow.pipeline.outstanding), (4, 0))
        self.second_hand(1)
        self.assertTrue(slow.asked)
        self.finish(slow)

    def test_who_gave_nothing_for_long_is_asked_for_a_block_now_and_then(self):
        slow = self.joins(1, depth=4)
        self.assertEqual(len(slow.asked), 4)
        slow.asked.clear()
        self.second_hand(1000)
        self.assertTrue(10 <= len(slow.asked) <= 20, len(slow.asked))
        slow.asked = slow.asked[-1:]
        self.finish(slow)


class UnderALimit(DownloadsTestCase):
    def test_no_more_is_outstanding_than_comes_in_good_time_and_the_others_take_turns(self):
        self.downloads.most_outstanding = 3
        first, second = self.joins(1, depth=2), self.joins(2, depth=2)
        self.assertEqual([len(first.asked), len(second.asked)], [2, 1])
        self.downloads.blocks(second, right(second.asked))
        self.clock.advance(1)
        self.downloads.tick()
        self.assertEqual(first.pipeline.outstanding + second.pipeline.outstanding, 3)
        self.downloads.most_outstanding = None
        self.downloads.tick()
        self.finish(first, second)


class Rejects(DownloadsTestCase):
    def test_what_is_rejected_is_asked_of_others(self):
        first, second = self.joins(1), self.joins(2)
        left = [block for block in first.asked if block not in second.asked]
        self.assertTrue(left)
        second.asked.clear()
        for block in left:
            self.downloads.rejected(first, block)
        self.assertEqual(set(second.asked), set(left), "at once, not when the others find it overdue")

    def test_who_rejected_something_is_asked_again_without_saying_more(self):
        source = self.joins(1, depth=4)
        blocks, source.asked = source.asked, []
        for block in blocks:
            self.downloads.rejected(source, block)
        self.clock.advance(1)
        self.downloads.tick()
        self.assertEqual(set(source.asked), set(blocks))

    def reject_all(self, source, at_most=1000):
        """It rejects whatever it is asked, and speaks so that it is asked again."""
        count = 0
        while source.asked and count < at_most:
            blocks, source.asked = source.asked, []
            for block in blocks:
                self.downloads.rejected(source, block)
                count += 1
            self.downloads.ask(source)
        return count

    def test_who_rejects_everything_is_left_alone_for_a_while(self):
        source = self.joins(1)
        for _ in range(3):
            self.assertLessEqual(self.reject_all(source), MAX_REJECTS + len(blocks_of_all()))
            for _ in range(int(REST) - 1):
                self.clock.advance(1)
                self.downloads.tick()
                self.downloads.ask(source)
            self.assertEqual(source.asked, [])
            self.clock.advance(1)
            self.downloads.tick()
            self.assertTrue(source.asked)
        self.finish(source)

    def test_a_block_between_makes_good_for_rejects(self):
        source = self.joins(1)
        for _ in range(20):
            self.assertGreaterEqual(self.reject_all(source, at_most=MAX_REJECTS // 2), MAX_REJECTS // 2)
            self.downloads.blocks(source, right(source.asked[:1]))
            if self.store.waiting:
                break
        self.assertGreater(source.downloaded, BLOCK)

    def test_rejects_that_belong_to_a_choke_cost_nothing(self):
        source = self.joins(1)
        for _ in range(2 * MAX_REJECTS):
            asked, source.asked = source.asked, []
            source.choking = True
            self.downloads.choked(source)
            for block in asked:
                self.downloads.rejected(source, block)
            source.choking = False
            self.downloads.ask(source)
            self.assertEqual(len(source.asked), len(asked))
        self.finish(source)

    def test_a_choke_behind_its_rejects_ends_the_rest_of_who_has_given_something(self):
        source = self.joins(1)
        self.downloads.blocks(source, right(source.asked[:1]))
        source.asked = source.asked[1:]
        self.reject_all(source)
        self.downloads.ask(source)
        self.assertEqual(source.asked, [])
        self.downloads.choked(source)
        self.downloads.ask(source)
        self.assertTrue(source.asked)

    def test_a_late_reject_does_not_take_back_what_was_asked_for_again(self):
        """The choke, our new request and the rejects that belong to the choke cross each other (BEP 6)."""
        source = self.joins(1)
        first, source.asked = source.asked, []
        source.choking = True
        self.downloads.choked(source)
        source.choking = False
        self.downloads.ask(source)
        self.assertEqual(set(source.asked), set(first))
        for block in first:
            self.downloads.rejected(source, block)
        self.assertEqual(source.pipeline.outstanding, len(first))
        self.assertTrue(self.picker.endgame, "the picker knows that all is asked for")
        self.finish(source)


class GivenUp(DownloadsTestCase):
    """A web seed says of some blocks that they will not come, and may be asked for others."""

    def test_what_is_given_up_is_asked_of_others_at_once(self):
        first, second = self.joins(1, depth=6), self.joins(2, depth=100)
        left, second.asked[:] = [block for block in first.asked if block not in second.asked], []
        self.assertTrue(left)
        self.downloads.gave_up(first, left)
        self.assertEqual(set(second.asked), set(left))
        self.finish(second)

    def test_what_it_was_not_asked_for_it_cannot_give_up(self):
        first, second = self.joins(1, depth=2), self.joins(2, depth=2)
        asked = list(second.asked)
        self.downloads.gave_up(first, second.asked)
        self.assertEqual((first.pipeline.outstanding, second.pipeline.outstanding), (2, 2))
        self.assertEqual(second.asked, asked)

    def test_nobody_is_left_alone_for_giving_up_much(self):
        source = self.joins(1)
        for _ in range(MAX_REJECTS):
            blocks, source.asked = source.asked, []
            self.downloads.gave_up(source, blocks)
            self.downloads.ask(source)
            self.assertEqual(len(source.asked), len(blocks))
        self.finish(source)
