"""A torrent moved from one file system to another, by a real program that is killed while it does (T28).

And by one from which a drive is taken away in the middle (SECURITY.md F3).
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random

import pytest

from tests.integration.mounts import Mounts, mounts
from tests.interop.hosts import Program
from tests.processes import Programs
from tests.scale import SEED, runs
from tests.session.torrents import content, torrent

PIECE = 1 << 18
FILES = [(("a",), 9 << 20), (("sub", "empty"), 0), (("sub", "b"), 12_345), (("c",), (7 << 20) + 1)]
SIZE = sum(size for _, size in FILES)
DATA = content(SIZE)
METAINFO = torrent(DATA, PIECE, "folder", FILES)
SMALL = [((f"{number}",), 1 << 15) for number in range(400)]  # some can be there and the others not yet
MANY_DATA = content(400 << 15)
MANY = torrent(MANY_DATA, PIECE, "many", SMALL)
NAMED_WITHIN = 5.0  # seconds from a drive taken away to its name


class Places:
    """Two file systems, and the program that moves a torrent from one to the other."""

    def __init__(self, folder: Path, spaces: Mounts, programs: Programs) -> None:
        self.folder = folder
        self.spaces = spaces
        self.programs = programs
        self.old, self.new = folder / "old", folder / "new"
        for path in (self.old, self.new):
            spaces.tmpfs(path, "64m")
        self.torrent = folder / "folder.torrent"
        self.torrent.write_bytes(METAINFO.encode())

    def fill(self) -> None:
        """All files are in the old place again, and nothing is known of them."""
        shutil.rmtree(self.folder / "state", ignore_errors=True)
        for path in (self.old, self.new):
            for inside in self.spaces.seen(path).iterdir():
                shutil.rmtree(inside)
        at = 0
        for path, size in FILES:
            file = self.spaces.seen(self.old).joinpath("folder", *path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(DATA[at : at + size])
            at += size

    def start(self) -> Program:
        words = ("-m", "tests.integration.mover", self.folder / "state", self.torrent, self.old, self.new)
        return self.programs.start([sys.executable, *words], "mover", self.spaces.host)

    def there(self, place: Path) -> dict[str, bytes]:
        root = self.spaces.seen(place)
        return {
            str(path.relative_to(root)): path.read_bytes()
            for path in sorted(root.rglob("*"))
            if path.is_file()
        }


@pytest.fixture
def places(tmp_path: Path) -> Iterator[Places]:
    with mounts() as spaces, ExitStack() as stack:
        yield Places(tmp_path, spaces, stack.enter_context(Programs(tmp_path)))


def whole() -> dict[str, bytes]:
    files, at = {}, 0
    for path, size in FILES:
        files["/".join(("folder", *path))] = DATA[at : at + size]
        at += size
    return files


def test_a_torrent_moves_to_another_file_system_and_needs_no_check_there(places: Places) -> None:
    places.fill()
    program = places.start()
    assert program.wait(60) == 0, program.output
    assert program.output.splitlines()[-1] == f"seeding in {places.new}"
    assert places.there(places.new) == whole()
    assert list(places.spaces.seen(places.old).iterdir()) == []


def test_killed_at_any_moment_each_file_is_whole_in_one_place_and_the_move_goes_on(places: Places) -> None:
    random = Random(SEED)
    for number in range(runs(6, 100)):
        places.fill()
        program = places.start()
        program.until(lambda program=program: "moving" in program.output, 60, "it moves")
        time.sleep(random.random() * 0.06)
        os.kill(program.pid, signal.SIGKILL)
        program.wait(10)
        old, new = places.there(places.old), places.there(places.new)
        for name, right in whole().items():
            assert right in (old.get(name), new.get(name)), f"kill {number}: {name} is nowhere whole"
            assert new.get(name) in (None, right), f"kill {number}: {name} is there in part"
        program = places.start()
        assert program.wait(60) == 0, program.output
        assert places.there(places.new) == whole(), f"kill {number}"
        assert places.there(places.old) == {}, f"kill {number}"


def test_where_there_is_no_room_it_fails_and_goes_on_when_there_is(places: Places) -> None:
    places.fill()
    places.spaces.remount(places.new, "size=12m")
    program = places.start()
    program.until(lambda: "o space left" in program.output, 60, "no room")
    program.wait(20)
    old, new = places.there(places.old), places.there(places.new)
    for name, right in whole().items():
        assert (old.get(name), new.get(name)) in ((right, None), (None, right)), name
    places.spaces.remount(places.new, "size=64m")
    program = places.start()
    assert program.wait(60) == 0, program.output
    assert places.there(places.new) == whole()


class Drives(Places):
    """The two are mounted drives, and can be taken away."""

    def __init__(self, folder: Path, spaces: Mounts, programs: Programs) -> None:
        super().__init__(folder, spaces, programs)
        self.torrent.write_bytes(MANY.encode())
        for drive in (self.old, self.new):
            spaces.bind(drive, self.kept(drive))

    def kept(self, drive: Path) -> Path:
        """Where it is found whether it is mounted or not."""
        return drive.with_name(f"kept-{drive.name}")

    def fill_many(self) -> None:
        folder = self.spaces.seen(self.old) / "many"
        folder.mkdir()
        for number, (path, size) in enumerate(SMALL):
            folder.joinpath(*path).write_bytes(MANY_DATA[number * size : (number + 1) * size])

    def move(self) -> Program:
        words = ("-m", "tests.integration.mover", self.folder / "state", self.torrent, self.old, self.new)
        return self.programs.start([sys.executable, *words, "stay"], "mover", self.spaces.host)

    def assert_nothing_lost(self) -> None:
        old, new = self.there(self.kept(self.old)), self.there(self.kept(self.new))
        for number, (path, size) in enumerate(SMALL):
            name = "/".join(("many", *path))
            right = MANY_DATA[number * size : (number + 1) * size]
            assert right in (old.get(name), new.get(name)), f"{name} is nowhere whole"

    def arrived(self) -> int:
        return sum(1 for _ in self.spaces.seen(self.new).glob("many/*"))


@pytest.mark.parametrize(
    ("lost", "restarted"), [("old", False), ("old", True), ("new", False), ("new", True)]
)
def test_a_drive_taken_away_in_the_middle_of_a_move(tmp_path: Path, lost: str, restarted: bool) -> None:
    """It is named, nothing is lost or made in its mount point, and with the drive back the move goes on."""
    with mounts() as spaces, Programs(tmp_path) as programs:
        drives = Drives(tmp_path, spaces, programs)
        drives.fill_many()
        drive = drives.old if lost == "old" else drives.new
        program = drives.move()
        program.until(lambda: "moving" in program.output, 30, "it moves")
        while drives.arrived() < 5:
            assert program.running()
        os.kill(program.pid, signal.SIGSTOP)
        assert drives.arrived() < len(SMALL), "it is in the middle"
        spaces.unmount(drive)
        os.kill(program.pid, signal.SIGCONT)
        program.until(lambda: f"failed: {drive}" in program.output, NAMED_WITHIN, "the drive is named")
        time.sleep(2.5)  # it tries again meanwhile
        assert drives.there(drive) == {}, "nothing is made where the drive was"
        drives.assert_nothing_lost()
        if restarted:
            program.stop()
            program = drives.move()
            program.until(lambda: f"failed: {drive}" in program.output, 20, "the drive is named again")
            time.sleep(2.5)
            assert drives.there(drive) == {}, "nothing is made where the drive was"
            drives.assert_nothing_lost()
        spaces.bind(drives.kept(drive), drive)
        assert program.wait(30) == 0, program.output
        assert program.output.splitlines()[-1] == f"seeding in {drives.new}"
        assert "Traceback" not in program.output
        drives.assert_nothing_lost()
        assert drives.arrived() == len(SMALL)
        assert drives.there(drives.old) == {}
