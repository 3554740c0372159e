"""Bodies, inflated within a bound."""

from __future__ import annotations

import gzip
import zlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bittwist.net.inflate import MAX_MEMBERS, BadBody, Body

TEXT = b"d8:intervali1800e5:peers0:e" * 20


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


ENCODED = {
    "": TEXT,
    "identity": TEXT,
    "gzip": gzip.compress(TEXT),
    "X-GZip": gzip.compress(TEXT[:100]) + gzip.compress(TEXT[100:]),  # two members
    "deflate": zlib.compress(TEXT),
    " deflate ": raw_deflate(TEXT),  # without zlib's header, as some servers send it
}


class BodyTests(SynchronousTestCase):
    def read(self, encoding: str, data: bytes, limit: int = 1 << 20, step: int = 1 << 20) -> bytes:
        body = Body(encoding, limit)
        for begin in range(0, len(data), step):
            body.add(data[begin : begin + step])
        return body.finish()

    def test_every_encoding_whole_and_byte_by_byte(self) -> None:
        for encoding, data in ENCODED.items():
            with self.subTest(encoding):
                self.assertEqual(self.read(encoding, data), TEXT)
                self.assertEqual(self.read(encoding, data, step=1), TEXT)

    def test_the_limit_counts_what_comes_out(self) -> None:
        for encoding, data in ENCODED.items():
            with self.subTest(encoding):
                self.assertEqual(self.read(encoding, data, limit=len(TEXT)), TEXT)
                problem = self.assertRaises(BadBody, self.read, encoding, data, limit=len(TEXT) - 1)
                self.assertEqual(str(problem), f"the answer is longer than {len(TEXT) - 1} bytes")

    def test_the_limit_counts_what_goes_in(self) -> None:
        members = gzip.compress(b"") * MAX_MEMBERS  # many bytes of nothing
        self.assertRaises(BadBody, self.read, "gzip", members, limit=len(members) - 1)
        self.assertEqual(self.read("gzip", members, limit=len(members)), b"")

    def test_no_more_members_than_the_bound(self) -> None:
        problem = self.assertRaises(BadBody, self.read, "gzip", gzip.compress(b"") * (MAX_MEMBERS + 1))
        self.assertEqual(str(problem), "the compressed body has more than 64 parts")

    def test_nothing_follows_a_zlib_stream(self) -> None:
        self.assertRaises(BadBody, self.read, "deflate", zlib.compress(TEXT) * 2)

    def test_a_truncated_body_is_refused(self) -> None:
        for encoding, data in ENCODED.items():
            if encoding not in ("", "identity"):
                problem = self.assertRaises(BadBody, self.read, encoding, data[:-1])
                self.assertEqual(str(problem), "the compressed body ends early")

    def test_a_broken_body_is_refused(self) -> None:
        for encoding in ("gzip", "deflate"):
            problem = self.assertRaises(BadBody, self.read, encoding, b"<html>" * 10)
            self.assertEqual(str(problem), "the compressed body is broken")

    def test_an_empty_body_is_empty_in_every_encoding(self) -> None:
        for encoding in ENCODED:
            self.assertEqual(self.read(encoding, b""), b"")

    def test_encodings_nobody_asked_for_are_refused(self) -> None:
        for encoding in ("br", "zstd", "gzip, gzip", "compress", "x" * 1000):
            problem = self.assertRaises(BadBody, Body, encoding, 100)
            self.assertLess(len(str(problem)), 100)

    @given(st.binary(max_size=200), st.integers(1, 50))
    def test_any_bytes_are_inflated_or_refused(self, data: bytes, step: int) -> None:
        for encoding in ("gzip", "deflate"):
            try:
                self.read(encoding, data, limit=1000, step=step)
            except BadBody:
                pass
