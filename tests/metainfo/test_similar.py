"""Which torrents may share files, and where."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bittwist.metainfo.infohash import InfoHash
from bittwist.metainfo.metainfo import Metainfo
from bittwist.metainfo.similar import ZEROS, Extent, borrowed, related
from tests.storage.torrents import content_of, make_info

PIECE = 16384


def metainfo(size: int = 100, seed: int = 1, **hints: tuple[object, ...]) -> Metainfo:
    return replace(Metainfo.from_info(make_info(content_of(size, seed))), **hints)  # type: ignore[arg-type]


def test_a_hint_holds_in_both_directions() -> None:
    one = metainfo(seed=1)
    assert one.info.info_hash.v1 is not None
    other = metainfo(seed=2, similar=(one.info.info_hash.v1,))
    assert related(one, other) and related(other, one)
    assert not related(one, metainfo(seed=3))


def test_torrents_of_one_collection_are_related() -> None:
    one, other = metainfo(collections=("a", "b")), metainfo(seed=2, collections=("b",))
    assert related(one, other)
    assert not related(one, metainfo(seed=3, collections=("c",)))


def test_a_v2_hash_is_a_hint_too() -> None:
    one = metainfo()
    hashed = replace(one, info=replace(one.info, info_hash=InfoHash(one.info.info_hash.v1, b"2" * 32)))
    assert related(hashed, metainfo(seed=2, similar=(b"2" * 32,)))


def places(info: object, other: object) -> dict[int, list[tuple[Extent, ...]]]:
    found: dict[int, list[tuple[Extent, ...]]] = {}
    for index, extents in borrowed(info, other, range(info.geometry.num_pieces)):  # type: ignore[arg-type, attr-defined]
        found.setdefault(index, []).append(extents)
    return found


def test_pieces_of_the_same_hash_are_the_same_whatever_their_files_are_called() -> None:
    content = content_of(4 * PIECE)
    one = make_info(content, [("x", len(content))], piece_length=PIECE)
    other = make_info(
        content[2 * PIECE :] + bytes(PIECE),
        [("y", 2 * PIECE), ("z", PIECE)],
        piece_length=PIECE,
        name="other",
    )
    assert places(one, other) == {2: [(Extent(0, 0, PIECE),)], 3: [(Extent(1, 0, PIECE),)]}


def test_a_file_of_the_same_name_and_size_may_be_the_same_wherever_it_lies() -> None:
    content = content_of(50_000)
    one = make_info(content, [("new", 100), ("dir/same", 49_900)], piece_length=PIECE)
    other = make_info(content[100:], [("SAME", 49_900)], piece_length=32768, name="other")
    found = places(one, other)
    assert 0 not in found, "no place is known for the file that is new"
    assert found[1] == [(Extent(0, PIECE - 100, PIECE),)]
    assert found[2] == [(Extent(0, 2 * PIECE - 100, 100), Extent(1, 0, PIECE - 100))]


def test_padding_is_nowhere_and_needs_nobody() -> None:
    content = content_of(20_000) + bytes(12_768)
    one = make_info(content, [("same", 20_000), ("pad", 12_768, "p")], piece_length=32768)
    other = make_info(content[:20_000], [("same", 20_000)], piece_length=PIECE, name="other")
    assert places(one, other) == {
        0: [(Extent(0, 0, PIECE), Extent(1, 0, 20_000 - PIECE), Extent(ZEROS, 0, 12_768))]
    }


@pytest.mark.parametrize("size", [49_899, 0])
def test_a_file_of_another_size_is_another(size: int) -> None:
    one = make_info(content_of(50_000), [("same", 50_000)], piece_length=PIECE)
    other = make_info(content_of(size + 5), [("same", size), ("x", 5)], piece_length=32768, name="other")
    assert places(one, other) == {}


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 50)), min_size=1, max_size=8),
    st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 50)), min_size=1, max_size=8),
    st.integers(1, 30),
    st.integers(1, 30),
)
def test_places_are_in_the_torrent_and_make_whole_pieces(
    files: list[tuple[str, int]], others: list[tuple[str, int]], piece: int, other_piece: int
) -> None:
    def info(listed: list[tuple[str, int]], length: int) -> object:
        named = [(f"{at}/{name}", size) for at, (name, size) in enumerate(listed)]
        return make_info(content_of(sum(size for _, size in listed)), named, piece_length=length)

    one, other = info(files, piece), info(others, other_piece)
    for index, found in places(one, other).items():
        for extents in found:
            assert sum(extent.length for extent in extents) == one.geometry.piece_size(index)  # type: ignore[attr-defined]
            for extent in extents:
                assert other.geometry.is_block(extent.index, extent.begin, extent.length)  # type: ignore[attr-defined]
