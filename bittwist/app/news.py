"""Whether something that changes is worth a line again."""

from __future__ import annotations

FIRST_PAUSE = 5.0  # seconds after the first line until there is another
LONGEST_PAUSE = 300.0


class News:
    """What is told of one matter: nothing twice in a row, and ever more seldom the more often it changes."""

    def __init__(self) -> None:
        self._told = ""
        self._pause = FIRST_PAUSE
        self._quiet_until = float("-inf")

    def is_news(self, text: str, now: float) -> bool:
        """Whether to tell this now: then it counts as told."""
        if text == self._told or now < self._quiet_until:
            return False
        self._told = text
        self._quiet_until = now + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        return True
