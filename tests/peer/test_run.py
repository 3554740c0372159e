"""Blocks that are fetched as one stream: cut from it however it comes."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bittwist.metainfo.geometry import BLOCK, Geometry
from bittwist.peer.run import Run, runs
from tests.storage.torrents import content_of

PIECE = 2 * BLOCK + 1000
SIZE = 5 * PIECE + 77
GEOMETRY = Geometry(PIECE, SIZE)
CONTENT = content_of(SIZE)
BLOCKS = [(index, begin, length) for index in range(6) for begin, length in GEOMETRY.blocks(index)]


def at(block):
    return block[0] * PIECE + block[1]


@given(st.sets(st.sampled_from(BLOCKS)), st.integers(1, SIZE))
def test_runs_are_the_blocks_in_their_order_where_they_follow_one_another(chosen, limit):
    blocks = sorted(chosen)
    made = list(runs(blocks, GEOMETRY, limit))
    assert [block for run in made for block in run.wanted()] == blocks
    for run in made:
        wanted = run.wanted()
        assert (run.at, run.left) == (at(wanted[0]), sum(length for _, _, length in wanted))
        assert all(at(one) + one[2] == at(other) for one, other in pairwise(wanted))
        assert run.left < limit + BLOCK


@given(
    st.lists(st.integers(5000, 3 * BLOCK), min_size=1, max_size=9),
    st.sets(st.sampled_from(BLOCKS)),
    st.integers(0, len(BLOCKS) - 1),
)
def test_whatever_the_chunks_the_blocks_come_whole_once_and_not_those_cancelled(sizes, cancelled, first):
    (run,) = runs(BLOCKS[first:], GEOMETRY, SIZE)
    assert [run.cancel(block) for block in BLOCKS] == [block in BLOCKS[first:] for block in BLOCKS]
    (run,) = runs(BLOCKS[first:], GEOMETRY, SIZE)
    for block in cancelled:
        run.cancel(block)
    came, number = [], 0
    while run.left:
        size = min(sizes[number % len(sizes)], run.left)
        wanted = run.wanted()
        now = [(index, begin, bytes(block)) for index, begin, block in run.came(CONTENT[run.at :][:size])]
        assert [block[:2] for block in now + run.wanted()] == [block[:2] for block in wanted]
        came += now
        number += 1
    expected = [block for block in BLOCKS[first:] if block not in cancelled]
    assert came == [
        (index, begin, CONTENT[at((index, begin)) :][:length]) for index, begin, length in expected
    ]
    assert (run.at, run.wanted()) == (SIZE, [])


def test_what_is_cancelled_late_is_not_still_to_come():
    run = Run(0, BLOCKS[:2])
    run.came(CONTENT[:BLOCK])
    assert not run.cancel(BLOCKS[0])
    assert run.cancel(BLOCKS[1])
    assert not run.cancel(BLOCKS[1])
