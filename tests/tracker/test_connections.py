"""Connection ids of the UDP tracker protocol (BEP 15), and the file of their secret."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bittwist.errors import ConfigError
from bittwist.tracker.connections import SECRET, ConnectionIds
from bittwist.tracker.secret import read_or_make_secret

HOST = bytes((192, 0, 2, 1))
OTHER = bytes((192, 0, 2, 2))
DAY = 1_800_000_000.0


class Wall:
    """A wall clock that is set by hand."""

    def __init__(self, now: float = DAY) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def ids(wall: Wall, secret: bytes = b"s" * SECRET, window: float = 120) -> ConnectionIds:
    return ConnectionIds(secret, wall, window)


def test_an_id_is_eight_bytes_and_good_for_its_host_only() -> None:
    made = ids(Wall())
    connection_id = made.issue(HOST)
    assert len(connection_id) == 8
    assert made.valid(connection_id, HOST)
    assert not made.valid(connection_id, OTHER)
    assert not made.valid(connection_id, HOST + bytes(12))


def test_no_bit_of_an_id_can_be_changed() -> None:
    made = ids(Wall())
    number = int.from_bytes(made.issue(HOST), "big")
    for bit in range(64):
        assert not made.valid((number ^ (1 << bit)).to_bytes(8, "big"), HOST)


@given(st.binary(max_size=20))
def test_no_other_bytes_are_an_id(made_up: bytes) -> None:
    made = ids(Wall())
    assert made.valid(made_up, HOST) == (made_up == made.issue(HOST))


@pytest.mark.parametrize("window", [1, 120, 3600])
def test_an_id_is_good_for_the_whole_window_and_hardly_longer(window: float) -> None:
    wall = Wall(DAY + 0.75)
    made = ids(wall, window=window)
    connection_id = made.issue(HOST)
    for age, good in ((0, True), (window / 2, True), (window, True), (window + 1, False), (1e6, False)):
        wall.now = DAY + 0.75 + age
        assert made.valid(connection_id, HOST) == good, age


def test_an_id_from_the_future_is_refused() -> None:
    wall = Wall()
    made = ids(wall)
    connection_id = made.issue(HOST)
    wall.now -= 1  # the clock was set back
    assert not made.valid(connection_id, HOST)
    wall.now -= 3600
    assert not made.valid(connection_id, HOST)
    assert made.valid(made.issue(HOST), HOST)


def test_an_id_does_not_come_good_again_when_its_stamp_does() -> None:
    wall = Wall()
    made = ids(wall)
    connection_id = made.issue(HOST)
    wall.now += 65_536
    assert not made.valid(connection_id, HOST)


def test_a_clock_before_the_epoch_is_a_clock_too() -> None:
    wall = Wall(5)
    made = ids(wall)
    assert made.valid(made.issue(HOST), HOST)
    assert not made.valid(b"\xff\xff" + bytes(6), HOST)
    wall.now = -70_000.5
    assert made.valid(made.issue(HOST), HOST)


def test_ids_survive_a_restart_with_the_same_secret() -> None:
    wall = Wall()
    connection_id = ids(wall).issue(HOST)
    wall.now += 60
    assert ids(wall).valid(connection_id, HOST)
    assert not ids(wall, b"t" * SECRET).valid(connection_id, HOST)


def test_a_weak_secret_or_an_endless_window_is_refused() -> None:
    for secret, window in ((b"short", 120), (b"s" * SECRET, 0), (b"s" * SECRET, 86_400)):
        with pytest.raises(ValueError):
            ConnectionIds(secret, Wall(), window)


# The secret's file


def test_a_secret_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    made = read_or_make_secret(path)
    assert len(made) == SECRET
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_or_make_secret(path) == made
    assert os.listdir(tmp_path) == ["secret"]
    assert read_or_make_secret(tmp_path / "another") != made


def test_processes_that_start_at_once_agree(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(lambda _: read_or_make_secret(tmp_path / "secret"), range(64)))
    assert len(found) == 1


@pytest.mark.parametrize("text", ["", "zz", "ab" * 31, "ab" * 33, "\xff\xfe"])
def test_a_file_that_is_no_secret_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "secret"
    path.write_text(text, "latin-1")
    with pytest.raises(ConfigError) as caught:
        read_or_make_secret(path)
    assert (caught.value.file, caught.value.key) == (str(path), "secret_file")
    assert path.read_text("latin-1") == text


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        read_or_make_secret(tmp_path / "nowhere" / "secret")
