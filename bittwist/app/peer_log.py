"""What a peer's log says of its torrents, by name, and of their trackers: that they fail and work again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from twisted.logger import Logger

from bittwist.app.news import News
from bittwist.app.wording import printable, without_secrets
from bittwist.discovery.announcer import TrackerStatus
from bittwist.discovery.relation import TrackerState
from bittwist.metainfo.infohash import InfoHash
from bittwist.session.lifecycle import State

LOOK_EVERY = 10.0  # seconds between looks at all trackers: a log is read later
MAX_NAME = 80  # letters of a torrent's name, which strangers choose, in a line
MAX_REASON = 200  # letters of what a tracker says is wrong
DIGITS = 8  # of an info hash beside the name: enough to tell a peer's torrents apart

_WORDS = {
    State.METADATA: "is fetching its metadata",
    State.CHECKING: "is checking its files",
    State.WAITING: "is waiting",
    State.FAILED: "has failed",
}


class Named(Protocol):
    """What is asked of a torrent."""

    @property
    def info_hash(self) -> InfoHash: ...
    @property
    def name(self) -> str: ...
    def trackers(self) -> tuple[TrackerStatus, ...]: ...


def called(torrent: Named) -> str:
    """Its name and the beginning of its info hash; of a link without a name the whole info hash."""
    info_hash = str(torrent.info_hash)
    if torrent.name == info_hash:
        return info_hash
    name = printable(torrent.name)
    return f"{name if len(name) <= MAX_NAME else name[: MAX_NAME - 1] + '…'} ({info_hash[:DIGITS]})"


def doing(state: State, reason: str) -> str:
    """What a torrent does in that state, after its name."""
    words = _WORDS.get(state, f"is {state.value}")
    return f"{words}: {reason}" if reason else words


class TrackerLog:
    """Logs when a tracker of a torrent begins to fail and when it works again, not each attempt.

    One that keeps changing is told of ever more seldom.
    """

    _log = Logger()

    def __init__(self) -> None:
        self._failing: dict[tuple[bytes, str], News] = {}  # torrents' trackers that have failed

    def look(self, torrents: Sequence[Named], now: float) -> None:
        seen: dict[tuple[bytes, str], News] = {}
        for torrent in torrents:
            for tracker in torrent.trackers():
                key = torrent.info_hash.short, tracker.url
                news = self._failing.get(key)
                if news is None and tracker.last_error:
                    news = News()
                if news is not None:
                    seen[key] = news
                    self._look_at(torrent, tracker, news, now)
        self._failing = seen  # what is gone is forgotten

    def _look_at(self, torrent: Named, tracker: TrackerStatus, news: News, now: float) -> None:
        shown = _origin(tracker.url)
        if tracker.last_error:
            if news.is_news("fails", now):
                why = _why(tracker.last_error, tracker.url)
                self._log.warn(
                    "{torrent}: the tracker {url} fails: {why}", torrent=called(torrent), url=shown, why=why
                )
        elif tracker.state is TrackerState.WORKING and news.is_news("", now):
            # In other states it may only not be asked any more.
            self._log.info("{torrent}: the tracker {url} works again", torrent=called(torrent), url=shown)


def _origin(url: str) -> str:
    """Scheme, host and port: behind them is where passkeys are."""
    scheme, there, rest = without_secrets(url).partition("://")
    return printable(f"{scheme}{there}{rest.partition('/')[0]}")


def _why(reason: str, url: str) -> str:
    """Why a tracker fails, without its URL, which errors begin with or have in them."""
    known = (url, without_secrets(url), url.partition("?")[0].rpartition("@")[2])
    for target in known:
        reason = reason.removeprefix(f"{target}: ")
    for target in known:
        reason = reason.replace(target, "it")
    return printable(reason)[:MAX_REASON]
