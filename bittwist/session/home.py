"""Where a torrent's files are: a folder, and the names that the user gave some of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bittwist.metainfo.files import renamed, safe_paths
from bittwist.metainfo.info import Info


@dataclass(frozen=True, slots=True)
class Home:
    """A save folder. `names` has the path below it of each file, by number, that has not the torrent's.

    `gone` are the files that were deleted from it when the others were about to be brought elsewhere.
    """

    folder: Path
    names: tuple[tuple[int, PurePosixPath], ...] = ()
    gone: tuple[int, ...] = ()

    def paths(self, info: Info) -> tuple[PurePosixPath, ...]:
        """Each file's path below the folder; UnsafePath or IndexError if the names do not fit the torrent."""
        return renamed(safe_paths(info), dict(self.names)) if self.names else safe_paths(info)

    def with_names(self, names: Mapping[int, PurePosixPath], info: Info) -> Home:
        """With other names for some files; UnsafePath where that is one that another file has or needs."""
        kept = {**dict(self.names), **names}
        paths = renamed(safe_paths(info), kept)
        changed = ((file, paths[file]) for file in sorted(kept))
        return Home(self.folder, tuple(changed))
