"""A mount namespace of a test's own: file systems that fill up, go away and come back."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.interop.hosts import Host

POLL = 0.02
OBEYING = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--")


class Mounts:
    """Made by `mounts`. Paths are those that programs on `host` see; the test reads them by `seen`."""

    def __init__(self, holder: int) -> None:
        self._holder = holder
        self.host = Host("127.0.0.1", ("nsenter", "--target", str(holder), "--mount", "--"))
        # Where the modes of files count for root, too.
        self.obeying = Host("127.0.0.1", (*self.host.prefix, *OBEYING))

    def seen(self, path: Path) -> Path:
        """Where this process finds what is at `path` in the namespace."""
        return Path(f"/proc/{self._holder}/root") / path.relative_to("/")

    def tmpfs(self, path: Path, size: str) -> None:
        path.mkdir(exist_ok=True)
        self._run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path))

    def bind(self, source: Path, path: Path) -> None:
        path.mkdir(exist_ok=True)
        self._run("mount", "--bind", str(source), str(path))

    def remount(self, path: Path, options: str) -> None:
        self._run("mount", "-o", f"remount,{options}", str(path))

    def spoil(self, path: Path) -> None:
        """Reading and writing the file is an input/output error, until it is unmounted.

        What is there instead is the memory of a process, none of which is at the addresses a small file has.
        """
        self._run("mount", "--bind", f"/proc/{self._holder}/mem", str(path))

    def unmount(self, path: Path) -> None:
        self._run("umount", "--lazy", str(path))

    def _run(self, *words: str) -> None:
        done = subprocess.run([*self.host.prefix, *words], capture_output=True, text=True, timeout=10)
        assert done.returncode == 0, done.stderr


@contextmanager
def mounts() -> Iterator[Mounts]:
    """A new namespace, gone with this process. Where there is none: a skip, in CI a failure."""
    command = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private"]
    holder = subprocess.Popen([*command, "sleep", "infinity"], stdin=subprocess.DEVNULL)
    try:
        ours = os.readlink("/proc/self/ns/mnt")
        deadline = time.monotonic() + 10
        while holder.poll() is None and os.readlink(f"/proc/{holder.pid}/ns/mnt") == ours:
            assert time.monotonic() < deadline, "no mount namespace"
            time.sleep(POLL)
        if holder.poll() is not None:
            leave_out = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
            leave_out("no mount namespaces here")
        yield Mounts(holder.pid)
    finally:
        holder.kill()
        holder.wait()
