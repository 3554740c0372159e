"""The URLs of a torrent's files and pieces on web seeds (BEP 19, BEP 17)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bittwist.metainfo import bencode
from bittwist.metainfo.info import Info
from bittwist.metainfo.webseed import FileUrls, Part, PieceUrls

PIECE = 16384


def info(name="michael", files=None, length=949, attrs=None):
    described = {"name": name, "piece length": PIECE}
    if files is None:
        described["length"] = length
    else:
        listed = [{"path": path, "length": size} for path, size in files]
        for number, attr in (attrs or {}).items():
            listed[number]["attr"] = attr
        described["files"] = listed
        length = sum(size for _, size in files)
    described["pieces"] = bytes(20 * -(-length // PIECE))
    return Info.parse(bencode.encode(described))


def test_the_example_of_the_bep():
    layout = FileUrls("http://mirror.com/pub/", info(files=[(["Readme.txt"], 949)]))
    assert layout.url(0) == "http://mirror.com/pub/michael/Readme.txt"


@pytest.mark.parametrize(
    ("base", "name", "url"),
    [
        ("http://mirror.com/file.exe", "other.exe", "http://mirror.com/file.exe"),
        ("http://mirror.com/pub/", "file.exe", "http://mirror.com/pub/file.exe"),
        ("http://mirror.com/", "ein Stück.exe", "http://mirror.com/ein%20St%C3%BCck.exe"),
        ("http://mirror.com/", "a/b?c#d%e", "http://mirror.com/a%2Fb%3Fc%23d%25e"),
        ("http://mirror.com/get?file=x", "y", "http://mirror.com/get?file=x"),
    ],
)
def test_a_single_file(base, name, url):
    assert FileUrls(base, info(name)).url(0) == url


def test_a_folder_needs_no_slash():
    listed = info("N N", [(["a b", "ü.bin"], 1), (["c"], 2)])
    for base in ("http://a/x", "http://a/x/"):
        urls = FileUrls(base, listed)
        assert [urls.url(0), urls.url(1)] == ["http://a/x/N%20N/a%20b/%C3%BC.bin", "http://a/x/N%20N/c"]


def test_bytes_that_are_not_utf_8_are_asked_for_as_they_are():
    listed = info(b"n\xe4me", [([b"\xff", "é"], 1), (["plain"], 2)])
    urls = FileUrls("http://a/", listed)
    assert [urls.url(0), urls.url(1)] == ["http://a/n%E4me/%FF/%C3%A9", "http://a/n%E4me/plain"]
    assert FileUrls("http://a/", info(b"n\xe4me")).url(0) == "http://a/n%E4me"


def test_padding_has_no_url_and_empty_files_no_part():
    listed = info(files=[(["a"], 10), (["leer"], 0), ([".pad", "6"], 6), (["b"], 20)], attrs={2: "p"})
    layout = FileUrls("http://h", listed)
    assert layout.part(3, 30) == Part("http://h/michael/a", 3, 7, 10, 0)
    assert layout.part(10, 23) == Part(None, 0, 6, 6, 2)
    assert layout.part(12, 1) == Part(None, 2, 1, 6, 2)
    assert layout.part(16, 5) == Part("http://h/michael/b", 0, 5, 20, 3)


@given(st.lists(st.integers(0, 40_000), min_size=1, max_size=9), st.data())
def test_the_parts_of_a_stretch_lie_in_a_row_and_within_their_files(sizes, data):
    total = sum(sizes)
    if not total:
        return
    listed = info(files=[([str(number)], size) for number, size in enumerate(sizes)], attrs={0: "p"})
    at = data.draw(st.integers(0, total - 1))
    left = data.draw(st.integers(1, total - at))
    layout = FileUrls("http://h", listed)
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    while left:
        part = layout.part(at, left)
        assert part.file is not None and part.size == sizes[part.file]
        assert starts[part.file] + part.first == at
        assert 0 < part.length <= min(left, part.size - part.first)
        assert (part.url is None) == (part.file == 0)
        at, left = at + part.length, left - part.length


def test_a_script_is_asked_for_a_piece_or_some_of_it():
    listed = info(length=2 * PIECE + 100)
    hash_ = "".join(f"%{byte:02X}" for byte in listed.info_hash.short)
    layout = PieceUrls("http://a/seed.php", listed)
    url, part = layout.part(0, 3 * PIECE).url, layout.part(PIECE + 5, 10)
    assert url is not None and _unescaped(url) == _unescaped(f"http://a/seed.php?info_hash={hash_}&piece=0")
    assert part.url is not None and part.url.endswith(f"&piece=1&ranges=5-{5 + 9}")
    assert (part.first, part.length, part.size, part.file) == (0, 10, None, None)
    assert layout.part(2 * PIECE, 100).url == layout.part(2 * PIECE, 100_000).url
    assert "ranges" not in str(layout.part(2 * PIECE, 100).url)
    assert str(PieceUrls("http://a/s?x=1", listed).part(0, PIECE).url).startswith("http://a/s?x=1&info_hash=")


def _unescaped(url):
    from urllib.parse import unquote_to_bytes

    return unquote_to_bytes(url)
