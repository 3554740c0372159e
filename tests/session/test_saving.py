"""States are written in a thread, in order, and only the newest; the threads here run when told."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bittwist.errors import StorageError
from bittwist.session.saving import Saving
from bittwist.session.state import StateFolder
from bittwist.storage.workers import Lane, Workers
from tests.session.test_state import MAGNET, METAINFO, saved


class LaterPool(Clock):
    """A reactor whose pool does its work when told, a job at a time."""

    def __init__(self):
        super().__init__()
        self.waiting = []

    def getThreadPool(self):
        return self

    def callInThread(self, function):
        self.waiting.append(function)

    def callFromThread(self, function):
        function()

    def work(self):
        while self.waiting:
            self.waiting.pop(0)()


class SavingTests(SynchronousTestCase):
    def setUp(self):
        temporary = TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.path = Path(temporary.name) / "state"
        self.pool = LaterPool()
        self.written = []
        self.folder = StateFolder(self.path)
        write = self.folder.save
        self.folder.save = lambda torrent: (self.written.append(torrent), write(torrent))
        self.saving = Saving(self.folder, Lane(Workers(self.pool, 2)))

    def there(self):
        return StateFolder(self.path).load()

    def test_nothing_is_written_on_the_thread_that_asks(self):
        self.saving.save(saved())
        self.assertFalse(self.path.exists())
        self.pool.work()
        self.assertEqual(self.there(), ([saved()], []))

    def test_of_what_waits_only_the_newest_is_written(self):
        states = [replace(saved(), uploaded=number) for number in range(5)]
        for state in states:
            self.saving.save(state)
        self.pool.work()
        self.assertEqual(self.written, [states[0], states[-1]])
        self.assertEqual(self.there(), ([states[-1]], []))

    def test_one_thing_at_a_time_is_done_to_the_folder(self):
        for source in (METAINFO, MAGNET):
            self.saving.save(saved(source))
        self.saving.forget(MAGNET.info_hash)
        self.assertEqual(len(self.pool.waiting), 1)

    def test_torrents_do_not_replace_one_another(self):
        first, second = saved(METAINFO, added_at=1.0), saved(MAGNET, added_at=2.0)
        for state in (first, second, first, second):
            self.saving.save(state)
        self.pool.work()
        self.assertEqual(self.there(), ([first, second], []))

    def test_idle_waits_for_all_of_it(self):
        self.successResultOf(self.saving.idle())
        for source in (METAINFO, MAGNET):
            self.saving.save(saved(source))
        idle = self.saving.idle()
        self.assertNoResult(idle)
        self.pool.work()
        self.successResultOf(idle)
        self.assertEqual(len(self.there()[0]), 2)

    def test_what_waits_is_not_written_once_it_is_forgotten(self):
        for uploaded in range(2):
            self.saving.save(replace(saved(), uploaded=uploaded))
        done = self.saving.forget(METAINFO.info.info_hash)
        self.assertNoResult(done)
        self.pool.work()
        self.successResultOf(done)
        self.assertEqual(len(self.written), 1)
        self.assertFalse(self.path.exists())

    def test_what_is_saved_after_it_was_forgotten_stays(self):
        self.saving.save(saved(added_at=1.0))
        done = self.saving.forget(METAINFO.info.info_hash)
        self.saving.save(saved(added_at=2.0))
        self.pool.work()
        self.successResultOf(done)
        self.assertEqual(self.there(), ([saved(added_at=2.0)], []))

    def test_who_saves_is_told_when_that_or_something_newer_is_written(self):
        saves = [self.saving.save(replace(saved(), uploaded=number)) for number in range(3)]
        for save in saves:
            save.addCallback(lambda _: self.there()[0][0].uploaded)
            self.assertNoResult(save)
        self.pool.work()
        self.assertEqual([self.successResultOf(save) for save in saves], [0, 2, 2])

    def test_who_saves_what_is_then_forgotten_does_not_wait_for_ever(self):
        saves = [self.saving.save(saved(added_at=float(number))) for number in range(2)]
        self.saving.forget(METAINFO.info.info_hash)
        self.pool.work()
        for save in saves:
            self.successResultOf(save)

    def test_a_save_that_fails_is_logged_and_the_next_one_is_made(self):
        with patch("os.fsync", side_effect=OSError(28, "No space left on device")):
            failing = self.saving.save(saved())
            self.pool.work()
        self.successResultOf(failing)
        self.saving.save(saved())
        self.pool.work()
        self.assertEqual(self.there(), ([saved()], []))

    def test_a_bug_in_one_save_is_logged_and_the_others_are_made(self):
        self.saving.save(replace(saved(), save_path=7))
        self.saving.save(saved(MAGNET))
        self.pool.work()
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)
        self.assertEqual(self.there(), ([saved(MAGNET)], []))

    def test_who_forgets_is_told_what_stays(self):
        self.saving.save(saved())
        with patch("pathlib.Path.unlink", side_effect=OSError(30, "Read-only file system")):
            done = self.saving.forget(METAINFO.info.info_hash)
            self.pool.work()
        self.assertIn("Read-only", str(self.failureResultOf(done, StorageError).value))
        self.saving.save(saved(MAGNET))
        self.pool.work()
        self.assertEqual(len(self.there()[0]), 2)

    def test_who_gave_up_waiting_for_it_does_not_stop_the_work(self):
        self.saving.save(saved())
        done = self.saving.forget(METAINFO.info.info_hash)
        done.addErrback(lambda _failure: None)
        done.cancel()
        self.saving.save(saved(MAGNET))
        self.pool.work()
        self.assertEqual(self.there(), ([saved(MAGNET)], []))
