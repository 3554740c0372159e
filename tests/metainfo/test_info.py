import pytest

from bittwist.errors import MetainfoError
from bittwist.metainfo import info as info_module
from bittwist.metainfo.bencode import encode
from bittwist.metainfo.geometry import BLOCK
from bittwist.metainfo.info import Info
from bittwist.metainfo.infohash import InfoHash
from tests.metainfo import torrents


def parsed(info, **kw):
    return Info.parse(encode(info), **kw)


def refused(info, match=None):
    with pytest.raises(MetainfoError, match=match):
        parsed(info)


def test_a_single_file_torrent():
    info = parsed(torrents.v1_single())
    assert (info.name, info.total_size, info.num_pieces, info.single_file) == ("a.bin", 40000, 3, True)
    assert [(entry.path, entry.size) for entry in info.files] == [((), 40000)]
    assert (info.is_v1, info.is_v2, info.is_hybrid, info.private, info.source) == (
        True,
        False,
        False,
        False,
        None,
    )
    assert info.geometry.num_pieces == 3
    assert info.piece_hash(1) == info.pieces[20:40]


def test_a_folder():
    info = parsed(torrents.v1_multi())
    assert not info.single_file
    assert [(entry.path, entry.size) for entry in info.files] == [
        (("x",), 20000),
        (("sub", "y"), 0),
        (("sub", "z"), 15000),
    ]
    assert info.geometry.file_sizes == (20000, 0, 15000)


def test_a_folder_may_hold_one_file():
    info = parsed(torrents.v1_multi([(["only"], 5)]))
    assert not info.single_file
    assert info.files[0].path == ("only",)


def test_the_hash_is_of_the_bytes_as_found():
    canonical = encode(torrents.v1_single())
    unsorted = canonical.replace(b"6:lengthi40000e4:name5:a.bin", b"4:name5:a.bin6:lengthi040000e")
    assert len(unsorted) == len(canonical) + 1
    info = Info.parse(unsorted)
    assert info.raw == unsorted
    assert info.info_hash == InfoHash.of(unsorted, v1=True, v2=False) != Info.parse(canonical).info_hash
    with pytest.raises(MetainfoError):
        Info.parse(unsorted, strict=True)


@pytest.mark.parametrize("strict", [True, False])
def test_nothing_may_follow_an_info_dictionary(strict):
    with pytest.raises(MetainfoError):
        Info.parse(encode(torrents.v1_single()) + b"\n", strict=strict)


@pytest.mark.parametrize("raw", [b"", b"le", b"i1e", b"de", b"d4:name1:ae"])
def test_what_is_no_info_dictionary_is_refused(raw):
    with pytest.raises(MetainfoError):
        Info.parse(raw)


def test_a_key_that_comes_twice_is_refused_leniently_too():
    """A15."""
    raw = encode(torrents.v1_single())
    with pytest.raises(MetainfoError, match="twice"):
        Info.parse(raw[:-1] + b"6:pieces20:" + bytes(20) + b"e")


@pytest.mark.parametrize(
    "changes",
    [
        {"name": None},
        {"name": 1},
        {"length": None},
        {"length": -1},
        {"length": b"40000"},
        {"length": [40000]},
        {"length": (1 << 62) + 1},
        {"files": [{b"length": 40000, b"path": [b"a"]}]},
        {"pieces": None},
        {"pieces": b"x" * 59},
        {"pieces": b"x" * 40},
        {"pieces": b"x" * 80},
        {"pieces": [b"x" * 60]},
        {"piece_length": None},
        {"piece_length": b"16384"},
        {"meta_version": 2, "pieces": None},
        {"meta_version": 2},
        {"meta_version": 3},
        {"meta_version": 1},
        {"meta_version": b"2"},
    ],
    ids=str,
)
def test_a_single_file_dictionary_with_a_bad_value_is_refused(changes):
    refused(torrents.v1_single(**changes))


@pytest.mark.parametrize(
    "piece_length", [0, -1, -(1 << 31), (1 << 29) + 1, 1 << 32, (1 << 32) + BLOCK, 1 << 63]
)
def test_impossible_piece_lengths_are_refused(piece_length):
    """A12: 0, and lengths that are 0 when cut to 32 bits, crashed clients."""
    refused(torrents.v1_single(piece_length=piece_length), "piece length")


def test_odd_piece_lengths_are_taken_in_v1():
    info = parsed(torrents.v1_single(piece_length=12345, pieces=bytes(80)))
    assert info.geometry.piece_size(3) == 40000 - 3 * 12345
    assert parsed(torrents.v1_single(piece_length=1 << 29, pieces=bytes(20))).num_pieces == 1


@pytest.mark.parametrize(
    "files",
    [
        [],
        b"x",
        {b"a": 1},
        [1],
        [{}],
        [{b"length": 5}],
        [{b"path": [b"a"]}],
        [{b"length": 5, b"path": b"a"}],
        [{b"length": 5, b"path": []}],
        [{b"length": 5, b"path": [1]}],
        [{b"length": 5, b"path": [[b"a"]]}],
        [{b"length": -5, b"path": [b"a"]}, {b"length": 10, b"path": [b"a"]}],
        [{b"length": 5, b"path": [b"a"] * 101}],
        [{b"length": 5, b"path": [b"a"], b"path.utf-8": b"a"}],
        [{b"length": 5, b"path": [b"a"], b"attr": b"l"}],
    ],
    ids=str,
)
def test_a_bad_file_list_is_refused(files):
    refused(torrents.v1_multi(files=()) | {b"files": files, b"pieces": bytes(20)})


