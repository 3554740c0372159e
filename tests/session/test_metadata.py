"""The info dictionary from peers and to peers: who is asked, for how long, and how much is given (BEP 9)."""

import hashlib
from types import SimpleNamespace

from twisted.trial.unittest import SynchronousTestCase

from bittwist.errors import MetainfoError
from bittwist.metainfo.infohash import InfoHash
from bittwist.session import metadata
from bittwist.session.metadata import MAX_ANSWERS, MAX_UNSENT, PATIENCE, MetadataFetch
from bittwist.wire.extension import ExtensionHandshake
from bittwist.wire.ut_metadata import (
    METADATA_BLOCK,
    MetadataPiece,
    MetadataReject,
    MetadataRequest,
    decode,
)
from tests.session.torrents import content, torrent

INFO = torrent(content(6_000_000), piece_length=1 << 10, name="many pieces").info  # of 8 metadata pieces
RAW = INFO.raw
SIZE = len(RAW)
PIECES = [RAW[at : at + METADATA_BLOCK] for at in range(0, len(RAW), METADATA_BLOCK)]


class Peer:
    def __init__(self, key, size=SIZE, said=None):
        self.key = key
        self.host = f"host{key}"
        self.unsent = 0
        self.metadata_given = metadata.Given()
        self.extensions = said or ExtensionHandshake(m={"ut_metadata": 3}, metadata_size=size)
        self.told = []

    def send_extended(self, message):
        assert message.identifier == 3
        self.told.append(decode(message.payload))

    def asked(self):
        """The pieces asked of it since the last call."""
        told, self.told = self.told, []
        return [request.piece for request in told]


def piece(number, block=None):
    return MetadataPiece(number, len(RAW), PIECES[number] if block is None else block)


