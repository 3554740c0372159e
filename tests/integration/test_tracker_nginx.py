"""The reverse proxy of conf/nginx.conf, as it is shipped but for its ports and its certificate."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bittwist.announce.http import decode_announce_response, encode_announce_url
from bittwist.announce.values import AnnounceRequest, AnnounceResponse
from bittwist.announce.websocket_reply import Announced, Refused
from bittwist.tracker.users import Users
from tests.integration.test_evil_http import certificate
from tests.integration.test_tracker_websocket import ONE, announce, connected
from tests.interop.partners import program
from tests.processes import Programs, free_port
from tests.tracker.machine import Machine

pytestmark = pytest.mark.needs("nginx")
SHIPPED = Path(__file__).parents[2] / "conf" / "nginx.conf"
STARTED = 20.0  # seconds for a program to be up, on a machine that is busy
REQUEST = AnnounceRequest(b"h" * 20, b"p" * 20, 6881, left=1)

AROUND = """
daemon off;
worker_processes 1;
error_log {work}/error.log;
pid {work}/pid;
events {{ }}
http {{
    client_body_temp_path {work}/temp;
    proxy_temp_path {work}/temp;
    fastcgi_temp_path {work}/temp;
    uwsgi_temp_path {work}/temp;
    scgi_temp_path {work}/temp;
    include {work}/shipped.conf;
}}
"""


@dataclass(frozen=True, slots=True)
class Proxied:
    """A tracker behind nginx, with a user who has this passkey."""

    port: int
    context: ssl.SSLContext
    passkey: str

    def announce(self, path: str) -> AnnounceResponse:
        connection = HTTPSConnection("127.0.0.1", self.port, timeout=10, context=self.context)
        try:
            connection.request("GET", encode_announce_url(path, REQUEST))
            return decode_announce_response(connection.getresponse().read())
        finally:
            connection.close()


def changed(text: str, **places: object) -> str:
    """The shipped file with these in the place of what is in it."""
    there = {
        "listen_four": "listen 443 ssl;",
        "listen_six": "listen [::]:443 ssl;",
        "http": "127.0.0.1:6969",
        "ws": "127.0.0.1:6970",
        "certificate": "/etc/ssl/tracker.pem",
        "key": "/etc/ssl/tracker.key",
    }
    for name, place in places.items():
        assert there[name] in text, name
        text = text.replace(there[name], str(place))
    return text


@contextmanager
def proxied(folder: Path) -> Iterator[Proxied]:
    options, trusted = certificate("127.0.0.1")
    (folder / "tracker.pem").write_bytes(trusted.dumpPEM())
    key = options.privateKey.to_cryptography_key()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "tracker.key").write_bytes(pem)
    port, http, ws = free_port(), free_port(), free_port()
    made: list[str] = []
    machine = Machine()
    Users(machine, folder / "users", machine.wall).add("ann").addCallback(
        lambda new: made.append(new.passkey)
    )
    shipped = SHIPPED.read_text()
    said = [line.removeprefix("#   ") for line in shipped.splitlines() if line.startswith("#   ")]
    config = "\n".join(
        [*said, "listen.udp = []", 'access.users = "users"', "access.passkey_required = false"]
    )
    (folder / "tracker.toml").write_text(config.replace(":6969:", f":{http}:").replace(":6970:", f":{ws}:"))
    here = changed(
        shipped,
        listen_four=f"listen 127.0.0.1:{port} ssl;",
        listen_six=f"listen [::1]:{port} ssl;",
        http=f"127.0.0.1:{http}",
        ws=f"127.0.0.1:{ws}",
        certificate=folder / "tracker.pem",
        key=folder / "tracker.key",
    )
    (folder / "shipped.conf").write_text(here)
    (folder / "nginx.conf").write_text(AROUND.format(work=folder))
    nginx = program("nginx")
    assert nginx is not None
    with Programs(folder) as programs:
        tracker = programs.twistd("bittwist-tracker", "--config", folder / "tracker.toml")
        tracker.until(lambda: "browsers are met" in tracker.output, STARTED, "a tracker")
        words = [nginx, "-e", folder / "start.log", "-p", folder, "-c", folder / "nginx.conf"]
        programs.start(words, "nginx").until_listening(port, STARTED)
        yield Proxied(port, ssl.create_default_context(cadata=trusted.dumpPEM().decode()), made[0])


def test_announces_and_browsers_pass_the_shipped_proxy_with_and_without_a_passkey(tmp_path: Path) -> None:
    with proxied(tmp_path) as tracker:
        for path in ("/announce", f"/{tracker.passkey}/announce"):
            assert tracker.announce(path).external_ip == "127.0.0.1"
        for path in (
            "/ws",
            "/ws/",
            "/ws/announce",
            f"/ws/{tracker.passkey}",
            f"/ws/{tracker.passkey}/announce",
        ):
            with connected(tracker.port, tracker.context, path) as browser:
                assert browser.status == 101, path
                browser.say(announce(ONE))
                assert isinstance(browser.hear(), Announced), path
        with connected(tracker.port, tracker.context, "/ws/" + "0" * 32) as stranger:
            stranger.say(announce(ONE))
            told = stranger.hear()
            assert isinstance(told, Refused) and told.reason == "passkey: not known here"
