"""A `twistd bittwist-tracker` with an admin port, to ask and to change."""

from __future__ import annotations

import json
import re
from http.client import HTTPConnection
from typing import Any

from bittwist.announce.http import encode_announce_url
from bittwist.announce.values import AnnounceRequest
from tests.processes import Programs

TOKEN = "correct-horse-battery"

CONFIG = """
[listen]
http = ["tcp:0:interface=127.0.0.1"]
udp = []
admin = ["tcp:0", "unix:admin.sock"]

[access]
users = "users"
torrents = "torrents"
passkey_required = false

[admin]
token_file = "token"
"""


class WatchedTracker:
    """A running tracker, and what its log says of its ports."""

    def __init__(self, programs: Programs) -> None:
        self.folder = programs.folder
        (self.folder / "tracker.toml").write_text(CONFIG)
        (self.folder / "token").write_text(TOKEN + "\n")
        self.program = programs.twistd("bittwist-tracker", "--config", "tracker.toml")
        self.http = self._port("announces are taken")
        self.admin = self._port("the admin port is")

    def announce(self, request: AnnounceRequest) -> None:
        connection = HTTPConnection("127.0.0.1", self.http, timeout=10)
        connection.request("GET", encode_announce_url("/announce", request))
        assert connection.getresponse().read().startswith(b"d8:complete")
        connection.close()

    def ask(
        self, method: str, target: str, body: bytes = b"", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        connection = HTTPConnection("127.0.0.1", self.admin, timeout=20)
        try:
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, target, body or None, given)
            answer = connection.getresponse()
            return answer.status, dict(answer.headers.items()), answer.read()
        finally:
            connection.close()

    def api(self, method: str, target: str, body: object = None) -> Any:
        sent = b"" if body is None else json.dumps(body).encode()
        wants = {"Authorization": f"Bearer {TOKEN}", "Content_Type": "application/json"}
        status, _, told = self.ask(method, "/api" + target, sent, **wants)
        assert status in (200, 201), told
        return json.loads(told)

    def _port(self, what: str) -> int:
        pattern = re.compile(re.escape(what) + r" on 127\.0\.0\.1:(\d+)")
        self.program.until(lambda: pattern.search(self.program.output) is not None, 30, what)
        found = pattern.search(self.program.output)
        assert found is not None
        return int(found[1])
