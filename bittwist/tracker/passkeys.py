"""Passkeys: who is a user of this tracker, and what each user moves.

The passkey is part of the tracker's URL (/PASSKEY/announce), and so of each announce, and of each scrape but
those over UDP: BEP 41 has no URL for them, so that where a passkey is required they are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bittwist.announce.values import AnnounceRequest
from bittwist.errors import TrackerFailure
from bittwist.tracker.accounts import User
from bittwist.tracker.interfaces import NO_CREDENTIALS, AnnounceHook, Arrival, Front, SwarmAnswer
from bittwist.tracker.limits import Rate, spend, spend_announce
from bittwist.tracker.users import Users

IN_THE_URL = "the tracker's URL must contain yours"
MAX_PASSKEY = 128  # characters: what is longer is nobody's, and not hashed


class Passkeys(AnnounceHook):
    """Lets users pass who are not blocked, and counts for them. Where no passkey is `required`, those
    without one pass too, uncounted; a wrong one is refused in any case."""

    def __init__(
        self,
        users: Users,
        now: Callable[[], float],
        *,
        required: bool = True,
        announces: Rate | None = None,
        scrapes: Rate | None = None,
    ) -> None:
        self.users = users
        self._now = now
        self._required = required
        self._announces = announces
        self._scrapes = scrapes

    def announcing(self, request: AnnounceRequest, arrival: Arrival) -> None:
        user = self._admitted(arrival)
        if user is not None and self._announces is not None:
            spend_announce(self._announces, user.name, self._now(), "announces with your passkey", request)

    def announced(self, request: AnnounceRequest, arrival: Arrival, answer: SwarmAnswer) -> None:
        # Looked up again: between the two a store may have taken its time.
        user = self._user(arrival)
        if user is not None:
            self.users.hear(user, request)

    def scraping(self, info_hashes: Sequence[bytes], arrival: Arrival) -> None:
        user = self._admitted(arrival, NO_CREDENTIALS if arrival.front is Front.UDP else IN_THE_URL)
        if user is not None and self._scrapes is not None:
            spend(self._scrapes, user.name, self._now(), "scrapes with your passkey")

    def _admitted(self, arrival: Arrival, where: str = IN_THE_URL) -> User | None:
        if arrival.passkey is None:
            if self._required:
                raise TrackerFailure(f"passkey: missing ({where})")
            return None
        user = self._user(arrival)
        if user is None:
            raise TrackerFailure("passkey: not known here")
        if user.blocked:
            raise TrackerFailure("passkey: its user is blocked")
        return user

    def _user(self, arrival: Arrival) -> User | None:
        if arrival.passkey is None or len(arrival.passkey) > MAX_PASSKEY:
            return None
        return self.users.of(arrival.passkey)
