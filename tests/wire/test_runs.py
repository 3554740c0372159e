"""Piece and Request messages in a row: many at a time or one by one, it is the same conversation."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bittwist.errors import RemoteProtocolError
from bittwist.metainfo.geometry import Geometry
from bittwist.wire import messages as m
from bittwist.wire.connection import WireConnection
from bittwist.wire.handshake import Handshake, reserved
from bittwist.wire.messages import encode
from bittwist.wire.runs import Pieces, Requests, write_pieces, write_requests
from tests.scale import runs

OURS = Handshake(b"h" * 20, b"o" * 20, reserved())
THEIRS = Handshake(b"h" * 20, b"t" * 20, reserved())
PIECE = 1000
GEOMETRY = Geometry(PIECE, 9 * PIECE + 300)  # ten pieces, the last of 300 bytes

blocks = st.builds(
    lambda index, begin, block: (index, begin, block[: PIECE - begin if index < 9 else 300 - begin]),
    st.integers(0, 9),
    st.integers(0, 299),
    st.binary(min_size=1, max_size=120),
)
pieces = blocks.map(lambda block: m.Piece(*block))
requests = blocks.map(lambda block: m.Request(block[0], block[1], len(block[2])))
others = st.sampled_from(
    [m.KeepAlive(), m.Choke(), m.Unchoke(), m.Have(9), m.Cancel(9, 0, 300), m.Extended(1, b"payload")]
)
talk = st.lists(st.one_of(pieces, pieces, requests, requests, others), max_size=25)

FAULTS = {
    "a block of a piece that is not there": encode(m.Piece(10, 0, b"a")),
    "a block that ends behind its piece": encode(m.Piece(0, 999, b"ab")),
    "a block that ends behind the last piece": encode(m.Piece(9, 0, bytes(301))),
    "a block without a byte": b"\0\0\0\x09\x07" + bytes(8),
    "a block that is too long": (10 + m.MAX_REQUEST).to_bytes(4, "big") + b"\x07" + bytes(9 + m.MAX_REQUEST),
    "a Piece without its begin": b"\0\0\0\x05\x07" + bytes(4),
    "a Request of a piece that is not there": encode(m.Request(10, 0, 1)),
    "a Request of bytes behind the last piece": encode(m.Request(9, 1, 300)),
    "a Request of no bytes": encode(m.Request(0, 0, 0)),
    "a Request of too many bytes": encode(m.Request(0, 0, m.MAX_REQUEST + 1)),
    "a Request that goes on": b"\0\0\0\x0e\x06" + bytes(11) + b"\1\0",
    "a message over the limit": b"\xff\xff\xff\xff",
}


def shaken(geometry=GEOMETRY):
    wire = WireConnection(OURS)
    list(wire.receive(THEIRS.encode()))
    if geometry is not None:
        wire.know(geometry)
    return wire


def keep(run):
    """As it was when it was told: views are valid only for that moment."""
    return Pieces([(i, b, bytes(view)) for i, b, view in run.blocks]) if isinstance(run, Pieces) else run


def read(wire, chunks):
    """The runs that come, and last what was wrong, if anything was."""
    found = []
    try:
        for chunk in chunks:
            for run in wire.receive_runs(chunk):
                found.append(keep(run))
    except RemoteProtocolError as error:
        found.append(error.reason)
    return found


def flat(found):
    return [
        message
        for run in found
        for message in (run.messages() if isinstance(run, (Pieces, Requests)) else [run])
    ]


def cut(stream, places):
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[a:b] for a, b in pairwise(edges)]


def bytewise(stream):
    return [stream[at : at + 1] for at in range(len(stream))]


def test_messages_of_a_kind_in_a_row_are_one_run():
    given_blocks = [(0, begin, bytes([begin]) * 100) for begin in range(0, 100, 10)]
    asked = [(9, begin, 20) for begin in range(0, 200, 20)]
    stream = b"".join(encode(m.Piece(*block)) for block in given_blocks)
    stream += b"".join(encode(m.Request(*block)) for block in asked)
    stream += encode(m.Have(3)) + encode(m.Piece(1, 0, b"a"))
    assert read(shaken(), [stream]) == [
        Pieces(given_blocks),
        Requests(asked),
        m.Have(3),
        Pieces([(1, 0, b"a")]),
    ]


def test_a_run_goes_on_behind_a_message_that_was_split():
    stream = b"".join(encode(m.Piece(0, begin, b"abc")) for begin in range(4))
    expected = [(0, begin, b"abc") for begin in range(4)]
    for at in range(1, 16):
        assert read(shaken(), [stream[:at], stream[at:]]) == [Pieces(expected[:1]), Pieces(expected[1:])]


def test_blocks_in_a_run_are_not_copied():
    stream = bytearray(encode(m.Piece(0, 0, b"abc")) + encode(m.Piece(0, 3, b"def")))
    (run,) = shaken().receive_runs(stream)
    stream[-1:] = b"!"
    assert [bytes(block) for _, _, block in run.blocks] == [b"abc", b"de!"]


@given(talk, st.lists(st.integers(0, 5000), max_size=20))
def test_however_bytes_arrive_the_messages_are_those_that_were_sent(sent, places):
    stream = b"".join(map(encode, sent))
    for chunks in ([stream], cut(stream, places), bytewise(stream), list(map(encode, sent))):
        wire = shaken()
        assert flat(read(wire, chunks)) == sent
        assert wire.buffered == 0


@given(st.sampled_from(sorted(FAULTS)), talk, talk, st.lists(st.integers(0, 5000), max_size=6))
def test_what_came_before_a_fault_is_told_and_nothing_after_it(fault, before, after, places):
    told = b"".join(map(encode, before))
    stream = told + FAULTS[fault] + b"".join(map(encode, after))
    whole = flat(read(shaken(), [stream]))
    assert whole[:-1] == before
    assert isinstance(whole[-1], str)
    assert flat(read(shaken(), cut(stream, places))) == whole
    at_the_fault = [*bytewise(stream[: len(told) + 20]), stream[len(told) + 20 :]]
    assert flat(read(shaken(), at_the_fault)) == whole


def test_while_the_torrent_is_unknown_any_block_may_be_named():
    sent = [m.Piece(2**32 - 1, 2**32 - 1, b"ab"), m.Request(2**32 - 1, 2**32 - 1, m.MAX_REQUEST)]
    assert flat(read(shaken(None), [b"".join(map(encode, sent))])) == sent


def test_a_run_is_checked_against_what_was_learned_a_moment_before_it():
    wire = shaken(None)
    arriving = wire.receive_runs(
        encode(m.Piece(10, 0, b"a")) + encode(m.Extended(1, b"")) + encode(m.Piece(10, 0, b"a"))
    )
    assert keep(next(arriving)) == Pieces([(10, 0, b"a")])
    assert next(arriving) == m.Extended(1, b"")
    wire.know(GEOMETRY)
    with pytest.raises(RemoteProtocolError):
        next(arriving)


@given(st.lists(blocks, max_size=20))
def test_what_is_written_in_a_row_is_what_is_written_one_by_one(blocks):
    out = []
    size = write_pieces(blocks, out)
    assert b"".join(out) == b"".join(encode(m.Piece(*block)) for block in blocks)
    assert size == sum(map(len, out))
    assert all(block is out[2 * number + 1] for number, (_, _, block) in enumerate(blocks)), "copied"
    asked = [(index, begin, len(block)) for index, begin, block in blocks]
    assert write_requests(asked) == b"".join(encode(m.Request(*block)) for block in asked)


def test_a_megabyte_of_blocks_is_read_in_one_run_and_written_in_one_list():
    length = 16 << 10
    wire = shaken(Geometry(1 << 20, 4 << 20))
    sent = [(3, begin, bytes([begin >> 14]) * length) for begin in range(0, 1 << 20, length)]
    out = []
    assert wire.give(sent, out) == 64 * (length + 13)
    assert read(wire, [b"".join(out)]) == [Pieces(sent)]
    asked = [(index, begin, length) for index, begin, _ in sent]
    assert read(wire, [wire.request(asked)]) == [Requests(asked)]


def test_many_small_messages_cost_no_more_than_their_number():
    """A run is as long as one arrival: nothing is gathered over arrivals."""
    wire = shaken()
    stream = encode(m.Request(0, 0, 1)) * runs(2_000, 200_000)
    found = read(wire, [stream[at : at + 4000] for at in range(0, len(stream), 4000)])
    assert max(len(run.blocks) for run in found) <= 4000 // 17 + 1
    assert len(flat(found)) == len(stream) // 17
