"""Our tracker with all its fronts, each on a free port of one address: a program, and what drives it.

`python -m tests.interop.fronts ADDRESS` prints the announce URL of each front, as a line of JSON.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from bittwist.net.policy import Network
from bittwist.net.site import make_site
from bittwist.tracker import Tracker
from bittwist.tracker.datagram import UdpFront, UdpSettings, connection_ids
from bittwist.tracker.websocket import WebSocketFront
from tests.interop.hosts import Host, Program


class Fronts:
    """The program, running; `urls` are its announce URLs, by "http", "udp" and "ws"."""

    def __init__(self, host: Host, log: Path) -> None:
        self.host = host
        self.program = Program([sys.executable, "-m", "tests.interop.fronts", host.address], host, log)
        self.urls: dict[str, str] = {}

    def __enter__(self) -> Fronts:
        event = self.program.until_event("listening", 20.0)
        self.urls = {name: str(event[name]) for name in ("http", "udp", "ws")}
        return self

    def __exit__(self, *exception: object) -> None:
        self.program.stop()


def serve(reactor: Any, address: str) -> Deferred[None]:
    """Until a signal comes."""
    tracker = Tracker(reactor)
    udp = UdpFront(tracker, Network(reactor), [(address, 0)], connection_ids(UdpSettings(), time.time))
    http = reactor.listenTCP(0, make_site(reactor, tracker.resource()), interface=address)
    ws = reactor.listenTCP(0, WebSocketFront(reactor, tracker), interface=address)
    tracker.startService()
    udp.startService()
    urls = {
        "http": f"http://{address}:{http.getHost().port}/announce",
        "udp": f"udp://{udp.addresses[0]}/announce",
        "ws": f"ws://{address}:{ws.getHost().port}/announce",
    }
    print(json.dumps({"event": "listening", **urls}), flush=True)
    return Deferred()


if __name__ == "__main__":
    react(serve, sys.argv[1:])
