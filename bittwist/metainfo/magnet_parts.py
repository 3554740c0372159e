"""The optional parts of a magnet link, and why one that is there cannot be used (BEP 9; BEP 53 for `so`).

A link is good without any of them: what cannot be used is left out and kept as an `Ignored`, to be told.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bittwist.address import split_host_port
from bittwist.metainfo.urls import MAX_URLS

MAX_PEERS = 100  # `x.pe` addresses kept: trackers and the DHT bring more
MAX_FILE_INDEX = 1_000_000  # more files than a 10 MiB torrent can list
MAX_LENGTH = 1 << 62  # bytes, as of a torrent
MAX_IGNORED = 10  # of each parameter: more tell nobody anything new
MAX_SHOWN = 80  # characters kept of a value that is ignored

_HOST = re.compile(r"[0-9a-z._-]+|\[?[0-9a-f:.]+\]?", re.IGNORECASE)
_RANGE = re.compile(r"([0-9]+)(?:-([0-9]+))?")
_DIGITS = len(str(MAX_FILE_INDEX))


@dataclass(frozen=True, slots=True)
class Ignored:
    """What is left out of a link: the parameter (`so`), its value or the bad part of it, and why."""

    parameter: str
    value: str
    reason: str

    def __str__(self) -> str:
        return f"{self.parameter}={self.value}: {self.reason}"


class Faults:
    """Collects what is ignored, within MAX_IGNORED of each parameter."""

    def __init__(self) -> None:
        self._kept: list[Ignored] = []
        self._more: dict[str, int] = {}

    def add(self, parameter: str, value: str, reason: str) -> None:
        if sum(1 for each in self._kept if each.parameter == parameter) < MAX_IGNORED:
            shown = value if len(value) <= MAX_SHOWN else value[: MAX_SHOWN - 1] + "…"
            self._kept.append(Ignored(parameter, shown, reason))
        else:
            self._more[parameter] = self._more.get(parameter, 0) + 1

    def all(self) -> tuple[Ignored, ...]:
        more = (Ignored(parameter, "…", f"{count} more") for parameter, count in self._more.items())
        return (*self._kept, *more)


def peer_fault(peer: str) -> str | None:
    """Why that is no HOST:PORT to dial; a host may be a name."""
    try:
        host, port = split_host_port(peer)
    except ValueError:
        return "not HOST:PORT with a port from 1 to 65535 (IPv6 addresses stand in brackets)"
    if port == 0:
        return "nobody can be dialed at port 0"
    if len(host) > 253 or _HOST.fullmatch(host) is None:
        return "its host is neither a name nor an address"
    return None


def peers(texts: Sequence[str], faults: Faults) -> tuple[str, ...]:
    """The values of `x.pe`."""
    kept: list[str] = []
    for peer in dict.fromkeys(text for text in texts if text):
        fault = peer_fault(peer)
        if fault is None and len(kept) == MAX_PEERS:
            fault = f"only {MAX_PEERS} peers are taken of a link"
        if fault is None:
            kept.append(peer)
        else:
            faults.add("x.pe", peer, fault)
    return tuple(kept)


def urls(
    parameter: str,
    texts: Sequence[str],
    usable: Callable[[Iterable[str]], tuple[str, ...]],
    wanted: str,
    faults: Faults,
) -> tuple[str, ...]:
    """The values of `tr` or `ws`: those that are `usable`, each once."""
    for text in texts:
        if text.strip() and not usable([text]):
            faults.add(parameter, text, f"not {wanted}")
    kept = usable(texts)
    if len(kept) == MAX_URLS < len(texts):
        faults.add(parameter, "…", f"only {MAX_URLS} are taken of a link")
    return tuple(dict.fromkeys(kept))


def length(texts: Sequence[str], faults: Faults) -> int | None:
    """The first value of `xl` that is a size."""
    for text in texts:
        if text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= MAX_LENGTH:
            return int(text)
        if text:
            faults.add("xl", text, "not a size in bytes")
    return None


def ranges(texts: Sequence[str], faults: Faults) -> tuple[range, ...]:
    """The file indices of `so`, as ascending ranges that neither overlap nor touch."""
    items = [item for item in ",".join(texts).split(",") if item]
    if texts and not items:
        faults.add("so", "", "it names no file")
    spans = []
    for item in items:
        match = _RANGE.fullmatch(item)
        if match is None:
            faults.add("so", item, "neither a file's number nor a range such as 2-4")
            continue
        first, last = match[1], match[2] or match[1]
        if max(len(first), len(last)) > _DIGITS or int(last) > MAX_FILE_INDEX:
            faults.add("so", item, f"no torrent has more than {MAX_FILE_INDEX} files")
        elif int(first) > int(last):
            faults.add("so", item, "the range runs backwards")
        else:
            spans.append((int(first), int(last) + 1))
    merged: list[range] = []
    for start, stop in sorted(spans):
        if merged and start <= merged[-1].stop:
            merged[-1] = range(merged[-1].start, max(stop, merged[-1].stop))
        else:
            merged.append(range(start, stop))
    return tuple(merged)
