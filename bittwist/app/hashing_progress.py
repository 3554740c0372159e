"""How far hashing has come, on standard error: a bar on a terminal, a line now and then in a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from bittwist.app.wording import size

PLAIN_EVERY = 5.0  # seconds between lines: few enough for a log


@contextmanager
def hashing_progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """Yields what to call with the bytes done and of how many; ends the bar's line at the end."""
    if not sys.stderr.isatty():
        yield _plain(label)
        return
    with click.progressbar(length=1, label=label, file=sys.stderr, show_pos=False) as bar:

        def moved(done: int, total: int) -> None:
            bar.length = max(1, total)
            bar.update(done - bar.pos)

        yield moved


def _plain(label: str) -> Callable[[int, int], None]:
    said_at = time.monotonic()

    def moved(done: int, total: int) -> None:
        nonlocal said_at
        now = time.monotonic()
        if now - said_at >= PLAIN_EVERY and total:
            said_at = now
            click.echo(f"{label}: {100 * done / total:.0f} % of {size(total)}", err=True)

    return moved
