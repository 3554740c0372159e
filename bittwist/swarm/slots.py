"""Upload slots that the torrents of a session share (BEP 3, "choking", of each by itself).

Every torrent gets what it has interested peers for, as far as that goes; where it does not, all get the same,
and what cannot be divided goes round. A slot is given only once another torrent has let go of it, so there
are never more in use than there may be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

ROUND = 30.0  # seconds for which what cannot be divided stays where it is


@dataclass(slots=True)
class _Torrent:
    """What one torrent has interested peers for, and how many of them it gives to; owned by Slots."""

    wanted: int = 0
    used: int = 0


class Slots:
    """Who may use how many slots; owns what each torrent said of itself last. `most` 0 means no bound."""

    def __init__(self, most: Callable[[], int]) -> None:
        self._most = most
        self._torrents: dict[bytes, _Torrent] = {}

    def room(self, key: bytes, wanted: int, now: float) -> int | None:
        """How many of its `wanted` interested peers a torrent may give to; None for all that it likes."""
        torrent = self._torrents.setdefault(key, _Torrent())
        torrent.wanted = wanted
        most = self._most()
        if not most:
            return None
        others = sum(other.used for other in self._torrents.values()) - torrent.used
        return max(0, min(self._share(key, most, now), most - others))

    def uses(self, key: bytes, count: int) -> None:
        """So many of its interested peers are given to from now on."""
        if key in self._torrents:
            self._torrents[key].used = count

    def left(self, key: bytes) -> None:
        """The torrent gives nothing any more."""
        self._torrents.pop(key, None)

    def _share(self, key: bytes, most: int, now: float) -> int:
        """The smallest wishes are met first; what then is left over goes round."""
        wishes = sorted((torrent.wanted, each) for each, torrent in self._torrents.items() if torrent.wanted)
        left = most
        for place, (wanted, each) in enumerate(wishes):
            equal, odd = divmod(left, len(wishes) - place)
            if wanted > equal:
                rest = sorted(other for _, other in wishes[place:])
                if key not in rest:
                    return 0
                turn = int(now // ROUND)
                return equal + ((rest.index(key) + turn * max(1, odd)) % len(rest) < odd)
            if each == key:
                return wanted
            left -= wanted
        return 0
