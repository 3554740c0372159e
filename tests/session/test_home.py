"""Names that the user gives files: safe ones, and never those of others."""

from pathlib import Path, PurePosixPath

import pytest

from bittwist.errors import UnsafePath
from bittwist.metainfo.files import renamed, safe_paths
from bittwist.session.home import Home
from tests.storage.torrents import content_of, make_info

INFO = make_info(content_of(30), [("a", 10), ("sub/b", 10), ("c", 10)])


def test_without_names_the_files_have_those_of_the_torrent() -> None:
    assert Home(Path("/x")).paths(INFO) == safe_paths(INFO)


def test_a_name_holds_for_its_file_alone() -> None:
    home = Home(Path("/x")).with_names({1: PurePosixPath("other/b")}, INFO)
    assert [str(path) for path in home.paths(INFO)] == ["share/a", "other/b", "share/c"]
    assert home.with_names({0: PurePosixPath("z")}, INFO).names == (
        (0, PurePosixPath("z")),
        (1, PurePosixPath("other/b")),
    )


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("/etc/passwd", "etc/passwd"),
        ("../../up", "up"),
        ("a/../../b", "a/b"),
        ("con", "_con"),
        (".bittwist/x", "_.bittwist/x"),
        ("x\u202ey", "xy"),
    ],
)
def test_names_are_made_safe(name: str, kept: str) -> None:
    assert Home(Path("/x")).with_names({0: PurePosixPath(name)}, INFO).names == ((0, PurePosixPath(kept)),)


@pytest.mark.parametrize("name", ["share/c", "share/C", "share/sub", "share", "share/c/x", "..", "", "/"])
def test_names_that_others_have_or_need_are_refused(name: str) -> None:
    with pytest.raises(UnsafePath):
        Home(Path("/x")).with_names({0: PurePosixPath(name)}, INFO)


def test_two_files_can_change_names() -> None:
    home = Home(Path("/x")).with_names({0: PurePosixPath("share/c"), 2: PurePosixPath("share/a")}, INFO)
    assert [str(path) for path in home.paths(INFO)] == ["share/c", "share/sub/b", "share/a"]


def test_there_is_no_name_for_a_file_that_there_is_not() -> None:
    for file in (-1, 3):
        with pytest.raises(IndexError):
            renamed(safe_paths(INFO), {file: PurePosixPath("x")})
