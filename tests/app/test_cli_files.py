"""The commands that need no network, through the `bittwist` group and its exit codes."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from bittwist.app import cli
from bittwist.metainfo.bencode import encode
from bittwist.metainfo.magnet import Magnet
from bittwist.metainfo.metainfo import Metainfo
from tests.metainfo import torrents
from tests.scale import SOAK

KEYS = [
    *(
        "name",
        "info_hash_v1",
        "info_hash_v2",
        "piece_length",
        "num_pieces",
        "total_size",
        "files",
        "trackers",
    ),
    *("web_seeds", "private", "comment", "created_by", "creation_date", "magnet"),
]


class Outcome:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def json(self):
        assert self.out.count("\n") == 1
        return json.loads(self.out)


@pytest.fixture
def bittwist(tmp_path, monkeypatch):
    """Runs a command as the program does, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        with CliRunner().isolation() as (out, err, _both):
            with pytest.raises(SystemExit) as exit:
                cli.main([str(argument) for argument in arguments])
            return Outcome(exit.value.code, out.getvalue().decode(), err.getvalue().decode())

    return run


@pytest.fixture
def folder(tmp_path):
    for name, content in {
        "a/c.txt": b"c" * 20_000,
        "a!": b"!" * 10,
        "b": b"",
        ".hidden": b"h",
        "grün/日本.bin": b"g" * 40_000,
    }.items():
        path = tmp_path / "share" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "share"


def test_create_lists_every_file_in_bytewise_order_and_prints_one_object(bittwist, folder):
    made = bittwist("create", folder, "--json", "--tracker", "http://t/announce", "--web-seed", "http://w/")
    assert (made.code, made.err) == (0, "")
    told = made.json
    assert list(told) == KEYS
    assert [(file["path"], file["size"], file["attr"]) for file in told["files"]] == [
        ("share/.hidden", 1, ""),
        ("share/a!", 10, ""),
        ("share/a/c.txt", 20_000, ""),
        ("share/b", 0, ""),
        ("share/grün/日本.bin", 40_000, ""),
    ]
    metainfo = Metainfo.parse((folder.parent / "share.torrent").read_bytes())
    assert told["info_hash_v1"] == str(metainfo.info.info_hash)
    assert told["info_hash_v2"] is None
    assert (told["piece_length"], told["num_pieces"], told["total_size"]) == (16384, 4, 60_011)
    assert (told["trackers"], told["web_seeds"], told["private"]) == (
        [["http://t/announce"]],
        ["http://w/"],
        False,
    )
    assert abs(told["creation_date"] - time.time()) < 60
    assert Magnet.parse(told["magnet"]).info_hash == metainfo.info.info_hash
    assert bittwist("show", "share.torrent", "--json").json == told
    assert bittwist("magnet", "share.torrent").out == told["magnet"] + "\n"


def test_create_says_what_it_is_told(bittwist, folder):
    made = bittwist(
        *(
            "create",
            folder,
            "-o",
            "x.torrent",
            "--private",
            "--name",
            "other",
            "--comment",
            "hé",
            "--source",
            "me",
        ),
        *("--piece-length", "32k", "--tracker", "udp://a:1", "--tracker", "http://b/", "--json"),
    )
    told = made.json
    assert (told["name"], told["comment"], told["private"], told["piece_length"]) == (
        "other",
        "hé",
        True,
        32768,
    )
    assert told["trackers"] == [["udp://a:1"], ["http://b/"]]
    assert told["files"][0]["path"] == "other/.hidden"
    assert Metainfo.parse((folder.parent / "x.torrent").read_bytes()).info.source == "me"


def test_a_single_file_makes_a_single_file_torrent(bittwist, folder):
    told = bittwist("create", folder / "a" / "c.txt", "--json").json
    assert [file["path"] for file in told["files"]] == ["c.txt"]


