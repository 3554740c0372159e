"""Browsers at our tracker: two pages of Chromium meet by its WebSocket front, and finish a file."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.interop.clients import COMMAND
from tests.interop.content import differences, single_file
from tests.interop.fronts import Fronts
from tests.interop.hosts import Host, Program, namespace_pair


@pytest.fixture
def cabled() -> Iterator[Host]:
    """The loopback of a host with a cable: without one Chromium names no address of its own to others.

    Nobody is at the cable's other end, so that whatever Chromium would like to ask the world, it cannot.
    """
    with namespace_pair(1, 1) as ([host], _):
        route = ["ip", "route", "add", "default", "dev", "cable"]
        subprocess.run([*host.prefix, *route], check=True, capture_output=True)
        yield replace(host, address="127.0.0.1")


@pytest.mark.needs("chromium", "playwright", "webtorrent", "nsenter", "unshare", "ip", "root")
def test_two_pages_of_chromium_complete_a_file(cabled: Host, tmp_path: Path) -> None:
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.mkdir()
    copy.mkdir()
    content = single_file(source, (2 << 20) + 5)
    with Fronts(cabled, tmp_path / "tracker") as tracker:
        words = [sys.executable, "-m", "tests.interop.chromium", tracker.urls["ws"]]
        go = tmp_path / "go"
        pages = Program([*words, content, copy / content.name, go], cabled, tmp_path / "log")
        try:
            seeding = pages.until_event("seeding", 60)
            # It says so when it has the file; the announce takes a moment more.
            pages.until(lambda: sizes(tracker, seeding)[0] >= 1, 20, "a seed at the tracker")
            go.touch()
            complete = pages.until_event("complete", 60)
            assert pages.wait(20) == 0, pages.output
        finally:
            pages.stop()
        assert differences(content, copy / content.name) == []
        assert (complete["wire"], complete["problems"]) == ("webrtc", [])
        tracker.program.until(lambda: sizes(tracker, seeding) == (0, 0), 20, "nobody at the tracker")


def sizes(tracker: Fronts, seeding: dict[str, object]) -> tuple[int, int]:
    """How many seeds and leeches the tracker names over HTTP."""
    asked = [*COMMAND, "scrape", tracker.urls["http"], str(seeding["info_hash"]), "--json"]
    command = [*tracker.host.prefix, *asked]
    said = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    entry = json.loads(said)
    return entry["complete"], entry["incomplete"]
