"""What a choked peer may have all the same (BEP 6), and how long one may ask for nothing (B9)."""

from bittwist.metainfo.bitfield import Bitfield
from bittwist.metainfo.geometry import BLOCK
from bittwist.session.uploads import CHOKE_INTERVAL
from bittwist.swarm.allowedfast import COPIES, GRACE, MAX_REFUSED, NEWCOMER
from bittwist.wire.fast import ALLOWED_FAST_PIECES, allowed_fast_set
from tests.session.test_uploads import INFO, PIECE, PIECES, Peer, UploadsTestCase, blocks_of

SET = allowed_fast_set(Peer.host, INFO.info_hash.short, PIECES)
OTHER = next(index for index in range(PIECES) if index not in SET)


class FastTestCase(UploadsTestCase):
    allowed_fast = ALLOWED_FAST_PIECES

    def setUp(self):
        super().setUp()
        self.peers[:] = [Peer(choked=True)]
        self.peer.has = Bitfield(PIECES)

    def second_hand(self, seconds):
        for _ in range(seconds):
            self.clock.advance(1)
            self.uploads.tick()


class Allowed(FastTestCase):
    def test_a_newcomer_that_is_left_choked_is_allowed_a_few_pieces_once(self):
        self.uploads.interest_changed(self.peer)
        self.uploads.interest_changed(self.peer)
        self.assertEqual(self.peer.allowed, SET)
        self.assertTrue(5 <= len(SET) <= 10)

    def test_and_gets_them_though_it_is_choked(self):
        self.uploads.interest_changed(self.peer)
        self.ask(blocks_of(SET[0], OTHER))
        self.take_all()
        self.assertEqual(self.peer.given, blocks_of(SET[0]))
        self.assertEqual(self.peer.rejected, blocks_of(OTHER))

    def test_only_so_much_of_them(self):
        self.uploads.interest_changed(self.peer)
        for _ in range(COPIES + 3):
            self.ask(blocks_of(*SET))
            self.take_all()
        self.assertEqual(len(self.peer.given), COPIES * len(SET) * PIECE // BLOCK)
        self.assertIsNone(self.peer.closed)

    def test_nothing_is_allowed_to_one_that_is_unchoked_at_once(self):
        self.choker.keys = (1,)
        self.uploads.interest_changed(self.peer)
        self.assertEqual((self.peer.choked_by_us, self.peer.allowed), (False, []))

    def test_nor_to_one_that_has_pieces_to_trade_or_lacks_the_extension_or_is_told_of_single_pieces(self):
        rich, plain, deceived = Peer(2, choked=True), Peer(3, fast=False, choked=True), Peer(4, choked=True)
        rich.has = Bitfield(PIECES)
        for index in range(NEWCOMER):
            rich.has.add(index)
        deceived.knows = (3,)
        for peer in (rich, plain, deceived):
            self.uploads.interest_changed(peer)
            self.assertEqual(peer.allowed, [])

    def test_what_we_lack_and_what_it_has_is_not_allowed(self):
        self.have.discard(SET[0])
        self.peer.has.add(SET[1])
        self.uploads.interest_changed(self.peer)
        self.assertEqual(self.peer.allowed, SET[2:])

    def test_it_ends_when_the_peer_has_enough_to_trade(self):
        self.uploads.interest_changed(self.peer)
        for index in range(PIECES):
            self.peer.has.add(index)
        self.ask(blocks_of(SET[0]))
        self.take_all()
        self.assertEqual((self.peer.given, self.peer.rejected), ([], blocks_of(SET[0])))

    def test_a_choke_leaves_the_requests_for_them_open(self):
        self.uploads.interest_changed(self.peer)
        self.peer.unchoke()
        self.ask(blocks_of(SET[0], OTHER))
        self.clock.advance(CHOKE_INTERVAL)
        self.uploads.tick()
        self.assertTrue(self.peer.choked_by_us)
        self.take_all()
        self.assertEqual(self.peer.given, blocks_of(SET[0]))
        self.assertEqual(self.peer.rejected, blocks_of(OTHER))

    def test_none_are_allowed_where_the_settings_say_so(self):
        self.allowed_fast = 0
        self.uploads.interest_changed(self.peer)
        self.assertEqual(self.peer.allowed, [])


class Refused(FastTestCase):
    def test_who_goes_on_asking_while_choked_is_dropped(self):
        for fast in True, False:
            peer = Peer(5 + fast, fast=fast, choked=True)
            self.ask(blocks_of(OTHER)[:1] * MAX_REFUSED, peer)
            self.assertIsNone(peer.closed)
            self.ask(blocks_of(OTHER)[:1], peer)
            self.assertIsNotNone(peer.closed)

    def test_what_was_on_its_way_when_it_was_choked_is_nobodys_fault(self):
        self.peer.unchoke()
        self.second_hand(int(CHOKE_INTERVAL))
        self.assertTrue(self.peer.choked_by_us)
        self.ask(blocks_of(*range(PIECES)))
        self.assertIsNone(self.peer.closed)
        self.second_hand(int(GRACE))
        self.ask(blocks_of(*range(PIECES)))
        self.assertIsNotNone(self.peer.closed)

    def test_an_unchoke_between_makes_good_for_them(self):
        self.ask(blocks_of(OTHER)[:1] * MAX_REFUSED)
        self.choker.keys = (1,)
        self.second_hand(int(CHOKE_INTERVAL))
        self.choker.keys = ()
        self.second_hand(int(CHOKE_INTERVAL + GRACE))
        self.assertTrue(self.peer.choked_by_us)
        self.ask(blocks_of(OTHER)[:1] * MAX_REFUSED)
        self.assertIsNone(self.peer.closed)


class Suggestions(FastTestCase):
    suggests = True

    def setUp(self):
        super().setUp()
        self.peers[:] = [Peer(1), Peer(2)]
        self.choker.keys = (1, 2)
        for peer in self.peers:
            peer.has = Bitfield(PIECES)

    def test_others_are_told_once_of_a_piece_that_was_read_for_one(self):
        reader, other = self.peers
        self.ask(blocks_of(3), reader)
        self.take_all(reader)
        self.second_hand(5)
        self.assertEqual(other.suggested, [3])

    def test_and_of_a_piece_that_is_new(self):
        self.uploads.came(7)
        self.second_hand(2)
        self.assertEqual([peer.suggested for peer in self.peers], [[7], [7]])

    def test_not_of_what_they_have_or_have_asked_for(self):
        one, other = self.peers
        one.has.add(7)
        self.uploads.requested(other, blocks_of(7))
        self.uploads.came(7)
        self.second_hand(1)
        self.assertEqual([peer.suggested for peer in self.peers], [[], []])

    def test_nobody_who_is_choked_or_does_not_understand_or_is_told_of_single_pieces(self):
        choked, plain, deceived = Peer(3, choked=True), Peer(4, fast=False), Peer(5)
        deceived.knows = (7,)
        self.peers[:] = [choked, plain, deceived]
        self.choker.keys = (4, 5)
        for peer in self.peers:
            peer.has = Bitfield(PIECES)
        self.uploads.came(7)
        self.second_hand(1)
        self.assertEqual([peer.suggested for peer in self.peers], [[], [], []])

    def test_nothing_unless_that_is_wanted(self):
        self.suggests = False
        self.uploads.came(7)
        self.second_hand(1)
        self.assertEqual([peer.suggested for peer in self.peers], [[], []])


class Deceived(FastTestCase):
    def test_who_was_told_of_single_pieces_gets_no_others(self):
        self.peer.unchoke()
        self.peer.knows = {3}
        self.ask(blocks_of(3, 4))
        self.take_all()
        self.assertEqual((self.peer.given, self.peer.rejected), (blocks_of(3), blocks_of(4)))


class ChokedAll(FastTestCase):
    def test_everyone_is_choked_and_what_was_asked_is_rejected_where_that_is_understood(self):
        self.peers[:] = [Peer(1), Peer(2, fast=False)]
        for peer in self.peers:
            self.ask(blocks_of(0), peer)
        self.uploads.choke_all()
        self.settle()
        self.assertEqual([peer.choked_by_us for peer in self.peers], [True, True])
        self.assertEqual([peer.rejected for peer in self.peers], [blocks_of(0), []])
        self.assertEqual([peer.given for peer in self.peers], [[], []])
