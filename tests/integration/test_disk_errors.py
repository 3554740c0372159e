"""Disks that fail, refuse and go away under real programs, and are mended (SECURITY.md T32, F3)."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bittwist.metainfo.metainfo import Metainfo
from bittwist.session.state import SavedTorrent, StateFolder
from tests.integration.place import (
    DATA,
    METAINFO,
    NAMED_WITHIN,
    PIECE,
    RETRY,
    Place,
    a_place,
    states,
    until_state,
)
from tests.session.torrents import content, torrent

OTHER_DATA = content(300_000, b"other")
OTHER = torrent(OTHER_DATA, PIECE, "other.bin")
HALF = len(DATA) // 2


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with a_place(tmp_path) as made:
        yield made


@dataclass(frozen=True)
class Trouble:
    """What befalls `drive` or the folder `here` on it, where data.bin is; what is said of it; its mending."""

    reason: str
    begin: Callable[[Place], None]
    end: Callable[[Place], None]
    heals_alone: bool = False


def drive(place: Place) -> Path:
    return place.folder / "drive"


def here(place: Place) -> Path:
    return drive(place) / "here"


def data(place: Place) -> Path:
    return here(place) / "data.bin"


TROUBLES = {
    "EIO": Trouble(
        "Input/output error",
        lambda place: place.spaces.spoil(data(place)),
        lambda place: place.spaces.unmount(data(place)),
    ),
    "EACCES": Trouble(
        "Permission denied",
        lambda place: place.spaces.seen(data(place)).chmod(0),
        lambda place: place.spaces.seen(data(place)).chmod(0o644),
    ),
    "EROFS": Trouble(
        "Read-only file system",
        lambda place: place.spaces.remount(drive(place), "ro"),
        lambda place: place.spaces.remount(drive(place), "rw"),
    ),
    "folder gone": Trouble(
        "the folder is gone",
        lambda place: move(place.spaces.seen(here(place)), "elsewhere"),
        lambda place: move(place.spaces.seen(drive(place) / "elsewhere"), "here"),
        heals_alone=True,
    ),
    "another folder": Trouble(
        "the folder is not the one it was",
        lambda place: replace(place.spaces.seen(here(place))),
        lambda place: put_back(place.spaces.seen(here(place))),
        heals_alone=True,
    ),
}


def move(folder: Path, name: str) -> None:
    folder.rename(folder.with_name(name))


def replace(folder: Path) -> None:
    move(folder, "elsewhere")
    folder.mkdir()


def put_back(folder: Path) -> None:
    folder.rmdir()  # nothing was made in it
    move(folder.with_name("elsewhere"), folder.name)


def remember(place: Place, state: Path, metainfo: Metainfo, folder: Path, kept: bytes) -> None:
    """The torrent is in the state folder of a daemon, and that much of it in its file."""
    path = place.spaces.seen(folder) / metainfo.info.name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(kept)
    StateFolder(state).save(SavedTorrent(metainfo, str(folder), True, 0, 0, 0.0))


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES.keys())
def test_a_disk_error_is_named_others_go_on_and_it_goes_on_when_mended(
    place: Place, trouble: Trouble
) -> None:
    state = place.folder / "state"
    place.spaces.tmpfs(drive(place), "32m")
    remember(place, state, METAINFO, here(place), DATA[:HALF])
    remember(place, state, OTHER, place.folder / "others", OTHER_DATA)
    host = place.spaces.obeying
    program, endpoint = place.daemon(state, here(place), host=host)
    until_state(program, METAINFO, "downloading", 20)
    until_state(program, OTHER, "seeding", 20)

    trouble.begin(place)
    place.seed.dial(*endpoint)
    program.until(lambda: bool(place.seed.given), 20, "a block is given")
    began = time.monotonic()
    reason = until_state(program, METAINFO, "failed", NAMED_WITHIN)
    print(f"named after {time.monotonic() - began:.2f} s: {reason}")
    assert trouble.reason in reason and str(here(place)) in reason
    watcher = place.watching(endpoint, OTHER, OTHER_DATA)
    program.until(lambda: watcher.served > 3, 20, "the other torrent is given")
    time.sleep(1.5 * RETRY)
    assert states(program, METAINFO)[-1][0] == "failed"
    assert states(program, OTHER)[-1][0] == "seeding"
    watcher.stop()

    trouble.end(place)
    place.seed.counts()
    if not trouble.heals_alone:
        assert program.stop() in (0, -15)
        assert "Traceback" not in program.output
        program, endpoint = place.daemon(state, here(place), host=host)
        place.seed.dial(*endpoint)
    until_state(program, METAINFO, "seeding", 20)
    asked = {index for index, _ in place.seed.counts()[0]}
    assert asked and min(asked) >= HALF // PIECE, "what was there is not fetched again"
    assert len(program.output.splitlines()) < 100, "no loop"
    assert "Traceback" not in program.output
    program.stop()
    assert place.spaces.seen(data(place)).read_bytes() == DATA


def test_a_file_that_cannot_be_read_stops_its_torrent_and_no_other(place: Place) -> None:
    state = place.folder / "state"
    place.spaces.tmpfs(drive(place), "32m")
    remember(place, state, METAINFO, here(place), DATA)
    remember(place, state, OTHER, place.folder / "others", OTHER_DATA)
    program, _ = place.daemon(state, here(place))
    until_state(program, METAINFO, "seeding", 20)
    program.stop()
    program, endpoint = place.daemon(state, here(place))  # the journal vouches: nothing is open now
    until_state(program, METAINFO, "seeding", 20)
    place.spaces.spoil(data(place))
    watcher = place.watching(endpoint, METAINFO, DATA)
    reason = until_state(program, METAINFO, "failed", NAMED_WITHIN)
    assert "Input/output error" in reason and str(data(place)) in reason
    assert watcher.served == 0
    other = place.watching(endpoint, OTHER, OTHER_DATA)
    program.until(lambda: other.served > 3, 20, "the other torrent is given")
    watcher.stop()
    program.stop()
    assert "Traceback" not in program.output
    place.spaces.unmount(data(place))
    program, endpoint = place.daemon(state, here(place))
    until_state(program, METAINFO, "seeding", 20)
    watcher = place.watching(endpoint, METAINFO, DATA)
    program.until(lambda: watcher.served > 3, 20, "it is given")
    assert watcher.lies == []


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
    remember(place, state, OTHER, others, OTHER_DATA)
    place.spaces.tmpfs(kept, "32m")
    place.spaces.bind(kept, drive)
    place.seed.pace = 0.004
    program, endpoint = place.daemon(state, drive, place.torrent)
    place.seed.dial(*endpoint)
    until_state(program, OTHER, "seeding", 20)
    program.until(lambda: len(place.seed.given) > 100, 20, "some of it is there")
    place.spaces.unmount(drive)
    reason = until_state(program, METAINFO, "failed", NAMED_WITHIN)
    assert "the folder is not the one it was" in reason
    watcher = place.watching(endpoint, OTHER, OTHER_DATA)
    program.until(lambda: watcher.served > 3, 20, "the other torrent is given")
    time.sleep(2.5 * RETRY)
    assert states(program, METAINFO)[-1][0] == "failed", "the empty mount point is not it"
    assert list(place.spaces.seen(drive).iterdir()) == []
    assert states(program, OTHER)[-1][0] == "seeding"

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
