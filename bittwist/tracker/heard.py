"""What users' clients have said that is not written down yet, in bounded memory. Pure.

What a client says are sums, so that little is lost with what is forgotten: the difference that its next
announce makes includes it. Lost is what a session moved before the first announce of it that is remembered,
or after the last.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable

from bittwist.tracker.accounts import UserChange

MAX_HEARD = 50_000  # spans, 600 bytes each: 30 MB; 2500 clients a second, written down each 20 seconds
MAX_HEARD_OF_USER = 4000  # 2.4 MB: what the seedbox with 20,000 torrents says in six minutes


class Span:
    """Announces of a session in which its counters only grew: what is between the ends says nothing more."""

    __slots__ = ("first", "last")

    def __init__(self, first: UserChange) -> None:
        self.first = self.last = first

    @property
    def changes(self) -> tuple[UserChange, ...]:
        """What to write down of it."""
        return (self.first,) if self.first is self.last else (self.first, self.last)

    def takes(self, change: UserChange) -> bool:
        """Make this the last, if it continues the span."""
        last = self.last
        if last.ended or change.uploaded < last.uploaded or change.downloaded < last.downloaded:
            return False
        self.last = change
        return True


class Heard:
    """The spans of every user, the oldest first. Owns them until they are taken.

    A user has a share of `most_of_user` spans; over that, the user's own oldest is forgotten. Where there are
    more than `most` in all, everybody's share is halved until there is room, and whole again once half of
    the room is free: who says most is forgotten first.
    """

    def __init__(self, most: int = MAX_HEARD, most_of_user: int = MAX_HEARD_OF_USER) -> None:
        self._most = most
        self._most_of_user = self._share = most_of_user
        self._spans: OrderedDict[str, deque[Span]] = OrderedDict()
        self._latest: dict[bytes, Span] = {}  # of each session
        self._held = 0

    def __len__(self) -> int:
        """How many spans there are."""
        return self._held

    def note(self, change: UserChange) -> None:
        """A user's client said this, after all it said before."""
        known = self._latest.get(change.session)
        if known is not None and known.takes(change):
            return
        span = self._latest[change.session] = Span(change)
        self._spans.setdefault(change.name, deque()).append(span)
        self._held += 1
        self._trim(change.name)
        while self._held > self._most:
            if self._share == 1:  # as many users as there is room for spans
                self._pop(next(iter(self._spans)))
                continue
            self._share //= 2
            for name in list(self._spans):
                self._trim(name)

    def take(self, count: int) -> list[Span]:
        """At most so many, in the order in which they are to be written down."""
        taken = [self._pop(next(iter(self._spans))) for _ in range(min(count, self._held))]
        if self._held <= self._most // 2:
            self._share = self._most_of_user
        return taken

    def put_back(self, spans: Iterable[Span]) -> None:
        """These could not be written down: they are the oldest again, as far as there is room."""
        for span in reversed(list(spans)):
            name = span.last.name
            if len(self._spans.get(name, ())) < self._share and self._held < self._most:
                self._spans.setdefault(name, deque()).appendleft(span)
                self._latest.setdefault(span.last.session, span)
                self._held += 1

    def _trim(self, name: str) -> None:
        for _ in range(len(self._spans[name]) - self._share):
            self._pop(name)

    def _pop(self, name: str) -> Span:
        """The user's oldest, which is here no more."""
        theirs = self._spans[name]
        span = theirs.popleft()
        if not theirs:
            del self._spans[name]
        if self._latest.get(span.last.session) is span:
            del self._latest[span.last.session]
        self._held -= 1
        return span
