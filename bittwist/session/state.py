"""What survives a restart: a file and a journal for each torrent, in one folder, no database.

A file is replaced whole (written beside, synced, renamed); one that cannot be read is set aside
alone, so that it costs the others nothing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path, PurePosixPath
from typing import TypedDict

from bittwist.errors import MetainfoError, StorageError
from bittwist.metainfo import bencode
from bittwist.metainfo.files import renamed, safe_paths
from bittwist.metainfo.info import Info
from bittwist.metainfo.infohash import InfoHash
from bittwist.metainfo.magnet import Magnet
from bittwist.metainfo.metainfo import Metainfo
from bittwist.session.home import Home
from bittwist.session.limits import OF_SETTINGS, TorrentLimits
from bittwist.session.rules import Goals
from bittwist.swarm.priorities import Priority, Wishes

SUFFIX = ".torrent-state"
SET_ASIDE = ".unreadable"
FRACTION = 1000  # of goals what is kept: there are no fractions in bencoding
SECOND = 1_000_000  # dates are kept to the microsecond: torrents added together come back in their order


@dataclass(frozen=True, slots=True)
class SavedTorrent:
    """One torrent as it was: what it is, where it is kept, whether it ran, and what it moved (bytes).

    `left` are homes whose files were about to be brought to `home`; `goals` are its own; `unchosen` is why
    nothing is fetched before the user says which files are wanted.
    """

    source: Metainfo | Magnet
    save_path: str
    running: bool
    uploaded: int
    downloaded: int
    added_at: float  # wall clock
    limits: TorrentLimits = OF_SETTINGS
    names: tuple[tuple[int, PurePosixPath], ...] = ()
    left: tuple[Home, ...] = ()
    wishes: Wishes = field(default_factory=Wishes)
    goals: Goals | None = None
    seeded: float = 0.0  # seconds
    superseeds: bool = False
    unchosen: str = ""

    @property
    def info_hash(self) -> InfoHash:
        return self.source.info.info_hash if isinstance(self.source, Metainfo) else self.source.info_hash

    @property
    def home(self) -> Home:
        return Home(Path(self.save_path), self.names)

    def encode(self) -> bytes:
        source = (
            {"metainfo": self.source.encode()}
            if isinstance(self.source, Metainfo)
            else {"magnet": str(self.source)}
        )
        limits = {"download limit": self.limits.download, "upload limit": self.limits.upload}
        return bencode.encode(
            {
                **source,
                **{key: limit for key, limit in limits.items() if limit is not None},
                "save path": os.fsencode(self.save_path),
                "running": int(self.running),
                "uploaded": self.uploaded,
                "downloaded": self.downloaded,
                "added at": max(0, round(self.added_at * SECOND)),
                **_encode_wanted(self),
            }
        )

    @classmethod
    def decode(cls, data: bytes) -> SavedTorrent:
        """The reverse of `encode`; MetainfoError for anything else."""
        saved = bencode.decode(data)
        if not isinstance(saved, dict):
            raise MetainfoError("saved state is not a dictionary")
        metainfo, magnet = saved.get(b"metainfo"), saved.get(b"magnet")
        if isinstance(metainfo, bytes):
            source: Metainfo | Magnet = Metainfo.parse(metainfo)
        elif isinstance(magnet, bytes):
            source = Magnet.parse(magnet.decode("utf-8", "replace"))
        else:
            raise MetainfoError("saved state names no torrent")
        path = saved.get(b"save path")
        if not isinstance(path, bytes) or not path or b"\0" in path:
            raise MetainfoError("saved state has no save path")
        return cls(
            source,
            os.fsdecode(path),
            bool(_number(saved, b"running")),
            _number(saved, b"uploaded"),
            _number(saved, b"downloaded"),
            _number(saved, b"added at") / SECOND,
            TorrentLimits(
                _number(saved, b"download limit") if b"download limit" in saved else None,
                _number(saved, b"upload limit") if b"upload limit" in saved else None,
            ),
            **_decode_wanted(saved, source.info if isinstance(source, Metainfo) else None),
        )


def _encode_wanted(saved: SavedTorrent) -> dict[str, bencode.Encodable]:
    """What is only said where the user asked for something."""
    wishes, goals = saved.wishes, saved.goals
    said: dict[str, bencode.Encodable] = {
        "priorities": bytes(wishes.priorities),
        "sequential": int(wishes.sequential),
        "first and last": int(wishes.first_and_last),
        "names": _encode_names(saved.names),
        "left": [_encode_left(home) for home in saved.left],
        "seeded": round(saved.seeded),
        "superseeds": int(saved.superseeds),
        "unchosen": saved.unchosen.encode("utf-8", "replace"),
    }
    if goals is not None:
        values = {"ratio": goals.ratio, "seed time": goals.seed_time, "idle": goals.idle}
        said["goals"] = {key: round(value * FRACTION) for key, value in values.items() if value is not None}
    return {key: value for key, value in said.items() if value or key == "goals"}


def _encode_left(home: Home) -> dict[str, bencode.Encodable]:
    gone: dict[str, bencode.Encodable] = {"gone": list(home.gone)} if home.gone else {}
    return {"folder": os.fsencode(home.folder), "names": _encode_names(home.names), **gone}


def _encode_names(names: tuple[tuple[int, PurePosixPath], ...]) -> list[bencode.Encodable]:
    return [[file, os.fsencode(path)] for file, path in names]


class _Wanted(TypedDict):
    names: tuple[tuple[int, PurePosixPath], ...]
    left: tuple[Home, ...]
    wishes: Wishes
    goals: Goals | None
    seeded: float
    superseeds: bool
    unchosen: str


def _decode_wanted(saved: dict[bytes, bencode.Value], info: Info | None) -> _Wanted:
    priorities = saved.get(b"priorities", b"")
    if not isinstance(priorities, bytes) or (
        priorities and (info is None or len(priorities) != len(info.files))
    ):
        raise MetainfoError("saved state has no priority for each file")
    try:
        wanted = tuple(Priority(level) for level in priorities)
    except ValueError:
        raise MetainfoError("saved state has an unknown priority") from None
    left = _list(saved.get(b"left", []))
    homes = [home for home in left if isinstance(home, dict)]
    names = _decode_names(saved.get(b"names", []), info)
    return {
        "names": names,
        "left": tuple(_decode_left(home, info) for home in homes),
        "wishes": Wishes(wanted, bool(saved.get(b"sequential")), bool(saved.get(b"first and last"))),
        "goals": _decode_goals(saved.get(b"goals")),
        "seeded": float(_number(saved, b"seeded")) if b"seeded" in saved else 0.0,
        "superseeds": bool(saved.get(b"superseeds")),
        "unchosen": _text(saved.get(b"unchosen", b"")),
    }


def _decode_left(home: dict[bytes, bencode.Value], info: Info | None) -> Home:
    names = _decode_names(home.get(b"names", []), info)
    files = range(len(info.files)) if info is not None else range(0)
    gone = []
    for file in _list(home.get(b"gone", [])):
        if not isinstance(file, int) or file not in files:
            raise MetainfoError("saved state has deleted files that there are not")
        gone.append(file)
    return Home(_folder(home.get(b"folder")), names, tuple(gone))


def _decode_names(value: bencode.Value, info: Info | None) -> tuple[tuple[int, PurePosixPath], ...]:
    """Names that are as safe as when they were given; MetainfoError for any other."""
    names = []
    for item in _list(value):
        match item:
            case [int(file), bytes(path)]:
                names.append((file, PurePosixPath(os.fsdecode(path))))
            case _:
                raise MetainfoError("saved state has a name that is none")
    if names and info is None:
        raise MetainfoError("saved state names files that are not known")
    if info is not None and names:
        try:
            paths = renamed(safe_paths(info), dict(names))
        except IndexError:
            raise MetainfoError("saved state names a file that there is not") from None
        if any(paths[file] != path for file, path in names):
            raise MetainfoError("saved state has a name that is not safe")
    return tuple(names)


def _decode_goals(value: bencode.Value | None) -> Goals | None:
    if not isinstance(value, dict):
        return None
    ratio, seed_time, idle = (
        _number(value, key) / FRACTION if key in value else None for key in (b"ratio", b"seed time", b"idle")
    )
    return Goals(ratio, seed_time, idle)


def _list(value: bencode.Value) -> list[bencode.Value]:
    if not isinstance(value, list):
        raise MetainfoError("saved state has no list where one is to be")
    return value


def _text(value: bencode.Value) -> str:
    if not isinstance(value, bytes):
        raise MetainfoError("saved state has no text where one is to be")
    return value.decode("utf-8", "replace")


def _folder(value: bencode.Value | None) -> Path:
    if not isinstance(value, bytes) or not value or b"\0" in value:
        raise MetainfoError("saved state has no folder where one is to be")
    return Path(os.fsdecode(value))


def _number(saved: dict[bytes, bencode.Value], key: bytes) -> int:
    value = saved.get(key)
    if not isinstance(value, int) or value < 0:
        raise MetainfoError(f"saved state has no {key.decode()}")
    return value


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=16).digest()


def _new(path: Path) -> Path:
    """Where what is to replace a file is written."""
    return path.with_name(path.name + ".new")


def _set_aside(path: Path, why: str) -> StorageError:
    """Out of the way of the next start, if that can be; what there is to say about it."""
    try:
        path.rename(path.with_name(path.name + SET_ASIDE))
    except OSError as error:
        return StorageError(str(path), f"{why}; and it cannot be set aside: {error.strerror or error}")
    return StorageError(str(path), f"set aside, as {why}")


class StateFolder:
    """The folder; blocking, a few kilobytes at a time.

    It is made by the first save. When it goes away later it is not made again: it may have been on a drive,
    and what is there now its mount point (SECURITY.md F3).
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made = False
        self._written: dict[Path, bytes] = {}  # the digest of what each file holds

    def journal(self, info_hash: InfoHash) -> Path:
        """Where the journal of a torrent's verified pieces is."""
        return self._folder / f"{info_hash}.journal"

    def load(self) -> tuple[list[SavedTorrent], list[StorageError]]:
        """Every torrent saved here in the order they were added, and what could not be read.

        A torrent has one file, that of its name: any other is a copy, and is set aside.
        """
        saved: list[SavedTorrent] = []
        troubles: list[StorageError] = []
        try:
            names = sorted(os.listdir(self._folder))
        except FileNotFoundError:
            return saved, troubles
        except OSError as error:
            return saved, [StorageError(str(self._folder), error.strerror or str(error))]
        for path in [self._folder / name for name in names if name.endswith(SUFFIX)]:
            try:
                content = path.read_bytes()
                torrent = SavedTorrent.decode(content)
            except MetainfoError as error:
                troubles.append(_set_aside(path, f"it cannot be read: {error}"))
            except OSError as error:
                troubles.append(StorageError(str(path), error.strerror or str(error)))
            else:
                if path == self._path(torrent.info_hash):
                    saved.append(torrent)
                    self._written[path] = _digest(content)
                else:
                    troubles.append(_set_aside(path, "it is not the file of the torrent in it"))
        saved.sort(key=lambda torrent: torrent.added_at)
        return saved, troubles

    def save(self, torrent: SavedTorrent) -> None:
        """Replace a torrent's file, unless it says this already; StorageError leaves the one before."""
        path = self._path(torrent.info_hash)
        content = torrent.encode()
        if self._written.get(path) == _digest(content):
            return
        beside = _new(path)
        try:
            if not self._made:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._made = True
            with open(beside, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, path)
            self._sync_folder()
            self._written[path] = _digest(content)
        except OSError as error:
            raise StorageError(str(path), error.strerror or str(error)) from error

    def forget(self, info_hash: InfoHash) -> None:
        """Remove a torrent's file and journal, and the folder when nothing else is in it.

        StorageError where something could not be removed, after all else was.
        """
        self._written.pop(self._path(info_hash), None)
        failed: StorageError | None = None
        for path in (self._path(info_hash), self.journal(info_hash)):
            for each in (path, _new(path)):
                try:
                    each.unlink(missing_ok=True)
                except OSError as error:
                    failed = StorageError(str(each), error.strerror or str(error))
        try:
            self._folder.rmdir()
            self._made = False
        except OSError:
            # Not empty, or not there: other torrents are kept in it.
            pass
        if failed is not None:
            raise failed

    def _path(self, info_hash: InfoHash) -> Path:
        return self._folder / f"{info_hash}{SUFFIX}"

    def _sync_folder(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
