"""What bad peers and bad luck meet in a whole session (SECURITY.md T7–T9, T31–T33, T38, B10)."""

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from bittwist.errors import DiskFull, StorageError
from bittwist.metainfo.magnet import Magnet
from bittwist.session import SessionSettings
from bittwist.session.lifecycle import State
from bittwist.session.observe import PeerBanned
from bittwist.session.uploads import MAX_ASKED, SEND_AHEAD
from bittwist.storage.interfaces import IStorage
from bittwist.storage.memory import MemoryStorage
from bittwist.testing import speech
from bittwist.testing.peer import Conduct, FakePeers
from bittwist.testing.speech import Id
from tests.scale import SEED, runs
from tests.session.swarm import Swarm, fill
from tests.session.torrents import content, torrent

DATA = content(1_000_000)
METAINFO = torrent(DATA, piece_length=32768)
HASH = METAINFO.info.info_hash.short


@implementer(IStorage)
class Failing:
    """A storage that raises `error` on writes, or on reads, while told to."""

    def __init__(self, info):
        self._inner = MemoryStorage(info)
        self.write_error = None
        self.read_error = None

    def write(self, index, begin, view):
        if self.write_error is not None:
            raise self.write_error
        self._inner.write(index, begin, view)

    def read_into(self, index, begin, view):
        if self.read_error is not None:
            raise self.read_error
        self._inner.read_into(index, begin, view)

    def __getattr__(self, name):
        return getattr(self._inner, name)


def poisoner(share, seed):
    """A seed that spoils that share of the blocks it gives, the same ones in every run of a seed."""
    import random

    chance = random.Random(seed)
    honest = speech.honest(DATA, METAINFO.info.piece_length)

    def answer(index, begin, length):
        block = honest(index, begin, length)
        return bytes([block[0] ^ 1]) + block[1:] if chance.random() < share else block

    conduct = Conduct.seed(HASH, DATA, METAINFO.info.piece_length, peer_id=b"-XX0001-poisonpoison")
    return Conduct(conduct.info_hash, conduct.peer_id, opening=conduct.opening, answer=answer)


class PoisonTests(SynchronousTestCase):
    def test_a_poisoner_is_banned_honest_seeds_never_and_all_is_right(self):
        """T7."""
        for run in range(runs(6, 100)):
            honest = 1 + 2 * (run % 2)
            with self.subTest(seed=SEED + run, honest=honest):
                self.poison(SEED + run, honest, 0.10)

    def test_one_honest_seed_among_nineteen_poisoners_is_enough(self):
        """T8."""
        self.poison(SEED, 1, 1.0, bad_peers=19)

    def poison(self, seed, honest, share, bad_peers=1):
        swarm = Swarm(seed)
        for n in range(honest):
            swarm.add(swarm.session(f"10.0.0.{n + 1}", DATA), METAINFO)
        ports = []
        for n in range(bad_peers):
            host = swarm.network.host(f"10.0.9.{n + 1}")
            ports.append(FakePeers(host, poisoner(share, seed + n)).listen(6881))
        leech = swarm.session("10.0.1.1")
        banned = []
        leech.observe(lambda event: banned.append(event.happening))
        peers = [f"10.0.0.{n + 1}:6881" for n in range(honest)]
        peers += [f"10.0.9.{n + 1}:6881" for n in range(bad_peers)]
        fetching = swarm.add(leech, METAINFO, peers)
        swarm.until_complete(fetching, limit=900)
        self.assertEqual(swarm.data("10.0.1.1", METAINFO.info), DATA)
        hosts = {event.host for event in banned if isinstance(event, PeerBanned)}
        self.assertEqual({host for host in hosts if host.startswith("10.0.0.")}, set())
        if bad_peers == 1:
            self.assertLessEqual(fetching.tally.failed_pieces, 3)
        for port in ports:
            port.stopListening()
        swarm.quiet()


