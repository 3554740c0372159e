"""A torrent moved from one file system to another, by a real program that is killed while it does (T28)."""

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
