"""Full, missing and read-only file systems, and names that want out (SECURITY.md T4, T31, T32), for real.

Needs a mount namespace of our own; where the system gives none, CI fails. Elsewhere test_files and
test_crashes show the same with failures that are made up.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from tests.scale import SEED

SEEN = [
    "a full disk refuses pieces and goes on giving those it has",
    "with room again the same pieces are kept and every byte is right",
    "room for all is asked for at once",
    "a drive that is taken away is named and nothing is made in its mount point",
    "a file system that became read-only is read from",
    "no name leads outside",
]


def namespace() -> list[str]:
    for command in (["unshare", "-m"], ["unshare", "-r", "-m"]):
        try:
            probe = [*command, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
            if subprocess.run(probe, capture_output=True, timeout=10).returncode == 0:
                return command
        except FileNotFoundError:
            break
    if os.environ.get("CI") == "true":
        raise AssertionError("CI needs mount namespaces, and there are none here")
    raise SkipTest("no mount namespaces here")


class Mounted(SynchronousTestCase):
    def test_file_systems_that_fill_up_go_away_or_are_read_only(self) -> None:
        command = namespace()
        with TemporaryDirectory() as base:
            done = subprocess.run(
                [*command, sys.executable, "-B", "-m", "tests.storage.mounted", base, str(SEED)],
                cwd=Path(__file__).parents[2],
                capture_output=True,
                text=True,
                timeout=60,
            )
        self.assertEqual((done.stdout.splitlines(), done.stderr), (SEEN, ""))
