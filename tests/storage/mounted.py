"""Run in a mount namespace of its own, by test_mounted: file systems that fill up, go away, are read-only.

Everything but the save folder is read-only here, so that a write anywhere else is an error. Prints one line
for each behaviour that was seen.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from random import Random

from twisted.internet.defer import Deferred

from bittwist.errors import DiskFull, StorageError, UnsafePath
from bittwist.storage.disk import Disk, Store
from bittwist.storage.files import FileStorage
from tests.storage.fakes import FakeReactor
from tests.storage.torrents import content_of, make_info, pieces_of

CONTENT = content_of(3 << 20)
INFO = make_info(CONTENT, [("a", 1 << 20), ("b/c", 2 << 20)], piece_length=1 << 18)
PIECES = pieces_of(INFO, CONTENT)
NAMES = [
    "..",
    "../../x",
    "/etc/passwd",
    "trap/x",
    "trap",
    "a/../../../x",
    "con",
    "x" * 300,
    "\u202e/y",
    "z",
    "Z",
]


def mount(*args: str) -> None:
    subprocess.run(["mount", *args], check=True)


def tmpfs(path: Path, size: str) -> None:
    mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path))


def open_store(save: Path, **how: str) -> tuple[FakeReactor, Store]:
    reactor = FakeReactor()
    return reactor, Disk(reactor).open(FileStorage(save, INFO, **how), INFO)


def ask(reactor: FakeReactor, answer: Deferred) -> object:
    results: list[object] = []
    answer.addCallbacks(results.append, lambda failure: results.append(failure.value))
    reactor.turn()
    return results[0]


def keep(reactor: FakeReactor, store: Store, index: int) -> object:
    return ask(reactor, store.keep(index, memoryview(PIECES[index])))


def full(save: Path) -> None:
    tmpfs(save, "1m")
    reactor, store = open_store(save)
    ask(reactor, store.start())
    results = [keep(reactor, store, index) for index in range(len(PIECES))]
    refused = [index for index, result in enumerate(results) if isinstance(result, DiskFull)]
    assert refused and len(refused) + store.have.count == len(PIECES), results
    index = next(iter(store.have))
    assert ask(reactor, store.read(index, 0, 16384)) == PIECES[index][:16384]
    print("a full disk refuses pieces and goes on giving those it has")
    mount("-o", "remount,size=8m", str(save))
    assert all(keep(reactor, store, index).good for index in refused)
    ask(reactor, store.close())
    assert (save / "share/a").read_bytes() + (save / "share/b/c").read_bytes() == CONTENT
    print("with room again the same pieces are kept and every byte is right")


def full_allocation(save: Path) -> None:
    mount("-o", "remount,size=1m", str(save))
    reactor, store = open_store(save, allocation="full")
    assert isinstance(ask(reactor, store.start()), DiskFull)
    mount("-o", "remount,size=8m", str(save))
    assert ask(reactor, store.start()).have.empty
    ask(reactor, store.close())
    print("room for all is asked for at once")


def unmounted(save: Path) -> None:
    reactor, store = open_store(save)
    ask(reactor, store.start(force=True))
    assert keep(reactor, store, 0).good
    subprocess.run(["umount", "-l", str(save)], check=True)
    for result in (keep(reactor, store, 1), ask(reactor, store.read(0, 0, 16384))):
        assert isinstance(result, StorageError) and not isinstance(result, DiskFull), result
    assert list(save.iterdir()) == []
    print("a drive that is taken away is named and nothing is made in its mount point")


def read_only(save: Path) -> None:
    reactor, store = open_store(save)
    ask(reactor, store.start())
    assert keep(reactor, store, 0).good
    ask(reactor, store.close())
    mount("-o", "remount,ro", str(save))
    reactor, store = open_store(save)
    assert ask(reactor, store.start()).have.count == 1
    assert isinstance(keep(reactor, store, 1), StorageError)
    assert ask(reactor, store.read(0, 0, 16384)) == PIECES[0][:16384]
    mount("-o", "remount,rw", str(save))
    print("a file system that became read-only is read from")


def hostile(save: Path, seed: int) -> None:
    random = Random(seed)
    (save / "trap").symlink_to("/outside")
    for _ in range(60):
        names = [
            random.choice(NAMES) + random.choice(["", "/x", "/../y"]) for _ in range(random.randrange(1, 6))
        ]
        content = content_of(100 * len(names), random.randrange(1000))
        info = make_info(content, [(name, 100) for name in names], name=random.choice(NAMES))
        try:
            storage = FileStorage(save, info)
        except UnsafePath:
            continue
        try:
            storage.prepare()
            storage.write(0, 0, memoryview(content))
            storage.sync()
        except StorageError as error:
            assert "Read-only" not in str(error), error
        storage.close()
    print("no name leads outside")


def main() -> None:
    base, seed = Path(sys.argv[1]), int(sys.argv[2])
    names = ("one", "two", "three", "four")
    for name in names:
        (base / name).mkdir()
    mount("--make-rprivate", "/")
    subprocess.run(["mount", "-o", "remount,bind,ro", "/"], check=False)  # as far as this machine lets us
    tmpfs(base / "two", "8m")
    tmpfs(base / "three", "8m")
    tmpfs(base / "four", "8m")
    full(base / "one")
    full_allocation(base / "two")
    unmounted(base / "two")
    read_only(base / "three")
    hostile(base / "four", seed)
    assert not Path("/outside").exists()
    assert not any(os.scandir(base / "two"))


if __name__ == "__main__":
    main()
