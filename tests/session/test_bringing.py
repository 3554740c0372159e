"""Files that the user deleted before a move, and files that a missing drive keeps (SECURITY.md F3)."""

import shutil
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from bittwist.session.course import Course
from bittwist.session.lifecycle import State
from tests.session.filed import SEED_HOST, FiledSwarm, share

METAINFO, DATA = share([("a", 40_000), ("b", 60_000), ("c", 50_000)])
NAMES = {"share/a", "share/b", "share/c"}


class DeletedBeforeTests(SynchronousTestCase):
    def setUp(self):
        self.swarm = FiledSwarm(self, METAINFO, DATA)
        self.session = self.swarm.leech()
        self.torrent = self.swarm.fetch(self.session)
        self.swarm.until_complete(self.torrent)

    def delete(self, *names, folder="save"):
        for name in names:
            (self.swarm.folder / folder / "share" / name).unlink()

    def restart(self):
        self.swarm.network.result_of(self.session.stopService())
        self.swarm.sessions.remove(self.session)
        self.session = self.swarm.leech()
        (self.torrent,) = self.session.torrents
        self.swarm.network.advance(1)

    def move_and_die(self, folder="other"):
        """The process ends when the move is remembered, and no file was brought yet."""
        with mock.patch.object(Course, "move", lambda course: None):
            moving = self.torrent.move(self.swarm.folder / folder)
            self.swarm.network.advance(1)
            self.assertNoResult(moving)
            self.restart()

    def assertFetchesOnly(self, size, folder="other"):
        """What was deleted is fetched again, and what was there is taken as it is."""
        self.torrent.start()
        self.session.add_peers(self.torrent, [f"{SEED_HOST}:6881"])
        before = self.torrent.tally.downloaded
        self.swarm.until_complete(self.torrent)
        self.assertLess(self.torrent.tally.downloaded - before, size + 2 * 16384)
        self.assertEqual((set(self.swarm.there("save")), set(self.swarm.there(folder))), (set(), NAMES))
        self.assertEqual(b"".join(self.swarm.there(folder).values()), DATA)
        self.swarm.quiet()

    def test_what_was_deleted_before_a_stopped_torrent_is_moved_is_fetched_after_it(self):
        self.swarm.network.result_of(self.torrent.stop())
        self.delete("a")
        self.swarm.network.result_of(self.torrent.move(self.swarm.folder / "other"))
        self.assertFetchesOnly(40_000)

    def test_what_was_deleted_before_a_seed_is_moved_is_fetched_after_it(self):
        self.delete("a")
        self.swarm.network.result_of(self.torrent.move(self.swarm.folder / "other"))
        self.assertFetchesOnly(40_000)

    def test_a_move_that_had_brought_nothing_yet_goes_on_without_what_was_deleted_before(self):
        self.swarm.network.result_of(self.torrent.stop())
        self.delete("a")
        self.move_and_die()
        self.assertFetchesOnly(40_000)

    def test_it_may_be_all_files(self):
        self.swarm.network.result_of(self.torrent.stop())
        self.delete("a", "b", "c")
        self.move_and_die()
        self.assertFetchesOnly(len(DATA))

    def test_what_was_brought_and_is_gone_with_its_drive_is_missed_all_the_same(self):
        self.swarm.network.result_of(self.torrent.stop())
        self.delete("a")
        self.move_and_die()
        there = self.swarm.folder / "other/share"
        there.mkdir(parents=True)
        (self.swarm.folder / "save/share/b").rename(there / "b")
        shutil.move(self.swarm.folder / "other", self.swarm.folder / "drive")
        self.torrent.start()
        self.swarm.network.advance(1)
        self.assertIs(self.torrent.state, State.FAILED)
        self.assertIn("/other: the files that were brought there are missing", self.torrent.reason)
        self.assertEqual(set(self.swarm.there("save")), {"share/c"})
        shutil.move(self.swarm.folder / "drive", self.swarm.folder / "other")
        self.assertFetchesOnly(40_000)

    def test_a_move_from_a_folder_that_is_gone_takes_nothing_for_deleted(self):
        self.swarm.network.result_of(self.torrent.stop())
        shutil.move(self.swarm.folder / "save", self.swarm.folder / "drive")
        moving = self.torrent.move(self.swarm.folder / "other")
        self.swarm.network.advance(1)
        self.assertIn("the folder is gone", str(self.failureResultOf(moving).value))
        shutil.move(self.swarm.folder / "drive", self.swarm.folder / "save")
        self.assertFetchesOnly(0)

    def test_a_rename_that_was_interrupted_misses_no_file_of_a_folder_that_is_there(self):
        self.swarm.network.result_of(self.torrent.stop())
        self.delete("a", "b", "c")
        home = self.torrent.home
        self.torrent._wanted.left = (home,)
        self.torrent.save()
        self.swarm.network.advance(1)
        self.restart()
        self.torrent.start()
        self.session.add_peers(self.torrent, [f"{SEED_HOST}:6881"])
        self.swarm.until_complete(self.torrent)
        self.assertEqual(set(self.swarm.there("save")), NAMES)
        self.swarm.quiet()
