"""Swarms in a file: what survives a stop, a crash and a bad disk, and what does not survive a bad file."""

from __future__ import annotations

import os
import tempfile
from array import array
from collections.abc import Callable
from pathlib import Path
from random import Random
from zlib import crc32

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import SynchronousTestCase

from bittwist.announce.values import AnnounceRequest, Event, ScrapeEntry
from bittwist.testing import PoolAtOnce
from bittwist.testing.stores import HASH, asked, told
from bittwist.tracker import Arrival, Front, Tracker, TrackerSettings
from bittwist.tracker.patience import Term
from bittwist.tracker.peers import PeerColumns
from bittwist.tracker.snapshot import Snapshots, SnapshotSettings
from bittwist.tracker.snapshotfile import (
    FRAME,
    HEADER,
    MAGIC,
    MAX_FRAME,
    PORTION,
    TERM,
    BadSnapshot,
    read,
    write,
)
from bittwist.tracker.swarm import SECOND, Portion
from bittwist.tracker.swarms import Swarms
from tests.scale import SEED, runs

EPOCH = 1_800_000_000.0  # the wall clock when the tests begin
EVERY = 20.0
HOST = "192.0.2.1"


class Machine(Clock):
    """A reactor: its clock starts anew with each, its threads run at once."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = PoolAtOnce()

    def callFromThread(self, callable: Callable[..., object], *args: object) -> object:
        return callable(*args)

    def getThreadPool(self) -> ThreadPool:
        return self.pool

    def run(self, seconds: float) -> None:
        """So much time, and every turn that falls due in it."""
        end = self.seconds() + seconds
        while self.getDelayedCalls() and self.getDelayedCalls()[0].getTime() <= end:
            self.advance(max(0.0, self.getDelayedCalls()[0].getTime() - self.seconds()))
        self.advance(end - self.seconds())


class Run:
    """One run of a tracker, from its start at `wall` to its stop or its end."""

    def __init__(self, file: Path, wall: float, tracker: TrackerSettings | None = None) -> None:
        self.machine = Machine()
        self.tracker = Tracker(
            self.machine,
            tracker,
            random=Random(SEED),
            snapshot=SnapshotSettings(file, EVERY),
            wall=lambda: wall + self.machine.seconds(),
        )
        self.tracker.startService()

    def announce(self, request: AnnounceRequest) -> list[str]:
        reply = self.tracker.announce(request, Arrival(Front.HTTP, HOST))
        assert not isinstance(reply, Deferred)
        return told(reply.swarm)

    def scrape(self) -> ScrapeEntry:
        entries = self.tracker.scrape((HASH,), Arrival(Front.HTTP, HOST))
        assert not isinstance(entries, Deferred)
        return entries[HASH]

    def stop(self) -> None:
        done = self.tracker.stopService()
        self.machine.run(0)
        assert done.called and not self.machine.getDelayedCalls()


class FolderCase(SynchronousTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = Path(folder.name) / "swarms"


class RestartTests(FolderCase):
    def test_a_restart_keeps_the_swarms(self) -> None:
        before = Run(self.file, EPOCH)
        before.announce(asked("10.0.0.1"))
        before.announce(asked("10.0.0.1", left=0, event=Event.COMPLETED))
        before.announce(asked("10.0.0.2", event=Event.PAUSED))
        before.announce(asked("2001:db8::1", peer_id=b"six" + b"-" * 17))
        before.stop()
        after = Run(self.file, EPOCH + 60)
        self.assertEqual(after.scrape(), ScrapeEntry(1, 1, 2, 1))
        request = asked("10.0.0.9", compact=False)
        reply = after.tracker.announce(request, Arrival(Front.HTTP, HOST))
        assert not isinstance(reply, Deferred)
        self.assertEqual(told(reply.swarm), ["10.0.0.1:6881", "10.0.0.2:6881", "[2001:db8::1]:6881"])
        self.assertIn(b"six" + b"-" * 17, reply.swarm.ids())
        after.stop()

    def test_the_first_start_has_no_file_and_no_trouble(self) -> None:
        run = Run(self.file, EPOCH)
        self.assertEqual(run.scrape().incomplete, 0)
        self.assertFalse(self.file.exists())
        run.stop()
        self.assertTrue(self.file.exists())

    def test_who_is_known_for_thirty_seconds_survives_a_crash(self) -> None:
        """Must-show 4, simulated: announces come all the time, and the process is gone at any moment."""
        for crash_at in (31.0, 47.5, 60.0, 79.9):
            with self.subTest(crash_at=crash_at):
                self.file.unlink(missing_ok=True)
                before = Run(self.file, EPOCH)
                known: list[str] = []
                while before.machine.seconds() < crash_at:
                    number = len(known)
                    host = f"10.{number // 60_000}.{number // 250 % 240}.{number % 250}"
                    before.announce(asked(host, numwant=0))
                    known.append(f"{host}:6881")
                    before.machine.run(0.1)
                # No stop: nothing of the process is left but the file.
                after = Run(self.file, EPOCH + crash_at + 2)
                served = set(after.announce(asked("10.9.9.9", numwant=74)))
                held = after.scrape().incomplete - 1
                old = sum(at * 0.1 < crash_at - 30 for at in range(len(known)))
                self.assertGreaterEqual(held, 0.99 * old)
                self.assertLessEqual(served, set(known))
                after.stop()

    def test_the_time_a_tracker_was_away_counts(self) -> None:
        limits = TrackerSettings(interval=1800)
        before = Run(self.file, EPOCH, limits)
        before.announce(asked("10.0.0.1"))
        before.machine.run(1000)
        before.announce(asked("10.0.0.2"))
        before.stop()
        away = limits.expire_after - 500
        after = Run(self.file, EPOCH + 1000 + away, limits)
        self.assertEqual(after.announce(asked("10.0.0.9")), ["10.0.0.2:6881"])
        after.machine.run(500 + limits.expire_after / 16)
        self.assertEqual(after.scrape().incomplete, 1, "it was away from before the restart on")
        after.stop()

    def test_a_shorter_interval_loses_nobody_who_was_told_the_longer_one_restart_or_not(self) -> None:
        longer, shorter = TrackerSettings(interval=1800), TrackerSettings(interval=30)
        before = Run(self.file, EPOCH, longer)
        before.announce(asked("10.0.0.1"))
        before.tracker.apply(shorter)
        before.machine.run(1700)
        self.assertEqual(before.announce(asked("10.0.0.2")), ["10.0.0.1:6881"])
        before.stop()
        after = Run(self.file, EPOCH + 1710, shorter)
        after.machine.run(100)
        self.assertEqual(after.announce(asked("10.0.0.3")), ["10.0.0.1:6881", "10.0.0.2:6881"])
        after.machine.run(longer.expire_after - 1800)
        self.assertEqual(after.scrape().incomplete, 0, "the longer interval is over for all")
        after.announce(asked("10.0.0.4"))
        after.machine.run(1.1 * shorter.expire_after)
        self.assertEqual(after.scrape().incomplete, 0)
        after.stop()

    def test_a_wall_clock_that_was_set_back_makes_nobody_immortal(self) -> None:
        limits = TrackerSettings(interval=1800)
        before = Run(self.file, EPOCH, limits)
        before.announce(asked("10.0.0.1"))
        before.stop()
        after = Run(self.file, EPOCH - 1e6, limits)
        self.assertEqual(after.scrape().incomplete, 1)
        after.machine.run(limits.expire_after * 1.1)
        self.assertEqual(after.scrape().incomplete, 0)
        after.stop()

    def test_a_bound_that_was_lowered_holds_for_what_is_loaded(self) -> None:
        before = Run(self.file, EPOCH)
        for host in range(1, 11):
            before.announce(asked(f"10.0.0.{host}"))
        before.stop()
        after = Run(self.file, EPOCH, TrackerSettings(max_peers=4))
        self.assertEqual(after.scrape().incomplete, 4)
        after.stop()

    def test_what_an_address_announced_to_longest_ago_is_known_after_a_restart(self) -> None:
        limits = TrackerSettings(torrents_per_address=100)
        hashes = [bytes([number]) * 20 for number in range(100)]
        before = Run(self.file, EPOCH, limits)
        for info_hash in hashes:
            before.announce(asked("10.0.0.1", info_hash=info_hash))
            before.machine.run(1)
        before.announce(asked("10.0.0.1", info_hash=hashes[0]))
        before.stop()
        after = Run(self.file, EPOCH + 200, limits)
        after.announce(asked("10.0.0.1", info_hash=b"new" + bytes(17)))
        entries = after.tracker.scrape(hashes[:3], Arrival(Front.HTTP, HOST))
        assert not isinstance(entries, Deferred)
        self.assertEqual([entry.incomplete for entry in entries.values()], [1, 0, 1])
        after.stop()


class SavingTests(FolderCase):
    def test_it_is_written_every_so_often_and_never_twice_at_once(self) -> None:
        run = Run(self.file, EPOCH)
        run.machine.run(EVERY - 1)
        self.assertEqual(run.machine.pool.calls, 0)
        run.machine.run(1)
        self.assertEqual(run.machine.pool.calls, 1)
        run.machine.run(3 * EVERY)
        self.assertEqual(run.machine.pool.calls, 4)
        run.stop()
        self.assertEqual(run.machine.pool.calls, 5)

    def test_a_big_store_is_copied_in_steps_with_other_work_in_between(self) -> None:
        run = Run(self.file, EPOCH)
        for number in range(runs(3000, 60_000)):
            info_hash = number.to_bytes(20, "big")
            run.announce(asked("10.0.0.1", info_hash=info_hash, numwant=0))
        written: list[int] = []
        between = lambda: (run.announce(asked("10.0.0.2")), written.append(run.machine.pool.calls))  # noqa: E731
        run.machine.callLater(EVERY, run.machine.callLater, 0, between)
        run.machine.run(EVERY)
        self.assertEqual((written, run.machine.pool.calls), ([0], 1))
        run.stop()
        after = Run(self.file, EPOCH)
        self.assertEqual(after.scrape().incomplete, 1, "what came while it was copied is in the last")
        after.stop()

    def test_a_disk_that_refuses_leaves_the_last_file_and_is_told_once(self) -> None:
        self.file = self.file.parent / "folder" / "swarms"
        run = Run(self.file, EPOCH)
        run.announce(asked("10.0.0.1"))
        run.machine.run(EVERY)
        content = self.file.read_bytes()
        beside = self.file.with_name(self.file.name + ".new")
        beside.mkdir()  # what is to be written there cannot be
        run.machine.run(5 * EVERY)
        self.assertEqual(self.file.read_bytes(), content)
        beside.rmdir()
        run.announce(asked("10.0.0.2"))
        run.stop()
        self.assertNotEqual(self.file.read_bytes(), content)

    def test_a_file_only_its_owner_may_read(self) -> None:
        """Peers' addresses are in it."""
        run = Run(self.file, EPOCH)
        run.stop()
        self.assertEqual(os.stat(self.file).st_mode & 0o777, 0o600)

    def test_settings_have_bounds(self) -> None:
        for every in (0.0, -1.0, 1e9):
            with self.assertRaises(ValueError) as caught:
                SnapshotSettings(every=every)
            self.assertEqual(caught.exception.args[0], "every")

    def test_only_swarms_in_memory_have_one(self) -> None:
        store = Swarms(lambda: 0.0, Random(SEED), TrackerSettings())
        with self.assertRaises(ValueError):
            Tracker(Machine(), store=store, snapshot=SnapshotSettings(self.file))  # type: ignore[arg-type]


