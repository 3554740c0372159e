"""A real `twistd bittwist-tracker`, announced to over real sockets."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
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

    def __init__(self, folder: Path, *reactor: str) -> None:
        twistd = [sys.executable, str(Path(sys.executable).with_name("twistd")), "-n", "--pidfile="]
        self.process = subprocess.Popen(
            [*twistd, *reactor, "bittwist-tracker", "--http", "tcp:0:interface=127.0.0.1"],
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

    def stop(self) -> tuple[int, str]:
        self.process.send_signal(signal.SIGTERM)
        rest, _ = self.process.communicate(timeout=10)
        return self.process.returncode, self.log + rest


@pytest.fixture(params=[(), ("--reactor=asyncio",)], ids=["default", "asyncio"])
def tracker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningTracker]:
    running = RunningTracker(tmp_path, *request.param)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.communicate()


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
