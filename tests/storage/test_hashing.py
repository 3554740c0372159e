"""Scanning and hashing without a reactor, and comparing files with a torrent."""

from __future__ import annotations

import errno
import os
from concurrent.futures import CancelledError
from hashlib import sha1
from pathlib import Path, PurePosixPath
from random import Random
from tempfile import TemporaryDirectory
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from bittwist.errors import StorageError
from bittwist.metainfo.create import CreateOptions
from bittwist.metainfo.metainfo import Metainfo
from bittwist.storage import hashing
from bittwist.storage.comparing import Verdict, verify
from bittwist.storage.hashing import create_torrent, hash_tree, scan
from bittwist.storage.locate import locate
from tests.storage.torrents import content_of, make_info


class OnFiles(SynchronousTestCase):
    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name).resolve() / "share"
        self.root.mkdir()

    def write(self, name: str, content: bytes | int = 10) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content_of(content, seed=len(name)))
        return path

    def names(self, *args, **how) -> list[str]:
        return ["/".join(file.components) for file in scan(self.root, *args, **how)]


class Scanning(OnFiles):
    def test_files_come_bytewise_by_their_whole_path(self) -> None:
        for name in ("b", "a/z", "a.b", "A", "a-b", "\u00e9", ".hidden", "a/b/c", "\uff21", "\U00010000"):
            self.write(name)
        expected = [".hidden", "A", "a-b", "a.b", "a/b/c", "a/z", "b", "\u00e9", "\uff21", "\U00010000"]
        self.assertEqual(self.names(), expected)

    def test_a_file_is_a_torrent_of_its_own(self) -> None:
        path = self.write("one", 77)
        self.assertEqual([(f.path, f.components, f.size) for f in scan(path)], [(path, (), 77)])

    def test_links_and_what_is_no_file_are_left_out_and_told(self) -> None:
        self.write("real")
        (self.root / "link").symlink_to(self.root / "real")
        (self.root / "loop").symlink_to(self.root)
        os.mkfifo(self.root / "pipe")
        left_out: list[Path] = []
        self.assertEqual(self.names(left_out=left_out.append), ["real"])
        self.assertEqual(sorted(path.name for path in left_out), ["link", "loop", "pipe"])

    def test_globs_choose_by_path_or_by_any_name_in_it(self) -> None:
        for name in ("a.txt", "b.log", "sub/c.txt", "sub/d.log", "cache/e.txt"):
            self.write(name)
        self.assertEqual(self.names(["*.txt"]), ["a.txt", "cache/e.txt", "sub/c.txt"])
        self.assertEqual(self.names((), ["*.log", "cache"]), ["a.txt", "sub/c.txt"])
        self.assertEqual(self.names(["sub/*"], ["*.log"]), ["sub/c.txt"])

    def test_nothing_to_share_is_an_error(self) -> None:
        self.assertRaises(StorageError, scan, self.root)
        self.assertRaises(StorageError, scan, self.root / "missing")
        self.write("a")
        self.assertRaises(StorageError, scan, self.root, ["*.txt"])

    def test_what_is_neither_file_nor_folder_is_said_to_be_so(self) -> None:
        os.mkfifo(self.root / "pipe")
        for path in (self.root / "pipe", Path("/dev/null")):
            refused = self.assertRaises(StorageError, scan, path)
            self.assertEqual(str(refused), f"{path}: is no file or folder")

    def test_the_folder_that_cannot_be_read_is_named_and_not_the_one_that_is_shared(self) -> None:
        self.write("deep/down/a")
        real = os.scandir

        def refuse(path: Path) -> object:
            if path.name == "down":
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            return real(path)

        with mock.patch("os.scandir", refuse):
            refused = self.assertRaises(StorageError, scan, self.root)
        self.assertEqual(str(refused), f"{self.root / 'deep/down'}: Permission denied")

    def test_a_file_that_goes_while_it_is_scanned_is_named(self) -> None:
        path = self.write("deep/a")
        entry = mock.Mock(path=str(path))
        entry.stat.side_effect = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        with mock.patch("bittwist.storage.scan.walk", lambda *_: [(entry, ("deep", "a"))]):
            refused = self.assertRaises(StorageError, scan, self.root)
        self.assertEqual(str(refused), f"{path}: No such file or directory")


