"""Where the files of a torrent are, among files that have the names of others."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bittwist.metainfo.files import safe_paths
from bittwist.metainfo.info import Info
from bittwist.metainfo.metainfo import Metainfo
from bittwist.storage.comparing import verify
from bittwist.storage.hashing import create_torrent
from bittwist.storage.locate import locate
from tests.storage.torrents import make_info

TWINS = (("a?.txt", "a_.txt"), ("a:b", "a_b"), ("a\nb", "a_b"), ("x. ", "x"), ("con", "_con"))


class Namesakes(SynchronousTestCase):
    """Files whose safe name is the real name of another."""

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.base = Path(folder.name).resolve()
        self.root = self.base / "share"
        self.root.mkdir()

    def write(self, *names: str) -> None:
        for name in names:
            (self.root / name).write_bytes(os.fsencode(name) * 100)

    def all_good(self, metainfo: Metainfo, path: Path) -> bool:
        return all(result.good for result in verify(metainfo, path))

    def downloaded(self, metainfo: Metainfo) -> Path:
        """A folder with the same files, under the names that a download gives them."""
        target = self.base / "downloads"
        for entry, safe in zip(metainfo.info.files, safe_paths(metainfo.info)):
            there = target / safe
            there.parent.mkdir(parents=True, exist_ok=True)
            there.write_bytes((self.root / "/".join(entry.path)).read_bytes())
        return target

    def test_folders_that_no_file_of_the_torrent_can_be_in_are_not_looked_into(self) -> None:
        (self.root / "sub").mkdir()
        self.write("sub/a", "b")
        metainfo = create_torrent(self.root)
        (self.root / "other" / "sub").mkdir(parents=True)
        (self.base / "elsewhere" / "sub").mkdir(parents=True)
        looked: list[Path] = []
        real = os.scandir
        with mock.patch("os.scandir", lambda path: [looked.append(Path(path)), real(path)][1]):
            self.assertTrue(self.all_good(metainfo, self.base))
        self.assertEqual(set(looked), {self.base, self.root, self.root / "sub"})

    def test_the_originals_are_found_under_their_own_names(self) -> None:
        for odd, safe in TWINS:
            with self.subTest(odd):
                self.write(odd, safe)
                metainfo = create_torrent(self.root)
                for path in (self.root, self.base):
                    located = locate(metainfo.info, path)
                    self.assertEqual([one.name for one in located.paths], sorted((odd, safe)))
                    self.assertTrue(self.all_good(metainfo, path))
                (self.root / odd).unlink()
                (self.root / safe).unlink()

    def test_a_download_is_found_under_its_safe_names(self) -> None:
        for odd, safe in TWINS:
            with self.subTest(odd):
                self.write(odd, safe)
                metainfo = create_torrent(self.root)
                self.assertTrue(self.all_good(metainfo, self.downloaded(metainfo)))
                (self.root / odd).unlink()
                (self.root / safe).unlink()

    def test_a_file_that_is_missing_is_not_taken_for_its_namesake(self) -> None:
        self.write("a?.txt", "a_.txt")
        metainfo = create_torrent(self.root)
        for gone, left in (("a?.txt", "a_.txt"), ("a_.txt", "a?.txt")):
            content = (self.root / gone).read_bytes()
            (self.root / gone).unlink()
            located = locate(metainfo.info, self.root)
            self.assertEqual(len(set(located.paths)), 2)
            there = {
                entry.path[0]: (located.root / path).exists()
                for entry, path in zip(metainfo.info.files, located.paths)
            }
            self.assertEqual(there, {gone: False, left: True})
            (self.root / gone).write_bytes(content)

    def test_one_file_whose_name_a_neighbour_has_when_made_safe(self) -> None:
        self.write("a:b", "a_b")
        metainfo = create_torrent(self.root / "a:b")
        self.assertEqual(locate(metainfo.info, self.root).paths, (PurePosixPath("a:b"),))
        self.assertTrue(self.all_good(metainfo, self.root))
        (self.root / "a:b").unlink()
        self.assertEqual(locate(metainfo.info, self.root).paths, (PurePosixPath("a_b"),))

    def test_the_shared_folder_itself_may_have_a_namesake(self) -> None:
        for name in ("what?", "what_"):
            (self.base / name).mkdir()
            (self.base / name / "a").write_bytes(name.encode())
        metainfo = create_torrent(self.base / "what?")
        self.assertEqual(locate(metainfo.info, self.base).paths, (PurePosixPath("what?/a"),))
        self.assertTrue(self.all_good(metainfo, self.base))

    def test_names_that_read_alike_but_are_other_bytes_are_two_files(self) -> None:
        names = [os.fsdecode(raw) for raw in (b"caf\xe9", b"caf\xe8")]
        self.write(*names)
        metainfo = create_torrent(self.root)
        self.assertTrue(self.all_good(metainfo, self.root))

    @given(
        st.lists(
            st.sampled_from(["a", "a_", "a?", "a (1)", "..", "A", "a/b", "a_b"]), min_size=1, max_size=6
        ),
        st.sets(st.sampled_from(["a", "a_", "a?", "a (1)", "A", "a_b", "a_ (1)", "b"])),
    )
    def test_no_file_is_ever_two_entries(self, listed: list[str], there: set[str]) -> None:
        info = self.info(listed)
        if info is None:
            return
        with TemporaryDirectory() as folder:
            for name in there:
                (Path(folder) / name).write_bytes(b"x")
            located = locate(info, Path(folder))
            self.assertEqual(len(set(located.paths)), len(info.files))
            for path in located.paths:
                self.assertNotIn("..", path.parts)
                self.assertFalse(path.is_absolute())

    def info(self, listed: list[str]) -> Info | None:
        files = [(name, 1) for name in listed if name != ".."]
        return make_info(b"x" * len(files), files, name="listed") if files else None
