"""What the command line chooses about a transfer."""

from __future__ import annotations

from unittest import TestCase

from hypothesis import given
from hypothesis import strategies as st

from bittwist.app.choices import Choices, rate
from bittwist.app.report import source_news
from bittwist.errors import SessionError
from bittwist.metainfo.create import CreateOptions, create
from bittwist.session import SessionSettings
from bittwist.session.finding import SourceStatus
from bittwist.swarm.priorities import Priority

NAMES = ["a.jpg", "sub/b.jpg", "sub/notes.txt"]
INFO = create(
    "holiday", [(tuple(name.split("/")), 1, "") for name in NAMES], 1 << 14, bytes(20), CreateOptions()
).info


class RateTests(TestCase):
    def test_units(self) -> None:
        for text, value in {
            "0": 0,
            "1500": 1500,
            "500k": 500_000,
            "500 kB/s": 500_000,
            "1.5M": 1_500_000,
            "2MiB/s": 2 << 20,
            "1Gi": 1 << 30,
        }.items():
            self.assertEqual(rate(text), value, text)

    def test_what_no_line_has_is_refused(self) -> None:
        for text in ("0.4", "9" * 400, "1e3", "inf", "nan"):
            with self.assertRaises(ValueError, msg=text):
                rate(text)

    @given(st.text(max_size=8))
    def test_anything_else_is_refused(self, text: str) -> None:
        try:
            self.assertGreaterEqual(rate(text), 0)
        except ValueError as error:
            self.assertIn("is no rate", str(error))


class SettingsTests(TestCase):
    def test_without_a_choice_nothing_changes(self) -> None:
        self.assertEqual(Choices().settings(SessionSettings()), SessionSettings())

    def test_each_choice_is_a_setting(self) -> None:
        chosen = Choices(limit_down=1000, limit_up=500, pex=False, lsd=False, web_seeds=False)
        settings = chosen.settings(SessionSettings())
        self.assertEqual((settings.limits.download_rate, settings.limits.upload_rate), (1000, 500))
        self.assertFalse(settings.pex.enabled or settings.lsd.enabled or settings.web_seeds.enabled)


class FileTests(TestCase):
    def chosen(self, *globs: str) -> list[str]:
        priorities = Choices(files=globs).choose(INFO)
        return [NAMES[file] for file, priority in priorities.items() if priority is not Priority.SKIP]

    def test_a_glob_is_compared_with_the_path_and_each_name_in_it(self) -> None:
        self.assertEqual(self.chosen("*.jpg"), ["a.jpg", "sub/b.jpg"])
        self.assertEqual(self.chosen("sub/*"), ["sub/b.jpg", "sub/notes.txt"])
        self.assertEqual(self.chosen("sub", "a.jpg"), ["a.jpg", "sub/b.jpg", "sub/notes.txt"])

    def test_without_globs_nothing_is_said_of_any_file(self) -> None:
        self.assertEqual(Choices().choose(INFO), {})

    def test_globs_that_match_nothing_are_named(self) -> None:
        with self.assertRaisesRegex(SessionError, r"no file of holiday matches \*\.mkv or x"):
            self.chosen("*.mkv", "x")


class WordingTests(TestCase):
    def test_what_a_source_found_and_brought(self) -> None:
        tracker = SourceStatus("tracker", "http://t/announce?pass=secret", "working", 3, 1 << 20)
        self.assertEqual(source_news(tracker), "From tracker http://t/announce: 3 peers, 1.0 MiB")
        for name, called in (
            ("pex", "peer exchange"),
            ("lsd", "the local network"),
            ("magnet", "the link's peers"),
            ("manual", "--peer"),
        ):
            self.assertEqual(source_news(SourceStatus(name, "", "on", 1, 0)), f"From {called}: 1 peer")
        dialed = SourceStatus("incoming", "", "on", 0, 5)
        self.assertEqual(source_news(dialed), "From peers that dialed us: 5 B")
        web = SourceStatus("web_seed", "http://me:secret@w/", "waiting", 0, 5, "connection refused")
        self.assertEqual(source_news(web), "From web seed http://w/: 5 B, connection refused")
        begun = SourceStatus("web_seed", "http://w/", "working", 0, 0)
        self.assertEqual(source_news(begun), "From web seed http://w/: nothing yet")
