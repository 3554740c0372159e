"""What the lines of the users' file add up to: users, their totals, and sessions they come from. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from bittwist.tracker.fields import flag, number, seconds, text
from bittwist.tracker.records import Records
from bittwist.tracker.traffic import Traffic

MAX_NAME = 64  # characters
SESSION = 16  # bytes by which a session is known
DIGEST = 32  # bytes of a passkey's hash


@dataclass(frozen=True, slots=True)
class User:
    """Someone with a passkey. `uploaded` and `downloaded` are bytes, `added_at` is wall clock."""

    name: str
    digest: bytes = field(repr=False)
    added_at: float = 0.0
    blocked: bool = False
    uploaded: int = 0
    downloaded: int = 0


class What(Enum):
    """What happened to a user; the value is the key of its name in a line of the file."""

    ADDED = "add"
    RENEWED = "renew"
    BLOCKED = "block"
    UNBLOCKED = "unblock"
    SEEN = "seen"
    REMOVED = "remove"


@dataclass(frozen=True, slots=True)
class UserChange:
    """A line of the users' file; `at` is wall clock, where it was SEEN that of tracker.users.

    `digest` is a passkey's hash where one was ADDED or RENEWED. The bytes are a user's totals where it is
    ADDED, and what a client said where it was SEEN; there `session` names it, and it may have `ended`.
    """

    what: What
    name: str
    digest: bytes = b""
    at: float = 0.0
    uploaded: int = 0
    downloaded: int = 0
    session: bytes = b""
    ended: bool = False


def encode_change(change: UserChange) -> Mapping[str, object]:
    line: dict[str, object] = {change.what.value: change.name}
    if change.digest:
        line["digest"] = change.digest.hex()
    if change.at:
        line["at"] = change.at
    if change.uploaded or change.downloaded:
        line["uploaded"], line["downloaded"] = change.uploaded, change.downloaded
    if change.session:
        line["session"] = change.session.hex()
    if change.ended:
        line["ended"] = True
    return line


def decode_change(line: Mapping[str, object]) -> UserChange:
    """ValueError where the line says nothing about a user."""
    for what in What:
        if what.value in line:
            break
    else:
        raise ValueError("no change of a user")
    digest = bytes.fromhex(text(line, "digest", 2 * DIGEST))
    if len(digest) != (DIGEST if what in (What.ADDED, What.RENEWED) else 0):
        raise ValueError("digest: not the hash of a passkey")
    session = bytes.fromhex(text(line, "session", 2 * SESSION))
    if len(session) != (SESSION if what is What.SEEN else 0):
        raise ValueError("session: not the name of one")
    return UserChange(
        what,
        checked_name(text(line, what.value, MAX_NAME)),
        digest,
        seconds(line, "at"),
        number(line, "uploaded"),
        number(line, "downloaded"),
        session,
        flag(line, "ended", False),
    )


def checked_name(name: str) -> str:
    """The name, if a user can have it; else ValueError."""
    if not name or len(name) > MAX_NAME or not name.isprintable() or name != name.strip():
        raise ValueError(f"a name has 1 to {MAX_NAME} printable characters")
    return name


class UsersSum:
    """The users that the lines of the file add up to."""

    def __init__(self, max_rate: int) -> None:
        self.users: Records[str, User] = Records()
        self.by_digest: dict[bytes, User] = {}
        self._traffic = Traffic(max_rate)
        self._moved: dict[str, list[int]] = {}

    def __len__(self) -> int:
        return len(self.users) + len(self._traffic)

    @property
    def latest(self) -> float:
        """When the last of its sessions was heard of, by the clock of tracker.users; 0 where none was."""
        return self._traffic.latest

    def with_totals(self, user: User) -> User:
        uploaded, downloaded = self._moved.get(user.name, (0, 0))
        return replace(user, uploaded=uploaded, downloaded=downloaded)

    def apply(self, change: UserChange) -> None:
        user = self.users.get(change.name)
        match change.what:
            case What.SEEN if user is not None:
                moved = self._traffic.moved(
                    user.name,
                    change.session,
                    change.uploaded,
                    change.downloaded,
                    change.at,
                    ended=change.ended,
                )
                self._add(user.name, *moved)
            case What.ADDED if user is None and change.digest not in self.by_digest:
                self._put(User(change.name, change.digest, change.at))
                self._add(change.name, change.uploaded, change.downloaded)
            case What.RENEWED if user is not None and change.digest not in self.by_digest:
                del self.by_digest[user.digest]
                self._put(replace(user, digest=change.digest))
            case What.BLOCKED | What.UNBLOCKED if user is not None:
                self._put(replace(user, blocked=change.what is What.BLOCKED))
            case What.REMOVED if user is not None:
                self.users.remove(user.name)
                del self.by_digest[user.digest]
                self._moved.pop(user.name, None)
                self._traffic.forget(user.name)

    def changes(self) -> Iterator[UserChange]:
        for user in self.users:
            moved = self._moved.get(user.name, (0, 0))
            yield UserChange(What.ADDED, user.name, user.digest, user.added_at, *moved)
            if user.blocked:
                yield UserChange(What.BLOCKED, user.name)
        for name, session, uploaded, downloaded, at in self._traffic:
            yield UserChange(What.SEEN, name, b"", at, uploaded, downloaded, session)

    def _put(self, user: User) -> None:
        self.users.put(user.name, user)
        self.by_digest[user.digest] = user

    def _add(self, name: str, uploaded: int, downloaded: int) -> None:
        if uploaded or downloaded:
            moved = self._moved.setdefault(name, [0, 0])
            moved[0] += uploaded
            moved[1] += downloaded
