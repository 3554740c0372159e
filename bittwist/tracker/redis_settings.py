"""What can be chosen about the Redis store, with its bounds and their reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bittwist.address import split_host_port

LONGEST = 1_000_000  # seconds or commands: whoever means more means something else


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """Which Redis (6.2 or later) or Valkey holds the swarms. ValueError(key, reason) where it cannot be used.

    `servers` is one server, HOST:PORT or the path of a UNIX socket; of a `cluster` some of its nodes, the
    others are found. Without any, swarms are kept in memory. `prefix` stands before every key.
    A command that is not answered after `timeout` seconds, or comes while `max_in_flight` are not answered,
    finds Redis away. It is dialed again after 0.1 seconds, then after longer pauses, up to `longest_pause`.
    While it is away, `when_away` is "local": answer from what this process was told itself, and tell Redis on
    its return who came and went; or "fail": peers are asked back after `retry_in` seconds.
    """

    servers: tuple[str, ...] = ()
    cluster: bool = False
    username: str = ""
    password: str = ""
    database: int = 0
    prefix: str = "bittwist:"
    timeout: float = 2.0
    max_in_flight: int = 1000  # what Redis answers in a tenth of a second; more would only wait
    longest_pause: float = 2.0  # so that its return is noticed within five seconds, whatever chance adds
    when_away: Literal["local", "fail"] = "local"
    retry_in: int = 60

    def __post_init__(self) -> None:
        for server in self.servers:
            if server.startswith("/") and not self.cluster:
                continue
            try:
                split_host_port(server)
            except ValueError as error:
                raise ValueError("servers", str(error)) from error
        if len(self.servers) > 1 and not self.cluster:
            raise ValueError("servers", "only a cluster has more than one")
        if self.cluster and self.database:
            raise ValueError("database", "a cluster has only database 0")
        if "{" in self.prefix or "}" in self.prefix:
            raise ValueError("prefix", "braces say which node of a cluster a key is on")
        if self.username and not self.password:
            raise ValueError("password", "must be set where username is")
        if not 0 <= self.database <= 65_535:
            raise ValueError("database", "must be 0 to 65535")
        for key in ("timeout", "max_in_flight", "longest_pause", "retry_in"):
            if not 0 < getattr(self, key) < LONGEST:
                raise ValueError(key, f"must be more than 0, and less than {LONGEST}")
