"""Commands that are interrupted, whatever they are at: exit code 130, and no word of what broke off."""

from __future__ import annotations

import os
import signal
import socket
from hashlib import sha1
from pathlib import Path

import pytest

from bittwist.metainfo.bencode import encode
from tests.interop.hosts import Program
from tests.processes import Programs

INTERRUPTED = 130
SIZE = 1 << 34  # bytes of a file that is all hole: enough to hash for seconds
PIECE = 1 << 24
SIGNALS = [signal.SIGINT, signal.SIGTERM]


def end(program: Program, number: signal.Signals) -> None:
    os.kill(program.pid, number)
    assert program.wait(20) == INTERRUPTED, program.output[-2000:]
    assert "Traceback" not in program.output, program.output[-2000:]


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("scheme", ["udp", "http"])
def test_a_scrape_that_is_interrupted_ends_without_a_word(
    tmp_path: Path, scheme: str, number: signal.Signals
) -> None:
    kind = socket.SOCK_DGRAM if scheme == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as silent, Programs(tmp_path) as programs:
        silent.bind(("127.0.0.1", 0))
        silent.settimeout(20)
        if scheme == "http":
            silent.listen()
        url = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/announce"
        program = programs.bittwist("scrape", url, "a" * 40)
        asked = silent.accept() if scheme == "http" else silent.recv(100)
        assert asked
        end(program, number)
        assert program.output == ""


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("words", [[], ["--json"]], ids=["plain", "json"])
def test_a_torrent_whose_fetch_is_interrupted_has_not_failed(
    tmp_path: Path, words: list[str], number: signal.Signals
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, Programs(tmp_path) as programs:
        silent.settimeout(20)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x.torrent"
        program = programs.bittwist("download", url, "-o", tmp_path / "to", *words)
        asked, _ = silent.accept()
        with asked:
            end(program, number)
        assert program.output == ""


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("command", ["create", "verify"])
def test_hashing_that_is_interrupted_leaves_nothing(
    tmp_path: Path, command: str, number: signal.Signals
) -> None:
    path = tmp_path / "hole.bin"
    with path.open("wb") as file:
        file.truncate(SIZE)
    words: list[str | Path] = [path]
    if command == "verify":
        pieces = sha1(bytes(PIECE)).digest() * (SIZE // PIECE)
        info = {"name": path.name, "piece length": PIECE, "length": SIZE, "pieces": pieces}
        (tmp_path / "hole").write_bytes(encode({"info": info}))
        words = [tmp_path / "hole", path]
    with Programs(tmp_path) as programs:
        program = programs.bittwist(command, *words)
        threads = Path(f"/proc/{program.pid}/task")
        program.until(lambda: len(os.listdir(threads)) > 1, 20, "it hashes")
        end(program, number)
        assert "good" not in program.output
    assert not list(tmp_path.rglob("*.torrent*"))


@pytest.mark.parametrize("number", SIGNALS)
def test_a_command_that_is_interrupted_while_it_is_imported_ends_with_130(
    tmp_path: Path, number: signal.Signals
) -> None:
    with Programs(tmp_path) as programs:
        program = programs.bittwist("download", "magnet:?xt=urn:btih:" + "a" * 40, "-o", tmp_path / "to")
        maps = Path(f"/proc/{program.pid}/maps")
        # A library that the command needs, and among the first of them.
        program.until(lambda: "cryptography" in maps.read_text(), 20, "it is being imported")
        end(program, number)
