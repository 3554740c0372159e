"""Claims that would cost memory if they were believed (SECURITY.md T6)."""

import tracemalloc

from twisted.trial.unittest import SynchronousTestCase

from bittwist.metainfo import bencode
from bittwist.wire import messages as m
from bittwist.wire.extension import ExtensionHandshake

from .doubles import End, Recorder

MAX_ALLOCATED = 1 << 20


def extended(**fields):
    return m.Extended(0, bencode.encode({key.encode(): value for key, value in fields.items()}))


class PeerLies(SynchronousTestCase):
    def believe(self, *stream, callbacks=None):
        """Let an open connection receive this; returns its end, with the most memory that took."""
        end = End(callbacks=callbacks).shake()
        end.callbacks.replies[m.Extended] = lambda peer, message: ExtensionHandshake.decode(message.payload)
        tracemalloc.start()
        try:
            end.receive(*stream)
            end.clock.advance(1)
            self.assertLessEqual(tracemalloc.get_traced_memory()[1], MAX_ALLOCATED)
        finally:
            tracemalloc.stop()
        return end

    def assertClosed(self, *stream, callbacks=None):
        end = self.believe(*stream, callbacks=callbacks)
        self.assertFalse(end.open)
        self.assertEqual(len(end.callbacks.reasons), 1)

    def assertIgnored(self, *stream):
        self.assertTrue(self.believe(*stream).open)

    def test_messages_of_four_gigabytes(self):
        for identifier in b"\x05\x07\x14":
            self.assertClosed(b"\xff\xff\xff\xff" + bytes([identifier]))

    def test_a_bitfield_of_two_billion_pieces(self):
        prefix = (1 + (1 << 28)).to_bytes(4, "big") + b"\x05"
        self.assertClosed(prefix)
        self.assertClosed(prefix, callbacks=Recorder(geometry=None))

    def test_a_have_of_the_last_piece_there_could_be(self):
        self.assertClosed(m.HaveNone(), m.Have(2**32 - 1))

    def test_numbers_of_the_extension_handshake_that_nobody_has(self):
        for lie in {"metadata_size": 1 << 63}, {"reqq": 1 << 31}, {"metadata_size": -1}, {"p": 1 << 40}:
            self.assertIgnored(extended(**lie))

    def test_an_integer_of_a_hundred_thousand_digits(self):
        self.assertClosed(m.Extended(0, b"d4:reqqi" + b"9" * 100_000 + b"ee"))

    def test_a_dictionary_a_thousand_deep(self):
        self.assertClosed(m.Extended(0, b"d1:m" * 1000 + b"de" + b"e" * 1000))

    def test_two_hundred_extension_handshakes(self):
        self.assertClosed(*[extended(v=b"again")] * 200)

    def test_a_thousand_extensions(self):
        self.assertIgnored(extended(m={b"x%d" % number: 1 for number in range(1000)}))

    def test_a_request_for_a_mebibyte(self):
        self.assertClosed(m.HaveNone(), bytes.fromhex("0000000d06000000010000000000100000"))

    def test_a_message_that_never_ends_is_held_only_as_far_as_it_came(self):
        end = End().shake()
        end.receive((132 << 10).to_bytes(4, "big") + b"\x63")
        for _ in range(131):
            end.receive(bytes(1024))
            self.assertLessEqual(end.protocol._wire.buffered, (132 << 10) + 4)
        self.assertTrue(end.open)
