"""Whole messages out of a stream: a length prefix, then that many bytes (BEP 3)."""

from __future__ import annotations

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

    def finish(self, data: memoryview) -> tuple[memoryview | None, int]:
        """Complete the message begun in an earlier arrival, if there is one, without its prefix.

        Also where in `data` the next message begins. RemoteProtocolError where a prefix is over the limit.
        """
        partial = self._partial
        if not partial:
            return None, 0
        at = 0
        if len(partial) < 4:
            at = 4 - len(partial)
            partial += data[:at]
            if len(partial) < 4:
                return None, len(data)
        (length,) = _LENGTH.unpack_from(partial)
        self._check(length)
        stop: int = at + 4 + length - len(partial)
        partial += data[at:stop]
        if stop > len(data):
            return None, len(data)
        self._partial = bytearray()
        return memoryview(partial)[4:], stop

    def next(self, data: memoryview, at: int) -> memoryview | None:
        """The message that begins at `at`, without its prefix; None, and it is kept, if it is not whole."""
        if len(data) - at >= 4:
            (length,) = _LENGTH.unpack_from(data, at)
            self._check(length)
            stop = at + 4 + length
            if stop <= len(data):
                return data[at + 4 : stop]
        if at < len(data):
            self._partial += data[at:]
        return None

    def _check(self, length: int) -> None:
        if length > self.limit:
            raise RemoteProtocolError(f"a message of {length} bytes, over the {self.limit} allowed")
