"""The bounds of numbers in settings, and one way to refuse what is beyond them."""

from __future__ import annotations

from collections.abc import Mapping

MONTH = 30 * 86_400.0  # seconds: whoever waits for longer waits for ever
SECONDS = (0.01, MONTH)  # of a time that something comes round after: sooner keeps the processor busy
SECONDS_OR_NONE = (0.0, MONTH)
BYTES = (1, 1 << 50)
RATE = (0, 1 << 50)  # bytes a second; no line is as fast, and 0 is no limit
COUNT = (1, 1_000_000)
COUNT_OR_NONE = (0, 1_000_000)


def check_bounds(settings: object, bounds: Mapping[str, tuple[float, float]]) -> None:
    """ValueError(key, reason) for the first key that is not within its least and most.

    Neither infinity nor "not a number" is within any. A key that is None is one that is not set.
    """
    for key, (least, most) in bounds.items():
        value = getattr(settings, key)
        if value is not None and not least <= value <= most:
            raise ValueError(key, f"must be {_told(least)} to {_told(most)}, not {value!r}"[:200])


def _told(number: float) -> str:
    return f"{number:.16g}"  # whole up to the largest bound here
