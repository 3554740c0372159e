"""The admin port of a real `twistd bittwist-tracker`, over real sockets."""

from __future__ import annotations

import json
import socket
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bittwist.announce.values import AnnounceRequest
from bittwist.metainfo.bencode import encode
from tests.processes import Programs
from tests.watchedtracker import TOKEN, WatchedTracker

TORRENT = encode({b"info": {b"length": 5, b"name": b"a file", b"piece length": 16384, b"pieces": b"p" * 20}})
REQUEST = AnnounceRequest(b"h" * 20, b"-qB4650-abcdefghijkl", 6881, left=1)


@pytest.fixture
def tracker(tmp_path: Path) -> Iterator[WatchedTracker]:
    with Programs(tmp_path) as programs:
        yield WatchedTracker(programs)


def test_a_running_tracker_can_be_watched(tracker: WatchedTracker) -> None:
    tracker.announce(REQUEST)
    status, headers, page = tracker.ask("GET", "/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert b"qBittorrent 4.6.5" in page
    assert json.loads(tracker.ask("GET", "/stats.json")[2])["leeches"] == 1
    assert (
        b'event="none",family="ipv4",front="http",outcome="answered"} 1.0'
        in tracker.ask("GET", "/metrics")[2]
    )
    assert tracker.ask("GET", "/health")[0] == 200
    assert tracker.ask("GET", "/", Host="evil.example")[0] == 421
    assert "announce" not in tracker.program.output.replace("announces are taken", "")


def test_what_the_api_changes_holds_after_a_restart(tracker: WatchedTracker, tmp_path: Path) -> None:
    passkey = tracker.api("POST", "/users", {"name": "ann"})["passkey"]
    wants = {"Authorization": f"Bearer {TOKEN}", "Content_Type": "application/x-bittorrent"}
    status, _, told = tracker.ask("POST", "/api/torrents", TORRENT, **wants)
    assert status == 201
    info_hash = json.loads(told)["info_hash"]
    tracker.api("POST", f"/torrents/{info_hash}/block")
    tracker.program.stop()
    with Programs(tmp_path) as programs:
        again = WatchedTracker(programs)
        assert again.api("GET", "/users")["users"][0]["name"] == "ann"
        assert again.api("GET", f"/torrents/{info_hash}")["blocked"]
        assert passkey not in "".join(
            path.read_text(errors="replace") for path in tmp_path.iterdir() if path.is_file()
        )


def test_the_token_and_the_length_are_judged_before_a_long_body_is_read(tracker: WatchedTracker) -> None:
    long = b"d" * (1 << 20)
    kind = "application/x-bittorrent"
    status, _, told = tracker.ask(
        "POST", "/api/torrents", long, Authorization=f"Bearer {TOKEN}", Content_Type=kind
    )
    assert (status, b"bencod" in told or b"byte" in told) == (400, True)
    for credentials, target, expected in (
        ("Bearer wrong-token-wrong", "/api/torrents", b" 401 "),
        (f"Bearer {TOKEN}", "/api/users", b" 413 "),
        ("Basic " + b64encode(f":{TOKEN}".encode()).decode(), "/api/torrents", b" 401 "),
    ):
        with socket.create_connection(("127.0.0.1", tracker.admin), timeout=10) as connection:
            head = f"POST {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {credentials}\r\n"
            connection.sendall(f"{head}Content-Type: {kind}\r\nContent-Length: {len(long)}\r\n\r\n".encode())
            assert expected in connection.recv(1000)


def test_it_is_reached_by_a_unix_socket_too(tracker: WatchedTracker) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(tracker.folder / "admin.sock"))
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_a_flood_of_readers_of_the_page_leaves_announces_answered(tracker: WatchedTracker) -> None:
    for number in range(50):
        tracker.announce(replace(REQUEST, info_hash=bytes([number]) * 20))
    for _ in range(50):
        assert tracker.ask("GET", "/")[0] == 200
    tracker.announce(REQUEST)
