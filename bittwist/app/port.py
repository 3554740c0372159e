"""Where peers reach a command's session."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, replace
from pathlib import Path

from bittwist.address import Address
from bittwist.app.descriptors import within_limits
from bittwist.errors import NetworkError, SessionError
from bittwist.net.dual import EVERYWHERE
from bittwist.net.policy import NetworkSettings
from bittwist.session import Session, SessionSettings

_NOT_OURS = os.strerror(errno.EADDRNOTAVAIL).lower()  # as `net.policy` tells it
_NOT_FREE = tuple(os.strerror(number).lower() for number in (errno.EADDRINUSE, errno.EACCES))


@dataclass(frozen=True, slots=True)
class Port:
    """Where peers reach us: `bind` is also the address dialed from, `number` None for the usual ports.

    Without `bind` peers are listened for on `anywhere`.
    """

    bind: str | None
    number: int | None
    anywhere: str = EVERYWHERE

    def settings(self, state_dir: Path | None = None) -> SessionSettings:
        usual = SessionSettings(
            listen_host=self.bind or self.anywhere,
            network=NetworkSettings(bind=self.bind),
            state_dir=state_dir,
        )
        if self.number is not None:
            usual = replace(usual, ports=(self.number,), any_port=False)
        return within_limits(usual)


async def opened(session: Session) -> Address:
    """Where the session listens; SessionError, naming the option that would help, where it cannot."""
    try:
        return await session.when_listening()
    except NetworkError as error:
        # The session's reason names the port as well.
        told = error.reason if error.reason.startswith(error.target) else str(error)
        bind = session.settings.network.bind
        if bind is not None and told.endswith(_NOT_OURS):
            raise SessionError(f"{bind}: --bind names no address of this machine") from error
        raise SessionError(with_hint(told, "--port")) from error


def with_hint(told: str, option: str) -> str:
    """Why a port cannot be opened; and, where another one would do, the option for it."""
    return f"{told} ({option} takes another port; 0 is any free one)" if told.endswith(_NOT_FREE) else told
