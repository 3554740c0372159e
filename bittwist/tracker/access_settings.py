"""What can be chosen about who may use a tracker."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SECRETS = frozenset({"HS256", "HS384", "HS512"})  # signed with a secret both sides know
PUBLIC = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"}
)  # checked with a public key


@dataclass(frozen=True, slots=True)
class AccessSettings:
    """Who may use a tracker; by default anyone. ValueError(key, reason) where a setting cannot be used.

    The six lists are files with an entry a line: info hashes (40 or 64 hexadecimal digits), beginnings of
    peer ids ("-XX", with %-escapes for what is no ASCII), addresses (one, a network or "first-last"). What a
    deny list names is refused; where there is an allow list, what it does not name is refused as well. They
    are looked at for changes every `poll` seconds.

    `users` is the file of users and their totals; with it a request needs a passkey, unless
    `passkey_required` is off. `max_rate` (bytes/s) is the most a peer's totals can grow. `torrents` is the
    file of registered and of blocked torrents; with `registered_only` no others are served.

    `token_keys` is a file with what tokens are signed with: a secret, a public key in PEM, or a JWK set; with
    it each announce needs a token ("jwt") signed by one of `token_algorithms`, for this `token_issuer` and
    `token_audience` unless they are empty, and naming the torrent if `token_names_torrent`; and each scrape,
    unless `token_for_scrapes` is off.

    The rates are requests a minute from one address (of IPv6, one /64) and of one user, 0 for any number;
    `burst` of them may come at once. With `refuse_privileged_ports` peers on ports below 1024 are refused.
    """

    allow_info_hashes: Path | None = None
    deny_info_hashes: Path | None = None
    allow_clients: Path | None = None
    deny_clients: Path | None = None
    allow_addresses: Path | None = None
    deny_addresses: Path | None = None
    poll: float = 5.0
    users: Path | None = None
    passkey_required: bool = True
    max_rate: int = 1_250_000_000  # 10 Gbit/s
    torrents: Path | None = None
    registered_only: bool = False
    token_keys: Path | None = None
    token_algorithms: tuple[str, ...] = ("HS256",)
    token_issuer: str = ""
    token_audience: str = ""
    token_names_torrent: bool = False
    token_for_scrapes: bool = True
    announces_per_address: float = 0.0
    scrapes_per_address: float = 0.0
    announces_per_user: float = 0.0
    scrapes_per_user: float = 0.0
    burst: int = 100
    refuse_privileged_ports: bool = False

    def __post_init__(self) -> None:
        if not 0.1 <= self.poll <= 3600:
            raise ValueError("poll", "must be 0.1 to 3600 seconds")
        if self.max_rate < 1:
            raise ValueError("max_rate", "must be 1 or more")
        if self.registered_only and self.torrents is None:
            raise ValueError("registered_only", "needs the file of torrents")
        for key in ("announces_per_address", "scrapes_per_address", "announces_per_user", "scrapes_per_user"):
            if not 0 <= getattr(self, key) <= 1e9:
                raise ValueError(key, "must be 0 or more, requests a minute")
        for key in ("announces_per_user", "scrapes_per_user"):
            if getattr(self, key) and self.users is None:
                raise ValueError(key, "needs the file of users")
        if not 1 <= self.burst <= 1_000_000:
            raise ValueError("burst", "must be 1 to 1000000")
        algorithms = set(self.token_algorithms)
        if not algorithms or not algorithms <= SECRETS | PUBLIC:
            raise ValueError("token_algorithms", f"must be some of {', '.join(sorted(SECRETS | PUBLIC))}")
        if algorithms & SECRETS and algorithms & PUBLIC:
            # Else a public key could be used as the secret of a forged token (RFC 8725, 2.1).
            raise ValueError("token_algorithms", "must be all with a secret, or all with public keys")
