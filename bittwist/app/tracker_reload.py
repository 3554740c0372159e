"""A tracker's settings, read again from their file while it runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path

from twisted.logger import Logger

from bittwist.app.settings import read_settings
from bittwist.app.tracker_config import TrackerConfig
from bittwist.errors import ConfigError
from bittwist.tracker import Tracker
from bittwist.tracker.admin import Admin

TAKEN = ("tracker", "admin")  # tables that hold at once; the files that [access] names are read by themselves

_log = Logger()


class SettingsFile:
    """The file, and what it said at the start. ConfigError if it cannot be used."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._began_with = self._read()

    def apply(self, tracker: Tracker, admin: Admin | None) -> None:
        """Read it again: all that can hold from now on does, or nothing, which is logged.

        So is what has changed since the start and waits for the next one.
        """
        try:
            config = self._read()
            if admin is not None:
                admin.apply(config.admin)  # first: its token's file may be unusable
            tracker.apply(config.tracker)
        except (ConfigError, ValueError) as error:
            _log.error("the settings stay as they were: {why}", why=error)
            return
        _log.info("[tracker] and [admin] are as {file} has them now", file=str(self._file))
        waiting = list(changed(self._began_with, config))
        if waiting:
            _log.warn(
                "{keys} changed since this tracker started, and will hold when it is started again",
                keys=", ".join(waiting),
            )

    def _read(self) -> TrackerConfig:
        return read_settings(TrackerConfig, self._file)


def changed(before: TrackerConfig, now: TrackerConfig) -> Iterator[str]:
    """The keys that differ, as table.key, but for those that a running tracker takes."""
    for table in fields(TrackerConfig):
        old, new = getattr(before, table.name), getattr(now, table.name)
        if table.name in TAKEN or old == new:
            continue
        if is_dataclass(old):
            names = [each.name for each in fields(old) if getattr(old, each.name) != getattr(new, each.name)]
            yield from (f"{table.name}.{name}" for name in names)
        else:
            yield table.name
