"""Who is let in, who is dialed again, and what peers say that must cost nothing."""

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from bittwist.metainfo import bencode
from bittwist.metainfo.magnet import Magnet
from bittwist.peer.reading import Reading
from bittwist.session import SessionSettings
from bittwist.session.conversation import MAX_ALLOWED_FAST, MAX_UNREAD
from bittwist.session.lifecycle import State
from bittwist.swarm.choker import Choker
from bittwist.testing import speech
from bittwist.testing.peer import Conduct, FakePeers
from bittwist.testing.speech import Id
from tests.session.swarm import Swarm
from tests.session.torrents import content, torrent

DATA = content(1_000_000)
METAINFO = torrent(DATA, piece_length=32768)
HASH = METAINFO.info.info_hash.short
NUM_PIECES = METAINFO.info.geometry.num_pieces
HELLO = speech.message(Id.EXTENDED, b"\0" + bencode.encode({"m": {"ut_metadata": 3}}))


def peer_id(number):
    return b"-FP0001-%012d" % number


def dials(torrent_):
    """The addresses a torrent dials from now on."""
    dialed = []
    connector = torrent_._around.connector
    dial = connector.dial

    def counting(address, info_hash):
        dialed.append(address)
        return dial(address, info_hash)

    connector.dial = counting
    return dialed


class PeersTestCase(SynchronousTestCase):
    def setUp(self):
        self.swarm = Swarm()
        self.network = self.swarm.network
        self.ports = []

    def listens(self, conduct, host="10.0.0.9"):
        peers = FakePeers(self.network.host(host), conduct)
        self.ports.append(peers.listen(6881))
        return peers

    def dials_in(self, conduct, host="10.0.0.9", wait=1.0):
        """A fake peer dials 10.0.0.1."""
        peer = self.network.result_of(FakePeers(self.network.host(host), conduct).dial("10.0.0.1", 6881))
        self.network.advance(wait)
        return peer

    def quiet(self, *peers):
        for peer in peers:
            if peer.lost is None:
                peer.abort()
        for port in self.ports:
            port.stopListening()
        self.network.advance(1)
        self.swarm.quiet()


class AdmissionTests(PeersTestCase):
    def test_somebody_elses_peer_id_does_not_turn_its_owner_out(self):
        owner = self.listens(Conduct(HASH, peer_id=b"\xff" * 20))
        session = self.swarm.session("10.0.0.1")
        torrent_ = self.swarm.add(session, METAINFO, ["10.0.0.9:6881"])
        self.network.advance(1)
        copyist = self.dials_in(Conduct(HASH, peer_id=b"\xff" * 20), "10.0.6.6")
        self.assertIsNone(owner.peers[0].lost)
        self.assertIsNone(copyist.lost)
        self.assertEqual(len(torrent_), 2)
        self.quiet(copyist, owner.peers[0])

    def test_one_host_does_not_fill_a_torrent(self):
        seed = self.swarm.session("10.0.0.1", DATA)
        seeding = self.swarm.add(seed, METAINFO)
        limit = seed.settings.max_peers_per_host
        crowd = [
            self.dials_in(Conduct(HASH, peer_id=peer_id(n)), "10.0.6.6", wait=0.1) for n in range(limit + 1)
        ]
        self.network.advance(6)
        self.assertEqual([peer.lost is None for peer in crowd], [True] * limit + [False])
        fetching = self.swarm.add(self.swarm.session("10.0.0.2"), METAINFO, ["10.0.0.1:6881"])
        self.swarm.until_complete(fetching)
        self.assertGreater(len(seeding), limit - 1)
        self.quiet(*crowd)

    def test_who_shakes_hands_with_a_torrent_that_has_stopped_meanwhile_is_refused(self):
        session = self.swarm.session("10.0.0.1", DATA)
        torrent_ = self.swarm.add(session, METAINFO)
        self.network.advance(1)
        peer = self.dials_in(Conduct(HASH, shake=False))
        hello = speech.handshake(HASH, peer_id(1))
        peer.send(hello[:48])
        self.network.advance(0.5)
        self.network.result_of(torrent_.stop())
        peer.send(hello[48:])
        self.network.advance(6)
        self.assertEqual(len(torrent_), 0)
        self.assertIsNotNone(peer.lost)
        torrent_.start()
        self.network.advance(1)
        another = self.dials_in(Conduct(HASH))
        self.assertEqual(len(torrent_), 1)
        self.quiet(another)

    def test_who_comes_while_the_disk_is_behind_is_not_read_until_it_has_caught_up(self):
        self.swarm.add(self.swarm.session("10.0.0.2", DATA), METAINFO)
        leech = self.swarm.session("10.0.0.1")
        fetching = self.swarm.add(leech, METAINFO)
        self.network.advance(1)
        fetching.pause_peers()
        leech.add_peers(fetching, ["10.0.0.2:6881"])
        self.network.advance(5)
        self.assertEqual((len(fetching), fetching.tally.downloaded), (1, 0))
        fetching.resume_peers()
        self.swarm.until_complete(fetching, limit=10)
        self.quiet()

    def test_reading_goes_on_for_those_who_come_later(self):
        paused = []
        self.patch(Reading, "pause", lambda reading: paused.append(reading))
        fetching = self.swarm.add(self.swarm.session("10.0.0.1"), METAINFO)
        self.network.advance(1)
        fetching.pause_peers()
        fetching.resume_peers()
        peer = self.dials_in(Conduct(HASH))
        self.assertEqual(paused, [])
        self.quiet(peer)


