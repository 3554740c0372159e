"""The verbs of a torrent that are about its files: each forwards to `Wanted`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from twisted.internet.defer import Deferred

from bittwist.session.home import Home
from bittwist.session.wanted import FileStatus, Wanted
from bittwist.swarm.priorities import Priority, Wishes


class FileVerbs:
    """What a Torrent has of them. SessionError for what needs the metadata before that is known."""

    _wanted: Wanted

    @property
    def save_path(self) -> Path:
        return self.home.folder

    @property
    def home(self) -> Home:
        """The save folder, and the names that the user gave files in it."""
        return self._wanted.home

    @property
    def wishes(self) -> Wishes:
        """What is wanted of it, and what of that first."""
        return self._wanted.wishes

    @property
    def unchosen(self) -> str:
        """Why nothing of it is fetched before `set_priorities` says which files are wanted; else empty."""
        return self._wanted.unchosen

    def files(self) -> tuple[FileStatus, ...]:
        """In the torrent's order; none before the metadata is known."""
        return self._wanted.files()

    def set_priorities(self, priorities: Mapping[int, Priority]) -> None:
        """Want some files more than others, or not at all (SKIP): those not named stay as they are.

        A skipped file is not made; one that is there stays. IndexError where there is no such file.
        """
        self._wanted.set_priorities(priorities)

    def set_sequential(self, on: bool) -> None:
        """Fetch equally wanted pieces from the beginning on, not the rarest first."""
        self._wanted.set_sequential(on)

    def set_first_and_last(self, on: bool) -> None:
        """Fetch the first and last piece of each wanted file before all others."""
        self._wanted.set_first_and_last(on)

    def set_deadline(self, piece: int, seconds: float) -> None:
        """A wanted piece is needed in so many seconds: it goes before all others. Not remembered."""
        self._wanted.set_deadline(piece, seconds)

    def clear_deadlines(self) -> None:
        """Nothing is needed by a certain time any more."""
        self._wanted.clear_deadlines()

    def rename_file(self, file: int, path: str) -> Deferred[PurePosixPath]:
        """Give a file another path below the save folder; fires with the one it has, made safe.

        UnsafePath or StorageError if something has that name, SessionError while it is checked or moved.
        Cancelling only stops the waiting.
        """
        return self._wanted.rename_file(file, path)

    def move(self, folder: Path | str) -> Deferred[None]:
        """Bring all files to another save folder; fires when they are there. Interrupted, it goes on later.

        StorageError if there are files of these names already. Where it fails in the middle the torrent is
        `failed`: start it to go on, or move it elsewhere.
        """
        return self._wanted.move(Path(folder))
