"""The admin port of a tracker, in memory, through its real Site; with users and torrents kept in files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from bittwist.address import Address
from bittwist.announce.values import AnnounceRequest
from bittwist.tracker import Arrival, Front, ISwarmStore, Tracker
from bittwist.tracker.admin import Admin, AdminSettings
from bittwist.tracker.registry import Registry
from bittwist.tracker.users import Users
from tests.tracker.machine import Machine

GONE = Failure(ConnectionDone())
TOKEN = "correct-horse-battery"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the port answered; names of headers in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        assert self.headers["content-type"] == "application/json"
        return json.loads(self.body)


class AdminTestCase(SynchronousTestCase):
    """`self.settings` and `self.store` are what `start` builds with; change them before."""

    settings = AdminSettings(token=TOKEN)
    store: ISwarmStore | None = None

    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir(parents=True)
        self.machine = Machine()
        self.torrents = Registry(self.machine, folder / "torrents", self.machine.wall)
        self.users = Users(self.machine, folder / "users", self.machine.wall)
        self.start()

    def start(self, settings: AdminSettings | None = None, store: ISwarmStore | None = None) -> None:
        self.tracker = Tracker(self.machine, store=store)
        self.tracker.startService()
        self.admin = Admin(
            self.machine, self.tracker, settings or self.settings, torrents=self.torrents, users=self.users
        )
        self.admin.startService()
        self.addCleanup(self.admin.stopService)
        self.site = self.admin.site()

    def announce(self, info_hash: bytes = b"h" * 20, host: str = "192.0.2.1", **fields: Any) -> None:
        peer_id = fields.pop("peer_id", b"-qB4650-abcdefghijkl")
        request = AnnounceRequest(info_hash, peer_id, 6881, address=Address(host, 6881), **fields)
        self.tracker.announce(request, Arrival(fields.get("front", Front.HTTP), host))

    def ask(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        client: str = "127.0.0.1",
        host: str = "localhost:6970",
    ) -> Answer:
        lines = [f"{method} {target} HTTP/1.1", "Connection: close"]
        given = {"Host": host, **(headers or {})}
        if body is not None:
            given["Content-Length"] = str(len(body))
        lines += [f"{name}: {value}" for name, value in given.items()]
        return self.talk("\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b""), client)

    def talk(self, request: bytes, client: str = "127.0.0.1") -> Answer:
        kind = IPv6Address if ":" in client else IPv4Address
        transport = StringTransport(peerAddress=kind("TCP", client, 40_000))
        channel = self.site.buildProtocol(transport.getPeer())
        assert channel is not None
        channel.makeConnection(transport)
        channel.dataReceived(request)
        head, _, body = transport.value().partition(b"\r\n\r\n")
        channel.connectionLost(GONE)
        status, *lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        return Answer(int(status.split()[1]) if status else 0, headers, body)

    def get(self, target: str, **headers: str) -> Answer:
        return self.ask("GET", target, headers)

    def api(self, method: str, target: str, body: object = None) -> Answer:
        """With the right token, and the body as JSON."""
        sent = b"" if body is None else json.dumps(body).encode()
        return self.ask(method, "/api" + target, {**BEARER, **JSON}, sent)
