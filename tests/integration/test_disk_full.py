"""Full, read-only and missing file systems under real programs (SECURITY.md T31, T32, F1, F3)."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from random import Random

import pytest

from bittwist.metainfo.metainfo import Metainfo
from bittwist.session.state import StateFolder
from tests.integration.mounts import Mounts, mounts
from tests.integration.plainpeers import PacedSeed, Watcher
from tests.interop.hosts import Program
from tests.processes import Programs
from tests.scale import SEED, SOAK
from tests.session.torrents import content, torrent

PIECE = 1 << 16
DATA = content(8 << 20)
METAINFO = torrent(DATA, PIECE, "data.bin")
RETRY = 1  # seconds, instead of thirty
NAMED_WITHIN = 5.0  # seconds from a failure to its name (T32)
HEALED_WITHIN = 60.0  # seconds from room to going on (T31)


class Place:
    """A namespace with a seed outside of it, and the programs that run in it."""

    def __init__(self, folder: Path, spaces: Mounts, stack: ExitStack) -> None:
        self.folder = folder
        self.spaces = spaces
        self._stack = stack
        self.programs = stack.enter_context(Programs(folder))
        self.torrent = self.write(METAINFO)
        self.seed = self.seeding(METAINFO, DATA)

    def write(self, metainfo: Metainfo) -> Path:
        path = self.folder / f"{metainfo.info.name}.torrent"
        path.write_bytes(metainfo.encode())
        return path

    def seeding(self, metainfo: Metainfo, data: bytes, pace: float = 0.0) -> PacedSeed:
        return self._stack.enter_context(PacedSeed("127.0.0.2", metainfo.info, data, pace=pace))

    def watching(self, endpoint: tuple[str, int], metainfo: Metainfo, data: bytes) -> Watcher:
        watcher = Watcher("127.0.0.9", endpoint, metainfo.info, data, Random(SEED))
        return self._stack.enter_context(watcher)

    def daemon(self, state: Path, downloads: Path, *sources: str | Path) -> tuple[Program, tuple[str, int]]:
        """`twistd bittwist-peer`, which tries again soon, and where it listens."""
        config = self.folder / "peer.toml"
        config.write_text(f"[session]\nretry_after = {RETRY}\n")
        words = ["--config", config, "--listen", "tcp:0:interface=127.0.0.1", "--state", state]
        added = [word for source in sources for word in ("--add", source)]
        program = self.programs.twistd(
            "bittwist-peer", *words, "--downloads", downloads, *added, host=self.spaces.host
        )
        listening = re.compile(r"peers are listened for on 127\.0\.0\.1:(\d+)")
        program.until(lambda: bool(listening.search(program.output)), 30, "listening")
        found = listening.search(program.output)
        assert found is not None
        return program, ("127.0.0.1", int(found[1]))

    def download(self, to: Path) -> Program:
        words = ("--bind", "127.0.0.1", "--port", "0", "--json", "--peer", self.seed.endpoint)
        return self.programs.bittwist("download", self.torrent, "-o", to, *words, host=self.spaces.host)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with mounts() as spaces, ExitStack() as stack:
        yield Place(tmp_path, spaces, stack)


def states(program: Program, metainfo: Metainfo) -> list[tuple[str, str]]:
    """What the log says of a torrent: its states in order, each with its reason."""
    pattern = rf"{metainfo.info.info_hash} is (\w+)(?: \((.*)\))?"
    return re.findall(pattern, program.output)


def until_state(program: Program, metainfo: Metainfo, state: str, within: float) -> str:
    """Wait until that is the last state; its reason."""

    def last() -> tuple[str, str]:
        return (states(program, metainfo) or [("", "")])[-1]

    program.until(lambda: last()[0] == state, within, f"{metainfo.info.name} is {state}")
    return last()[1]


@pytest.mark.parametrize("full", ["data", "state", "both"])
def test_a_full_disk_is_waited_for_while_seeding_goes_on(place: Place, full: str) -> None:
    data, state = place.folder / "data", place.folder / "state"
    place.spaces.tmpfs(data, "4m")
    if full == "both":
        state = data / "state"
    elif full == "state":
        place.spaces.remount(data, "size=32m")
        place.spaces.tmpfs(state, "8k")
        (place.spaces.seen(state) / "other").write_bytes(bytes(8192))
    program, endpoint = place.daemon(state, data, place.torrent)
    place.seed.dial(*endpoint)
    reason = until_state(program, METAINFO, "waiting", 20)
    assert "o space left" in reason
    if full != "state":
        watcher = place.watching(endpoint, METAINFO, DATA)
        before = watcher.served
        program.until(lambda: watcher.served >= before + 20, 20, "blocks are given while waiting")
        assert watcher.lies == []
        watcher.stop()
    assert states(program, METAINFO)[-1][0] != "failed"
    began = time.monotonic()
    if full == "state":
        (place.spaces.seen(state) / "other").unlink()
        place.spaces.remount(state, "size=1m")
    else:
        place.spaces.remount(data, "size=32m")
    until_state(program, METAINFO, "seeding", HEALED_WITHIN)
    assert time.monotonic() - began < 30 * RETRY
    assert "Traceback" not in program.output
    assert len(program.output.splitlines()) < 100, "no loop"
    assert program.stop() in (0, -15)
    assert (place.spaces.seen(data) / "data.bin").read_bytes() == DATA
    kept, troubles = StateFolder(place.spaces.seen(state)).load()
    assert ([saved.info_hash for saved in kept], troubles) == ([METAINFO.info.info_hash], [])


def test_a_download_waits_for_room_in_the_words_of_its_events(place: Place) -> None:
    to = place.folder / "to"
    place.spaces.tmpfs(to, "4m")
    program = place.download(to)
    assert "o space left" in str(program.until_event("waiting", 20)["reason"])
    if SOAK:  # thirty seconds pass before it tries again
        place.spaces.remount(to, "size=32m")
        program.until_event("complete", HEALED_WITHIN)
        assert program.wait(10) == 0
        assert (place.spaces.seen(to) / "data.bin").read_bytes() == DATA


def test_a_read_only_folder_fails_at_once_with_the_reason(place: Place) -> None:
    to = place.folder / "to"
    place.spaces.tmpfs(to, "32m")
    place.spaces.remount(to, "ro")
    program = place.download(to)
    reason = str(program.until_event("failed", 20)["reason"])
    assert str(to) in reason and "cannot be written to" in reason
    assert program.wait(10) == 1
    assert "Traceback" not in program.output


def test_a_folder_that_is_removed_fails_and_is_not_made_again(place: Place) -> None:
    place.seed.pace = 0.005
    to = place.folder / "to"
    program = place.download(to)
    program.until(lambda: (to / "data.bin").exists() and len(place.seed.given) > 20, 20, "pieces are there")
    shutil.rmtree(to)
    reason = program.until_event("failed", NAMED_WITHIN)["reason"]
    assert "the folder is gone" in str(reason)
    assert program.wait(10) == 1
    assert not to.exists()
    assert "Traceback" not in program.output


def test_a_drive_taken_away_is_named_others_go_on_and_it_heals_when_the_drive_is_back(place: Place) -> None:
    state, drive, kept = place.folder / "state", place.folder / "drive", place.folder / "kept"
    others = place.folder / "others"
    data = content(300_000, b"other")
    other = torrent(data, PIECE, "other.bin")
    seed = place.seeding(other, data)
    program, endpoint = place.daemon(state, others, place.write(other))
    seed.dial(*endpoint)
    until_state(program, other, "seeding", 20)
    program.stop()

    place.spaces.tmpfs(kept, "32m")
    place.spaces.bind(kept, drive)
    place.seed.pace = 0.004
    program, endpoint = place.daemon(state, drive, place.torrent)
    place.seed.dial(*endpoint)
    until_state(program, other, "seeding", 20)
    program.until(lambda: len(place.seed.given) > 100, 20, "some of it is there")
    place.spaces.unmount(drive)
    reason = until_state(program, METAINFO, "failed", NAMED_WITHIN)
    assert "the folder is not the one it was" in reason
    watcher = place.watching(endpoint, other, data)
    program.until(lambda: watcher.served > 3, 20, "the other torrent is given")
    time.sleep(2.5 * RETRY)
    assert states(program, METAINFO)[-1][0] == "failed", "the empty mount point is not it"
    assert list(place.spaces.seen(drive).iterdir()) == []
    assert states(program, other)[-1][0] == "seeding"

    place.seed.pace = 0.0
    verified = len(place.seed.given) * 16384
    place.seed.counts()
    place.spaces.bind(kept, drive)
    until_state(program, METAINFO, "seeding", 30)
    asked, _ = place.seed.counts()
    assert len(asked) * 16384 <= len(DATA) - verified + 12 * PIECE, "what was verified is not fetched again"
    assert "Traceback" not in program.output
    program.stop()
    assert (place.spaces.seen(drive) / "data.bin").read_bytes() == DATA


def test_a_daemon_started_without_the_drive_makes_nothing_and_goes_on_when_it_comes(place: Place) -> None:
    state, drive, kept = place.folder / "state", place.folder / "drive", place.folder / "kept"
    place.spaces.tmpfs(kept, "32m")
    place.spaces.bind(kept, drive)
    program, endpoint = place.daemon(state, drive, place.torrent)
    place.seed.dial(*endpoint)
    until_state(program, METAINFO, "seeding", 20)
    program.stop()
    place.spaces.unmount(drive)
    program, endpoint = place.daemon(state, drive)
    reason = until_state(program, METAINFO, "failed", NAMED_WITHIN)
    assert "files are missing" in reason
    time.sleep(1.5 * RETRY)
    assert list(place.spaces.seen(drive).iterdir()) == []
    place.seed.counts()
    place.spaces.bind(kept, drive)
    until_state(program, METAINFO, "seeding", 10)
    assert not place.seed.counts()[0]
    assert len(states(program, METAINFO)) == 4, "checking, failed, checking, seeding"


def test_a_state_folder_that_fills_up_on_the_way_costs_nothing(place: Place) -> None:
    data, state = place.folder / "data", place.folder / "state"
    place.spaces.tmpfs(data, "32m")
    place.spaces.tmpfs(state, "64k")
    place.seed.pace = 0.005
    program, endpoint = place.daemon(state, data, place.torrent)
    place.seed.dial(*endpoint)
    program.until(lambda: len(place.seed.given) > 20, 20, "it has begun")
    with (place.spaces.seen(state) / "other").open("wb", buffering=0) as other, suppress(OSError):
        while True:
            other.write(bytes(4096))
    until_state(program, METAINFO, "seeding", 30)
    time.sleep(2.5)  # what was kept is to be recorded by then
    program.stop()
    assert "Traceback" not in program.output
    (place.spaces.seen(state) / "other").unlink()
    place.seed.counts()
    program, _ = place.daemon(state, data)
    until_state(program, METAINFO, "seeding", 20)
    assert not place.seed.counts()[0]
    assert (place.spaces.seen(data) / "data.bin").read_bytes() == DATA
