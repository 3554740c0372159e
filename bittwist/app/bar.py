"""The progress bar of a transfer on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.live import Live
from rich.text import Text

from bittwist.address import Address
from bittwist.app.report import (
    FETCHED,
    as_sentence,
    complete_news,
    ignored_news,
    partners,
    peer_news,
    source_news,
    tracker_news,
)
from bittwist.app.wording import duration, printable, size
from bittwist.metainfo.magnet_parts import Ignored
from bittwist.session.finding import SourceStatus
from bittwist.session.lifecycle import State
from bittwist.session.statistics import TorrentStatistics
from bittwist.swarm.candidates import Trouble

NAME = 30  # columns of a name at most, so that the rest stays in its place
FAIR_NAME = 16  # columns of a name before a bar is worth its place
LEAST_NAME = 6  # columns below which a name says nothing
BAR = 40  # columns of the bar at most
LEAST_BAR = 10  # columns below which a bar shows nothing

_PLAIN = (State.DOWNLOADING, State.METADATA)  # what the rest of the line says as well


class BarReport:
    """One line that moves: name, bar, done, rates, peers and the time left. It is there from the first
    progress to the end, and then gone: nothing of it holds any more.
    """

    def __init__(self, console: Console | None = None, *, done: str = FETCHED) -> None:
        self._console = console if console is not None else Console()
        self._done = done
        self._now: TorrentStatistics | None = None  # what was told last
        # A thread of its own would take the interpreter from the reactor: no refresh by itself.
        self._live = Live(console=self._console, auto_refresh=False, transient=True)

    def _say(self, line: str, style: str = "") -> None:
        # Not folded: whoever copies a line wants it whole.
        self._console.print(Text(printable(line), style=style), soft_wrap=True)

    def listening(self, address: Address) -> None:
        self._say(f"Listening on {address}")

    def progress(self, now: TorrentStatistics) -> None:
        # The last column stays free: some terminals begin a new line when it is written to.
        width, ascii_only = self._console.width - 1, self._console.options.ascii_only
        self._now = now
        self._live.update(line(now, width, ascii_only=ascii_only))
        self._live.start()  # not before: until then standard error is others'
        self._live.refresh()

    def say(self, line: str) -> None:
        self._say(line)

    def waiting(self, reason: str) -> None:
        self._say(f"Waiting: {reason}", "yellow")

    def tracker(self, url: str, error: str | None) -> None:
        self._say(tracker_news(url, error), "yellow" if error is not None else "")

    def source(self, source: SourceStatus) -> None:
        self._say(source_news(source))

    def ignored(self, part: Ignored) -> None:
        self._say(ignored_news(part), "yellow")

    def unreachable(self, peer: str, why: str) -> None:
        self._say(peer_news(peer, why), "yellow")

    def alone(self, why: str, troubles: Sequence[Trouble]) -> None:
        self._say(f"No peers yet: {why}", "yellow")

    def no_metadata(self, why: str, peers: int, offers: int) -> None:
        self._say(as_sentence(why), "yellow")

    def complete(self, path: str) -> None:
        self._say(complete_news(self._done, path, self._now), "green")

    def failed(self, reason: str) -> None:
        self._say(f"Failed: {reason}", "red")

    def close(self) -> None:
        self._live.stop()


def line(now: TorrentStatistics, width: int, *, ascii_only: bool = False) -> Text:
    """How it goes, in one line of at most `width` columns: the bar goes first, then most of the name."""
    name = printable(now.name)
    part = " a part" if now.skipped and now.state is State.SEEDING else ""
    state = f" ({now.state.value}{part})" if now.state not in _PLAIN else ""
    wordings = _wordings(now)
    for words in wordings[: max(1, len(wordings) - 3)]:  # beside a shorter one a bar says less than it costs
        room = width - len(words) - len(state) - LEAST_BAR - 2
        if room >= min(cell_len(name), FAIR_NAME):
            label = _cut(name, min(room, NAME)) + state
            bar = min(BAR, width - cell_len(label) - len(words) - 2)
            return Text.assemble(label, " ", *_bar(now, bar, ascii_only), " ", words)
    for words in wordings:
        room = width - len(words) - 1
        if room >= LEAST_NAME + len(state):
            return Text(f"{_cut(name, room - len(state))}{state} {words}")
        if room >= LEAST_NAME:
            return Text(f"{_cut(name, room)} {words}")
    return Text(wordings[-1][: max(0, width)])


def _wordings(now: TorrentStatistics) -> list[str]:
    """The facts, told at length and ever shorter."""
    peers = partners(now)
    if now.state is State.METADATA:
        return [f"fetching metadata, {peers}", "fetching metadata"]
    percent = f"{100 * now.done / now.wanted if now.wanted else 0.0:.1f} %"
    up = [f"up {size(now.upload_rate)}/s"]
    if now.complete:
        if now.skipped:
            percent = f"{size(now.done)} of {size(now.total)}"
        return [", ".join((percent, *up, peers)), ", ".join((percent, *up))]
    rate = f"{size(now.download_rate)}/s"
    left = [f"{duration(now.seconds_left)} left"] if now.seconds_left is not None else []
    if not now.upload_rate:
        up = []
    return [
        ", ".join((percent, *told, *left))
        for told in (
            (f"{size(now.done)} of {size(now.wanted)}", f"down {rate}", *up, peers),
            (f"down {rate}", *up, peers),
            (f"down {rate}", peers),
            (f"down {rate}",),
            (rate,),
        )
    ]


def _bar(now: TorrentStatistics, columns: int, ascii_only: bool) -> tuple[tuple[str, str], tuple[str, str]]:
    full, empty = "#-" if ascii_only else "━─"
    done = columns * now.done // now.wanted if now.wanted else 0
    return (full * done, "bar.complete"), (empty * (columns - done), "bar.back")


def _cut(name: str, columns: int) -> str:
    return name if cell_len(name) <= columns else set_cell_size(name, columns - 1).rstrip() + "…"