def test_include_and_exclude(bittwist, folder):
    def listed(*options):
        told = bittwist("create", folder, "--force", "--json", *options).json
        return [file["path"].removeprefix("share/") for file in told["files"]]

    assert listed("--include", "*.txt", "--include", "b") == ["a/c.txt", "b"]
    assert listed("--exclude", ".*", "--exclude", "a") == ["a!", "b", "grün/日本.bin"]
    assert bittwist("create", folder, "--force", "--exclude", "*").code == 1


def test_a_torrent_is_written_over_only_by_force(bittwist, folder):
    bittwist("create", folder)
    before = (folder.parent / "share.torrent").read_bytes()
    refused = bittwist("create", folder, "--comment", "new")
    assert (refused.code, refused.out) == (1, "")
    assert refused.err == "bittwist: share.torrent: is there already (--force writes over it)\n"
    assert (folder.parent / "share.torrent").read_bytes() == before
    assert bittwist("create", folder, "--comment", "new", "--force").code == 0
    assert sorted(os.listdir(folder.parent)) == ["share", "share.torrent"]


def test_a_torrent_inside_the_folder_it_describes_does_not_list_itself(bittwist, folder):
    options = ("create", folder, "-o", folder / "me.torrent", "--force", "--json")
    first, second = bittwist(*options).json, bittwist(*options).json
    assert first["info_hash_v1"] == second["info_hash_v1"]


def test_links_are_left_out_and_said_to_be(bittwist, folder):
    os.symlink("/etc/passwd", folder / "link")
    made = bittwist("create", folder, "--json")
    assert "link" not in made.out
    assert made.err == f"Left out, for it is no file: {folder / 'link'}\n"


def test_a_folder_of_links_alone_is_said_to_be_one(bittwist, folder):
    (folder.parent / "links").mkdir()
    os.symlink("/etc/passwd", folder.parent / "links" / "link")
    made = bittwist("create", "links")
    assert made.code == 1
    assert made.err.splitlines() == [
        f"Left out, for it is no file: {folder.parent / 'links' / 'link'}",
        f"bittwist: {folder.parent / 'links'}: there are no files to share",
    ]


def test_globs_that_leave_no_file_are_named(bittwist, folder):
    made = bittwist("create", folder, "--include", "zzz", "--exclude", "b")
    assert made.code == 1
    assert made.err == f"bittwist: {folder}: of its 5 files none is left by --include zzz, --exclude b\n"
    (folder.parent / "empty").mkdir()
    assert "there are no files to share" in bittwist("create", "empty", "--include", "zzz").err


def test_a_private_torrent_that_nobody_can_find_is_said_to_be(bittwist, folder):
    tracker = ("--tracker", "http://t/announce")
    assert bittwist("create", folder, "--private").err.startswith("No peer can find another: ")
    for options in (("--private", *tracker), (), tracker):
        assert bittwist("create", folder, "--force", *options).err == ""


def test_names_that_break_elsewhere_are_counted_and_the_first_is_named(bittwist, folder):
    words = "A name has a backslash or control character, which others change or refuse: share/"
    (folder / "a\nb").write_bytes(b"x")
    assert bittwist("create", folder, "--force").err == f"{words}a\ufffdb\n"
    (folder / "a\\b").write_bytes(b"x")
    (folder / "c\x7f").write_bytes(b"x")
    assert bittwist("create", folder, "--force").err == f"{words}a\ufffdb (and 2 more)\n"


@pytest.mark.parametrize(
    "options",
    [
        ("--piece-length", "5"),
        ("--piece-length", "20000"),
        ("--piece-length", "1g"),
        ("--piece-length", "-16384"),
        ("--tracker", "ftp://x"),
        ("--web-seed", "udp://x"),
        ("--name", "a/b"),
        ("--name", ".."),
        ("--threads", "0"),
        ("--no-such-option",),
    ],
)
def test_wrong_usage_ends_with_2(bittwist, folder, options):
    wrong = bittwist("create", folder, *options)
    assert wrong.code == 2
    assert "Error: " in wrong.err
    assert not (folder.parent / "share.torrent").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("create", "share", "-o", "no/such/folder.torrent"),
        ("show", "share/a!"),
        ("magnet", "share/b"),
        ("verify", "share/a!", "share"),
    ],
)
def test_failures_end_with_1_and_one_line(bittwist, folder, arguments):
    failed = bittwist(*arguments)
    assert (failed.code, failed.out) == (1, "")
    assert failed.err.startswith("bittwist: ")
    assert failed.err.count("\n") == 1


