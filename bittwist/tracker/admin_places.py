"""Where an admin port listens, by its endpoint string: on this machine alone, and each worker elsewhere."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Kinds that open a port to the world: at which place of the string port and interface can stand unnamed
# (the kind is at 0), and the address of this machine alone.
_OPEN = {
    "tcp": (1, 2, "127.0.0.1"),
    "tcp4": (1, 2, "127.0.0.1"),
    "ssl": (1, 5, "127.0.0.1"),
    "tcp6": (1, 3, r"\:\:1"),
    "tls": (2, 4, r"\:\:1"),
}
_WRAPPING = "haproxy"  # its string is another's, behind its own name
_ELSEWHERE = ("unix", "systemd")  # what they open is said elsewhere
_KINDS = ", ".join((*_OPEN, *_ELSEWHERE, _WRAPPING))

_WORD = re.compile(r"(?:^|:)((?:\\.|[^:\\])*)", re.DOTALL)
_NAME = re.compile(r"((?:\\.|[^=\\])*)=(.*)", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def at_home(description: str) -> str:
    """The endpoint of an admin port: on this machine alone, unless it names where it listens.

    ValueError for a kind of which we do not know where it listens.
    """
    words = _words(description)
    kind = _plain(words[0])
    if kind == _WRAPPING:
        return _wrapped(words, at_home(_rest(words)))
    if kind in _ELSEWHERE:
        return description
    if kind not in _OPEN:
        raise ValueError(f"{kind!r} is no kind of endpoint for an admin port; use {_KINDS}")
    _, place, loopback = _OPEN[kind]
    found = _find(words, "interface", place)
    if found is None:
        return f"{description}:interface={loopback}"
    if not _value(words[found]):
        raise ValueError(f"{description!r}: its interface is empty")
    return description


def worker_endpoint(description: str, worker: int) -> str:
    """The admin endpoint of worker n: the next ports, or the path of a unix one and ".n".

    Worker 0 has it as it is. ValueError for other kinds, which cannot be counted up.
    """
    if worker == 0:
        return description
    words = _words(description)
    kind = _plain(words[0])
    if kind == _WRAPPING:
        return _wrapped(words, worker_endpoint(_rest(words), worker))
    if kind in _OPEN:
        found = _find(words, "port", _OPEN[kind][0])
        value = "" if found is None else _value(words[found])
        if found is not None and value.isdecimal() and (not int(value) or int(value) + worker <= 65_535):
            counted = int(value) + worker if int(value) else 0
            words[found] = words[found].removesuffix(value) + str(counted)
            return ":".join(words)
    elif kind == "unix":
        found = _find(words, "address", 1)
        if found is not None and _value(words[found]):
            words[found] += f".{worker}"
            return ":".join(words)
    raise ValueError(f"{description!r} cannot be one endpoint for each worker: use tcp:PORT or unix:PATH")


def _words(description: str) -> list[str]:
    """Its parts as they are written, escapes and all."""
    return _WORD.findall(description)


def _find(words: Sequence[str], name: str, place: int) -> int | None:
    """Where among the words the argument of this name is: by it, or at that place among the nameless."""
    nameless = []
    for at, word in enumerate(words):
        named = _NAME.fullmatch(word)
        if named is None:
            nameless.append(at)
        elif _plain(named[1]) == name:
            return at
    return nameless[place] if place < len(nameless) else None


def _value(word: str) -> str:
    named = _NAME.fullmatch(word)
    return word if named is None else named[2]


def _plain(text: str) -> str:
    return _ESCAPED.sub(r"\1", text)


def _rest(words: Sequence[str]) -> str:
    return ":".join(words[1:])


def _wrapped(words: Sequence[str], inner: str) -> str:
    return f"{words[0]}:{inner}"
