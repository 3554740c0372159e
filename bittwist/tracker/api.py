"""What the admin port's JSON API does with torrents and users, whatever carries it.

Each method takes what came as text and returns what becomes JSON. It raises Refused with the HTTP status
that says whose fault it is; MetainfoError, AccessError and StorageError are told apart by `refusal`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from bittwist.announce.values import ScrapeEntry
from bittwist.errors import (
    AccessError,
    AlreadyThere,
    BitTwistError,
    DiskFull,
    MetainfoError,
    NotThere,
    StorageError,
)
from bittwist.metainfo.infohash import InfoHash
from bittwist.tracker.accounts import User
from bittwist.tracker.status import Json, size_json
from bittwist.tracker.torrents import Torrent
from bittwist.tracker.users import NewPasskey

PAGE = 100  # entries in a list, unless another number is asked for

_log = Logger()


class Torrents(Protocol):
    """What the API needs of a registry; tracker.registry has one."""

    def get(self, info_hash: bytes) -> Torrent | None: ...

    def list(self, after: bytes | None = None, count: int = PAGE) -> list[Torrent]: ...

    def upload(self, torrent: bytes) -> Deferred[Torrent]: ...

    def add(self, info_hash: InfoHash, name: str = "", size: int = 0) -> Deferred[Torrent]: ...

    def block(self, info_hash: bytes) -> Deferred[Torrent]: ...

    def unblock(self, info_hash: bytes) -> Deferred[None]: ...

    def remove(self, info_hash: bytes) -> Deferred[None]: ...


class UserList(Protocol):
    """What the API needs of the users; tracker.users has them."""

    def get(self, name: str) -> User | None: ...

    def list(self, after: str | None = None, count: int = PAGE) -> list[User]: ...

    def add(self, name: str, passkey: str | None = None) -> Deferred[NewPasskey]: ...

    def renew(self, name: str) -> Deferred[NewPasskey]: ...

    def block(self, name: str) -> Deferred[User]: ...

    def unblock(self, name: str) -> Deferred[User]: ...

    def remove(self, name: str) -> Deferred[None]: ...


class SwarmsOfTorrents(Protocol):
    """What the API needs to know of swarms; tracker.admin does."""

    def swarm(self, info_hash: bytes) -> bytes:
        """The hash under which the swarm of this one is kept: its own, but for a hybrid."""

    async def sizes(self, info_hashes: Sequence[bytes]) -> Mapping[bytes, ScrapeEntry]: ...

    def forget(self, info_hash: bytes) -> Deferred[None] | None: ...


class Refused(BitTwistError):
    """It cannot be done: an HTTP status, and the reason as its sender reads it."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def refusal(error: BaseException) -> Refused | None:
    """The refusal that one of our errors amounts to; None where it is none of those."""
    match error:
        case Refused():
            return error
        case NotThere():
            return Refused(404, error.reason)
        case AlreadyThere():
            return Refused(409, error.reason)
        case AccessError() | MetainfoError():
            return Refused(400, error.reason)
        case DiskFull():
            return Refused(507, "there is no room to write it down")
        case StorageError():
            return Refused(500, "it could not be written down; the tracker's log says why")
    return None


def fields(body: bytes, known: Mapping[str, type]) -> dict[str, object]:
    """The JSON object in a body (an empty body is an empty one), with fields of the known types only."""
    try:
        found = json.loads(body) if body else {}
    except (ValueError, RecursionError):
        raise Refused(400, "the body is not JSON") from None
    if not isinstance(found, dict):
        raise Refused(400, "the body is not a JSON object")
    for name, value in found.items():
        if name not in known:
            raise Refused(400, f"unknown field {name[:40]!r}; known are {', '.join(known) or 'none'}")
        if type(value) is not known[name]:
            raise Refused(400, f"{name}: must be a {known[name].__name__}")
    return found


