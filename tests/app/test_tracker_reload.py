"""A tracker's settings file, read again: what holds at once, and what is said of the rest."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from bittwist.app.tracker_reload import SettingsFile
from bittwist.tracker import Tracker


class ReloadTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.write("[tracker]\ninterval = 900\n")
        self.tracker = Tracker(Clock())
        self.settings = SettingsFile(self.folder / "tracker.toml")

    def write(self, text: str) -> None:
        (self.folder / "tracker.toml").write_text(text)

    def told(self) -> dict[LogLevel, str]:
        """What a reload logs."""
        with capturedLogs() as events:
            self.settings.apply(self.tracker, None)
        return {event["log_level"]: formatEvent(event) for event in events}

    def test_what_can_holds_at_once(self) -> None:
        self.write("[tracker]\ninterval = 600\n")
        self.assertEqual(list(self.told()), [LogLevel.info])
        self.assertEqual(self.tracker.settings.interval, 600)

    def test_keys_that_changed_and_wait_for_a_restart_are_named_until_they_are_as_before(self) -> None:
        self.write(
            '[listen]\nhttp = ["tcp:1"]\n[tracker]\ninterval = 600\n[access]\ndeny_clients = "clients"\n'
        )
        for _ in range(2):
            warning = self.told()[LogLevel.warn]
            self.assertTrue(warning.startswith("listen.http, access.deny_clients changed"), warning)
        self.assertEqual(self.tracker.settings.interval, 600)
        self.write("")
        self.assertNotIn(LogLevel.warn, self.told())

    def test_a_file_that_cannot_be_used_changes_nothing(self) -> None:
        before = self.tracker.settings
        self.write("[tracker]\ninterval = 1\n")
        self.assertIn("tracker.interval: must be 10", self.told()[LogLevel.error])
        self.assertIs(self.tracker.settings, before)
