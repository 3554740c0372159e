"""The secret that a tracker's connection ids are made with, kept in a file that only its owner reads."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from secrets import token_bytes

from bittwist.errors import ConfigError
from bittwist.tracker.connections import SECRET


def read_or_make_secret(path: Path) -> bytes:
    """The secret in this file; where there is none it is made, with mode 0600. Raises ConfigError.

    Of several processes that start at once, all get the one that was first.
    """
    try:
        if not path.exists():
            _make(path)
        text = path.read_text("ascii").strip()
        secret = bytes.fromhex(text)
    except OSError as problem:
        why = (problem.strerror or "").lower()
        raise ConfigError(str(path), "secret_file", f"cannot be read or made: {why}") from problem
    except ValueError:
        raise ConfigError(str(path), "secret_file", "not hexadecimal digits") from None
    if len(secret) != SECRET:
        raise ConfigError(str(path), "secret_file", f"{len(secret)} bytes instead of {SECRET}")
    return secret


def _make(path: Path) -> None:
    # Written whole under another name, then linked: nobody reads half of it, and nobody's is replaced.
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(handle, "w", encoding="ascii") as file:
            file.write(token_bytes(SECRET).hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        return  # another process was first
    finally:
        os.unlink(draft)
