"""What is told of a standard output that cannot be written to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bittwist.app.output import named_output
from bittwist.errors import StorageError
from tests.metainfo import torrents

FULL = "standard output: No space left on device"


@pytest.fixture
def torrent(tmp_path: Path) -> Path:
    path = tmp_path / "x.torrent"
    path.write_bytes(torrents.torrent(torrents.v1_multi()))
    return path


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["show", "x.torrent"], f"bittwist: {FULL}\n"),
        (["show", "x.torrent", "--json"], f"bittwist: {FULL}\n"),
        (["--version"], f"bittwist: {FULL}\n"),
        (["create", "x.torrent", "-o", "made", "--json"], f"bittwist: {FULL}\n"),
        (["create", "x.torrent", "-o", "-"], f"bittwist: {FULL}\n"),
        (["download", "x.torrent", "-o", "there", "--bind", "127.0.0.1", "--port", "0"], f"Failed: {FULL}\n"),
    ],
)
def test_a_full_disk_behind_standard_output_is_one_line(
    torrent: Path, words: list[str], told: str, unbuffered: str
) -> None:
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "bittwist", *words],
            cwd=torrent.parent,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert (ended.returncode, ended.stderr) == (1, told)


def test_a_reader_who_is_gone_is_not_told_of(torrent: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        command = [sys.executable, "-m", "bittwist", "show", torrent]
        ended = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60)
    finally:
        os.close(writing)
    assert (ended.returncode, ended.stderr) == (1, "")


@pytest.mark.parametrize("size", [1, 100_000])
def test_a_failure_is_told_once_and_then_all_is_taken(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(StorageError, match=FULL), named_output():
            print("x" * size, flush=True)
        assert sys.stdout is full
        with named_output():
            with pytest.raises(StorageError, match=FULL):
                print("x" * size, flush=True)
            print("y" * size, flush=True)


def test_text_is_written_as_before(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with open(tmp_path / "out", "w", encoding="latin-1", errors="replace") as out:
        monkeypatch.setattr(sys, "stdout", out)
        print("a", end="")
        with named_output():
            print("ü", end="")
            sys.stdout.flush()
            sys.stdout.buffer.write(b"\xff")
            print("日", end="")
        print("z", end="")
    assert (tmp_path / "out").read_bytes() == b"a\xfc\xff?z"
