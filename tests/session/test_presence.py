"""What peers are told of us: the extension handshake, pieces that are gone, a check meanwhile."""

from twisted.trial.unittest import SynchronousTestCase

from bittwist.metainfo import bencode
from bittwist.session.lifecycle import State
from bittwist.storage.memory import MemoryStorage
from bittwist.testing import Conduct, FakePeers
from bittwist.testing.speech import EXTENDED, FAST, Id, honest, message
from bittwist.wire.extension import OURS, ExtensionHandshake
from tests.session.swarm import Swarm
from tests.session.torrents import content, torrent

PIECE = 32768
DATA = content(10 * PIECE)
METAINFO = torrent(DATA, piece_length=PIECE)
SEED = "10.0.0.1"
BOTH = bytes(a | b for a, b in zip(FAST, EXTENDED))
DONTHAVE = 7  # the number under which the fake peers take it


class PresenceTestCase(SynchronousTestCase):
    def setUp(self):
        self.swarm = Swarm()

    def fake(self, address, target=SEED, reserved=BOTH, hello=None, opening=b"", answer=None):
        opening += message(Id.EXTENDED, b"\0" + bencode.encode(hello)) if hello is not None else b""
        conduct = Conduct(METAINFO.info.info_hash.v1, reserved=reserved, opening=opening, answer=answer)
        peers = FakePeers(self.swarm.network.host(address), conduct)
        peer = self.swarm.network.result_of(peers.dial(target, 6881))
        self.swarm.network.advance(1)
        return peer

    def hellos(self, peer):
        return [
            ExtensionHandshake.decode(frame.payload[1:])
            for frame in peer.got(Id.EXTENDED)
            if frame.payload[0] == 0
        ]


class Handshake(PresenceTestCase):
    def test_a_seed_says_all_of_itself(self):
        seed = self.swarm.session(SEED, DATA)
        self.swarm.add(seed, METAINFO)
        self.swarm.network.advance(2)
        (hello,) = self.hellos(self.fake("10.0.1.1"))
        self.assertEqual(dict(hello.m), dict(OURS) | dict(hello.m))
        self.assertTrue(hello.version.startswith("bittwist"))
        self.assertEqual((hello.port, hello.yourip), (6881, "10.0.1.1"))
        self.assertEqual(hello.metadata_size, len(METAINFO.info.raw))
        self.assertEqual((hello.upload_only, hello.complete_ago), (True, 0))
        self.assertGreaterEqual(hello.reqq, 250)
        self.swarm.quiet()

    def test_a_leech_does_not_say_that_it_only_uploads_and_does_when_it_has_all(self):
        leech = self.swarm.session(SEED)
        fetching = self.swarm.add(leech, METAINFO)
        watcher = self.fake("10.0.1.1")
        self.assertEqual([hello.upload_only for hello in self.hellos(watcher)], [None])
        self.swarm.add(self.swarm.session("10.0.2.1", DATA), METAINFO, [f"{SEED}:6881"])
        self.swarm.until_complete(fetching)
        self.swarm.network.advance(2)
        *_, last = self.hellos(watcher)
        self.assertTrue(last.upload_only)
        self.assertLessEqual(len(self.hellos(watcher)), 3)
        self.swarm.quiet()

    def test_when_a_seed_is_gone_it_is_told_how_long_ago_that_was(self):
        leech = self.swarm.session(SEED)
        self.swarm.network.host(SEED).limit(download=10_000)
        fetching = self.swarm.add(leech, METAINFO)
        seed = self.swarm.session("10.0.2.1", DATA)
        self.swarm.add(seed, METAINFO, [f"{SEED}:6881"])
        self.swarm.network.advance(3)
        self.swarm.network.result_of(seed.stopService())
        self.swarm.network.advance(30)
        self.assertIs(fetching.state, State.DOWNLOADING)
        (hello,) = self.hellos(self.fake("10.0.1.1"))
        self.assertTrue(20 <= hello.complete_ago <= 32, hello.complete_ago)  # its end has to arrive
        self.swarm.quiet()


class OnlyUploads(PresenceTestCase):
    def test_a_partial_seed_that_wants_nothing_is_parted_from_by_a_seed(self):
        seeding = self.swarm.add(self.swarm.session(SEED, DATA), METAINFO)
        peer = self.fake("10.0.1.1", hello={"m": {}, "upload_only": 1})
        self.assertIsNotNone(peer.lost)
        self.assertEqual(len(seeding), 0)
        self.swarm.quiet()

    def test_and_is_asked_by_a_leech_for_what_it_has(self):
        fetching = self.swarm.add(self.swarm.session(SEED), METAINFO)
        half = message(Id.BITFIELD, b"\xf8\x00")
        peer = self.fake(
            "10.0.1.1", hello={"m": {}, "upload_only": 1}, opening=half, answer=honest(DATA, PIECE)
        )
        self.swarm.network.advance(5)
        self.assertIsNone(peer.lost)
        self.assertEqual(fetching.statistics().pieces_done, 5)
        peer.close()
        self.swarm.quiet()


