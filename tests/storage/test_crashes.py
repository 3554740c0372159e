"""Crashes at any moment: nothing that is not there is believed, nothing that is there is lost.

SECURITY.md T28 (kill -9: the system still writes what it was given), T29 (power cut: it does not), T31, T32
and n-th-failure injection.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from bittwist.errors import DiskFull, StorageError
from bittwist.metainfo.bitfield import Bitfield
from bittwist.storage.disk import Disk, DiskSettings
from bittwist.storage.resume import Journal
from tests.scale import SEED, runs
from tests.storage.fakes import FakeReactor
from tests.storage.lossy import LossyDisk, LossyFile, LossyStorage
from tests.storage.torrents import content_of, make_info, pieces_of

CONTENT = content_of(12 * 16384 + 100)
INFO = make_info(
    CONTENT, [("a", 50_000), ("b", 0), ("c", 40_000), ("d", len(CONTENT) - 90_000)], piece_length=16384
)
PIECES = pieces_of(INFO, CONTENT)


class Machine:
    """A computer with a lossy disk and a store on it; `run` is one life, up to its end or the power's."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.disk = LossyDisk(INFO, random)
        self.kept: set[int] = set()  # in this life or those before
        self.boot()

    def boot(self) -> None:
        self.reactor = FakeReactor()
        self.failures: list[StorageError] = []
        disk = Disk(self.reactor, DiskSettings(sync_after=1.0))
        journal = Journal(Path("journal"), file=LossyFile(self.disk))
        self.store = disk.open(LossyStorage(self.disk), INFO, journal, failed=self.failures.append)

    def wait(self, answer: Deferred):
        """What it fires with; StorageError as it comes."""
        results: list = []
        answer.addCallbacks(results.append, lambda failure: results.append(failure.value))
        self.reactor.turn()
        assert results, "it did not fire"
        if isinstance(results[0], Exception):
            raise results[0]
        return results[0]

    def start(self) -> Bitfield:
        return self.wait(self.store.start()).have

    def live(self) -> None:
        """Keep what is missing, in any order, and stop cleanly, perhaps."""
        missing = list(self.start().missing())
        self.random.shuffle(missing)
        for index in missing[: self.random.randrange(len(missing) + 1)]:
            if self.wait(self.store.keep(index, memoryview(PIECES[index]))).good:
                self.kept.add(index)
            if self.random.random() < 0.5:
                self.reactor.advance(1.0)
                self.reactor.turn()
        if self.random.random() < 0.3:
            self.wait(self.store.close())

    def life(self, cut_at: int) -> None:
        self.disk.cut_at = self.disk.operations + cut_at
        self.boot()
        try:
            self.live()
        except StorageError:
            pass

    def right(self) -> set[int]:
        """The pieces that really are on the disk."""
        store = LossyStorage(self.disk)
        found = set()
        for index, piece in enumerate(PIECES):
            buffer = bytearray(len(piece))
            try:
                store.read_into(index, 0, memoryview(buffer))
            except StorageError:
                continue
            if buffer == piece:
                found.add(index)
        return found


class Crashes(SynchronousTestCase):
    def test_after_a_power_cut_nothing_is_believed_that_is_not_there(self) -> None:
        for seed in range(SEED, SEED + runs(300, 10_000)):
            machine = Machine(Random(seed))
            for _ in range(3):
                machine.life(machine.random.randrange(1, 60))
                survival = machine.random.choice((0.0, 0.5, 0.9, None))
                if survival is None:
                    machine.disk.kill()
                else:
                    machine.disk.power_up(survival)
            machine.disk.power_up(0.0)
            machine.boot()
            have = set(machine.start())
            self.assertEqual(have - machine.right(), set(), f"seed {seed}")

    def test_after_a_kill_nothing_that_was_verified_is_lost(self) -> None:
        for seed in range(SEED, SEED + runs(300, 10_000)):
            machine = Machine(Random(seed))
            for _ in range(3):
                machine.life(machine.random.randrange(1, 60))
                machine.disk.kill()
            machine.boot()
            have = set(machine.start())
            self.assertEqual(machine.kept - have, set(), f"seed {seed}")
            self.assertEqual(have - machine.right(), set(), f"seed {seed}")

    def test_after_a_kill_recorded_pieces_are_not_hashed_again(self) -> None:
        machine = Machine(Random(SEED))
        machine.start()
        for index in range(10):
            machine.wait(machine.store.keep(index, memoryview(PIECES[index])))
        machine.reactor.advance(1.0)
        machine.reactor.turn()
        for index in (10, 11):  # the first one was too early for the batch, the second comes after it
            machine.wait(machine.store.keep(index, memoryview(PIECES[index])))
        machine.disk.power_up(1.0)
        machine.boot()
        recovered = machine.wait(machine.store.start())
        self.assertEqual(list(recovered.have), list(range(12)))
        self.assertLessEqual(recovered.checked, 3)

    def test_after_a_clean_stop_nothing_is_hashed(self) -> None:
        machine = Machine(Random(SEED))
        machine.start()
        for index in range(5):
            machine.wait(machine.store.keep(index, memoryview(PIECES[index])))
        machine.wait(machine.store.close())
        machine.disk.power_up(0.0)
        machine.boot()
        recovered = machine.wait(machine.store.start())
        self.assertEqual((list(recovered.have), recovered.checked), (list(range(5)), 0))


