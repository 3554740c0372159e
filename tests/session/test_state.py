"""What survives a restart."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bittwist.errors import MetainfoError, StorageError
from bittwist.metainfo.magnet import Magnet
from bittwist.session.state import SavedTorrent, StateFolder
from tests.session.torrents import content, torrent

METAINFO = torrent(content(50000), trackers=("http://tracker.example/announce",))
MAGNET = Magnet.parse("magnet:?xt=urn:btih:" + "ab" * 20 + "&dn=name&tr=http%3A%2F%2Ft.example%2Fannounce")


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