class DialedAgainTests(PeersTestCase):
    def test_what_we_end_ourselves_is_no_failure_of_the_peer(self):
        self.swarm.add(self.swarm.session("10.0.0.2", DATA), METAINFO)
        self.network.host("10.0.0.2").limit(upload=3000)
        fetching = self.swarm.add(self.swarm.session("10.0.0.1"), METAINFO, ["10.0.0.2:6881"])
        self.network.run_until(lambda: len(fetching) == 1)
        for _ in range(10):
            fetching.recheck()
            self.network.run_until(lambda: fetching.state is State.DOWNLOADING)
            self.network.run_until(lambda: len(fetching) == 1, limit=5)
        for _ in range(10):
            self.network.result_of(fetching.stop())
            fetching.start()
            self.network.run_until(lambda: len(fetching) == 1, limit=10)
        self.quiet()

    def test_who_has_dialed_us_is_not_dialed_while_it_is_here(self):
        one, two = self.swarm.session("10.0.0.1"), self.swarm.session("10.0.0.2")
        torrents = [
            self.swarm.add(one, METAINFO, ["10.0.0.2:6881"]),
            self.swarm.add(two, METAINFO, ["10.0.0.1:6881"]),
        ]
        self.network.advance(5)
        dialed = [*map(dials, torrents)]
        self.network.advance(3600)
        self.assertEqual(dialed, [[], []])
        self.assertEqual([len(t) for t in torrents], [1, 1])
        self.network.result_of(torrents[0].stop())
        torrents[0].start()
        self.network.run_until(lambda: len(torrents[0]) == 1, limit=60)
        self.quiet()

    def test_a_session_dials_itself_once(self):
        session = self.swarm.session("10.0.0.1")
        torrent_ = self.swarm.add(session, METAINFO)
        dialed = dials(torrent_)
        for _ in range(6):
            session.add_peers(torrent_, ["10.0.0.1:6881"])
            self.network.advance(1800)
        self.assertEqual(len(dialed), 1)
        self.quiet()


