"""Streams cut into messages, however they arrive."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bittwist.errors import RemoteProtocolError
from bittwist.wire.framing import MAX_MESSAGE, Framing


def frame(body):
    return len(body).to_bytes(4, "big") + body


def arrive(framing, data):
    """The messages that `data` completes: the one begun before, then those in it."""
    data = memoryview(data)
    found, at = framing.finish(data)
    if found is not None:
        yield found
    while (found := framing.next(data, at)) is not None:
        yield found
        at += 4 + len(found)


def arrived(framing, data):
    return list(map(bytes, arrive(framing, data)))


def cut(stream, places):
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[a:b] for a, b in pairwise(edges)]


bodies = st.lists(st.binary(max_size=40), max_size=12)


@given(bodies, st.lists(st.integers(0, 600)), st.binary(max_size=3))
def test_messages_come_out_whole_however_the_stream_is_cut(bodies, places, tail):
    stream = b"".join(map(frame, bodies)) + tail
    framing = Framing()
    found = [body for chunk in cut(stream, places) for body in arrived(framing, chunk)]
    assert found == bodies
    assert framing.buffered == len(tail)


@given(bodies)
def test_messages_come_out_whole_byte_by_byte(bodies):
    framing = Framing()
    stream = b"".join(map(frame, bodies))
    assert [body for at in range(len(stream)) for body in arrived(framing, stream[at : at + 1])] == bodies
    assert framing.buffered == 0


def test_a_message_at_the_limit_is_taken_and_one_byte_more_is_not():
    assert len(arrived(Framing(), frame(bytes(MAX_MESSAGE)))[0]) == MAX_MESSAGE
    with pytest.raises(RemoteProtocolError):
        arrived(Framing(), frame(bytes(MAX_MESSAGE + 1)))


@pytest.mark.parametrize("prefix", [b"\xff\xff\xff\xff", (MAX_MESSAGE + 1).to_bytes(4, "big")])
def test_a_prefix_over_the_limit_is_refused_before_anything_follows_it(prefix):
    with pytest.raises(RemoteProtocolError):
        arrived(Framing(), prefix)
    framing = Framing()
    arrived(framing, prefix[:3])
    with pytest.raises(RemoteProtocolError):
        arrived(framing, prefix[3:])


def test_messages_before_a_fault_come_out():
    found = []
    with pytest.raises(RemoteProtocolError):
        for body in arrive(Framing(), frame(b"one") + b"\xff\xff\xff\xff"):
            found.append(bytes(body))
    assert found == [b"one"]


def test_nothing_is_kept_but_the_unfinished_message():
    framing = Framing()
    arrived(framing, frame(bytes(1000)) + frame(bytes(500))[:100])
    assert framing.buffered == 100


def test_a_whole_message_is_a_view_into_what_arrived():
    buffer = bytearray(frame(b"abc"))
    (body,) = arrive(Framing(), buffer)
    buffer[4:5] = b"x"
    assert bytes(body) == b"xbc"


def test_a_message_that_was_begun_before_outlives_what_it_arrived_in():
    framing = Framing()
    begun, rest = bytearray(frame(b"abc")[:5]), bytearray(frame(b"abc")[5:])
    arrived(framing, begun)
    (body,) = arrive(framing, rest)
    begun[4:], rest[:] = b"?", b"??"
    assert bytes(body) == b"abc"
