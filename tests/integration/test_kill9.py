"""kill -9 at any moment loses nothing verified, and keeps nothing that was not (SECURITY.md T28, T30)."""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from bittwist.metainfo.metainfo import Metainfo
from bittwist.session.state import StateFolder
from tests.integration.plainpeers import PacedSeed, Watcher, one_in
from tests.interop.hosts import Program
from tests.processes import Programs
from tests.scale import SEED, SOAK, runs
from tests.session.torrents import content, torrent

PIECE = 1 << 17
DONE_TWICE = 4  # pieces that may be fetched again after a kill beside those that were in flight
FILES = ((("a.bin",), 700_001), (("sub", "empty"), 0), (("sub", "b.bin"), 3), (("c.bin",), None))


def folder_torrent(size: int) -> tuple[Metainfo, bytes]:
    """Files that pieces straddle, an empty one among them."""
    data = content(size)
    known = sum(length for _, length in FILES if length is not None)
    files = [(path, length if length is not None else size - known) for path, length in FILES]
    return torrent(data, PIECE, "folder", files), data


def on_disk(folder: Path, metainfo: Metainfo) -> bytes:
    """All the files in the torrent's order; what is missing at the end of one is zeros."""
    parts = []
    for entry in metainfo.info.files:
        path = folder.joinpath(metainfo.info.name, *entry.path)
        parts.append((path.read_bytes() if path.exists() else b"").ljust(entry.size, b"\0"))
    return b"".join(parts)


@dataclass
class Ledger:
    """What is known of the download from outside, over all its lives."""

    metainfo: Metainfo
    data: bytes
    verified: set[int] = field(default_factory=set)  # announced to others before the last kill
    whole: set[int] = field(default_factory=set)  # given whole, rightly, in the last life
    again: int = 0  # pieces fetched again that were not in flight, over all kills

    def life(self, seeds: list[PacedSeed], watcher: Watcher, kept: bytes | None) -> None:
        """Settle what one life asked for and claimed; `kept` is what it left on disk, if it was killed."""
        asked: set[int] = set()
        given: set[tuple[int, int]] = set()
        wrong: set[int] = set()
        for seed in seeds:
            some_asked, some_given = seed.counts()
            asked |= {index for index, _ in some_asked}
            given |= set(some_given)
            wrong |= seed.wrong
            seed.wrong = set()
        assert not asked & self.verified, f"fetched again though verified: {sorted(asked & self.verified)}"
        again = asked & (self.whole - self.verified)
        assert len(again) <= DONE_TWICE, f"fetched again though given whole: {sorted(again)}"
        self.again += len(again)
        assert watcher.lies == [], f"wrong blocks were served: {watcher.lies}"
        if kept is not None:
            for index in watcher.announced:
                at = slice(index * PIECE, (index + 1) * PIECE)
                assert kept[at] == self.data[at], f"announced piece {index} is wrong on disk"
        geometry = self.metainfo.info.geometry
        self.whole = {
            index
            for index in {index for index, _ in given} - wrong
            if all((index, begin) in given for begin, _ in geometry.blocks(index))
        }
        self.verified |= watcher.announced


@contextmanager
def downloading(
    folder: Path, metainfo: Metainfo, data: bytes, seeds: list[PacedSeed], chance: Random
) -> Iterator[tuple[Program, Watcher]]:
    """One life of the download, watched from outside."""
    (folder / "the.torrent").write_bytes(metainfo.encode())
    with ExitStack() as stack:
        programs = stack.enter_context(Programs(folder))
        peers = [word for seed in seeds for word in ("--peer", seed.endpoint)]
        words = ("--bind", "127.0.0.1", "--port", "0", "--json", *peers)
        program = programs.bittwist("download", folder / "the.torrent", "-o", folder / "to", *words)
        told = program.until_event("listening", 30)
        endpoint = (str(told["address"]), int(str(told["port"])))
        watcher = stack.enter_context(Watcher("127.0.0.9", endpoint, metainfo.info, data, chance))
        yield program, watcher


def kill(program: Program) -> None:
    os.kill(program.pid, signal.SIGKILL)
    assert program.wait(10) == -signal.SIGKILL


