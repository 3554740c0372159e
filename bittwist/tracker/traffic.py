"""How much users move: from what their clients say they have moved (BEP 3, "uploaded", "downloaded"). Pure.

A client says what it has moved since it started a torrent. What counts is the difference between two
announces of one session (a user, a torrent, a peer id): the first counts nothing, and a counter that has gone
back starts anew. So nothing is counted twice, whoever restarts. Announces come in the order in which
workers wrote them down; one that is older than what is known of its session is passed over.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

# Remembered, each user counting as one more: about 300 bytes a session and 450 a user, 40 MB at most. Over
# it, the session which is unheard of for longest goes.
MAX_SESSIONS = 100_000
MAX_SESSIONS_OF_USER = 20_000  # a big seedbox has fewer torrents; over it, the user's own oldest goes
FORGET_AFTER = (
    180_000.0  # seconds: an announce a day, the longest interval, and as much jitter keep a session
)

_Sessions = OrderedDict[bytes, tuple[int, int, float]]


class Traffic:
    """The last counters of each session. Owns them.

    `max_rate` (bytes/s) bounds what is believed of the time between two announces.
    """

    def __init__(
        self,
        max_rate: int,
        *,
        sessions: int = MAX_SESSIONS,
        sessions_of_user: int = MAX_SESSIONS_OF_USER,
    ) -> None:
        self._max_rate = max_rate
        self._most = sessions
        self._most_of_user = sessions_of_user
        self._users: OrderedDict[str, _Sessions] = OrderedDict()  # unheard of for longest comes first
        self._held = 0
        self.latest = 0.0  # no announce was later

    def __len__(self) -> int:
        return self._held

    def __iter__(self) -> Iterator[tuple[str, bytes, int, int, float]]:
        """User, session, uploaded, downloaded and time: told again in this order they lead here."""
        for user, sessions in self._users.items():
            for session, (uploaded, downloaded, at) in sessions.items():
                yield user, session, uploaded, downloaded, at

    def moved(
        self, user: str, session: bytes, uploaded: int, downloaded: int, at: float, *, ended: bool = False
    ) -> tuple[int, int]:
        """Bytes uploaded and downloaded since the session's last announce; `at` is seconds since the epoch,
        by a clock that is not set back (tracker.users)."""
        self.latest = max(self.latest, at)
        sessions = self._users.setdefault(user, OrderedDict())
        before = sessions.get(session)
        if before is not None and at < before[2]:
            return (0, 0)
        self._users.move_to_end(user)
        if before is not None:
            del sessions[session]
            self._held -= 1
        if not ended:
            sessions[session] = (uploaded, downloaded, at)
            self._held += 1
        self._bound(user, sessions, at)
        if before is None:
            return (0, 0)
        most = int(self._max_rate * (at - before[2]))
        return min(max(0, uploaded - before[0]), most), min(max(0, downloaded - before[1]), most)

    def forget(self, user: str) -> None:
        self._held -= len(self._users.pop(user, ()))

    def _bound(self, user: str, sessions: _Sessions, now: float) -> None:
        """Drop what is too old of this user, and a little of who stayed away."""
        while sessions and (len(sessions) > self._most_of_user or self._seen(sessions) < now - FORGET_AFTER):
            sessions.popitem(last=False)
            self._held -= 1
        if not sessions:
            del self._users[user]
        if self._users:
            longest, theirs = next(iter(self._users.items()))
            if next(reversed(theirs.values()))[2] < now - FORGET_AFTER:
                self.forget(longest)
        while self._held + len(self._users) > self._most:
            longest, theirs = next(iter(self._users.items()))
            theirs.popitem(last=False)
            self._held -= 1
            if not theirs:
                del self._users[longest]

    def _seen(self, sessions: _Sessions) -> float:
        """When the session unheard of for longest was heard of."""
        return next(iter(sessions.values()))[2]
