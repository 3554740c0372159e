"""Each message as bytes and back, and what is refused by its form alone."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bittwist.errors import LocalProtocolError, RemoteProtocolError
from bittwist.wire import messages as m
from bittwist.wire.messages import decode, encode

from .strategies import messages

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "wire.json").read_text())


@pytest.mark.parametrize("case", VECTORS["messages"]["cases"], ids=lambda case: case["message"][0])
def test_the_messages_of_the_beps_have_their_bytes(case):
    name, *fields = case["message"]
    message = getattr(m, name)(*fields)
    assert encode(message) == bytes.fromhex(case["hex"])
    assert decode(memoryview(encode(message))[4:]) == message


@given(messages)
def test_every_message_survives_the_wire(message):
    encoded = encode(message)
    assert int.from_bytes(encoded[:4], "big") == len(encoded) - 4
    assert decode(memoryview(encoded)[4:]) == message


@given(st.binary(max_size=64))
def test_arbitrary_bytes_are_a_message_or_our_error(frame):
    try:
        message = decode(memoryview(frame))
    except RemoteProtocolError:
        return
    if not isinstance(message, m.UnknownMessage):
        assert encode(message)[4:] == frame


@pytest.mark.parametrize(
    "frame",
    [
        "0000",  # a choke with a body
        "04123456",  # a have that is too short
        "0d000000",  # a suggestion that is too short
        "14",  # an extended message without its identifier
        "07000000010000",  # a piece cut in its header
        "070000000100000000",  # a piece without a block
        "06000000010000000000000000",  # a request for nothing
        "06000000010000000000100000",  # a request for 1 MiB
        "08000000010000000000020001",  # a cancel of 128 KiB and a byte
        "0900",  # half a port
    ],
)
def test_a_message_of_a_wrong_form_is_refused(frame):
    with pytest.raises(RemoteProtocolError):
        decode(memoryview(bytes.fromhex(frame)))


def test_a_request_at_the_limit_is_read():
    assert decode(memoryview(encode(m.Request(0, 0, m.MAX_REQUEST)))[4:]).length == 128 << 10


def test_a_block_over_the_limit_is_refused():
    at_limit = b"\x07" + bytes(8 + m.MAX_REQUEST)
    assert len(decode(memoryview(at_limit)).block) == m.MAX_REQUEST
    with pytest.raises(RemoteProtocolError):
        decode(memoryview(at_limit + b"\0"))


def test_a_received_block_is_not_copied():
    buffer = bytearray(encode(m.Piece(1, 2, b"abc"))[4:])
    piece = decode(memoryview(buffer))
    buffer[-1:] = b"!"
    assert bytes(piece.block) == b"ab!"


def test_unknown_messages_are_told_but_never_sent():
    assert decode(memoryview(b"\xfe\0\0")) == m.UnknownMessage(0xFE)
    with pytest.raises(LocalProtocolError):
        encode(m.UnknownMessage(0xFE))
