"""`bittwist scrape`: what it asks, and what it prints."""

from __future__ import annotations

import json
from pathlib import Path
from unittest import mock

import click
from click.testing import CliRunner
from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from bittwist.announce.values import ScrapeEntry
from bittwist.app import scrape as module
from bittwist.app.cli_scrape import scrape as command
from bittwist.app.scrape import Question, ask, questions
from bittwist.errors import (
    BitTwistError,
    FetchError,
    MagnetError,
    MetainfoError,
    TrackerFailure,
)
from bittwist.metainfo.bencode import encode
from bittwist.metainfo.infohash import InfoHash

HEX = "0123456789abcdef0123456789abcdef01234567"
HASH = InfoHash.parse(HEX)


class QuestionTests(SynchronousTestCase):
    def torrent(self, **keys: object) -> str:
        info = {b"name": b"x", b"piece length": 16384, b"length": 1, b"pieces": b"p" * 20}
        file = Path(self.mktemp())
        file.write_bytes(
            encode({b"info": info, **{key.replace("_", "-").encode(): value for key, value in keys.items()}})
        )  # type: ignore[dict-item]
        return str(file)

    def test_a_tracker_is_asked_about_the_hashes_given(self) -> None:
        self.assertEqual(questions("http://t/announce", [HEX]), (("http://t/announce", (HASH,)),))

    def test_a_torrents_trackers_are_all_asked(self) -> None:
        file = self.torrent(announce_list=[[b"http://a/announce"], [b"http://b/announce"]])
        self.assertEqual([url for url, _ in questions(file, [])], ["http://a/announce", "http://b/announce"])

    def test_a_magnet_links_trackers_are_asked(self) -> None:
        magnet = f"magnet:?xt=urn:btih:{HEX}&tr=http://a/announce"
        self.assertEqual(questions(magnet, []), (("http://a/announce", (HASH,)),))

    def test_what_cannot_be_asked_is_said(self) -> None:
        cases: list[tuple[type[Exception], str, list[str]]] = [
            (click.UsageError, "http://t/announce", []),
            (click.UsageError, "http://t/announce", ["xyz"]),
            (click.UsageError, "ftp://t/announce", [HEX]),
            (click.UsageError, "udp://t/announce", [HEX]),
            (click.UsageError, "wss://t:1/announce", [HEX]),
            (click.UsageError, "t/announce", [HEX]),
            (click.UsageError, "http://", [HEX]),
            (click.UsageError, "magnet:?xt=urn:btih:zz", []),
            (MagnetError, f"magnet:?xt=urn:btih:{HEX}", []),
            (click.UsageError, "nowhere.torrent", []),
            (MetainfoError, self.torrent(), []),
        ]
        for kind, what, hashes in cases:
            with self.assertRaises(kind):
                questions(what, hashes)


class FakeTrackers:
    answers: dict[str, dict[bytes, ScrapeEntry] | BitTwistError]

    def __init__(self, *_: object) -> None:
        self.url = ""

    def client(self, url: str) -> FakeTrackers:
        asked = FakeTrackers()
        asked.url = url
        return asked

    def close(self) -> Deferred[None]:
        return succeed(None)

    def scrape(self, _hashes: object) -> Deferred[dict[bytes, ScrapeEntry]]:
        answer = self.answers[self.url]
        return fail(answer) if isinstance(answer, BitTwistError) else succeed(answer)


class AskTests(SynchronousTestCase):
    def run_scrape(
        self, answers: dict[str, dict[bytes, ScrapeEntry] | BitTwistError], *options: str
    ) -> tuple[int, str]:
        asked: list[Question] = [(url, (HASH,)) for url in answers]

        def run(main: object) -> int:
            return self.successResultOf(
                Deferred.fromCoroutine(ask(mock.sentinel.reactor, asked, bool(options)))
            )

        with (
            mock.patch.object(module, "TrackerClients", FakeTrackers),
            mock.patch.object(module, "HttpClient", mock.Mock()),
            mock.patch.object(module, "questions", lambda *_: asked),
            mock.patch.object(FakeTrackers, "answers", answers, create=True),
            mock.patch("bittwist.app.run.run", run),
        ):
            result = CliRunner().invoke(command, ["file", *options], standalone_mode=False)
        assert isinstance(result.return_value, int), result.exception
        return result.return_value, result.output

    def test_counts_are_printed_and_a_tracker_that_fails_is_named(self) -> None:
        code, text = self.run_scrape(
            {
                "http://a/announce": {HASH.short: ScrapeEntry(1, 2, 3)},
                "http://b/announce": FetchError("http://b", "gone"),
            }
        )
        self.assertEqual(code, 0)
        self.assertIn(f"{HEX}  1 seed, 3 leeches, 2 downloads  http://a/announce\n", text)
        self.assertIn("http://b/announce: gone\n", text)

    def test_where_none_answers_the_code_is_one(self) -> None:
        code, text = self.run_scrape({"http://a/announce": TrackerFailure("no such torrent")})
        self.assertEqual((code, text), (1, "http://a/announce: no such torrent\n"))

    def test_json_is_one_object_a_line(self) -> None:
        _, text = self.run_scrape(
            {
                "http://a/announce": {HASH.short: ScrapeEntry(1, 2, 3)},
                "http://b/announce": TrackerFailure("no"),
            },
            "--json",
        )
        self.assertEqual(
            [json.loads(line) for line in text.splitlines()],
            [
                {
                    "tracker": "http://a/announce",
                    "info_hash": HEX,
                    "complete": 1,
                    "incomplete": 3,
                    "downloaded": 2,
                },
                {"tracker": "http://b/announce", "error": "no"},
            ],
        )

    def test_a_swarm_the_tracker_leaves_out_has_nobody(self) -> None:
        code, text = self.run_scrape({"http://a/announce": {}})
        self.assertEqual(code, 0)
        self.assertIn("0 seeds, 0 leeches, 0 downloads", text)

    def test_one_of_each_is_not_many(self) -> None:
        _, text = self.run_scrape({"http://a/announce": {HASH.short: ScrapeEntry(1, 1, 1)}})
        self.assertIn("1 seed, 1 leech, 1 download  ", text)
