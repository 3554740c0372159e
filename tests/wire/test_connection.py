"""Two connections joined back to back, and one against bytes that do not belong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bittwist.errors import LocalProtocolError, RemoteProtocolError
from bittwist.metainfo.geometry import Geometry
from bittwist.wire import messages as m
from bittwist.wire.connection import Opened, WireConnection
from bittwist.wire.handshake import Handshake, reserved
from bittwist.wire.messages import encode

from .strategies import messages

OURS = Handshake(b"h" * 20, b"o" * 20, reserved())
THEIRS = Handshake(b"h" * 20, b"t" * 20, reserved())
GEOMETRY = Geometry(32768, 10 * 32768)


def keep(fact):
    """A fact as it was when it was told: a block is valid only for that moment."""
    return m.Piece(fact.index, fact.begin, bytes(fact.block)) if isinstance(fact, m.Piece) else fact


def receive(wire, data):
    return [keep(fact) for fact in wire.receive(data)]


def shaken(theirs=THEIRS, ours=OURS):
    wire = WireConnection(ours)
    receive(wire, theirs.encode())
    return wire


def test_who_dials_sends_its_handshake_and_reads_the_answer():
    wire = WireConnection(OURS)
    assert wire.data_to_send() == OURS.encode()
    assert wire.data_to_send() == b""
    assert receive(wire, THEIRS.encode() + encode(m.HaveAll())) == [THEIRS, m.HaveAll()]
    assert wire.remote == THEIRS


def test_who_is_called_is_told_the_torrent_before_it_answers():
    wire = WireConnection()
    facts = wire.receive(THEIRS.encode() + encode(m.HaveNone()))
    assert next(facts) == Opened(b"h" * 20)
    assert wire.data_to_send() == b""
    wire.admit(OURS)
    assert wire.data_to_send() == OURS.encode()
    assert list(facts) == [THEIRS, m.HaveNone()]


def test_the_answer_does_not_wait_for_the_peer_id():
    wire = WireConnection()
    assert receive(wire, THEIRS.encode()[:47]) == []
    assert receive(wire, THEIRS.encode()[47:48]) == [Opened(b"h" * 20)]
    wire.admit(OURS)
    assert receive(wire, THEIRS.encode()[48:]) == [THEIRS]


def test_a_torrent_that_is_not_admitted_is_not_spoken_of():
    wire = WireConnection()
    assert receive(wire, THEIRS.encode() + encode(m.HaveAll())) == [Opened(b"h" * 20)]
    assert str(wire.refuse("not here")) == "not here"
    assert wire.data_to_send() == b""


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", b"\x13BitTorrent protocoL", b"\x12"])
def test_what_is_not_bittorrent_is_refused_at_the_first_wrong_byte(data):
    for wire in WireConnection(), WireConnection(OURS):
        with pytest.raises(RemoteProtocolError):
            receive(wire, data)


def test_an_answer_for_another_torrent_is_refused():
    with pytest.raises(RemoteProtocolError):
        receive(WireConnection(OURS), Handshake(b"x" * 20, b"t" * 20).encode())


def test_a_connection_to_ourselves_is_refused_at_both_ends():
    with pytest.raises(RemoteProtocolError):
        receive(WireConnection(OURS), OURS.encode())
    wire = WireConnection()
    facts = wire.receive(OURS.encode())
    next(facts)
    wire.admit(OURS)
    with pytest.raises(RemoteProtocolError):
        next(facts)


@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize("theirs", [True, False])
def test_an_extension_counts_where_both_have_it(ours, theirs):
    wire = shaken(
        ours=Handshake(b"h" * 20, b"o" * 20, reserved(fast=ours, extended=ours)),
        theirs=Handshake(b"h" * 20, b"t" * 20, reserved(fast=theirs, extended=theirs)),
    )
    assert (wire.standing.fast, wire.standing.extended) == (ours and theirs, ours and theirs)


def test_facts_before_a_fault_are_told():
    wire, told = shaken(), []
    with pytest.raises(RemoteProtocolError):
        for fact in wire.receive(encode(m.HaveAll()) + encode(m.Unchoke()) + b"\xff\xff\xff\xff"):
            told.append(fact)
    assert told == [m.HaveAll(), m.Unchoke()]


def test_nothing_is_sent_before_the_handshake():
    with pytest.raises(LocalProtocolError):
        WireConnection(OURS).send(m.HaveAll())


def test_messages_and_headers_are_the_bytes_of_the_messages():
    wire = shaken()
    assert wire.send(m.HaveAll()) == encode(m.HaveAll())
    piece = m.Piece(0, 16384, b"abc")
    out = []
    assert wire.give([(0, 16384, b"abc")], out) == len(encode(piece))
    assert b"".join(out) == encode(piece)


def test_indices_are_checked_as_soon_as_the_torrent_is_known_even_within_an_arrival():
    wire = shaken()
    facts = wire.receive(encode(m.Have(10)) + encode(m.Have(11)))
    assert next(facts) == m.Have(10)
    with pytest.raises(RemoteProtocolError):
        wire.know(GEOMETRY)
    with pytest.raises(RemoteProtocolError):
        next(facts)


def test_a_long_bitfield_is_read_once_the_torrent_is_known():
    pieces = 2_097_152
    bits = encode(m.BitfieldMessage(b"\xff" * (pieces // 8)))
    with pytest.raises(RemoteProtocolError):
        receive(shaken(), bits)
    wire = shaken()
    wire.know(Geometry(16384, pieces * 16384))
    assert receive(wire, bits) == [m.BitfieldMessage(b"\xff" * (pieces // 8))]


@given(st.lists(messages, max_size=8), st.lists(st.integers(1, 400), max_size=12))
def test_facts_do_not_depend_on_how_bytes_arrive(sent, sizes):
    stream = THEIRS.encode() + b"".join(map(encode, sent))

    def told(chunks):
        wire, facts = WireConnection(OURS), []
        try:
            for chunk in chunks:
                for fact in wire.receive(chunk):
                    facts.append(keep(fact))
        except RemoteProtocolError as error:
            facts.append(error.reason)
        return facts

    pieces, at = [], 0
    for size in sizes:
        pieces.append(stream[at : at + size])
        at += size
    assert told([stream]) == told([*pieces, stream[at:]]) == told([bytes([b]) for b in stream])


@given(st.binary(max_size=400), st.booleans())
def test_arbitrary_bytes_raise_only_our_error(noise, after_handshake):
    wire = shaken() if after_handshake else WireConnection()
    try:
        receive(wire, noise)
    except RemoteProtocolError:
        pass
