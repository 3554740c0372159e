"""Peer exchange and what is given up again, as bytes (BEP 11, 54)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bittwist.address import Address
from bittwist.errors import RemoteProtocolError
from bittwist.metainfo import bencode
from bittwist.wire import lt_donthave
from bittwist.wire.ut_pex import MAX_PAYLOAD, MAX_READ, Contact, PexFlags, PexMessage, decode, encode

ADDRESSES = st.builds(Address, (st.ip_addresses(v=4) | st.ip_addresses(v=6)).map(str), st.integers(1, 65535))
CONTACTS = st.builds(Contact, ADDRESSES, st.integers(0, 31).map(PexFlags))
FOUR = Address("192.0.2.1", 6881)
SIX = Address("2001:db8::1", 6882)


def test_both_families_and_their_flags():
    message = PexMessage(
        (Contact(FOUR, PexFlags.SEED | PexFlags.REACHABLE), Contact(SIX)), (Address("192.0.2.9", 1),)
    )
    assert bencode.decode(encode(message)) == {
        b"added": FOUR.packed,
        b"added.f": b"\x12",
        b"added6": SIX.packed,
        b"added6.f": b"\0",
        b"dropped": bytes([192, 0, 2, 9, 0, 1]),
    }
    assert decode(encode(message)) == message


def test_a_message_of_nothing_has_a_field():
    assert bencode.decode(encode(PexMessage())) == {b"added": b""}


@given(st.lists(CONTACTS, max_size=20), st.lists(ADDRESSES, max_size=20))
def test_what_was_written_is_read(added, dropped):
    once = {contact.address.host: contact for contact in reversed(added)}
    message = PexMessage(tuple(once.values()), tuple(dict.fromkeys(dropped)))
    again = decode(encode(message))
    assert set(again.added) == set(message.added)
    assert set(again.dropped) == set(message.dropped)


def test_without_flags_nothing_is_known():
    assert decode(bencode.encode({b"added": FOUR.packed})).added == (Contact(FOUR),)
    short = {b"added": FOUR.packed + Address("192.0.2.2", 1).packed, b"added.f": b"\x02"}
    assert [contact.flags for contact in decode(bencode.encode(short)).added] == [
        PexFlags.SEED,
        PexFlags.NONE,
    ]


def test_a_host_counts_once_and_port_0_not_at_all():
    packed = FOUR.packed + Address(FOUR.host, 7000).packed + bytes([192, 0, 2, 3, 0, 0])
    assert [contact.address for contact in decode(bencode.encode({b"added": packed})).added] == [FOUR]


def test_flags_stay_with_their_peers_where_one_before_cannot_be_used():
    packed = bytes([192, 0, 2, 3, 0, 0]) + FOUR.packed
    told = decode(bencode.encode({b"added": packed, b"added.f": b"\x01\x10"}))
    assert told.added == (Contact(FOUR, PexFlags.REACHABLE),)


def test_no_more_is_read_than_the_bound():
    packed = b"".join(Address(f"10.0.{n // 250}.{n % 250 + 1}", 1).packed for n in range(MAX_READ + 1))
    assert len(decode(bencode.encode({b"added": packed})).added) == MAX_READ
    assert len(decode(bencode.encode({b"dropped": packed})).dropped) == MAX_READ


@pytest.mark.parametrize("odd", [b"", b"le", b"i1e", b"d", b"d5:added", b"x" * (MAX_PAYLOAD + 1)])
def test_what_is_no_dictionary_is_refused(odd):
    with pytest.raises(RemoteProtocolError):
        decode(odd)


@pytest.mark.parametrize("field", [1, [b"x"], {b"a": b"b"}, b"12345"])
def test_fields_that_cannot_be_used_are_as_if_missing(field):
    assert decode(bencode.encode({b"added": field, b"added.f": field, b"dropped6": field})) == PexMessage()


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(payload):
    try:
        decode(payload)
    except RemoteProtocolError:
        pass


def test_dont_have():
    assert lt_donthave.decode(lt_donthave.encode(70_000)) == 70_000
    for odd in (b"", b"123", b"12345"):
        with pytest.raises(RemoteProtocolError):
            lt_donthave.decode(odd)
