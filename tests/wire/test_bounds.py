"""Nothing that is not in the torrent can be named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bittwist.errors import RemoteProtocolError
from bittwist.metainfo.geometry import Geometry
from bittwist.wire import messages as m
from bittwist.wire.bounds import Bounds
from bittwist.wire.framing import MAX_MESSAGE

GEOMETRY = Geometry(32768, 9 * 32768 + 100)  # ten pieces, the last of 100 bytes


def known(geometry=GEOMETRY):
    bounds = Bounds()
    bounds.know(geometry)
    return bounds


GOOD = [
    m.Have(9),
    m.SuggestPiece(0),
    m.AllowedFast(9),
    m.Request(0, 16384, 16384),
    m.Request(9, 0, 100),
    m.Cancel(9, 99, 1),
    m.RejectRequest(8, 0, 32768),
    m.Piece(9, 0, bytes(100)),
    m.BitfieldMessage(b"\xff\xc0"),
    m.BitfieldMessage(b"\0\0"),
    m.KeepAlive(),
    m.Port(1),
]
BAD = [
    m.Have(10),
    m.Have(2**32 - 1),
    m.SuggestPiece(10),
    m.AllowedFast(2**32 - 1),
    m.Request(0, 16385, 16384),
    m.Request(9, 0, 101),
    m.Request(10, 0, 1),
    m.Request(1, 2**32 - 1, 16384),
    m.Cancel(9, 100, 1),
    m.RejectRequest(8, 1, 32768),
    m.Piece(9, 0, bytes(101)),
    m.Piece(10, 0, b"a"),
    m.BitfieldMessage(b"\xff\xe0"),  # a spare bit
    m.BitfieldMessage(b"\xff\xc1"),
    m.BitfieldMessage(b"\xff"),
    m.BitfieldMessage(b"\xff\xc0\0"),
    m.BitfieldMessage(b""),
]


@pytest.mark.parametrize("message", GOOD, ids=repr)
def test_what_is_there_may_be_named(message):
    known().check(message)


@pytest.mark.parametrize("message", BAD, ids=repr)
def test_what_is_not_there_is_refused(message):
    with pytest.raises(RemoteProtocolError):
        known().check(message)


@pytest.mark.parametrize("message", BAD, ids=repr)
def test_without_the_info_dictionary_anything_may_be_named(message):
    Bounds().check(message)


@pytest.mark.parametrize("message", [m.Have(10), *[bad for bad in BAD if isinstance(bad, m.BitfieldMessage)]])
def test_what_was_named_too_early_is_refused_once_the_torrent_is_known(message):
    bounds = Bounds()
    bounds.check(message)
    with pytest.raises(RemoteProtocolError):
        bounds.know(GEOMETRY)


@pytest.mark.parametrize("message", [m.Have(9), m.BitfieldMessage(b"\xff\xc0"), m.BitfieldMessage(b"\0\0")])
def test_what_was_named_early_and_exists_is_fine(message):
    bounds = Bounds()
    bounds.check(message)
    bounds.know(GEOMETRY)


def test_in_an_empty_torrent_nothing_can_be_named():
    bounds = known(Geometry(16384, 0))
    for message in m.Have(0), m.Request(0, 0, 1), m.Piece(0, 0, b"a"), m.BitfieldMessage(b"\0"):
        with pytest.raises(RemoteProtocolError):
            bounds.check(message)


def test_messages_may_be_as_long_as_the_bitfield():
    assert known().max_message == MAX_MESSAGE
    pieces = 2_097_152
    assert known(Geometry(16384, pieces * 16384)).max_message == 1 + pieces // 8


@given(st.integers(1, 70), st.data())
def test_every_true_bitfield_is_taken_and_no_other(pieces, data):
    bits = data.draw(st.integers(0, 2**72 - 1)).to_bytes(9, "big")
    length = data.draw(st.integers(0, 9))
    bounds = known(Geometry(16384, pieces * 16384))
    spare = [i for i in range(pieces, 8 * length) if bits[i // 8] & 0x80 >> i % 8]
    good = length == (pieces + 7) // 8 and not spare
    try:
        bounds.check(m.BitfieldMessage(bits[:length]))
    except RemoteProtocolError:
        assert not good
    else:
        assert good


@given(
    st.integers(0, 3),
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 210), st.integers(1, 110)), max_size=8),
    st.booleans(),
)
def test_of_blocks_in_a_row_those_before_the_first_bad_one_are_good(pieces, blocks, learned):
    bounds = known(Geometry(200, pieces * 200 + 50)) if learned else Bounds()

    def good(messages):
        for number, message in enumerate(messages):
            try:
                bounds.check(message)
            except RemoteProtocolError:
                return number
        return len(blocks)

    filled = [(index, begin, bytes(length)) for index, begin, length in blocks]
    assert bounds.good_requests(blocks) == good([m.Request(*block) for block in blocks])
    assert bounds.good_pieces(filled) == good([m.Piece(*block) for block in filled])
