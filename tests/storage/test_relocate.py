"""Moving and renaming: every file is whole in its old place or its new one, whatever happens in between."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from unittest import mock

from bittwist.errors import DiskFull, FolderGone, StorageError
from bittwist.metainfo.files import safe_paths
from bittwist.storage.files import FileStorage
from bittwist.storage.folder import Folder
from bittwist.storage.relocate import CHUNK
from tests.storage.sudden import everywhere
from tests.storage.test_files import InFolder
from tests.storage.test_parts import FILES, INFO, PIECES, A, D
from tests.storage.torrents import content_of, make_info

NAMES = safe_paths(INFO)


@contextmanager
def linking(refusal: int, *, within: bool = False) -> Iterator[None]:
    """Links from one folder to another are refused (`within` one, too)."""
    real = os.link

    def link(old: str, new: str, *, src_dir_fd: int, dst_dir_fd: int, **how: Any) -> None:
        if within or not os.path.samestat(os.fstat(src_dir_fd), os.fstat(dst_dir_fd)):
            raise OSError(refusal, os.strerror(refusal))
        real(old, new, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd, **how)

    with mock.patch.object(os, "link", link):
        yield


class Moving(InFolder):
    def setUp(self) -> None:
        self.fresh()

    def fresh(self) -> None:
        """Some of the files are there, in part, and some of what is kept of the others."""
        folder = self.make_folder()
        self.old, self.new = folder / "old", folder / "new"
        storage = FileStorage(self.old, INFO)
        storage.prepare(frozenset({A, D}))
        for index in (2, 3):
            storage.write(index, 0, memoryview(PIECES[index]))
        storage.sync()
        storage.close()

    def move(self) -> None:
        for _ in FileStorage(self.new, INFO).take_over(self.old, NAMES):
            pass

    def assertMoved(self, why: object = None) -> None:
        storage = FileStorage(self.new, INFO)
        for index in (2, 3):
            buffer = bytearray(len(PIECES[index]))
            storage.read_into(index, 0, memoryview(buffer))
            self.assertEqual(buffer, PIECES[index], why)
        storage.close()
        self.assertEqual(self.there(self.old), [], why)
        self.assertEqual(
            self.there(self.new),
            [f".bittwist/{INFO.info_hash}.parts", "share/b", "share/c", "share/empty"],
            why,
        )

    def there(self, folder: Path) -> list[str]:
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())

    def stamps(self, folder: Path) -> list[tuple[int, int] | None]:
        stamps = FileStorage(folder, INFO).stamps()
        return [stamp and (stamp.size, stamp.mtime_ns) for stamp in stamps]

    def test_a_source_that_goes_meanwhile_is_what_is_named(self) -> None:
        real = Folder.parent_of

        def parent_of(folder: Folder, path: PurePosixPath, *, make: bool = False) -> Any:
            if make:  # the file was found, and is about to be brought
                shutil.rmtree(self.old, ignore_errors=True)
            return real(folder, path, make=make)

        with (
            mock.patch.object(Folder, "parent_of", parent_of),
            self.assertRaises(StorageError) as caught,
        ):
            self.move()
        self.assertTrue(str(caught.exception).startswith(f"{self.old}/share/b: "), caught.exception)

    def test_a_target_that_is_exchanged_at_the_last_moment_gets_nothing(self) -> None:
        real = Folder.parent_of
        self.new.mkdir()

        def parent_of(folder: Folder, path: PurePosixPath, *, make: bool = False) -> Any:
            if make and not (away := self.new.with_name("away")).exists():
                self.new.rename(away)
                self.new.mkdir()
            return real(folder, path, make=make)

        with mock.patch.object(Folder, "parent_of", parent_of), self.assertRaises(FolderGone):
            self.move()
        self.assertEqual(self.there(self.new), [])
        self.assertNotEqual(self.there(self.old), [])

    def test_all_that_is_there_moves_and_what_vouches_for_it_still_does(self) -> None:
        before = self.stamps(self.old)
        self.move()
        self.assertMoved()
        self.assertEqual(self.stamps(self.new), before)
        self.assertEqual(list(self.old.iterdir()), [])

    def test_to_another_file_system_it_is_copied_with_its_time_and_mode(self) -> None:
        os.chmod(self.old / "share/c", 0o640)
        before = self.stamps(self.old)
        with linking(errno.EXDEV):
            self.move()
        self.assertMoved()
        self.assertEqual(self.stamps(self.new), before)
        self.assertEqual(stat.S_IMODE((self.new / "share/c").stat().st_mode), 0o640)

    def test_holes_stay_holes_when_it_is_copied(self) -> None:
        info = make_info(content_of(1), [("big", 1)])  # the size on disk is what counts
        storage = FileStorage(self.old, info)
        storage.prepare()
        storage.close()
        with (self.old / "share/big").open("r+b") as file:
            file.truncate(100 << 20)
            file.seek(50 << 20)
            file.write(b"x" * (CHUNK + 5))
        with linking(errno.EXDEV):
            copied = list(FileStorage(self.new, info).take_over(self.old, safe_paths(info)))
        self.assertGreater(len(copied), 1)
        found = (self.new / "share/big").stat()
        self.assertEqual(found.st_size, 100 << 20)
        self.assertLess(found.st_blocks * 512, 8 << 20)

    def test_where_there_are_no_links_it_is_renamed_and_never_over_anything(self) -> None:
        for refusal in (errno.EPERM, errno.EOPNOTSUPP):
            self.fresh()
            with linking(refusal, within=True):
                self.move()
            self.assertMoved()

    def test_nothing_is_written_over(self) -> None:
        for links in (True, False):
            self.fresh()
            (self.new / "share").mkdir(parents=True)
            (self.new / "share/c").write_bytes(b"precious")
            if links:
                self.assertRaises(StorageError, self.move)
            else:
                with linking(errno.EXDEV):
                    self.assertRaises(StorageError, self.move)
            self.assertEqual((self.new / "share/c").read_bytes(), b"precious")
            self.assertTrue((self.old / "share/c").exists())

    def test_a_disk_without_room_leaves_the_file_where_it_was(self) -> None:
        full = mock.patch.object(os, "pwrite", side_effect=OSError(errno.ENOSPC, "No space left on device"))
        with linking(errno.EXDEV), full:
            self.assertRaises(DiskFull, self.move)
        self.assertEqual(self.there(self.new), [])
        self.move()
        self.assertMoved()

    def test_a_folder_that_is_exchanged_in_the_middle_is_named_and_nothing_is_made_in_it(self) -> None:
        """SECURITY.md F3: the drive is gone, and what is there is its empty mount point."""
        for which in ("old", "new"):
            self.fresh()
            folder = self.old if which == "old" else self.new
            with linking(errno.EXDEV):
                moving = FileStorage(self.new, INFO).take_over(self.old, NAMES)
                next(moving)
                drive = folder.with_name("drive")
                folder.rename(drive)
                folder.mkdir()
                with self.assertRaises(FolderGone) as caught:
                    list(moving)
                self.assertEqual(caught.exception.path, str(folder))
                self.assertEqual(list(folder.iterdir()), [])
                folder.rmdir()
                drive.rename(folder)
                self.move()
            self.assertMoved(which)

    def test_given_up_in_the_middle_it_can_be_finished_or_taken_back(self) -> None:
        with linking(errno.EXDEV):
            moving = FileStorage(self.new, INFO).take_over(self.old, NAMES)
            next(moving)
            moving.close()
            self.assertEqual([name for name in self.there(self.new) if "unfinished" in name], [])
            for _ in FileStorage(self.old, INFO).take_over(self.new, NAMES):
                pass
            self.assertEqual(self.there(self.new), [])
            self.move()
        self.assertMoved()

    def killed(self, live: Callable[[], None]) -> None:
        def after(at: int) -> None:
            both = self.there(self.old) + self.there(self.new)
            for name in ("share/b", "share/c", "share/empty"):
                self.assertIn(name, both, f"killed at {at}")
            self.move()
            self.assertMoved(f"killed at {at}")

        self.assertGreater(everywhere(live, self.fresh, after), 15)

    def test_a_kill_at_any_moment_of_a_move_loses_nothing(self) -> None:
        self.killed(self.move)

    def test_a_kill_at_any_moment_of_a_copy_loses_nothing(self) -> None:
        with linking(errno.EXDEV):
            self.killed(self.move)

    def test_a_kill_at_any_moment_of_a_move_without_links_loses_nothing(self) -> None:
        with linking(errno.EPERM, within=True):
            self.killed(self.move)

    def test_a_link_that_leads_elsewhere_is_not_moved(self) -> None:
        (self.old / "share/b").unlink()
        (self.old / "share/b").symlink_to("/etc/hostname")
        self.move()
        self.assertTrue((self.old / "share/b").is_symlink())
        self.assertFalse((self.new / "share/b").exists())

    def test_to_a_folder_that_is_the_same_by_another_way_nothing_is_lost(self) -> None:
        self.new.symlink_to(self.old)
        self.move()
        self.assertEqual(len(self.there(self.old)), 4)


class Renaming(InFolder):
    def setUp(self) -> None:
        self.fresh()

    def fresh(self) -> None:
        self.save = self.make_folder() / "save"
        self.storage = FileStorage(self.save, INFO)
        self.storage.prepare(frozenset({A}))
        self.storage.write(3, 0, memoryview(PIECES[3]))

    def test_a_file_has_its_new_name_and_what_is_open_stays_so(self) -> None:
        before = (self.save / "share/c").stat().st_ino
        self.storage.rename(3, PurePosixPath("else/where/c.bin"))
        self.assertEqual((self.save / "else/where/c.bin").stat().st_ino, before)
        self.assertFalse((self.save / "share/c").exists())
        self.storage.write(2, 0, memoryview(PIECES[2]))
        self.storage.sync()
        self.storage.close()
        self.assertEqual((self.save / "else/where/c.bin").stat().st_size, FILES[3][1])

    def test_folders_that_nothing_is_in_any_more_go(self) -> None:
        for file, (name, _) in enumerate(FILES):
            self.storage.rename(file, PurePosixPath("flat", name))
        self.assertFalse((self.save / "share").exists())

    def test_a_name_that_something_has_is_refused(self) -> None:
        (self.save / "taken").write_bytes(b"precious")
        for file in (0, 3):  # one that is not there, and one that is
            self.assertRaises(StorageError, self.storage.rename, file, PurePosixPath("taken"))
        self.assertEqual((self.save / "taken").read_bytes(), b"precious")
        self.storage.write(3, 0, memoryview(PIECES[3]))

    def test_a_file_that_is_not_there_is_made_under_its_new_name(self) -> None:
        self.storage.rename(A, PurePosixPath("other"))
        self.storage.prepare()
        self.assertTrue((self.save / "other").exists())
        self.assertFalse((self.save / "share/a").exists())

    def test_the_case_of_a_name_can_be_changed(self) -> None:
        self.storage.rename(3, PurePosixPath("share/C"))
        self.assertTrue((self.save / "share/C").exists())
        self.storage.rename(3, PurePosixPath("share/C"))
        self.assertTrue((self.save / "share/C").exists())

    def test_a_rename_to_another_file_system_is_refused_while_it_is_written_to(self) -> None:
        with linking(errno.EXDEV):
            self.assertRaises(StorageError, self.storage.rename, 3, PurePosixPath("else/c"))
        self.assertTrue((self.save / "share/c").exists())
        self.storage.write(3, 0, memoryview(PIECES[3]))

    def test_a_kill_at_any_moment_of_a_rename_loses_nothing(self) -> None:
        names = (*NAMES[:3], PurePosixPath("else/c"), *NAMES[4:])

        def after(at: int) -> None:
            storage = FileStorage(self.save, INFO, paths=names)
            for _ in storage.take_over(self.save, NAMES):
                pass
            buffer = bytearray(len(PIECES[3]))
            storage.read_into(3, 0, memoryview(buffer))
            self.assertEqual(buffer, PIECES[3], f"killed at {at}")
            self.assertFalse((self.save / "share/c").exists())

        self.assertGreater(everywhere(lambda: self.storage.rename(3, names[3]), self.fresh, after), 5)
