"""FileStorage: a torrent's files below one folder, and nothing elsewhere."""

from __future__ import annotations

import errno
import os
import socket
from functools import partial
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from bittwist.errors import DiskFull, StorageError
from bittwist.metainfo.info import Info
from bittwist.storage.files import FileStorage
from bittwist.storage.interfaces import IStorage, MissingData
from bittwist.storage.memory import MemoryStorage
from bittwist.storage.openfiles import OpenFiles
from tests.storage.contract import FILES, StorageContract
from tests.storage.torrents import content_of, make_info, pieces_of


class InFolder(SynchronousTestCase):
    def make_folder(self) -> Path:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return Path(folder.name)


class FileStorageKeepsTheContract(StorageContract, InFolder):
    def make_storage(self, info: Info) -> IStorage:
        return FileStorage(self.make_folder() / "save", info)

    def test_the_files_are_what_the_torrent_says(self) -> None:
        folder = self.make_folder()
        self.storage = FileStorage(folder, self.info)
        self.fill()
        self.storage.close()
        at = 0
        for path, size, *attr in FILES:
            if not attr:
                self.assertEqual((folder / "share" / path).read_bytes(), self.content[at : at + size])
            at += size

    def test_a_pad_file_is_never_made(self) -> None:
        folder = self.make_folder()
        self.storage = FileStorage(folder, self.info)
        self.fill()
        self.assertFalse((folder / "share/pad").exists())


class FileStorageWithFullAllocationKeepsTheContract(StorageContract, InFolder):
    def make_storage(self, info: Info) -> IStorage:
        return FileStorage(self.make_folder(), info, allocation="full")

    def test_it_is_occupied_once_something_was_written(self) -> None:
        self.assertFalse(self.storage.occupied())
        self.storage.prepare()
        sizes = [stamp.size if stamp else None for stamp in self.storage.stamps()]
        self.assertEqual(sizes, [size if not attr else None for _, size, *attr in FILES])


class FileStorageThatOpensOneFileAtATimeKeepsTheContract(StorageContract, InFolder):
    def make_storage(self, info: Info) -> IStorage:
        return FileStorage(self.make_folder(), info, open_files=OpenFiles(0))


class MemoryStorageKeepsTheContract(StorageContract, SynchronousTestCase):
    def make_storage(self, info: Info) -> IStorage:
        return MemoryStorage(info)


