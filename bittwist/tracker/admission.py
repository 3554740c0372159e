"""Who may use a tracker: the rules chosen in its settings, in one order, as one service.

The order is from cheap and coarse to dear and fine, so that a flood is refused by its address before
anything is looked up for it: address lists, rates of an address, ports, lists of clients, lists of info
hashes, torrents, passkeys (with the rates of a user), tokens. A rule that is not chosen is not there.

Of several workers each has its own copy of everything. Lists and keys are read by each as they change, and
so are the files of users and torrents, which any of them may append to (tracker.ledgerfile): what one changes
the others know after at most `poll` seconds, and totals add up. Rates are counted by each worker by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from bittwist.errors import ConfigError, StorageError
from bittwist.tracker.access import UserPorts
from bittwist.tracker.access_settings import AccessSettings
from bittwist.tracker.hybrids import Hybrids
from bittwist.tracker.interfaces import AnnounceHook
from bittwist.tracker.limits import AddressLimits, Rate
from bittwist.tracker.lists import (
    AddressLists,
    ClientLists,
    InfoHashLists,
    read_addresses,
    read_clients,
    read_info_hashes,
)
from bittwist.tracker.passkeys import Passkeys
from bittwist.tracker.registry import Registry
from bittwist.tracker.threads import FilesReactor
from bittwist.tracker.tokenkeys import keys_reader
from bittwist.tracker.tokens import Tokens
from bittwist.tracker.users import FLUSH_EVERY, Users
from bittwist.tracker.watched import WatchedFile

T = TypeVar("T")

_log = Logger()


class Followed(Protocol):
    """What is in a file that others change."""

    def reload(self) -> Deferred[None]: ...


class Admission(Service):
    """The rules as a service; `hooks` are for the tracker, in their order, and none if anyone may use it.

    So are the `hybrids`, which both must know. `users` and `registry` are there where the settings name
    their files. Every `poll` seconds, and at once by `reload`, the files that have changed are read. Making
    it reads all of them: ConfigError for what cannot be used.
    """

    def __init__(self, reactor: FilesReactor, settings: AccessSettings, wall: Callable[[], float]) -> None:
        self._reactor = reactor
        self._poll = settings.poll
        self._followed: list[Followed] = []
        self._looking = DeferredLock()
        self._told: set[str] = set()
        self.users = self._users(settings, wall)
        self.registry = self._registry(settings, wall)
        self.hybrids = Hybrids() if self.registry is None else self.registry.hybrids
        chosen = (
            self._address_lists(settings),
            self._address_limits(settings),
            UserPorts() if settings.refuse_privileged_ports else None,
            self._client_lists(settings),
            self._info_hash_lists(settings),
            self.registry,
            self._passkeys(settings),
            self._tokens(settings, wall),
        )
        self.hooks: tuple[AnnounceHook, ...] = tuple(hook for hook in chosen if hook is not None)
        self._looks = self._loop(self.reload)
        self._flushes = self._loop(self._flush)

    def reload(self) -> Deferred[None]:
        """Look at all files now. Fires when that is done; what cannot be used is logged."""
        return self._looking.run(lambda: Deferred.fromCoroutine(self._look()))

    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call]  # untyped in Twisted
        if self._followed:
            self._looks.start(self._poll, now=False).addErrback(self._ended)
        if self.users is not None:
            self._flushes.start(FLUSH_EVERY, now=False).addErrback(self._ended)

    def stopService(self) -> Deferred[None]:
        """Fires when everything has been written down, or could not be, which is logged."""
        super().stopService()  # type: ignore[no-untyped-call]  # untyped in Twisted
        for loop in (self._looks, self._flushes):
            if loop.running:
                loop.stop()
        return Deferred.fromCoroutine(self._finish())

    async def _finish(self) -> None:
        await self._looking.run(lambda: None)
        await self._flush()
        for kept in (self.users, self.registry):
            if kept is not None:
                await kept.idle()

    async def _look(self) -> None:
        for followed in self._followed:
            try:
                await followed.reload()
            except StorageError as error:
                if str(error) not in self._told:  # once, not every few seconds
                    self._told.add(str(error))
                    _log.error("{reason}", reason=str(error))

    async def _flush(self) -> None:
        if self.users is None:
            return
        try:
            await self.users.flush()
        except StorageError as error:
            _log.error("what users moved is not written down yet: {reason}", reason=str(error))

    def _loop(self, run: Callable[[], object]) -> LoopingCall:
        loop = LoopingCall(run)
        loop.clock = self._reactor  # type: ignore[assignment]  # it needs no more of one
        return loop

    def _ended(self, failure: Failure) -> None:
        _log.failure("the files of access are not looked at any more", failure)

    def _watched(self, path: Path | None, key: str, read: Callable[[BinaryIO], T]) -> WatchedFile[T] | None:
        if path is None:
            return None
        file = WatchedFile(self._reactor, path, key, read)
        file.load()
        self._followed.append(file)
        return file

    def _address_lists(self, settings: AccessSettings) -> AddressLists | None:
        allow = self._watched(settings.allow_addresses, "allow_addresses", read_addresses)
        deny = self._watched(settings.deny_addresses, "deny_addresses", read_addresses)
        return None if allow is deny is None else AddressLists(allow, deny)

    def _client_lists(self, settings: AccessSettings) -> ClientLists | None:
        allow = self._watched(settings.allow_clients, "allow_clients", read_clients)
        deny = self._watched(settings.deny_clients, "deny_clients", read_clients)
        return None if allow is deny is None else ClientLists(allow, deny)

    def _info_hash_lists(self, settings: AccessSettings) -> InfoHashLists | None:
        allow = self._watched(settings.allow_info_hashes, "allow_info_hashes", read_info_hashes)
        deny = self._watched(settings.deny_info_hashes, "deny_info_hashes", read_info_hashes)
        return None if allow is deny is None else InfoHashLists(allow, deny, self.hybrids)

    def _address_limits(self, settings: AccessSettings) -> AddressLimits | None:
        announces = _rate(settings.announces_per_address, settings.burst)
        scrapes = _rate(settings.scrapes_per_address, settings.burst)
        if announces is None and scrapes is None:
            return None
        return AddressLimits(self._reactor.seconds, announces, scrapes)

    def _users(self, settings: AccessSettings, wall: Callable[[], float]) -> Users | None:
        if settings.users is None:
            return None
        users = Users(self._reactor, settings.users, wall, max_rate=settings.max_rate)
        _load(users.load, "users")
        self._followed.append(users)
        return users

    def _registry(self, settings: AccessSettings, wall: Callable[[], float]) -> Registry | None:
        if settings.torrents is None:
            return None
        registry = Registry(self._reactor, settings.torrents, wall, only_registered=settings.registered_only)
        _load(registry.load, "torrents")
        self._followed.append(registry)
        return registry

    def _passkeys(self, settings: AccessSettings) -> Passkeys | None:
        if self.users is None:
            return None
        return Passkeys(
            self.users,
            self._reactor.seconds,
            required=settings.passkey_required,
            announces=_rate(settings.announces_per_user, settings.burst),
            scrapes=_rate(settings.scrapes_per_user, settings.burst),
        )

    def _tokens(self, settings: AccessSettings, wall: Callable[[], float]) -> Tokens | None:
        if settings.token_keys is None:
            return None
        keys = self._watched(settings.token_keys, "token_keys", keys_reader(settings.token_algorithms))
        assert keys is not None
        return Tokens(
            keys,
            wall,
            self.hybrids,
            issuer=settings.token_issuer,
            audience=settings.token_audience,
            names_torrent=settings.token_names_torrent,
            for_scrapes=settings.token_for_scrapes,
        )


def _rate(per_minute: float, burst: int) -> Rate | None:
    return Rate(per_minute, burst) if per_minute else None


def _load(load: Callable[[], None], key: str) -> None:
    try:
        load()
    except StorageError as error:
        raise ConfigError(error.path, key, error.reason) from error
