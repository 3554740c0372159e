"""PeerProtocol and PeerFactory, over a transport in memory."""

from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bittwist.address import Address
from bittwist.errors import LocalProtocolError, NetworkError, RemoteProtocolError
from bittwist.metainfo.infohash import InfoHash
from bittwist.peer.factory import PeerFactory
from bittwist.wire import messages as m
from bittwist.wire.handshake import Handshake, reserved
from bittwist.wire.runs import Pieces, Requests
from tests.net.allowance import Purse

from .doubles import GEOMETRY, OUR_ID, THEIRS, TORRENT, End, Recorder, RunRecorder


class Handshakes(SynchronousTestCase):
    def test_who_dials_speaks_first_and_is_told_of_the_answer(self):
        end = End()
        self.assertEqual(end.transport.value(), Handshake(TORRENT.short, OUR_ID, reserved()).encode())
        end.shake()
        self.assertEqual(end.callbacks.handshakes, [THEIRS])
        self.assertEqual(end.protocol.remote, THEIRS)
        self.assertTrue(end.protocol.outgoing)

    def test_who_is_called_answers_for_a_torrent_it_serves(self):
        end = End(outgoing=False)
        self.assertEqual(end.transport.value(), b"")
        end.shake()
        self.assertEqual(end.callbacks.handshakes, [THEIRS])
        self.assertEqual(end.protocol.info_hash, TORRENT)
        self.assertEqual([type(fact) for fact in end.sent()], [Handshake])

    def test_an_unknown_torrent_is_refused_without_a_byte(self):
        end = End(outgoing=False)
        end.shake(Handshake(b"x" * 20, THEIRS.peer_id))
        self.assertEqual(end.transport.value(), b"")
        self.assertFalse(end.open)
        self.assertEqual(end.callbacks.reasons, [])

    def test_a_torrent_that_is_refused_when_dialed_makes_no_protocol(self):
        end = End()
        self.assertIsNone(end.factory.outgoing(InfoHash(v1=b"x" * 20)).buildProtocol(None))

    def test_a_connection_to_ourselves_is_refused_at_both_ends(self):
        us = Handshake(TORRENT.short, OUR_ID)
        for outgoing in True, False:
            end = End(outgoing=outgoing).shake(us)
            self.assertFalse(end.open)
            self.assertEqual(end.callbacks.handshakes, [])
            self.assertEqual(len(end.callbacks.reasons), 1 if outgoing else 0)

    def test_an_outgoing_connection_that_ends_before_its_handshake_is_lost(self):
        end = End()
        end.transport.lose()
        self.assertIsInstance(end.callbacks.reasons[0], ConnectionDone)

    def test_an_incoming_connection_that_ends_before_its_handshake_is_not_told_of(self):
        end = End(outgoing=False)
        end.receive(THEIRS.encode()[:60])
        end.transport.lose()
        self.assertEqual(end.callbacks.reasons, [])

    def test_the_handshake_and_what_is_sent_in_reply_leave_in_one_write(self):
        end = End(outgoing=False)
        writes = []
        end.transport.write = writes.append
        end.callbacks.handshaken = lambda peer, handshake: peer.send(m.HaveNone(), m.Interested())
        end.receive(THEIRS.encode())
        self.assertEqual(len(writes), 1)

    def test_when_handshaken_fires_once_they_have_shaken_hands(self):
        end = End()
        before = end.protocol.when_handshaken()
        self.assertNoResult(before)
        end.shake()
        self.assertIs(self.successResultOf(before), end.protocol)
        self.assertIs(self.successResultOf(end.protocol.when_handshaken()), end.protocol)

    def test_when_handshaken_fails_with_what_lost_is_told(self):
        end = End()
        waiting = end.protocol.when_handshaken()
        end.shake(Handshake(b"x" * 20, THEIRS.peer_id))
        self.failureResultOf(waiting, RemoteProtocolError)
        self.failureResultOf(end.protocol.when_handshaken(), RemoteProtocolError)

    def test_cancelling_when_handshaken_only_stops_waiting(self):
        end = End()
        waiting = end.protocol.when_handshaken()
        waiting.addErrback(lambda failure: None)
        waiting.cancel()
        end.shake()
        self.assertTrue(end.open)

    def test_of_too_many_unfinished_handshakes_the_oldest_goes(self):
        first = End(outgoing=False, max_handshaking=2)
        others = [End(outgoing=False, clock=first.clock, factory=first.factory) for _ in range(2)]
        first.turn()
        self.assertFalse(first.open)
        self.assertTrue(all(end.open for end in others))
        others[0].shake()
        End(outgoing=False, clock=first.clock, factory=first.factory)
        self.assertTrue(all(end.open for end in others))


