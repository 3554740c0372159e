"""Whole messages out of a stream: a length prefix, then that many bytes (BEP 3)."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from struct import Struct

from bittwist.errors import RemoteProtocolError

MAX_MESSAGE = 132 << 10  # a block of 128 KiB with its header, rounded up; only bitfields may be longer

_LENGTH = Struct(">I")  # BEP 3: four bytes, big-endian


class Framing:
    """Cuts what arrives into messages, and keeps the one unfinished message between arrivals.

    What is kept never exceeds what has arrived of one message, which never exceeds `limit` and its prefix:
    nothing is allocated because a prefix says so.
    """

    def __init__(self) -> None:
        self.limit = MAX_MESSAGE
        self._partial = bytearray()

    @property
    def buffered(self) -> int:
        """Bytes held of an unfinished message."""
        return len(self._partial)

    def frames(self, data: memoryview) -> Iterator[memoryview]:
        """The messages that end in `data`, without their prefixes; each is valid until the next is asked for.

        Raises RemoteProtocolError where a prefix is over the limit. Must be run to its end (or given up
        for good) before more data is offered.
        """
        at, end = 0, len(data)
        if self._partial:
            at = yield from self._finish(data)
        unpack = _LENGTH.unpack_from
        while end - at >= 4:
            (length,) = unpack(data, at)
            stop = at + 4 + length
            if stop > end:
                self._check(length)
                break
            if length > self.limit:
                self._check(length)
            yield data[at + 4 : stop]
            at = stop
        if at < end:
            self._partial += data[at:]

    def _finish(self, data: memoryview) -> Generator[memoryview, None, int]:
        """Complete the message begun in an earlier arrival; yields it, and returns where the next begins."""
        partial = self._partial
        at = 0
        if len(partial) < 4:
            at = 4 - len(partial)
            partial += data[:at]
            if len(partial) < 4:
                return len(data)
        (length,) = _LENGTH.unpack_from(partial)
        self._check(length)
        stop: int = at + 4 + length - len(partial)
        partial += data[at:stop]
        if stop > len(data):
            return len(data)
        self._partial = bytearray()
        yield memoryview(partial)[4:]
        return stop

    def _check(self, length: int) -> None:
        if length > self.limit:
            raise RemoteProtocolError(f"a message of {length} bytes, over the {self.limit} allowed")
