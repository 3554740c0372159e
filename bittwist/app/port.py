"""Where peers reach a command's session."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from bittwist.address import Address
from bittwist.app.descriptors import within_limits
from bittwist.errors import NetworkError, SessionError
from bittwist.net.dual import EVERYWHERE
from bittwist.net.policy import NetworkSettings
from bittwist.session import Session, SessionSettings


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
    """Where the session listens; SessionError, naming the option, where it cannot."""
    try:
        return await session.when_listening()
    except NetworkError as error:
        # The session's reason names the port as well.
        told = error.reason if error.reason.startswith(error.target) else str(error)
        raise SessionError(f"{told} (--port takes another port; 0 is any free one)") from error