class OneFile(InFolder):
    """A torrent of three pieces in one file, and whatever may be in its way."""

    def setUp(self) -> None:
        self.content = content_of(80_000)
        self.info = make_info(self.content)
        self.folder = self.make_folder()
        self.save = self.folder / "save"
        self.path = self.save / "share"
        self.storage = FileStorage(self.save, self.info)
        self.addCleanup(self.storage.close)

    def write(self, index: int = 0) -> None:
        self.storage.write(index, 0, memoryview(pieces_of(self.info, self.content)[index]))

    def read(self, index: int = 0) -> bytes:
        buffer = bytearray(self.info.geometry.piece_size(index))
        self.storage.read_into(index, 0, memoryview(buffer))
        return bytes(buffer)

    def assertRefused(self, reason: str, call, *args) -> StorageError:
        error = self.assertRaises(StorageError, call, *args)
        self.assertIn(reason, error.reason)
        return error

    def test_a_link_in_the_place_of_a_file_is_not_followed(self) -> None:
        outside = self.folder / "outside"
        outside.write_bytes(b"mine")
        self.save.mkdir()
        self.path.symlink_to(outside)
        self.assertRefused("in the way", self.storage.prepare)
        self.assertRefused("link", self.write)
        self.assertRefused("link", self.read)
        self.assertEqual(outside.read_bytes(), b"mine")

    def test_a_dangling_link_makes_no_file_at_its_end(self) -> None:
        self.save.mkdir()
        self.path.symlink_to(self.folder / "outside")
        self.assertRefused("in the way", self.storage.prepare)
        self.assertFalse((self.folder / "outside").exists())

    def test_a_link_in_the_place_of_a_folder_is_not_followed(self) -> None:
        info = make_info(self.content, [("sub/a", 40_000), ("sub/b", 40_000)])
        storage = FileStorage(self.save, info)
        (self.folder / "outside").mkdir()
        (self.save / "share").mkdir(parents=True)
        (self.save / "share/sub").symlink_to(self.folder / "outside")
        for call in (storage.prepare, partial(storage.write, 0, 0, memoryview(self.content)[:32768])):
            refused = self.assertRefused("is a link", call)
            self.assertEqual(refused.path, str(self.save / "share/sub"))
        self.assertEqual(list((self.folder / "outside").iterdir()), [])

    def test_a_file_in_the_place_of_a_folder_is_named_wherever_it_is_on_the_way(self) -> None:
        for way, reason in (("share/sub", "is a file"), ("share", "is a file"), ("", "is a file")):
            with self.subTest(way):
                save = self.make_folder() / "save"
                there = save / way
                there.parent.mkdir(parents=True, exist_ok=True)
                there.write_bytes(b"mine")
                info = make_info(self.content, [("sub/a", 40_000), ("sub/b", 40_000)])
                storage = FileStorage(save, info)
                self.assertEqual(self.assertRefused(reason, storage.prepare).path, str(there))
                storage = FileStorage(save / "below", info)
                if not way:
                    self.assertEqual(self.assertRefused(reason, storage.prepare).path, str(there))
                self.assertEqual(there.read_bytes(), b"mine")

    def test_what_is_neither_file_nor_link_nor_folder_is_named_too(self) -> None:
        self.save.mkdir()
        os.mkfifo(self.path)
        storage = FileStorage(self.save, make_info(self.content, [("a", 40_000), ("b", 40_000)]))
        self.assertEqual(self.assertRefused("is no folder", storage.prepare).path, str(self.path))

    def test_a_folder_that_may_not_be_entered_is_named(self) -> None:
        info = make_info(self.content, [("sub/a", 40_000), ("sub/b", 40_000)])
        storage = FileStorage(self.save, info)
        storage.prepare()
        storage.close()
        real = os.open

        def refuse(path: object, *words: Any, **how: Any) -> int:
            if path == "sub":
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            return real(path, *words, **how)  # type: ignore[arg-type]

        with mock.patch("os.open", refuse):
            refused = self.assertRefused(
                "Permission denied", storage.read_into, 0, 0, memoryview(bytearray(9))
            )
        self.assertEqual(refused.path, str(self.save / "share/sub"))

    def test_the_save_folder_itself_may_be_a_link(self) -> None:
        (self.folder / "real").mkdir()
        self.save.symlink_to(self.folder / "real")
        self.storage.prepare()
        self.write()
        self.assertEqual((self.folder / "real/share").read_bytes(), self.content[:32768])

    def test_a_pipe_or_a_socket_or_a_folder_in_the_way_is_refused_at_once(self) -> None:
        self.save.mkdir()
        os.mkfifo(self.path)
        self.assertRefused("in the way", self.storage.prepare)
        self.assertRefused("not a regular file", self.write)
        self.path.unlink()
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(self.path))
            self.assertRaises(StorageError, self.storage.prepare)
            self.assertRaises(StorageError, self.write)
        self.path.unlink()
        self.path.mkdir()
        self.assertRaises(StorageError, self.storage.prepare)
        self.assertRaises(StorageError, self.write)

    def test_a_file_that_was_removed_meanwhile_is_not_made_again(self) -> None:
        self.storage.prepare()
        self.write()
        self.path.unlink()
        self.assertRefused("removed", self.write)
        self.storage.close()
        self.assertRefused("No such file", self.write)
        self.assertRaises(MissingData, self.read)
        self.assertEqual(list(self.save.iterdir()), [])

    def test_a_folder_that_is_gone_is_named_and_not_made_again(self) -> None:
        self.storage.prepare()
        self.write()
        self.save.rename(self.folder / "elsewhere")
        self.assertRefused("gone", self.write)
        self.assertRefused("gone", self.read)
        self.assertFalse(self.save.exists())

    def test_nothing_is_made_in_another_folder_of_the_same_name(self) -> None:
        self.storage.prepare()
        self.save.rename(self.folder / "elsewhere")
        self.save.mkdir()  # as the mount point under a drive that was taken away
        self.assertRefused("not the one", self.write)
        self.assertRefused("not the one", self.read)
        self.assertEqual(list(self.save.iterdir()), [])

    def test_a_folder_that_is_back_is_used_again_after_a_close(self) -> None:
        self.storage.prepare()
        self.write()
        self.save.rename(self.folder / "elsewhere")
        self.assertRefused("gone", self.write)
        self.storage.close()
        (self.folder / "elsewhere").rename(self.save)
        self.write()
        self.assertEqual(self.read(), self.content[:32768])

    def test_a_longer_file_is_cut_only_when_it_is_written_to(self) -> None:
        self.save.mkdir()
        self.path.write_bytes(self.content + b"more")
        self.storage.prepare()
        self.assertEqual(self.read(2), self.content[65536:])
        self.assertEqual(self.path.stat().st_size, 80_004)
        self.write(0)
        self.assertEqual(self.path.read_bytes(), self.content)

    def test_a_share_may_have_other_names_than_its_torrent(self) -> None:
        (self.folder / "original name").write_bytes(self.content)
        storage = FileStorage(self.folder, self.info, paths=[PurePosixPath("original name")])
        storage.prepare()
        buffer = bytearray(32768)
        storage.read_into(1, 0, memoryview(buffer))
        self.assertEqual(buffer, self.content[32768:65536])
        storage.close()

    def test_a_read_only_share_can_be_read_and_synced(self) -> None:
        self.save.mkdir()
        self.path.write_bytes(self.content)
        self.path.chmod(0o444)
        self.save.chmod(0o555)
        self.addCleanup(self.save.chmod, 0o755)
        self.storage.prepare()
        self.assertEqual(self.read(1), self.content[32768:65536])
        self.storage.sync(everything=True)

    def test_what_the_system_refuses_is_named(self) -> None:
        self.storage.prepare()
        for number, kind in [
            (errno.ENOSPC, DiskFull),
            (errno.EDQUOT, DiskFull),
            (errno.EIO, StorageError),
            (errno.EROFS, StorageError),
            (errno.EACCES, StorageError),
        ]:
            with mock.patch("os.pwrite", side_effect=OSError(number, os.strerror(number))):
                error = self.assertRaises(kind, self.write)
            self.assertEqual((error.path, error.reason), (str(self.path), os.strerror(number)))
            with mock.patch("os.preadv", side_effect=OSError(number, os.strerror(number))):
                self.assertRaises(kind, self.read)

    def test_a_write_that_comes_short_goes_on(self) -> None:
        self.storage.prepare()
        pwrite = os.pwrite
        with mock.patch("os.pwrite", lambda fd, view, at: pwrite(fd, view[:1000], at)):
            self.write()
        self.assertEqual(self.read(), self.content[:32768])

    def test_a_read_that_comes_short_goes_on(self) -> None:
        self.storage.prepare()
        self.write()
        preadv = os.preadv
        with mock.patch("os.preadv", lambda fd, views, at: preadv(fd, [views[0][:1000]], at)):
            self.assertEqual(self.read(), self.content[:32768])

    def test_what_a_failed_sync_did_not_sync_is_synced_by_the_next(self) -> None:
        self.storage.prepare()
        self.write()
        with mock.patch("os.fdatasync", side_effect=OSError(errno.EIO, "bad")):
            self.assertRaises(StorageError, self.storage.sync)
        with mock.patch("os.fdatasync") as synced:
            self.storage.sync()
            self.storage.sync()
        self.assertEqual(synced.call_count, 1)

    def test_files_of_ours_are_not_inherited_by_children(self) -> None:
        self.storage.prepare()
        self.write()
        for name in os.listdir("/proc/self/fd"):
            try:
                target = os.readlink(f"/proc/self/fd/{name}")
            except FileNotFoundError:
                continue
            if target.startswith(str(self.save)):
                self.assertFalse(os.get_inheritable(int(name)))
                break
        else:
            self.fail("the file is not open")

    def test_a_sparse_file_takes_no_room_for_what_is_not_written(self) -> None:
        info = make_info(bytes(1 << 20), piece_length=1 << 18)
        storage = FileStorage(self.save, info)
        storage.prepare()
        storage.write(3, 0, memoryview(b"x" * (1 << 18)))
        self.assertEqual([storage.holes(index) for index in range(4)], [True, True, True, False])
        self.assertLess(self.path.stat().st_blocks * 512, 1 << 19)
        storage.close()


