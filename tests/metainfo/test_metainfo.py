import pytest
from hypothesis import given
from hypothesis import strategies as st

from bittwist.errors import MetainfoError
from bittwist.metainfo import metainfo as metainfo_module
from bittwist.metainfo.bencode import encode
from bittwist.metainfo.geometry import BLOCK
from bittwist.metainfo.info import Info
from bittwist.metainfo.metainfo import Metainfo
from tests.metainfo import torrents


def parsed(info=None, **around):
    return Metainfo.parse(torrents.torrent(info or torrents.v1_single(), **around))


def refused(data, match=None):
    with pytest.raises(MetainfoError, match=match):
        Metainfo.parse(data)


def test_every_key_in_use_is_read():
    metainfo = parsed(
        announce=b"http://a/announce",
        url_list=[b"http://w/1", b"https://w/2 3"],
        httpseeds=[b"http://h/"],
        nodes=[[b"router.example", 6881], [b"::1", 1]],
        comment=b"hello",
        created_by=b"someone",
        creation_date=1_000_000,
        encoding=b"UTF-8",
        similar=[b"1" * 20],
        collections=[b"c"],
    )
    assert metainfo.trackers == (("http://a/announce",),)
    assert metainfo.web_seeds == ("http://w/1", "https://w/2%203")
    assert metainfo.http_seeds == ("http://h/",)
    assert metainfo.nodes == (("router.example", 6881), ("::1", 1))
    assert (metainfo.comment, metainfo.created_by, metainfo.creation_date) == ("hello", "someone", 1_000_000)
    assert (metainfo.encoding, metainfo.similar, metainfo.collections) == ("UTF-8", (b"1" * 20,), ("c",))
    assert Metainfo.parse(metainfo.encode()) == metainfo


def test_optional_keys_of_the_wrong_type_are_as_good_as_absent():
    odd = {
        "announce": 5,
        "announce_list": b"x",
        "url_list": {b"a": b"b"},
        "httpseeds": [5, [b"x"]],
        "nodes": [b"x", [b"h"], [b"h", b"1"], [b"h", 0], [b"h", 65536], [b"", 5], [1, 2], [b"h", 1, 2]],
        "comment": [],
        "created_by": {},
        "creation_date": b"today",
        "encoding": 8,
    }
    assert parsed(**odd) == parsed()


def test_the_announce_list_goes_before_announce():
    metainfo = parsed(
        announce=b"http://a/",
        announce_list=[[b"http://b/", b"udp://c:1"], [], [b"http://b/"], [b"x"]],
    )
    assert metainfo.trackers == (("http://b/", "udp://c:1"),)
    assert parsed(announce=b"http://a/", announce_list=[[b"gopher://x"]]).trackers == (("http://a/",),)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://t/",
        "file:///etc/passwd",
        "httpfoo://t/",
        "http:",
        "http://",
        "x",
        "",
        "http://a b/",
        "http://a/\x00",
        "http://a/" + "x" * 2048,
    ],
)
def test_what_has_not_the_form_of_a_trackers_url_is_left_out(url):
    assert parsed(announce=url.encode()).trackers == ()
    assert parsed(url_list=b"udp://w/").web_seeds == ()


def test_the_number_of_trackers_and_web_seeds_is_bounded():
    urls = [f"http://t{number}/".encode() for number in range(1000)]
    assert len(parsed(url_list=urls).web_seeds) == 500
    tiers = [urls[at : at + 7] for at in range(0, 1000, 7)]
    assert sum(len(tier) for tier in parsed(announce_list=tiers).trackers) == 500


def test_text_marked_as_utf_8_is_preferred():
    assert parsed(comment=b"\xe9", **{"comment.utf-8": "é"}).comment == "é"


@pytest.mark.parametrize("date", [10**17, -1, 253402300800])
def test_dates_beyond_the_calendar_are_kept_as_numbers(date):
    """A19."""
    assert parsed(creation_date=date).creation_date == date


@pytest.mark.parametrize("data", [b"", b"de", b"le", b"i1e", b"d4:infoi1ee", b"d4:infod", b"\xff" * 10])
def test_what_is_no_torrent_is_refused(data):
    refused(data)


