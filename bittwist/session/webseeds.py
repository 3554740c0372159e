"""The web seeds of one torrent: sources of blocks, begun and ended with its download (BEP 19, BEP 17)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from random import Random
from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from bittwist.errors import BitTwistError, FetchError, MetainfoError
from bittwist.metainfo.bitfield import Bitfield
from bittwist.metainfo.geometry import BLOCK
from bittwist.metainfo.info import Info
from bittwist.metainfo.magnet import Magnet
from bittwist.metainfo.metainfo import Metainfo
from bittwist.metainfo.urls import web_seed_urls
from bittwist.metainfo.webseed import FileUrls, Layout, PieceUrls
from bittwist.net.http import HttpClient
from bittwist.net.throttle import UNLIMITED, Allowance
from bittwist.net.urls import Url
from bittwist.peer.webseed import Condition, WebSeed
from bittwist.session.downloads import Downloads
from bittwist.session.settings import SessionSettings
from bittwist.swarm.pipeline import Pipeline
from bittwist.swarm.rate import Rate
from bittwist.wire.runs import Block, BlockData

MAX_NAME = 100  # characters of a file's name in what is told


class WebSeedState(Enum):
    """The value is the word shown everywhere."""

    IDLE = "idle"  # nothing is fetched, or it has to wait for its turn
    WORKING = "working"
    WAITING = "waiting"  # after an error, or as it was told to
    REFUSED = "refused"  # it has not what the torrent is, or not in a way that can be fetched
    BANNED = "banned"  # it is proved to have sent wrong data


@dataclass(frozen=True, slots=True)
class WebSeedStatus:
    """One web seed: `downloaded` in payload bytes since it was added, `rate` in bytes/s.

    `error` is the last one, until it works again, with the name of the file that it is about; `retry_in` are
    the seconds until it is asked again.
    """

    url: str
    state: WebSeedState
    downloaded: int
    rate: float
    error: str
    retry_in: float | None


class Around(Protocol):
    """What web seeds need of the session's surroundings."""

    @property
    def clock(self) -> IReactorTime: ...
    @property
    def http(self) -> HttpClient: ...
    @property
    def random(self) -> Random: ...
    def settings(self) -> SessionSettings: ...
    def next_key(self) -> int: ...


class WebSeeds:
    """Owns the torrent's web seeds: asked between `start` and `stop`, at most `max_per_torrent` at once."""

    def __init__(self, around: Around, allowance: Allowance = UNLIMITED) -> None:
        self._around = around
        self._allowance = allowance
        self._known: dict[str, _Known] = {}
        self._fetching: tuple[Info, Downloads] | None = None
        self._paused = False

    def add(self, urls: Iterable[str], *, by_piece: bool = False) -> None:
        """More of them; with `by_piece` they are the scripts of BEP 17."""
        for url in urls:
            self._known.setdefault(url, _Known(url, by_piece))
        self._fill()

    def remove(self, url: str) -> None:
        known = self._known.pop(url, None)
        if known is not None:
            self._end(known)
            self._fill()

    def start(self, info: Info, downloads: Downloads) -> None:
        """Ask them, as long as `downloads` has something to ask for."""
        if self._fetching is None or self._fetching[1] is not downloads:
            self.stop()
            self._fetching = info, downloads
            for known in self._known.values():
                if known.out is WebSeedState.REFUSED:
                    known.out = None
        self._fill()

    def stop(self) -> None:
        """Close every connection."""
        self._fetching = None
        for known in self._known.values():
            self._end(known)

    def ban(self, host: str) -> bool:
        """Whether that is a web seed's `host`: it has sent wrong data, and is asked no more."""
        guilty = [known for known in self._known.values() if known.host == host]
        for known in guilty:
            known.out, known.error = WebSeedState.BANNED, "it sent wrong data"
            self._end(known)
        self._fill()
        return bool(guilty)

    def pause(self) -> None:
        """Read from none until `resume`."""
        self._paused = True
        for known in self._known.values():
            if known.source is not None:
                known.source.seed.pause()

    def resume(self) -> None:
        self._paused = False
        for known in tuple(self._known.values()):
            if known.source is not None:
                known.source.seed.resume()

    def tick(self, now: float) -> None:
        """Once a second."""
        for known in self._known.values():
            known.tick(now)

    @property
    def working(self) -> int:
        """How many are being fetched from."""
        return sum(1 for known in self._known.values() if known.state is WebSeedState.WORKING)

    def statuses(self) -> tuple[WebSeedStatus, ...]:
        now = self._around.clock.seconds()
        return tuple(known.status(now) for known in self._known.values())

    def _fill(self) -> None:
        """Begin with those there is room for, in the order they were added."""
        settings = self._around.settings().web_seeds
        if self._fetching is None or not settings.enabled:
            return
        info, downloads = self._fetching
        room = settings.max_per_torrent - sum(1 for known in self._known.values() if known.source is not None)
        for known in tuple(self._known.values()):
            if room <= 0 or self._fetching is None:
                return
            if known.source is not None or known.out is not None:
                continue
            room -= 1
            known.source = source = Source(self._around, known, info, downloads, self._allowance, self._out)
            if self._paused:
                source.seed.pause()
            downloads.joined(source, source.has, in_rows=True)

    def _out(self, known: _Known, why: str) -> None:
        known.out = WebSeedState.REFUSED
        known.error = why
        self._end(known)
        self._fill()

    def _end(self, known: _Known) -> None:
        source, known.source = known.source, None
        if source is not None:
            source.end()


