"""What the command line chooses about a transfer, beyond where it goes."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from bittwist.errors import SessionError
from bittwist.metainfo.files import safe_paths
from bittwist.metainfo.info import Info
from bittwist.session.settings import SessionSettings
from bittwist.swarm.priorities import Priority

MAX_RATE = 10**15  # bytes a second: no line is as fast
_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*(|[kmg]|[kmg]i)b?(?:/s)?", re.IGNORECASE)
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30}


@dataclass(frozen=True, slots=True)
class Choices:
    """Rates are bytes a second, 0 for no limit; `files` are globs, none for all files."""

    files: tuple[str, ...] = ()
    limit_down: int = 0
    limit_up: int = 0
    sequential: bool = False
    pex: bool = True
    lsd: bool = True
    web_seeds: bool = True
    superseed: bool = False

    def settings(self, usual: SessionSettings) -> SessionSettings:
        """The settings of a session, with what is chosen."""
        limits = replace(usual.limits, download_rate=self.limit_down, upload_rate=self.limit_up)
        return replace(
            usual,
            limits=limits,
            pex=replace(usual.pex, enabled=self.pex),
            lsd=replace(usual.lsd, enabled=self.lsd),
            web_seeds=replace(usual.web_seeds, enabled=self.web_seeds),
        )

    def choose(self, info: Info) -> dict[int, Priority]:
        """The priorities of files that the globs make. SessionError where none of them matches any file."""
        if not self.files:
            return {}
        chosen = {
            file: Priority.NORMAL if any(_matches(path.parts, glob) for glob in self.files) else Priority.SKIP
            for file, path in enumerate(safe_paths(info))
        }
        if Priority.NORMAL not in chosen.values():
            raise SessionError(f"no file of {info.name} matches {' or '.join(self.files)}")
        return chosen


def _matches(parts: tuple[str, ...], glob: str) -> bool:
    """With the path below the torrent's folder, and with each name in it, as `create --include` has it."""
    below = parts[1:] or parts
    return any(fnmatchcase(name, glob) for name in ("/".join(below), *below))


def rate(text: str) -> int:
    """Read a rate: `500k`, `1.5M`, `2MiB/s`; bytes a second, 0 for no limit. ValueError for anything else."""
    found = _RATE.fullmatch(text.strip())
    exact = float(found[1]) * _UNITS[found[2].lower()] if found is not None else MAX_RATE + 1
    if found is None or exact > MAX_RATE:
        raise ValueError(f"{text[:80]!r} is no rate, such as 500k or 1.5MiB")
    if 0 < exact < 1:
        raise ValueError(f"{text!r} is less than a byte a second (0 is no limit)")
    return round(exact)