LINK = "magnet:?xt=urn:btih:" + "ab" * 20


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create", "nothing-here"), "does not exist"),
        (("create", "share", "-o", "-", "--json"), "standard output"),
        (("show", "magnet:?dn=x"), "names no info hash"),
        (("show", "magnet:?xt=urn:btih:zz"), "magnet"),
        (("show", "http://h/x.torrent"), "a torrent file is wanted here"),
        (("show", "nothing-here"), "'nothing-here' does not exist"),
        (("show", "share"), "'share' is a directory"),
        (("magnet", "nothing-here"), "'nothing-here' does not exist"),
        (("scrape", "nothing-here"), "'nothing-here' does not exist"),
        (("verify", "nothing-here", "share"), "'nothing-here' does not exist"),
        (("verify", "share/a!", "nothing-here"), "'nothing-here' does not exist"),
        (("download", "nothing-here"), "'nothing-here' does not exist"),
        (("magnet", LINK), "a torrent file is wanted here"),
        (("verify", "ftp://h/x.torrent", "."), "a torrent file is wanted here"),
        (("scrape", "http://t/announce", "zz"), "info hash"),
        (("scrape", "ftp://t/announce", "ab" * 20), "ftp:// is not spoken"),
        (("download", "ftp://h/x.torrent"), "ftp:// is not spoken: only http:// and https://"),
        (("download", "http:///x.torrent"), "names no host"),
        (("download", "magnet:?xt=urn:btih:zz"), "magnet"),
        (("download", LINK, "-o", "share/a!"), "is a file"),
        (("download", LINK, "--peer", "nowhere"), "'--peer': 'nowhere': not HOST:PORT"),
        (("download", LINK, "--peer", "h:0"), "'--peer': 'h:0': nobody can be dialed at port 0"),
        (("download", LINK, "--peer", "h:65536"), "'--peer': 'h:65536': not HOST:PORT"),
        (("seed", "share/a!", "share", "--peer", "h:0"), "'--peer': 'h:0'"),
        (("download", LINK, "--seed-ratio", "nan"), "'--seed-ratio': 'nan' is not a number from 0 on"),
        (("download", LINK, "--seed-ratio", "inf"), "'--seed-ratio': 'inf' is not a number from 0 on"),
        (("download", LINK, "--seed-ratio", "-1"), "'--seed-ratio': '-1' is not a number from 0 on"),
        (("download", LINK, "--seed-ratio", "x"), "'--seed-ratio': 'x' is not a number from 0 on"),
        (("download", LINK, "--seed-time", "NaN"), "'--seed-time': 'NaN' is not a number from 0 on"),
        (("download", LINK, "--seed-time", "1e999"), "'--seed-time': '1e999' is not a number from 0 on"),
        (("download", LINK, "--limit-down", "nan"), "'--limit-down': 'nan' is no rate"),
        (("download", LINK, "--limit-down", "9" * 400), "'--limit-down': "),
        (("download", LINK, "--limit-up", "0.4"), "'--limit-up': '0.4' is less than a byte a second"),
        (("seed", "share/a!", "share", "--limit-up", "-5"), "'--limit-up': '-5' is no rate"),
        (("download", LINK, "--files", ""), "'--files': '' matches no file"),
        (("download", LINK + "&so=7-4"), "so=7-4: the range runs backwards"),
        (("download", LINK + "&so=", "--files", ""), "'--files': '' matches no file"),
        (("download", LINK, "--seed", "--seed-time", "1"), "choose one"),
        (("seed", "nothing-here", "share"), "does not exist"),
        (("share", "nothing-here"), "does not exist"),
        (("share", "share", "--address", "localhost"), "'--address': 'localhost' is no IP address"),
        (("seed", "share/a!", "share", "--bind", "localhost"), "'--bind': 'localhost' is no IP address"),
    ],
)
def test_what_cannot_be_used_is_wrong_usage(bittwist, folder, arguments, said):
    wrong = bittwist(*arguments)
    assert (wrong.code, wrong.out) == (2, "")
    assert said in wrong.err.splitlines()[-1]
    assert sorted(os.listdir(folder.parent)) == ["share"]


