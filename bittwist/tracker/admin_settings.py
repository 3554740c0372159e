"""What can be chosen about a tracker's admin port."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from bittwist.errors import ConfigError

SHORTEST_TOKEN = 16  # characters: with five guesses a minute nobody finds even a poor one


@dataclass(frozen=True, slots=True)
class AdminSettings:
    """What the admin port shows to whom. ValueError(key, reason) where a setting cannot be used.

    The API's token is `token`, or the first line of `token_file`. With `token_for_pages` the pages and
    figures need it too: as a bearer token, or as the password a browser asks for. `allowed_hosts` are the
    names, beside addresses and localhost, that the port is reached under. The page loads again every
    `page_refresh` seconds (0: never) and shows the `largest` swarms (0: none).
    """

    token: str = field(default="", repr=False)
    token_file: Path | None = None
    token_for_pages: bool = False
    allowed_hosts: tuple[str, ...] = ()
    page_refresh: int = 10
    largest: int = 20

    def __post_init__(self) -> None:
        if self.token and self.token_file is not None:
            raise ValueError("token", "set either this or token_file")
        if self.token:
            _check_token(self.token, "token")
        if self.token_for_pages and not self.token and self.token_file is None:
            raise ValueError("token_for_pages", "needs a token")
        for name in self.allowed_hosts:
            if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
                raise ValueError("allowed_hosts", f"{name!r} is no host name (names stand without a port)")
        if not 0 <= self.page_refresh <= 3600:
            raise ValueError("page_refresh", "must be 0 to 3600")
        if not 0 <= self.largest <= 1000:
            raise ValueError("largest", "must be 0 to 1000")

    def secret(self) -> str:
        """The token, read from its file where it has one; empty where there is none. ConfigError."""
        if self.token_file is None:
            return self.token
        try:
            token = self.token_file.read_text("utf-8").partition("\n")[0].strip()
            _check_token(token, "token_file")
        except OSError as error:
            raise ConfigError(
                str(self.token_file), "token_file", f"cannot be read ({error.strerror})"
            ) from error
        except UnicodeDecodeError as error:
            raise ConfigError(str(self.token_file), "token_file", "is not text") from error
        except ValueError as error:
            raise ConfigError(str(self.token_file), *error.args) from error
        return token


def _check_token(token: str, key: str) -> None:
    if len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError(key, f"a token has at least {SHORTEST_TOKEN} printable ASCII characters, no blanks")
