"""How a transfer is shown: a bar on a terminal, plain lines in a pipe, or JSON for a program."""

from __future__ import annotations

import json
import sys
from typing import Protocol

import click

from bittwist.address import Address
from bittwist.app.wording import duration, size
from bittwist.session.statistics import TorrentStatistics

PLAIN_EVERY = 10  # of the half-second looks: a line each five seconds reads well in a log


class Report(Protocol):
    """What a transfer tells, in the order it happens."""

    def listening(self, address: Address) -> None: ...
    def progress(self, now: TorrentStatistics) -> None: ...
    def waiting(self, reason: str) -> None: ...
    def complete(self, path: str) -> None: ...
    def failed(self, reason: str) -> None: ...
    def close(self) -> None: ...


def report(as_json: bool) -> Report:
    """The report that fits where standard output goes."""
    if as_json:
        return JsonReport()
    if sys.stdout.isatty():
        from bittwist.app.bar import BarReport

        return BarReport()
    return PlainReport()


class JsonReport:
    """One object a line; see docs/reference for the events."""

    def _print(self, **event: object) -> None:
        click.echo(json.dumps(event))
        sys.stdout.flush()

    def listening(self, address: Address) -> None:
        self._print(event="listening", address=address.host, port=address.port)

    def progress(self, now: TorrentStatistics) -> None:
        self._print(
            event="progress",
            done=now.done,
            total=now.total,
            download_rate=round(now.download_rate),
            upload_rate=round(now.upload_rate),
            peers=now.peers,
        )

    def waiting(self, reason: str) -> None:
        self._print(event="waiting", reason=reason)

    def complete(self, path: str) -> None:
        self._print(event="complete", path=path)

    def failed(self, reason: str) -> None:
        self._print(event="failed", reason=reason)

    def close(self) -> None:
        """Nothing is held open."""


class PlainReport:
    """A line each few seconds, without control characters."""

    def __init__(self) -> None:
        self._looks = 0

    def listening(self, address: Address) -> None:
        click.echo(f"Listening on {address}")

    def progress(self, now: TorrentStatistics) -> None:
        if self._looks % PLAIN_EVERY == 0:
            click.echo(sentence(now))
        self._looks += 1

    def waiting(self, reason: str) -> None:
        click.echo(f"Waiting: {reason}")

    def complete(self, path: str) -> None:
        click.echo(f"Complete: {path}")

    def failed(self, reason: str) -> None:
        click.echo(f"Failed: {reason}", err=True)

    def close(self) -> None:
        """Nothing is held open."""


def sentence(now: TorrentStatistics) -> str:
    """One line about a transfer."""
    percent = 100 * now.done / now.total if now.total else 0.0
    left = now.seconds_left
    remaining = f", {duration(left)} left" if left is not None and not now.complete else ""
    return (
        f"{percent:.1f} % of {size(now.total)}, down {size(now.download_rate)}/s, "
        f"up {size(now.upload_rate)}/s, {now.peers} peers{remaining}"
    )