class RequestTests(SynchronousTestCase):
    def setUp(self):
        self.swarm = Swarm()
        self.seed = self.swarm.session("10.0.0.1", DATA)
        self.torrent = self.swarm.add(self.seed, METAINFO)

    def dial(self, conduct, address="10.0.0.2"):
        peers = FakePeers(self.swarm.network.host(address), conduct)
        return self.swarm.network.result_of(peers.dial("10.0.0.1", 6881))

    def test_a_peer_that_floods_requests_and_reads_nothing_costs_bounded_memory(self):
        """T9."""
        peer = self.dial(Conduct(HASH, reads=False))
        self.flood(peer)
        (talk,) = self.torrent._peers
        self.assertLessEqual(talk.unsent, SEND_AHEAD + 16384 + 13)
        self.assertLessEqual(len(self.torrent._course.content.uploads._asked[talk.key].blocks), MAX_ASKED)
        peer.abort()
        self.swarm.network.advance(1)
        self.swarm.quiet()

    def test_a_peer_that_floods_requests_reads_nothing_and_would_have_rejects_is_dropped(self):
        """T9, with the fast extension: choked or not, each request has an answer."""
        for interested in True, False:
            peer = self.dial(Conduct(HASH, reserved=speech.FAST, reads=False))
            self.flood(peer, interested)
            self.assertEqual(len(self.torrent), 0)
            self.assertIsNotNone(peer.lost)
        self.swarm.quiet()

    def flood(self, peer, interested=True):
        if interested:
            peer.say(Id.INTERESTED)
        self.swarm.network.advance(1)
        for _ in range(runs(100, 200)):
            asked = [speech.numbered(Id.REQUEST, n % 30, n // 30, 16384) for n in range(1000)]
            peer.send(b"".join(asked))
            self.swarm.network.advance(0.1)
            for talk in self.torrent._peers:
                self.assertLess(talk.unsent, 1 << 20)
            if peer.lost is not None:
                break

    def test_requests_of_a_choked_peer_are_rejected_with_the_fast_extension(self):
        peer = self.dial(Conduct(HASH, reserved=speech.FAST))
        peer.request(0, 0, 16384)
        self.swarm.network.advance(1)
        self.assertEqual([frame.numbers for frame in peer.got(Id.REJECT)], [(0, 0, 16384)])
        peer.abort()
        self.swarm.network.advance(1)
        self.swarm.quiet()

    def test_a_cancelled_request_is_not_answered(self):
        peer = self.dial(Conduct(HASH))
        peer.say(Id.INTERESTED)
        self.swarm.network.advance(1)
        peer.send(
            speech.numbered(Id.REQUEST, 3, 0, 16384)
            + speech.numbered(Id.REQUEST, 4, 0, 16384)
            + speech.numbered(Id.CANCEL, 4, 0, 16384)
        )
        self.swarm.network.advance(1)
        self.assertEqual(peer.blocks, {(3, 0): DATA[3 * 32768 : 3 * 32768 + 16384]})
        peer.abort()
        self.swarm.network.advance(1)
        self.swarm.quiet()

    def test_a_request_across_two_blocks_is_answered_whole(self):
        peer = self.dial(Conduct(HASH))
        peer.say(Id.INTERESTED)
        self.swarm.network.advance(1)
        peer.request(2, 1000, 20000)
        self.swarm.network.advance(1)
        start = 2 * 32768 + 1000
        self.assertEqual(peer.blocks, {(2, 1000): DATA[start : start + 20000]})
        peer.abort()
        self.swarm.network.advance(1)
        self.swarm.quiet()

    def test_a_read_that_fails_stops_the_torrent_with_the_reason(self):
        swarm = Swarm(1)

        def storage(info):
            failing = Failing(info)
            fill(failing, info, DATA)
            return failing

        seed = swarm.session("10.0.0.1", storage=storage)
        seeding = swarm.add(seed, METAINFO)
        swarm.until_complete(seeding)
        swarm.storages["10.0.0.1"].read_error = StorageError("data.bin", "input/output error")
        leech = swarm.session("10.0.0.2")
        swarm.add(leech, METAINFO, ["10.0.0.1:6881"])
        swarm.network.run_until(lambda: seeding.state is State.FAILED)
        self.assertIn("input/output error", seeding.reason)
        swarm.storages["10.0.0.1"].read_error = None
        seeding.retry()
        swarm.until_complete(seeding)
        swarm.quiet()


class UnaskedTests(SynchronousTestCase):
    def test_a_peer_that_sends_blocks_nobody_asked_for_is_dropped(self):
        swarm = Swarm()
        leech = swarm.session("10.0.0.1")
        fetching = swarm.add(leech, METAINFO)
        swarm.network.advance(1)
        peers = FakePeers(swarm.network.host("10.0.0.2"), Conduct(HASH))
        peer = swarm.network.result_of(peers.dial("10.0.0.1", 6881))
        swarm.network.advance(1)
        for _ in range(70):
            peer.piece(0, 0, bytes(16384))
        swarm.network.run_until(lambda: peer.lost is not None)
        self.assertEqual(fetching.tally.downloaded, 0)
        self.assertGreater(fetching.tally.wasted, 0)
        swarm.quiet()

    def test_a_block_of_another_length_than_asked_for_ends_the_connection(self):
        swarm = Swarm()
        honest = speech.honest(DATA, 32768)
        conduct = Conduct.seed(HASH, DATA, 32768)
        short = Conduct(HASH, opening=conduct.opening, answer=lambda i, b, n: honest(i, b, n)[:-1])
        peers = FakePeers(swarm.network.host("10.0.0.2"), short)
        port = peers.listen(6881)
        fetching = swarm.add(swarm.session("10.0.0.1"), METAINFO, ["10.0.0.2:6881"])
        swarm.network.run_until(lambda: peers.peers and peers.peers[0].lost is not None)
        self.assertEqual(fetching.tally.downloaded, 0)
        port.stopListening()
        swarm.quiet()


class DiskTests(SynchronousTestCase):
    def leeching(self, error, upload=100_000):
        """A leech whose writes fail from 300 kB on."""
        swarm = Swarm()
        swarm.add(swarm.session("10.0.0.1", DATA), METAINFO)
        swarm.network.host("10.0.0.1").limit(upload=upload)
        leech = swarm.session("10.0.0.2", storage=Failing)
        fetching = swarm.add(leech, METAINFO, ["10.0.0.1:6881"])
        swarm.network.run_until(lambda: fetching.tally.downloaded > 300_000)
        swarm.storages["10.0.0.2"].write_error = error
        return swarm, fetching

    def test_a_full_disk_waits_goes_on_seeding_and_resumes_alone(self):
        """T31."""
        swarm, fetching = self.leeching(DiskFull("data.bin", "no space left on device"))
        swarm.network.run_until(lambda: fetching.state is State.WAITING)
        self.assertIn("no space", fetching.reason)
        done = fetching.statistics().done
        third = swarm.session("10.0.0.3")
        watching = swarm.add(third, METAINFO, ["10.0.0.2:6881"])
        swarm.network.run_until(lambda: watching.statistics().done == done)
        swarm.storages["10.0.0.2"].write_error = None
        started = swarm.network.seconds()
        swarm.network.run_until(lambda: fetching.state is State.DOWNLOADING)
        self.assertLessEqual(swarm.network.seconds() - started, 60)
        swarm.until_complete(fetching, watching)
        self.assertEqual(swarm.data("10.0.0.2", METAINFO.info), DATA)
        self.assertEqual(fetching.tally.failed_pieces, 0)
        swarm.quiet()

    def test_another_error_fails_with_the_reason_until_it_is_tried_again(self):
        """T32."""
        swarm, fetching = self.leeching(StorageError("data.bin", "read-only file system"))
        waiting = fetching.when_complete()
        started = swarm.network.seconds()
        swarm.network.run_until(lambda: fetching.state is State.FAILED)
        self.assertLessEqual(swarm.network.seconds() - started, 5)
        self.assertIn("read-only file system", fetching.reason)
        swarm.network.advance(0)
        self.failureResultOf(waiting)
        swarm.storages["10.0.0.2"].write_error = None
        fetching.retry()
        fetching.add_peers([])
        swarm.network.run_until(lambda: fetching.state is State.DOWNLOADING)
        swarm.until_complete(fetching, limit=1200)
        swarm.quiet()


class MagnetTests(SynchronousTestCase):
    def test_metadata_with_another_hash_is_refused_and_its_giver_banned(self):
        from bittwist.metainfo import bencode

        swarm = Swarm()
        raw = b"d" + METAINFO.info.raw[1:-2] + b"xe"
        size = len(raw)
        hello = bencode.encode({"m": {"ut_metadata": 3}, "metadata_size": size})
        block = bencode.encode({"msg_type": 1, "piece": 0, "total_size": size}) + raw
        opening = speech.message(Id.EXTENDED, b"\0" + hello)
        conduct = Conduct(HASH, reserved=speech.EXTENDED, opening=opening)
        liars = FakePeers(swarm.network.host("10.0.0.9"), conduct)
        port = liars.listen(6881)
        leech = swarm.session("10.0.0.1")
        magnet = Magnet.parse(f"magnet:?xt=urn:btih:{METAINFO.info.info_hash}&x.pe=10.0.0.9:6881")
        fetching = swarm.add(leech, magnet)
        swarm.network.run_until(lambda: liars.peers and len(liars.peers[0].got(Id.EXTENDED)) == 2)
        liars.peers[0].send(speech.message(Id.EXTENDED, b"\1" + block))
        swarm.network.run_until(lambda: liars.peers[0].lost is not None)
        self.assertIs(fetching.state, State.METADATA)
        swarm.add(swarm.session("10.0.0.2", DATA), METAINFO)
        leech.add_peers(fetching, ["10.0.0.2:6881"])
        swarm.until_complete(fetching)
        port.stopListening()
        swarm.quiet()

    def test_a_peer_that_promises_metadata_and_says_nothing_is_left_for_another(self):
        from bittwist.metainfo import bencode

        swarm = Swarm()
        hello = bencode.encode({"m": {"ut_metadata": 3}, "metadata_size": len(METAINFO.info.raw)})
        conduct = Conduct(HASH, reserved=speech.EXTENDED, opening=speech.message(Id.EXTENDED, b"\0" + hello))
        silent = FakePeers(swarm.network.host("10.0.0.9"), conduct)
        port = silent.listen(6881)
        leech = swarm.session("10.0.0.1")
        magnet = Magnet.parse(f"magnet:?xt=urn:btih:{METAINFO.info.info_hash}&x.pe=10.0.0.9:6881")
        fetching = swarm.add(leech, magnet)
        swarm.network.run_until(lambda: silent.peers and silent.peers[0].got(Id.EXTENDED))
        swarm.add(swarm.session("10.0.0.2", DATA), METAINFO)
        leech.add_peers(fetching, ["10.0.0.2:6881"])
        swarm.until_complete(fetching, limit=60)
        silent.peers[0].abort()
        port.stopListening()
        swarm.quiet()


class StopTests(SynchronousTestCase):
    def test_stopping_with_a_tracker_and_peers_that_say_nothing_takes_at_most_six_seconds(self):
        """T38, on one torrent; tests/integration has it with processes."""
        swarm = Swarm()
        dead = torrent(DATA, piece_length=32768, trackers=("http://10.0.0.99:80/announce",))
        swarm.network.host("10.0.0.99").firewalled = True
        session = swarm.session("10.0.0.1", DATA, SessionSettings(ports=(6881,)))
        seeding = swarm.add(session, dead)
        swarm.until_complete(seeding)
        peers = FakePeers(swarm.network.host("10.0.0.2"), Conduct(dead.info.info_hash.short, reads=False))
        peer = swarm.network.result_of(peers.dial("10.0.0.1", 6881))
        peer.say(Id.INTERESTED)
        swarm.network.advance(1)
        for n in range(30):
            peer.request(n, 0, 32768)
        swarm.network.advance(1)
        started = swarm.network.seconds()
        swarm.network.result_of(session.stopService())
        self.assertLessEqual(swarm.network.seconds() - started, 6)
        swarm.sessions.clear()
        peer.abort()
        swarm.network.advance(1)
        swarm.quiet()


class BitfieldTests(SynchronousTestCase):
    def fetch_from(self, conduct, orders, metainfo=METAINFO):
        swarm = Swarm()
        peers = FakePeers(swarm.network.host("10.0.0.9"), conduct)
        port = peers.listen(6881)
        fetching = swarm.add(swarm.session("10.0.0.1"), metainfo, ["10.0.0.9:6881"])
        swarm.network.run_until(lambda: peers.peers and peers.peers[0].handshake is not None)
        swarm.network.advance(1)
        orders(peers.peers[0])
        return swarm, fetching, peers.peers[0], port

    def test_a_bitfield_in_the_middle_of_things_counts(self):
        """aria2 sends one in place of many Haves."""
        honest = Conduct(HASH, answer=speech.honest(DATA, 32768))
        whole = speech.bitfield(range(METAINFO.info.geometry.num_pieces), METAINFO.info.geometry.num_pieces)
        swarm, fetching, peer, port = self.fetch_from(
            honest, lambda peer: peer.send(speech.numbered(Id.HAVE, 3) + whole)
        )
        swarm.until_complete(fetching)
        self.assertEqual(swarm.data("10.0.0.1", METAINFO.info), DATA)
        self.ends(swarm, peer, port)

    def test_bitfields_in_place_of_haves_are_heard_however_many_they_are(self):
        """As aria2 sends them where they are no longer; of 32 pieces one is exactly as long as a Have."""
        for num_pieces in (31, 32, 33, 104):
            metainfo = torrent(content(num_pieces * 16384), piece_length=16384)
            conduct = Conduct(metainfo.info.info_hash.short)
            step = -(-len(speech.bitfield([], num_pieces)) // 9)  # Haves that are as long
            grown = [speech.bitfield(range(count), num_pieces) for count in range(step, num_pieces, step)]
            swarm, fetching, peer, port = self.fetch_from(
                conduct, lambda peer, grown=grown: peer.send(b"".join(grown)), metainfo
            )
            swarm.network.advance(0.5)
            with self.subTest(num_pieces=num_pieces):
                self.assertIsNone(peer.lost)
                self.assertEqual(fetching.peers()[0].progress, len(grown) * step / num_pieces)
            self.ends(swarm, peer, port)

    def test_a_flood_of_bitfields_ends_the_connection(self):
        none = speech.bitfield([], METAINFO.info.geometry.num_pieces)
        some = speech.bitfield([1], METAINFO.info.geometry.num_pieces)
        swarm, _, peer, port = self.fetch_from(Conduct(HASH), lambda peer: peer.send((none + some) * 20))
        swarm.network.run_until(lambda: peer.lost is not None, limit=5)
        self.assertEqual(len(swarm.sessions[0].torrents[0]), 0)
        self.ends(swarm, peer, port)

    def ends(self, swarm, peer, port):
        if peer.lost is None:
            peer.abort()
        port.stopListening()
        swarm.network.advance(1)
        swarm.quiet()
