import pytest

from bittwist.errors import MetainfoError
from bittwist.metainfo.infohash import InfoHash

HEX = "0123456789abcdef0123456789abcdef01234567"


def test_hex_and_base32_name_the_same_torrent():
    parsed = InfoHash.parse(HEX)
    assert parsed == InfoHash.parse(HEX.upper()) == InfoHash.parse("AERUKZ4JVPG66AJDIVTYTK6N54ASGRLH")
    assert parsed == InfoHash.parse("aerukz4jvpg66ajdivtytk6n54asgrlh")
    assert str(parsed) == HEX
    assert parsed.v2 is None


def test_64_hex_digits_are_a_v2_hash_whose_first_20_bytes_go_over_the_wire():
    parsed = InfoHash.parse("ab" * 32)
    assert parsed.v1 is None
    assert parsed.short == b"\xab" * 20
    assert str(parsed) == "ab" * 32


def test_a_hybrid_goes_by_its_v1_part():
    both = InfoHash(b"1" * 20, b"2" * 32)
    assert both.short == b"1" * 20
    assert str(both) == "31" * 20


@pytest.mark.parametrize(
    "text",
    [
        "",
        "abc",
        HEX[:-1],
        HEX[:-1] + "g",
        " " + HEX[1:],
        HEX[:-2] + " 1",
        "1" * 32,
        "é" * 40,
        "ab" * 31 + "zz",
    ],
)
def test_anything_else_is_refused(text):
    with pytest.raises(MetainfoError):
        InfoHash.parse(text)


@pytest.mark.parametrize("parts", [(None, None), (b"1" * 19, None), (None, b"2" * 20), (b"1" * 20, b"")])
def test_parts_of_wrong_length_are_refused(parts):
    with pytest.raises(MetainfoError):
        InfoHash(*parts)


def test_it_can_be_a_key():
    assert {InfoHash(b"1" * 20): 1}[InfoHash(v1=b"1" * 20)] == 1
