"""How fast counts grow, from samples of them taken every few seconds."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from itertools import pairwise

SAMPLE_EVERY = 5.0  # seconds
WINDOW = 60.0  # seconds that a rate is of
MAX_SAMPLES = 181  # a quarter of an hour, for a line that shows where things are going


class Rates:
    """Counts by name as they were at some moments; names may come up later. `now` is monotonic seconds."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, dict[str, int]]] = deque(maxlen=MAX_SAMPLES)

    def sample(self, counts: Mapping[str, int], *, now: float) -> None:
        """Remember the counts as they are now."""
        self._samples.append((now, dict(counts)))

    def per_second(self, name: str) -> float:
        """How fast this count grew in the last WINDOW, or in as much of it as there are samples for."""
        *earlier, (newest, counts) = self._samples or [(0.0, {})]
        if not earlier:
            return 0.0
        # At least the last step: it is longer than the window where the process was stopped for a while.
        since, before = next((sample for sample in earlier if newest - sample[0] <= WINDOW), earlier[-1])
        return (counts.get(name, 0) - before.get(name, 0)) / (newest - since) if newest > since else 0.0

    def history(self, name: str) -> tuple[float, ...]:
        """How fast it grew from each sample to the next, the oldest first."""
        return tuple(
            (counts.get(name, 0) - before.get(name, 0)) / (now - earlier)
            for (earlier, before), (now, counts) in pairwise(self._samples)
            if now > earlier
        )
