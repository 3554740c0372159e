"""A torrent, as the course of its life sees it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from bittwist.metainfo.info import Info
from bittwist.session.downloads import DownloadsOwner
from bittwist.session.home import Home
from bittwist.session.lifecycle import State
from bittwist.session.metadata import MetadataFetch
from bittwist.session.statistics import Tally
from bittwist.storage.interfaces import IStorage
from bittwist.swarm.priorities import Wishes


class Subject(DownloadsOwner, Protocol):
    """The torrent, as the course of its life sees it."""

    tally: Tally

    @property
    def info(self) -> Info | None: ...
    @property
    def force(self) -> bool: ...
    @property
    def running(self) -> bool:
        """Whether it is to run, if nothing keeps it from that."""
        ...

    @property
    def home(self) -> Home: ...
    @property
    def wishes(self) -> Wishes: ...
    @property
    def unchosen(self) -> str:
        """Why nothing may be fetched before the user says which files are wanted; else empty."""
        ...

    @property
    def unsettled(self) -> bool:
        """Whether files are to be brought from where they were before."""
        ...

    def bringing(self, storage: IStorage) -> Iterator[int]:
        """The steps that bring them, each a moment's work for a disk thread."""
        ...

    def settled(self) -> None:
        """All files are where they are to be."""
        ...

    def metadata_fetch(self) -> MetadataFetch: ...
    def entered(self, state: State) -> None:
        """A state is entered; what it does is about to begin."""
        ...

    def tick(self, now: float) -> None: ...
