"""Superseeding in whole swarms: what the seed gives, and what peers are told (BEP 16)."""

from random import Random
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from bittwist.metainfo.bitfield import Bitfield
from bittwist.metainfo.geometry import Geometry
from bittwist.session import SessionSettings
from bittwist.session.lifecycle import State
from bittwist.session.superseeding import Superseeding
from bittwist.swarm.superseed import Superseed, SuperseedSettings
from bittwist.testing import Conduct, FakePeers
from bittwist.testing.speech import EXTENDED, FAST, Id
from tests.session.swarm import Swarm
from tests.session.torrents import content, torrent

DATA = content(4_000_000)
METAINFO = torrent(DATA, piece_length=65536)
SEED = "10.0.0.1"
PATIENCE = 5.0
SETTINGS = SessionSettings(ports=(6881,), superseed=SuperseedSettings(PATIENCE))


class SuperseedingTestCase(SynchronousTestCase):
    def setUp(self):
        self.swarm = Swarm(seed=1)
        self.seed = self.swarm.session(SEED, DATA, SETTINGS)
        self.seeding = self.swarm.add(self.seed, METAINFO)
        self.seeding.set_superseeding(True)

    def leeches(self, count):
        addresses = [f"10.0.1.{number}" for number in range(1, count + 1)]
        return [
            self.swarm.add(
                self.swarm.session(address),
                METAINFO,
                [f"{SEED}:6881", *(f"{other}:6881" for other in addresses if other < address)],
            )
            for address in addresses
        ]

    def fake(self, address, reserved=FAST):
        peers = FakePeers(
            self.swarm.network.host(address), Conduct(METAINFO.info.info_hash.v1, reserved=reserved)
        )
        peer = self.swarm.network.result_of(peers.dial(SEED, 6881))
        self.swarm.network.advance(2)
        return peer


class GivenOnce(SuperseedingTestCase):
    def test_the_seed_gives_little_more_than_one_copy_before_the_first_of_five_is_complete(self):
        self.swarm.network.host(SEED).limit(upload=1_000_000)
        leeches = self.leeches(5)
        self.swarm.network.run_until(lambda: any(t.state is State.SEEDING for t in leeches), 600)
        self.assertLess(self.seeding.tally.uploaded, 1.1 * len(DATA))
        self.swarm.until_complete(*leeches)
        for number in range(1, 6):
            self.assertEqual(self.swarm.data(f"10.0.1.{number}", METAINFO.info), DATA)
        self.swarm.quiet()

    def test_a_leech_that_meets_nobody_else_is_not_kept_waiting(self):
        self.assertLess(self.swarm.until_complete(*self.leeches(1), limit=100), PATIENCE)
        self.assertEqual(self.seeding.tally.uploaded, len(DATA))
        self.swarm.quiet()

    def test_leeches_that_cannot_reach_each_other_complete_all_the_same(self):
        torrents = []
        for number in (1, 2):
            session = self.swarm.session(f"10.0.2.{number}")
            self.swarm.network.host(f"10.0.2.{number}").firewalled = True
            torrents.append(self.swarm.add(session, METAINFO, [f"{SEED}:6881"]))
        self.assertGreater(self.swarm.until_complete(*torrents, limit=100 * PATIENCE), PATIENCE)
        self.assertLess(self.swarm.network.seconds(), 5 * PATIENCE)
        self.swarm.quiet()

    def test_it_can_be_turned_off(self):
        leeches = self.leeches(2)
        self.swarm.network.advance(2)
        self.seeding.set_superseeding(False)
        self.swarm.until_complete(*leeches, limit=30)
        self.assertFalse(self.seeding.superseeding)
        self.swarm.quiet()

    def test_asked_for_while_stopped_it_begins_with_the_torrent(self):
        self.swarm.network.result_of(self.seeding.stop())
        self.seeding.set_superseeding(True)
        self.seeding.start()
        peer = self.fake("10.0.1.1")
        self.assertEqual((len(peer.got(Id.HAVE_NONE)), len(peer.got(Id.HAVE))), (1, 1))
        peer.close()
        self.swarm.quiet()

    def test_after_a_check_it_goes_on(self):
        leeches = self.leeches(2)
        self.swarm.network.advance(2)
        self.seeding.recheck()
        self.swarm.until_complete(*leeches, limit=100 * PATIENCE)
        self.swarm.quiet()


