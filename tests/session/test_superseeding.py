"""Superseeding in whole swarms: what the seed gives, and what peers are told (BEP 16)."""

from twisted.trial.unittest import SynchronousTestCase

from bittwist.session import SessionSettings
from bittwist.session.lifecycle import State
from bittwist.swarm.superseed import SuperseedSettings
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
