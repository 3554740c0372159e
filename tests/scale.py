"""How much each hostile-input test does: a small N in CI, the full N and the ceilings in `make soak`."""

import os

SOAK = os.environ.get("BITTWIST_SOAK") == "1"  # ceilings in ms, s or MiB are asserted only when this is set
SEED = int(os.environ.get("BITTWIST_SEED", "20261122"))


def runs(ci: int, soak: int) -> int:
    """How often to repeat: `ci` times, or `soak` times under `make soak`."""
    return soak if SOAK else ci