class ManyFiles(InFolder):
    def test_open_files_are_bounded_and_all_closed(self) -> None:
        content = content_of(200 * 100)
        info = make_info(content, [(f"{n:03}", 100) for n in range(200)], piece_length=16384)
        open_files = OpenFiles(8)
        storage = FileStorage(self.make_folder(), info, open_files=open_files)
        before = len(os.listdir("/proc/self/fd"))
        storage.prepare()
        for index, piece in enumerate(pieces_of(info, content)):
            storage.write(index, 0, memoryview(piece))
            self.assertLessEqual(len(open_files), 8)
        storage.sync()
        storage.close()
        self.assertEqual(len(open_files), 0)
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)

    def test_hostile_names_stay_inside(self) -> None:
        names = ["../../x", "/etc/x", "a/../../x", "../y", "con", "a\\..\\x", "\u202ex", "x", "X", "x/y"]
        content = content_of(len(names) * 10)
        folder = self.make_folder()
        info = make_info(content, [(name, 10) for name in names], name="../../evil")
        storage = FileStorage(folder / "deep" / "save", info)
        storage.prepare()
        storage.write(0, 0, memoryview(content))
        storage.close()
        self.assertEqual([path.name for path in folder.iterdir()], ["deep"])
        self.assertEqual([path.name for path in (folder / "deep").iterdir()], ["save"])
        self.assertEqual(len([p for p in (folder / "deep").rglob("*") if p.is_file()]), len(names))
