"""Peer priority (BEP 40), with the examples it prints."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bittwist.address import Address
from bittwist.swarm.priority import crc32c, peer_priority

HOSTS = st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map(str)


def test_the_examples_of_the_bep():
    us = Address("123.213.32.10", 1)
    assert peer_priority(us, Address("98.76.54.32", 1)) == 0xEC2D7224
    assert peer_priority(us, Address("123.213.32.234", 1)) == 0x99568189


def test_the_check_value_of_the_crc():
    assert crc32c(b"123456789") == 0xE3069283


def test_one_host_is_told_apart_by_its_ports():
    one, other = Address("10.0.0.1", 1000), Address("10.0.0.1", 2000)
    assert peer_priority(one, other) == crc32c((1000).to_bytes(2, "big") + (2000).to_bytes(2, "big"))


@pytest.mark.parametrize(
    ("us", "one", "other"),
    [
        ("1.2.3.4", "9.9.0.0", "9.9.170.170"),  # a /16 that is not ours: half of the rest counts
        ("1.2.3.4", "1.2.9.0", "1.2.9.170"),
        ("2001:db8::1", "2001:db9:1::", "2001:db9:1:aaaa::"),
    ],
)
def test_what_the_owner_of_a_network_could_choose_does_not_count(us, one, other):
    assert peer_priority(Address(us, 1), Address(one, 1)) == peer_priority(Address(us, 1), Address(other, 1))


def test_a_48_of_our_own_opens_one_byte_more():
    us = Address("2001:db8:1::1", 1)
    one, other = Address("2001:db8:1:aa00::", 1), Address("2001:db8:1::", 1)
    assert peer_priority(us, one) != peer_priority(us, other)


@given(HOSTS, HOSTS, st.integers(1, 65535), st.integers(1, 65535))
def test_both_ends_agree(one, other, port, their_port):
    first, second = Address(one, port), Address(other, their_port)
    if first.is_ipv6 is not second.is_ipv6:
        with pytest.raises(ValueError, match="no priority"):
            peer_priority(first, second)
    else:
        assert 0 <= peer_priority(first, second) == peer_priority(second, first) < 2**32
