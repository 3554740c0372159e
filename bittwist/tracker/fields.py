"""Fields of a line of JSON, each checked; ValueError names the field that cannot be used."""

from __future__ import annotations

from collections.abc import Mapping

MAX_NUMBER = 1 << 80  # no sum of 64-bit counters in a lifetime is larger
HEXADECIMAL = frozenset("0123456789abcdefABCDEF")
LATEST = 1e12  # seconds: some 30,000 years; neither infinite nor "not a number" is less


def text(line: Mapping[str, object], key: str, longest: int) -> str:
    """A text of at most so many characters; empty where the field is missing."""
    value = line.get(key, "")
    if not isinstance(value, str) or len(value) > longest:
        raise ValueError(f"{key}: not a text of at most {longest} characters")
    return value


def number(line: Mapping[str, object], key: str) -> int:
    """A whole number from 0; 0 where the field is missing."""
    value = line.get(key, 0)
    if type(value) is not int or not 0 <= value <= MAX_NUMBER:
        raise ValueError(f"{key}: not a whole number from 0")
    return value


def seconds(line: Mapping[str, object], key: str) -> float:
    """A wall-clock time; 0 where the field is missing."""
    value = line.get(key, 0.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not -LATEST < value < LATEST:
        raise ValueError(f"{key}: not a time")
    return float(value)


def flag(line: Mapping[str, object], key: str, default: bool) -> bool:
    value = line.get(key, default)
    if not isinstance(value, bool):
        raise ValueError(f"{key}: not true or false")
    return value
