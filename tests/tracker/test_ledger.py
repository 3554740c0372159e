"""A file of changes: shared by processes, whole after a crash, written anew when it is long."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import Thread
from typing import cast
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from bittwist.errors import DiskFull, StorageError
from bittwist.tracker.files import Stamp
from bittwist.tracker.ledger import SPARE_LINES, Ledger
from bittwist.tracker.ledgerfile import MAX_LINE, WHOLE_AT_ONCE, Codec, LedgerFile, News
from tests.tracker.machine import LatePool, Machine, complaints

Change = tuple[str, int]  # so much more for a name


def _decode(line: Mapping[str, object]) -> Change:
    name, more = line.get("name"), line.get("more")
    if not isinstance(name, str) or not isinstance(more, int):
        raise ValueError("no change")
    return name, more


class Sums:
    """What each name has."""

    def __init__(self) -> None:
        self.sums: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.sums)

    def apply(self, change: Change) -> None:
        self.sums[change[0]] = self.sums.get(change[0], 0) + change[1]

    def changes(self) -> Iterator[Change]:
        return iter(self.sums.items())


CODEC: Codec[Change] = Codec(lambda change: {"name": change[0], "more": change[1]}, _decode)


class Process:
    """One that shares the file: what it knows, from what its LedgerFile told it."""

    def __init__(self, path: Path) -> None:
        self.file = LedgerFile(path, CODEC, Sums)
        self.state = Sums()
        self.take(self.file.read())

    def take(self, news: News[Change, Sums]) -> None:
        if news.state is not None:
            self.state = news.state
        for change in news.changes:
            self.state.apply(change)

    def add(self, *changes: Change) -> None:
        self.take(self.file.append(changes))

    def look(self) -> dict[str, int]:
        self.take(self.file.read())
        return self.state.sums

    def rewrite(self) -> bool:
        return self.file.rewrite(self.state)


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir(parents=True)
        self.path = folder / "sums"

    def process(self) -> Process:
        return Process(self.path)


class LedgerFileTests(Case):
    def test_what_is_appended_is_there_after_a_restart(self) -> None:
        self.process().add(("a", 1), ("b", 2))
        self.process().add(("a", 3))
        self.assertEqual(self.process().look(), {"a": 4, "b": 2})

    def test_no_file_is_an_empty_one_and_none_is_made_by_reading(self) -> None:
        self.assertEqual(self.process().look(), {})
        self.assertFalse(self.path.exists())

    def test_processes_see_what_others_append(self) -> None:
        one, two = self.process(), self.process()
        one.add(("a", 1))
        two.add(("a", 10))
        self.assertEqual(two.state.sums, {"a": 11})
        self.assertEqual(one.state.sums, {"a": 1})
        self.assertEqual(one.look(), {"a": 11})

    def test_a_file_written_anew_is_seen_though_its_stamp_is_as_before(self) -> None:
        """A clock of some milliseconds, the number of a file that has gone, and as many bytes by chance."""
        by_size = mock.patch.object(Stamp, "of", lambda found: Stamp(0, found.st_size, 0))
        with by_size:
            one, two = self.process(), self.process()
            one.add(("a", 1))
            self.assertTrue(one.rewrite())
            two.look()
            one.add(("a", 1))
            self.assertTrue(one.rewrite())
            self.assertFalse(two.rewrite(), "it would lose what one has written")
            self.assertEqual(two.look(), {"a": 2})

    def test_a_file_written_anew_says_the_same_in_fewer_lines(self) -> None:
        one, two = self.process(), self.process()
        for _ in range(20):
            one.add(("a", 1))
        two.look()
        self.assertTrue(one.rewrite())
        self.assertEqual(len(self.path.read_bytes().splitlines()), 2)
        two.add(("a", 1))
        self.assertEqual(two.state.sums, {"a": 21})
        self.assertEqual(one.look(), {"a": 21})

    def test_it_is_not_written_anew_over_what_is_not_known(self) -> None:
        one, two = self.process(), self.process()
        one.add(("a", 1))
        two.add(("a", 1))
        self.assertFalse(one.rewrite())
        self.assertEqual(one.look(), {"a": 2})
        self.assertTrue(one.rewrite())

    def test_after_a_crash_a_change_is_there_whole_or_not_at_all(self) -> None:
        self.process().add(("a", 1))
        before = self.path.read_bytes()
        self.process().add(("a", 10))
        whole = self.path.read_bytes()
        for length in range(len(before), len(whole) + 1):
            self.path.write_bytes(whole[:length])
            found = self.process()
            self.assertEqual(found.state.sums, {"a": 11 if length == len(whole) else 1})
            found.add(("b", 5))
            self.assertEqual(self.process().state.sums, {**found.state.sums, "b": 5})
            self.assertFalse(self.process().file.damaged)

    def test_a_crash_while_the_first_line_was_written_loses_nothing_else(self) -> None:
        self.process().add(("a", 1))
        header = self.path.read_bytes().partition(b"\n")[0]
        for length in range(len(header)):
            self.path.write_bytes(header[:length])
            process = self.process()
            process.add(("b", 2))
            self.assertEqual(self.process().state.sums, {"b": 2})

    def test_a_line_that_cannot_be_read_is_passed_over_told_and_set_aside(self) -> None:
        self.process().add(("a", 1), ("b", 2), ("c", 3))
        lines = self.path.read_bytes().splitlines(keepends=True)
        lines[2] = b"\xff\0 torn\n"
        damaged = b"".join(lines)
        self.path.write_bytes(damaged)
        with complaints() as told:
            process = self.process()
        self.assertEqual(process.state.sums, {"a": 1, "c": 3})
        self.assertEqual(len(told), 1)
        self.assertIn(str(self.path), told[0])
        self.assertTrue(process.file.damaged)
        self.assertTrue(process.rewrite())
        aside = self.path.with_name("sums.unreadable")
        self.assertEqual(aside.read_bytes(), damaged)
        self.assertEqual(aside.stat().st_mode & 0o077, 0, "it is nobody else's either")
        self.assertEqual(self.process().state.sums, {"a": 1, "c": 3})

    def test_a_file_of_nothing_else_fills_no_log(self) -> None:
        self.path.write_bytes(b"what is this\n" * 1000)
        with complaints() as told:
            self.assertEqual(self.process().state.sums, {})
        self.assertLess(len(told), 10)
        self.assertIn("1000 lines", told[-1])

    def test_lines_of_any_length_and_depth_are_bounded(self) -> None:
        self.process().add(("a", 1))
        with self.path.open("ab") as stream:
            stream.write(b"[" * 100_000 + b"\n" + b"x" * (3 * MAX_LINE) + b"\n")
            stream.write(b'{"name":' + b'{"a":' * 2_000 + b"\n")
        with complaints():
            self.assertEqual(self.process().state.sums, {"a": 1})

    def test_a_file_that_is_gone_or_emptied_fails_and_what_was_known_stays(self) -> None:
        process = self.process()
        process.add(("a", 1))
        for harm in (lambda: self.path.write_bytes(b""), self.path.unlink):
            harm()
            with self.assertRaises(StorageError):
                process.file.read()
            with self.assertRaises(StorageError):
                process.file.append([("a", 1)])
            self.assertEqual(process.state.sums, {"a": 1})
        self.assertFalse(self.path.exists())

    def test_what_could_not_be_written_whole_is_not_there_later(self) -> None:
        process = self.process()
        process.add(("a", 1))
        before = self.path.read_bytes()
        full = OSError(errno.ENOSPC, "No space left on device")
        with mock.patch("os.fdatasync", side_effect=full), self.assertRaises(DiskFull):
            process.file.append([("a", 10)])
        self.assertEqual(self.path.read_bytes(), before)
        process.add(("a", 100))
        self.assertEqual((process.state.sums, self.process().state.sums), ({"a": 101}, {"a": 101}))

    def test_a_file_that_cannot_be_written_anew_stays_as_it_is(self) -> None:
        process = self.process()
        process.add(("a", 1), ("a", 2))
        before = self.path.read_bytes()
        broken = OSError(errno.EIO, "Input/output error")
        with mock.patch("os.fsync", side_effect=broken), self.assertRaises(StorageError):
            process.rewrite()
        self.assertEqual(self.path.read_bytes(), before)
        process.add(("a", 3))
        self.assertEqual(self.process().state.sums, {"a": 6})

    def test_much_that_others_appended_comes_as_a_state_made_in_the_thread(self) -> None:
        one, two = self.process(), self.process()
        one.add(("a", 1))
        two.look()
        line = len(CODEC.line(("a", 1)))
        one.add(*[("a", 1)] * (WHOLE_AT_ONCE // line + 2))
        news = two.file.read()
        self.assertIsNotNone(news.state)
        self.assertEqual(news.changes, [])
        two.take(news)
        self.assertEqual(two.state.sums, one.state.sums)

    def test_a_symbolic_link_is_not_followed_to_append(self) -> None:
        self.path.symlink_to(self.path.with_name("elsewhere"))
        with self.assertRaises(StorageError):
            self.process().add(("a", 1))
        self.assertFalse(self.path.with_name("elsewhere").exists())

    def test_only_its_owner_may_read_it(self) -> None:
        process = self.process()
        process.add(("a", 1))
        self.assertEqual(os.stat(self.path).st_mode & 0o777, 0o600)
        process.rewrite()
        self.assertEqual(os.stat(self.path).st_mode & 0o777, 0o600)

    def test_nothing_is_lost_between_many_that_write_at_once(self) -> None:
        failures: list[BaseException] = []

        def work(number: int) -> None:
            try:
                process = self.process()
                for count in range(30):
                    process.add((f"{count % 5}", 1), (f"of {number}", 1))
                    if count % 10 == number:
                        process.look()
                        process.rewrite()
            except BaseException as error:  # told below, in the test's own thread
                failures.append(error)

        threads = [Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        wanted = {str(name): 24 for name in range(5)} | {f"of {number}": 30 for number in range(4)}
        self.assertEqual(self.process().look(), wanted)

    def test_any_bytes_in_the_file_are_changes_or_passed_over(self) -> None:
        @given(st.lists(st.one_of(st.binary(max_size=60), st.just(b'{"name":"a","more":1}')), max_size=6))
        def tried(lines: list[bytes]) -> None:
            self.path.write_bytes(b"\n".join(lines))
            with complaints():
                process = self.process()
                process.add(("z", 1))
                self.assertEqual(self.process().state.sums, process.state.sums)

        tried()

    def test_processes_agree_with_a_model_whatever_they_do_in_turn(self) -> None:
        step = st.tuples(
            st.integers(0, 2), st.sampled_from(["add", "look", "rewrite", "restart"]), st.sampled_from("abc")
        )

        @settings(deadline=None)  # it waits for the disk
        @given(st.lists(step, max_size=30))
        def tried(steps: list[tuple[int, str, str]]) -> None:
            self.path.unlink(missing_ok=True)
            processes = [self.process() for _ in range(3)]
            model: dict[str, int] = {}
            for which, what, name in steps:
                process = processes[which]
                if what == "add":
                    process.add((name, 1))
                    model[name] = model.get(name, 0) + 1
                    self.assertEqual(process.state.sums, model)
                elif what == "rewrite" and model and process.look() is not None:
                    self.assertTrue(process.rewrite())
                elif what == "restart":
                    processes[which] = self.process()
                self.assertEqual(processes[which].look(), model)
            self.assertEqual([process.look() for process in processes], [model] * 3)

        tried()


class LedgerTests(Case):
    def setUp(self) -> None:
        super().setUp()
        self.machine = Machine()
        self.ledger = self.made(self.machine)

    def made(self, machine: Machine) -> Ledger[Change, Sums]:
        return Ledger(machine, self.path, CODEC, Sums)

    def write(self, *changes: Change) -> None:
        self.successResultOf(self.ledger.write(changes))

    def test_a_change_is_made_when_it_is_on_disk(self) -> None:
        pool = LatePool()
        ledger = self.made(Machine(pool))
        written = ledger.write([("a", 1)])
        self.assertNoResult(written)
        self.assertEqual(ledger.state.sums, {})
        idle = ledger.idle()
        self.assertNoResult(idle)
        pool.run()
        self.successResultOf(written)
        self.successResultOf(idle)
        self.assertEqual(ledger.state.sums, {"a": 1})
        self.assertEqual(self.process().state.sums, {"a": 1})

    def test_changes_that_wait_go_in_one_write_in_their_order(self) -> None:
        pool = LatePool()
        ledger = self.made(Machine(pool))
        written = [ledger.write([(name, 1)]) for name in "abcd"]
        pool.run()
        self.assertEqual(pool.calls, 2)
        for each in written:
            self.successResultOf(each)
        self.assertEqual(list(self.process().state.sums), list("abcd"))

    def test_a_failure_reaches_all_who_wait_and_the_state_stays(self) -> None:
        self.write(("a", 1))
        self.path.unlink()
        for failing in (self.ledger.write([("a", 1)]), self.ledger.reload()):
            self.failureResultOf(failing, StorageError)
        self.assertEqual(self.ledger.state.sums, {"a": 1})
        self.successResultOf(self.ledger.idle())

    def test_reload_takes_in_what_others_wrote(self) -> None:
        self.ledger.load()
        self.process().add(("a", 7))
        self.successResultOf(self.ledger.reload())
        self.assertEqual(self.ledger.state.sums, {"a": 7})

    def test_a_long_file_is_written_anew(self) -> None:
        self.write(*[("a", 1)] * (SPARE_LINES + 2))
        self.write(("a", 1))
        self.assertLess(len(self.path.read_bytes().splitlines()), 10)
        self.assertEqual(self.process().state.sums, {"a": SPARE_LINES + 3})

    def test_a_file_that_cannot_be_written_anew_is_told_of_and_not_tried_with_every_line(self) -> None:
        self.write(("a", 1))
        tries: list[object] = []

        def fail(*_: object) -> bool:
            tries.append(None)
            raise DiskFull(str(self.path), "No space left on device")

        self.patch(LedgerFile, "rewrite", fail)
        with complaints() as told:
            self.write(*[("a", 1)] * (SPARE_LINES + 2))
            for _ in range(10):
                self.write(("a", 1))
        self.assertEqual((len(tries), len(told)), (1, 1))

    def test_a_damaged_file_is_written_anew_at_the_first_look(self) -> None:
        self.path.write_bytes(CODEC.line(("a", 1)) + b"torn\n" + CODEC.line(("b", 1)))
        with complaints():
            self.ledger.load()
        self.successResultOf(self.ledger.reload())
        self.assertTrue(self.path.with_name("sums.unreadable").exists())
        self.assertNotIn(b"torn", self.path.read_bytes())
        self.assertEqual(self.process().state.sums, {"a": 1, "b": 1})

    def test_who_gives_up_waiting_stops_nothing(self) -> None:
        pool = LatePool()
        ledger = self.made(Machine(pool))
        written = cast(Deferred[None], ledger.write([("a", 1)]))
        written.addErrback(lambda _: None)
        written.cancel()
        pool.run()
        self.assertEqual(ledger.state.sums, {"a": 1})
        self.successResultOf(ledger.idle())