class Told(SuperseedingTestCase):
    def test_a_peer_is_told_of_nothing_and_then_of_one_piece(self):
        peer = self.fake("10.0.1.1")
        self.assertEqual(len(peer.got(Id.HAVE_NONE)), 1)
        self.assertEqual(peer.got(Id.HAVE_ALL) + peer.got(Id.BITFIELD) + peer.got(Id.ALLOWED_FAST), [])
        self.assertEqual(len(peer.got(Id.HAVE)), 1)
        plain = self.fake("10.0.1.2", bytes(8))
        self.assertEqual(plain.got(Id.BITFIELD), [])
        self.assertEqual(len(plain.got(Id.HAVE)), 1)
        peer.close(), plain.close()
        self.swarm.quiet()

    def test_it_gets_that_piece_and_no_other(self):
        peer, other = self.fake("10.0.1.1"), self.fake("10.0.1.2")
        ((index,),) = [frame.numbers for frame in peer.got(Id.HAVE)]
        peer.say(Id.INTERESTED)
        self.swarm.network.advance(1)
        hidden = (index + 1) % METAINFO.info.geometry.num_pieces
        peer.request(index, 0, 16384)
        peer.request(hidden, 0, 16384)
        self.swarm.network.advance(1)
        self.assertEqual(list(peer.blocks), [(index, 0)])
        self.assertEqual([frame.numbers for frame in peer.got(Id.REJECT)], [(hidden, 0, 16384)])
        peer.close(), other.close()
        self.swarm.quiet()

    def test_the_next_piece_is_told_when_the_first_is_seen_at_another(self):
        one, two = self.fake("10.0.1.1"), self.fake("10.0.1.2")
        (index,) = one.got(Id.HAVE)[0].numbers
        one.say(Id.HAVE, index)
        self.swarm.network.advance(1)
        self.assertEqual(len(one.got(Id.HAVE)), 1)
        two.say(Id.HAVE, index)
        self.swarm.network.advance(0.5)
        self.assertEqual(len(one.got(Id.HAVE)), 2)
        one.close(), two.close()
        self.swarm.quiet()

    def test_a_seed_that_comes_is_parted_from_and_ends_the_pretence(self):
        peer = self.fake("10.0.1.1")
        seed = self.swarm.session("10.0.4.1", DATA)
        self.swarm.add(seed, METAINFO, [f"{SEED}:6881"])
        self.assertTrue(self.seeding.superseeding)
        self.swarm.network.advance(3)
        self.assertEqual((len(self.seeding), self.seeding.superseeding), (1, False))
        peer.close()
        self.swarm.quiet()

    def test_who_knew_before_goes_on_knowing(self):
        self.seeding.set_superseeding(False)
        peer = self.fake("10.0.1.1")
        self.seeding.set_superseeding(True)
        peer.say(Id.INTERESTED)
        self.swarm.network.advance(1)
        for index in range(3):
            peer.request(index, 0, 16384)
        self.swarm.network.advance(1)
        self.assertEqual(len(peer.blocks), 3)
        peer.close()
        self.swarm.quiet()

    def test_it_does_not_say_that_it_only_uploads(self):
        for superseeding in (True, False):
            self.seeding.set_superseeding(superseeding)
            peer = self.fake("10.0.1.1", EXTENDED)
            hello = next(frame.payload for frame in peer.got(Id.EXTENDED) if frame.payload[0] == 0)
            self.assertEqual(b"11:upload_onlyi1e" in hello, not superseeding)
            peer.close()
            self.swarm.network.advance(1)
        self.swarm.quiet()


class Silent:
    """A peer that does not say what it gets."""

    outgoing = True

    def __init__(self, key):
        self.key = key
        self.knows = ()
        self.has = Bitfield(4)
        self.told = []

    def tell(self, indices):
        self.told += indices


class Given(SynchronousTestCase):
    """What a peer has as it was given all of it, whatever it says."""

    geometry = Geometry(65536, 3 * 65536 + 20_000, (3 * 65536 + 20_000,))

    def setUp(self):
        self.policy = mock.Mock(wraps=Superseed(4, Random(1)))
        self.peer, other = Silent(1), Silent(2)
        peers = [self.peer, other]
        self.superseeding = Superseeding(self.policy, Bitfield.full(4), self.geometry, lambda: peers, [], 0.0)
        for each in peers:
            self.superseeding.meets(each)
        self.superseeding.tick(0.0)

    def give(self, index, *blocks):
        self.superseeding.gave(self.peer, [(index, begin, bytes(length)) for begin, length in blocks], 1.0)
        return [call.args[1] for call in self.policy.peer_have.call_args_list]

    def test_one_block_given_again_and_again_is_not_the_whole_piece(self):
        self.assertEqual(self.give(0, *[(0, 16384)] * 9), [])
        self.assertEqual(self.give(0, *[(begin, 16384) for begin in (32768, 49152, 49152)]), [])
        self.assertEqual(self.give(0, (16384, 16384)), [0])

    def test_nor_are_blocks_that_overlap_or_bytes_here_and_there(self):
        self.assertEqual(self.give(0, *[(begin, 16384) for begin in range(0, 32768, 100)]), [])
        self.assertEqual(self.give(1, *[(begin, 1) for begin in range(1023, 65536, 1024)]), [])

    def test_it_may_ask_for_blocks_of_any_size_and_the_last_piece_is_shorter(self):
        self.assertEqual(self.give(2, (0, 32768), (32768, 8192), (40960, 8192), (49152, 16384)), [2])
        self.assertEqual(self.give(3, (16384, 20_000 - 16384), (0, 16384)), [2, 3])

    def test_what_a_peer_was_given_is_forgotten_when_it_leaves(self):
        self.give(0, (0, 49152))
        self.superseeding.left(self.peer, 2.0)
        self.superseeding.tick(3.0)
        self.assertEqual(self.give(0, (49152, 16384)), [])
