"""OpenFiles: few descriptors for many files, and patience when there are none (SECURITY.md T34)."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase

from bittwist.storage.openfiles import PATIENCE, OpenFiles

STARVED = """
import os, resource, sys
from pathlib import Path
from bittwist.storage.files import FileStorage
from tests.storage.torrents import content_of, make_info, pieces_of

resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
content = content_of(200 * 1000)
info = make_info(content, [(f"{n:03}", 1000) for n in range(200)], piece_length=16384)
storage = FileStorage(Path(sys.argv[1]), info)
taken = [os.open("/dev/null", os.O_RDONLY) for _ in range(40)]
storage.prepare()
for index, piece in enumerate(pieces_of(info, content)):
    storage.write(index, 0, memoryview(piece))
storage.sync()
storage.close()
for fd in taken:
    os.close(fd)
print(b"".join(p.read_bytes() for p in sorted(Path(sys.argv[1]).rglob("*")) if p.is_file()) == content)
"""


class PatientOpening(SynchronousTestCase):
    def setUp(self) -> None:
        self.slept: list[float] = []
        self.files = OpenFiles(2, sleep=self.slept.append)

    def opener(self, failures: int = 0, number: int = errno.EMFILE):
        left = [failures]

        def opener() -> int:
            if left[0]:
                left[0] -= 1
                raise OSError(number, os.strerror(number))
            return os.open("/dev/null", os.O_RDONLY)

        return opener

    def open(self, key: int, failures: int = 0) -> None:
        with self.files.lend(key, self.opener(failures)):
            pass

    def tearDown(self) -> None:
        self.files.forget(lambda key: True)

    def test_a_file_is_opened_once_while_it_is_kept(self) -> None:
        with self.files.lend(1, self.opener()) as first, self.files.lend(1, self.opener()) as second:
            self.assertEqual(first, second)
        with self.files.lend(1, self.opener()) as third:
            self.assertEqual(first, third)

    def test_the_longest_idle_is_closed_over_the_limit(self) -> None:
        fds = {}
        for key in (1, 2, 1, 3):
            with self.files.lend(key, self.opener()) as fd:
                fds[key] = fd
        self.assertEqual(len(self.files), 2)
        self.assertRaises(OSError, os.fstat, fds[2])
        os.fstat(fds[1])

    def test_one_that_is_lent_is_not_closed(self) -> None:
        with self.files.lend(1, self.opener()) as fd:
            for key in (2, 3, 4):
                self.open(key)
            os.fstat(fd)

    def test_one_that_is_forgotten_while_lent_is_closed_when_it_comes_back(self) -> None:
        with self.files.lend(1, self.opener()) as fd:
            self.files.forget(lambda key: True)
            os.fstat(fd)
        self.assertRaises(OSError, os.fstat, fd)

    def test_without_descriptors_the_idle_are_closed_first(self) -> None:
        self.open(1)
        self.open(2, failures=1)
        self.assertEqual((len(self.files), self.slept), (1, []))

    def test_without_descriptors_it_is_tried_again_for_a_while(self) -> None:
        self.open(1, failures=3)
        self.assertEqual(self.slept, list(PATIENCE[:3]))

    def test_patience_ends(self) -> None:
        error = self.assertRaises(OSError, self.open, 1, len(PATIENCE) + 1)
        self.assertEqual(error.errno, errno.EMFILE)
        self.assertLess(sum(self.slept), 5)

    def test_other_errors_are_not_waited_for(self) -> None:
        with self.assertRaises(OSError), self.files.lend(1, self.opener(1, errno.EACCES)):
            pass
        self.assertEqual(self.slept, [])

    def test_two_hundred_files_are_written_with_few_descriptors_left(self) -> None:
        with TemporaryDirectory() as folder:
            root = Path(__file__).parents[2]
            done = subprocess.run(
                [sys.executable, "-c", STARVED, folder], cwd=root, capture_output=True, text=True, timeout=60
            )
        self.assertEqual((done.stdout.strip(), done.stderr), ("True", ""))