def portion(info_hash: bytes = HASH, width: int = 6, seeds: int = 1, partials: int = 1) -> Portion:
    stamps = array("q", [5 * SECOND, 6 * SECOND, 7 * SECOND])
    return Portion(info_hash, 3, PeerColumns(bytes(range(3 * width)), b"i" * 60, stamps, seeds, partials))


class FileTests(FolderCase):
    def read(self, zero_at: int = 0) -> list[Term | Portion]:
        return list(read(self.file, zero_at))

    def refused(self, content: bytes) -> str:
        self.file.write_bytes(content)
        with self.assertRaises(BadSnapshot) as caught:
            self.read()
        return str(caught.exception)

    def test_what_is_written_is_read(self) -> None:
        steps = [[portion(), portion(b"x" * 20, 18, 0, 0)], [portion(b"y" * 20, seeds=3, partials=0)]]
        write(self.file, iter(steps), 0)
        self.assertEqual(self.read(), [each for step in steps for each in step])

    def test_stamps_move_from_one_clock_to_the_other(self) -> None:
        write(self.file, [[portion()]], 100 * SECOND)
        (found,) = self.read(103 * SECOND)
        assert isinstance(found, Portion)
        self.assertEqual(list(found.peers.stamps), [2 * SECOND, 3 * SECOND, 4 * SECOND])

    def test_a_file_cut_anywhere_is_refused_after_what_is_whole(self) -> None:
        write(self.file, [[portion()], [portion(b"x" * 20)]], 0)
        content = self.file.read_bytes()
        for length in range(len(content)):
            self.file.write_bytes(content[:length])
            found: list[Term | Portion] = []
            with self.assertRaises(BadSnapshot):
                for each in read(self.file, 0):
                    found.append(each)
            self.assertLessEqual(len(found), 2)

    def test_any_byte_that_changed_is_seen(self) -> None:
        write(self.file, [[portion()], [portion(b"x" * 20)]], 0)
        content = self.file.read_bytes()
        for at in range(len(content)):
            self.refused(content[:at] + bytes([content[at] ^ 0x40]) + content[at + 1 :])

    def test_what_follows_the_end_is_refused(self) -> None:
        write(self.file, [[portion()]], 0)
        self.assertIn("more", self.refused(self.file.read_bytes() + b"x"))

    def test_a_version_to_come_is_named(self) -> None:
        start = HEADER.pack(MAGIC, 3, 0, 0)[:-4]
        self.assertIn("version 3", self.refused(start + crc32(start).to_bytes(4, "little")))

    def test_a_frame_of_four_gigabytes_is_not_read(self) -> None:
        write(self.file, [], 0)
        head = self.file.read_bytes()[: HEADER.size]
        for length in (MAX_FRAME + 1, 2**32 - 1):
            self.assertIn("frame of", self.refused(head + FRAME.pack(length, 0)))

    def test_portions_that_make_no_sense_are_refused_though_their_checksum_is_right(self) -> None:
        write(self.file, [], 0)
        head = self.file.read_bytes()[: HEADER.size + FRAME.size]
        body = b"a" * 6 + b"i" * 20 + bytes(8)
        for count, seeds, partials, width in (
            (1, 2, 0, 6),
            (1, 1, 1, 6),
            (0, 0, 0, 6),
            (1, 0, 0, 7),
            (2, 0, 0, 6),
            (2**32 - 1, 0, 0, 18),
        ):
            frame = PORTION.pack(HASH, 0, count, seeds, partials, width) + body
            self.refused(head + FRAME.pack(len(frame), crc32(frame)) + frame + FRAME.pack(0, 0))

    def test_terms_come_first_and_move_from_one_clock_to_the_other(self) -> None:
        write(self.file, [[portion()]], 100 * SECOND, (Term(4020.0, 50.0), Term(3660.0, 60.0)))
        first, second, last = self.read(103 * SECOND)
        self.assertEqual((first, second), (Term(4020.0, 47.0), Term(3660.0, 57.0)))
        self.assertIsInstance(last, Portion)

    def test_terms_that_make_no_sense_are_refused(self) -> None:
        write(self.file, [], 0)
        head = self.file.read_bytes()[: HEADER.size]
        for frame in (b"x" * 15, *(TERM.pack(seconds, 0) for seconds in (-1.0, 1e9, float("nan")))):
            told = self.refused(head + FRAME.pack(len(frame), crc32(frame)) + frame + FRAME.pack(0, 0))
            self.assertIn("a term", told)

    def test_a_file_of_version_1_which_had_no_terms_is_read(self) -> None:
        write(self.file, [[portion()]], 0)
        start = HEADER.pack(MAGIC, 1, 0, 0)[:-4]
        frames = self.file.read_bytes()[HEADER.size + FRAME.size :]
        self.file.write_bytes(start + crc32(start).to_bytes(4, "little") + frames)
        self.assertEqual(self.read(), [portion()])

    @settings(max_examples=runs(200, 20_000), deadline=None)
    @given(st.binary(max_size=300), st.integers(-(2**63), 2**63 - 1), st.sampled_from([1, 2]))
    def test_arbitrary_frames_give_portions_or_are_refused(
        self, frame: bytes, zero_at: int, version: int
    ) -> None:
        start = HEADER.pack(MAGIC, version, zero_at, 0)[:-4]
        head = start + crc32(start).to_bytes(4, "little")
        self.file.write_bytes(head + FRAME.pack(len(frame), crc32(frame)) + frame + FRAME.pack(0, 0))
        swarms = Swarms(lambda: 0.0, Random(SEED), TrackerSettings())
        try:
            for each in read(self.file, 0):
                if isinstance(each, Portion):
                    swarms.restore(each)
        except BadSnapshot:
            pass


