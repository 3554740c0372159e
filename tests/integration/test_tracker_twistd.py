"""A real `twistd bittwist-tracker`, announced to over real sockets."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bittwist.address import Address
from bittwist.announce.http import decode_scrape_response
from bittwist.announce.values import AnnounceRequest, ScrapeEntry
from tests.integration.trackerprocess import RunningTracker, ended

REQUEST = AnnounceRequest(b"h" * 20, b"p" * 20, 6881, left=1)


@pytest.fixture(params=[(), ("--reactor=asyncio",)], ids=["default", "asyncio"])
def tracker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningTracker]:
    with ended(RunningTracker(tmp_path, *request.param)) as running:
        yield running


def test_peers_find_each_other_through_it(tracker: RunningTracker) -> None:
    assert tracker.announce(REQUEST, "127.0.0.2").peers == ()
    response = tracker.announce(replace(REQUEST, left=0, peer_id=b"s" * 20), "127.0.0.3")
    assert response.peers == (Address("127.0.0.2", 6881),)
    assert (response.complete, response.incomplete, response.external_ip) == (1, 1, "127.0.0.3")
    scraped = decode_scrape_response(tracker.get("/scrape?info_hash=" + "h" * 20, "127.0.0.4"))
    assert scraped == {b"h" * 20: ScrapeEntry(complete=1, incomplete=1, downloaders=1)}
    code, log = tracker.stop()
    assert code in (0, -signal.SIGTERM), "twistd ends itself with the signal that stopped it"
    assert "Server Shut Down" in log
    assert "Traceback" not in log
    assert "GET " not in log, "requests are not logged"


def test_settings_are_taken_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    with ended(RunningTracker(tmp_path, settings='[listen]\nudp = []\nadmin = ["tcp:0"]\n')) as tracker:
        for settings, told, warning in (
            ('[tracker]\nwarning = "one"\n', "are as", "one"),
            ('[tracker]\nwarning = "two"\n[admin]\ntoken_file = "none"\n', "stay as they were", "one"),
            ('[tracker]\nwarning = "two"\ninterval = 0\n', "stay as they were", "one"),
        ):
            assert told in tracker.reload(settings)
            assert tracker.announce(REQUEST, "127.0.0.2").warning == warning


def test_paths_are_from_the_folder_it_was_started_in(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "deny.txt").write_text("")
    settings = """
[listen]
udp = []
admin = ["tcp:0"]
[access]
deny_clients = "deny.txt"
poll = 0.1
[snapshot]
file = "swarms"
"""
    with ended(RunningTracker(tmp_path, "--rundir", str(elsewhere), settings=settings)) as tracker:
        (tmp_path / "token").write_text("t" * 16)
        reloaded = tracker.reload(settings + '[tracker]\nwarning = "one"\n[admin]\ntoken_file = "token"\n')
        assert "are as" in reloaded, reloaded
        assert tracker.announce(REQUEST, "127.0.0.2").warning == "one"
        _, log = tracker.stop()
    assert "No such file" not in log
    assert (tmp_path / "swarms").exists()
    assert not [*elsewhere.iterdir()]
