"""One process at a time: a lock file, whose lock ends with its process however that ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from bittwist.errors import StorageError
from bittwist.storage.folder import mapped


class Claim:
    """Holds `path`, a lock file whose folder is made, until it is left; raises `taken` where it is held."""

    def __init__(self, path: Path, taken: StorageError) -> None:
        self._path = path
        with mapped(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = _locked(path)
        if descriptor is None:
            raise taken
        self._descriptor = descriptor

    def __enter__(self) -> None:
        """It is held already."""

    def __exit__(self, *_: object) -> None:
        try:
            self._path.unlink(missing_ok=True)
            self._path.parent.rmdir()
        except OSError:
            """There is more in the folder, or it is gone with its drive."""
        finally:
            os.close(self._descriptor)


def _locked(path: Path) -> int | None:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Who had it before may have removed it after we opened it: then the next would make a new one.
            if os.path.exists(path) and os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
