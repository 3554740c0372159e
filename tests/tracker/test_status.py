"""The status page: what it shows, and that strangers' words in it stay words (T26)."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from bittwist.address import Address
from bittwist.announce.values import AnnounceRequest, Event, ScrapeEntry
from bittwist.tracker.interfaces import Front, Totals
from bittwist.tracker.page import LONGEST_NAME, render
from bittwist.tracker.rates import Rates
from bittwist.tracker.statistics import Statistics
from bittwist.tracker.status import (
    CLIENTS,
    LargeSwarm,
    Status,
    as_json,
    counts,
    events,
    families,
    front_status,
)
from bittwist.tracker.stylesheet import STYLESHEET

HASH = b"h" * 20
HOSTILE = (
    "<script>alert(1)</script>",
    "</bdi></th></table><img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "'; alert(1); '",
    "<!--",
    "--><script>",
    "]]>",
    "&lt;script&gt;",
    "&#x3c;script&#x3e;",
    "javascript:alert(1)",
    "{{7*7}}${7*7}",
    "\u202egpj.exe",
    "\u2066\u200b\ufeff",
    "\x00\x08\x1b[31m\n",
    "\ud800",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<base href=//evil.example>",
)
STATISTICS = Statistics()
EMPTY = Status(
    version="1.2.3",
    worker=0,
    uptime=0.0,
    running=True,
    totals=Totals(),
    answers_alone=False,
    announces_per_second=0.0,
    scrapes_per_second=0.0,
    history=(),
    fronts=front_status(STATISTICS, Rates()),
    families=families(STATISTICS),
    events=events(STATISTICS),
    clients=(),
    largest=(),
    datagrams={},
)


class Reader(HTMLParser):
    """What a browser makes of the page: its elements, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data + "\n"

    def handle_comment(self, data: str) -> None:
        raise AssertionError("a comment")


def page(status: Status, refresh: int = 10) -> Reader:
    done: list[bytes] = []
    rendered: Deferred[bytes] = render(status, refresh)
    rendered.addCallback(done.append)
    return Reader(done[0].decode())


PLAIN = page(replace(EMPTY, largest=(LargeSwarm(HASH, "name", ScrapeEntry()),), clients=(("client", 1),)))


def harmless(read: Reader, like: Reader) -> None:
    """The elements are those of a page without strangers' words, and nothing is loaded or run."""
    assert read.elements == like.elements
    for tag, attributes in read.elements:
        assert tag not in {"script", "style", "iframe", "img", "base", "form", "object", "embed"}
        assert not [
            name for name in attributes if name.startswith("on") or name in {"style", "src", "srcset"}
        ]
        assert attributes.get("href") in (None, "status.css", "stats.json", "metrics", "health")


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_torrent_or_client_is_text(text: str) -> None:
    status = replace(EMPTY, largest=(LargeSwarm(HASH, text, ScrapeEntry()),), clients=((text, 1),))
    read = page(status)
    harmless(read, PLAIN)
    assert text.isprintable() <= (text in read.text)


@settings(deadline=None)
@given(st.text(min_size=1, max_size=200))
@example("\ud800")
def test_any_text_is_text(text: str) -> None:
    status = replace(EMPTY, largest=(LargeSwarm(HASH, text, ScrapeEntry()),), clients=((text, 1),))
    read = page(status)
    harmless(read, PLAIN)
    assert all(line.isprintable() for line in read.text.splitlines())


@settings(deadline=None)
@given(st.lists(st.binary(min_size=20, max_size=20), max_size=20))
@example([b"<script>alert(1)</sc", b"-BL<b>\"-'onload=x()'", b'-FL"><-abcdefghijkl'])
def test_any_peer_id_is_text(peer_ids: list[bytes]) -> None:
    statistics = Statistics()
    for peer_id in peer_ids:
        statistics.announced(Front.HTTP, AnnounceRequest(HASH, peer_id, 1), "answered", 0.0)
    clients = tuple(statistics.clients(CLIENTS))
    like = tuple((f"client {number}", count) for number, (_, count) in enumerate(clients))
    harmless(page(replace(EMPTY, clients=clients)), page(replace(EMPTY, clients=like)))


def test_nothing_is_styled_but_by_our_own_sheet_and_that_loads_nothing() -> None:
    assert [tag for tag, attributes in PLAIN.elements if tag == "link"] == ["link"]
    assert b"url(" not in STYLESHEET
    assert b"@import" not in STYLESHEET
    assert b"prefers-color-scheme: dark" in STYLESHEET


