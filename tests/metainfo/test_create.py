import pytest
from hypothesis import given
from hypothesis import strategies as st

from bittwist.errors import LocalProtocolError, MetainfoError
from bittwist.metainfo.create import CreateOptions, create, order, piece_length_for
from bittwist.metainfo.geometry import BLOCK
from bittwist.metainfo.info import MAX_PIECES
from bittwist.metainfo.metainfo import Metainfo

PLAIN = CreateOptions()


@pytest.mark.parametrize(
    ("total", "length"),
    [
        (0, BLOCK),
        (1, BLOCK),
        (32 << 20, BLOCK),
        ((32 << 20) + 1, 2 * BLOCK),
        (1 << 30, 512 << 10),
        (32 << 30, 16 << 20),
        (1 << 40, 16 << 20),
        (MAX_PIECES * (16 << 20), 16 << 20),
        (MAX_PIECES * (16 << 20) + 1, 32 << 20),
    ],
)
def test_the_piece_length_makes_at_most_2048_pieces_while_it_is_below_16_mib(total, length):
    assert piece_length_for(total) == length


@given(st.integers(0, 1 << 50))
def test_any_automatic_piece_length_is_valid(total):
    length = piece_length_for(total)
    assert length & (length - 1) == 0
    assert length >= BLOCK
    assert -(-total // length) <= MAX_PIECES


def test_a_single_file():
    metainfo = create("name", [((), 5, "")], BLOCK, b"x" * 20, PLAIN)
    assert (
        metainfo.info.raw == b"d6:lengthi5e4:name4:name12:piece lengthi16384e6:pieces20:" + b"x" * 20 + b"e"
    )
    assert metainfo.encode() == b"d4:info" + metainfo.info.raw + b"e"


def test_a_folder_with_everything_said():
    options = CreateOptions(
        trackers=(("http://a/", "http://b/"), (), ("http://c/",)),
        web_seeds=("http://w/",),
        private=True,
        source="here",
        comment="hi",
        created_by="bittwist",
        creation_date=5,
    )
    metainfo = create("name", [(("a",), 5, "x"), (("b", "c"), 0, "")], BLOCK, b"x" * 20, options)
    info = metainfo.info
    assert (info.private, info.source, info.total_size) == (True, "here", 5)
    assert [(entry.path, entry.size, entry.attr) for entry in info.files] == [
        (("a",), 5, "x"),
        (("b", "c"), 0, ""),
    ]
    assert metainfo.trackers == (("http://a/", "http://b/"), ("http://c/",))
    assert Metainfo.parse(metainfo.encode()) == metainfo


def test_files_come_in_bytewise_order_of_the_whole_path():
    paths = [("a", "b"), ("a!",), ("a",), ("B",), ("é",), ("a", "a", "c")]
    assert sorted(paths, key=order) == [("B",), ("a",), ("a!",), ("a", "a", "c"), ("a", "b"), ("é",)]
    with pytest.raises(LocalProtocolError):
        create("n", [(("b",), 1, ""), (("a",), 1, "")], BLOCK, b"x" * 20, PLAIN)


def test_names_that_are_not_utf_8_go_back_to_their_bytes():
    name = b"caf\xe9".decode(errors="surrogateescape")
    assert b"4:caf\xe9" in create("n", [((name,), 1, "")], BLOCK, b"x" * 20, PLAIN).info.raw


@pytest.mark.parametrize(
    ("files", "pieces"),
    [([], b""), ([((), 5, "")], b""), ([((), 5, "")], b"x" * 40), ([((), -5, "")], b"x" * 20)],
)
def test_what_would_be_no_valid_torrent_is_refused(files, pieces):
    with pytest.raises(MetainfoError):
        create("n", files, BLOCK, pieces, PLAIN)


def test_a_file_among_others_needs_a_path():
    with pytest.raises(LocalProtocolError):
        create("n", [((), 1, ""), (("a",), 1, "")], BLOCK, b"x" * 20, PLAIN)