def test_a_torrent_is_at_most_10_mib(monkeypatch):
    monkeypatch.setattr(metainfo_module, "MAX_TORRENT", 300)
    small = torrents.torrent(torrents.v1_single())
    Metainfo.parse(small + b"\n" * (300 - len(small)))
    refused(small + b"\n" * (301 - len(small)), "larger than 300")


def test_unsorted_keys_and_trailing_bytes_are_taken_and_the_raw_info_is_kept():
    raw = encode(torrents.v1_single())
    odd = raw.replace(b"i40000e", b"i040000e")
    metainfo = Metainfo.parse(b"d4:info" + odd + b"8:announce9:http://a/e\r\n")
    assert metainfo.info.raw == odd
    again = Metainfo.parse(metainfo.encode())
    assert again.info.raw == odd
    assert again == metainfo


def test_a_key_that_comes_twice_is_refused():
    """A15: with two info dictionaries, which one is hashed?"""
    raw = encode(torrents.v1_single())
    refused(b"d4:info" + raw + b"4:info" + raw + b"e", "twice")


def test_what_peers_sent_for_a_magnet_link_makes_a_metainfo():
    info = Info.parse(encode(torrents.v1_single()))
    metainfo = Metainfo.from_info(info, [["http://a/"], [], ["http://b/"]], ["http://w/"])
    assert metainfo.trackers == (("http://a/",), ("http://b/",))
    assert Metainfo.parse(metainfo.encode()) == metainfo


@pytest.mark.parametrize("make", [torrents.v2, torrents.hybrid])
def test_piece_layers_are_checked_against_roots(make):
    info, layers = make()
    metainfo = parsed(info, piece_layers=layers)
    assert metainfo.piece_layers == layers
    assert Metainfo.parse(metainfo.encode()) == metainfo
    (root, layer) = next(iter(layers.items()))
    for bad in (
        {},
        {root: layer[:-32]},
        {root: layer + bytes(32)},
        {root: bytes(32) + layer[32:]},
        {root: b""},
        {root: 1},
    ):
        refused(torrents.torrent(info, piece_layers=bad), "piece layer")
    refused(torrents.torrent(info, piece_layers=[]), "piece layers")


def test_layers_of_other_files_are_dropped():
    info, layers = torrents.v2()
    assert parsed(info, piece_layers={**layers, b"x" * 32: b"y" * 64}).piece_layers == layers


def test_layers_may_be_absent_altogether():
    """A torrent saved from a magnet link has none yet."""
    metainfo = Metainfo.from_info(Info.parse(encode(torrents.hybrid()[0])))
    assert Metainfo.parse(metainfo.encode()) == metainfo


def test_two_files_with_one_root_must_have_one_size():
    info, layers = torrents.v2({"a": 2 * BLOCK + 1, "b": 2 * BLOCK + 1})
    assert parsed(info, piece_layers=layers).piece_layers == layers
    info[b"file tree"][b"b"][b""][b"length"] = 4 * BLOCK
    refused(torrents.torrent(info, piece_layers=layers), "same pieces root")


URLS = st.from_regex(r"(http|https|udp)://[a-z0-9.]{1,10}(:[0-9]{1,4})?/[a-z]{0,5}", fullmatch=True)


@given(
    st.lists(st.lists(URLS, min_size=1, max_size=3), max_size=3),
    st.lists(st.from_regex(r"https?://[a-z]{1,5}/", fullmatch=True), max_size=3),
    st.none() | st.text(st.characters(codec="utf-8"), max_size=20),
    st.none() | st.integers(0, 2**63),
)
def test_written_and_read_it_is_the_same(tiers, web_seeds, comment, date):
    unique, seen = [], set()
    for tier in tiers:
        fresh = tuple(dict.fromkeys(url for url in tier if url not in seen))
        seen.update(fresh)
        if fresh:
            unique.append(fresh)
    info = Info.parse(encode(torrents.v1_single()))
    metainfo = Metainfo(info, tuple(unique), tuple(web_seeds), comment=comment, creation_date=date)
    assert Metainfo.parse(metainfo.encode()) == metainfo
