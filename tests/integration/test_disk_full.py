"""Disks that fill up under real programs, and have room again (SECURITY.md T31, F1, F5)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bittwist.session.state import StateFolder
from tests.integration.place import (
    DATA,
    HEALED_WITHIN,
    METAINFO,
    PIECE,
    RETRY,
    Place,
    a_place,
    states,
    until_state,
)
from tests.interop.hosts import Program
from tests.scale import SOAK

BALLAST = 1 << 20  # bytes of each file that takes up room until it is removed


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with a_place(tmp_path) as made:
        yield made


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


def ballast(place: Place, drive: Path, count: int) -> list[Path]:
    """So many files that leave a drive less room."""
    files = [place.spaces.seen(drive) / f"ballast-{number}" for number in range(count)]
    for file in files:
        file.write_bytes(bytes(BALLAST))
    return files


def room(place: Place, drive: Path) -> int:
    """Bytes that a drive has left."""
    found = os.statvfs(place.spaces.seen(drive))
    return found.f_bavail * found.f_frsize


def waited(program: Program) -> int:
    """How often a daemon's torrent waited for room."""
    return [state for state, _ in states(program, METAINFO)].count("waiting")


def test_a_disk_that_fills_again_and_again_costs_no_byte_and_no_blocks_for_others(place: Place) -> None:
    drive, state = place.folder / "drive", place.folder / "state"
    place.spaces.tmpfs(drive, "10m")
    in_the_way = ballast(place, drive, 9)
    program, endpoint = place.daemon(state, drive, place.torrent)
    place.seed.dial(*endpoint)
    until_state(program, METAINFO, "waiting", 20)
    watcher = place.watching(endpoint, METAINFO, DATA)
    for waits in range(1, 8):
        program.until(lambda waits=waits: waited(program) >= waits, 20, "it is full")
        known, given = len(watcher.announced), watcher.served
        program.until(lambda given=given: watcher.served > given + 10, 20, "blocks are given while waiting")
        in_the_way.pop().unlink()
        program.until(lambda known=known: len(watcher.announced) > known, 20, "it goes on")
    until_state(program, METAINFO, "seeding", HEALED_WITHIN)
    assert watcher.lies == []
    assert "Traceback" not in program.output
    program.stop()
    assert (place.spaces.seen(drive) / "data.bin").read_bytes() == DATA


def test_a_download_waits_for_room_gives_meanwhile_and_goes_on_by_itself(place: Place) -> None:
    """Thirty seconds pass from full to the next try: what comes then is for `make soak`."""
    drive = place.folder / "drive"
    place.spaces.tmpfs(drive, "10m")
    in_the_way = ballast(place, drive, 6)
    program = place.download(drive)
    at = program.until_event("listening", 20)
    watcher = place.watching((str(at["address"]), int(str(at["port"]))), METAINFO, DATA)
    reason = str(program.until_event("waiting", 20)["reason"])
    assert "o space left" in reason and str(drive) in reason
    program.until(lambda: watcher.served > 20, 20, "blocks are given while waiting")
    healed = []
    while SOAK and len(in_the_way) > 1:  # then there is room for all of it
        assert room(place, drive) < PIECE, "it is full"
        given = watcher.served
        program.until(lambda given=given: watcher.served > given + 20, 20, "blocks are given while waiting")
        in_the_way.pop().unlink()
        began = time.monotonic()
        program.until(
            lambda: room(place, drive) < PIECE or not program.running(), HEALED_WITHIN, "it goes on"
        )
        healed.append(time.monotonic() - began)
    print("seconds from room to going on:", [f"{seconds:.1f}" for seconds in healed])
    assert watcher.lies == []
    assert "Traceback" not in program.output
    if SOAK:
        program.until_event("complete", HEALED_WITHIN)
        assert program.wait(10) == 0
        assert (place.spaces.seen(drive) / "data.bin").read_bytes() == DATA
        assert not (place.spaces.seen(drive) / ".bittwist").exists()


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
