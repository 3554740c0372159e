"""What the user wants of a torrent's files: which, in what order, under which names and in which folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from bittwist.errors import BitTwistError, SessionError, StorageError
from bittwist.metainfo.info import Info
from bittwist.metainfo.infohash import InfoHash
from bittwist.session.bringing import Left, bring, gone_from
from bittwist.session.content import Content, Progress
from bittwist.session.home import Home
from bittwist.session.lifecycle import State
from bittwist.storage.disk import Disk
from bittwist.storage.interfaces import IStorage
from bittwist.storage.relocate import IN_THE_WAY
from bittwist.swarm.priorities import Priority, Wishes, selected

Choose = Callable[[Info], Mapping[int, Priority]]  # what is wanted, asked as soon as the files are known

NOT_KNOWN = "its files are not known yet"
TO_BE_CHOSEN = "which of its files are wanted was to be chosen, and a restart came before"
BUSY = "its files are being checked, renamed or moved"


@dataclass(frozen=True, slots=True)
class FileStatus:
    """One file: its path below the save folder, its bytes and how many of them are verified."""

    path: PurePosixPath
    size: int
    done: int
    priority: Priority


class Around(Protocol):
    """What is needed of the session's surroundings."""

    @property
    def clock(self) -> IReactorTime: ...
    @property
    def disk(self) -> Disk: ...
    @property
    def storage(self) -> Callable[[Home, Info], IStorage]: ...
    @property
    def journal(self) -> Callable[[InfoHash], Path | None]: ...


class Subject(Protocol):
    """The torrent, as its wishes see it."""

    @property
    def info(self) -> Info | None: ...
    @property
    def name(self) -> str: ...
    @property
    def state(self) -> State: ...
    def save(self) -> Deferred[None]:
        """Remember what has changed; fires when it is written, or could not be."""
        ...


class Life(Protocol):
    """The course of the torrent's life."""

    @property
    def content(self) -> Content | None: ...
    @property
    def exchanging(self) -> bool: ...
    @property
    def progress(self) -> Progress: ...
    @property
    def finished(self) -> SessionError | None:
        """Why nothing of it begins any more."""
        ...

    def wish(self, wishes: Wishes) -> None: ...
    def hold(self) -> Callable[[], None]: ...
    def move(self) -> None: ...


