"""What a peer logs of torrents and their trackers."""

from __future__ import annotations

from dataclasses import dataclass, field

from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from bittwist.app.peer_log import MAX_NAME, MAX_REASON, TrackerLog, called, doing
from bittwist.discovery.announcer import TrackerStatus
from bittwist.discovery.relation import TrackerState
from bittwist.metainfo.infohash import InfoHash
from bittwist.session.lifecycle import State
from tests.app.reports import status

URL = "http://me:SECRET@t.example:80/SECRET/announce?passkey=SECRET"


@dataclass
class Torrent:
    name: str = "a.iso"
    info_hash: InfoHash = field(default_factory=lambda: InfoHash(v1=b"\xab" * 20))
    statuses: tuple[TrackerStatus, ...] = ()

    def trackers(self) -> tuple[TrackerStatus, ...]:
        return self.statuses


class WordTests(SynchronousTestCase):
    def test_a_torrent_is_called_by_its_name_and_the_beginning_of_its_info_hash(self) -> None:
        self.assertEqual(called(Torrent()), "a.iso (abababab)")
        self.assertEqual(called(Torrent("ab" * 20)), "ab" * 20)

    def test_a_strangers_name_is_neither_long_nor_more_than_one_line(self) -> None:
        self.assertEqual(called(Torrent("a\nb")), "a\ufffdb (abababab)")
        self.assertEqual(called(Torrent("x" * 1000)), "x" * (MAX_NAME - 1) + "… (abababab)")

    def test_each_state_makes_a_sentence(self) -> None:
        told = {state: doing(state, "") for state in State}
        self.assertEqual(told[State.METADATA], "is fetching its metadata")
        self.assertEqual(told[State.FAILED], "has failed")
        self.assertEqual(told[State.SEEDING], "is seeding")
        self.assertEqual(doing(State.WAITING, "the disk is full"), "is waiting: the disk is full")


class TrackerLogTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.now = 0.0
        self.log = TrackerLog()

    def told(self, error: str | None, state: TrackerState = TrackerState.FAILING) -> list[str]:
        """What is logged a minute later, when the tracker stands so."""
        self.now += 60.0
        with capturedLogs() as events:
            self.log.look([Torrent(statuses=(status(URL, state, error),))], self.now)
        for event in events:
            wanted = LogLevel.warn if " fails" in formatEvent(event) else LogLevel.info
            self.assertEqual(event["log_level"], wanted)
        return [formatEvent(event) for event in events]

    def test_that_a_tracker_fails_and_works_again_is_a_line_each_not_one_for_each_attempt(self) -> None:
        self.assertEqual(self.told(None, TrackerState.ANNOUNCING), [])
        self.assertEqual(
            self.told("no way"), ["a.iso (abababab): the tracker http://t.example:80 fails: no way"]
        )
        self.assertEqual(self.told("no way"), [])
        self.assertEqual(self.told("otherwise", TrackerState.ANNOUNCING), [])
        self.assertEqual(self.told(None, TrackerState.STOPPED), [])
        again = ["a.iso (abababab): the tracker http://t.example:80 works again"]
        self.assertEqual(self.told(None, TrackerState.WORKING), again)
        self.assertEqual(self.told(None, TrackerState.WORKING), [])
        self.assertEqual(len(self.told("no way")), 1)

    def test_a_tracker_that_works_is_no_news(self) -> None:
        self.assertEqual(self.told(None, TrackerState.WORKING), [])

    def test_no_passkey_or_password_is_logged(self) -> None:
        for error in (f"{URL}: no way", "http://t.example:80/SECRET/announce: no way"):
            self.log = TrackerLog()
            (line,) = self.told(error)
            self.assertNotIn("SECRET", line)
            self.assertTrue(line.endswith("fails: no way"), line)
        shown = URL.partition("?")[0].rpartition("@")[2]  # as the announcer's errors have it
        self.log = TrackerLog()
        self.assertEqual(
            self.told(f"{shown}: no way"),
            ["a.iso (abababab): the tracker http://t.example:80 fails: no way"],
        )

    def test_what_a_tracker_says_is_one_short_line(self) -> None:
        (line,) = self.told("a\nb" + "x" * 10_000)
        self.assertNotIn("\n", line)
        self.assertLess(len(line), MAX_REASON + 100)

    def test_one_that_keeps_changing_is_told_of_ever_more_seldom(self) -> None:
        lines = 0
        for _ in range(500):
            lines += len(self.told("no way")) + len(self.told(None, TrackerState.WORKING))
        self.assertLess(lines, 500 * 120 / 300 + 10)

    def test_a_torrent_that_is_gone_is_forgotten(self) -> None:
        self.told("no way")
        self.log.look([], self.now)
        self.assertEqual(len(self.told("no way")), 1)
