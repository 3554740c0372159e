"""A tracker that is killed under load, and another that starts from its file: real twistd processes."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

from bittwist.announce.http import decode_announce_response, encode_announce_url
from bittwist.announce.values import AnnounceRequest, AnnounceResponse
from tests.integration.trackerprocess import RunningTracker, ended
from tests.scale import SOAK

# In full with the interval that holds where none is set; in CI everything is ten times as quick.
SETTINGS = '[listen]\nudp = []\n[snapshot]\nfile = "swarms.snapshot"\n' + ("" if SOAK else "every = 2.0\n")
KNOWN_FOR = 30.0 if SOAK else 3.0  # seconds before the kill
LOAD = 59.0 if SOAK else 5.9  # seconds of announces: to just before the third snapshot, the worst moment
A_TORRENT = 40  # peers: fewer than a reply holds, so that all of them can be asked for


class Tracker:
    """A running tracker, and one connection to it."""

    def __init__(self, running: RunningTracker) -> None:
        self._running = running
        self._connection = HTTPConnection("127.0.0.1", running.port, timeout=10)

    def announce(self, request: AnnounceRequest) -> AnnounceResponse:
        self._connection.request("GET", encode_announce_url("/announce", request))
        return decode_announce_response(self._connection.getresponse().read())

    def peers(self, torrent: int) -> set[str]:
        """Who is in that torrent, as a stranger is told."""
        asker = AnnounceRequest(info_hash(torrent), b"a" * 20, 1, left=1, numwant=74, ip="192.0.2.1")
        return {str(peer) for peer in self.announce(asker).peers}

    def end(self, how: signal.Signals) -> int:
        self._connection.close()
        self._running.process.send_signal(how)
        self._running.process.communicate(timeout=20)
        return self._running.process.returncode


@contextmanager
def running(folder: Path) -> Iterator[Tracker]:
    with ended(RunningTracker(folder, settings=SETTINGS)) as process:
        yield Tracker(process)


def info_hash(torrent: int) -> bytes:
    return torrent.to_bytes(20, "big")


def peer(number: int) -> AnnounceRequest:
    """Announces from loopback may say whom they are about."""
    host = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
    peer_id = number.to_bytes(20, "big")
    return AnnounceRequest(info_hash(number // A_TORRENT), peer_id, 6881, left=1, numwant=0, ip=host)


def test_who_was_known_before_a_kill_under_load_is_served_after_it(tmp_path: Path) -> None:
    """Must-show 4: kill -9, restart, and at least 99 % of those known 30 seconds before are told of."""
    known: list[tuple[float, str]] = []
    with running(tmp_path) as tracker:
        end = time.monotonic() + LOAD
        while (now := time.monotonic()) < end:
            request = peer(len(known))
            tracker.announce(request)
            known.append((now, f"{request.ip}:6881"))
        killed_at = time.monotonic()
        assert tracker.end(signal.SIGKILL) == -signal.SIGKILL
    with running(tmp_path) as tracker:
        served: set[str] = set()
        for torrent in range(len(known) // A_TORRENT + 1):
            served |= tracker.peers(torrent)
    old = {who for at, who in known if at < killed_at - KNOWN_FOR}
    kept = len(old & served)
    print(f"of {len(old)} known {KNOWN_FOR:g} s before, {kept} served; of {len(known)}, {len(served)}")
    assert old, "there was no load"
    assert kept >= 0.99 * len(old), f"{kept} of {len(old)}"
    assert served <= {who for _, who in known}


def test_a_stop_loses_nobody(tmp_path: Path) -> None:
    with running(tmp_path) as tracker:
        for number in range(A_TORRENT):
            tracker.announce(peer(number))
        assert tracker.end(signal.SIGTERM) in (0, -signal.SIGTERM)
    with running(tmp_path) as tracker:
        assert tracker.peers(0) == {f"{peer(number).ip}:6881" for number in range(A_TORRENT)}