class FetchTests(SynchronousTestCase):
    def setUp(self):
        self.arrived, self.guilty, self.broken = [], [], []
        self.fetch = MetadataFetch(
            INFO.info_hash,
            self.arrived.append,
            lambda host, reason: self.guilty.append(host),
            self.broken.append,
        )
        self.now = 0.0

    def joins(self, key, **how):
        peer = Peer(key, **how)
        self.fetch.joined(peer, self.now)
        return peer

    def gives_all(self, peer):
        """It answers whatever it is asked, until nothing more is asked."""
        for _ in PIECES:
            for number in peer.asked():
                self.fetch.received(peer, piece(number), self.now)

    def ticks(self, seconds):
        for _ in range(int(seconds)):
            self.now += 1
            self.fetch.tick(self.now)

    def test_a_peer_that_has_it_gives_it(self):
        self.gives_all(self.joins(1))
        self.assertEqual([info.raw for info in self.arrived], [RAW])

    def test_a_peer_that_rejects_is_left_for_the_next_and_asked_again_when_all_were(self):
        one, two = self.joins(1), self.joins(2)
        self.fetch.received(one, MetadataReject(one.asked()[0]), self.now)
        self.assertTrue(two.told)
        self.fetch.received(two, MetadataReject(two.asked()[0]), self.now)
        self.ticks(1)
        self.gives_all(one)
        self.assertEqual(len(self.arrived), 1)

    def test_a_peer_that_leaves_is_left_for_the_next(self):
        one, two = self.joins(1), self.joins(2)
        self.fetch.left(one, self.now)
        self.gives_all(two)
        self.assertEqual(len(self.arrived), 1)

    def test_the_same_piece_again_and_again_is_no_progress(self):
        dripping, honest = self.joins(1), self.joins(2)
        for _ in range(3):
            self.fetch.received(dripping, piece(0), self.now)
            if not honest.told:
                self.ticks(PATIENCE - 1)
        self.gives_all(honest)
        self.assertEqual(len(self.arrived), 1)

    def test_who_gives_a_piece_whenever_patience_ends_is_not_waited_for_while_another_might_be_quicker(self):
        dripping = self.joins(1)
        honest = self.joins(2)
        for number in range(len(PIECES)):
            self.fetch.received(dripping, piece(number), self.now)
            if not honest.told:
                self.ticks(PATIENCE - 1)
        self.assertLess(self.now, 70)
        self.gives_all(honest)
        self.assertEqual(len(self.arrived), 1)

    def test_a_slow_peer_is_waited_for_while_there_is_no_other(self):
        slow = self.joins(1)
        for number in range(len(PIECES)):
            self.fetch.received(slow, piece(number), self.now)
            self.ticks(PATIENCE - 1)
        self.assertEqual(len(self.arrived), 1)

    def test_a_piece_that_was_not_asked_for_ends_it_with_that_peer(self):
        one, two = self.joins(1), self.joins(2)
        self.fetch.received(one, piece(len(PIECES) - 1), self.now)
        self.assertTrue(two.asked())

    def test_who_is_not_being_asked_changes_nothing(self):
        one, two = self.joins(1), Peer(2)
        self.fetch.received(two, piece(0), self.now)
        self.gives_all(one)
        self.assertEqual(len(self.arrived), 1)

    def test_a_whole_dictionary_with_another_hash_is_proof(self):
        liar = self.joins(1)
        for number in range(len(PIECES)):
            self.fetch.received(liar, piece(number, bytes(len(PIECES[number]))), self.now)
        self.assertEqual((self.guilty, self.arrived), (["host1"], []))

    def test_all_are_asked_at_once_and_no_piece_of_more_than_two(self):
        peers = [self.joins(key) for key in range(5)]
        asked = [number for peer in peers for number in peer.asked()]
        self.assertEqual(set(asked), set(range(len(PIECES))))
        self.assertEqual(max(asked.count(number) for number in asked), 2)

    def test_the_last_pieces_do_not_wait_for_a_slow_peer(self):
        self.joins(1)
        self.gives_all(self.joins(2))
        self.assertEqual(len(self.arrived), 1)
        self.assertEqual(self.now, 0.0)

    def test_who_claims_another_size_does_not_hold_up_the_others(self):
        liar, honest = self.joins(1, size=SIZE + 1), self.joins(2)
        self.fetch.received(liar, MetadataPiece(0, SIZE + 1, bytes(METADATA_BLOCK)), self.now)
        self.gives_all(honest)
        self.assertEqual((len(self.arrived), self.guilty), (1, []))

    def test_more_claimed_sizes_than_are_followed_at_once_wait_for_their_turn(self):
        for key in range(metadata.MAX_DRAFTS):
            self.joins(key, size=SIZE + 1 + key)
        honest = self.joins(100)
        self.assertEqual(honest.told, [])
        self.ticks(PATIENCE + 1)
        self.gives_all(honest)
        self.assertEqual(len(self.arrived), 1)

    def test_when_several_were_wrong_together_the_guilty_is_found_and_nobody_else(self):
        one, liar, three = self.joins(1), self.joins(2), self.joins(3)

        def gives(peer, number):
            lie = bytes(len(PIECES[number])) if peer is liar else None
            self.fetch.received(peer, piece(number, lie), self.now)

        for _ in range(20 * len(PIECES)):
            for peer in (one, liar, three):
                for number in peer.asked():
                    gives(peer, number)
            self.ticks(1)
            if self.arrived:
                break
        self.assertEqual([info.raw for info in self.arrived], [RAW])
        self.assertEqual(set(self.guilty), {"host2"})

    def test_what_has_the_hash_but_is_no_info_dictionary_is_told(self):
        raw = b"d1:xi1ee"
        fetch = MetadataFetch(
            InfoHash(v1=hashlib.sha1(raw).digest()), self.arrived.append, print, self.broken.append
        )
        peer = Peer(1, size=len(raw))
        fetch.joined(peer, 0.0)
        fetch.received(peer, MetadataPiece(0, len(raw), raw), 0.0)
        self.assertIsInstance(self.broken[0], MetainfoError)

    def test_who_does_not_offer_it_or_claims_too_much_is_not_asked(self):
        for said in (
            ExtensionHandshake(m={}, metadata_size=10),
            ExtensionHandshake(m={"ut_metadata": 3}),
            ExtensionHandshake(m={"ut_metadata": 3}, metadata_size=(10 << 20) + 1),
        ):
            self.assertEqual(self.joins(1, said=said).told, [])


class AnswerTests(SynchronousTestCase):
    def ask(self, peer, number, now=0.0, raw=RAW):
        peer.told.clear()
        metadata.answer(peer, MetadataRequest(number), raw, now)
        return peer.told[0] if peer.told else None

    def test_each_piece_is_given_and_no_other(self):
        peer = Peer(1)
        self.assertEqual(b"".join(bytes(self.ask(peer, n).block) for n in range(len(PIECES))), RAW)
        self.assertEqual(self.ask(peer, len(PIECES)), MetadataReject(len(PIECES)))
        self.assertEqual(self.ask(peer, 0, raw=None), MetadataReject(0))

    def test_so_many_a_second_and_the_rest_is_rejected(self):
        peer = Peer(1)
        for second in range(3):
            for _ in range(MAX_ANSWERS):
                self.assertIsInstance(self.ask(peer, 0, now=float(second)), MetadataPiece)
            self.assertEqual(self.ask(peer, 0, now=second + 0.9), MetadataReject(0))

    def test_who_does_not_take_what_it_is_given_gets_no_more(self):
        peer = Peer(1)
        peer.unsent = MAX_UNSENT
        self.assertEqual(self.ask(peer, 0), MetadataReject(0))
        peer.unsent -= 1
        self.assertIsInstance(self.ask(peer, 0), MetadataPiece)

    def test_who_does_not_speak_it_gets_no_answer(self):
        self.assertIsNone(self.ask(Peer(1, said=SimpleNamespace(m={})), 0))
