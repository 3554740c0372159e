"""A tracker's users: their passkeys, kept as hashes, and how much they have moved.

All workers share one file (tracker.ledgerfile): a user added, blocked or removed by one is known to the
others when they next look. What clients say they have moved goes into the same file, and the differences are
taken in its order (tracker.traffic): a client whose announces go to different workers is counted once, and
goes on being counted when the tracker was away. A worker writes down what it heard (tracker.heard) each
FLUSH_EVERY seconds and when it stops; killed, it loses no more than that, and of clients that go on not even
that.

When they were said is told by a clock that never goes back: the monotonic one, which begins at the date, or
at the latest time in the file where that is later. So it goes on wherever the date is set to, and workers
that began before and after agree on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b, sha256
from pathlib import Path
from re import compile as pattern
from secrets import token_hex

from twisted.internet.defer import Deferred

from bittwist.announce.values import AnnounceRequest, Event
from bittwist.errors import AccessError, AlreadyThere, NotThere, StorageError
from bittwist.tracker.accounts import (
    SESSION,
    User,
    UserChange,
    UsersSum,
    What,
    checked_name,
    decode_change,
    encode_change,
)
from bittwist.tracker.heard import Heard
from bittwist.tracker.ledger import Ledger
from bittwist.tracker.ledgerfile import Codec
from bittwist.tracker.threads import FilesReactor

PASSKEY_BYTES = 16  # of chance: nobody guesses 128 bits, so that a plain hash protects them
FLUSH_EVERY = 20.0  # seconds: more often costs a little disk, less often memory (heard.MAX_HEARD)
FLUSH_AT_ONCE = 1000  # sessions, of two lines at most, in one write: they take the reactor some milliseconds
MAX_RATE = 1_250_000_000  # bytes/s, 10 Gbit/s: a user who says more is not believed

_PASSKEY = pattern(r"[A-Za-z0-9_-]{16,128}")


@dataclass(frozen=True, slots=True)
class NewPasskey:
    """A user and the passkey just made for it, which is kept nowhere else."""

    user: User
    passkey: str = field(repr=False)


def passkey_digest(passkey: str) -> bytes:
    """By this a passkey is looked up: how long that takes says nothing about other passkeys."""
    return sha256(passkey.encode("utf-8", "surrogatepass")).digest()


class Users:
    """The users of a tracker; their totals are those of the last `flush`. Owns what was heard since.

    Changes fire when they are on disk: with what is then true, AccessError where it cannot be done, and
    StorageError where the file cannot be written.
    """

    def __init__(
        self, reactor: FilesReactor, path: Path, wall: Callable[[], float], *, max_rate: int = MAX_RATE
    ) -> None:
        codec = Codec(encode_change, decode_change)
        self._ledger = Ledger(reactor, path, codec, partial(UsersSum, max_rate))
        self._wall = wall
        self._seconds = reactor.seconds
        self._zero_at = wall() - reactor.seconds()
        self._heard = Heard()

    def __len__(self) -> int:
        return len(self._ledger.state.users)

    def of(self, passkey: str) -> User | None:
        """Whose passkey this is; its totals are not filled in."""
        return self._ledger.state.by_digest.get(passkey_digest(passkey))

    def get(self, name: str) -> User | None:
        user = self._ledger.state.users.get(name)
        return None if user is None else self._ledger.state.with_totals(user)

    def list(self, after: str | None = None, count: int = 100) -> list[User]:
        """At most `count` users (and records.MAX_PAGE), by name, those next after `after`."""
        state = self._ledger.state
        return [state.with_totals(user) for user in state.users.page(after, count)]

    def add(self, name: str, passkey: str | None = None) -> Deferred[NewPasskey]:
        """A new user with a new passkey, or with this one (16 to 128 letters, digits, "-" and "_")."""
        return Deferred.fromCoroutine(self._add(name, passkey))

    def renew(self, name: str) -> Deferred[NewPasskey]:
        """Another passkey: the one until now is known no more."""
        return Deferred.fromCoroutine(self._renew(name))

    def block(self, name: str) -> Deferred[User]:
        return Deferred.fromCoroutine(self._change(UserChange(What.BLOCKED, name)))

    def unblock(self, name: str) -> Deferred[User]:
        return Deferred.fromCoroutine(self._change(UserChange(What.UNBLOCKED, name)))

    def remove(self, name: str) -> Deferred[None]:
        """The user and its totals."""
        return Deferred.fromCoroutine(self._remove(name))

    def hear(self, user: User, request: AnnounceRequest) -> None:
        """Note what this user's client says it has moved."""
        whole = user.name.encode() + request.info_hash + request.peer_id
        session = blake2b(whole, digest_size=SESSION).digest()
        self._heard.note(
            UserChange(
                What.SEEN,
                user.name,
                at=self._zero_at + self._seconds(),
                uploaded=request.uploaded,
                downloaded=request.downloaded,
                session=session,
                ended=request.event is Event.STOPPED,
            )
        )

    def flush(self) -> Deferred[None]:
        """Write down what was heard. StorageError where that fails: then it is tried again the next time."""
        return Deferred.fromCoroutine(self._flush())

    def load(self) -> None:
        """Read the file now, in this thread; StorageError where that fails."""
        self._ledger.load()
        self._catch_up()

    def reload(self) -> Deferred[None]:
        """Take in what other processes have written."""
        return self._ledger.reload().addCallback(lambda _: self._catch_up())

    def idle(self) -> Deferred[None]:
        """Fires when no change is on its way to the disk."""
        return self._ledger.idle()

    async def _add(self, name: str, passkey: str | None) -> NewPasskey:
        _check_name(name)
        if passkey is None:
            passkey = token_hex(PASSKEY_BYTES)
        elif not _PASSKEY.fullmatch(passkey):
            raise AccessError("a passkey has 16 to 128 letters, digits, dashes and underscores")
        if self.get(name) is not None:
            raise AlreadyThere(f"user {name} is there already")
        if self.of(passkey) is not None:
            raise AlreadyThere("the passkey is another user's")
        digest = passkey_digest(passkey)
        await self._ledger.write([UserChange(What.ADDED, name, digest, self._wall())])
        user = self.get(name)
        if user is None or user.digest != digest:  # another process was first
            raise AlreadyThere(f"user {name} is there already")
        return NewPasskey(user, passkey)

    async def _renew(self, name: str) -> NewPasskey:
        passkey = token_hex(PASSKEY_BYTES)
        user = await self._change(UserChange(What.RENEWED, name, passkey_digest(passkey)))
        return NewPasskey(user, passkey)

    async def _change(self, change: UserChange) -> User:
        if self.get(change.name) is None:
            raise NotThere(f"there is no user {change.name}")
        await self._ledger.write([change])
        user = self.get(change.name)
        if user is None:
            raise NotThere(f"there is no user {change.name}")
        return user

    async def _remove(self, name: str) -> None:
        if self.get(name) is None:
            raise NotThere(f"there is no user {name}")
        await self._ledger.write([UserChange(What.REMOVED, name)])

    async def _flush(self) -> None:
        due = len(self._heard)  # what is said meanwhile is for the next time
        for start in range(0, due, FLUSH_AT_ONCE):
            spans = self._heard.take(min(FLUSH_AT_ONCE, due - start))
            try:
                await self._ledger.write([change for span in spans for change in span.changes])
            except StorageError:
                self._heard.put_back(spans)
                raise

    def _catch_up(self) -> None:
        """Set the clock of differences forward to what other processes have written, if they are ahead."""
        self._zero_at = max(self._zero_at, self._ledger.state.latest - self._seconds())


def _check_name(name: str) -> None:
    try:
        checked_name(name)
    except ValueError as error:
        raise AccessError(str(error)) from error
