"""Address lists as other programs write them: ipfilter.dat, P2P text, PeerGuardian's .p2b, networks.

Each line of a text is judged by itself, since lists in circulation mix forms:

    001.002.003.000 - 001.002.003.255 , 000 , a name      eMule; from level 128 on the range is allowed
    a name:1.2.3.0-1.2.3.255                              P2P, PeerGuardian's text
    1.2.3.0/24   2001:db8::/32   1.2.3.4   1.2.3.0-1.2.3.255

Any of them may be compressed with gzip. All of it blocks: for threads.
"""

from __future__ import annotations

import gzip
import io
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from bittwist.errors import FilterError
from bittwist.net.ipfilter import AddressRange, AddressRanges, Gathered

MAX_BYTES = 512 << 20  # of a list, inflated: ten times the longest in circulation
MAX_RANGES = 10_000_000  # about 100 bytes each while they are read, 8 afterwards
MAX_LINES = 20_000_000  # of a list: empty ones take time, too
MAX_LINE = 1000  # bytes; names are of any length
MAX_FAULTS = 10  # lines that are told of, of those that could not be read
ALLOWED_FROM = 128  # the access level of an ipfilter.dat from which a range is not filtered

_GZIP = b"\x1f\x8b"
_P2B = b"\xff\xff\xff\xffP2B"
_COMMENTS = (b"#", b";", b"//")
_OCTETS = rb"(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})"
_DAT = re.compile(
    rb"\s*" + _OCTETS + rb"(?:\s*-\s*" + _OCTETS + rb")?\s*(?:,\s*(\d{1,3})\s*(?:,.*)?)?", re.DOTALL
)
_P2P = re.compile(rb".*:\s*" + _OCTETS + rb"\s*-\s*" + _OCTETS + rb"\s*", re.DOTALL)
_LEVEL = re.compile(r"(?P<range>[^,]+),\s*(?P<level>\d{1,3})\s*(?:,.*)?", re.DOTALL)


