import pytest
from hypothesis import given
from hypothesis import strategies as st

from bittwist.address import Address
from bittwist.errors import RemoteProtocolError
from bittwist.metainfo.compact import pack, unpack

PORTS = st.integers(1, 65535)
ADDRESSES = st.builds(Address, st.ip_addresses().map(str), PORTS)


def test_entries_are_address_and_port_big_endian():
    assert pack([Address("1.2.3.4", 258), Address("::1", 1)]) == (
        b"\x01\x02\x03\x04\x01\x02",
        bytes(15) + b"\x01\x00\x01",
    )


@given(st.lists(ADDRESSES, max_size=20))
def test_packed_addresses_come_back_by_family(addresses):
    peers4, peers6 = pack(addresses)
    assert list(unpack(peers4, 6)) == [address for address in addresses if not address.is_ipv6]
    assert list(unpack(peers6, 18)) == [address for address in addresses if address.is_ipv6]


@pytest.mark.parametrize("width", [6, 18])
def test_a_length_that_is_no_multiple_is_the_senders_fault(width):
    with pytest.raises(RemoteProtocolError):
        unpack(bytes(width + 1), width)


def test_port_0_is_left_out():
    assert unpack(b"\x01\x02\x03\x04\x00\x00\x01\x02\x03\x04\x00\x01", 6) == (Address("1.2.3.4", 1),)


def test_an_ipv4_address_mapped_into_ipv6_is_that_ipv4_address():
    assert unpack(bytes(10) + b"\xff\xff\x01\x02\x03\x04\x00\x01", 18) == (Address("1.2.3.4", 1),)


def test_there_is_no_third_width():
    with pytest.raises(ValueError, match="6 or 18"):
        unpack(b"", 26)
