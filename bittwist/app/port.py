"""Where peers reach a command's session."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from bittwist.app.descriptors import within_limits
from bittwist.net.policy import NetworkSettings
from bittwist.session import SessionSettings


@dataclass(frozen=True, slots=True)
class Port:
    """Where peers reach us: `bind` is also the address dialed from, `number` None for the usual ports.

    Without `bind` peers are listened for on `anywhere`.
    """

    bind: str | None
    number: int | None
    anywhere: str = "0.0.0.0"

    def settings(self, state_dir: Path | None = None) -> SessionSettings:
        usual = SessionSettings(
            listen_host=self.bind or self.anywhere,
            network=NetworkSettings(bind=self.bind),
            state_dir=state_dir,
        )
        if self.number is not None:
            usual = replace(usual, ports=(self.number,), any_port=False)
        return within_limits(usual)
