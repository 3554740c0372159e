"""Programs that run out of file descriptors, many peers and many files at once (SECURITY.md T34)."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from random import Random

import pytest

from bittwist.metainfo.info import Info
from bittwist.metainfo.metainfo import Metainfo
from bittwist.testing import speech
from tests.integration.plainpeers import PacedSeed, Watcher
from tests.interop.hosts import Host, Program
from tests.processes import Programs
from tests.scale import SEED, SOAK, runs
from tests.session.torrents import content, torrent

PIECE = 1 << 15
FILES = 200
PEERS = runs(120, 500)
CPU_AT_MOST = 0.10  # of one processor while starved
NORMAL_AFTER = 5.0  # seconds from the end of the rush until others are served again
TICKS = os.sysconf("SC_CLK_TCK")


def folder_torrent() -> tuple[Metainfo, bytes]:
    sizes = [1 + (number * 7919) % 20_000 for number in range(FILES)]
    data = content(sum(sizes))
    files = [((f"{number:03}", "file.bin"), size) for number, size in enumerate(sizes)]
    return torrent(data, PIECE, "folder", files), data


def write_out(folder: Path, info: Info, data: bytes) -> None:
    at = 0
    for entry in info.files:
        path = folder.joinpath(info.name, *entry.path)
        path.parent.mkdir(parents=True)
        path.write_bytes(data[at : at + entry.size])
        at += entry.size


@contextmanager
def rush(endpoint: tuple[str, int], info: Info, count: int) -> Iterator[list[socket.socket]]:
    """So many peers that connect, shake hands, and stay."""
    with ExitStack() as stack:
        peers = []
        for number in range(count):
            peer = stack.enter_context(socket.socket())
            peer.settimeout(2.0)
            peer.bind((f"127.0.1.{1 + number % 250}", 0))
            with suppress(OSError):
                peer.connect(endpoint)
                peer.sendall(speech.handshake(info.info_hash.short, b"%020d" % number))
                peers.append(peer)
        yield peers


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def load_over(program: Program, seconds: float) -> float:
    """The share of one processor it takes."""
    before = cpu_seconds(program.pid)
    time.sleep(seconds)
    return (cpu_seconds(program.pid) - before) / seconds


def limited(descriptors: int) -> Host:
    return Host("127.0.0.1", ("prlimit", f"--nofile={descriptors}:{descriptors}", "--"))


def endpoint_of(program: Program) -> tuple[str, int]:
    told = program.until_event("listening", 30)
    return str(told["address"]), int(str(told["port"]))


@pytest.mark.parametrize("descriptors", [64, 128, 256] if SOAK else [64])
def test_a_seed_outlives_a_rush_of_peers(tmp_path: Path, descriptors: int) -> None:
    metainfo, data = folder_torrent()
    write_out(tmp_path, metainfo.info, data)
    (tmp_path / "folder.torrent").write_bytes(metainfo.encode())
    with Programs(tmp_path) as programs:
        words = ("--bind", "127.0.0.1", "--port", "0", "--json")
        program = programs.bittwist(
            "seed", tmp_path / "folder.torrent", tmp_path / "folder", *words, host=limited(descriptors)
        )
        endpoint = endpoint_of(program)
        program.until_event("complete", 20)
        with rush(endpoint, metainfo.info, PEERS) as peers:
            assert peers
            time.sleep(1.0)
            load = load_over(program, 3.0)
            assert load <= (CPU_AT_MOST if SOAK else 3 * CPU_AT_MOST)
            assert program.running(), program.output[-3000:]
        with Watcher("127.0.0.9", endpoint, metainfo.info, data, Random(SEED)) as watcher:
            program.until(lambda: watcher.served > 50, NORMAL_AFTER, "blocks are given again")
        assert watcher.lies == []
        assert "Traceback" not in program.output


@pytest.mark.parametrize("descriptors", [64, 128, 256] if SOAK else [64])
def test_a_download_of_many_files_outlives_a_rush_of_peers(tmp_path: Path, descriptors: int) -> None:
    metainfo, data = folder_torrent()
    (tmp_path / "folder.torrent").write_bytes(metainfo.encode())
    with ExitStack() as stack:
        seed = stack.enter_context(PacedSeed("127.0.0.2", metainfo.info, data, pace=0.05))
        programs = stack.enter_context(Programs(tmp_path))
        words = ("--bind", "127.0.0.1", "--port", "0", "--json", "--peer", seed.endpoint)
        program = programs.bittwist(
            "download", tmp_path / "folder.torrent", "-o", tmp_path / "to", *words, host=limited(descriptors)
        )
        endpoint = endpoint_of(program)
        program.until(lambda: len(seed.given) > 5, 20, "it has begun")
        seed.pace = 0.5
        with rush(endpoint, metainfo.info, PEERS):
            load = load_over(program, 2.0)
            assert load <= (CPU_AT_MOST if SOAK else 3 * CPU_AT_MOST)
            assert program.running(), program.output[-3000:]
        seed.pace = 0.0
        program.until_event("complete", 30)
        assert program.wait(10) == 0
        assert "Traceback" not in program.output
    whole = b"".join(
        (tmp_path / "to").joinpath("folder", *entry.path).read_bytes() for entry in metainfo.info.files
    )
    assert whole == data
