"""Lists of info hashes, clients and addresses, each a file with an entry a line (BEP 3, 20).

Empty lines, and what follows a `#`, are passed over. A deny list refuses what it names; an allow list refuses
what it does not. Each worker of a tracker reads the files by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Protocol, TypeVar
from urllib.parse import unquote_to_bytes

from bittwist.announce.values import AnnounceRequest
from bittwist.errors import TrackerFailure
from bittwist.net.ipfilter import AddressRange, AddressRanges
from bittwist.tracker.fields import HEXADECIMAL
from bittwist.tracker.hybrids import Hybrids
from bittwist.tracker.interfaces import AnnounceHook, Arrival
from bittwist.tracker.watched import BrokenFile

MAX_LINE = 1000  # bytes of a line, with its comment
MAX_ENTRIES = 5_000_000  # of a list; a million info hashes take about 90 MiB, a million ranges 8

PEER_ID = 20  # bytes

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Prefixes:
    """Beginnings of peer ids: `peer_id in prefixes` looks one up for each length that occurs."""

    lengths: tuple[int, ...]
    texts: frozenset[bytes]

    @classmethod
    def of(cls, texts: frozenset[bytes]) -> Prefixes:
        return cls(tuple(sorted({len(each) for each in texts})), texts)

    def __contains__(self, peer_id: object) -> bool:
        return isinstance(peer_id, bytes) and any(peer_id[:length] in self.texts for length in self.lengths)


def read_info_hashes(stream: BinaryIO) -> frozenset[bytes]:
    """Info hashes as 20 bytes: 40 hexadecimal digits, or 64 of a v2 hash, which is truncated (BEP 52)."""
    return frozenset(_each(stream, _info_hash))


def read_clients(stream: BinaryIO) -> Prefixes:
    """Beginnings of peer ids, in any style: `-XX`, `-XX12`, `M4-`, `%00%01`."""
    return Prefixes.of(frozenset(_each(stream, _prefix)))


def read_addresses(stream: BinaryIO) -> AddressRanges:
    """Addresses, networks and ranges (net.ipfilter)."""
    return AddressRanges(_each(stream, AddressRange.parse))


class Current(Protocol):
    """A list as it is now; whoever reads it anew replaces `value`."""

    @property
    def value(self) -> Container[object]: ...


class InfoHashLists(AnnounceHook):
    """Serves torrents by their info hashes. To name one of the `hybrids` by either hash is enough."""

    def __init__(self, allow: Current | None, deny: Current | None, hybrids: Hybrids | None = None) -> None:
        self._allow = allow
        self._deny = deny
        self._hybrids = hybrids or Hybrids()

    def announcing(self, request: AnnounceRequest, arrival: Arrival) -> None:
        self._check(request.info_hash)

    def scraping(self, info_hashes: Sequence[bytes], arrival: Arrival) -> None:
        for info_hash in info_hashes:
            self._check(info_hash)

    def _check(self, info_hash: bytes) -> None:
        if _refused(self._hybrids.names(info_hash), self._allow, self._deny):
            raise TrackerFailure("info_hash: this torrent is not served here", math.inf)


class ClientLists(AnnounceHook):
    """Serves clients by what their peer ids begin with, which anyone can make up. Scrapes name no client."""

    def __init__(self, allow: Current | None, deny: Current | None) -> None:
        self._allow = allow
        self._deny = deny

    def announcing(self, request: AnnounceRequest, arrival: Arrival) -> None:
        if _refused((request.peer_id,), self._allow, self._deny):
            raise TrackerFailure("peer_id: this client is not allowed here", math.inf)


class AddressLists(AnnounceHook):
    """Serves hosts by their addresses: who asks, and which address it says others shall dial."""

    def __init__(self, allow: Current | None, deny: Current | None) -> None:
        self._allow = allow
        self._deny = deny

    def announcing(self, request: AnnounceRequest, arrival: Arrival) -> None:
        self._check(arrival.host)
        if request.address is not None and request.address.host != arrival.host:
            self._check(request.address.host)

    def scraping(self, info_hashes: Sequence[bytes], arrival: Arrival) -> None:
        self._check(arrival.host)

    def _check(self, host: str) -> None:
        if _refused((host,), self._allow, self._deny):
            raise TrackerFailure("your address is not allowed here", math.inf)


def _refused(names: Sequence[object], allow: Current | None, deny: Current | None) -> bool:
    """Whether the lists refuse what goes by these names: a list has it that has one of them."""
    return (deny is not None and any(name in deny.value for name in names)) or (
        allow is not None and not any(name in allow.value for name in names)
    )


def _each(stream: BinaryIO, read: Callable[[str], T]) -> Iterator[T]:
    """What each line says; BrokenFile names the first that says nothing."""
    number = 0
    while line := stream.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            raise BrokenFile(number, f"longer than {MAX_LINE} bytes")
        if number > MAX_ENTRIES:
            raise BrokenFile(number, f"more than {MAX_ENTRIES} lines")
        try:
            text = line.partition(b"#")[0].decode("ascii").strip()
            if text:
                yield read(text)
        except UnicodeDecodeError as error:
            raise BrokenFile(number, "not ASCII") from error
        except ValueError as error:
            raise BrokenFile(number, str(error)) from error


def _info_hash(text: str) -> bytes:
    if len(text) not in (40, 64) or not set(text) <= HEXADECIMAL:
        raise ValueError(f"{text[:80]!r} is not 40 or 64 hexadecimal digits")
    return bytes.fromhex(text)[:20]


def _prefix(text: str) -> bytes:
    prefix = unquote_to_bytes(text)
    if len(prefix) > PEER_ID:
        raise ValueError(f"{text[:80]!r} is longer than the {PEER_ID} bytes of a peer id")
    return prefix