class Wanted:
    """Owns the wishes and the home of one torrent, and the homes that files are still to be brought from."""

    _log = Logger()
    life: Life  # set once there is one

    def __init__(
        self,
        around: Around,
        subject: Subject,
        home: Home,
        left: tuple[Home, ...],
        wishes: Wishes,
        unchosen: str = "",
        choose: Choose | None = None,
    ) -> None:
        """`choose` is the user's choice, made once; without it a link may name files."""
        self._around = around
        self._subject = subject
        self._choose = choose
        self._busy = False  # being renamed or moved: one thing at a time
        self._moved: Deferred[None] | None = None  # for whoever asked for the move
        self._begun = False  # that move is under way
        self.home = home
        self.left = left  # the newest first
        self.wishes = wishes
        self.unchosen = TO_BE_CHOSEN if choose is not None else unchosen  # why nothing may be fetched yet

    # Which files, and in what order

    @property
    def info(self) -> Info:
        info = self._subject.info
        if info is None:
            raise SessionError(f"{self._subject.name}: {NOT_KNOWN}")
        return info

    def files(self) -> tuple[FileStatus, ...]:
        """Of each file, in the torrent's order; none before they are known."""
        if self._subject.info is None:
            return ()
        info = self.info
        done = self._bytes_done()
        return tuple(
            FileStatus(path, entry.size, done[file], self.wishes.of(file))
            for file, (path, entry) in enumerate(zip(self.home.paths(info), info.files))
        )

    def _bytes_done(self) -> list[int]:
        info, have = self.info, self.life.progress.have
        geometry = info.geometry
        done = [0] * len(info.files)
        if have is None:
            return done
        bits, width = have.as_int(), (have.num_pieces + 7) // 8 * 8
        for file, size in enumerate(geometry.file_sizes):
            pieces = geometry.pieces_of_file(file)
            if not pieces:
                continue
            within = bits >> (width - pieces.stop) & ((1 << len(pieces)) - 1)
            begin, end = geometry.file_start(file), geometry.file_start(file) + size
            done[file] = within.bit_count() * geometry.piece_length
            if pieces[0] in have:
                done[file] -= begin - pieces[0] * geometry.piece_length
            if pieces[-1] in have:
                done[file] -= (pieces[-1] + 1) * geometry.piece_length - end
        return done

    def choose(self, info: Info) -> None:
        """The files are known: have the user choose, if that was asked for. Raises what the choice does."""
        if self._choose is not None:
            choose, self._choose = self._choose, None
            self.wishes = self.wishes.changed(choose(info), len(info.files))
            self.unchosen = ""

    def learned(self, info: Info, named: tuple[range, ...]) -> str:
        """The files of a link are known: want what the user chooses, or what the link has `named` (BEP 53).

        Why that cannot be, or nothing: then no file is wanted until the user says which.
        """
        try:
            if self._choose is not None:
                self.choose(info)
            elif named and not self.unchosen:
                self._take_named(info, named)
        except SessionError as error:
            self.unchosen = str(error)
        except Exception as error:
            # The user's code, called from among a peer's messages: none of these is at fault.
            self._log.failure("What is wanted of {name} could not be chosen", name=info.name)
            self.unchosen = f"what is wanted of it could not be chosen: {error}"
        if self.unchosen:
            files = range(len(info.files))
            self.wishes = self.wishes.changed(dict.fromkeys(files, Priority.SKIP), len(files))
        return self.unchosen

    def _take_named(self, info: Info, named: tuple[range, ...]) -> None:
        priorities = selected(named, len(info.files))
        if not priorities:
            raise SessionError(f"the link wants files that {info.name} has not")
        self.wishes = self.wishes.changed(priorities, len(info.files))

    def set_priorities(self, priorities: Mapping[int, Priority]) -> None:
        wishes = self.wishes.changed(priorities, len(self.info.files))
        if self.unchosen and priorities:
            self.unchosen = ""
            self._subject.save()
        self._wish(wishes)

    def set_sequential(self, on: bool) -> None:
        self._wish(replace(self.wishes, sequential=on))

    def set_first_and_last(self, on: bool) -> None:
        self._wish(replace(self.wishes, first_and_last=on))

    def _wish(self, wishes: Wishes) -> None:
        if wishes != self.wishes:
            self.wishes = wishes
            self._subject.save()
            self.life.wish(wishes)

    def set_deadline(self, piece: int, seconds: float) -> None:
        if not 0 <= piece < self.info.geometry.num_pieces:
            raise IndexError(piece)
        if self.life.content is not None and self.life.exchanging:
            self.life.content.downloads.set_deadline(piece, self._around.clock.seconds() + seconds)

    def clear_deadlines(self) -> None:
        if self.life.content is not None and self.life.exchanging:
            self.life.content.downloads.clear_deadlines()

    # Under which names, and where

    def rename_file(self, file: int, path: str) -> Deferred[PurePosixPath]:
        """Cancelling only stops the waiting: given up half-way, a file would have an unknown name."""
        renamed: Deferred[PurePosixPath] = Deferred()

        def failed(failure: Failure) -> None:
            if not renamed.called:
                renamed.errback(failure)
                return
            failure.trap(BitTwistError)
            name, why = self._subject.name, failure.value
            self._log.warn("{name}: {path} is no file's new name: {why}", name=name, path=path, why=why)

        renaming = Deferred.fromCoroutine(self._rename(file, path)).addCallbacks(renamed.callback, failed)
        renaming.addErrback(lambda failure: self._log.failure("A file was not renamed", failure))
        return renamed

    async def _rename(self, file: int, path: str) -> PurePosixPath:
        self._refuse_if_finished()
        if self._busy or self.left or self._subject.state in (State.CHECKING, State.MOVING):
            raise SessionError(f"{self._subject.name}: {BUSY}")
        info, before = self.info, self.home
        home = before.with_names({file: PurePosixPath(path)}, info)
        new = dict(home.names)[file]
        if new == before.paths(info)[file]:
            return new
        release = self.life.hold()
        self._busy = True
        try:
            # Remembered first: whatever happens now, the file is looked for under both names.
            self.home, self.left = home, (before,)
            await self._subject.save()
            await self._rename_on_disk(before, file, new)
        except BaseException:
            self.home = before
            raise
        finally:
            self.left = ()
            self._busy = False
            self._subject.save()
            release()
        return new

    def _rename_on_disk(self, before: Home, file: int, new: PurePosixPath) -> Deferred[None]:
        if self.life.content is not None and self.life.exchanging:
            return self.life.content.rename(file, new)
        storage = self._around.storage(before, self.info)

        def rename() -> None:
            if storage.place() is not None:
                storage.rename(file, new)
                storage.close()

        return self._around.disk.lane().submit(rename)

    def move(self, folder: Path) -> Deferred[None]:
        return Deferred.fromCoroutine(self._move(folder))

    def _refuse_if_finished(self) -> None:
        if self.life.finished is not None:
            raise SessionError(str(self.life.finished))

    async def _move(self, folder: Path) -> None:
        self._refuse_if_finished()
        if self._busy:
            raise SessionError(f"{self._subject.name}: {BUSY}")
        before = self.home
        target = replace(before, folder=folder)
        if self._subject.info is None:
            self.home = target
            await self._subject.save()
            return
        self._busy = True
        try:
            gone = await self._around.disk.lane().submit(lambda: self._gone_before(target))
            self._refuse_if_finished()
            if gone is None:
                self.home = target  # the same folder, by another way
                await self._subject.save()
                return
            if self.left and self._subject.state in (State.CHECKING, State.MOVING):
                raise SessionError(f"{self._subject.name}: {BUSY}")
            moved: Deferred[None] = Deferred()
            self._moved = moved
            # Remembered first: whatever happens now, the files are looked for in both places.
            others = tuple(home for home in self.left if home.folder != folder)
            self.home, self.left = target, (replace(before, gone=gone), *others)
            await self._subject.save()
            if self.left:
                self._begun = True
                self.life.move()
            await moved
        finally:
            self._busy = self._begun = False
            self._moved = None

    def _gone_before(self, home: Home) -> tuple[int, ...] | None:
        """In a disk thread: which files cannot be brought to that home, as the user has deleted them.

        None where it is where the files are now; StorageError if others are there.
        """
        info = self.info
        source, target = self._around.storage(self.home, info), self._around.storage(home, info)
        place = target.place()
        if place is not None and place == source.place():
            return None
        if any(other.folder == home.folder for other in self.left):
            return ()  # what is there is of this torrent, and was not brought yet
        for path, stamp in zip(home.paths(info), target.stamps()):
            if stamp is not None:
                raise StorageError(str(home.folder / path), IN_THE_WAY)
        if self.left:
            return ()  # it may be there, and not have been brought here
        return gone_from(self._around.journal(info.info_hash), info, source)

    def bringing(self, storage: IStorage) -> Iterator[int]:
        """The steps that bring all files here, each a moment's work for a disk thread."""
        info = self.info
        journal = self._around.journal(info.info_hash)
        left = [Left(home, self._around.storage(home, info)) for home in self.left]
        return bring(journal, info, storage, self.home.folder, left, resumed=not self._begun)

    def settled(self) -> None:
        """All files are at home."""
        self.left = ()
        self._subject.save()
        moved, self._moved = self._moved, None
        if moved is not None:
            self._around.clock.callLater(0, moved.callback, None)

    def entered(self, state: State, reason: str) -> None:
        """The torrent is in another state: a move that is not over came to nothing for now."""
        if self._moved is not None and self._begun and state is not State.MOVING:
            moved, self._moved = self._moved, None
            why = reason or "it was stopped before it had moved"
            error = SessionError(f"{self._subject.name}: {why}")
            self._around.clock.callLater(0, moved.errback, error)

    def forget(self) -> Deferred[None]:
        """Remove what is kept of files that are not wanted, the torrent being given up; the files stay."""
        if self._subject.info is None:
            return succeed(None)
        storage = self._around.storage(self.home, self.info)
        return self._around.disk.lane().submit(storage.forget)