@pytest.mark.parametrize("rate", [1.0, 4.0, 8.0] if SOAK else [4.0])  # MiB/s
def test_a_killed_download_goes_on_where_it_was(tmp_path: Path, rate: float) -> None:
    kills = runs(6, 70)
    chance = Random(SEED + int(rate))
    metainfo, data = folder_torrent(round(rate * (kills + 3)) << 20)
    ledger = Ledger(metainfo, data)
    pace = 16384 / (rate * (1 << 20)) - 0.0002
    with ExitStack() as stack:
        honest = stack.enter_context(PacedSeed("127.0.0.2", metainfo.info, data, pace=pace))
        spoil = one_in(20, chance)
        bad = stack.enter_context(PacedSeed("127.0.0.3", metainfo.info, data, pace=pace * 4, spoil=spoil))
        seeds = [honest, bad]
        done, over = 0, False
        while done < kills and not over:
            with downloading(tmp_path, metainfo, data, seeds, chance) as (program, watcher):
                if chance.random() < 0.8:  # the others may be killed before their first block
                    program.until(lambda: bool(honest.given), 30, "the first block")
                # Every fifth life is long enough for what is kept to be synced and journaled.
                time.sleep(chance.uniform(0.0, 1.0) + (2.5 if done % 5 == 2 else 0.0))
                # A slow machine gives it more of each life: at last there may be no more to fetch.
                over = not program.running() and done > kills // 2
                if not over:
                    assert program.running(), program.output
                    kill(program)
                done += 1
            ledger.life(seeds, watcher, on_disk(tmp_path / "to", metainfo))
        honest.pace = bad.pace = 0.0
        with downloading(tmp_path, metainfo, data, seeds, chance) as (program, watcher):
            assert program.wait(120) == 0, program.output
        ledger.life(seeds, watcher, None)
    assert on_disk(tmp_path / "to", metainfo) == data
    assert len(ledger.verified) > 0
    assert not (tmp_path / "to" / ".bittwist").exists()


def saved(state: Path) -> set[str]:
    """The info hashes of the torrents a state folder has; whole files, all of them."""
    torrents, troubles = StateFolder(state).load()
    assert troubles == []
    return {str(torrent.info_hash) for torrent in torrents}


def test_the_list_of_torrents_survives_kills_while_torrents_are_added(tmp_path: Path) -> None:
    chance = Random(SEED)
    state = tmp_path / "state"
    adding: list[str | Path] = []
    hashes = set()
    for number in range(runs(25, 100)):
        metainfo = torrent(content(50_000, b"%d" % number), name=f"{number}.bin")
        (tmp_path / f"{number}.torrent").write_bytes(metainfo.encode())
        hashes.add(str(metainfo.info.info_hash))
        adding += ["--add", tmp_path / f"{number}.torrent"]
    words = ("bittwist-peer", "--listen", "tcp:0:interface=127.0.0.1", "--state", state)
    downloads = ("--downloads", tmp_path / "downloads")
    before: set[str] = set()
    for _ in range(runs(4, 200)):
        chance.shuffle(paths := [str(word) for word in adding if word != "--add"])
        with Programs(tmp_path) as programs:
            some = [word for path in paths for word in ("--add", path)]
            program = programs.twistd(*words, *downloads, *some)
            files = len(list(state.glob("*")))
            program.until(lambda files=files: len(list(state.glob("*"))) > files, 30, "the first is added")
            time.sleep(chance.uniform(0.0, 0.1))
            kill(program)
            told = set(re.findall(r"\(([0-9a-f]{8})\) is checking", program.output))
        after = saved(state)
        told_of = {info_hash for info_hash in hashes if info_hash[:8] in told}
        assert before | told_of <= after <= hashes, "a torrent that was added is lost"
        before = after
        if after == hashes:
            shutil.rmtree(state)
            before = set()
    with Programs(tmp_path) as programs:
        program = programs.twistd(*words, *downloads, *adding)
        program.until(lambda: saved(state) == hashes, 30, "all are added")
        kill(program)
    with Programs(tmp_path) as programs:
        started = time.monotonic()
        program = programs.twistd(*words, *downloads)
        running = re.compile(r"\(([0-9a-f]{8})\) is downloading")
        short = {info_hash[:8] for info_hash in hashes}
        program.until(lambda: set(running.findall(program.output)) == short, 30, "all run again")
        if SOAK:
            assert time.monotonic() - started <= 4.0, "two seconds, and those that Python needs"
        assert "Traceback" not in program.output
    assert list(state.glob("*.unreadable")) == []
