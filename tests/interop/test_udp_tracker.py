"""Announces over UDP: libtorrent at our tracker, and our client's half at opentracker (BEP 15, 41)."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from bittwist.address import Address
from bittwist.announce.values import AnnounceRequest, Event, ScrapeEntry
from tests.interop.clients import STARTED, Opentracker
from tests.interop.hosts import Host, Program
from tests.udpclient import UdpClient

LOCAL = Host("127.0.0.1")
INFO_HASH = bytes(range(20))
REQUEST = AnnounceRequest(INFO_HASH, b"-BW0001-012345678901", 6881, left=1, event=Event.STARTED)

LIBTORRENT = """
import sys, time, libtorrent as lt
kinds = lt.alert.category_t.tracker_notification | lt.alert.category_t.error_notification
session = lt.session({"listen_interfaces": "127.0.0.1:0", "enable_dht": False, "enable_lsd": False,
    "enable_upnp": False, "enable_natpmp": False, "ssrf_mitigation": False, "alert_mask": int(kinds)})
asked = lt.add_torrent_params()
asked.info_hashes = lt.info_hash_t(lt.sha1_hash(bytes(range(20))))
asked.trackers, asked.save_path = [sys.argv[1]], sys.argv[2]
torrent = session.add_torrent(asked)
wanted, scraped = {"tracker_reply_alert", "scrape_reply_alert"}, False
deadline = time.monotonic() + 20
while wanted and time.monotonic() < deadline:
    session.wait_for_alert(500)
    for alert in session.pop_alerts():
        print(type(alert).__name__, alert, flush=True)
        wanted.discard(type(alert).__name__)
        if type(alert).__name__ == "tracker_reply_alert" and not scraped:
            scraped = True
            torrent.scrape_tracker()
sys.exit(bool(wanted))
"""


TRACKER = """
import time
from twisted.internet import reactor
from bittwist.net.policy import Network
from bittwist.tracker import AnnounceHook, Tracker
from bittwist.tracker.datagram import UdpFront, UdpSettings, connection_ids

class Heard(AnnounceHook):
    def announcing(self, request, arrival):
        print("announce", request.info_hash.hex(), request.event.name, request.key, arrival, flush=True)

    def scraping(self, info_hashes, arrival):
        print("scrape", *[each.hex() for each in info_hashes], flush=True)

ids = connection_ids(UdpSettings(), time.time)
front = UdpFront(Tracker(reactor, hooks=[Heard()]), Network(reactor), [("127.0.0.1", 0)], ids)
front.startService()
print("on", front.addresses[0], flush=True)
reactor.run()
"""


@pytest.fixture
def tracker(tmp_path: Path) -> Iterator[Program]:
    program = Program([sys.executable, "-c", TRACKER], LOCAL, tmp_path / "tracker.log")
    program.until(lambda: "on 127" in program.output, STARTED, "an open port")
    yield program
    program.stop()


@pytest.mark.needs("libtorrent")
def test_libtorrent_announces_and_scrapes_with_its_passkey(tracker: Program, tmp_path: Path) -> None:
    found = re.search(r"on (127\S+)", tracker.output)
    assert found is not None
    with closing(UdpClient(Address.parse(found[1]))) as other:  # somebody for it to find
        other.connect()
        other.announce(REQUEST)
    url = f"udp://{found[1]}/announce/secretkey?jwt=abc"
    program = Program([sys.executable, "-c", LIBTORRENT, url, tmp_path], LOCAL, tmp_path / "libtorrent.log")
    try:
        assert program.wait(STARTED) == 0, program.output
    finally:
        program.stop()
    _, announce, scrape, *_ = [line for line in tracker.output.splitlines() if INFO_HASH.hex() in line]
    assert announce.startswith(f"announce {INFO_HASH.hex()} STARTED b'")
    assert "passkey='secretkey', token=b'abc'" in announce
    assert scrape == f"scrape {INFO_HASH.hex()}"


@pytest.fixture
def opentracker(tmp_path: Path) -> Iterator[Address]:
    tracker = Opentracker(LOCAL, tmp_path / "opentracker", 16_969)
    tracker.start([INFO_HASH.hex()])
    yield Address(LOCAL.address, tracker.port)
    tracker.stop()


@pytest.mark.needs("opentracker", "root")
def test_what_our_client_says_opentracker_understands(opentracker: Address) -> None:
    with closing(UdpClient(opentracker)) as client:
        client.connect()
        first = client.announce(REQUEST)
        assert (first.incomplete, first.complete) == (1, 0)
        second = client.announce(replace(REQUEST, port=6882, left=0, numwant=50), b"/announce?x=y")
        assert Address("127.0.0.1", 6881) in second.peers
        assert (second.incomplete, second.complete) == (1, 1)
        assert client.scrape(INFO_HASH) == (ScrapeEntry(1, 0, 1),)
        gone = client.announce(replace(REQUEST, event=Event.STOPPED))
        assert gone.incomplete == 0
