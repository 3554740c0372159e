import pytest
from hypothesis import given
from hypothesis import strategies as st

from bittwist.metainfo.peerid import client_name, client_software, generate
from tests.metainfo.vectors import load


@pytest.mark.parametrize("case", load("peerid")["cases"], ids=lambda case: case["id"])
def test_the_examples_of_bep_20(case):
    assert client_name(case["id"].encode()) == case["client"]


@pytest.mark.parametrize(
    ("start", "client"),
    [
        (b"-qB4650-", "qBittorrent 4.6.5"),
        (b"-LT20B0-", "libtorrent 2.0.11"),
        (b"-TR4050-", "Transmission 4.0.5"),
        (b"-TR2940-", "Transmission 2.94"),
        (b"-TR0006-", "Transmission 0.6"),
        (b"-UT355S-", "µTorrent 3.5.5"),
        (b"-UW1110Q", "µTorrent Web 1.1.10"),
        (b"-BC0171-", "BitComet 1.71"),
        (b"-KT51R2-", "KTorrent 5.1 RC 2"),
        (b"-KT5110-", "KTorrent 5.1.1"),
        (b"-WW0102-", "WebTorrent 0.1.0.2"),
        (b"exbc\x00\x37LORD", "BitLord 0.55"),
        (b"exbc\x00\x05abcd", "BitComet 0.05"),
        (b"A2-1-36-0-", "aria2 1.36.0"),
        (b"T03I-----", "BitTornado 0.3.18"),
        (b"-ZZ1234-", "-ZZ1234-"),
        (b"-LT2\xff\x00\x00-", "-LT2%FF%00%00-"),
        (b"\x00\x01%abcdef", "%00%01%25abcde"),
    ],
)
def test_clients_are_named_by_either_style(start, client):
    assert client_name(start.ljust(20, b"x")) == client


@pytest.mark.parametrize(
    ("start", "software"),
    [
        (b"-qB4650-", "qBittorrent"),
        (b"-UT355S-", "µTorrent"),
        (b"A2-1-36-0-", "aria2"),
        (b"T03I-----", "BitTornado"),
        (b"OP1234", "Opera"),
        (b"-ZZ1234-", None),
        (b"", None),
    ],
)
def test_the_software_is_the_name_without_a_version(start, software):
    assert client_software(start.ljust(20, b"x") if start else start) == software


def test_ours_are_20_bytes_named_and_random():
    peer_id = generate(lambda length: b"r" * length)
    assert peer_id == b"-bW0100-rrrrrrrrrrrr"
    assert client_name(peer_id) == "bittwist 0.1.0"


_STARTS = (b"-UT", b"-BL", b"-FL", b"-PI", b"-XF", b"-KT", b"-TR", b"-FD", b"M", b"T0", b"exbc", b"-ML")


@given(
    st.binary(max_size=24)
    | st.builds(lambda start, rest: (start + rest)[:20], st.sampled_from(_STARTS), st.binary(max_size=20))
)
def test_any_bytes_have_a_name_that_can_be_shown(peer_id):
    """E5: names of clients end up in other people's pages and terminals."""
    name = client_name(peer_id)
    assert name.isprintable() or not peer_id
