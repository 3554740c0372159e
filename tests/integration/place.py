"""A mount namespace with programs in it whose disks fill up, fail and go away, and a seed outside."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random

from bittwist.app.peer_log import DIGITS
from bittwist.metainfo.metainfo import Metainfo
from tests.integration.mounts import Mounts, mounts
from tests.integration.plainpeers import PacedSeed, Watcher
from tests.interop.hosts import Host, Program
from tests.processes import Programs
from tests.scale import SEED
from tests.session.torrents import content, torrent

PIECE = 1 << 16
DATA = content(8 << 20)
METAINFO = torrent(DATA, PIECE, "data.bin")
RETRY = 1  # seconds, instead of thirty
NAMED_WITHIN = 5.0  # seconds from a failure to its name (T32)
HEALED_WITHIN = 60.0  # seconds from room to going on (T31)


class Place:
    """A namespace with a seed outside of it, and the programs that run in it."""

    def __init__(self, folder: Path, spaces: Mounts, stack: ExitStack) -> None:
        self.folder = folder
        self.spaces = spaces
        self._stack = stack
        self.programs = stack.enter_context(Programs(folder))
        self.torrent = self.write(METAINFO)
        self.seed = self.seeding(METAINFO, DATA)

    def write(self, metainfo: Metainfo) -> Path:
        path = self.folder / f"{metainfo.info.name}.torrent"
        path.write_bytes(metainfo.encode())
        return path

    def seeding(self, metainfo: Metainfo, data: bytes, pace: float = 0.0) -> PacedSeed:
        return self._stack.enter_context(PacedSeed("127.0.0.2", metainfo.info, data, pace=pace))

    def watching(self, endpoint: tuple[str, int], metainfo: Metainfo, data: bytes) -> Watcher:
        watcher = Watcher("127.0.0.9", endpoint, metainfo.info, data, Random(SEED))
        return self._stack.enter_context(watcher)

    def daemon(
        self, state: Path, downloads: Path, *sources: str | Path, host: Host | None = None
    ) -> tuple[Program, tuple[str, int]]:
        """`twistd bittwist-peer`, which tries again soon, and where it listens."""
        config = self.folder / "peer.toml"
        config.write_text(f"[session]\nretry_after = {RETRY}\n")
        words = ["--config", config, "--listen", "tcp:0:interface=127.0.0.1", "--state", state]
        added = [word for source in sources for word in ("--add", source)]
        program = self.programs.twistd(
            "bittwist-peer", *words, "--downloads", downloads, *added, host=host or self.spaces.host
        )
        listening = re.compile(r"peers are listened for on 127\.0\.0\.1:(\d+)")
        program.until(lambda: bool(listening.search(program.output)), 30, "listening")
        found = listening.search(program.output)
        assert found is not None
        return program, ("127.0.0.1", int(found[1]))

    def download(self, to: Path, *, host: Host | None = None) -> Program:
        words = ("--bind", "127.0.0.1", "--port", "0", "--json", "--peer", self.seed.endpoint)
        command = ("download", self.torrent, "-o", to, *words)
        return self.programs.bittwist(*command, host=host or self.spaces.host)


@contextmanager
def a_place(folder: Path) -> Iterator[Place]:
    with mounts() as spaces, ExitStack() as stack:
        yield Place(folder, spaces, stack)


def states(program: Program, metainfo: Metainfo) -> list[tuple[str, str]]:
    """What a daemon's log says of a torrent: its states in order, each with its reason."""
    pattern = rf"\({str(metainfo.info.info_hash)[:DIGITS]}\) (?:is|has) (\w+)(?:: (.*))?"
    return re.findall(pattern, program.output)


def until_state(program: Program, metainfo: Metainfo, state: str, within: float) -> str:
    """Wait until that is the last state; its reason."""

    def last() -> tuple[str, str]:
        return (states(program, metainfo) or [("", "")])[-1]

    program.until(lambda: last()[0] == state, within, f"{metainfo.info.name} is {state}")
    return last()[1]