class TorrentsApi:
    """Torrents as JSON. A torrent that is blocked or removed loses its swarm at once."""

    def __init__(self, torrents: Torrents, swarms: SwarmsOfTorrents) -> None:
        self._torrents = torrents
        self._swarms = swarms

    async def list(self, after: str | None, count: int) -> Json:
        found = self._torrents.list(None if after is None else _info_hash(after).short, count)
        sizes = await self._sizes([torrent.info_hash for torrent in found])
        told = [{**_torrent(each), "swarm": sizes.get(each.info_hash)} for each in found]
        return {"torrents": told, "next": found[-1].info_hash.hex() if len(found) == count else None}

    async def get(self, name: str) -> Json:
        torrent = self._torrents.get(_info_hash(name).short)
        if torrent is None:
            raise Refused(404, "there is no such torrent")
        sizes = await self._sizes([torrent.info_hash])
        return {**_torrent(torrent), "swarm": sizes.get(torrent.info_hash)}

    async def add(self, body: bytes) -> Json:
        found = fields(body, {"info_hash": str, "info_hash_v2": str, "name": str, "size": int})
        named = _info_hash(str(found.get("info_hash", "")))
        if "info_hash_v2" in found:
            second = _info_hash(str(found["info_hash_v2"]), "info_hash_v2")
            if named.v1 is None or second.v2 is None:
                raise Refused(400, "info_hash_v2: has 64 hex digits, and info_hash beside it 40")
            named = InfoHash(named.v1, second.v2)
        name, size = found.get("name", ""), found.get("size", 0)
        assert isinstance(name, str) and isinstance(size, int)  # `fields` has seen to it
        return _torrent(await self._torrents.add(named, name, size))

    async def upload(self, body: bytes) -> Json:
        try:
            return _torrent(await self._torrents.upload(body))
        except MetainfoError as error:
            raise Refused(400, f"the body is no torrent file: {error.reason}") from error

    async def block(self, name: str) -> Json:
        torrent = await self._torrents.block(_info_hash(name).short)
        return {**_torrent(torrent), "swarm_dropped": await self._drop(torrent.hashes)}

    async def unblock(self, name: str) -> Json:
        info_hash = _info_hash(name).short
        await self._torrents.unblock(info_hash)
        torrent = self._torrents.get(info_hash)
        return _torrent(torrent) if torrent is not None else {}

    async def remove(self, name: str) -> Json:
        info_hash = _info_hash(name).short
        torrent = self._torrents.get(info_hash)
        await self._torrents.remove(info_hash)
        return {"swarm_dropped": await self._drop(torrent.hashes if torrent else (info_hash,))}

    async def _sizes(self, hashes: Sequence[bytes]) -> dict[bytes, Json]:
        """How large their swarms are; empty where the store cannot say."""
        try:
            swarms = {info_hash: self._swarms.swarm(info_hash) for info_hash in hashes}
            entries = await self._swarms.sizes(tuple(dict.fromkeys(swarms.values())))
        except Exception:  # a store is a stranger's; the torrents are known all the same
            _log.failure("the swarms of the torrents of a list could not be counted")
            return {}
        return {info_hash: size_json(entries[swarm]) for info_hash, swarm in swarms.items()}

    async def _drop(self, hashes: Sequence[bytes]) -> bool:
        """Drop the swarms; where the store cannot, they expire by themselves, and that is told."""
        try:
            for info_hash in hashes:
                dropped = self._swarms.forget(info_hash)
                if isinstance(dropped, Deferred):
                    await dropped
        except Exception:  # a store is a stranger's; what was asked for is written down all the same
            _log.failure("the swarm of a torrent that was blocked or removed could not be dropped")
            return False
        return True


class UsersApi:
    """Users as JSON. A passkey is told once, when it is made."""

    def __init__(self, users: UserList) -> None:
        self._users = users

    async def list(self, after: str | None, count: int) -> Json:
        found = self._users.list(after, count)
        return {
            "users": [_user(each) for each in found],
            "next": found[-1].name if len(found) == count else None,
        }

    async def get(self, name: str) -> Json:
        user = self._users.get(name)
        if user is None:
            raise Refused(404, "there is no such user")
        return _user(user)

    async def add(self, body: bytes) -> Json:
        found = fields(body, {"name": str, "passkey": str})
        name, passkey = found.get("name", ""), found.get("passkey")
        assert isinstance(name, str) and (passkey is None or isinstance(passkey, str))
        return _new_passkey(await self._users.add(name, passkey))

    async def renew(self, name: str) -> Json:
        return _new_passkey(await self._users.renew(name))

    async def block(self, name: str) -> Json:
        return _user(await self._users.block(name))

    async def unblock(self, name: str) -> Json:
        return _user(await self._users.unblock(name))

    async def remove(self, name: str) -> Json:
        await self._users.remove(name)
        return {}


def _info_hash(text: str, field: str = "info_hash") -> InfoHash:
    try:
        return InfoHash.parse(text)
    except MetainfoError as error:
        raise Refused(400, f"{field}: {error.reason}") from None


def _torrent(torrent: Torrent) -> dict[str, object]:
    return {
        "info_hash": torrent.info_hash.hex(),
        "v1": torrent.v1 and torrent.v1.hex(),
        "v2": torrent.v2 and torrent.v2.hex(),
        "name": torrent.name,
        "size": torrent.size,
        "added_at": torrent.added_at,
        "registered": torrent.registered,
        "blocked": torrent.blocked,
    }


def _user(user: User) -> dict[str, object]:
    return {
        "name": user.name,
        "added_at": user.added_at,
        "blocked": user.blocked,
        "uploaded": user.uploaded,
        "downloaded": user.downloaded,
    }


def _new_passkey(made: NewPasskey) -> Json:
    return {**_user(made.user), "passkey": made.passkey}
