import pytest
from hypothesis import given
from hypothesis import strategies as st

from bittwist.errors import MagnetError
from bittwist.metainfo.infohash import InfoHash
from bittwist.metainfo.magnet import Magnet
from bittwist.metainfo.metainfo import Metainfo
from tests.metainfo import torrents
from tests.metainfo.vectors import load

HASH = "0123456789abcdef0123456789abcdef01234567"
LINK = f"magnet:?xt=urn:btih:{HASH}"


def indices(magnet):
    return [index for span in magnet.select_only for index in span]


@pytest.mark.parametrize("case", load("magnet")["cases"], ids=lambda case: case["uri"][:60])
def test_the_forms_of_the_beps(case):
    magnet = Magnet.parse(case["uri"])
    v1, v2 = (bytes.fromhex(case[part]) if part in case else None for part in ("v1", "v2"))
    assert magnet.info_hash == InfoHash(v1, v2)
    assert magnet.name == case.get("name")
    assert list(magnet.trackers) == case.get("trackers", [])
    assert list(magnet.peers) == case.get("peers", [])
    assert indices(magnet) == case.get("select_only", [])
    assert Magnet.parse(str(magnet)) == magnet


@pytest.mark.parametrize(
    "uri",
    [
        f"magnet:?xt=urn:btih:{HASH.upper()}",
        "magnet:?xt=urn:btih:AERUKZ4JVPG66AJDIVTYTK6N54ASGRLH",
        f"MAGNET:?XT=urn:btih:{HASH}",
        f"magnet:?xt.1=urn:btih:{HASH}",
        f"magnet:?xt=urn%3Abtih%3A{HASH[:-1]}%37",
        f"magnet:?dn&&=&xt=urn:btih:{HASH}&empty",
        f"magnet:?xt=urn:ed2k:a0a9277894123b27945224fbac8366c9&xt=urn:btih:{HASH}",
    ],
)
def test_spellings_of_one_hash(uri):
    assert str(Magnet.parse(uri)) == LINK


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "magnet:",
        "http://x/",
        "magnet:?",
        "magnet:?dn=x",
        "magnet:?xt=blah",
        "magnet:?xt=urn:btih:",
        f"magnet:?xt=urn:btih:{HASH[:-1]}",
        f"magnet:?xt=urn:btih: {HASH[1:]}",
        f"magnet:?xt=urn:btih:{'cd' * 32}",
        f"magnet:?xt=urn:btmh:1220{HASH}",
        f"magnet:?xt=urn:btmh:1221{'cd' * 32}",
        f"{LINK}&xt=urn:btih:zz",
        f"{LINK}&dn=%",
        f"{LINK}&dn=%%41",
        f"{LINK}&dn=" + "x" * (64 << 10),
    ],
)
def test_what_names_no_torrent_is_refused(uri):
    with pytest.raises(MagnetError):
        Magnet.parse(uri)


def test_a_plus_is_a_space_in_names_only():
    magnet = Magnet.parse(f"{LINK}&dn=a+b%2B&tr=http://t/a+b")
    assert magnet.name == "a b+"
    assert magnet.trackers == ("http://t/a+b",)


def test_trackers_may_be_numbered_and_bad_ones_are_skipped():
    magnet = Magnet.parse(
        f"{LINK}&tr.1=http://1&tr.x=http://2&tr=HTTP://3&tr=udp://4:1&tr=ftp://5&tr=&tr=http://1"
    )
    assert magnet.trackers == ("http://1", "HTTP://3", "udp://4:1")


def test_web_seeds_and_length():
    magnet = Magnet.parse(f"{LINK}&ws=http://w/a%20b&ws=udp://x&xl=12345")
    assert magnet.web_seeds == ("http://w/a%20b",)
    assert magnet.length == 12345


@pytest.mark.parametrize("text", ["", "-1", "1.5", "a", "9" * 19, "9" * 9999, "²"])
def test_an_impossible_length_is_skipped(text):
    assert Magnet.parse(f"{LINK}&xl={text}").length is None


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("127.0.0.1:43", True),
        ("[::1]:45", True),
        ("peer.example:6881", True),
        ("<bad>", False),
        ("<bad>:100", False),
        ("host", False),
        ("host:0", False),
        ("host:65536", False),
        (":1", False),
        ("::1:45", False),
        ("a b:1", False),
        ("x" * 254 + ":1", False),
    ],
)
def test_peers_are_host_and_port(text, kept):
    assert (Magnet.parse(f"{LINK}&x.pe={text}").peers == (text,)) is kept


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("0,2,4,6-8", [0, 2, 4, 6, 7, 8]),
        ("0,2-4,3-5", [0, 2, 3, 4, 5]),
        ("5,4,1", [1, 4, 5]),
        (",,1", [1]),
        ("", []),
        ("-4", []),
        ("3-", []),
        ("7-4", []),
        ("a", []),
        ("100000000", []),
        ("1-99999999999999999999", []),
    ],
)
def test_select_only_is_a_set_of_ranges(text, selected):
    assert indices(Magnet.parse(f"{LINK}&so={text}")) == selected


