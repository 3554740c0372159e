"""What a tracker counts of its work, cheaply enough to count it always."""

from __future__ import annotations

from collections import Counter

from bittwist.announce.values import AnnounceRequest
from bittwist.tracker.interfaces import Front


class Statistics:
    """Counts since the start; owned by the tracker, read by the admin pages."""

    def __init__(self) -> None:
        self.announces: Counter[tuple[Front, bool, str, str]] = Counter()
        self.scrapes: Counter[Front] = Counter()
        self.failures: Counter[Front] = Counter()

    def announced(self, front: Front, request: AnnounceRequest, outcome: str, seconds: float) -> None:
        """An announce was answered or refused, after so many seconds."""
        six = request.address is not None and ":" in request.address.host
        self.announces[front, six, request.event.value, outcome] += 1

    def scraped(self, front: Front) -> None:
        """A scrape was answered."""
        self.scrapes[front] += 1

    def unreadable(self, front: Front) -> None:
        """Something came that is neither announce nor scrape."""
        self.failures[front] += 1
