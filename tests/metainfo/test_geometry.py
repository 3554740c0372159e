import pytest
from hypothesis import given
from hypothesis import strategies as st

from bittwist.errors import MetainfoError
from bittwist.metainfo.geometry import BLOCK, FileSpan, Geometry

LAYOUTS = st.tuples(
    st.integers(1000, 3 * BLOCK), st.lists(st.just(0) | st.integers(0, 5 * BLOCK), min_size=1, max_size=12)
).map(lambda drawn: Geometry(drawn[0], sum(drawn[1]), tuple(drawn[1])))


def test_the_last_piece_and_its_last_block_are_what_is_left():
    geometry = Geometry(2 * BLOCK, 5 * BLOCK + 7)
    assert geometry.num_pieces == 3
    assert [geometry.piece_size(index) for index in range(3)] == [2 * BLOCK, 2 * BLOCK, BLOCK + 7]
    assert [geometry.num_blocks(index) for index in range(3)] == [2, 2, 2]
    assert list(geometry.blocks(2)) == [(0, BLOCK), (BLOCK, 7)]
    assert geometry.block_length(0, BLOCK) == BLOCK
    assert geometry.block_length(2, BLOCK) == 7


def test_a_piece_shorter_than_a_block_is_one_block():
    geometry = Geometry(1000, 2500)
    assert [list(geometry.blocks(index)) for index in range(3)] == [[(0, 1000)], [(0, 1000)], [(0, 500)]]


@pytest.mark.parametrize("index", [-1, 3, 1 << 31])
def test_there_is_no_piece_out_of_range(index):
    geometry = Geometry(BLOCK, 3 * BLOCK)
    with pytest.raises(IndexError):
        geometry.piece_size(index)
    with pytest.raises(IndexError):
        geometry.spans(index, 0, 1)
    assert not geometry.is_block(index, 0, 1)


@pytest.mark.parametrize(
    ("index", "begin", "length", "answer"),
    [
        (0, 0, BLOCK, True),
        (0, BLOCK, BLOCK, True),
        (0, BLOCK, BLOCK + 1, False),
        (0, 2 * BLOCK, 1, False),
        (0, -1, 1, False),
        (0, 0, 0, False),
        (0, 0, -1, False),
        (1, 0, 7, True),
        (1, 0, 8, False),
        (1, 6, 1, True),
    ],
)
def test_a_request_must_lie_inside_its_piece(index, begin, length, answer):
    """B5."""
    assert Geometry(2 * BLOCK, 2 * BLOCK + 7).is_block(index, begin, length) is answer


def test_spans_run_over_the_ends_of_files_and_skip_empty_ones():
    geometry = Geometry(10, 25, (0, 4, 0, 0, 9, 12, 0))
    assert geometry.spans(0, 0, 10) == [FileSpan(1, 0, 4), FileSpan(4, 0, 6)]
    assert geometry.spans(1, 0, 10) == [FileSpan(4, 6, 3), FileSpan(5, 0, 7)]
    assert geometry.spans(2, 1, 3) == [FileSpan(5, 8, 3)]
    assert [geometry.pieces_of_file(file) for file in (0, 1, 4, 5)] == [
        range(0),
        range(0, 1),
        range(0, 2),
        range(1, 3),
    ]


def test_a_torrent_without_bytes_has_no_pieces():
    geometry = Geometry(BLOCK, 0, (0, 0))
    assert geometry.num_pieces == 0
    assert not geometry.is_block(0, 0, 1)
    assert not geometry.is_block(-1, 0, 1)
    for index in (-1, 0):
        with pytest.raises(IndexError):
            geometry.piece_size(index)


@pytest.mark.parametrize(
    ("piece_length", "total", "sizes"), [(0, 1, ()), (-1, 1, ()), (1, -1, ()), (1, 3, (1, 1))]
)
def test_sizes_that_do_not_fit_are_refused(piece_length, total, sizes):
    """A12: a piece length of zero once crashed clients."""
    with pytest.raises(MetainfoError):
        Geometry(piece_length, total, sizes)


@given(LAYOUTS)
def test_pieces_blocks_and_spans_tile_the_torrent(geometry):
    at = 0
    bytes_of_file = [0] * len(geometry.file_sizes)
    pieces_of_file = [set() for _ in geometry.file_sizes]
    for index in range(geometry.num_pieces):
        blocks = list(geometry.blocks(index))
        assert len(blocks) == geometry.num_blocks(index)
        assert [begin for begin, _ in blocks] == list(range(0, geometry.piece_size(index), BLOCK))
        for begin, length in blocks:
            assert length == geometry.block_length(index, begin)
            assert geometry.is_block(index, begin, length)
            spans = geometry.spans(index, begin, length)
            assert sum(span.length for span in spans) == length
            for span in spans:
                assert sum(geometry.file_sizes[: span.file]) + span.offset == at
                assert 0 < span.length <= geometry.file_sizes[span.file] - span.offset
                bytes_of_file[span.file] += span.length
                pieces_of_file[span.file].add(index)
                at += span.length
    assert at == geometry.total_size
    assert tuple(bytes_of_file) == geometry.file_sizes
    assert pieces_of_file == [set(geometry.pieces_of_file(file)) for file in range(len(geometry.file_sizes))]
