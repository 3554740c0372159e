"""The extension handshake: the BEP's example, round trips, and lies that change nothing."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bittwist.errors import RemoteProtocolError
from bittwist.metainfo import bencode
from bittwist.wire import extension
from bittwist.wire.extension import ExtensionHandshake
from bittwist.wire.ut_metadata import MAX_METADATA

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "wire.json").read_text())

handshakes = st.builds(
    ExtensionHandshake,
    m=st.dictionaries(st.text("abcdefgh_", max_size=64), st.integers(0, 255), max_size=64),
    version=st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=100),
    reqq=st.none() | st.integers(1, 1 << 16),
    port=st.none() | st.integers(1, 65535),
    yourip=st.none() | st.ip_addresses().map(str),
    ipv4=st.none() | st.ip_addresses(v=4).map(str),
    ipv6=st.none() | st.ip_addresses(v=6).map(str),
    metadata_size=st.none() | st.integers(1, MAX_METADATA),
    upload_only=st.none() | st.booleans(),
    complete_ago=st.none() | st.integers(0, extension.MAX_AGO),
)


def decoded(**fields):
    return ExtensionHandshake.decode(bencode.encode({k.encode(): v for k, v in fields.items()}))


@given(handshakes)
def test_every_handshake_survives_the_wire(handshake):
    assert ExtensionHandshake.decode(handshake.encode()) == handshake


def test_the_example_of_the_bep_is_read():
    example = VECTORS["extension_handshake"]
    handshake = ExtensionHandshake.decode(bytes.fromhex(example["hex"]))
    assert (handshake.m, handshake.port, handshake.version) == (example["m"], example["p"], example["v"])


@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_only_our_error(payload):
    try:
        ExtensionHandshake.decode(payload)
    except RemoteProtocolError:
        pass


@pytest.mark.parametrize("payload", [b"", b"i0", b"i0e", b"le", b"d", b"de" + b" "])
def test_what_is_no_bencoded_dictionary_is_refused(payload):
    with pytest.raises(RemoteProtocolError):
        ExtensionHandshake.decode(payload)


def test_a_handshake_at_the_limit_is_read_and_one_byte_more_is_not():
    at_limit = bencode.encode({b"x": bytes(extension.MAX_HANDSHAKE - len(b"d1:x16000:e"))})
    assert len(at_limit) == extension.MAX_HANDSHAKE
    assert ExtensionHandshake.decode(at_limit) == ExtensionHandshake()
    with pytest.raises(RemoteProtocolError):
        ExtensionHandshake.decode(at_limit.replace(b"d1:x", b"d2:xx"))


@pytest.mark.parametrize("size", [-1, 0, MAX_METADATA + 1, 1 << 31, (1 << 63) - 1, b"7", []])
def test_a_metadata_size_that_cannot_be_is_as_if_missing(size):
    assert decoded(metadata_size=size).metadata_size is None


def test_the_largest_metadata_is_taken():
    assert decoded(metadata_size=MAX_METADATA).metadata_size == MAX_METADATA


@pytest.mark.parametrize("reqq", [-1, 0, 1 << 31, b"a", {}])
def test_a_queue_length_that_cannot_be_is_as_if_missing(reqq):
    assert decoded(reqq=reqq).reqq is None


@pytest.mark.parametrize("yourip", [b"", b"\x7f\0\0", bytes(5), bytes(17), 1])
def test_an_address_of_a_wrong_length_is_as_if_missing(yourip):
    assert decoded(yourip=yourip).yourip is None


@pytest.mark.parametrize("fields", [{"ipv4": bytes(16)}, {"ipv6": bytes(4)}, {"ipv4": 1}, {"ipv6": b""}])
def test_an_own_address_of_the_other_family_is_as_if_missing(fields):
    assert decoded(**fields) == ExtensionHandshake()


@pytest.mark.parametrize("ago", [-1, b"5", extension.MAX_AGO + 1])
def test_a_last_whole_copy_at_no_time_is_as_if_missing(ago):
    assert decoded(complete_ago=ago).complete_ago is None


def test_a_later_handshake_that_does_not_speak_of_uploading_only_changes_nothing_of_it():
    first = ExtensionHandshake(upload_only=True, ipv6="2001:db8::1", complete_ago=3)
    assert first.updated(decoded(reqq=9)) == ExtensionHandshake(
        reqq=9, upload_only=True, ipv6="2001:db8::1", complete_ago=3
    )
    assert first.updated(decoded(upload_only=0)).upload_only is False


def test_parts_of_a_wrong_type_do_not_spoil_the_others():
    handshake = decoded(m=[], v=1, p=b"x", upload_only=[], reqq=250)
    assert handshake == ExtensionHandshake(reqq=250)


def test_extension_numbers_beyond_a_byte_are_ignored():
    assert decoded(m={b"a": 256, b"b": -1, b"c": b"x", b"d": 255}).m == {"d": 255}


def test_only_so_many_extensions_are_kept():
    many = {b"%05d" % n: 1 for n in range(extension.MAX_EXTENSIONS + 50)}
    assert len(decoded(m=many).m) == extension.MAX_EXTENSIONS
    first = ExtensionHandshake(m={f"a{n}": 1 for n in range(extension.MAX_EXTENSIONS)})
    assert len(first.updated(decoded(m=many)).m) == extension.MAX_EXTENSIONS


def test_a_long_version_is_cut():
    assert len(decoded(v=b"x" * 5000).version) == extension.MAX_VERSION


def test_a_later_handshake_adds_and_removes_extensions_and_keeps_the_rest():
    first = ExtensionHandshake(m={"ut_metadata": 1, "ut_pex": 2}, version="a", reqq=100, metadata_size=5)
    later = ExtensionHandshake(m={"ut_pex": 0, "lt_donthave": 7}, reqq=200)
    assert first.updated(later) == ExtensionHandshake(
        m={"ut_metadata": 1, "lt_donthave": 7}, version="a", reqq=200, metadata_size=5
    )
