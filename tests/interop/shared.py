"""One thing shared between a seed and a leech: its torrent, by `bittwist create`, and where it arrives."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.interop.clients import COMMAND, BittwistTracker, Client, Opentracker, Transmission
from tests.interop.content import differences
from tests.interop.hosts import ROOT

ENOUGH = 60.0  # seconds; transmission lets some 15 pass before its first request


def bittwist(*words: str | Path) -> str:
    """What a `bittwist` command prints; it has to succeed."""
    command = [*COMMAND, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=ENOUGH, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@dataclass(frozen=True, slots=True)
class Shared:
    """`content` is in `torrent`; `target` is the folder that a copy goes to."""

    content: Path
    torrent: Path
    info_hash: str
    target: Path

    @classmethod
    def make(cls, folder: Path, kind: Callable[[Path], Path], trackers: Sequence[str] = ()) -> Shared:
        source, target, torrent = folder / "source", folder / "target", folder / "shared.torrent"
        source.mkdir()
        target.mkdir()
        content = kind(source)
        told = [word for url in trackers for word in ("--tracker", url)]
        made = bittwist("create", content, "-o", torrent, "--piece-length", "65536", "--json", *told)
        return cls(content, torrent, json.loads(made)["info_hash_v1"], target)

    def exchange(
        self, seed: Client, leech: Client, tracker: Opentracker | BittwistTracker | None = None
    ) -> None:
        """`leech` gets all of it from `seed`: by the tracker, or else by being told the address."""
        with ExitStack() as stack:
            if tracker is not None:
                stack.callback(tracker.stop)
                tracker.start([self.info_hash])
            stack.callback(seed.stop)
            seed.seed(self.torrent, self.content.parent)
            if tracker is not None:
                self.until_tracked(seed, tracker.url)
            stack.callback(leech.stop)
            leech.download(self.torrent, self.target, [seed.endpoint] if tracker is None else [])
            leech.wait(ENOUGH)
        assert self.differences(leech) == []

    def until_tracked(self, seed: Client, url: str) -> None:
        """Until the tracker knows the seed: not every client announces as soon as it listens."""
        scrape = [*seed.host.prefix, *COMMAND, "scrape", url, self.info_hash, "--json"]
        deadline = time.monotonic() + ENOUGH
        while True:
            asked = subprocess.run(scrape, capture_output=True, text=True, timeout=ENOUGH, check=False)
            if asked.returncode == 0 and json.loads(asked.stdout)["complete"]:
                return
            assert time.monotonic() < deadline, f"the tracker knows no seed: {asked.stdout}{asked.stderr}"
            time.sleep(0.2)

    def differences(self, leech: Client, target: Path | None = None) -> list[str]:
        """In what the copy in `target` differs from `content`; the target of both, where none is given."""
        found = differences(self.content, (target or self.target) / self.content.name)
        if isinstance(leech, Transmission):  # 3.00 does not make empty files
            files = [path for path in self.content.rglob("*") if path.is_file()]
            empty = {
                f"missing: {path.relative_to(self.content)}" for path in files if not path.stat().st_size
            }
            found = [difference for difference in found if difference not in empty]
        return found