class SeedTests(PeersTestCase):
    def seeds(self, *hosts):
        return [self.swarm.add(self.swarm.session(host, DATA), METAINFO) for host in hosts]

    def test_two_seeds_part_and_leave_each_other_alone(self):
        one, two = self.seeds("10.0.0.1", "10.0.0.2")
        self.swarm.until_complete(one, two)
        dialed = dials(one)
        self.swarm.sessions[0].add_peers(one, ["10.0.0.2:6881"])
        self.network.advance(6)
        self.assertEqual((len(one), len(two)), (0, 0))
        self.network.advance(1800)
        self.assertEqual(len(dialed), 1)
        self.network.advance(12 * 3600)
        self.assertLessEqual(len(dialed), 14)
        self.assertEqual(len(one._candidates), 1, "it is no failure to be a seed")
        self.quiet()

    def test_who_completes_parts_from_the_seeds_it_has(self):
        (seeding,) = self.seeds("10.0.0.2")
        fetching = self.swarm.add(self.swarm.session("10.0.0.1"), METAINFO, ["10.0.0.2:6881"])
        self.swarm.until_complete(fetching)
        self.network.advance(6)
        self.assertEqual((len(fetching), len(seeding)), (0, 0))
        self.quiet()

    def test_a_peer_that_wants_nothing_is_as_good_as_a_seed(self):
        self.seeds("10.0.0.1")
        hello = bencode.encode({"m": {}, "upload_only": 1})
        opening = speech.bitfield([1], NUM_PIECES) + speech.message(Id.EXTENDED, b"\0" + hello)
        peer = self.dials_in(Conduct(HASH, reserved=speech.EXTENDED, opening=opening), wait=6)
        self.assertIsNotNone(peer.lost)
        leech = self.dials_in(Conduct(HASH, opening=speech.bitfield([1], NUM_PIECES)), wait=6)
        self.assertIsNone(leech.lost)
        leech.send(b"".join(speech.numbered(Id.HAVE, n) for n in range(NUM_PIECES)))
        self.network.advance(6)
        self.assertIsNotNone(leech.lost)
        self.quiet()

    def test_seeds_are_dialed_at_once_when_a_check_finds_pieces_missing(self):
        one, two = self.seeds("10.0.0.1", "10.0.0.2")
        self.swarm.until_complete(one, two)
        self.swarm.sessions[0].add_peers(one, ["10.0.0.2:6881"])
        self.network.advance(6)
        storage = self.swarm.storages["10.0.0.1"]
        self.swarm.sessions[0]._around = None
        object.__setattr__(one._around, "storage", lambda path, info: storage)
        storage.write(3, 0, memoryview(bytes(32768)))
        one.recheck()
        self.network.run_until(lambda: one.state is State.DOWNLOADING)
        self.swarm.until_complete(one, limit=10)
        self.quiet()


