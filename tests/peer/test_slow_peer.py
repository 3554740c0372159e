"""Peers that take their time (SECURITY.md T10), and signs of life."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bittwist.errors import RemoteProtocolError
from bittwist.wire import messages as m
from tests.scale import runs

from .doubles import THEIRS, End


class SlowHandshakes(SynchronousTestCase):
    def test_half_open_connections_are_gone_in_ten_seconds(self):
        for outgoing in True, False:
            end = End(outgoing=outgoing)
            end.clock.advance(9.99)
            self.assertTrue(end.open)
            end.clock.advance(0.01)
            end.turn()
            self.assertFalse(end.open)
            self.assertEqual(end.clock.getDelayedCalls(), [])

    def test_a_dripped_handshake_has_ten_seconds_in_all(self):
        clock = Clock()
        ends = [End(outgoing=False, clock=clock) for _ in range(runs(50, 500))]
        for second in range(10):
            for end in ends:
                if end.open:
                    end.receive(THEIRS.encode()[second : second + 1])
            clock.advance(1)
        clock.advance(0)
        self.assertFalse(any(end.open for end in ends))

    def test_the_reason_is_told_to_who_dialed(self):
        end = End()
        end.clock.advance(10)
        end.turn()
        self.assertIsInstance(end.callbacks.reasons[0], RemoteProtocolError)
        self.assertIn("no handshake", str(end.callbacks.reasons[0]))

    def test_a_handshake_in_time_ends_the_limit(self):
        end = End()
        end.clock.advance(9.9)
        end.shake()
        end.clock.advance(5)
        self.assertTrue(end.open)


class SlowPeers(SynchronousTestCase):
    def test_a_byte_each_nine_seconds_is_gone_in_two_minutes(self):
        clock = Clock()
        ends = [End(clock=clock).shake() for _ in range(runs(50, 500))]
        drip = m.encode(m.Piece(0, 0, bytes(16384)))
        seconds = 0
        while seconds < 120:
            for end in ends:
                if end.open:
                    end.receive(drip[seconds // 9 : seconds // 9 + 1])
            clock.advance(9 if seconds < 117 else 3)
            seconds += 9
        clock.advance(0)
        self.assertFalse(any(end.open for end in ends))

    def test_a_silent_peer_is_gone_after_the_idle_time(self):
        end = End().shake()
        for _ in range(119):
            end.clock.advance(1)
        self.assertTrue(end.open)
        end.clock.advance(1)
        end.turn()
        self.assertFalse(end.open)
        self.assertIn("no message", str(end.callbacks.reasons[0]))

    def test_keep_alives_keep_a_peer(self):
        end = End().shake()
        for _ in range(10):
            end.clock.pump([1] * 119)
            end.receive(m.KeepAlive())
        self.assertTrue(end.open)

    def test_our_own_silence_is_broken_by_keep_alives(self):
        end = End().shake()
        end.sent()
        for _ in range(3):
            end.clock.pump([10] * 10)
            end.receive(m.KeepAlive())
            self.assertEqual(end.sent_messages(), [m.KeepAlive()])

    def test_no_keep_alive_while_we_talk(self):
        end = End().shake()
        end.sent()
        end.protocol.send(m.HaveNone())
        for _ in range(5):
            end.clock.pump([10] * 9)
            end.protocol.send(m.Interested())
            end.receive(m.KeepAlive())
        self.assertNotIn(m.KeepAlive(), end.sent_messages())

    def test_a_peer_we_do_not_read_is_not_idle(self):
        end = End().shake()
        end.protocol.pause()
        end.clock.pump([10] * 100)
        self.assertTrue(end.open)
        end.protocol.resume()
        end.clock.pump([10] * 11)
        self.assertTrue(end.open)
        end.clock.pump([10] * 2)
        self.assertFalse(end.open)

    def test_a_peer_that_reads_nothing_is_gone_after_the_idle_time(self):
        end = End().shake()
        end.transport.producer.pauseProducing()
        end.protocol.send_blocks([(0, 0, bytes(16384))])
        for _ in range(24):
            end.clock.advance(10)
            if end.open:
                end.receive(m.KeepAlive())
        end.turn()
        self.assertFalse(end.open)
        self.assertIn("nothing read", str(end.callbacks.reasons[0]))
