"""Assembler: blocks into pieces, each copied once, in buffers that are used again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bittwist.errors import LocalProtocolError
from bittwist.metainfo.geometry import Geometry
from bittwist.storage.assembler import Assembler
from tests.storage.torrents import content_of

PIECE = 40_000


class Gathering(SynchronousTestCase):
    def setUp(self) -> None:
        self.geometry = Geometry(PIECE, 100_000)
        self.assembler = Assembler(self.geometry, spare=2 * PIECE)
        self.content = content_of(100_000)

    def put(self, index: int, *begins: int) -> None:
        for begin in begins:
            start = index * PIECE + begin
            block = self.content[start : start + self.geometry.block_length(index, begin)]
            self.assembler.buffer(index)[begin : begin + len(block)] = block

    def gather(self, index: int) -> memoryview:
        self.put(index, *(begin for begin, _ in self.geometry.blocks(index)))
        return self.assembler.take(index)

    def test_blocks_in_any_order_make_the_piece(self) -> None:
        self.put(1, 32_768, 0, 16_384)
        self.assertEqual(self.assembler.take(1), self.content[PIECE : 2 * PIECE])

    def test_the_last_piece_is_as_long_as_it_is(self) -> None:
        self.assertEqual(self.gather(2), self.content[80_000:])

    def test_a_last_piece_in_a_used_buffer_does_not_show_the_old_bytes(self) -> None:
        self.assembler.release(self.gather(0))
        self.assertEqual(self.gather(2), self.content[80_000:])

    def test_buffers_that_are_released_or_dropped_are_used_again(self) -> None:
        first = self.gather(0)
        buffer = first.obj
        self.assembler.release(first)
        self.put(1, 0)
        self.assembler.drop(1)
        self.assertIs(self.gather(2).obj, buffer)

    def test_memory_is_what_is_in_flight_and_a_few_spare_buffers(self) -> None:
        views = [self.gather(index) for index in range(3)]
        self.assertEqual(self.assembler.bytes, 3 * PIECE)
        for view in views:
            self.assembler.release(view)
        self.assertEqual(self.assembler.bytes, 2 * PIECE)

    def test_a_piece_is_partial_from_its_first_block_until_it_is_taken_or_dropped(self) -> None:
        self.assertFalse(self.assembler.partial(0))
        self.put(0, 0)
        self.assertTrue(self.assembler.partial(0))
        self.assembler.take(0)
        self.assertFalse(self.assembler.partial(0))
        self.put(1, 0)
        self.assembler.clear()
        self.assertFalse(self.assembler.partial(1))

    def test_what_was_not_gathered_cannot_be_taken_nor_released_twice(self) -> None:
        self.assertRaises(LocalProtocolError, self.assembler.take, 0)
        view = self.gather(0)
        self.assembler.release(view)
        self.assertRaises(LocalProtocolError, self.assembler.release, view)
        self.assembler.drop(0)

    @given(st.randoms(use_true_random=False))
    def test_pieces_gathered_side_by_side_never_mix(self, random) -> None:
        blocks = [(index, begin) for index in range(3) for begin, _ in self.geometry.blocks(index)]
        random.shuffle(blocks)
        for index, begin in blocks:
            self.put(index, begin)
        for index in range(3):
            view = self.assembler.take(index)
            self.assertEqual(view, self.content[index * PIECE : (index + 1) * PIECE])
            self.assembler.release(view)