class NthFailure(SynchronousTestCase):
    """Every single operation fails once: whoever asked is told, and then all goes on."""

    def persist(self, machine: Machine) -> int:
        """Do it all, as often as it takes; how many failures were told."""
        told = 0
        for _ in range(8):
            machine.boot()
            try:
                for index in machine.start().missing():
                    machine.wait(machine.store.keep(index, memoryview(PIECES[index])))
                    machine.reactor.advance(1.0)
                    machine.reactor.turn()
                    if machine.failures:
                        raise machine.failures[0]
                for index, piece in enumerate(PIECES):
                    length = min(len(piece), 16384)
                    assert machine.wait(machine.store.read(index, 0, length)) == piece[:length]
            except StorageError:
                told += 1
                try:
                    machine.wait(machine.store.close())
                except StorageError:
                    told += 1
                continue
            machine.wait(machine.store.close())
            return told
        raise AssertionError("it never came through")

    def test_each_operation_may_fail_once(self) -> None:
        calm = Machine(Random(SEED))
        self.assertEqual(self.persist(calm), 0)
        for error in (
            StorageError("share", "Input/output error"),
            DiskFull("share", "No space left on device"),
        ):
            for number in range(1, calm.disk.operations + 1):
                machine = Machine(Random(SEED))
                machine.disk.fail_at = number
                machine.disk.error = error
                try:
                    self.persist(machine)
                except StorageError as told:  # the very last close
                    self.assertIs(told, error)
                machine.boot()
                self.assertEqual(set(machine.start()), machine.right())
                self.assertEqual(len(machine.right()), len(PIECES))

    def test_a_sync_that_fails_is_told_and_its_pieces_are_wanted_again(self) -> None:
        machine = Machine(Random(SEED))
        machine.start()
        machine.wait(machine.store.keep(3, memoryview(PIECES[3])))
        machine.disk.fail_at = machine.disk.operations + 1
        machine.reactor.advance(1.0)
        machine.reactor.turn()
        self.assertEqual(machine.failures, [machine.disk.error])
        self.assertEqual(list(machine.start()), [])
        machine.wait(machine.store.keep(3, memoryview(PIECES[3])))
        self.assertEqual(list(machine.store.have), [3])

    def test_a_journal_that_cannot_be_written_is_tried_again_and_downloading_goes_on(self) -> None:
        machine = Machine(Random(SEED))
        machine.start()
        machine.wait(machine.store.keep(3, memoryview(PIECES[3])))
        before = machine.disk.journal
        machine.disk.fail_at = machine.disk.operations + 2  # the sync, then the journal
        machine.disk.error = DiskFull("journal", "No space left on device")
        machine.reactor.advance(1.0)
        machine.reactor.turn()
        self.assertEqual((machine.failures, machine.disk.journal), ([], before))
        machine.wait(machine.store.keep(4, memoryview(PIECES[4])))
        machine.reactor.advance(30.0)
        machine.reactor.turn()
        machine.disk.power_up(0.0)
        machine.boot()
        self.assertEqual(list(machine.start()), [3, 4])

    def test_a_full_disk_loses_no_piece_that_is_kept_again_later(self) -> None:
        machine = Machine(Random(SEED))
        machine.start()
        machine.disk.fail_at = machine.disk.operations + 1
        machine.disk.error = DiskFull("share", "No space left on device")
        self.assertRaises(DiskFull, machine.wait, machine.store.keep(2, memoryview(PIECES[2])))
        self.assertNotIn(2, machine.store.have)
        self.assertTrue(machine.wait(machine.store.keep(2, memoryview(PIECES[2]))).good)
