"""One thing shared by many at once, who find each other by a tracker alone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.interop.clients import Client
from tests.interop.shared import ENOUGH, Shared


class Swarm:
    """A torrent with one tracker: its seed and its leeches, of which each has a folder of its own."""

    def __init__(self, stack: ExitStack, work: Path, kind: Callable[[Path], Path], url: str) -> None:
        self.shared = Shared.make(work, kind, [url])
        self.work = work
        self._stack = stack

    def seed(self, seed: Client, scraped: str) -> None:
        """Returns when the tracker, as it is scraped over HTTP, knows the seed."""
        self._stack.callback(seed.stop)
        seed.seed(self.shared.torrent, self.shared.content.parent)
        self.shared.until_tracked(seed, scraped)

    def join(self, leech: Client) -> None:
        self._stack.callback(leech.stop)
        target = self._target(leech)
        target.mkdir()
        leech.download(self.shared.torrent, target)

    def finished(self, leech: Client) -> list[str]:
        """In what its copy differs, once it is complete, and has stopped: then all is written."""
        leech.wait(ENOUGH)
        leech.stop()
        return self.shared.differences(leech, self._target(leech))

    def _target(self, leech: Client) -> Path:
        return leech.work / "target"
