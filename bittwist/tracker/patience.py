"""How long the silence of peers is borne: as long as the longest interval that any of them was told. Pure.

Where the interval becomes shorter, those who were told the longer one come back by that, or miss it: for as
long as they may, they are waited for.
"""

from __future__ import annotations

from dataclasses import dataclass

MOST_TERMS = 8  # kept apart; who changes the interval more often within one is more patient than need be


@dataclass(frozen=True, slots=True)
class Term:
    """`seconds` of silence, borne `until` then."""

    seconds: float
    until: float


class Patience:
    """The seconds after its last announce at which a peer counts as gone. `now` is the store's clock."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._earlier: list[Term] = []  # ever shorter, until ever later

    def at(self, now: float) -> float:
        """What is borne now."""
        self._earlier = [term for term in self._earlier if term.until > now]
        return max(self._seconds, self._earlier[0].seconds) if self._earlier else self._seconds

    def change(self, seconds: float, *, now: float) -> None:
        """From now on peers are told what this follows from."""
        if seconds < self._seconds:
            self.keep(Term(self._seconds, now + self._seconds), now=now)
        self._seconds = seconds

    def keep(self, term: Term, *, now: float) -> None:
        """Some were told by others what this follows from."""
        term = Term(term.seconds, min(term.until, now + term.seconds))  # the clock may have been set back
        terms = sorted([*self._earlier, term], key=lambda each: (-each.seconds, -each.until))
        self._earlier = []
        for each in terms:
            if each.until > (self._earlier[-1].until if self._earlier else now):
                self._earlier.append(each)
        while len(self._earlier) > MOST_TERMS:
            first, second, *rest = self._earlier
            self._earlier = [Term(first.seconds, second.until), *rest]

    def terms(self, now: float) -> tuple[Term, ...]:
        """What to keep where another takes over now."""
        self.at(now)
        earlier = [term for term in self._earlier if term.seconds > self._seconds]
        return (*earlier, Term(self._seconds, now + self._seconds))
