"""The text of local announces: as BEP 14 has it, round trips, bounds, and mutations (SECURITY.md T18)."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bittwist.discovery.bt_search import (
    MAX_COOKIE,
    MAX_HASHES,
    MAX_LENGTH,
    MAX_READ,
    LocalAnnounce,
    decode,
    encode,
    fitting,
)
from bittwist.errors import RemoteProtocolError
from tests.scale import SEED, runs

GROUP = "239.192.152.143:6771"
HASH = bytes(range(20))

announces = st.builds(
    LocalAnnounce,
    st.integers(1, 65535),
    st.lists(st.binary(min_size=20, max_size=20), max_size=MAX_HASHES, unique=True).map(tuple),
    st.none() | st.text("0123456789abcdefXYZ-", min_size=1, max_size=MAX_COOKIE),
)


def test_it_is_written_as_the_bep_has_it() -> None:
    assert encode(LocalAnnounce(6881, (HASH,), "c00c1e"), GROUP) == (
        b"BT-SEARCH * HTTP/1.1\r\nHost: 239.192.152.143:6771\r\nPort: 6881\r\n"
        b"Infohash: 000102030405060708090a0b0c0d0e0f10111213\r\ncookie: c00c1e\r\n\r\n\r\n"
    )


@given(announces)
def test_what_is_written_is_read(announce: LocalAnnounce) -> None:
    assert decode(encode(announce, GROUP)) == announce


def test_headers_are_read_in_any_case_and_order_and_others_passed_over() -> None:
    datagram = (
        b"BT-SEARCH * HTTP/1.1\nINFOHASH:000102030405060708090A0B0C0D0E0F10111213\r\nX-New: 1\n"
        b"host: [ff15::efc0:988f]:6771\r\nport:  51413 \n\n"
    )
    assert decode(datagram) == LocalAnnounce(51413, (HASH,), None)


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"M-SEARCH * HTTP/1.1\r\nPort: 1\r\n\r\n",
        b"BT-SEARCH * HTTP/1.1\r\n\r\n",
        b"BT-SEARCH * HTTP/1.1\r\nPort: 0\r\n\r\n",
        b"BT-SEARCH * HTTP/1.1\r\nPort: 65536\r\n\r\n",
        b"BT-SEARCH * HTTP/1.1\r\nPort: -1\r\n\r\n",
        b"BT-SEARCH * HTTP/1.1\r\nPort: " + b"1" * 5000 + b"\r\n\r\n",
        b"BT-SEARCH * HTTP/1.1\r\nPort: \xb2\r\n\r\n",
        b"BT-SEARCH * HTTP/1.1\r\nPort: 1\r\n" + bytes(MAX_READ),
    ],
)
def test_anything_else_is_refused(datagram: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode(datagram)


def test_hashes_that_are_none_are_skipped() -> None:
    lines = [b"BT-SEARCH * HTTP/1.1", b"Port: 1", b"Infohash: zz" + b"0" * 38, b"Infohash: 00", b"Infohash"]
    assert decode(b"\r\n".join([*lines, b"Infohash: " + HASH.hex().encode()])).info_hashes == (HASH,)


def test_a_hundred_hashes_are_read_and_no_more() -> None:
    """SECURITY.md D11."""
    hashes = [number.to_bytes(20, "big") for number in range(MAX_HASHES + 1)]
    assert len(decode(encode(LocalAnnounce(1, tuple(hashes[:MAX_HASHES])), GROUP)).info_hashes) == MAX_HASHES
    assert len(decode(encode(LocalAnnounce(1, tuple(hashes)), GROUP)).info_hashes) == MAX_HASHES


def test_as_many_hashes_are_sent_as_no_link_has_to_cut_up() -> None:
    hashes = [number.to_bytes(20, "big") for number in range(60)]
    count = fitting(hashes, GROUP, "cookie")
    assert len(encode(LocalAnnounce(65535, tuple(hashes[:count]), "cookie"), GROUP)) <= MAX_LENGTH
    assert len(encode(LocalAnnounce(65535, tuple(hashes[: count + 1]), "cookie"), GROUP)) > MAX_LENGTH
    assert fitting(hashes[:3], GROUP, "cookie") == 3


@given(st.binary(max_size=300))
def test_arbitrary_bytes_raise_only_our_error(datagram: bytes) -> None:
    for each in (datagram, b"BT-SEARCH * HTTP/1.1\r\n" + datagram):
        try:
            decode(each)
        except RemoteProtocolError:
            pass


def test_mutated_announces_raise_only_our_error() -> None:
    """SECURITY.md T18."""
    random = Random(SEED)
    whole = encode(LocalAnnounce(6881, tuple(random.randbytes(20) for _ in range(5)), "cookie"), GROUP)
    for _ in range(runs(2000, 50_000)):
        datagram = bytearray(whole)
        for _ in range(random.randint(1, 8)):
            at = random.randrange(len(datagram))
            match random.randrange(4):
                case 0:
                    datagram[at] = random.randrange(256)
                case 1:
                    del datagram[at : at + random.randint(1, 60)]
                case 2:
                    datagram[at:at] = random.randbytes(random.randint(1, 30))
                case _:
                    datagram[at:at] = datagram[random.randrange(len(datagram)) :][: random.randint(1, 200)]
            datagram = datagram or bytearray(b"\0")
        try:
            announce = decode(bytes(datagram))
        except RemoteProtocolError:
            continue
        assert 0 < announce.port < 65536 and len(announce.info_hashes) <= MAX_HASHES
        assert all(len(info_hash) == 20 for info_hash in announce.info_hashes)
