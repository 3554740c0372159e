"""The fake peer, against another of its kind and against bare bytes."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bittwist.testing import Conduct, FakePeers, SimulatedNetwork, speech
from bittwist.testing.speech import Id

INFO_HASH = b"h" * 20
PIECE_LENGTH = 32768
CONTENT = Random(3).randbytes(3 * PIECE_LENGTH + 100)


class FakePeerTests(SynchronousTestCase):
    def setUp(self):
        self.network = SimulatedNetwork(seed=5, random_segments=True)

    def meet(self, seed=None, leech=None):
        """A dialing leech and a listening seed, both hands shaken."""
        seed = Conduct.seed(INFO_HASH, CONTENT, PIECE_LENGTH) if seed is None else seed
        leech = Conduct(INFO_HASH, b"-FP0001-leechleechle") if leech is None else leech
        self.seeds = FakePeers(self.network.host("10.0.0.1"), seed)
        self.port = self.seeds.listen(6881)
        dialers = FakePeers(self.network.host("10.0.0.2"), leech)
        dialed = self.network.result_of(dialers.dial("10.0.0.1", 6881))
        self.network.run_until(lambda: self.seeds.peers)
        return dialed, self.seeds.peers[0]

    def finish(self, peer):
        peer.close()
        self.port.stopListening()
        self.network.run_until_quiet()
        self.network.assert_quiet()

    def fetch(self, leech, blocks):
        leech.say(Id.INTERESTED)
        self.network.run_until(lambda: leech.got(Id.UNCHOKE))
        for index, begin in blocks:
            leech.request(index, begin, 16384)
        self.network.advance(5)

    def test_a_seed_serves_what_it_is_asked_for(self):
        leech, seed = self.meet()
        self.network.run_until(lambda: leech.received)
        self.assertEqual(leech.handshake, speech.handshake(INFO_HASH, b"-FP0001-fakefakefake"))
        self.assertEqual(seed.handshake, speech.handshake(INFO_HASH, b"-FP0001-leechleechle"))
        self.assertEqual(leech.got(Id.BITFIELD)[0].payload, b"\xf0")
        self.fetch(leech, [(0, 0), (2, 16384)])
        self.assertEqual(leech.blocks[0, 0], CONTENT[:16384])
        self.assertEqual(leech.blocks[2, 16384], CONTENT[2 * PIECE_LENGTH + 16384 :][:16384])
        self.finish(leech)

    def test_a_corrupting_seed_spoils_one_block_in_so_many(self):
        honest = speech.honest(CONTENT, PIECE_LENGTH)
        seed = Conduct(INFO_HASH, answer=speech.corrupting(honest, every=3))
        leech, _ = self.meet(seed)
        blocks = [(i, b) for i in range(3) for b in (0, 16384)]
        self.fetch(leech, blocks)
        wrong = [at for at in blocks if leech.blocks[at] != honest(*at, 16384)]
        self.assertEqual(wrong, [(1, 0), (2, 16384)])
        self.finish(leech)

    def test_a_stalling_seed_falls_silent(self):
        answer = speech.silent_after(speech.honest(CONTENT, PIECE_LENGTH), 2)
        leech, seed = self.meet(Conduct(INFO_HASH, answer=answer))
        self.fetch(leech, [(0, 0), (0, 16384), (1, 0)])
        self.assertEqual(list(leech.blocks), [(0, 0), (0, 16384)])
        self.assertEqual(len(seed.got(Id.REQUEST)), 3)
        self.finish(leech)

    def test_a_cancelled_request_is_not_answered(self):
        conduct = Conduct(INFO_HASH, answer=speech.honest(CONTENT, PIECE_LENGTH), answer_after=2.0)
        leech, _ = self.meet(conduct)
        leech.request(0, 0, 16384)
        leech.request(0, 16384, 16384)
        leech.say(Id.CANCEL, 0, 0, 16384)
        self.network.advance(5)
        self.assertEqual(list(leech.blocks), [(0, 16384)])
        self.finish(leech)

    def test_a_peer_that_never_unchokes(self):
        leech, seed = self.meet(Conduct(INFO_HASH, unchoke_after=None))
        leech.say(Id.INTERESTED)
        self.network.advance(60)
        self.assertEqual(seed.got(Id.INTERESTED)[0].numbers, ())
        self.assertEqual(leech.received, [])
        self.finish(leech)

    def test_bytes_go_out_as_ordered_however_wrong(self):
        leech, seed = self.meet(leech=Conduct(INFO_HASH, shake=False))
        leech.shake(info_hash=b"w" * 20, reserved=speech.FAST)
        self.network.run_until(lambda: seed.handshake)
        self.assertEqual(seed.handshake[20:48], speech.FAST + b"w" * 20)
        leech.send(speech.message(Id.HAVE, b"\x01", length=1 << 31))
        leech.send(bytes(1000))
        self.network.advance(1)
        self.assertEqual(seed.received, [])
        self.finish(leech)

    def test_a_dribbled_handshake_takes_its_time(self):
        leech, seed = self.meet(leech=Conduct(INFO_HASH, shake=False))
        leech.dribble(speech.handshake(INFO_HASH, b"p" * 20), every=1.0)
        took = self.network.run_until(lambda: seed.handshake, 100)
        self.assertGreater(took, 66.0)
        self.finish(leech)

    def test_a_peer_that_does_not_read_leaves_bytes_with_the_other(self):
        leech, seed = self.meet(Conduct(INFO_HASH, reads=False))
        leech.send(bytes(2 << 20))
        self.network.run_until_quiet()
        self.assertIsNone(seed.handshake)
        self.assertGreater(leech.transport.unsent, 1 << 20)
        seed.abort()
        self.finish(leech)

    def test_a_lost_connection_takes_its_calls_along(self):
        leech, seed = self.meet()
        leech.dribble(bytes(100), every=1.0)
        seed.abort()
        self.network.run_until(lambda: leech.lost)
        self.port.stopListening()
        self.network.run_until_quiet(1)
        self.network.assert_quiet()


class SpeechTests(SynchronousTestCase):
    @given(st.lists(st.tuples(st.none() | st.integers(0, 255), st.binary(max_size=40))), st.integers(0, 100))
    def test_frames_are_read_back_whole_or_in_two_parts(self, messages, cut):
        expected = [speech.Frame(i, b"" if i is None else payload) for i, payload in messages]
        sent = b"".join(speech.message(i, payload) for i, payload in messages)
        received = bytearray(sent[:cut])
        frames = speech.frames(received)
        received += sent[cut:]
        frames += speech.frames(received)
        self.assertEqual(frames, expected)
        self.assertEqual(received, b"")

    def test_a_bitfield_begins_at_the_high_bit(self):
        self.assertEqual(speech.bitfield([0, 9], 10), bytes.fromhex("00000003 05 8040"))
