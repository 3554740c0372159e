"""The progress bar of a transfer on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from bittwist.address import Address
from bittwist.app.wording import duration, printable, size
from bittwist.session.statistics import TorrentStatistics


class BarReport:
    """One line that moves: name, bar, done, rates, peers and the time left."""

    def __init__(self) -> None:
        self._console = Console()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>5.1f} %  {task.fields[told]}"),
            console=self._console,
            auto_refresh=False,  # a thread of its own would take the interpreter from the reactor
        )
        self._task = self._bar.add_task("", total=None, told="")
        self._bar.start()

    def _say(self, line: str, style: str = "") -> None:
        self._console.print(Text(line, style=style))

    def listening(self, address: Address) -> None:
        self._say(f"Listening on {address}")

    def progress(self, now: TorrentStatistics) -> None:
        left = now.seconds_left
        told = [f"{now.peers} peers"]
        if not now.complete:
            told = [f"{size(now.done)} of {size(now.total)}", f"down {size(now.download_rate)}/s", *told]
            if left is not None:
                told.append(f"{duration(left)} left")
        if now.upload_rate or now.complete:
            told.insert(-1, f"up {size(now.upload_rate)}/s")
        name = now.name if len(now.name) <= 30 else now.name[:29] + "…"
        description = f"{printable(name)} ({now.state.value})".replace("[", r"\[")
        self._bar.update(
            self._task,
            description=description,
            total=now.total or None,
            completed=now.done,
            told=", ".join(told),
        )
        self._bar.refresh()

    def waiting(self, reason: str) -> None:
        self._say(f"Waiting: {reason}", "yellow")

    def complete(self, path: str) -> None:
        self._say(f"Complete: {path}", "green")

    def failed(self, reason: str) -> None:
        self._say(f"Failed: {reason}", "red")

    def close(self) -> None:
        self._bar.stop()