class Messages(SynchronousTestCase):
    def test_messages_are_delivered_in_order_and_the_turn_is_settled_once(self):
        end = End().shake()
        turns = end.callbacks.turns
        end.receive(m.HaveAll(), m.Unchoke(), m.Piece(0, 0, b"abc"))
        self.assertEqual(end.callbacks.messages, [m.HaveAll(), m.Unchoke(), m.Piece(0, 0, b"abc")])
        self.assertEqual(end.callbacks.turns, turns + 1)

    def test_callbacks_need_neither_settled_nor_drained(self):
        class Least:
            def handshaken(self, peer, handshake):
                peer.send(m.HaveNone())

            def received(self, peer, message):
                peer.send_blocks([(0, 0, bytes(128 << 10))] * 4)

            def lost(self, peer, reason):
                pass

        end = End(callbacks=Least()).shake()
        end.receive(m.HaveAll())
        self.assertEqual(len(end.sent_messages()), 5)

    def test_all_that_is_sent_during_a_turn_leaves_in_one_write(self):
        end = End().shake()
        writes = []
        end.transport.write = writes.append
        end.callbacks.replies[m.Have] = lambda peer, message: peer.send(m.Request(message.index, 0, 16384))
        end.receive(m.HaveNone(), *map(m.Have, range(10)))
        self.assertEqual(len(writes), 1)
        self.assertEqual(len(writes[0]), 10 * 17)

    def test_what_is_sent_outside_a_turn_leaves_in_one_write_soon(self):
        end = End().shake()
        writes = []
        end.transport.write = writes.append
        end.protocol.send(m.HaveNone())
        end.protocol.send(m.Interested(), m.Unchoke())
        self.assertEqual(writes, [])
        end.turn()
        self.assertEqual(len(writes), 1)

    def test_blocks_are_sent_behind_their_headers(self):
        end = End().shake()
        piece = memoryview(bytes(range(256)) * 128)
        blocks = [(3, 0, piece[:16384]), (3, 16384, piece[16384:])]
        end.protocol.send_blocks(blocks)
        sent = [m.Piece(index, begin, bytes(block)) for index, begin, block in blocks]
        self.assertEqual(end.sent_messages(), sent)

    def test_requests_in_a_row_leave_as_they_would_one_by_one(self):
        end = End().shake()
        end.sent()
        asked = [(3, 0, 16384), (3, 16384, 16384), (9, 5, 1)]
        end.protocol.request(asked)
        end.protocol.request([])
        self.assertEqual(end.sent_messages(), [m.Request(*block) for block in asked])

    def test_messages_in_a_row_come_together_to_callbacks_that_take_them_so(self):
        end = End(callbacks=RunRecorder()).shake()
        sent = [
            m.HaveAll(),
            *[m.Piece(1, begin, b"abc") for begin in (0, 3, 6)],
            *[m.Request(2, begin, 16384) for begin in (0, 16384)],
            m.Unchoke(),
        ]
        end.receive(*sent)
        self.assertEqual(end.callbacks.messages, sent)
        self.assertEqual(end.callbacks.runs, [m.HaveAll, Pieces, Requests, m.Unchoke])

    def test_a_close_in_the_middle_of_a_run_ends_the_run(self):
        end = End().shake()
        end.callbacks.replies[m.Piece] = lambda peer, message: peer.close(NetworkError("x", "y"))
        end.receive(m.HaveAll(), m.Piece(0, 0, b"a"), m.Piece(0, 1, b"b"), m.Unchoke())
        self.assertEqual(end.callbacks.messages, [m.HaveAll(), m.Piece(0, 0, b"a")])

    def test_the_messages_of_a_run_before_its_fault_are_delivered(self):
        for callbacks in Recorder(), RunRecorder():
            end = End(callbacks=callbacks).shake()
            good = [m.Piece(0, 0, b"a"), m.Piece(0, 1, b"b")]
            end.receive(*good, m.Piece(10, 0, b"c"), m.Piece(0, 2, b"d"))
            end.turn()
            self.assertEqual(end.callbacks.messages, good)
            self.assertIsInstance(end.callbacks.reasons[0], RemoteProtocolError)

    def test_a_fault_is_met_after_the_messages_before_it(self):
        end = End().shake()
        end.receive(m.HaveAll(), b"\xff\xff\xff\xff", m.Unchoke())
        end.turn()
        self.assertEqual(end.callbacks.messages, [m.HaveAll()])
        (reason,) = end.callbacks.reasons
        self.assertIsInstance(reason, RemoteProtocolError)
        self.assertTrue(end.transport.aborted)

    def test_indices_are_checked_once_the_torrent_is_known(self):
        end = End(callbacks=Recorder(geometry=None)).shake()
        end.receive(m.HaveNone(), m.Have(9))
        end.protocol.know(GEOMETRY)
        self.assertTrue(end.open)
        end.receive(m.Have(10))
        end.turn()
        self.assertFalse(end.open)

    def test_a_lie_told_before_the_torrent_was_known_closes(self):
        end = End(callbacks=Recorder(geometry=None)).shake()
        end.receive(m.HaveNone(), m.Have(10))
        end.protocol.know(GEOMETRY)
        end.turn()
        self.assertIsInstance(end.callbacks.reasons[0], RemoteProtocolError)

    def test_an_illegal_message_of_ours_raises_where_it_is_sent(self):
        end = End().shake()
        end.protocol.send(m.Interested())
        self.assertRaises(LocalProtocolError, end.protocol.send, m.HaveAll())

    def test_bytes_are_counted_both_ways(self):
        end = End().shake()
        end.receive(m.HaveNone())
        end.protocol.send(m.HaveNone())
        end.turn()
        self.assertEqual((end.protocol.received_bytes, end.protocol.sent_bytes), (73, 73))

    def test_standing_follows_the_messages(self):
        end = End().shake()
        end.receive(m.HaveAll(), m.Unchoke())
        self.assertFalse(end.protocol.standing.peer_choking)


