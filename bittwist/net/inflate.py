"""Content-Encoding undone with a bound on what comes out: a bomb of 1:1000 costs its limit and no more."""

from __future__ import annotations

import zlib

_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_RAW_DEFLATE = -zlib.MAX_WBITS


class BadBody(Exception):
    """The body is too long or cannot be inflated; the text says which."""


class Body:
    """Gathers a body, inflating it where `encoding` says so, up to `limit` bytes before and after.

    Raises BadBody, already here where `encoding` is none that can be read.
    """

    def __init__(self, encoding: str, limit: int) -> None:
        coding = encoding.strip().lower()
        if coding not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise BadBody(f"content encoding {coding[:40]!r} cannot be read")
        self._inflater = zlib.decompressobj(_GZIP_OR_ZLIB) if coding not in ("", "identity") else None
        self._may_be_raw = coding == "deflate"  # some servers leave out the zlib header of RFC 9110
        self._members = coding in ("gzip", "x-gzip")
        self._limit = limit
        self._taken = 0
        self._parts = bytearray()

    def add(self, chunk: bytes) -> None:
        """Take the next bytes as they came."""
        self._taken += len(chunk)
        if self._taken > self._limit:
            raise BadBody(f"the answer is longer than {self._limit} bytes")
        if self._inflater is None:
            self._parts += chunk
            return
        while chunk:
            chunk = self._inflate(chunk)

    def _inflate(self, chunk: bytes) -> bytes:
        """Inflate `chunk`; what follows the end of a gzip member is returned, for the next one."""
        assert self._inflater is not None
        if self._inflater.eof:
            if not self._members:
                return b""
            self._inflater = zlib.decompressobj(_GZIP_OR_ZLIB)
        try:
            self._parts += self._inflater.decompress(chunk, self._limit - len(self._parts) + 1)
        except zlib.error as problem:
            if not self._may_be_raw or self._parts:
                raise BadBody("the compressed body is broken") from problem
            self._inflater = zlib.decompressobj(_RAW_DEFLATE)
            self._may_be_raw = False
            return chunk
        if len(self._parts) > self._limit:
            raise BadBody(f"the answer is longer than {self._limit} bytes")
        self._may_be_raw = self._may_be_raw and not self._parts
        return self._inflater.unused_data

    def finish(self) -> bytes:
        """The whole body; BadBody if the compressed one ended early."""
        if self._inflater is not None and self._taken and not self._inflater.eof:
            raise BadBody("the compressed body ends early")
        return bytes(self._parts)
