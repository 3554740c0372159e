"""Metadata messages: the BEP's examples, round trips, and impossible claims."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bittwist.errors import LocalProtocolError, RemoteProtocolError
from bittwist.metainfo import bencode
from bittwist.wire.ut_metadata import (
    MAX_METADATA,
    METADATA_BLOCK,
    MetadataPiece,
    MetadataReject,
    MetadataRequest,
    decode,
    encode,
    metadata_piece_length,
)

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "wire.json").read_text())["ut_metadata"]
LAST = MAX_METADATA // METADATA_BLOCK - 1


@st.composite
def metadata_pieces(draw):
    total_size = draw(st.integers(1, 60000))
    piece = draw(st.integers(0, (total_size - 1) // METADATA_BLOCK))
    return MetadataPiece(piece, total_size, bytes(metadata_piece_length(piece, total_size)))


pieces = st.integers(0, LAST)
metadata_messages = st.builds(MetadataRequest, pieces) | st.builds(MetadataReject, pieces) | metadata_pieces()


@given(metadata_messages)
def test_every_message_survives_the_wire(message):
    assert decode(encode(message)) == message


def test_the_examples_of_the_bep_have_their_bytes():
    assert encode(MetadataRequest(0)) == VECTORS["request_ascii"].encode()
    assert encode(MetadataReject(0)) == VECTORS["reject_ascii"].encode()
    assert decode(VECTORS["data_head_ascii"].encode() + bytes(METADATA_BLOCK)) == MetadataPiece(
        0, 34256, bytes(METADATA_BLOCK)
    )


def test_the_last_piece_has_what_is_left():
    assert [metadata_piece_length(piece, 34256) for piece in range(3)] == [16384, 16384, 1488]


def test_a_kind_of_message_we_do_not_know_is_ignored():
    assert decode(b"d8:msg_typei9e5:piecei0ee") is None


def head(**fields):
    return bencode.encode({k.encode(): v for k, v in fields.items()})


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"i0e",
        b"d",
        head(piece=0),
        head(msg_type=0),
        head(msg_type=0, piece=-1),
        head(msg_type=0, piece=LAST + 1),
        head(msg_type=0, piece=1 << 32),
        head(msg_type=-1, piece=0),
        head(msg_type=b"0", piece=0),
        head(msg_type=1, piece=0, total_size=(1 << 63) - 1),
        head(msg_type=1, piece=0, total_size=MAX_METADATA + 1) + bytes(METADATA_BLOCK),
        head(msg_type=1, piece=0, total_size=0),
        head(msg_type=1, piece=1, total_size=100) + bytes(100),
        head(msg_type=1, piece=0, total_size=100) + bytes(99),
        head(msg_type=1, piece=0, total_size=100) + bytes(101),
        head(msg_type=1, piece=0, total_size=40000) + bytes(METADATA_BLOCK - 1),
    ],
)
def test_impossible_messages_are_refused(payload):
    with pytest.raises(RemoteProtocolError):
        decode(payload)


def test_the_last_piece_of_the_largest_metadata_is_read():
    message = MetadataPiece(LAST, MAX_METADATA, bytes(METADATA_BLOCK))
    assert decode(encode(message)) == message


def test_a_block_of_a_wrong_length_is_not_sent():
    with pytest.raises(LocalProtocolError):
        encode(MetadataPiece(0, 100, bytes(99)))


@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_only_our_error(payload):
    try:
        decode(payload)
    except RemoteProtocolError:
        pass
