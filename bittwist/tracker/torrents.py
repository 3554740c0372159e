"""What the lines of the torrents' file add up to: torrents that are registered, or blocked. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum

from bittwist.tracker.fields import number, seconds, text
from bittwist.tracker.records import Records

MAX_NAME = 1000  # characters of a torrent's name that are kept


@dataclass(frozen=True, slots=True)
class Torrent:
    """A torrent that is registered, blocked, or both.

    `v1` is 20 bytes; `v2` 32, or 20 where only the truncated hash is known. `info_hash`, the v1 hash or else
    the truncated v2 one, names it. `size` is in bytes, 0 where unknown; `added_at` is wall clock.
    """

    v1: bytes | None
    v2: bytes | None
    name: str = ""
    size: int = 0
    added_at: float = 0.0
    registered: bool = True
    blocked: bool = False

    @property
    def info_hash(self) -> bytes:
        return self.hashes[0]

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """The 20 bytes of each form of its hash, as announces have it."""
        return tuple(each[:20] for each in (self.v1, self.v2) if each is not None)


class What(Enum):
    """What happened to a torrent; the value is the key of its hash in a line of the file."""

    ADDED = "add"
    BLOCKED = "block"
    UNBLOCKED = "unblock"
    REMOVED = "remove"


@dataclass(frozen=True, slots=True)
class TorrentChange:
    """A line of the torrents' file. All but the first of the torrent's hashes belong to ADDED only."""

    what: What
    torrent: Torrent


def encode_change(change: TorrentChange) -> Mapping[str, object]:
    torrent = change.torrent
    line: dict[str, object] = {change.what.value: torrent.info_hash.hex(), "at": torrent.added_at}
    if change.what is What.ADDED:
        line["v1"] = (torrent.v1 or b"").hex()
        line["v2"] = (torrent.v2 or b"").hex()
        line["name"], line["size"] = torrent.name, torrent.size
    return line


def decode_change(line: Mapping[str, object]) -> TorrentChange:
    """ValueError where the line says nothing about a torrent."""
    for what in What:
        if what.value in line:
            break
    else:
        raise ValueError("no change of a torrent")
    named = bytes.fromhex(text(line, what.value, 40))
    if len(named) != 20:
        raise ValueError("the info hash has not 40 hexadecimal digits")
    at = seconds(line, "at")
    if what is not What.ADDED:
        return TorrentChange(what, Torrent(named, None, added_at=at))
    v1, v2 = (bytes.fromhex(text(line, key, 64)) or None for key in ("v1", "v2"))
    if (v1 is not None and len(v1) != 20) or (v2 is not None and len(v2) not in (20, 32)):
        raise ValueError("v1 or v2: no info hash")
    torrent = Torrent(v1, v2, text(line, "name", MAX_NAME), number(line, "size"), at)
    if not torrent.hashes or torrent.info_hash != named:
        raise ValueError("v1 and v2 are not the torrent named")
    return TorrentChange(what, torrent)


class TorrentsSum:
    """The torrents that the lines of the file add up to."""

    def __init__(self) -> None:
        self.torrents: Records[bytes, Torrent] = Records()
        self.second: dict[bytes, bytes] = {}  # a hybrid's truncated v2 hash -> its v1 hash

    def __len__(self) -> int:
        return len(self.torrents)

    def find(self, info_hash: bytes) -> Torrent | None:
        """The torrent that has this hash of 20 bytes."""
        return self.torrents.get(self.second.get(info_hash, info_hash))

    def apply(self, change: TorrentChange) -> None:
        torrent = change.torrent
        match change.what:
            case What.ADDED:
                self._add(torrent)
            case What.BLOCKED:
                found = self.find(torrent.info_hash) or replace(torrent, registered=False)
                self.torrents.put(found.info_hash, replace(found, blocked=True))
            case What.UNBLOCKED:
                known = self.find(torrent.info_hash)
                if known is not None and known.registered:
                    self.torrents.put(known.info_hash, replace(known, blocked=False))
                elif known is not None:
                    self.torrents.remove(known.info_hash)
            case What.REMOVED:
                gone = self.find(torrent.info_hash)
                if gone is not None:
                    self.torrents.remove(gone.info_hash)
                    self.second.pop(gone.hashes[-1], None)

    def changes(self) -> Iterator[TorrentChange]:
        for torrent in self.torrents:
            if torrent.registered:
                yield TorrentChange(What.ADDED, torrent)
            if torrent.blocked:
                yield TorrentChange(What.BLOCKED, torrent)

    def _add(self, torrent: Torrent) -> None:
        """Not over another one that is registered; a block of either hash goes on."""
        held = [each for each in map(self.find, torrent.hashes) if each is not None]
        if any(each.registered for each in held):
            return
        for each in held:
            self.torrents.remove(each.info_hash)
        self.torrents.put(torrent.info_hash, replace(torrent, blocked=bool(held)))
        for other in torrent.hashes[1:]:
            self.second[other] = torrent.info_hash
