"""A `twistd bittwist-tracker` process of a test's own, with a settings file, on loopback."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

from bittwist.announce.http import decode_announce_response, encode_announce_url
from bittwist.announce.values import AnnounceRequest, AnnounceResponse

ROOT = Path(__file__).parents[2]


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
