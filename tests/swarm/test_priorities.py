"""From what is wanted of files to what is wanted of pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bittwist.metainfo.files import FileEntry
from bittwist.metainfo.geometry import Geometry
from bittwist.swarm.priorities import EDGE, Priority, Wishes, levels, selected

SKIP, LOW, NORMAL, HIGH = Priority


def torrent(*sizes: int, pads: tuple[int, ...] = (), piece: int = 10) -> tuple[Geometry, list[FileEntry]]:
    files = [FileEntry((str(at),), size, "p" if at in pads else "") for at, size in enumerate(sizes)]
    return Geometry(piece, sum(sizes), sizes), files


@pytest.mark.parametrize(
    ("sizes", "priorities", "expected"),
    [
        ((10, 20), (), [4, 4, 4]),
        ((10, 20), (SKIP, NORMAL), [0, 4, 4]),
        ((15, 15), (SKIP, NORMAL), [0, 4, 4]),
        ((15, 15), (NORMAL, SKIP), [4, 4, 0]),
        ((15, 15), (LOW, HIGH), [1, 7, 7]),
        ((15, 15), (HIGH, LOW), [7, 7, 1]),
        ((3, 3, 24), (SKIP, HIGH, SKIP), [7, 0, 0]),
        ((3, 0, 27), (SKIP, HIGH, SKIP), [0, 0, 0]),  # an empty file is in no piece
        ((30,), (SKIP,), [0, 0, 0]),
        ((50, 50), (LOW, SKIP), [1, 1, 1, 1, 1, 0, 0, 0, 0, 0]),
    ],
)
def test_a_piece_is_wanted_as_much_as_the_most_wanted_file_in_it(
    sizes: tuple[int, ...], priorities: tuple[Priority, ...], expected: list[int]
) -> None:
    assert list(levels(*torrent(*sizes), Wishes(priorities))) == expected


def test_padding_is_no_reason_to_want_a_piece() -> None:
    geometry, files = torrent(5, 5, 15, 5, pads=(1, 3))
    assert list(levels(geometry, files, Wishes((SKIP, NORMAL, NORMAL, NORMAL)))) == [0, 4, 4]
    assert list(levels(geometry, files, Wishes((NORMAL, NORMAL, SKIP, NORMAL)))) == [4, 0, 0]


def test_with_nothing_skipped_pieces_of_nothing_but_padding_are_wanted_too() -> None:
    geometry, files = torrent(10, 20, 10, pads=(1,))
    assert list(levels(geometry, files, Wishes())) == [4, 4, 4, 4]
    assert 0 not in levels(geometry, files, Wishes((HIGH, NORMAL, HIGH)))


def test_the_first_and_last_piece_of_each_wanted_file_go_first() -> None:
    geometry, files = torrent(35, 5, 30)
    assert list(levels(geometry, files, Wishes(first_and_last=True))) == [EDGE, 4, 4, EDGE, EDGE, 4, EDGE]
    skipping = Wishes((HIGH, SKIP, SKIP), first_and_last=True)
    assert list(levels(geometry, files, skipping)) == [EDGE, 7, 7, EDGE, 0, 0, 0]


@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from(list(Priority)), st.booleans()), min_size=1))
def test_no_byte_of_a_wanted_file_is_left_out_and_no_piece_without_one_is_wanted(
    listed: list[tuple[int, Priority, bool]],
) -> None:
    pads = tuple(at for at, file in enumerate(listed) if file[2])
    geometry, files = torrent(*(file[0] for file in listed), pads=pads)
    wishes = Wishes(tuple(file[1] for file in listed))
    found = levels(geometry, files, wishes)
    for index in range(geometry.num_pieces):
        inside = [
            listed[span.file][1]
            for span in geometry.spans(index, 0, geometry.piece_size(index))
            if not listed[span.file][2]
        ]
        if wishes.skipped:
            assert found[index] == max(inside, default=SKIP)
        else:
            assert found[index] == max(inside, default=LOW)


def test_wishes_change_file_by_file_and_all_normal_is_no_wish() -> None:
    wishes = Wishes().changed({1: SKIP}, 3)
    assert wishes.priorities == (NORMAL, SKIP, NORMAL)
    assert wishes.skipped == {1}
    assert wishes.changed({0: HIGH}, 3).of(0) is HIGH
    assert wishes.changed({1: NORMAL}, 3) == Wishes()
    for file in (-1, 3):
        with pytest.raises(IndexError):
            wishes.changed({file: LOW}, 3)


def test_a_magnet_link_selects_the_files_it_names_and_no_others() -> None:
    assert selected([range(1, 2), range(3, 100)], 5) == {0: SKIP, 1: NORMAL, 2: SKIP, 3: NORMAL, 4: NORMAL}
    assert selected([], 3) == {}
    assert selected([range(7, 9)], 3) == {}, "a link that names no file there is: who asks decides"
