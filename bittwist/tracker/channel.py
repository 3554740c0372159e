"""Plain announces answered without a Klein in between (see net.quick)."""

from __future__ import annotations

import re

from twisted.internet.defer import Deferred

from bittwist.tracker.http import Answers
from bittwist.tracker.tracked import Tracked

# Passkeys of other letters, and words that could be both, are for the resource to read.
_PATH = re.compile(
    rb"/(?:(?!announce/|scrape/)([0-9A-Za-z_-]+)/announce|announce(?:/(?!announce$|scrape$)([0-9A-Za-z_-]+))?)"
)


class QuickAnnounces:
    """The bodies that tracker.resource would give to announces; to all else, None.

    Where the resource is mounted by name, a passkey stands behind that only.
    """

    def __init__(self, tracker: Tracked, *, mounted: bool = False) -> None:
        self._answers = Answers(tracker)
        self._mounted = mounted

    def __call__(self, target: bytes, host: str) -> bytes | Deferred[bytes] | None:
        path, _, query = target.partition(b"?")
        passkey = None
        if path != b"/announce":
            match = _PATH.fullmatch(path)
            if match is None or (self._mounted and match[1]):
                return None
            passkey = (match[1] or match[2]).decode()
        return self._answers.announce(query, host, passkey)