class Source:
    """A web seed as `Downloads` sees it, for as long as it is asked."""

    def __init__(
        self,
        around: Around,
        known: _Known,
        info: Info,
        downloads: Downloads,
        allowance: Allowance,
        out: Callable[[_Known, str], None],
    ) -> None:
        settings = around.settings()
        self.key = around.next_key()
        self.host = known.host
        self.has = Bitfield.full(info.geometry.num_pieces)
        self._known = known
        self._info = info
        self._downloads = downloads
        self._out = out
        self._missing: set[int] = set()  # files
        layout: Layout = (PieceUrls if known.by_piece else FileUrls)(known.url, info)
        self.seed = WebSeed(
            around.clock,
            around.http,
            layout,
            info.geometry,
            self,
            around.random,
            settings.web_seeds,
            allowance,
        )
        # It is for the web seed to say how much it can be asked for.
        most = settings.web_seeds.connections * max(1, settings.web_seeds.range_size // BLOCK)
        self.pipeline = Pipeline(replace(settings.pipeline, min=most, max=most))
        self.pipeline.limit(self.seed.depth)

    # What downloads ask of it

    @property
    def downloaded(self) -> int:
        return self._known.downloaded

    @downloaded.setter
    def downloaded(self, size: int) -> None:
        self._known.downloaded = size

    def askable(self) -> bool:
        return self.seed.has_room

    def request(self, blocks: Sequence[Block]) -> None:
        self.seed.request(blocks)

    def cancel(self, block: Block) -> None:
        self.seed.cancel(block)

    def interest(self, wanted: bool) -> None:
        """Nobody has to be told."""

    def close(self, reason: BitTwistError) -> None:
        self._out(self._known, str(reason))

    def end(self) -> None:
        """It is asked no more."""
        self.seed.close()
        self._downloads.left(self)

    @property
    def last_error(self) -> str:
        """Until it works again, with the file that it is about."""
        error, file = self.seed.error, self.seed.error_file
        if error is None:
            return ""
        if file is None:
            return error.reason
        name = "/".join((self._info.name, *self._info.files[file].path))
        return f"{name if len(name) <= MAX_NAME else '…' + name[1 - MAX_NAME :]}: {error.reason}"

    # What the web seed tells

    def blocks(self, blocks: Sequence[BlockData]) -> None:
        self._downloads.blocks(self, blocks)

    def ready(self) -> None:
        self.pipeline.limit(self.seed.depth)
        self._downloads.ask(self)

    def gave_up(self, blocks: Sequence[Block]) -> None:
        self._downloads.gave_up(self, blocks)

    def refused(self, file: int | None, error: FetchError) -> None:
        if file is not None and file not in self._missing:
            self._missing.add(file)
            for index in self._info.geometry.pieces_of_file(file):
                self.has.discard(index)
        why = self.last_error or error.reason
        if file is None or self.has.empty:
            self._out(self._known, why)
            return
        self._known.error = why
        self._downloads.joined(self, self.has, in_rows=True)


class _Known:
    """One of a torrent's web seeds; `source` while it is asked."""

    def __init__(self, url: str, by_piece: bool) -> None:
        self.url = url
        self.host = _origin(url)
        self.by_piece = by_piece
        self.source: Source | None = None
        self.out: WebSeedState | None = None  # why it is not asked any more
        self.error = ""
        self.downloaded = 0
        self._rate = Rate()

    @property
    def state(self) -> WebSeedState:
        if self.out is not None:
            return self.out
        if self.source is None:
            return WebSeedState.IDLE
        seed = self.source.seed
        if seed.condition is Condition.WAITING:
            return WebSeedState.WAITING
        return WebSeedState.WORKING if seed.connections else WebSeedState.IDLE

    def tick(self, now: float) -> None:
        self._rate.add(self.downloaded - self._rate.total, now)

    def status(self, now: float) -> WebSeedStatus:
        seed = self.source.seed if self.source is not None else None
        error = (self.source.last_error if self.source is not None else "") or self.error
        retry_at = seed.retry_at if seed is not None else None
        retry_in = max(0.0, retry_at - now) if retry_at is not None else None
        return WebSeedStatus(
            self.url, self.state, self.downloaded, self._rate.per_second(now), error, retry_in
        )


def _origin(url: str) -> str:
    """Whom wrong data is blamed on: whoever answers for that host and port."""
    try:
        parsed = Url.parse(url)
    except ValueError:
        return url
    return f"{parsed.scheme}://{parsed.authority}"


def with_web_seed(source: Metainfo | Magnet, url: str) -> Metainfo | Magnet:
    """The torrent with one web seed more; MetainfoError if that is no http or https URL."""
    kept = web_seed_urls([url])
    if not kept:
        raise MetainfoError(f"{url[:80]!r} is not an http or https URL")
    return source if kept[0] in source.web_seeds else replace(source, web_seeds=(*source.web_seeds, *kept))


def without_web_seed(source: Metainfo | Magnet, url: str) -> Metainfo | Magnet:
    """The torrent without that web seed, of either kind."""
    left = tuple(each for each in source.web_seeds if each != url)
    if isinstance(source, Magnet):
        return replace(source, web_seeds=left)
    return replace(
        source, web_seeds=left, http_seeds=tuple(each for each in source.http_seeds if each != url)
    )