class Ends(SynchronousTestCase):
    def test_lost_is_told_once_with_the_reason_of_the_close(self):
        end = End().shake()
        reason = NetworkError("there", "enough")
        end.protocol.close(reason)
        end.protocol.close(NetworkError("there", "again"))
        end.turn()
        end.transport.lose()
        self.assertEqual(end.callbacks.reasons, [reason])

    def test_nothing_is_received_or_sent_after_close(self):
        end = End().shake()
        end.transport.clear()
        end.protocol.close(NetworkError("there", "enough"))
        end.receive(m.HaveAll())
        end.protocol.send(m.HaveNone())
        end.protocol.send_blocks([(0, 0, b"a")])
        end.protocol.request([(0, 0, 1)])
        end.turn()
        self.assertEqual((end.callbacks.messages, end.transport.value()), ([], b""))

    def test_a_close_in_the_middle_of_a_turn_ends_the_turn(self):
        end = End().shake()
        end.callbacks.replies[m.Unchoke] = lambda peer, message: peer.close(NetworkError("x", "y"))
        end.receive(m.HaveAll(), m.Unchoke(), m.Interested())
        self.assertEqual(end.callbacks.messages, [m.HaveAll(), m.Unchoke()])

    def test_what_was_sent_before_an_ordinary_close_leaves(self):
        end = End().shake()
        end.sent()
        end.protocol.send(m.HaveNone(), m.Choke())
        end.protocol.close(NetworkError("there", "enough"))
        self.assertEqual(end.sent_messages(), [m.HaveNone(), m.Choke()])

    def test_a_close_that_the_other_end_holds_up_is_ended_by_force(self):
        end = End(close_timeout=5.0).shake()
        end.transport.stuck = True
        end.protocol.close(NetworkError("there", "enough"))
        end.clock.advance(4.9)
        self.assertFalse(end.transport.aborted)
        end.clock.advance(0.1)
        self.assertTrue(end.transport.aborted)

    def test_a_callback_that_raises_costs_its_connection_and_is_logged(self):
        end = End().shake()
        end.callbacks.replies[m.Unchoke] = lambda peer, message: 1 / 0
        end.receive(m.HaveAll(), m.Unchoke(), m.Interested())
        end.turn()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertIsInstance(end.callbacks.reasons[0], LocalProtocolError)
        self.assertEqual(end.callbacks.messages, [m.HaveAll(), m.Unchoke()])

    def test_a_callback_may_find_the_peer_at_fault(self):
        end = End().shake()
        fault = RemoteProtocolError("a block nobody asked for")

        def blame(peer, message):
            raise fault

        end.callbacks.replies[m.Piece] = blame
        end.receive(m.HaveAll(), m.Piece(0, 0, b"a"))
        end.turn()
        self.assertEqual(end.callbacks.reasons, [fault])

    def test_a_lookup_that_raises_costs_its_connection_and_is_logged(self):
        end = End(outgoing=False)
        end.factory.lookup = lambda info_hash: 1 / 0
        end.shake()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertFalse(end.open)

    def test_a_lost_connection_leaves_no_timer(self):
        end = End().shake()
        end.protocol.send(m.HaveNone())
        end.transport.lose()
        self.assertEqual(end.clock.getDelayedCalls(), [])

    def test_closing_after_the_connection_is_lost_does_nothing(self):
        end = End().shake()
        end.transport.lose()
        end.protocol.close(NetworkError("x", "y"))
        end.protocol.pause()
        end.protocol.resume()
        self.assertEqual(len(end.callbacks.reasons), 1)