class DamageTests(FolderCase):
    def test_a_damaged_file_is_set_aside_and_what_stands_before_the_damage_counts(self) -> None:
        before = Run(self.file, EPOCH)
        before.announce(asked("10.0.0.1"))
        before.stop()
        content = self.file.read_bytes()[: -FRAME.size]  # without its end
        self.file.write_bytes(content)
        after = Run(self.file, EPOCH + 1)
        self.assertEqual(after.scrape().incomplete, 1)
        self.assertFalse(self.file.exists())
        self.assertEqual(self.file.with_name("swarms.unreadable").read_bytes(), content)
        after.stop()
        self.assertTrue(self.file.exists())

    def test_a_file_that_cannot_be_opened_does_not_keep_a_tracker_from_starting(self) -> None:
        self.file.mkdir()
        run = Run(self.file, EPOCH)
        self.assertEqual(run.announce(asked("10.0.0.1")), [])
        run.stop()
        self.assertTrue(self.file.is_dir())

    def test_a_peer_twice_in_the_file_is_one_peer(self) -> None:
        write(self.file, [[portion()], [portion()]], int(EPOCH * SECOND))
        machine = Machine()
        machine.advance(10)
        swarms = Swarms(machine.seconds, Random(SEED), TrackerSettings())
        snapshots = Snapshots(machine, swarms, self.file, EVERY, wall=lambda: EPOCH + 10)
        self.assertEqual((snapshots.load(), swarms.peers), (3, 3))
