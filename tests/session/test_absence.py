"""A torrent whose folder goes away and comes back (SECURITY.md F3, T32)."""

from twisted.trial.unittest import SynchronousTestCase

from bittwist.errors import FolderGone, StorageError
from bittwist.session.lifecycle import State
from bittwist.storage.interfaces import Place
from bittwist.storage.memory import MemoryStorage
from tests.session.swarm import Swarm
from tests.session.torrents import content, torrent

DATA = content(1_000_000)
METAINFO = torrent(DATA, piece_length=32768)
DRIVE, MOUNT_POINT = Place(7, 2), Place(1, 99)


class Removable:
    """A drive that can be taken away; what is on it stays on it."""

    def __init__(self):
        self.there = DRIVE
        self.trouble = None
        self.looks = 0
        self._kept = None

    def storage(self, info):
        self._kept = self._kept or MemoryStorage(info)
        return Removed(self, self._kept)


class Removed:
    def __init__(self, drive, kept):
        self._drive = drive
        self._kept = kept

    def place(self):
        self._drive.looks += 1
        if self._drive.trouble is not None:
            raise self._drive.trouble
        return self._drive.there

    def write(self, index, begin, view):
        self._check()
        self._kept.write(index, begin, view)

    def prepare(self, skipped=frozenset()):
        self._check()

    def _check(self):
        there = self._drive.there
        if there != DRIVE:
            found = None if there is None else (there.device, there.inode)
            raise FolderGone("/drive", "the folder is not the one it was", found)

    def __getattr__(self, name):
        return getattr(self._kept, name)


class AbsenceTests(SynchronousTestCase):
    def setUp(self):
        self.swarm = Swarm()
        self.swarm.add(self.swarm.session("10.0.0.1", DATA), METAINFO)
        self.swarm.network.host("10.0.0.1").limit(upload=10_000)
        self.drive = Removable()
        leech = self.swarm.session("10.0.0.2", storage=self.drive.storage)
        self.fetching = self.swarm.add(leech, METAINFO, ["10.0.0.1:6881"])
        self.changes = []
        leech.observe(lambda event: self.changes.append(event.happening))
        self.swarm.network.run_until(lambda: self.fetching.tally.downloaded > 300_000)

    def taken_away(self, leaving):
        self.drive.there = leaving
        started = self.swarm.network.seconds()
        self.swarm.network.run_until(lambda: self.fetching.state is State.FAILED)
        self.assertLessEqual(self.swarm.network.seconds() - started, 5)
        self.assertIn("the folder is not the one it was", self.fetching.reason)
        self.swarm.network.advance(0)
        self.changes.clear()

    def test_it_goes_on_by_itself_when_the_drive_is_back(self):
        for leaving in (None, MOUNT_POINT):
            self.taken_away(leaving)
            done = self.swarm.storages["10.0.0.2"]
            self.swarm.network.advance(300)
            self.assertEqual(self.changes, [], "nothing is tried while it is away")
            self.assertIs(self.swarm.storages["10.0.0.2"], done)
            self.drive.there = DRIVE
            self.swarm.network.advance(31)
            self.assertIs(self.fetching.state, State.DOWNLOADING)
            self.swarm.network.run_until(lambda: len(self.fetching) == 1, 120)
        self.swarm.until_complete(self.fetching)
        self.assertEqual(self.swarm.data("10.0.0.2", METAINFO.info), DATA)
        self.swarm.quiet(after=10)

    def test_an_impostor_fails_once_and_the_right_one_is_still_looked_for(self):
        self.taken_away(None)
        self.drive.there = Place(3, 3)
        self.swarm.network.advance(300)
        self.assertEqual([change.state for change in self.changes], [State.CHECKING, State.FAILED])
        self.drive.there = DRIVE
        self.swarm.network.advance(31)
        self.assertIs(self.fetching.state, State.DOWNLOADING)
        self.swarm.quiet(after=10)

    def test_a_drive_that_cannot_be_looked_at_is_looked_for_again(self):
        self.taken_away(None)
        self.drive.trouble, self.drive.there = StorageError("/drive", "input/output error"), DRIVE
        self.swarm.network.advance(100)
        self.assertIs(self.fetching.state, State.FAILED)
        self.drive.trouble = None
        self.swarm.network.advance(31)
        self.assertIs(self.fetching.state, State.DOWNLOADING)
        self.swarm.quiet(after=10)

    def test_a_stopped_torrent_looks_no_more(self):
        self.taken_away(None)
        self.swarm.network.result_of(self.fetching.stop())
        self.drive.looks = 0
        self.drive.there = DRIVE
        self.swarm.network.advance(100)
        self.assertEqual(self.drive.looks, 0)
        self.assertIs(self.fetching.state, State.STOPPED)
        self.swarm.quiet(after=10)
