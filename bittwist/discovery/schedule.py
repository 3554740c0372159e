"""When to announce next (BEP 3 "interval", BEP 31 "retry in"): pure."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from bittwist.announce.values import AnnounceResponse

MIN_INTERVAL = 60.0  # seconds; no tracker gains from hearing of us more often, whatever it says
MAX_INTERVAL = 86400.0  # a day: a tracker must not silence us with one absurd number
FIRST_RETRY = 15.0  # doubled with each failure
MAX_RETRY = 3600.0  # an hour, so that a tracker that comes back is found again
MIN_PATIENCE = 10.0  # between two attempts that a person asks for while a tracker fails
SPREAD = 0.05  # of an interval: clients that began together do not come back together
RETRY_SPREAD = 0.5  # a tracker that comes up again after an outage must not meet everybody at once


@dataclass(frozen=True, slots=True)
class Schedule:
    """Monotonic times: when to announce by ourselves, and when at the soonest if a person asks."""

    next_at: float
    soonest_at: float


def after_answer(answer: AnnounceResponse, now: float, random: Random) -> Schedule:
    """As the tracker asks, within reason."""
    wait = _clamp(answer.interval * random.uniform(1.0, 1.0 + SPREAD))
    soonest = MIN_INTERVAL if answer.min_interval is None else min(_clamp(answer.min_interval), wait)
    return Schedule(now + wait, now + soonest)


def after_failure(failures: int, retry_in: float | None, now: float, random: Random) -> Schedule:
    """After the `failures`-th failure in a row; `retry_in` is what the tracker asked for, if it did."""
    if retry_in is not None:
        wait = _clamp(retry_in)
        return Schedule(now + wait, now + wait)
    doubled = FIRST_RETRY * 2.0 ** min(failures - 1, 10)
    wait = min(doubled, MAX_RETRY) * random.uniform(1.0 - RETRY_SPREAD, 1.0)
    return Schedule(now + wait, now + min(wait, MIN_PATIENCE))


def _clamp(seconds: float) -> float:
    return max(MIN_INTERVAL, min(seconds, MAX_INTERVAL))
