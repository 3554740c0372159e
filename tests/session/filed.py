"""Sessions on simulated hosts whose torrents are in real files, in a folder of the test's own."""

import os
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from unittest import mock

from bittwist.metainfo.metainfo import Metainfo
from bittwist.session import Session, SessionSettings
from tests.session.swarm import Swarm
from tests.storage.torrents import content_of, make_info

SEED_HOST, LEECH_HOST = "10.0.0.1", "10.0.0.2"


def share(files, piece_length=16384, **extra):
    """A torrent of these files (path, size and perhaps attr), and its bytes; padding is zeros."""
    data = bytearray(content_of(sum(file[1] for file in files)))
    at = 0
    for _, size, *attr in files:
        if attr:
            data[at : at + size] = bytes(size)
        at += size
    info = make_info(bytes(data), files, piece_length=piece_length)
    return Metainfo.from_info(info, **extra), bytes(data)


class BusyPool:
    """A thread pool whose work is done after a while, so that other things happen in between."""

    def __init__(self, host, random, longest):
        self._host = host
        self._random = random
        self._longest = longest

    def callInThread(self, call, *args, **kwargs):
        self._host.callLater(self._random.random() * self._longest, call, *args, **kwargs)


class FiledSwarm(Swarm):
    """A swarm with a seed in memory, and a leech that has `folder` on a disk that costs no time."""

    def __init__(self, case, metainfo, data, *, upload=None, seed=0):
        super().__init__(seed)
        temporary = TemporaryDirectory()
        case.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        for name in ("fsync", "fdatasync"):
            patch = mock.patch.object(os, name, lambda fd: None)
            patch.start()
            case.addCleanup(patch.stop)
        self.metainfo = metainfo
        self.seeding = self.add(self.session(SEED_HOST, data), metainfo)
        if upload is not None:
            self.network.host(SEED_HOST).limit(upload=upload)

    def leech(self, *, busy=0.0, **changed):
        """A session whose state and torrents are in files; its disk takes up to `busy` seconds."""
        token = Random(f"{self.network.seed} leech {len(self.sessions)}")
        if busy:
            pool = BusyPool(self.network.host(LEECH_HOST), token, busy)
            self.network.host(LEECH_HOST).getThreadPool = lambda: pool
        settings = SessionSettings(ports=(6881,), state_dir=self.folder / "state", **changed)
        session = Session(
            self.network.host(LEECH_HOST),
            settings,
            wall=lambda: 1.6e9 + self.network.seconds(),
            random=Random(token.random()),
            token=token.randbytes,
        )
        session.startService()
        self.sessions.append(session)
        return session

    def fetch(self, session, source=None, folder="save", **how):
        """Add a torrent to the leech, that dials the seed."""
        added = session.add(source or self.metainfo, self.folder / folder, **how)
        torrent = self.network.result_of(added)
        session.add_peers(torrent, [f"{SEED_HOST}:6881"])
        return torrent

    def there(self, folder="save"):
        """The files below a folder, each with its bytes."""
        root = self.folder / folder
        return {
            str(path.relative_to(root)): path.read_bytes()
            for path in sorted(root.rglob("*"))
            if path.is_file()
        }