def test_create_writes_to_standard_output(bittwist, folder):
    with CliRunner().isolation() as (out, err, _both):
        with pytest.raises(SystemExit) as exit:
            cli.main(["create", str(folder), "-o", "-"])
        assert exit.value.code == 0
        assert Metainfo.parse(out.getvalue()).info.name == "share"
        assert err.getvalue() == b""
    assert sorted(os.listdir(folder.parent)) == ["share"]


def test_show_prints_lines_for_people(bittwist, folder):
    bittwist("create", folder, "--comment", "a remark", "--private")
    shown = bittwist("show", "share.torrent")
    assert shown.code == 0
    for part in (
        "Name:         share",
        "Private:      yes",
        "a remark",
        "19.5 KiB  share/a/c.txt",
        "Magnet:",
    ):
        assert part in shown.out


def test_strangers_text_does_not_reach_the_terminal_raw(bittwist, tmp_path):
    """E5, A6: an escape sequence in a name must not move the cursor."""
    info = torrents.v1_single(name="a\x1b[2Jb\u202e")
    (tmp_path / "x").write_bytes(torrents.torrent(info, comment="c\x1b]0;x\x07", creation_date=10**17))
    shown = bittwist("show", "x").out
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)
    assert "Created:      unknown" in shown
    assert bittwist("show", "x", "--json").json["creation_date"] == 10**17


def test_v2_and_hybrid_torrents_are_shown_with_their_hashes(bittwist, tmp_path):
    for make, has_v1 in ((torrents.v2, False), (torrents.hybrid, True)):
        info, layers = make()
        (tmp_path / "x").write_bytes(torrents.torrent(info, piece_layers=layers))
        told = bittwist("show", "x", "--json").json
        assert len(told["info_hash_v2"]) == 64
        assert (told["info_hash_v1"] is not None) is has_v1
        assert told["num_pieces"] == 5
        assert sum(file["size"] for file in told["files"]) == told["total_size"]
        assert ("p" in [file["attr"] for file in told["files"]]) is has_v1


def test_verify_refuses_a_v2_only_torrent_with_a_sentence(bittwist, tmp_path):
    info, layers = torrents.v2()
    (tmp_path / "x").write_bytes(torrents.torrent(info, piece_layers=layers))
    refused = bittwist("verify", "x", ".")
    assert refused.code == 1
    assert refused.err == "bittwist: x: this torrent has only a v2 form, which cannot be verified yet\n"


@pytest.mark.parametrize("words", [["show", "x"], ["show", "x", "--json"], ["verify", "x", "."]])
def test_a_torrent_with_a_name_that_nothing_safe_is_left_of_is_named(bittwist, tmp_path, words):
    for info, why in (
        (torrents.v1_single(name=".."), "nothing safe is left of the name '..'"),
        (
            torrents.v1_multi(files=((["y/" * 120], 1),)),
            f"the path '{('folder/' + 'y/' * 100)[:80]}' has more than",
        ),
    ):
        (tmp_path / "x").write_bytes(torrents.torrent(info))
        refused = bittwist(*words)
        assert (refused.code, refused.out) == (1, "")
        assert refused.err.startswith(f"bittwist: x: {why}"), refused.err