def test_sizes_that_add_up_to_more_than_the_cap_are_refused():
    """A13."""
    half = {b"length": 1 << 61, b"path": [b"a"]}
    refused(torrents.v1_multi(files=()) | {b"files": [half, half, half]}, "2.62")
    refused(torrents.v1_multi(files=()) | {b"files": [half, half]}, "piece hashes")


def test_the_number_of_pieces_is_bounded(monkeypatch):
    monkeypatch.setattr(info_module, "MAX_PIECES", 3)
    parsed(torrents.v1_single())
    refused(torrents.v1_single(length=65536, pieces=bytes(80)), "more than 3")
    refused(torrents.v2({"big": 65536})[0], "more than 3")


def test_a_torrent_without_bytes_has_no_pieces():
    info = parsed(torrents.v1_single(length=0, pieces=b""))
    assert info.num_pieces == 0
    with pytest.raises(IndexError):
        info.piece_hash(0)


def test_the_path_depth_is_bounded():
    """A10."""
    parsed(torrents.v1_multi([(["a"] * 100, 5)]))
    refused(torrents.v1_multi([(["a"] * 101, 5)]), "100 parts")


@pytest.mark.parametrize("index", [-1, 3])
def test_there_is_no_hash_out_of_range(index):
    with pytest.raises(IndexError):
        parsed(torrents.v1_single()).piece_hash(index)


def test_names_marked_as_utf_8_are_preferred_and_other_bytes_show_as_replaced():
    info = torrents.v1_multi(name=b"caf\xe9")
    assert parsed(info).name == "caf\ufffd"
    info[b"name.utf-8"] = "café".encode()
    info[b"files"][0][b"path.utf-8"] = ["über"]
    assert parsed(info).name == "café"
    assert parsed(info).files[0].path == ("über",)


def test_attributes_and_symlinks_are_read():
    files = [
        {b"length": 5, b"path": [b"run"], b"attr": b"xh?"},
        {b"length": 3, b"attr": b"p"},
        {b"path": [b"link"], b"attr": b"l", b"symlink path": [b"run"]},
        {b"length": 0, b"path": [b"nowhere"], b"attr": b"l"},
        {b"length": 0, b"path": [b"odd"], b"attr": 7, b"mtime": 5},
    ]
    run, pad, link, nowhere, odd = parsed(
        torrents.v1_multi(files=()) | {b"files": files, b"pieces": bytes(20)}
    ).files
    assert (run.attr, run.is_executable, run.is_hidden, run.is_pad, run.is_symlink) == (
        "xh",
        True,
        True,
        False,
        False,
    )
    assert pad.is_pad and pad.path == (".pad", "3")
    assert link.is_symlink and link.symlink == ("run",)
    assert nowhere.symlink == ()
    assert (odd.attr, odd.mtime) == ("", 5)


def test_a_single_file_has_attributes_too():
    assert parsed(torrents.v1_single(attr=b"x")).files[0].is_executable


@pytest.mark.parametrize(
    ("value", "private"),
    [(1, True), (0, False), (2, True), (-1, True), (b"1", True), (b"0", False), ([], True)],
)
def test_a_doubtful_private_flag_means_private(value, private):
    """F7: a leak of a private torrent cannot be taken back."""
    assert parsed(torrents.v1_single(private=value)).private is private


def test_source_similar_and_collections():
    info = parsed(
        torrents.v1_single(source=b"here", similar=[b"1" * 20, b"short", 3, b"2" * 32], collections=[b"c", 1])
    )
    assert info.source == "here"
    assert info.similar == (b"1" * 20, b"2" * 32)
    assert info.collections == ("c",)
    odd = parsed(torrents.v1_single(source=3, similar=b"x", collections={b"a": b"b"}))
    assert (odd.source, odd.similar, odd.collections) == (None, (), ())


def test_infos_are_equal_where_their_bytes_are():
    assert parsed(torrents.v1_single()) == parsed(torrents.v1_single())
    assert parsed(torrents.v1_single()) != parsed(torrents.v1_single(private=1))
    assert parsed(torrents.v1_single()) != "a.bin"
    assert len({parsed(torrents.v1_single()), parsed(torrents.v1_single())}) == 1


def test_a_v2_torrent():
    info = parsed(torrents.v2()[0])
    assert (info.is_v1, info.is_v2, info.pieces, info.total_size) == (False, True, b"", 100 + 3 * BLOCK + 5)
    assert [(entry.path, entry.size) for entry in info.files] == [
        (("a",), 100),
        (("big",), 3 * BLOCK + 5),
        (("empty",), 0),
    ]
    assert info.num_pieces == 1 + 4
    assert info.info_hash.v1 is None
    assert info.info_hash.v2 is not None
    assert info.files[2].pieces_root is None


