from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from random import Random
from unicodedata import normalize

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bittwist.errors import UnsafePath
from bittwist.metainfo.files import FileEntry, safe_path, safe_paths
from bittwist.metainfo.names import MAX_PATH_DEPTH, RESERVED
from tests.scale import SEED, runs


@dataclass
class Listing:
    name: str
    files: tuple[FileEntry, ...]


def listing(name, *paths):
    return Listing(name, tuple(FileEntry(tuple(path.split("|")) if path else (), 1) for path in paths))


def safe(*components, portable=True):
    return str(safe_path(components, portable=portable))


def names(*paths, name="t"):
    return [str(path.relative_to("t")) for path in safe_paths(listing(name, *paths))]


@pytest.mark.parametrize(
    ("components", "path"),
    [
        (("a", "b.txt"), "a/b.txt"),
        (("a", "..", "b"), "a/b"),
        (("..", "..", "b"), "b"),
        ((".", "b", "."), "b"),
        (("", "b"), "b"),
        (("/etc/passwd",), "etc/passwd"),
        (("a/../../b",), "a/b"),
        (("..\\..\\evil.exe",), "evil.exe"),
        (("x.avi /../../../Startup/evil.exe",), "x.avi/Startup/evil.exe"),
        (("C:\\Windows\\x",), "C_/Windows/x"),
        (("\\\\server\\share",), "server/share"),
    ],
)
def test_no_name_leads_upwards_or_to_a_root(components, path):
    """A1, A2, A3."""
    assert safe(*components) == path


@pytest.mark.parametrize(
    "name", ["a...b", "foo... bar", "..a", "a..", "...a", "%2e%2e", "~", "-rf", ".hidden", "#a"]
)
def test_names_that_only_look_like_parents_are_kept(name):
    """A4."""
    assert safe(name, portable=False) == name


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("a\nb", "a_b"),
        ("a\0b", "a_b"),
        ("\b", "_"),
        ("a\x7fb\x80c", "a_b_c"),
        ("a\x01\x02b", "a_b"),
        ("a\u2028b", "a_b"),
        ("a\ufffd\ufffdb", "a_b"),
        ("a\udc80b", "a_b"),
        ("a\u200bb", "ab"),
        ("gpj.\u202eexe", "gpj.exe"),
        ("a\u2066b\ufeffc\u061cd\u200ee\u00adf", "abcdef"),
        ("\u200b", "_"),
    ],
)
def test_control_bidi_and_invisible_characters_do_not_reach_a_path(name, clean):
    """A6."""
    for portable in (True, False):
        assert safe(name, portable=portable) == clean


@pytest.mark.parametrize(
    ("name", "portable"),
    [
        ("COM1", "_COM1"),
        ("con.tar.gz", "_con.tar.gz"),
        ("Aux .log", "_Aux .log"),
        ("LPT\u00b9", "_LPT\u00b9"),
        ("nul.", "_nul"),
        ("con\u200b", "_con"),
        ("com99.txt", "com99.txt"),
        ("console", "console"),
        ("a. . .", "a"),
        (" a ", "a"),
        ("...", "_"),
        ("hell:o", "hell_o"),
        ("a.txt::$DATA", "a.txt_$DATA"),
        ('<>"|?*', "_"),
    ],
)
def test_names_that_windows_cannot_have_are_changed_on_every_system(name, portable):
    """A7."""
    assert safe(name) == portable


@pytest.mark.parametrize("name", ["COM1", "a.", "a ", "x:y", "a?"])
def test_they_are_kept_where_portable_names_are_not_wanted(name):
    assert safe(name, portable=False) == name


def test_long_names_are_cut_between_characters_and_keep_their_extension():
    assert safe("x" * 255) == "x" * 255
    assert safe("x" * 256 + ".tar") == "x" * 236 + ".tar"
    assert safe("é" * 200 + ".txt") == "é" * 118 + ".txt"
    assert safe("x." + "y" * 300) == "x." + "y" * 238
    assert len(safe("x" * 5_000_000).encode()) == 240


@pytest.mark.parametrize("components", [(), ("",), ("..",), (".", "/"), ("//\\",), ("../..",)])
def test_where_nothing_is_left_the_path_is_unsafe(components):
    with pytest.raises(UnsafePath):
        safe_path(components)


def test_a_torrent_is_unsafe_where_nothing_is_left_of_its_name_or_of_a_file():
    for bad in (listing("..", "a"), listing("t", "a", ".."), listing("", ""), listing("t", "|")):
        with pytest.raises(UnsafePath):
            safe_paths(bad)


def test_separators_in_a_name_do_not_make_paths_without_bound():
    """A10."""
    assert len(safe_path(["a/" * MAX_PATH_DEPTH]).parts) == MAX_PATH_DEPTH
    with pytest.raises(UnsafePath):
        safe_path(["a/" * (MAX_PATH_DEPTH + 1)])
    with pytest.raises(UnsafePath):
        safe_paths(listing("t", "a/" * 50 + "|" + "a/" * 51))


def test_a_download_never_takes_the_name_of_our_own_folder():
    """A0, A2: its journal would be whatever the torrent says."""
    for name in (".bittwist", ".BitTwist", ".bit\u200btwist", "/.bittwist"):
        (path,) = safe_paths(listing(name, "journal"))
        assert path.parts[0].casefold() == "_.bittwist"
    assert names(".bittwist|a") == [".bittwist/a"]


