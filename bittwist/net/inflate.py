"""Content-Encoding undone with a bound on what comes out: a bomb of 1:1000 costs its limit and no more."""

from __future__ import annotations

import zlib

MAX_MEMBERS = 64  # of one gzip body; each costs time beside its bytes, and servers send one

_GZIP = 16 + zlib.MAX_WBITS
_ZLIB = zlib.MAX_WBITS
_RAW_DEFLATE = -zlib.MAX_WBITS


class BadBody(Exception):
    """The body is too long or cannot be inflated; the text says which."""


class Body:
    """Gathers a body, inflating it where `encoding` says so, up to `limit` bytes before and after.

    Raises BadBody, already here where `encoding` is none that can be read.
    """

    def __init__(self, encoding: str, limit: int) -> None:
        self._coding = encoding.strip().lower().removeprefix("x-") or "identity"
        if self._coding not in ("identity", "gzip", "deflate"):
            raise BadBody(f"content encoding {self._coding[:40]!r} cannot be read")
        self._limit = limit
        self._taken = 0
        self._waiting = b""  # the first bytes, until they say which inflater it takes
        self._inflater = zlib.decompressobj(_GZIP) if self._coding == "gzip" else None
        self._members = 1
        self._parts = bytearray()

    def add(self, chunk: bytes) -> None:
        """Take the next bytes as they came."""
        self._taken += len(chunk)
        if self._taken > self._limit:
            raise self._too_long()
        if self._coding == "identity":
            self._parts += chunk
            return
        chunk, self._waiting = self._waiting + chunk, b""
        if self._inflater is None:
            if len(chunk) < 2:
                self._waiting = chunk
                return
            self._inflater = zlib.decompressobj(_ZLIB if _is_zlib_header(chunk) else _RAW_DEFLATE)
        while chunk:
            chunk = self._inflate(chunk, self._inflater)

    def _inflate(self, chunk: bytes, inflater: zlib._Decompress) -> bytes:
        """Inflate `chunk`; what follows the end of a gzip member is returned, for the next one."""
        if inflater.eof:
            if self._coding != "gzip":
                raise BadBody("something follows the compressed body")
            self._members += 1
            if self._members > MAX_MEMBERS:
                raise BadBody(f"the compressed body has more than {MAX_MEMBERS} parts")
            inflater = self._inflater = zlib.decompressobj(_GZIP)
        try:
            self._parts += inflater.decompress(chunk, self._limit - len(self._parts) + 1)
        except zlib.error as problem:
            raise BadBody("the compressed body is broken") from problem
        if len(self._parts) > self._limit:
            raise self._too_long()
        return inflater.unused_data

    def finish(self) -> bytes:
        """The whole body; BadBody if the compressed one ended early."""
        if self._waiting or (self._inflater is not None and self._taken and not self._inflater.eof):
            raise BadBody("the compressed body ends early")
        return bytes(self._parts)

    def _too_long(self) -> BadBody:
        return BadBody(f"the answer is longer than {self._limit} bytes")


def _is_zlib_header(data: bytes) -> bool:
    """Some servers send "deflate" without the zlib header that RFC 9110 wants (RFC 1950 says what it is)."""
    return data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0
