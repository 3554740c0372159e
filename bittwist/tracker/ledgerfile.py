"""A file of changes, a line each, that several processes append to and all of them follow. It blocks.

What a tracker's workers must agree on (users, their totals, registered torrents) is kept as the sum of the
lines of one file. Each process holds that sum in memory and a place in the file up to which it has read; a
change is appended under a lock, after reading what others have appended meanwhile, and only then made in
memory. So every process holds the state of some prefix of the same file, and totals add up whoever counted
them. A file with many more lines than entries is written anew, under another first line; by that the others
see that they must read it from the start.

After a crash the file holds a change whole or not at all: a last line without its end is cut off by the next
who appends. A line in the middle that cannot be read is passed over and logged, and before the file is
written anew the damaged one is copied aside as `.unreadable`. It is not to be edited by hand while a tracker
runs; one that disappears meanwhile fails every change, and what it held stays in memory.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryFile
from typing import Any, BinaryIO, Generic, Protocol, TypeVar

from twisted.logger import Logger

from bittwist.errors import StorageError
from bittwist.tracker.files import Stamp, named, replace_file, sync_folder

C = TypeVar("C")  # a change

MAX_LINE = 16 << 10  # bytes of a line; a torrent's name is the longest thing in one
WHOLE_AT_ONCE = 1 << 20  # bytes: where others appended more, a new state is made in the thread
TOLD_LINES = 5  # unreadable lines that are logged each; a file of nothing else shall not fill the log
UNREADABLE = ".unreadable"

_HEADER = b'{"ledger":'

_log = Logger()


class Sum(Protocol[C]):
    """What the changes add up to."""

    def apply(self, change: C) -> None:
        """Make the change; one that makes no sense any more is passed over."""

    def changes(self) -> Iterator[C]:
        """The fewest changes that lead here from nothing."""

    def __len__(self) -> int:
        """How many entries there are: about as many lines are needed."""


S = TypeVar("S", bound=Sum[Any])  # of C; Python cannot say that


@dataclass(frozen=True, slots=True)
class Codec(Generic[C]):
    """How a change stands in a line, as a JSON object; `decode` raises ValueError for what is none."""

    encode: Callable[[C], Mapping[str, object]]
    decode: Callable[[Mapping[str, object]], C]

    def line(self, change: C) -> bytes:
        return json.dumps(self.encode(change), separators=(",", ":")).encode() + b"\n"

    def read(self, line: bytes) -> C:
        try:
            found = json.loads(line)
        except RecursionError as error:
            raise ValueError("nested too deep") from error
        if not isinstance(found, dict):
            raise ValueError("not an object")
        return self.decode(found)


@dataclass(frozen=True, slots=True)
class News(Generic[C, S]):
    """What is to be done in memory: take this state (None: keep the one there is), then make the changes."""

    state: S | None
    changes: list[C]


class LedgerFile(Generic[C, S]):
    """The file as one process sees it; one method at a time may run.

    Owns the place up to which this process has read. `lines` have been read so far; `damaged` if some of
    them could not be.
    """

    def __init__(self, path: Path, codec: Codec[C], make: Callable[[], S]) -> None:
        self.path = path
        self.lines = 0
        self.damaged = False
        self._lock = path.with_name(path.name + ".lock")
        self._codec = codec
        self._make = make
        self._first = b""  # the first line: another one is another file
        self._offset = 0
        self._stamp: Stamp | None = None

    def read(self) -> News[C, S]:
        """What this process does not know yet."""
        if self._is_as_known():
            return News(None, [])
        if Stamp.at(self.path) is None:
            raise self._gone()
        with named(self.path), self.path.open("rb") as stream:
            return self._read(stream)

    def try_out(self) -> None:
        """StorageError where it could not be written; leaves nothing behind, so that any user may try."""
        with named(self.path):
            folder = next(each for each in self.path.absolute().parents if each.exists())
            for path in (self.path, self._lock):
                with suppress(FileNotFoundError):
                    os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW))
            with TemporaryFile(dir=folder):
                """A file can be made there: the lock, and what the file is written anew by."""

    def append(self, changes: Sequence[C]) -> News[C, S]:
        """Add changes, durably; what others added meanwhile comes before them."""
        with self._locked(), named(self.path):
            if self._offset and not self.path.exists():
                raise self._gone()
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            with open(fd, "rb") as stream:
                news = self._read(stream)
                content = b"".join(map(self._codec.line, changes))
                if not self._offset:
                    self._first = _header()
                    content = self._first + content
                try:
                    # From the end of the last whole line: what a crash left behind it is written over.
                    os.ftruncate(fd, self._offset)
                    _write_all(fd, content, self._offset)
                    os.fdatasync(fd)
                except OSError:
                    os.ftruncate(fd, self._offset)  # what is told to have failed shall not come back
                    raise
                if not self._offset:
                    sync_folder(self.path)
                self._stamp = Stamp.of(os.fstat(fd))
        self._offset += len(content)
        self.lines += len(changes)
        news.changes.extend(changes)
        return news

    def rewrite(self, state: S) -> bool:
        """Write the file anew as this state; False where others have changed it: read first."""
        with self._locked():
            if not self._is_as_known():
                return False
            if self.damaged:
                self._set_aside()
            header = _header()
            replace_file(self.path, self._content(header, state))
            self._stamp = Stamp.at(self.path)
        assert self._stamp is not None
        self._first, self._offset = header, self._stamp.size
        self.lines, self.damaged = len(state), False
        return True

    def _is_as_known(self) -> bool:
        """By its stamp and its first line: one that was written anew may have the stamp of the one before."""
        if Stamp.at(self.path) != self._stamp:
            return False
        if self._stamp is None:
            return True
        with named(self.path), self.path.open("rb") as stream:
            return stream.readline(MAX_LINE) == self._first

    def _content(self, header: bytes, state: S) -> Iterator[bytes]:
        yield header
        yield from map(self._codec.line, state.changes())

    def _set_aside(self) -> None:
        """Keep a copy, which is for the same eyes."""
        aside = self.path.with_name(self.path.name + UNREADABLE)
        with named(self.path), self.path.open("rb") as stream:
            fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            with open(fd, "wb") as copy:
                shutil.copyfileobj(stream, copy)

    def _read(self, stream: BinaryIO) -> News[C, S]:
        found = Stamp.of(os.fstat(stream.fileno()))
        if self._offset and not found.size:
            raise self._gone()
        first = stream.readline(MAX_LINE)
        news: News[C, S]
        if first == self._first and 0 <= found.size - self._offset <= WHOLE_AT_ONCE:
            stream.seek(self._offset)
            news = News(None, list(self._changes(stream)))
        else:
            self._first, self._offset, self.lines, self.damaged = first, 0, 0, False
            stream.seek(0)
            state = self._make()
            for change in self._changes(stream):
                state.apply(change)
            news = News(state, [])
        self._stamp = found  # as it was before it was read: what came meanwhile is read next time
        return news

    def _changes(self, stream: BinaryIO) -> Iterator[C]:
        """The changes from the offset on, which moves along; half a line at the end is left where it is."""
        bad = 0
        while line := stream.readline(MAX_LINE):
            if not line.endswith(b"\n") and len(line) < MAX_LINE:
                break
            self._offset += len(line)
            if self._offset == len(line) and line.startswith(_HEADER):
                continue
            self.lines += 1
            try:
                yield self._codec.read(line)
            except ValueError as error:
                self.damaged = True
                bad += 1
                if bad <= TOLD_LINES:
                    _log.error(
                        "{file}: the line that ends at byte {offset} cannot be read ({reason})",
                        file=str(self.path),
                        offset=self._offset,
                        reason=str(error),
                    )
        if bad > TOLD_LINES:
            _log.error("{file}: {bad} lines cannot be read", file=str(self.path), bad=bad)

    def _gone(self) -> StorageError:
        return StorageError(str(self.path), "the file has gone; what it held is still in memory")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Alone among all processes. The lock has a file of its own: the other one is replaced."""
        with named(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)


def _header() -> bytes:
    return _HEADER + b'"' + token_hex(16).encode() + b'"}\n'


def _write_all(fd: int, content: bytes, offset: int) -> None:
    view = memoryview(content)
    at = 0
    while at < len(view):
        at += os.pwrite(fd, view[at:], offset + at)