class TheyLose(PresenceTestCase):
    def setUp(self):
        super().setUp()
        self.fetching = self.swarm.add(self.swarm.session(SEED), METAINFO)

    def lose(self, peer, *indices):
        for index in indices:
            peer.send(message(Id.EXTENDED, bytes((OURS["lt_donthave"],)) + index.to_bytes(4, "big")))
        self.swarm.network.advance(0.5)

    def test_what_a_peer_has_no_longer_is_not_asked_of_it(self):
        peer = self.fake("10.0.1.1", opening=message(Id.HAVE_ALL), answer=lambda *_: None)
        asked = {frame.numbers[0] for frame in peer.got(Id.REQUEST)}
        self.assertTrue(asked)
        count = len(peer.got(Id.REQUEST))
        self.lose(peer, *range(9))
        self.swarm.network.advance(5)
        self.assertEqual({frame.numbers[0] for frame in peer.got(Id.REQUEST)[count:]}, {9} - asked)
        self.assertEqual(self.fetching.peers()[0].progress, 0.1)
        peer.close()
        self.swarm.quiet()

    def test_it_is_asked_of_others_at_once(self):
        one = self.fake("10.0.1.1", opening=message(Id.BITFIELD, b"\x80\0"), answer=lambda *_: None)
        two = self.fake("10.0.1.2", opening=message(Id.BITFIELD, b"\x80\0"), answer=honest(DATA, PIECE))
        self.assertEqual(two.got(Id.REQUEST), [])
        self.lose(one, 0)
        self.assertEqual(self.fetching.statistics().pieces_done, 1)
        one.close(), two.close()
        self.swarm.quiet()

    def test_a_piece_that_does_not_exist_or_no_piece_at_all_costs_the_connection(self):
        for payload in (b"\0\0\0\x0a", b"\0\0\0", b""):
            peer = self.fake("10.0.1.1", opening=message(Id.HAVE_ALL))
            peer.send(message(Id.EXTENDED, bytes((OURS["lt_donthave"],)) + payload))
            self.swarm.network.advance(1)
            self.assertIsNotNone(peer.lost)
        self.swarm.quiet()

    def test_from_seed_to_none_and_back_is_heard_only_so_often(self):
        peer = self.fake("10.0.1.1", opening=message(Id.HAVE_ALL))
        for _ in range(40):
            self.lose(peer, 3)
            peer.say(Id.HAVE, 3)
            if peer.lost is not None:
                break
        self.assertIsNotNone(peer.lost)
        self.swarm.quiet()


class Checked(PresenceTestCase):
    """Peers stay while the torrent is checked."""

    def setUp(self):
        super().setUp()
        self.seeding = self.swarm.add(self.swarm.session(SEED, DATA), METAINFO)

    def damage(self, *indices):
        storage: MemoryStorage = self.swarm.storages[SEED]
        for index in indices:
            storage.write(index, 0, memoryview(bytes(PIECE)))

    def recheck(self):
        make = self.seeding._around.storage
        kept = self.swarm.storages[SEED]
        object.__setattr__(self.seeding._around, "storage", lambda *_: kept)
        self.seeding.recheck()
        self.swarm.network.advance(3)
        object.__setattr__(self.seeding._around, "storage", make)

    def test_those_who_understand_are_told_of_each_piece_that_was_found_bad(self):
        peer = self.fake("10.0.1.1", hello={"m": {"lt_donthave": DONTHAVE}})
        self.damage(2, 5)
        self.recheck()
        self.assertIs(self.seeding.state, State.DOWNLOADING)
        lost = [frame.payload[1:] for frame in peer.got(Id.EXTENDED) if frame.payload[0] == DONTHAVE]
        self.assertEqual(lost, [b"\0\0\0\2", b"\0\0\0\5"])
        self.assertIsNone(peer.lost)
        self.assertEqual(peer.got(Id.HAVE), [])
        peer.close()
        self.swarm.quiet()

    def test_the_others_have_to_connect_anew(self):
        peer = self.fake("10.0.1.1")
        self.damage(2)
        self.recheck()
        self.assertIsNotNone(peer.lost)
        (opening,) = self.fake("10.0.1.1").got(Id.BITFIELD)
        self.assertEqual(opening.payload, b"\xdf\xc0")
        self.swarm.quiet()

    def test_nobody_has_to_go_when_all_is_well(self):
        peer = self.fake("10.0.1.1")
        self.recheck()
        self.assertIs(self.seeding.state, State.SEEDING)
        self.assertIsNone(peer.lost)
        self.assertEqual(peer.got(Id.HAVE), [])
        peer.say(Id.INTERESTED)
        self.swarm.network.advance(11)
        peer.request(0, 0, 16384)
        self.swarm.network.advance(1)
        self.assertEqual(list(peer.blocks), [(0, 0)])
        peer.close()
        self.swarm.quiet()

    def test_what_is_asked_meanwhile_is_rejected(self):
        peer = self.fake("10.0.1.1")
        peer.say(Id.INTERESTED)
        self.swarm.network.advance(1)
        self.seeding._peers.suspend()
        peer.request(0, 0, 16384)
        self.swarm.network.advance(1)
        self.assertEqual([frame.identifier for frame in peer.received[-2:]], [Id.CHOKE, Id.REJECT])
        peer.close()
        self.swarm.quiet()

    def test_a_leech_goes_on_with_the_peers_it_had(self):
        leech = self.swarm.session("10.0.3.1")
        self.swarm.network.host("10.0.3.1").limit(download=20_000)
        fetching = self.swarm.add(leech, METAINFO, [f"{SEED}:6881"])
        self.swarm.network.run_until(lambda: fetching.statistics().done > 0, 60)
        self.assertLess(fetching.statistics().done, len(DATA))
        kept = self.swarm.storages["10.0.3.1"]
        object.__setattr__(fetching._around, "storage", lambda *_: kept)
        fetching.recheck()
        self.swarm.until_complete(fetching)
        self.assertEqual(self.swarm.data("10.0.3.1", METAINFO.info), DATA)
        self.assertEqual(len(self.swarm.network.host("10.0.3.1").dialed), 1)
        self.swarm.quiet()