class FilterLists:
    """Reads lists, one after the other, and makes one set of addresses of them.

    A line that cannot be read is passed over and told of in `faults`: one slip in a million lines is no
    reason to be without all others. A list without a line that can be read is refused, by FilterError.
    """

    def __init__(self) -> None:
        self.faults: list[str] = []  # the first of them, each as FILE:LINE: REASON
        self.num_faults = 0
        self._gathered = Gathered()

    def read(self, stream: BinaryIO, name: str) -> None:
        """Read a list; FilterError, with `name` and the place, where it cannot be used at all."""
        with _told(name):
            start = stream.read(len(_P2B))
            source: io.BufferedIOBase = _After(start, stream)
            if start.startswith(_GZIP):
                source = io.BufferedReader(gzip.GzipFile(fileobj=source))
                start = source.peek(len(_P2B))[: len(_P2B)]
            if start == _P2B:
                self._read_p2b(source, name)
            else:
                self._read_text(source, name)

    def finish(self) -> AddressRanges:
        """The addresses of all lists that were read; call it once."""
        return AddressRanges(self._gathered)

    # Text

    def _read_text(self, source: io.BufferedIOBase, name: str) -> None:
        number = size = useful = 0
        first_fault: tuple[int, str] | None = None
        while line := source.readline(MAX_LINE + 1):
            number += 1
            size += len(line)
            if size > MAX_BYTES:
                raise FilterError(name, f"longer than {MAX_BYTES} bytes", number)
            try:
                if len(line) > MAX_LINE:
                    size += _skip_line(source)
                    raise ValueError(f"longer than {MAX_LINE} bytes")
                useful += self._line(line)
            except ValueError as error:
                first_fault = first_fault or (number, str(error))
                self._fault(f"{name}:{number}: {error}")
            if len(self._gathered) > MAX_RANGES or number > MAX_LINES:
                raise FilterError(name, f"more than {MAX_RANGES} ranges or {MAX_LINES} lines", number)
        if first_fault is not None and not useful:
            raise FilterError(name, first_fault[1], first_fault[0])

    def _line(self, line: bytes) -> bool:
        """Whether it says anything; ValueError where that makes no sense."""
        found = _DAT.fullmatch(line)
        level = found[9] if found is not None else None
        if found is None:
            found = _P2P.fullmatch(line)
        if found is None:
            return self._other_line(line)
        octets = found.groups()
        first = _number(octets[:4])
        last = first if octets[4] is None else _number(octets[4:8])
        if last < first:
            raise ValueError("the range ends before it begins")
        if level is None or int(level) < ALLOWED_FROM:
            self._gathered.four.append(first << 32 | last)
        return True

    def _other_line(self, line: bytes) -> bool:
        """IPv6, networks, comments."""
        line = line.removeprefix(b"\xef\xbb\xbf").strip()
        if not line or line.startswith(_COMMENTS):
            return False
        text = line.decode("ascii", "replace").partition("#")[0]
        levelled = _LEVEL.fullmatch(text)
        found = AddressRange.parse(levelled["range"] if levelled else text)
        if levelled is None or int(levelled["level"]) < ALLOWED_FROM:
            self._gathered.add(found)
        return True

    def _fault(self, fault: str) -> None:
        self.num_faults += 1
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(fault)

    # .p2b: a name and a range, many times; in version 3 all names first, and ranges that number them

    def _read_p2b(self, source: io.BufferedIOBase, name: str) -> None:
        content = source.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise FilterError(name, f"longer than {MAX_BYTES} bytes")
        version = content[len(_P2B)] if len(content) > len(_P2B) else 0
        if version in (1, 2):
            self._named_ranges(content, name)
        elif version == 3:
            self._numbered_ranges(content, name)
        else:
            raise FilterError(name, f"a .p2b file of version {version}, not 1, 2 or 3")

    def _named_ranges(self, content: bytes, name: str) -> None:
        at = len(_P2B) + 1
        while at < len(content):
            end = content.find(b"\0", at)
            if end < 0 or end + 9 > len(content):
                raise FilterError(name, f"cut off in an entry at byte {at}")
            first, last = struct.unpack_from(">II", content, end + 1)
            self._range(first, last, f"{name}: byte {at}")
            at = end + 9
            if len(self._gathered) > MAX_RANGES:
                raise FilterError(name, f"more than {MAX_RANGES} ranges")

    def _numbered_ranges(self, content: bytes, name: str) -> None:
        at = len(_P2B) + 1
        try:
            (names,) = struct.unpack_from(">I", content, at)
            at += 4
            for _ in range(names):
                at = content.index(b"\0", at) + 1
            (count,) = struct.unpack_from(">I", content, at)
        except (struct.error, ValueError):
            raise FilterError(name, f"cut off in its names at byte {at}") from None
        at += 4
        if count > MAX_RANGES - len(self._gathered):
            raise FilterError(name, f"more than {MAX_RANGES} ranges")
        if len(content) - at < count * 12:
            raise FilterError(name, f"{count} ranges are announced, and there is room for fewer")
        for number, first, last in struct.iter_unpack(">III", content[at : at + count * 12]):
            if number >= names:
                raise FilterError(name, f"a range of name {number} of {names}")
            self._range(first, last, name)

    def _range(self, first: int, last: int, where: str) -> None:
        if first > last:
            self._fault(f"{where}: the range ends before it begins")
        else:
            self._gathered.four.append(first << 32 | last)


class _After(io.BufferedIOBase):
    """A stream with the bytes that were read of it put back in front."""

    def __init__(self, start: bytes, stream: BinaryIO) -> None:
        self._start = start
        self._stream = stream

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        start, self._start = self._start, b""
        if size is None or size < 0:
            return start + self._stream.read()
        if size < len(start):
            self._start = start[size:]
            return start[:size]
        return start + self._stream.read(size - len(start))

    def readline(self, size: int | None = -1, /) -> bytes:
        if not self._start:
            return self._stream.readline(-1 if size is None else size)
        start, self._start = self._start, b""
        line, newline, rest = start.partition(b"\n")
        if newline:
            self._start = rest
            return line + newline
        return start + self._stream.readline(-1 if size is None else size - len(start))


@contextmanager
def _told(name: str) -> Iterator[None]:
    """What breaks while a list is read, as FilterError."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FilterError(name, f"broken gzip: {error}") from error
    except OSError as error:
        raise FilterError(name, error.strerror or str(error)) from error


def _number(octets: tuple[bytes, ...]) -> int:
    a, b, c, d = map(int, octets)
    if a > 255 or b > 255 or c > 255 or d > 255:
        raise ValueError("a part of an address is more than 255")
    return a << 24 | b << 16 | c << 8 | d


def _skip_line(source: io.BufferedIOBase) -> int:
    """Read to the end of a line; how many bytes that were."""
    skipped = 0
    while part := source.readline(1 << 16):
        skipped += len(part)
        if part.endswith(b"\n") or skipped > MAX_BYTES:
            break
    return skipped
