"""How a transfer reads: in a bar as wide as the terminal, in plain lines, as JSON."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from unittest import TestCase

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from bittwist.address import Address
from bittwist.app.alone import why_alone
from bittwist.app.bar import BarReport, line
from bittwist.app.report import GIVEN, JsonReport, PlainReport, Report, report, sentence
from bittwist.app.watch import ALONE_FOR, SLOW, Watch
from bittwist.discovery.announcer import TrackerStatus
from bittwist.discovery.relation import TrackerState
from bittwist.metainfo.magnet_parts import Ignored
from bittwist.session.finding import SourceStatus
from bittwist.session.lifecycle import State
from bittwist.session.statistics import TorrentStatistics
from bittwist.swarm.candidates import Trouble
from tests.app.reports import Told, statistics, status

LONG = "A film with a name that is far too long for a line.mkv"


class LineTests(TestCase):
    def test_a_wide_terminal_shows_all_and_a_bar(self) -> None:
        shown = line(statistics(upload_rate=1 << 20), 120).plain
        for part in (
            "holiday ━",
            "━─",
            "50.0 %, 512.0 MiB of 1.0 GiB, down 12.5 MiB/s, up 1.0 MiB/s, 5 peers",
        ):
            self.assertIn(part, shown)
        self.assertTrue(shown.endswith(", 0:41 left"))

    def test_eighty_columns_still_have_a_bar(self) -> None:
        shown = line(statistics(name=LONG), 79).plain
        for part in ("A film with a", "━", "50.0 %", "12.5 MiB/s", "5 peers", "0:41 left"):
            self.assertIn(part, shown)

    def test_forty_columns_have_percent_rate_and_time_left(self) -> None:
        for rate in (12.5 * (1 << 20), 900.0 * (1 << 20), 20_000.0):
            now = statistics(name=LONG, download_rate=rate, upload_rate=5e6)
            shown = line(now, 39).plain
            self.assertRegex(shown, r"50\.0 %, .*[KM]iB/s, .* left$")
            self.assertTrue(shown.startswith("A film"[:5]), shown)
            self.assertNotIn("━", shown)

    def test_metadata_is_fetched_before_there_is_anything_to_count(self) -> None:
        now = statistics(State.METADATA, total=0, done=0, num_pieces=0, pieces_done=0, peers=1)
        self.assertIn("fetching metadata, 1 peer", line(now, 79).plain)
        self.assertEqual(sentence(now), "fetching metadata, 1 peer")
        self.assertNotIn("%", line(now, 39).plain)

    def test_other_states_than_downloading_are_named(self) -> None:
        self.assertIn("holiday (waiting)", line(statistics(State.WAITING), 79).plain)
        seed = statistics(State.SEEDING, done=1 << 30, pieces_done=1024, upload_rate=1 << 20)
        self.assertIn("holiday (seeding) 100.0 %, up 1.0 MiB/s", line(seed, 50).plain)
        self.assertIn("100.0 %, up 1.0 MiB/s", line(seed, 39).plain)

    @given(
        st.text(min_size=1, max_size=40),
        st.sampled_from(State),
        st.integers(0, 200),
        st.integers(0, 1 << 30),
        st.floats(0, 1e12),
        st.booleans(),
    )
    def test_it_never_is_wider_than_the_terminal_nor_holds_control_characters(
        self, name: str, state: State, width: int, done: int, rate: float, ascii_only: bool
    ) -> None:
        now = statistics(state, name=name, done=done, download_rate=rate, upload_rate=rate / 2)
        shown = line(now, width, ascii_only=ascii_only).plain
        self.assertLessEqual(cell_len(shown), width)
        self.assertTrue(shown.isprintable())


class ReportTests(TestCase):
    def told(self, report: Report) -> None:
        report.tracker("http://me:secret@t/announce?passkey=abc", "connection refused")
        report.tracker("http://t/announce", None)
        report.alone("no tracker answers", (Trouble("10.0.0.1:9", "connection refused"),))
        report.no_metadata("none of 2 peers has the metadata yet", 2, 0)
        report.ignored(Ignored("so", "a\x1b[2Jb", "no number"))
        report.ignored(Ignored("tr", "htp://me:secret@t/a?passkey=abc", "not the URL of a tracker"))
        report.unreachable("nobody:1", "no such name")
        report.complete("/tmp/a\x1b[2Jb")
        report.failed("x\x1b]0;y\x07: gone")

    def test_plain_lines(self) -> None:
        with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
            self.told(PlainReport())
        self.assertEqual(
            out.getvalue().splitlines(),
            [
                "Tracker http://t/announce: connection refused",
                "Tracker http://t/announce: it answers now",
                "No peers yet: no tracker answers",
                "None of 2 peers has the metadata yet",
                "Ignored in the link: so=a\ufffd[2Jb: no number",
                "Ignored in the link: tr=htp://t/a: not the URL of a tracker",
                "Peer nobody:1: no such name",
                "Complete: /tmp/a\ufffd[2Jb",
            ],
        )
        self.assertEqual(err.getvalue(), "Failed: x\ufffd]0;y\ufffd: gone\n")

    def test_on_a_terminal_strangers_text_moves_no_cursor_and_lines_stay_whole(self) -> None:
        written = io.StringIO()
        report = BarReport(Console(file=written, width=40, force_terminal=True, color_system=None))
        self.told(report)
        report.say("    bittwist download http://192.0.2.7:6969/" + "x" * 60)
        report.close()
        self.assertNotIn("\x1b[2J", written.getvalue())
        self.assertNotIn("\x07", written.getvalue())
        self.assertNotIn("secret", written.getvalue())
        self.assertIn("http://192.0.2.7:6969/" + "x" * 60, written.getvalue())

    def test_the_bar_is_gone_at_the_end_and_not_there_before_there_is_progress(self) -> None:
        written = io.StringIO()
        console = Console(file=written, width=60, force_terminal=True, color_system=None)
        report = BarReport(console)
        report.say("before")
        self.assertEqual(written.getvalue(), "before\n")
        report.progress(statistics())
        self.assertIn("holiday", written.getvalue())
        report.failed("gone")
        written.seek(0)
        written.truncate()
        report.close()
        self.assertNotIn("holiday", written.getvalue().rpartition("\x1b[2K")[2])
        self.assertTrue(written.getvalue().endswith("\x1b[2K"), written.getvalue())

    def test_a_part_of_a_torrent_is_not_said_to_be_the_whole(self) -> None:
        now = statistics(State.SEEDING, done=1 << 28, skipped=(1 << 30) - (1 << 28), pieces_done=256)
        shown = line(now, 79).plain
        self.assertIn("holiday (seeding a part)", shown)
        self.assertIn("256.0 MiB of 1.0 GiB, up", shown)
        self.assertNotIn("100", shown)
        self.assertIn("100.0 % of 256.0 MiB (of 1.0 GiB in all), ", sentence(now))
        words = "Complete, the 256.0 MiB chosen of 1.0 GiB: /tmp/holiday\n"
        bar = io.StringIO()
        with redirect_stdout(io.StringIO()) as out:
            for report in (PlainReport(), JsonReport(), BarReport(Console(file=bar))):
                report.progress(now)
                report.complete("/tmp/holiday")
                report.close()
        plain, event = out.getvalue().splitlines()[1], out.getvalue().splitlines()[-1]
        self.assertEqual(plain + "\n", words)
        self.assertEqual(
            json.loads(event), {"event": "complete", "path": "/tmp/holiday", "skipped": now.skipped}
        )
        self.assertIn(words, bar.getvalue())

    def test_who_fetches_nothing_is_not_told_that_it_is_complete(self) -> None:
        with redirect_stdout(io.StringIO()) as out:
            report(False, done=GIVEN).complete("/tmp/holiday")
            report(True, done=GIVEN).complete("/tmp/holiday")
        plain, event = out.getvalue().splitlines()
        self.assertEqual(plain, "Seeding: /tmp/holiday")
        self.assertEqual(json.loads(event)["event"], "complete")

    def test_programs_are_told_of_trackers_by_their_whole_url(self) -> None:
        with redirect_stdout(io.StringIO()) as out:
            self.told(JsonReport())
        told = [json.loads(each) for each in out.getvalue().splitlines()]
        url = "http://me:secret@t/announce?passkey=abc"
        self.assertEqual(told[0], {"event": "tracker", "url": url, "error": "connection refused"})
        self.assertEqual(told[1], {"event": "tracker", "url": "http://t/announce", "error": None})
        self.assertEqual(
            told[2],
            {
                "event": "no_peers",
                "reason": "no tracker answers",
                "failing": [{"peer": "10.0.0.1:9", "error": "connection refused"}],
            },
        )
        why = "none of 2 peers has the metadata yet"
        self.assertEqual(told[3], {"event": "no_metadata", "reason": why, "peers": 2, "offering": 0})
        self.assertEqual(
            told[4], {"event": "ignored", "parameter": "so", "value": "a\x1b[2Jb", "reason": "no number"}
        )
        self.assertEqual(told[6], {"event": "peer", "peer": "nobody:1", "error": "no such name"})
        self.assertEqual([each["event"] for each in told[7:]], ["complete", "failed"])


@dataclass
class Torrent:
    """What a Watch asks of one."""

    now: TorrentStatistics
    announced: tuple[TrackerStatus, ...] = ()
    found: tuple[SourceStatus, ...] = ()
    failing: tuple[Trouble, ...] = ()
    metadata_offers: int = 0

    def statistics(self) -> TorrentStatistics:
        return self.now

    def trackers(self) -> tuple[TrackerStatus, ...]:
        return self.announced

    def sources(self) -> tuple[SourceStatus, ...]:
        return self.found

    def troubles(self) -> tuple[Trouble, ...]:
        return self.failing

    def trouble(self, address: Address) -> str:
        return next((each.reason for each in self.failing if each.place == str(address)), "")


def web(state: str, downloaded: int = 0, error: str | None = None, url: str = "http://w/") -> SourceStatus:
    return SourceStatus("web_seed", url, state, 0, downloaded, error)


class WatchTests(TestCase):
    def setUp(self) -> None:
        self.report = Told()
        self.watch = Watch(self.report)
        self.torrent = Torrent(statistics(State.METADATA, peers=0, known_peers=0))

    def look(self, now: float = 0.0) -> list[tuple[object, ...]]:
        self.watch.look(self.torrent, now)
        return self.report.take()

    def test_a_tracker_that_fails_is_told_once_for_each_change(self) -> None:
        url = "http://t/announce"
        told = []
        for error in (None, "refused", "refused", "timed out", None, None, "refused"):
            self.torrent.announced = (status(error=error),)
            told.append(self.look())
        self.assertEqual(
            told,
            [
                [],
                [("tracker", url, "refused")],
                [],
                [("tracker", url, "timed out")],
                [("tracker", url, None)],
                [],
                [("tracker", url, "refused")],
            ],
        )

    def test_a_tracker_that_is_slow_to_answer_is_told_of_within_five_seconds(self) -> None:
        """UDP gives up after 45 s: nobody shall wait as long to hear whom we wait for."""
        url = "udp://t:1"
        asked, working = status(url, TrackerState.ANNOUNCING), status(url)
        told = []
        for now, tracker in (
            (0.0, asked),
            (SLOW - 0.5, asked),
            (SLOW, asked),
            (SLOW + 1, asked),
            (SLOW + 2, status(url, TrackerState.FAILING, "no answer")),
            (SLOW + 3, status(url, TrackerState.ANNOUNCING, "no answer")),
            (SLOW + 60, status(url, TrackerState.ANNOUNCING, "no answer")),
            (SLOW + 61, working),
            (SLOW + 62, asked),
            (SLOW + 63, working),
        ):
            self.torrent.announced = (tracker,)
            told.append([line for line in self.look(now) if line[0] == "tracker"])
        self.assertLessEqual(SLOW, 5.0)
        self.assertEqual(
            told,
            [
                [],
                [],
                [("tracker", url, "no answer yet")],
                [],
                [("tracker", url, "no answer")],
                [],
                [],
                [("tracker", url, None)],
                [],
                [],
            ],
        )

    def test_a_tracker_that_is_not_asked_any_more_has_not_answered_by_that(self) -> None:
        url = "udp://t:1"
        for state in TrackerState:
            with self.subTest(state.value):
                self.setUp()
                told = []
                for now, each in (
                    (0.0, TrackerState.ANNOUNCING),
                    (SLOW, TrackerState.ANNOUNCING),
                    (SLOW + 1, state),
                    (SLOW + 2, TrackerState.ANNOUNCING),
                    (SLOW + 9, TrackerState.ANNOUNCING),
                ):
                    self.torrent.announced = (status(url, each),)
                    told += [line for line in self.look(now) if line[0] == "tracker"]
                answers = [("tracker", url, None)] if state is TrackerState.WORKING else []
                self.assertEqual(told, [("tracker", url, "no answer yet"), *answers])

    def test_a_seed_says_too_that_its_tracker_does_not_answer(self) -> None:
        self.torrent.now = statistics(State.SEEDING, peers=0)
        self.torrent.announced = (status("udp://t:1", TrackerState.ANNOUNCING),)
        self.look(0.0)
        self.assertEqual(self.look(SLOW), [("tracker", "udp://t:1", "no answer yet")])

    def test_who_dials_us_is_told_of_with_the_first_bytes(self) -> None:
        told = []
        for downloaded in (0, 16384, 32768):
            self.torrent.found = (SourceStatus("incoming", "", "on", 0, downloaded),)
            told.append(self.look())
        self.assertEqual(told, [[], [("source", "incoming", "", 0, 16384)], []])

    def test_a_web_seed_is_a_source_from_its_first_request_on(self) -> None:
        told = []
        self.torrent.now = statistics(peers=1)
        for each in (
            web("idle"),
            web("working"),
            web("working", 5),
            web("waiting", 5, "connection refused"),
            web("waiting", 5, "connection refused"),
            web("working", 9),
        ):
            self.torrent.found = (each,)
            told.append(self.look())
        self.watch.brought(self.torrent)
        self.assertEqual(
            [*told, self.report.take()],
            [
                [],
                [("source", "web_seed", "http://w/", 0, 0)],
                [],
                [("source", "web_seed", "http://w/", 0, 5)],
                [],
                [],
                [("source", "web_seed", "http://w/", 0, 9)],
            ],
        )

    def test_a_web_seed_that_misses_many_files_is_told_of_ever_more_seldom(self) -> None:
        told = []
        self.torrent.now = statistics(peers=1)
        for second in range(1000):
            self.torrent.found = (web("working", 0, f"x/{second}: HTTP status 404"),)
            told += [second for _ in self.look(float(second))]
        self.assertEqual(told[:4], [0, 5, 15, 35])
        self.assertLess(len(told), 12)

    def test_every_web_seed_that_fails_is_told_of_once(self) -> None:
        self.torrent.now = statistics(peers=1)
        self.torrent.found = tuple(
            web("waiting", 0, "connection refused", f"http://{host}/") for host in "abc"
        )
        told = [line for now in range(1000) for line in self.look(float(now))]
        self.assertEqual([line[2] for line in told], ["http://a/", "http://b/", "http://c/"])

    def test_a_source_is_told_when_it_finds_somebody_and_what_it_brought_at_the_end(self) -> None:
        def pex(found: int, downloaded: int) -> SourceStatus:
            return SourceStatus("pex", "", "on", found, downloaded)

        told = []
        for found, downloaded in ((0, 0), (2, 0), (2, 50), (3, 70)):
            self.torrent.found = (pex(found, downloaded),)
            told.append(self.look())
        self.watch.brought(self.torrent)
        self.assertEqual(
            [*told, self.report.take()],
            [
                [],
                [("source", "pex", "", 2, 0)],
                [],
                [("source", "pex", "", 3, 70)],
                [("source", "pex", "", 3, 70)],
            ],
        )

    def test_web_seeds_that_fail_are_a_reason_too_without_their_secrets(self) -> None:
        self.torrent.found = (
            web("waiting", 0, "connection refused", "http://me:secret@w/?key=secret"),
            web("refused", 0, "x/a: HTTP status 404", "http://v/"),
            web("idle", 0, None, "http://u/"),
        )
        self.look(100.0)
        ((kind, why),) = self.look(100.0 + ALONE_FOR)
        self.assertEqual(kind, "alone")
        told = "; web seeds fail: http://w/: connection refused; http://v/: x/a: HTTP status 404"
        self.assertTrue(str(why).endswith(told), why)

    def test_peers_without_metadata_are_counted_after_five_seconds_with_the_first(self) -> None:
        none = "none of 2 peers has the metadata yet"
        told = []
        for now, peers, offers in (
            (0.0, 0, 0),
            (3.0, 2, 0),
            (3.0 + ALONE_FOR - 0.5, 2, 0),
            (3.0 + ALONE_FOR, 2, 0),
            (600.0, 2, 0),
            (700.0, 2, 1),
        ):
            self.torrent.now = statistics(State.METADATA, peers=peers, known_peers=2)
            self.torrent.metadata_offers = offers
            told.append(self.look(now))
        some = "1 of 2 peers offers the metadata, which has not come yet"
        self.assertEqual(told, [[], [], [], [("no metadata", none, 2, 0)], [], [("no metadata", some, 2, 1)]])

    def test_peers_without_metadata_that_come_and_go_are_told_of_all_the_same(self) -> None:
        told = []
        for second in range(60):
            self.torrent.now = statistics(State.METADATA, peers=second % 2, known_peers=1)
            told += self.look(float(second))
        self.assertEqual(told, [("no metadata", "the only peer has no metadata yet", 1, 0)])

    def test_how_many_peers_lack_metadata_is_told_ever_more_seldom(self) -> None:
        told = []
        for second in range(1000):
            self.torrent.now = statistics(State.METADATA, peers=second + 1, known_peers=1)
            told += self.look(float(second))
        self.assertLess(len(told), 12)

    def test_of_a_selection_the_part_that_is_wanted_is_shown(self) -> None:
        now = statistics(total=1 << 30, done=1 << 28, skipped=1 << 29)
        self.assertIn("50.0 % of 512.0 MiB", sentence(now))
        self.assertIn("50.0 %, 256.0 MiB of 512.0 MiB", line(now, 120).plain)

    def test_waiting_is_told_once(self) -> None:
        self.torrent.now = statistics(State.WAITING, reason="disk full")
        self.assertEqual([self.look(), self.look()], [[("waiting", "disk full")], []])

    def test_five_seconds_without_a_peer_are_explained_once(self) -> None:
        self.assertLessEqual(ALONE_FOR, 5.0)
        self.assertEqual(self.look(100.0), [])
        self.assertEqual(self.look(100.0 + ALONE_FOR - 0.1), [])
        self.assertEqual(self.look(100.0 + ALONE_FOR), [("alone", why_alone(0, ()))])
        self.assertEqual(self.look(200.0), [])
        self.torrent.now = statistics(State.METADATA, peers=0, known_peers=3)
        self.assertEqual(self.look(201.0), [("alone", "none of the 3 that are known has answered")])

    def test_why_known_peers_are_not_met_is_told(self) -> None:
        refused, late = Trouble("127.0.0.1:9", "connection refused"), Trouble("10.0.0.1:6881", "timed out")
        banned = Trouble("10.0.0.2", "banned: it sent wrong data")
        cases: list[tuple[int, tuple[Trouble, ...], str]] = [
            (1, (refused,), "127.0.0.1:9: connection refused"),
            (1, (refused, banned), "127.0.0.1:9: connection refused; 10.0.0.2: banned: it sent wrong data"),
            (2, (refused,), "none of the 2 that are known is of use: 127.0.0.1:9: connection refused"),
            (
                7,
                (refused, late, refused, refused),
                "none of the 7 that are known is of use: 127.0.0.1:9: connection refused; "
                "10.0.0.1:6881: timed out; 127.0.0.1:9: connection refused; and others",
            ),
            (
                0,
                (banned,),
                "nobody else is asked (--peer HOST:PORT dials a peer); 10.0.0.2: banned: it sent wrong data",
            ),
        ]
        for known, troubles, why in cases:
            self.assertTrue(
                why_alone(known, (), (), troubles).endswith(why), why_alone(known, (), (), troubles)
            )
        self.torrent.now = statistics(State.METADATA, peers=0, known_peers=1)
        self.torrent.failing = (refused,)
        self.look(0.0)
        self.assertEqual(self.look(ALONE_FOR), [("alone", str(refused), str(refused))])

    def test_with_a_peer_or_nothing_to_fetch_there_is_nothing_to_explain(self) -> None:
        for now in (
            statistics(peers=1),
            statistics(State.SEEDING, peers=0),
            statistics(State.CHECKING, peers=0),
        ):
            self.torrent.now = now
            self.assertEqual([self.look(0.0), self.look(50.0)], [[], []])
        self.torrent.now = statistics(peers=0)
        self.assertEqual([self.look(60.0), self.look(64.0)], [[], []])

    def test_why_there_are_no_peers(self) -> None:
        failing = status(state=TrackerState.FAILING, error="connection refused")
        asked = status(state=TrackerState.ANNOUNCING)
        cases: list[tuple[int, tuple[TrackerStatus, ...], str]] = [
            (1, (), "the one that is known has not answered"),
            (2, (failing,), "none of the 2"),
            (0, (), "names no tracker"),
            (0, (asked,), "its tracker has not answered yet"),
            (0, (asked, asked), "no tracker has answered yet"),
            (0, (failing,), "its tracker does not answer"),
            (0, (failing, failing), "no tracker answers"),
            (0, (failing, status()), "know of nobody else"),
            (0, (failing, asked), "no tracker has answered yet"),
        ]
        for known, trackers, why in cases:
            self.assertIn(why, why_alone(known, trackers))

    def test_without_a_tracker_it_says_who_else_is_asked(self) -> None:
        for state, error, why in (
            ("on", None, "names no tracker: only the local network is asked"),
            ("off", None, "names no tracker, and nobody else is asked"),
            ("private", None, "names no tracker, and nobody else is asked"),
            ("on", "no network", "names no tracker, and nobody else is asked"),
        ):
            lsd = SourceStatus("lsd", "", state, 0, 0, error)
            self.assertIn(why, why_alone(0, (), (lsd,)))
            self.assertIn("--peer HOST:PORT", why_alone(0, (), (lsd,)))