class CheapTalkTests(PeersTestCase):
    def test_allowed_fast_pieces_are_asked_for_once(self):
        opening = speech.message(Id.HAVE_ALL) + b"".join(
            speech.numbered(Id.ALLOWED_FAST, n) for n in range(5)
        )
        peers = self.listens(Conduct(HASH, reserved=speech.FAST, opening=opening, unchoke_after=None))
        self.swarm.add(self.swarm.session("10.0.0.1"), METAINFO, ["10.0.0.9:6881"])
        self.network.advance(3)
        asked = [frame.numbers for frame in peers.peers[0].got(Id.REQUEST)]
        self.assertTrue(asked)
        self.assertEqual(len(asked), len(set(asked)))
        peers.peers[0].send(speech.numbered(Id.ALLOWED_FAST, 7) * 5)
        self.network.advance(1)
        again = [frame.numbers for frame in peers.peers[0].got(Id.REQUEST)]
        self.assertEqual(len(again), len(set(again)))
        self.quiet(*peers.peers)

    def test_no_more_allowed_fast_pieces_are_kept_than_the_bound(self):
        magnet = Magnet.parse(f"magnet:?xt=urn:btih:{METAINFO.info.info_hash}")
        torrent_ = self.swarm.add(self.swarm.session("10.0.0.1"), magnet)
        peer = self.dials_in(Conduct(HASH, reserved=speech.FAST))
        for start in range(0, 4000, 1000):
            peer.send(b"".join(speech.numbered(Id.ALLOWED_FAST, start + n) for n in range(1000)))
            self.network.advance(0.2)
        (talk,) = torrent_._peers
        self.assertEqual(len(talk.allowed_fast), MAX_ALLOWED_FAST)
        self.quiet(peer)

    def test_interest_said_again_is_not_looked_at_again(self):
        looks = []
        choose = Choker.choose

        def counting(choker, peers, **how):
            looks.append(len(peers))
            return choose(choker, peers, **how)

        self.patch(Choker, "choose", counting)
        self.swarm.add(self.swarm.session("10.0.0.1", DATA), METAINFO)
        others = [self.dials_in(Conduct(HASH, peer_id=peer_id(n)), f"10.0.2.{n + 1}") for n in range(9)]
        for peer in others:
            peer.say(Id.INTERESTED)
        self.network.advance(1)
        looks.clear()
        late = self.dials_in(Conduct(HASH))
        late.send(speech.message(Id.INTERESTED) * 5000)
        self.network.advance(0.5)
        self.assertLessEqual(len(looks), 3)
        looks.clear()
        late.send((speech.message(Id.NOT_INTERESTED) + speech.message(Id.INTERESTED)) * 2500)
        self.network.advance(0.5)
        self.assertLessEqual(len(looks), 30)
        self.quiet(late, *others)

    def test_unchokes_and_chokes_that_take_turns_cost_bounded_memory(self):
        opening = speech.bitfield(range(NUM_PIECES), NUM_PIECES)
        torrent_ = self.swarm.add(self.swarm.session("10.0.0.1"), METAINFO)
        self.network.advance(1)
        peer = self.dials_in(Conduct(HASH, opening=opening, reads=False))
        flips = (speech.message(Id.UNCHOKE) + speech.message(Id.CHOKE)) * 500
        for _ in range(20):
            peer.send(flips)
            self.network.advance(0.2)
        (talk,) = torrent_._peers
        self.assertLess(talk.unsent, 1000)
        for _ in range(100):
            peer.say(Id.UNCHOKE)
            self.network.advance(0.05)
            peer.say(Id.CHOKE)
            self.network.advance(0.05)
        self.assertLess(talk.unsent, MAX_UNREAD)
        self.quiet(peer)

    def test_a_flood_of_metadata_requests_costs_bounded_memory(self):
        torrent_ = self.swarm.add(self.swarm.session("10.0.0.1", DATA), METAINFO)
        one = speech.message(Id.EXTENDED, b"\1" + bencode.encode({"msg_type": 0, "piece": 0}))
        peer = self.dials_in(Conduct(HASH, reserved=speech.EXTENDED, opening=HELLO, reads=False))
        for _ in range(50):
            peer.send(one * 2000)
            self.network.advance(0.2)
            for talk in torrent_._peers:
                self.assertLess(talk.unsent, 1 << 20)
        self.quiet(peer)

    def test_a_peer_that_rejects_all_it_is_asked_is_left_alone_for_a_while(self):
        conduct = Conduct(HASH, reserved=speech.FAST, opening=speech.message(Id.HAVE_ALL))
        peers = self.listens(conduct)
        build = peers.buildProtocol

        def rejecting(addr):
            peer = build(addr)
            react = peer._react

            def reject(frame):
                react(frame)
                if frame.identifier == Id.REQUEST:
                    peer.say(Id.REJECT, *frame.numbers)

            peer._react = reject
            return peer

        peers.buildProtocol = rejecting
        fetching = self.swarm.add(self.swarm.session("10.0.0.1"), METAINFO, ["10.0.0.9:6881"])
        self.network.advance(25)
        (peer,) = peers.peers
        self.assertLess(len(peer.got(Id.REQUEST)), 80)
        self.network.advance(65)
        self.assertTrue(110 < len(peer.got(Id.REQUEST)) < 240, "it is tried again now and then")
        self.swarm.add(self.swarm.session("10.0.0.2", DATA), METAINFO)
        self.swarm.sessions[0].add_peers(fetching, ["10.0.0.2:6881"])
        self.swarm.until_complete(fetching, limit=10)
        self.quiet(*peers.peers)


class LimitTests(PeersTestCase):
    def test_a_candidate_is_not_lost_though_the_session_was_full_for_hours(self):
        self.swarm.add(self.swarm.session("10.0.0.2", DATA), METAINFO)
        full = SessionSettings(ports=(6881,), max_peers=1)
        leech = self.swarm.session("10.0.0.1", settings=full)
        nobody_has_it = torrent(content(100_000, b"other"))
        self.swarm.add(self.swarm.session("10.0.0.3"), nobody_has_it)
        other = self.swarm.add(leech, nobody_has_it, ["10.0.0.3:6881"])
        self.network.run_until(lambda: len(other) == 1, 30)
        fetching = self.swarm.add(leech, METAINFO, ["10.0.0.2:6881"])
        self.network.advance(4 * 3600)
        self.assertEqual((len(other), len(fetching)), (1, 0))
        leech.apply(replace(full, max_peers=10))
        self.swarm.until_complete(fetching, limit=120)
        self.quiet()
