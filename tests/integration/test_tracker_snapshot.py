"""A tracker that is killed under load, and another that starts from its file."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

from bittwist.announce.http import decode_announce_response, encode_announce_url
from bittwist.announce.values import AnnounceRequest, AnnounceResponse

ROOT = Path(__file__).parents[2]
EVERY = 2.0  # seconds between snapshots
KNOWN_FOR = 1.5 * EVERY  # as 30 seconds are to the default of 20
LOAD = 6.0  # seconds of announces before the kill
A_TORRENT = 40  # peers: fewer than a reply holds, so that all of them can be asked for

PROGRAM = """
import sys
from pathlib import Path
from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from bittwist.app.clock import use_monotonic
from bittwist.tracker import Tracker, TrackerSettings
from bittwist.tracker.snapshot import SnapshotSettings

use_monotonic(reactor)
snapshot = SnapshotSettings(Path(sys.argv[1]), float(sys.argv[2]))
tracker = Tracker(reactor, TrackerSettings(), snapshot=snapshot)
tracker.startService()
reactor.addSystemEventTrigger("before", "shutdown", tracker.stopService)
listening = serverFromString(reactor, "tcp:0:interface=127.0.0.1").listen(tracker.site())
listening.addCallback(lambda port: print(f"port {port.getHost().port}", flush=True))
reactor.run()
"""


class Running:
    """A process with a tracker, and one connection to it."""

    def __init__(self, file: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(file), str(EVERY)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        found = re.match(r"port (\d+)", self.process.stdout.readline())
        assert found is not None
        self._connection = HTTPConnection("127.0.0.1", int(found[1]), timeout=10)

    def announce(self, request: AnnounceRequest) -> AnnounceResponse:
        self._connection.request("GET", encode_announce_url("/announce", request))
        return decode_announce_response(self._connection.getresponse().read())

    def peers(self, torrent: int) -> set[str]:
        """Who is in that torrent, as a stranger is told."""
        asker = AnnounceRequest(info_hash(torrent), b"a" * 20, 1, left=1, numwant=74, ip="192.0.2.1")
        return {str(peer) for peer in self.announce(asker).peers}

    def end(self, how: signal.Signals) -> int:
        self._connection.close()
        self.process.send_signal(how)
        return self.process.wait(timeout=20)


@contextmanager
def running(file: Path) -> Iterator[Running]:
    tracker = Running(file)
    try:
        yield tracker
    finally:
        if tracker.process.poll() is None:
            tracker.process.kill()
            tracker.process.wait()
        assert tracker.process.stdout is not None
        tracker.process.stdout.close()


def info_hash(torrent: int) -> bytes:
    return torrent.to_bytes(20, "big")


def peer(number: int) -> AnnounceRequest:
    """Announces from loopback may say whom they are about."""
    host = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
    peer_id = number.to_bytes(20, "big")
    return AnnounceRequest(info_hash(number // A_TORRENT), peer_id, 6881, left=1, numwant=0, ip=host)


def test_who_was_known_before_a_kill_under_load_is_served_after_it(tmp_path: Path) -> None:
    """Must-show 4: kill -9, restart, and at least 99 % of those known some time before are told of."""
    file = tmp_path / "swarms"
    known: list[tuple[float, str]] = []
    with running(file) as tracker:
        end = time.monotonic() + LOAD
        while (now := time.monotonic()) < end:
            request = peer(len(known))
            tracker.announce(request)
            known.append((now, f"{request.ip}:6881"))
        assert tracker.end(signal.SIGKILL) == -signal.SIGKILL
        killed_at = time.monotonic()
    with running(file) as tracker:
        served: set[str] = set()
        for torrent in range(len(known) // A_TORRENT + 1):
            served |= tracker.peers(torrent)
        old = {who for at, who in known if at < killed_at - KNOWN_FOR}
        assert old, "there was no load"
        assert len(old & served) >= 0.99 * len(old), f"{len(old & served)} of {len(old)}"
        assert served <= {who for _, who in known}


def test_a_stop_loses_nobody(tmp_path: Path) -> None:
    file = tmp_path / "swarms"
    with running(file) as tracker:
        for number in range(A_TORRENT):
            tracker.announce(peer(number))
        assert tracker.end(signal.SIGTERM) == 0
    with running(file) as tracker:
        assert tracker.peers(0) == {f"{peer(number).ip}:6881" for number in range(A_TORRENT)}
