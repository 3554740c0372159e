"""What survives a restart."""

import shutil
from dataclasses import replace
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bittwist.errors import MetainfoError, StorageError
from bittwist.metainfo import bencode
from bittwist.metainfo.magnet import Magnet
from bittwist.session.home import Home
from bittwist.session.rules import Goals
from bittwist.session.state import SUFFIX, SavedTorrent, StateFolder
from bittwist.swarm.priorities import Priority, Wishes
from tests.session.torrents import content, torrent

METAINFO = torrent(content(50000), trackers=("http://tracker.example/announce",))
MAGNET = Magnet.parse("magnet:?xt=urn:btih:" + "ab" * 20 + "&dn=name&tr=http%3A%2F%2Ft.example%2Fannounce")

KEYS = [b"unchosen", b"priorities", b"sequential", b"first and last", b"names", b"left", b"goals", b"seeded"]
VALUES = st.recursive(
    st.integers(-2, 9) | st.binary(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([b"folder", b"names", b"ratio", b"idle", b"x"]), inner)
    ),
)


def saved(source=METAINFO, path="/srv/übung", added_at=5.0):
    return SavedTorrent(source, path, True, 7, 11, added_at)


class SavedTorrentTests(SynchronousTestCase):
    def test_it_comes_back_as_it_was(self):
        for source in (METAINFO, MAGNET):
            self.assertEqual(SavedTorrent.decode(saved(source).encode()), saved(source))

    @given(st.binary(max_size=200))
    def test_arbitrary_bytes_raise_only_our_error(self, data):
        with self.assertRaises(MetainfoError):
            SavedTorrent.decode(data)

    def test_each_missing_or_odd_key_is_refused(self):
        whole = saved().encode()
        for key in (b"save path", b"running", b"uploaded", b"downloaded", b"added at", b"metainfo"):
            broken = whole.replace(b"%d:%s" % (len(key), key), b"%d:%s" % (len(key), b"a" * len(key)))
            with self.assertRaises(MetainfoError):
                SavedTorrent.decode(broken)


class WishesTests(SynchronousTestCase):
    """What is kept of the user's wishes, and what of that is believed."""

    metainfo = torrent(content(50000), files=[(("a",), 20000), (("b",), 30000)])

    def saved(self, **changed):
        return replace(saved(self.metainfo), **changed)

    def test_wishes_come_back_as_they_were(self):
        whole = self.saved(
            names=((0, PurePosixPath("other/ä")), (1, PurePosixPath("b"))),
            left=(Home(Path("/old"), gone=(0,)), Home(Path("/older"), ((1, PurePosixPath("x")),))),
            wishes=Wishes((Priority.SKIP, Priority.HIGH), True, True),
            goals=Goals(1.5, 3600.0, None),
            seeded=77.0,
        )
        self.assertEqual(SavedTorrent.decode(whole.encode()), whole)

    def test_goals_of_its_own_that_are_none_come_back_too(self):
        for goals in (None, Goals(), Goals(ratio=0.0)):
            self.assertEqual(SavedTorrent.decode(self.saved(goals=goals).encode()).goals, goals)

    def test_superseeding_comes_back(self):
        state = replace(saved(), superseeds=True)
        self.assertEqual(SavedTorrent.decode(state.encode()), state)

    def test_that_nothing_was_chosen_comes_back(self):
        state = replace(saved(), unchosen="no file of “übung” is like that")
        self.assertEqual(SavedTorrent.decode(state.encode()), state)

    def test_where_nothing_was_asked_for_nothing_is_said(self):
        for key in (b"priorities", b"names", b"left", b"goals", b"sequential", b"seeded", b"unchosen"):
            self.assertNotIn(key, self.saved().encode())

    def test_names_that_are_not_safe_and_priorities_that_fit_no_torrent_are_refused(self):
        for changed in (
            {"names": ((0, PurePosixPath("../up")),)},
            {"names": ((0, PurePosixPath("/etc/passwd")),)},
            {"names": ((7, PurePosixPath("x")),)},
            {"names": ((0, PurePosixPath("data.bin/b")),)},
            {"left": (Home(Path("/old"), ((0, PurePosixPath("..")),)),)},
            {"left": (Home(Path("/old"), gone=(2,)),)},
            {"wishes": Wishes((Priority.LOW,))},
            {"wishes": Wishes((Priority.LOW, 3))},
        ):
            with self.subTest(changed=changed), self.assertRaises(MetainfoError):
                SavedTorrent.decode(self.saved(**changed).encode())
        with self.assertRaises(MetainfoError):
            SavedTorrent.decode(replace(saved(MAGNET), names=((0, PurePosixPath("x")),)).encode())

    @given(st.dictionaries(st.sampled_from(KEYS), VALUES))
    def test_arbitrary_wishes_raise_only_our_error(self, wishes):
        told = {**bencode.decode(self.saved().encode()), **wishes}
        try:
            SavedTorrent.decode(bencode.encode(told))
        except MetainfoError:
            pass