def test_seed_and_download_refuse_a_v2_only_torrent_by_its_name(bittwist, tmp_path):
    info, layers = torrents.v2()
    (tmp_path / "x").write_bytes(torrents.torrent(info, piece_layers=layers))
    refused = bittwist("seed", "x", ".")
    assert refused.code == 1
    assert refused.err == "Failed: x: this torrent has only a v2 form, which cannot be traded yet\n"


def test_create_of_what_has_no_name_asks_for_one(bittwist):
    refused = bittwist("create", "/", "--include", "nothing")
    assert refused.code == 2
    assert "give it one with --name" in refused.err


def test_create_looks_where_it_will_write_before_it_hashes(bittwist, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("bittwist.app.making.hash_tree", None)
    (tmp_path / "there").mkdir()
    refused = bittwist("create", folder, "-o", "there", "--force")
    assert (refused.code, refused.err) == (1, "bittwist: there: is a folder\n")


def test_create_names_every_kind_of_tracker_it_takes(bittwist, folder):
    refused = bittwist("create", folder, "--tracker", "ftp://t/")
    assert refused.code == 2
    assert "(http, https, udp, ws or wss)" in refused.err
    assert bittwist("create", folder, "--tracker", "wss://t/").code == 0


def test_show_reads_magnet_links(bittwist):
    link = "magnet:?xt=urn:btih:" + "ab" * 20 + "&dn=x&xl=5&tr=http%3A%2F%2Ft%2F"
    told = bittwist("show", link, "--json").json
    assert list(told) == [*KEYS, "peers", "select_only", "ignored"]
    assert (told["peers"], told["select_only"], told["ignored"]) == ([], [], [])
    assert (told["name"], told["info_hash_v1"], told["total_size"]) == ("x", "ab" * 20, 5)
    assert (told["trackers"], told["files"], told["magnet"]) == ([["http://t/"]], None, link)
    assert "Name:         x" in bittwist("show", link).out


def test_show_says_what_of_a_link_counts_and_what_does_not_and_why(bittwist):
    link = LINK + "&x.pe=h:1&x.pe=bad%1b[2J:0&so=0,2-4,9-5"
    told = bittwist("show", link, "--json").json
    assert (told["peers"], told["select_only"]) == (["h:1"], [[0, 0], [2, 4]])
    assert [(each["parameter"], each["value"]) for each in told["ignored"]] == [
        ("x.pe", "bad\x1b[2J:0"),
        ("so", "9-5"),
    ]
    shown = bittwist("show", link)
    assert (shown.code, shown.err) == (0, "")
    for line in (
        "Peer:         h:1",
        "Only files:   0,2-4 (counted from 0)",
        "Ignored:      x.pe=bad\ufffd[2J:0: nobody can be dialed at port 0",
        "Ignored:      so=9-5: the range runs backwards",
    ):
        assert line in shown.out.splitlines()


def test_show_of_a_link_that_download_refuses_says_so(bittwist):
    shown = bittwist("show", LINK + "&so=7-4")
    assert shown.code == 0
    assert "Ignored:      so=7-4: the range runs backwards" in shown.out.splitlines()


@pytest.mark.parametrize("where", ["share", "."])
def test_verify_finds_the_share_itself_or_the_folder_that_holds_it(bittwist, folder, where):
    bittwist("create", folder)
    verified = bittwist("verify", "share.torrent", where)
    assert verified.code == 0
    assert "5 of 5 files are complete" in verified.out


def test_verify_says_which_files_are_not_complete(bittwist, folder):
    bittwist("create", folder)
    (folder / "grün" / "日本.bin").write_bytes(b"g" * 39_999 + b"x")
    (folder / "a!").unlink()
    verified = bittwist("verify", "share.torrent", folder, "--json")
    assert verified.code == 1
    assert verified.json["complete"] is False
    verdicts = {os.path.basename(file["path"]): file["verdict"] for file in verified.json["files"]}
    assert verdicts["a!"] == "missing"
    assert verdicts["日本.bin"] == "damaged"
    assert verdicts["b"] == "good"
    lines = bittwist("verify", "share.torrent", folder)
    assert lines.code == 1
    assert "missing" in lines.out and "damaged" in lines.out


def test_names_that_a_download_would_change_are_verified_where_they_are(bittwist, tmp_path):
    (tmp_path / "odd").mkdir()
    for name in ("a:b", "con", "cafe\u0301", "x. "):
        (tmp_path / "odd" / name).write_bytes(name.encode())
    bittwist("create", "odd")
    assert bittwist("verify", "odd.torrent", "odd").code == 0


def test_verify_shows_the_names_that_show_does(bittwist, tmp_path):
    (tmp_path / "odd").mkdir()
    for name in ("a?.txt", "a_.txt", "b\x1b[2J", "c\nd"):
        (tmp_path / "odd" / name).write_bytes(os.fsencode(name))
    bittwist("create", "odd")
    verified = bittwist("verify", "odd.torrent", "odd", "--json").json
    shown = bittwist("show", "odd.torrent", "--json").json
    assert verified["complete"]
    assert [file["path"] for file in verified["files"]] == [file["path"] for file in shown["files"]]
    assert "odd/a_ (1).txt" in [file["path"] for file in verified["files"]]
    lines = bittwist("verify", "odd.torrent", "odd").out
    assert "odd/c_d" in lines and lines.replace("\n", "").isprintable()


def test_errors_hold_no_control_characters(bittwist, tmp_path):
    Path("a\x1b[2Jb").write_bytes(b"x")
    failed = bittwist("show", "a\x1b[2Jb")
    assert failed.code == 1
    assert failed.err.startswith("bittwist: a\ufffd[2Jb: ")


def test_a_seed_of_what_is_no_torrent_fails_in_an_event_too(bittwist, folder):
    failed = bittwist("seed", folder / "a!", folder, "--json")
    assert (failed.code, failed.json["event"]) == (1, "failed")
    assert failed.err.startswith("Failed: ") and failed.json["reason"] in failed.err


def test_usage_errors_hold_no_control_characters(bittwist):
    wrong = bittwist("create", "a\x1b[2Jb")
    assert wrong.code == 2
    assert "\x1b" not in wrong.err


def test_show_imports_neither_twisted_nor_the_storage():
    code = (
        "import sys; sys.argv = ['bittwist', 'show', 'magnet:?xt=urn:btih:' + 'ab' * 20]\n"
        "from bittwist.app.cli import main\n"
        "try: main()\n"
        "except SystemExit as exit: assert exit.code == 0\n"
        "late = [name for name in sys.modules if name.startswith(('twisted', 'rich', 'bittwist.storage'))]\n"
        "assert not late, late\n"
    )
    start = time.monotonic()
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    if SOAK:
        assert time.monotonic() - start < 0.5


def test_a_torrent_whose_names_leave_nothing_is_refused(bittwist, tmp_path):
    (tmp_path / "x").write_bytes(b"d4:info" + encode(torrents.v1_single(name="..")) + b"e")
    refused = bittwist("show", "x")
    assert (refused.code, refused.out) == (1, "")


def test_a_torrent_that_cannot_be_shown_whole_is_not_shown_in_part(bittwist, tmp_path):
    info = torrents.v1_multi(files=[(["good"], 17500), ([".."], 17500)])
    (tmp_path / "x").write_bytes(torrents.torrent(info))
    for options in ((), ("--json",)):
        refused = bittwist("show", "x", *options)
        assert (refused.code, refused.out) == (1, "")
        assert refused.err == "bittwist: x: nothing safe is left of the name '..'\n"


def test_commands_load_with_a_click_whose_parameter_types_are_not_generic():
    """As they are in the oldest releases that pyproject.toml allows."""
    older = "import click; click.ParamType = type('P', (click.ParamType,), {'__class_getitem__': None})"
    loaded = subprocess.run(
        [sys.executable, "-c", f"{older}; import bittwist.app.cli_files, bittwist.app.cli_transfer"],
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    assert (loaded.returncode, loaded.stderr) == (0, "")
