"""How often a tracker looks for garbage: seldom, since nearly all that it holds is held for long."""

from __future__ import annotations

import gc

THRESHOLDS = (
    50_000,
    20,
    100,
)  # objects and passes between passes; with Python's own an announce costs a fifth more


def collect_seldom() -> None:
    """From now on; what is no longer needed goes by itself all the same, but for cycles."""
    gc.collect()
    gc.freeze()  # what is imported stays
    gc.set_threshold(*THRESHOLDS)