class Hashing(OnFiles):
    def expected(self, content: bytes, length: int) -> bytes:
        return b"".join(sha1(content[at : at + length]).digest() for at in range(0, len(content), length))

    def test_pieces_run_on_over_the_ends_of_files(self) -> None:
        random = Random(5)
        sizes = [0, 1, 0, 70_000, 16_384, 0, 3, 300_001, 5, 0]
        paths = [self.write(f"{n}", random.randbytes(size)) for n, size in enumerate(sizes)]
        content = b"".join(path.read_bytes() for path in paths)
        for length in (16_384, 32_768, 1 << 20, 7):
            for threads in (1, 3):
                with mock.patch.object(hashing, "PART", 50_000), mock.patch.object(hashing, "RUN", 100_000):
                    digests = hash_tree(paths, length, threads=threads)
                self.assertEqual(digests, self.expected(content, length))

    def test_nothing_has_no_pieces(self) -> None:
        self.assertEqual(hash_tree([self.write("empty", 0)], 16_384), b"")

    def test_progress_ends_with_all(self) -> None:
        seen: list[tuple[int, int]] = []
        hash_tree([self.write("a", 100_000)], 16_384, progress=lambda *now: seen.append(now))
        self.assertEqual(seen[-1], (100_000, 100_000))

    def test_it_is_cancelled_and_leaves_no_file_open(self) -> None:
        path = self.write("a", 1_000_000)
        before = len(os.listdir("/proc/self/fd"))
        with mock.patch.object(hashing, "RUN", 16_384):
            self.assertRaises(CancelledError, hash_tree, [path], 16_384, cancelled=lambda: True)
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)

    def test_a_file_that_changed_its_size_is_named(self) -> None:
        path = self.write("a", 1000)
        for size in (999, 1001):
            error = self.assertRaises(StorageError, hash_tree, [path], 16_384, sizes=[size])
            self.assertEqual(error.path, str(path))

    def test_a_file_that_cannot_be_read_is_named(self) -> None:
        path = self.write("a", 1000)
        with mock.patch("os.preadv", side_effect=OSError(5, "Input/output error")):
            error = self.assertRaises(StorageError, hash_tree, [path], 16_384)
        self.assertEqual((error.path, error.reason), (str(path), "Input/output error"))

    def test_a_torrent_is_made_of_a_folder(self) -> None:
        self.write("b", 40_000)
        self.write("a/c", 30_000)
        self.write("skip.log", 5)
        options = CreateOptions(trackers=(("http://tracker.example/announce",),), private=True)
        metainfo = create_torrent(self.root, options, piece_length=16_384, exclude=["*.log"])
        self.assertEqual([entry.path for entry in metainfo.info.files], [("a", "c"), ("b",)])
        self.assertEqual((metainfo.info.name, metainfo.info.num_pieces), ("share", 5))
        self.assertTrue(all(result.good for result in verify(metainfo, self.root)))


