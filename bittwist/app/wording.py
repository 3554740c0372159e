"""How numbers, dates and strangers' text read on a terminal."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

from bittwist.metainfo.magnet_parts import Ignored

_SCHEME = re.compile(r"[a-z0-9+.-]*", re.IGNORECASE)


def size(count: float) -> str:
    """A number of bytes to read: `1.5 GiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def duration(seconds: float) -> str:
    """A time to read: `1:02:03`, or `2:03`; days where it is many hours."""
    days = min(seconds / 86_400, 1000)
    if days >= 4:
        return f"{days:.0f} days" if days < 1000 else "over 999 days"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def count(number: int, what: str) -> str:
    """`1 peer`, `2 peers`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def without_secrets(url: str) -> str:
    """A tracker's URL to show: no user and password, and no query, which often has a passkey."""
    scheme, there, rest = url.partition("?")[0].partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{there}{host.rpartition('@')[2]}{slash}{path}"


def broken_without_secrets(url: str) -> str:
    """A URL that cannot be used, or is cut at `…`, to show: no more of it than can hold no password."""
    scheme, there, rest = url.partition("://")
    if not there:
        scheme, rest = "", url
    if _SCHEME.fullmatch(scheme) is None:
        return "…"
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    beyond = rest[len(authority) :]
    if "@" in beyond or (not beyond and rest.endswith("…")):
        return f"{scheme}{there}…"
    return f"{scheme}{there}{authority.rpartition('@')[2]}{re.split('[?#]', beyond, maxsplit=1)[0]}"


def ignored_without_secrets(part: Ignored) -> str:
    """What is left out of a magnet link, and why: its URLs, too, may hold a passkey or password."""
    if part.parameter in ("tr", "ws"):
        part = replace(part, value=broken_without_secrets(part.value))
    return str(part)


def date(seconds: int) -> str:
    """A date from seconds since 1970, in UTC; `unknown` where the calendar ends (any integer may come)."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return "unknown"


def printable(text: str) -> str:
    """A stranger's text with all that could move the cursor, or hide, shown as U+FFFD."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
