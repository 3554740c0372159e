"""A real `twistd bittwist-tracker`, announced to over real sockets."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path

import pytest

from bittwist.address import Address
from bittwist.announce.http import decode_announce_response, decode_scrape_response, encode_announce_url
from bittwist.announce.values import AnnounceRequest, AnnounceResponse, ScrapeEntry

ROOT = Path(__file__).parents[2]
REQUEST = AnnounceRequest(b"h" * 20, b"p" * 20, 6881, left=1)


class RunningTracker:
    """A twistd process and the port its log names."""

    def __init__(self, folder: Path, *words: str, settings: str = "[listen]\nudp = []\n") -> None:
        self.settings = folder / "tracker.toml"
        self.settings.write_text(settings)
        twistd = [sys.executable, str(Path(sys.executable).with_name("twistd")), "-n", "--pidfile="]
        self.process = subprocess.Popen(
            [
                *twistd,
                *words,
                "bittwist-tracker",
                "--http",
                "tcp:0:interface=127.0.0.1",
                "-c",
                "tracker.toml",
            ],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        self.log = ""
        for line in self.process.stdout:
            self.log += line
            found = re.search(r"announces are taken on 127\.0\.0\.1:(\d+)", line)
            if found:
                self.port = int(found[1])
                return
        raise AssertionError(f"twistd ended without a port: {self.log}")

    def get(self, target: str, source: str) -> bytes:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10, source_address=(source, 0))
        try:
            connection.request("GET", target)
            return connection.getresponse().read()
        finally:
            connection.close()

    def announce(self, request: AnnounceRequest, source: str) -> AnnounceResponse:
        return decode_announce_response(self.get(encode_announce_url("/announce", request), source))

    def reload(self, settings: str) -> str:
        """What it says of these settings."""
        self.settings.write_text(settings)
        self.process.send_signal(signal.SIGHUP)
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.log += line
            if "[tracker] and [admin]" in line or "the settings" in line:
                return line
        raise AssertionError(self.log)

    def stop(self) -> tuple[int, str]:
        self.process.send_signal(signal.SIGTERM)
        rest, _ = self.process.communicate(timeout=10)
        return self.process.returncode, self.log + rest


@contextmanager
def ended(running: RunningTracker) -> Iterator[RunningTracker]:
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.communicate()


@pytest.fixture(params=[(), ("--reactor=asyncio",)], ids=["default", "asyncio"])
def tracker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningTracker]:
    with ended(RunningTracker(tmp_path, *request.param)) as running:
        yield running


def test_peers_find_each_other_through_it(tracker: RunningTracker) -> None:
    assert tracker.announce(REQUEST, "127.0.0.2").peers == ()
    response = tracker.announce(replace(REQUEST, left=0, peer_id=b"s" * 20), "127.0.0.3")
    assert response.peers == (Address("127.0.0.2", 6881),)
    assert (response.complete, response.incomplete, response.external_ip) == (1, 1, "127.0.0.3")
    scraped = decode_scrape_response(tracker.get("/scrape?info_hash=" + "h" * 20, "127.0.0.4"))
    assert scraped == {b"h" * 20: ScrapeEntry(complete=1, incomplete=1, downloaders=1)}
    code, log = tracker.stop()
    assert code in (0, -signal.SIGTERM), "twistd ends itself with the signal that stopped it"
    assert "Server Shut Down" in log
    assert "Traceback" not in log
    assert "GET " not in log, "requests are not logged"


def test_settings_are_taken_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    with ended(RunningTracker(tmp_path, settings='[listen]\nudp = []\nadmin = ["tcp:0"]\n')) as tracker:
        for settings, told, warning in (
            ('[tracker]\nwarning = "one"\n', "are as", "one"),
            ('[tracker]\nwarning = "two"\n[admin]\ntoken_file = "none"\n', "stay as they were", "one"),
            ('[tracker]\nwarning = "two"\ninterval = 0\n', "stay as they were", "one"),
        ):
            assert told in tracker.reload(settings)
            assert tracker.announce(REQUEST, "127.0.0.2").warning == warning


def test_paths_are_from_the_folder_it_was_started_in(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "deny.txt").write_text("")
    settings = """
[listen]
udp = []
admin = ["tcp:0"]
[access]
deny_clients = "deny.txt"
poll = 0.1
[snapshot]
file = "swarms"
"""
    with ended(RunningTracker(tmp_path, "--rundir", str(elsewhere), settings=settings)) as tracker:
        (tmp_path / "token").write_text("t" * 16)
        reloaded = tracker.reload(settings + '[tracker]\nwarning = "one"\n[admin]\ntoken_file = "token"\n')
        assert "are as" in reloaded, reloaded
        assert tracker.announce(REQUEST, "127.0.0.2").warning == "one"
        _, log = tracker.stop()
    assert "No such file" not in log
    assert (tmp_path / "swarms").exists()
    assert not [*elsewhere.iterdir()]
