"""Choke, interest, and what is legal when."""

import pytest

from bittwist.errors import LocalProtocolError, RemoteProtocolError
from bittwist.wire import messages as m
from bittwist.wire.standing import MAX_EXTENSION_HANDSHAKES, Standing

OPENINGS = [m.BitfieldMessage(b"\x80"), m.HaveAll(), m.HaveNone()]
FAST = [m.HaveAll(), m.HaveNone(), m.SuggestPiece(0), m.AllowedFast(0), m.RejectRequest(0, 0, 1)]
NEUTRAL = [m.Extended(0, b"de"), m.KeepAlive(), m.Port(1), m.UnknownMessage(99)]
LATER = [m.Have(0), m.Interested(), m.Unchoke(), m.Request(0, 0, 1), m.Piece(0, 0, b"a"), *OPENINGS]


def standing(fast=True, extended=True):
    return Standing(fast=fast, extended=extended)


def test_both_begin_choked_and_not_interested():
    s = standing()
    assert (s.am_choking, s.peer_choking, s.am_interested, s.peer_interested) == (True, True, False, False)


def test_choke_and_interest_follow_the_messages():
    s = standing()
    for message in m.Unchoke(), m.Interested():
        s.received(message)
        s.sending(message)
    assert (s.am_choking, s.peer_choking, s.am_interested, s.peer_interested) == (False, False, True, True)
    for message in m.Choke(), m.NotInterested():
        s.received(message)
        s.sending(message)
    assert (s.am_choking, s.peer_choking, s.am_interested, s.peer_interested) == (True, True, False, False)


@pytest.mark.parametrize("opening", OPENINGS, ids=repr)
@pytest.mark.parametrize("before", NEUTRAL + LATER, ids=repr)
def test_a_bitfield_may_come_at_any_time(opening, before):
    s = standing()
    s.received(before)
    assert s.received(opening) is None


@pytest.mark.parametrize("before", LATER, ids=repr)
def test_our_own_bitfield_cannot_come_late(before):
    s = standing()
    s.sending(before)
    with pytest.raises(LocalProtocolError):
        s.sending(m.HaveNone())


@pytest.mark.parametrize("message", FAST, ids=repr)
def test_messages_of_the_fast_extension_need_it(message):
    with pytest.raises(RemoteProtocolError):
        standing(fast=False).received(message)
    with pytest.raises(LocalProtocolError):
        standing(fast=False).sending(message)
    standing().received(message)
    standing().sending(message)


def test_extended_messages_are_sent_only_to_who_reads_them():
    with pytest.raises(LocalProtocolError):
        standing(extended=False).sending(m.Extended(0, b"de"))
    standing(extended=False).received(m.Extended(0, b"de"))


def test_extension_handshakes_without_end_are_refused():
    s = standing()
    for _ in range(MAX_EXTENSION_HANDSHAKES):
        s.received(m.Extended(0, b"de"))
    s.received(m.Extended(1, b""))
    with pytest.raises(RemoteProtocolError):
        s.received(m.Extended(0, b"de"))
