"""What a web server is asked for a range of a file, and whether an answer is that (RFC 9110, section 14)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import NoReturn

from bittwist.errors import FetchError, RangeRefused

GONE = frozenset({404, 410, 451})  # statuses that do not pass; BitTorrent's users are many and ask for long

_CONTENT_RANGE = re.compile(r"bytes\s+(?:(\d{1,20})-(\d{1,20})|\*)/(\d{1,20}|\*)", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class Wanted:
    """`length` bytes from `first` on, of a file that has `size` bytes.

    With `size` None the URL itself names these bytes, and no range is asked for.
    """

    url: str
    first: int
    length: int
    size: int | None

    @property
    def range(self) -> str:
        return f"bytes={self.first}-{self.first + self.length - 1}"

    @property
    def is_whole(self) -> bool:
        """A plain 200 gives it too."""
        return self.size is None or (self.first == 0 and self.length == self.size)


def judge(url: str, status: int, headers: Mapping[str, str], length: int | None, wanted: Wanted) -> None:
    """Whether an answer is what is wanted, before its body is read.

    FetchError where it may be later, RangeRefused where it will not. `length` is the body's,
    None where the head does not say.
    """

    def refuse(reason: str) -> NoReturn:
        raise RangeRefused(url, reason, status)

    match status:
        case 206 if wanted.size is not None:
            found = _CONTENT_RANGE.fullmatch(headers.get("content-range", "").strip())
            if found is None or found[1] is None:
                refuse("it does not say which bytes it gives")
            if found[3] not in ("*", str(wanted.size)):
                refuse(f"the file there has {found[3]} bytes, not {wanted.size}")
            if (int(found[1]), int(found[2])) != (wanted.first, wanted.first + wanted.length - 1):
                refuse(f"it gives bytes {found[1]}-{found[2]}, not those asked for")
        case 200 if wanted.is_whole:
            if length is not None and length != wanted.length:
                refuse(f"the file there has {length} bytes, not {wanted.length}")
        case 200:
            if length is not None and length != wanted.size:
                refuse(f"the file there has {length} bytes, not {wanted.size}")
            refuse("it does not give ranges")
        case 416:
            found = _CONTENT_RANGE.fullmatch(headers.get("content-range", "").strip())
            known = found is not None and found[3] != "*"
            refuse(
                f"the file there has {found[3]} bytes, not {wanted.size}"
                if known and found
                else "HTTP status 416"
            )
        case _ if status in GONE:
            refuse(f"HTTP status {status}")
        case _:
            raise FetchError(url, f"HTTP status {status}", status, _retry_in(headers))
    coding = headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("", "identity"):
        refuse(f"its bytes are encoded ({coding[:40]})")
    if length is not None and length != wanted.length:
        refuse(f"it gives {length} bytes, not {wanted.length}")


def _retry_in(headers: Mapping[str, str]) -> float | None:
    """The seconds of a Retry-After; a date there counts from the one the answer has."""
    text = headers.get("retry-after", "").strip()
    if text.isdecimal() and text.isascii():
        return float(text[:9])
    try:
        seconds = (parsedate_to_datetime(text) - parsedate_to_datetime(headers["date"])).total_seconds()
    except (ValueError, TypeError, KeyError):
        return None
    return max(0.0, seconds)
