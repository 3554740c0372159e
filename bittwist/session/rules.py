"""When a torrent has seeded enough: goals of its own, or those of the settings."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from bittwist.settings import check_bounds

MOST = 1e12  # of a ratio, or seconds: what is never reached


class GoalKind(Enum):
    """Which goal was reached; the value is the word shown everywhere."""

    RATIO = "ratio"
    SEED_TIME = "seed time"
    IDLE = "idle"


@dataclass(frozen=True, slots=True)
class Goals:
    """A seed is stopped by whichever it reaches first; None: not by that one.

    `ratio` is uploaded for each byte of what is wanted, `seed_time` the seconds it has seeded since it was
    added, `idle` the seconds since it uploaded anything.
    """

    ratio: float | None = None
    seed_time: float | None = None
    idle: float | None = None

    def __post_init__(self) -> None:
        check_bounds(self, {"ratio": (0, MOST), "seed_time": (0, MOST), "idle": (0, MOST)})

    def reached(self, *, ratio: float, seeded: float, idle: float) -> GoalKind | None:
        """The first of them that a seed has reached."""
        if self.ratio is not None and ratio >= self.ratio:
            return GoalKind.RATIO
        if self.seed_time is not None and seeded >= self.seed_time:
            return GoalKind.SEED_TIME
        if self.idle is not None and idle >= self.idle:
            return GoalKind.IDLE
        return None


class Seeding:
    """How long a torrent has seeded, and how long nothing was uploaded; told each second that it seeds."""

    def __init__(self, seeded: float) -> None:
        self.seeded = seeded  # seconds, since it was added
        self.idle = 0.0  # seconds, since it seeds this time
        self._at: float | None = None
        self._uploaded = 0

    def tick(self, now: float, uploaded: int) -> None:
        if self._at is not None:
            self.seeded += now - self._at
            self.idle = 0.0 if uploaded != self._uploaded else self.idle + now - self._at
        self._at = now
        self._uploaded = uploaded

    def stopped(self) -> None:
        """It does not seed any more."""
        self._at = None
        self.idle = 0.0
