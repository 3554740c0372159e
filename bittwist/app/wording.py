"""How numbers, dates and strangers' text read on a terminal."""

from __future__ import annotations

from datetime import UTC, datetime


def size(count: float) -> str:
    """A number of bytes to read: `1.5 GiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def date(seconds: int) -> str:
    """A date from seconds since 1970, in UTC; `unknown` where the calendar ends (any integer may come)."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return "unknown"


def printable(text: str) -> str:
    """A stranger's text with all that could move the cursor, or hide, shown as U+FFFD."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