class Verifying(OnFiles):
    """Five files over pieces of 16 KiB: small ones share pieces with their neighbours."""

    def setUp(self) -> None:
        super().setUp()
        for name, size in (("a", 40_000), ("b", 100), ("c", 0), ("d", 40_000), ("e", 16_384)):
            self.write(name, size)
        self.metainfo = create_torrent(self.root, piece_length=16_384)

    def verdicts(self, path: Path | None = None, **how) -> dict[str, Verdict]:
        return {
            result.path.name: result.verdict for result in verify(self.metainfo, path or self.root, **how)
        }

    def assertVerdicts(self, **changed: Verdict) -> None:
        expected = dict.fromkeys("abcde", Verdict.GOOD) | changed
        self.assertEqual(self.verdicts(), expected)

    def test_all_is_good_where_nothing_changed(self) -> None:
        self.assertVerdicts()

    def test_the_folder_that_holds_it_will_do(self) -> None:
        self.assertEqual(set(self.verdicts(self.root.parent).values()), {Verdict.GOOD})

    def test_a_damaged_file_does_not_condemn_its_neighbours(self) -> None:
        content = bytearray((self.root / "a").read_bytes())
        content[0] ^= 1
        (self.root / "a").write_bytes(content)
        self.assertVerdicts(a=Verdict.DAMAGED)

    def test_a_missing_file_leaves_open_who_shares_its_pieces(self) -> None:
        (self.root / "b").unlink()
        self.assertVerdicts(a=Verdict.UNKNOWN, b=Verdict.MISSING, d=Verdict.UNKNOWN)

    def test_a_file_of_another_size_is_not_good_even_if_its_pieces_are(self) -> None:
        with (self.root / "e").open("ab") as file:
            file.write(b"more")
        (self.root / "c").write_bytes(b"not empty")
        self.assertVerdicts(e=Verdict.WRONG_SIZE, c=Verdict.WRONG_SIZE)

    def test_an_unreadable_file_is_named_with_its_reason(self) -> None:
        (self.root / "e").unlink()
        (self.root / "e").symlink_to(self.root / "d")
        results = {result.path.name: result for result in verify(self.metainfo, self.root)}
        self.assertEqual(results["e"].verdict, Verdict.UNREADABLE)
        self.assertIn("link", results["e"].reason)

    def test_a_link_in_the_place_of_a_folder_is_named(self) -> None:
        self.write("sub/f", 50_000)
        metainfo = create_torrent(self.root)
        (self.root / "sub").rename(self.root.parent / "elsewhere")
        (self.root / "sub").symlink_to(self.root.parent / "elsewhere")
        results = {result.path.name: result for result in verify(metainfo, self.root)}
        self.assertEqual(results["f"].verdict, Verdict.UNREADABLE)
        self.assertEqual(results["f"].reason, f"{self.root / 'sub'} is a link")

    def test_nothing_there_is_missing_and_nothing_is_made(self) -> None:
        elsewhere = self.root.parent / "elsewhere"
        self.assertEqual(set(self.verdicts(elsewhere).values()), {Verdict.MISSING})
        self.assertFalse(elsewhere.exists())

    def test_progress_and_cancelling(self) -> None:
        seen: list[tuple[int, int]] = []
        self.verdicts(progress=lambda *now: seen.append(now))
        self.assertEqual(seen[-1], (96_484, 96_484))
        self.assertRaises(CancelledError, self.verdicts, cancelled=lambda: True)


class Locating(OnFiles):
    def test_a_single_file_may_have_any_name(self) -> None:
        info = make_info(b"x" * 100, name="listed")
        path = self.write("renamed", 100)
        self.assertEqual(locate(info, path).paths, (PurePosixPath("renamed"),))
        self.assertEqual(locate(info, self.root).paths, (PurePosixPath("listed"),))

    def test_a_shared_folder_may_have_any_name(self) -> None:
        info = make_info(b"x" * 20, [("a", 10), ("b/c", 10)], name="listed")
        self.write("a")
        located = locate(info, self.root)
        self.assertEqual(
            (located.root, located.paths), (self.root, (PurePosixPath("a"), PurePosixPath("b/c")))
        )

    def test_the_folder_that_holds_it_is_told_from_it(self) -> None:
        info = make_info(b"x" * 20, [("a", 10), ("b/c", 10)], name="listed")
        self.write("listed/b/c")
        self.assertEqual(locate(info, self.root).paths[1], PurePosixPath("listed/b/c"))

    def test_originals_keep_names_that_a_download_would_change(self) -> None:
        names = ["what?.txt", "aux", "e\u0301", "good"]
        for name in names:
            self.write(name, 10)
        metainfo: Metainfo = create_torrent(self.root)
        self.assertEqual({str(path) for path in locate(metainfo.info, self.root).paths}, set(names))
        self.assertTrue(all(result.good for result in verify(metainfo, self.root)))

    def test_names_that_are_not_unicode_are_found(self) -> None:
        self.write(os.fsdecode(b"caf\xe9"), 10)
        metainfo = create_torrent(self.root)
        self.assertTrue(all(result.good for result in verify(metainfo, self.root)))

    def test_a_link_is_never_the_file(self) -> None:
        (self.root.parent / "outside").write_bytes(b"x" * 10)
        (self.root / "a").symlink_to(self.root.parent / "outside")
        info = make_info(b"x" * 10, [("a", 10)])
        results = verify(Metainfo.from_info(info), self.root)
        self.assertEqual([result.good for result in results], [False])
