"""When to announce next, in monotonic time (BEP 3 "interval", BEP 31 "retry in"): pure."""

from __future__ import annotations

from random import Random

from bittwist.announce.values import AnnounceResponse

MIN_INTERVAL = 60.0  # seconds; no tracker gains from hearing of us more often, whatever it says
MAX_INTERVAL = 86400.0  # a day: a tracker must not silence us with one absurd number
FIRST_RETRY = 15.0  # doubled with each failure
MAX_RETRY = 3600.0  # an hour, so that a tracker that comes back is found again
SPREAD = 0.05  # of an interval: clients that began together do not come back together
RETRY_SPREAD = 0.5  # a tracker that comes up again after an outage must not meet everybody at once


def after_answer(answer: AnnounceResponse, now: float, random: Random) -> float:
    """As the tracker asks, within reason; its `min interval` holds where that is more than its interval."""
    interval = max(answer.interval, answer.min_interval or 0)
    return now + _clamp(interval * random.uniform(1.0, 1.0 + SPREAD))


def after_failure(failures: int, retry_in: float | None, now: float, random: Random) -> float:
    """After the `failures`-th failure in a row; `retry_in` is what the tracker asked for, if it did."""
    if retry_in is not None:
        return now + _clamp(retry_in)
    doubled = FIRST_RETRY * 2.0 ** min(failures - 1, 10)
    return now + min(doubled, MAX_RETRY) * random.uniform(1.0 - RETRY_SPREAD, 1.0)


def _clamp(seconds: float) -> float:
    return max(MIN_INTERVAL, min(seconds, MAX_INTERVAL))
