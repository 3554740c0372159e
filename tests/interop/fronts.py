"""Our tracker as `twistd` runs it, with all its fronts, each on a free port of one address."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.interop.hosts import Host, Program

STARTED = 20.0  # seconds
SAID = {  # what the log says of each front
    "http": re.compile(r"announces are taken on (?!udp:)(\S+:\d+)"),
    "udp": re.compile(r"announces are taken on udp://(\S+:\d+)"),
    "ws": re.compile(r"browsers are met on (\S+:\d+)"),
}


class Fronts:
    """The program, running; `urls` are its announce URLs, by "http", "udp" and "ws"."""

    def __init__(self, host: Host, log: Path) -> None:
        self.host = host
        self.urls: dict[str, str] = {}
        anywhere = f"tcp:0:interface={host.address}"
        twistd = Path(sys.executable).with_name("twistd")
        where = ["--http", anywhere, "--ws", anywhere, "--udp", f"{host.address}:0"]
        self.program = Program([twistd, "--nodaemon", "--pidfile=", "bittwist-tracker", *where], host, log)

    def __enter__(self) -> Fronts:
        self.program.until(self._all_said, STARTED, "all fronts listening")
        return self

    def __exit__(self, *exception: object) -> None:
        self.program.stop()

    def _all_said(self) -> bool:
        found = {name: said.search(self.program.output) for name, said in SAID.items()}
        self.urls = {name: f"{name}://{at[1]}/announce" for name, at in found.items() if at is not None}
        return len(self.urls) == len(SAID)