def test_a_v2_torrent_has_no_v1_arithmetic():
    with pytest.raises(MetainfoError, match="only a v2 form"):
        parsed(torrents.v2()[0]).geometry  # noqa: B018


def test_a_v2_tree_of_one_file_with_the_torrents_name_is_a_single_file():
    info = parsed(torrents.v2({"folder": 5})[0])
    assert info.single_file
    assert info.files[0].path == ()
    assert not parsed(torrents.v2({"other": 5})[0]).single_file


def test_v2_files_come_in_the_order_of_the_tree():
    leaf = {b"": {b"length": 0}}
    tree = {b"b": leaf, b"a": {b"z": leaf, b"y": {b"x": leaf}}, b"a!": leaf}
    info = parsed(torrents.v2(file_tree=tree)[0])
    assert [entry.path for entry in info.files] == [("a", "y", "x"), ("a", "z"), ("a!",), ("b",)]


LEAF = {b"": {b"length": 5, b"pieces root": bytes(32)}}


@pytest.mark.parametrize(
    "tree",
    [
        b"x",
        [],
        {},
        {b"a": 5},
        {b"a": {}},
        {b"a": {b"": 5}},
        {b"": {b"length": 0}},
        {b"": LEAF},
        {b"a": {b"": {}}},
        {b"a": {b"": {b"length": -1}}},
        {b"a": {b"": {b"length": 5}}},
        {b"a": {b"": {b"length": 5, b"pieces root": bytes(31)}}},
        {b"a": {b"": {b"length": 5, b"pieces root": bytes(33)}}},
        {b"a": {b"": {b"length": 5, b"pieces root": 5}}},
        {b"a": {**LEAF, b"b": LEAF}},
        {b"a": {b"": {b"length": 5, b"pieces root": bytes(32), b"attr": b"p"}}},
        {b"a": {b"": {b"length": 1 << 62, b"pieces root": bytes(32)}}, b"b": LEAF},
    ],
    ids=str,
)
def test_a_bad_file_tree_is_refused(tree):
    """A14: roots of a wrong length crashed clients."""
    refused(torrents.v2(file_tree=tree)[0])


@pytest.mark.parametrize("piece_length", [BLOCK - 1, BLOCK // 2, BLOCK + 1, 3 * BLOCK, 1 << 30])
def test_v2_piece_lengths_are_powers_of_two_from_16_kib(piece_length):
    """A12."""
    refused(torrents.v2(piece_length=piece_length)[0], "piece length")


def test_a_v1_torrent_with_a_file_tree_and_no_version_is_v1():
    """The claim to be v2 is the version, nothing else."""
    info = parsed(torrents.v1_single(file_tree={b"x": 1}))
    assert info.is_v1 and not info.is_v2


def test_a_hybrid_has_both_hashes_and_the_v1_list_with_roots():
    info = parsed(torrents.hybrid()[0])
    assert info.is_hybrid
    assert info.info_hash == InfoHash.of(info.raw, v1=True, v2=True)
    assert [entry.is_pad for entry in info.files] == [False, True, False, False]
    assert [entry.pieces_root is not None for entry in info.files] == [True, False, True, False]
    assert info.total_size == 4 * BLOCK + 5
    assert info.geometry.num_pieces == 5


def test_a_hybrid_of_a_single_file():
    info, _ = torrents.v2({"folder": 100})
    info |= {b"length": 100, b"pieces": bytes(20)}
    assert parsed(info).single_file
    assert parsed(info).files[0].pieces_root is not None
    info[b"name"] = b"other"
    refused(info, "different files")


@pytest.mark.parametrize("file", range(4))
def test_a_hybrid_whose_lists_differ_is_refused(file):
    for change in ({b"length": 99}, {b"path": [b"c"]}):
        info, _ = torrents.hybrid()
        info[b"files"][file] |= change
        if change == {b"path": [b"c"]} and file == 1:
            assert parsed(info).files[1].path == ("c",)  # the name of padding does not matter
        else:
            refused(info)


def test_a_hybrid_with_a_file_in_one_list_only_is_refused():
    info, _ = torrents.hybrid()
    del info[b"file tree"][b"empty"]
    refused(info, "different files")
    info, _ = torrents.hybrid()
    del info[b"files"][3]
    refused(info, "different files")


def test_the_files_of_a_hybrid_begin_pieces():
    info, _ = torrents.hybrid()
    info[b"files"][1][b"length"] -= 1
    refused(info, "begin a piece")


def test_an_info_nests_as_deep_alone_as_in_a_torrent():
    """The same verdict from a file and from peers."""
    from bittwist.metainfo.metainfo import Metainfo

    for depth, good in ((98, True), (99, False)):
        nested = []
        for _ in range(depth - 1):
            nested = [nested]
        raw = encode(torrents.v1_single(x=nested))
        for read in (Info.parse, lambda raw: Metainfo.parse(b"d4:info" + raw + b"e")):
            if good:
                read(raw)
            else:
                with pytest.raises(MetainfoError, match="nested"):
                    read(raw)