def test_every_class_of_the_page_is_in_the_sheet() -> None:
    busy = replace(EMPTY, history=(1.0, 2.0), totals=None)
    found = {
        name
        for read in (PLAIN, page(busy), page(EMPTY))
        for _, attributes in read.elements
        for name in (attributes.get("class") or "").split()
    }
    assert found == set(re.findall(r"\.([a-z]+)", re.sub(r"\{[^{}]*\}", "", STYLESHEET.decode())))


def test_a_long_name_is_cut() -> None:
    read = page(replace(EMPTY, largest=(LargeSwarm(HASH, "n" * 10_000, ScrapeEntry()),)))
    assert "n" * (LONGEST_NAME - 1) + "…" in read.text
    assert "n" * LONGEST_NAME not in read.text


def test_an_empty_tracker_has_a_page() -> None:
    read = page(EMPTY)
    assert "running" in read.text
    assert "No peers yet." in read.text
    assert ("html", {"lang": "en"}) in read.elements


def test_figures_are_on_the_page() -> None:
    status = replace(
        EMPTY,
        totals=Totals(1_234_567, 5, 6),
        uptime=2 * 86_400 + 3 * 3600 + 59,
        announces_per_second=12.345,
        scrapes_per_second=1234.5,
        history=(1.0, 3.0, 2.0),
        largest=(LargeSwarm(HASH, None, ScrapeEntry(7, 8, 9)),),
        datagrams={"connects": 4321, "unverified": 98_765, "overdue": 0, "failed": 0},
    )
    text = page(status).text
    for shown in (
        "1\u202f234\u202f567",
        "2 d 3 h",
        "12.3",
        "1\u202f234",
        HASH.hex(),
        "at most 3.0 a second",
        "98\u202f765",
    ):
        assert shown in text, shown


def test_the_title_counts_one_peer_as_one() -> None:
    for seeds, leeches, title in ((0, 0, "0 peers"), (1, 0, "1 peer"), (0, 1, "1 peer"), (1, 1, "2 peers")):
        read = page(replace(EMPTY, totals=Totals(1, seeds, leeches)))
        assert f"Tracker: {title}\n" in read.text


def test_a_store_that_is_away_is_told_and_has_no_figures() -> None:
    read = page(replace(EMPTY, totals=None))
    assert "the store does not answer" in read.text
    assert "–" in read.text
    assert page(replace(EMPTY, running=False)).text.count("the tracker does not run") == 2  # in the title too


def test_a_worker_says_which_it_is() -> None:
    assert "worker 2" in page(replace(EMPTY, worker=2)).text
    assert "worker" not in page(EMPTY).text


def test_the_page_loads_again_unless_that_is_off() -> None:
    def refreshes(read: Reader) -> list[str | None]:
        return [attributes["content"] for _, attributes in read.elements if "http-equiv" in attributes]

    assert refreshes(page(EMPTY, 30)) == ["30"]
    assert refreshes(page(EMPTY, 0)) == []


class GatheringTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.statistics = Statistics()
        request = AnnounceRequest(HASH, b"p" * 20, 1, address=Address("2001:db8::1", 1))
        self.statistics.announced(Front.UDP, request, "answered", 0.001)
        self.statistics.announced(Front.UDP, request, "refused", 1e9)
        completed = replace(request, event=Event.COMPLETED, address=Address("192.0.2.1", 1))
        self.statistics.announced(Front.HTTP, completed, "answered", 0.001)
        self.statistics.announced(Front.HTTP, completed, "refused", 0.001)
        self.status = replace(
            EMPTY,
            fronts=front_status(self.statistics, Rates()),
            families=families(self.statistics),
            events=events(self.statistics),
        )

    def test_announces_are_summed_in_every_direction(self) -> None:
        self.assertEqual(self.status.outcomes, {"answered": 2, "refused": 2, "failed": 0, "gone": 0})
        self.assertEqual(self.status.families, {"ipv4": 2, "ipv6": 2})
        self.assertEqual(self.status.fronts["udp"].announces, 2)
        self.assertEqual(counts(self.statistics), {"udp": 2, "http": 2, "announces": 4, "scrapes": 0})

    def test_only_answered_downloads_are_completed(self) -> None:
        self.assertEqual(self.status.completed, 1)

    def test_json_has_no_infinity(self) -> None:
        self.assertEqual(self.status.fronts["udp"].p99, float("inf"))
        text = json.dumps(as_json(self.status), allow_nan=False)
        self.assertIsNone(json.loads(text)["fronts"]["udp"]["p99_seconds"])
        self.assertIn("longer", page(self.status).text)