@pytest.mark.parametrize(
    ("paths", "unique"),
    [
        (["a.txt", "a.txt", "a.txt"], ["a.txt", "a (1).txt", "a (2).txt"]),
        (["a", "A"], ["a", "A (1)"]),
        (["caf\u00e9", "cafe\u0301"], ["caf\u00e9", "caf\u00e9 (1)"]),
        (["stra\u00dfe", "STRASSE"], ["stra\u00dfe", "STRASSE (1)"]),
        (["a (1)", "a", "A"], ["a (1)", "a", "A (2)"]),
        (["a?", "a*"], ["a_", "a_ (1)"]),
        (["a", "a|b"], ["a (1)", "a/b"]),
        (["A|b", "a|B"], ["A/b", "a/B (1)"]),
        (["x|a", "y|a"], ["x/a", "y/a"]),
        ([".hidden", ".hidden"], [".hidden", ".hidden (1)"]),
    ],
)
def test_twins_get_a_number(paths, unique):
    """A0, A8, A9: also twins that only some file systems see, and files that are another's folder."""
    assert names(*paths) == unique


@pytest.mark.parametrize("name", ["a", "x" * 255, "é" * 127])
def test_many_twins_cost_linear_work(name):
    """A9: renaming was quadratic."""
    paths = names(*[name] * 5000)
    assert len(set(paths)) == 5000
    assert max(len(path.encode()) for path in paths) <= 255


def test_names_that_collide_only_once_cut_are_twins_too():
    paths = [character * 2 + "x" * 300 for character in "ab"] + [
        "x" * 238 + str(number) * 20 for number in range(10)
    ] * 2
    assert len({path.casefold() for path in names(*paths)}) == len(paths)


def test_a_single_file_is_its_name():
    assert safe_paths(listing("a:b.txt", "")) == (PurePosixPath("a_b.txt"),)


CHARACTERS = st.sampled_from(
    [
        *'aAbB.. /\\:*?"<>|~_()1\0\n\t\x7f',
        *"éßſİıΣςКK\u0301\u0345\u200b\u202e\ufeff\u2025\u2215\ud800\U0001f600\u00b9",
    ]
)
COMPONENTS = (
    st.text(CHARACTERS, max_size=12)
    | st.text(max_size=8)
    | st.sampled_from(
        [
            "..",
            ".",
            "",
            "con",
            "AUX.txt",
            "com1",
            "nul ",
            "a",
            "A",
            "a (1)",
            ".bittwist",
            "x" * 254,
            "é" * 200,
        ]
    )
    | st.text(CHARACTERS, min_size=230, max_size=300)
)
LISTINGS = st.builds(
    lambda name, paths: Listing(name, tuple(FileEntry(tuple(path), 1) for path in paths)),
    COMPONENTS,
    st.lists(st.lists(COMPONENTS, min_size=1, max_size=4), min_size=1, max_size=6),
)


@settings(max_examples=runs(300, 20_000), deadline=None)
@given(LISTINGS, st.booleans())
@example(Listing("t", (FileEntry(("\u1e9e",), 1), FileEntry(("ss",), 1), FileEntry(("ß",), 1))), True)
def test_every_path_is_inside_unique_and_stays_as_it_is(hostile, portable):
    """T3, A0 to A9: the property, for POSIX, Windows and macOS rules."""
    try:
        paths = safe_paths(hostile, portable=portable)
    except UnsafePath:
        return
    assert len(paths) == len(hostile.files)
    assert len({path.parts[0] for path in paths}) == 1
    seen = [
        {normalize("NFC", str(path)).casefold() for path in paths},
        {normalize("NFD", str(path).casefold()) for path in paths},
    ]
    assert len(seen[0]) == len(seen[1]) == len(paths)
    folders = {normalize("NFC", str(folder)).casefold() for path in paths for folder in path.parents}
    assert not folders & seen[0]
    for path in paths:
        assert not path.is_absolute()
        for part in path.parts:
            assert part not in ("", ".", "..")
            assert not set(part) & set("/\\\0\n\u200b\u202e\ud800")
            assert len(part.encode()) <= 255
            assert normalize("NFC", part) == part
            if portable:
                assert not set(part) & set('<>:"|?*')
                assert part == part.strip(" ").rstrip(".")
                assert part.split(".")[0].strip().casefold() not in RESERVED
                assert not PureWindowsPath(part).is_reserved()
        if portable:
            assert len(PureWindowsPath(str(path)).parts) == len(path.parts)
    again = Listing(paths[0].parts[0], tuple(FileEntry(path.parts[1:], 1) for path in paths))
    assert safe_paths(again, portable=portable) == paths


def test_random_twins_are_all_told_apart():
    random = Random(SEED)
    alphabet = ["a", "A", " ", "(", "1", ")", ".", "?", "é", "e\u0301"]
    for _ in range(runs(20, 1000)):
        paths = ["".join(random.choices(alphabet, k=random.randint(1, 6))) + "x" for _ in range(200)]
        found = [normalize("NFC", path).casefold() for path in names(*paths)]
        assert len(set(found)) == 200
