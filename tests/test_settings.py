"""Every number a session can be told has bounds, and what is beyond them is refused by its name."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, get_args, get_type_hints

import pytest

from bittwist.net.policy import NetworkSettings
from bittwist.peer.settings import PeerSettings
from bittwist.session import SessionSettings
from bittwist.settings import MONTH, check_bounds
from bittwist.storage.disk import DiskSettings
from bittwist.swarm.candidates import CandidateSettings
from bittwist.swarm.pipeline import PipelineSettings

# Where nothing at all is a choice.
MEANINGFUL_ZEROS = {
    "allowed_fast",  # nobody gets pieces while choked
    "dial_below",  # nobody is dialed
    "ports",  # any free port
    "goals.ratio",  # a seed stops at once
    "goals.seed_time",
    "goals.idle",
    "disk.low_water",  # peers are read from again once all is written
    "disk.read_cache",  # nothing is kept of what was read
    "disk.open_files",  # none is kept open
    "disk.sync_after",  # each piece is synced by itself
    "choker.upload_slots",  # one peer by chance, no others
    "choker.new_for",  # nobody counts as new
    "limits.download_rate",  # no limit, as with the other rates
    "limits.upload_rate",
    "limits.torrent_download_rate",
    "limits.torrent_upload_rate",
    "limits.upload_slots",
    "limits.classes.download_rate",
    "limits.classes.upload_rate",
    "limits.alternative.download_rate",
    "limits.alternative.upload_rate",
    "web_seeds.max_per_torrent",  # none is asked
}


def numbers(kind: type, within: tuple[str, ...] = ()) -> Iterator[tuple[type, str, str]]:
    """Each number below a settings class, as its class, its field and its dotted key."""
    for name, hint in get_type_hints(kind).items():
        parts = {hint, *get_args(hint)}
        key = (*within, name)
        for part in parts:
            if is_dataclass(part) and isinstance(part, type):
                yield from numbers(part, key)
        if parts & {int, float}:
            yield kind, name, ".".join(key)


NUMBERS = list(numbers(SessionSettings))


def test_the_walk_finds_the_numbers() -> None:
    found = {key for _, _, key in NUMBERS}
    assert {"max_peers", "ports", "disk.threads", "goals.ratio", "limits.classes.upload_rate"} <= found
    assert len(found) > 60
    assert found >= MEANINGFUL_ZEROS


@pytest.mark.parametrize(("kind", "name", "key"), NUMBERS, ids=[key for _, _, key in NUMBERS])
def test_no_number_is_taken_that_cannot_be_meant(kind: type, name: str, key: str) -> None:
    for number in (-1, 0, math.nan, math.inf, -math.inf, 10**30):
        value = (number,) if isinstance(getattr(kind(), name), tuple) else number
        if number == 0 and key in MEANINGFUL_ZEROS:
            assert getattr(kind(**{name: value}), name) == value
            continue
        with pytest.raises(ValueError, match="must be") as caught:
            kind(**{name: value})
        assert caught.value.args[0] == name


@pytest.mark.parametrize(
    ("settings", "changed", "key"),
    [
        (PipelineSettings(), {"min": 501}, "min"),
        (DiskSettings(), {"low_water": (16 << 20) + 1}, "low_water"),
        (CandidateSettings(), {"retry_after": 7200.0}, "retry_at_most"),
        (NetworkSettings(), {"bind": "foo"}, "bind"),
        (SessionSettings(), {"listen_host": "foo"}, "listen_host"),
        (SessionSettings(), {"ports": (6881, 70000)}, "ports"),
        (PeerSettings(), {"reserved": b"seven.."}, "reserved"),
    ],
    ids=["min above max", "low above high", "first above last", "bind", "host", "port", "reserved"],
)
def test_what_does_not_fit_is_named(settings: Any, changed: dict[str, object], key: str) -> None:
    with pytest.raises(ValueError, match="must be") as caught:
        replace(settings, **changed)
    assert caught.value.args[0] == key


def test_every_address_can_be_listened_on() -> None:
    for host in ("", "::", "0.0.0.0", "127.0.0.1", "::1", "fe80::1%lo"):
        assert SessionSettings(listen_host=host).listen_host == host


@dataclass(frozen=True, slots=True)
class Example:
    size: int = 1
    wait: float | None = None

    def __post_init__(self) -> None:
        check_bounds(self, {"size": (0, 9), "wait": (0.01, MONTH)})


def test_bounds_belong_to_what_they_allow() -> None:
    for size, wait in ((0, None), (9, 0.01), (1, MONTH)):
        assert [getattr(Example(size, wait), each.name) for each in fields(Example)] == [size, wait]


def test_a_refusal_says_what_there_may_be() -> None:
    with pytest.raises(ValueError) as caught:
        Example(10)
    assert caught.value.args == ("size", "must be 0 to 9, not 10")
    with pytest.raises(ValueError) as caught:
        Example(wait=math.nan)
    assert caught.value.args == ("wait", "must be 0.01 to 2592000, not nan")
