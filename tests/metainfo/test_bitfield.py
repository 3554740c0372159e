import pytest
from hypothesis import given
from hypothesis import strategies as st

from bittwist.errors import MetainfoError
from bittwist.metainfo.bitfield import Bitfield

SETS = st.integers(0, 70).flatmap(
    lambda n: st.tuples(st.just(n), st.sets(st.integers(0, max(0, n - 1)), max_size=n))
)


def bitfield(num_pieces, indices):
    made = Bitfield(num_pieces)
    for index in indices:
        made.add(index)
    return made


def test_piece_0_is_the_high_bit_of_the_first_byte():
    assert bitfield(10, [0, 9]).to_bytes() == b"\x80\x40"


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\0\0"])
def test_a_wrong_length_is_refused(data):
    """B2."""
    with pytest.raises(MetainfoError):
        Bitfield.from_bytes(data, 10)


@pytest.mark.parametrize("last", [0x20, 0x01])
def test_spare_bits_are_refused(last):
    """B2."""
    with pytest.raises(MetainfoError):
        Bitfield.from_bytes(bytes([0, last]), 10)
    assert Bitfield.from_bytes(bytes([0, 0x40]), 10).count == 1


@pytest.mark.parametrize("index", [-1, 8, 1 << 31])
def test_there_is_no_piece_out_of_range(index):
    pieces = Bitfield.full(8)
    assert index not in pieces
    with pytest.raises(IndexError):
        pieces.add(index)
    with pytest.raises(IndexError):
        pieces.discard(index)


def test_a_torrent_without_pieces_is_complete_and_empty():
    none = Bitfield.from_bytes(b"", 0)
    assert none.complete and none.empty and none == Bitfield.full(0)
    assert list(none) == list(none.missing()) == []


@given(SETS)
def test_it_is_a_set_of_indices(case):
    num_pieces, indices = case
    indices = {index for index in indices if index < num_pieces}
    pieces = bitfield(num_pieces, indices)
    assert list(pieces) == sorted(indices)
    assert list(pieces.missing()) == sorted(set(range(num_pieces)) - indices)
    assert pieces.count == len(indices)
    assert pieces.empty == (not indices)
    assert pieces.complete == (len(indices) == num_pieces)
    assert [index for index in range(-9, num_pieces + 9) if index in pieces] == sorted(indices)
    assert Bitfield.from_bytes(pieces.to_bytes(), num_pieces) == pieces
    assert pieces.as_int() == int.from_bytes(pieces.to_bytes(), "big")
    assert not any(pieces.add(index) for index in indices)
    copy = pieces.copy()
    assert all(copy.discard(index) for index in indices)
    assert copy.empty and copy.as_int() == 0 and pieces.count == len(indices)
    assert not any(copy.discard(index) for index in indices)


def test_full_has_every_piece():
    assert Bitfield.full(9).to_bytes() == b"\xff\x80"
    assert Bitfield.full(9).complete
    assert repr(Bitfield.full(9)) == "<Bitfield 9/9>"


def test_bitfields_of_other_sizes_differ():
    assert Bitfield(8) != Bitfield(7)
    assert Bitfield(8) != b"\0"