class StateFolderTests(SynchronousTestCase):
    def setUp(self):
        temporary = TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.path = Path(temporary.name) / "state"
        self.folder = StateFolder(self.path)

    def test_torrents_come_back_in_the_order_they_were_added(self):
        first, second = saved(MAGNET, added_at=1.0), saved(METAINFO, added_at=2.0)
        self.folder.save(second)
        self.folder.save(first)
        self.assertEqual(self.folder.load(), ([first, second], []))

    def test_torrents_added_in_one_second_keep_their_order(self):
        first, second = saved(MAGNET, added_at=1.6e9 + 0.25), saved(METAINFO, added_at=1.6e9 + 0.5)
        for torrents in ((first, second), (second, first)):
            for torrent_ in torrents:
                self.folder.save(torrent_)
            self.assertEqual(self.folder.load(), ([first, second], []))

    def test_a_clock_before_1970_loses_no_torrent(self):
        self.folder.save(saved(added_at=-3600.0))
        self.assertEqual(self.folder.load(), ([saved(added_at=0.0)], []))

    def test_what_is_there_already_is_not_written_again(self):
        self.folder.save(saved())
        for folder in (self.folder, StateFolder(self.path)):
            folder.load()
            with patch("os.fsync", side_effect=AssertionError("written")):
                folder.save(saved())

    def test_no_folder_is_no_torrents(self):
        self.assertEqual(self.folder.load(), ([], []))

    def test_an_unreadable_file_is_set_aside_alone(self):
        self.folder.save(saved(MAGNET))
        self.folder.save(saved(METAINFO))
        broken = next(self.path.glob(f"{MAGNET.info_hash}*"))
        broken.write_bytes(b"")
        torrents, troubles = self.folder.load()
        self.assertEqual(torrents, [saved(METAINFO)])
        self.assertIn(str(broken), str(troubles[0]))
        self.assertEqual(self.folder.load(), ([saved(METAINFO)], []))
        self.assertTrue(broken.with_name(broken.name + ".unreadable").exists())

    def test_a_second_file_of_a_torrent_is_set_aside(self):
        self.folder.save(saved())
        own = next(self.path.iterdir())
        for name in ("0", "z"):
            copy = own.with_name(name + own.suffix)
            copy.write_bytes(saved(path="/elsewhere", added_at=1.0).encode())
            torrents, troubles = self.folder.load()
            self.assertEqual(torrents, [saved()])
            (trouble,) = troubles
            self.assertIn(f"{copy}: set aside, as it is not the file of the torrent in it", str(trouble))
            self.assertEqual(self.folder.load(), ([saved()], []))
            self.assertFalse(copy.exists())

    def test_where_nothing_can_be_renamed_the_others_are_loaded_all_the_same(self):
        self.folder.save(saved())
        (self.path / ("0" + SUFFIX)).write_bytes(b"")
        (self.path / ("1" + SUFFIX)).write_bytes(saved().encode())
        with patch("pathlib.Path.rename", side_effect=OSError(30, "Read-only file system")):
            torrents, troubles = self.folder.load()
        self.assertEqual(torrents, [saved()])
        for trouble in troubles:
            self.assertIn("cannot be set aside: Read-only file system", str(trouble))
        self.assertEqual(len(troubles), 2)

    def test_a_file_that_cannot_be_opened_costs_the_others_nothing(self):
        self.folder.save(saved())
        (self.path / ("0" + SUFFIX)).mkdir()
        torrents, troubles = self.folder.load()
        self.assertEqual(torrents, [saved()])
        self.assertIn("Is a directory", str(troubles[0]))

    def test_a_folder_that_cannot_be_looked_into_is_told(self):
        with patch("os.listdir", side_effect=PermissionError(13, "Permission denied")):
            self.folder.save(saved())
            torrents, troubles = self.folder.load()
        self.assertEqual(torrents, [])
        self.assertIn("Permission denied", str(troubles[0]))

    def test_a_save_that_fails_leaves_the_one_before(self):
        self.folder.save(saved(added_at=1.0))
        full = patch("os.fsync", side_effect=OSError(28, "No space left on device"))
        with full, self.assertRaises(StorageError):
            self.folder.save(saved(added_at=2.0))
        self.assertEqual(self.folder.load(), ([saved(added_at=1.0)], []))

    def test_forgetting_the_last_torrent_removes_the_folder(self):
        self.folder.save(saved())
        self.folder.journal(METAINFO.info.info_hash).write_bytes(b"x")
        self.folder.forget(METAINFO.info.info_hash)
        self.assertFalse(self.path.exists())

    def test_forgetting_leaves_nothing_half_written_behind(self):
        for name in (f"{METAINFO.info.info_hash}{SUFFIX}.new", f"{METAINFO.info.info_hash}.journal.new"):
            self.folder.save(saved())
            (self.path / name).write_bytes(b"x")
            self.folder.forget(METAINFO.info.info_hash)
            self.assertFalse(self.path.exists())

    def test_what_cannot_be_removed_is_told_when_all_else_is_removed(self):
        self.folder.save(saved())
        stays = next(self.path.iterdir())
        stays.unlink()
        stays.mkdir()
        journal = self.folder.journal(METAINFO.info.info_hash)
        journal.write_bytes(b"x")
        with self.assertRaises(StorageError) as caught:
            self.folder.forget(METAINFO.info.info_hash)
        self.assertIn(str(stays), str(caught.exception))
        self.assertEqual(list(self.path.iterdir()), [stays])

    def test_forgetting_what_is_not_there_is_no_error(self):
        self.folder.forget(METAINFO.info.info_hash)

    def test_forgetting_one_torrent_keeps_the_others(self):
        self.folder.save(saved(METAINFO))
        self.folder.save(saved(MAGNET))
        self.folder.forget(MAGNET.info_hash)
        self.assertEqual(self.folder.load(), ([saved(METAINFO)], []))

    def test_a_folder_that_went_away_is_not_made_again(self):
        self.folder.save(saved())
        shutil.rmtree(self.path)
        with self.assertRaises(StorageError):
            self.folder.save(saved(path="/elsewhere"))
        self.assertFalse(self.path.exists())

    def test_after_the_last_torrent_was_forgotten_another_is_saved(self):
        self.folder.save(saved())
        self.folder.forget(METAINFO.info.info_hash)
        self.folder.save(saved(MAGNET))
        self.assertEqual(self.folder.load(), ([saved(MAGNET)], []))
