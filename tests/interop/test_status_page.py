"""T26: the tracker's status page in a real browser, full of what strangers would like it to do."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bittwist.announce.values import AnnounceRequest
from tests.interop.hosts import Program
from tests.processes import LOOPBACK, Programs
from tests.watchedtracker import WatchedTracker

NAMES = (
    "<script>window.owned = 1; alert(1)</script>",
    "</bdi></th></table><img src=/stolen onerror='window.owned = 2; alert(2)'>",
    "<iframe srcdoc='<script>parent.owned = 3</script>'></iframe>",
    '"><svg onload=alert(4)>',
    "<meta http-equiv=refresh content='0;url=/stolen'>",
    "<link rel=stylesheet href=/stolen><style>@import '/stolen'</style><base href=/stolen/>",
    "n" * 1000,
    "\u202egpj.exe",
)
PEER_IDS = (b"<img src=/x onerror=a", b"-BL<b>\"-'onload=x()'", b"-FL</bdi><s>x", b"\x00\xff\n\r<!--")


@pytest.mark.needs("chromium", "playwright")
def test_what_strangers_say_does_nothing_in_a_browser(tmp_path: Path) -> None:
    with Programs(tmp_path) as programs:
        tracker = WatchedTracker(programs)
        for number, name in enumerate(NAMES):
            info_hash = bytes([number]) * 20
            tracker.api("POST", "/torrents", {"info_hash": info_hash.hex(), "name": name})
            for peer_id in PEER_IDS:
                tracker.announce(AnnounceRequest(info_hash, peer_id[:20].ljust(20), 6881, left=1))
        page = f"http://127.0.0.1:{tracker.admin}/"
        words = (sys.executable, "-m", "tests.interop.statuspage", page, tmp_path / "page.png")
        browser = Program(words, LOOPBACK, tmp_path / "browser.log")
        try:
            seen = browser.until_event("seen", 60)
        finally:
            browser.stop()
    assert (seen["dialogs"], seen["said"], seen["owned"], seen["scripts"]) == ([], [], None, 0)
    asked = seen["asked"]
    assert isinstance(asked, list)
    assert set(asked) <= {"", "status.css", "favicon.ico"}
    text = str(seen["text"])
    for name in NAMES[:6]:
        assert " ".join(name.split()) in " ".join(text.split())
    assert seen["styled"] == "grid"
    assert seen["wide"] == 0  # on a telephone the page does not scroll sideways