class Flow(SynchronousTestCase):
    def test_a_pause_stops_reading_and_a_resume_goes_on(self):
        end = End().shake()
        end.protocol.pause()
        end.protocol.pause()
        self.assertEqual(end.transport.producerState, "paused")
        end.protocol.resume()
        self.assertEqual(end.transport.producerState, "producing")

    def test_what_the_transport_does_not_take_is_unsent_and_drains(self):
        end = End(low_water=100_000).shake()
        producer = end.transport.producer
        producer.pauseProducing()
        end.protocol.send_blocks([(0, 0, bytes(16384))] * 10)
        self.assertEqual(end.protocol.unsent, 10 * 16397)
        end.turn()
        self.assertEqual(end.protocol.unsent, 10 * 16397)
        self.assertEqual(end.callbacks.drains, 0)
        producer.resumeProducing()
        self.assertEqual((end.protocol.unsent, end.callbacks.drains), (0, 1))
        self.assertEqual(end.protocol.sent_bytes, 68 + 10 * 16397)

    def test_drained_is_not_told_of_little(self):
        end = End(low_water=100_000).shake()
        end.protocol.send_blocks([(0, 0, bytes(16384))])
        end.turn()
        self.assertEqual(end.callbacks.drains, 0)

    def test_a_sender_that_never_stops_yields_to_the_reactor_at_each_drain(self):
        end = End(low_water=10_000).shake()
        under_way = []

        def send_more(peer):
            self.assertEqual(under_way, [])
            under_way.append(peer)
            if end.callbacks.drains < 5:
                end.callbacks.drains += 1
                peer.send_blocks([(0, 0, bytes(16384))])
            under_way.clear()

        end.protocol._drained = send_more
        end.protocol.send_blocks([(0, 0, bytes(16384))])
        end.turn()
        self.assertEqual(end.callbacks.drains, 5)


class Addresses(SynchronousTestCase):
    def test_the_address_is_the_remote_end(self):
        self.assertEqual(End().protocol.address, Address("192.168.1.1", 54321))

    def test_the_factory_does_not_log_each_connection(self):
        self.assertFalse(PeerFactory.noisy)


class AllowanceTests(SynchronousTestCase):
    """What a connection is allowed, by its host and its torrent."""

    def setUp(self):
        self.pairs = []

    def allowances(self, host):
        self.pairs.append(Pair(host))
        return self.pairs[-1]

    def end(self, *, outgoing):
        clock = Clock()
        factory = PeerFactory(clock, OUR_ID, {TORRENT: Recorder()}.get, allowances=self.allowances)
        return End(outgoing=outgoing, clock=clock, factory=factory)

    def test_a_dialed_connection_has_the_allowances_of_its_torrent_from_the_start(self):
        self.end(outgoing=True)
        self.assertEqual([pair.group for pair in self.pairs], [TORRENT.short])

    def test_a_connection_from_outside_has_them_when_it_names_the_torrent(self):
        end = self.end(outgoing=False)
        self.assertIsNone(self.pairs[0].group)
        self.assertEqual(self.pairs[0].host, "192.168.1.1")
        end.shake()
        self.assertEqual(self.pairs[0].group, TORRENT.short)

    def test_every_byte_counts_both_ways(self):
        end = self.end(outgoing=True)
        pair = self.pairs[0]
        sent = len(end.transport.value())
        self.assertEqual(1 << 20, pair.upload.amount + sent)
        end.shake()
        end.receive(m.Unchoke())
        self.assertEqual(1 << 20, pair.download.amount + end.protocol.received_bytes)

    def test_a_lost_connection_lets_go_of_them(self):
        end = self.end(outgoing=True)
        end.transport.lose()
        self.assertTrue(self.pairs[0].closed)

    def test_a_peer_that_our_own_limit_silences_is_not_dropped_for_it(self):
        end = self.end(outgoing=True).shake()
        self.pairs[0].download.amount = 0
        end.receive(m.Unchoke())
        for _ in range(4):
            end.clock.advance(100)
        self.assertTrue(end.open)
        self.pairs[0].download.fill(1 << 20)
        for _ in range(4):
            end.clock.advance(100)
        self.assertFalse(end.open)


class Pair:
    """A full purse for each direction."""

    def __init__(self, host):
        self.host, self.group, self.closed = host, None, False
        self.download, self.upload = Purse(1 << 20), Purse(1 << 20)

    def joined(self, group):
        self.group = group

    def close(self):
        self.closed = True