def test_a_wide_range_costs_nothing():
    assert Magnet.parse(f"{LINK}&so=0-1000000").select_only == (range(1_000_001),)


@pytest.mark.parametrize(
    ("part", "parameter", "value", "why"),
    [
        ("so=1,a", "so", "a", "neither a file's number nor a range"),
        ("so=1,3-", "so", "3-", "neither a file's number nor a range"),
        ("so=1,7-4", "so", "7-4", "runs backwards"),
        ("so=1,0-99999999999", "so", "0-99999999999", "no torrent has more than 1000000 files"),
        ("so=1," + "9" * 5000, "so", "9" * 79 + "…", "no torrent has more than"),
        ("so=", "so", "", "names no file"),
        ("x.pe=host", "x.pe", "host", "not HOST:PORT"),
        ("x.pe=host:65536", "x.pe", "host:65536", "a port from 1 to 65535"),
        ("x.pe=host:0", "x.pe", "host:0", "port 0"),
        ("x.pe=::1:45", "x.pe", "::1:45", "brackets"),
        ("x.pe=a%20b:1", "x.pe", "a b:1", "neither a name nor an address"),
        ("xl=-1", "xl", "-1", "not a size"),
        ("tr=ftp://5", "tr", "ftp://5", "not the URL of a tracker"),
        ("ws=udp://x", "ws", "udp://x", "not an http or https URL"),
    ],
)
def test_what_cannot_be_used_is_kept_with_the_reason(part, parameter, value, why):
    (ignored,) = Magnet.parse(f"{LINK}&{part}").ignored
    assert (ignored.parameter, ignored.value) == (parameter, value)
    assert why in ignored.reason
    assert str(ignored) == f"{parameter}={value}: {ignored.reason}"


def test_of_what_is_good_or_empty_nothing_is_said():
    assert Magnet.parse(f"{LINK}&so=,,1&x.pe=&x.pe=h:1&tr=&xl=&xl=5&ws=http://w/&new=1").ignored == ()


def test_faults_without_end_are_told_in_short():
    magnet = Magnet.parse(f"{LINK}&so=" + ",".join(["b"] * 30_000))
    assert len(magnet.ignored) == 11
    assert str(magnet.ignored[-1]) == "so=…: 29990 more"
    peers = Magnet.parse(LINK + "".join(f"&x.pe=h:{port}" for port in range(1, 104)))
    assert (len(peers.peers), len(peers.ignored)) == (100, 3)
    assert "only 100 peers" in peers.ignored[0].reason
    trackers = Magnet.parse(LINK + "".join(f"&tr=udp://h:{port}" for port in range(1, 600)))
    assert (len(trackers.trackers), len(trackers.ignored)) == (500, 1)


@pytest.mark.parametrize("text", ["7-4", "", "a,b", "0-99999999"])
def test_a_link_that_wants_some_files_but_names_none_has_a_fault_in_its_choice(text):
    assert (Magnet.parse(f"{LINK}&so={text}").choice_fault or "").startswith("so=")


@pytest.mark.parametrize("part", ["", "&so=1", "&so=1,7-4", "&x.pe=host:0"])
def test_a_link_that_wants_everything_or_names_a_file_has_none(part):
    assert Magnet.parse(LINK + part).choice_fault is None


def test_the_link_to_a_torrent():
    metainfo = Metainfo.parse(
        torrents.torrent(torrents.hybrid()[0], announce=b"http://t/a?b=c", url_list=b"http://w/")
    )
    magnet = Magnet.of(metainfo)
    assert magnet.info_hash == metainfo.info.info_hash
    assert (magnet.name, magnet.trackers, magnet.web_seeds) == ("folder", ("http://t/a?b=c",), ("http://w/",))
    assert magnet.length == metainfo.info.total_size
    assert "tr=http%3A%2F%2Ft%2Fa%3Fb%3Dc" in str(magnet)
    assert Magnet.parse(str(magnet)) == magnet


@given(st.text(max_size=40), st.integers(0, 1 << 62), st.lists(st.integers(0, 50), max_size=6))
def test_printed_and_parsed_it_is_the_same(name, length, files):
    spans = Magnet.parse(f"{LINK}&so=" + ",".join(map(str, files))).select_only
    magnet = Magnet(InfoHash(v1=b"x" * 20), name or None, length=length, select_only=spans)
    assert Magnet.parse(str(magnet)) == magnet


@given(st.text("magnet:?xturnbtih=&.%0123456789abcdefso-,[]", max_size=80) | st.text(max_size=40))
def test_arbitrary_links_raise_only_our_error(text):
    for uri in (text, "magnet:?" + text, LINK + "&" + text):
        try:
            Magnet.parse(uri)
        except MagnetError:
            pass
