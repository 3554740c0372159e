"""Who may speak to the admin port: under which name, from which page, with which token.

A page in somebody's browser can send requests here. It cannot lie about the name it found us under (Host),
nor about where it comes from (Origin), and it does not know the token.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum
from hashlib import sha256
from hmac import compare_digest
from ipaddress import ip_address

WRONG_TOKENS = 5  # of one address within WRONG_WITHIN; then it is not listened to
WRONG_WITHIN = 60.0  # seconds
MAX_ADDRESSES = 10_000  # whose wrong tokens are remembered; beyond, who tried least recently is forgotten


BEARER = b"bearer"
BASIC = b"basic"  # for pages: a browser asks its user for it, and the token is the password

_HOST = re.compile(rb"(?:\[([0-9a-f:.]+)\]|([a-z0-9_.-]+))(?::[0-9]{0,5})?")


class Verdict(Enum):
    """What a request's credentials are worth."""

    RIGHT = "right"
    MISSING = "missing"
    WRONG = "wrong"
    TOO_MANY = "too many wrong tokens"


class Gate:
    """Judges names, origins and tokens. `seconds` is a monotonic clock; without a token nobody has the right.

    Owns the wrong tokens of each address: who guesses is slowed, and nobody else.
    """

    def __init__(self, seconds: Callable[[], float], token: str, allowed_hosts: Sequence[str]) -> None:
        self._seconds = seconds
        self._digest = sha256(token.encode()).digest() if token else None
        self._names = {"localhost", *(name.lower().removesuffix(".") for name in allowed_hosts)}
        self._wrong: dict[str, deque[float]] = {}

    @property
    def has_token(self) -> bool:
        return self._digest is not None

    def knows(self, hosts: Sequence[bytes]) -> bool:
        """Whether these Host headers are one, and name us: as loopback, by an address, or as was agreed.

        Another site's name can be made to lead here (DNS rebinding); an address cannot.
        """
        if len(hosts) != 1:
            return False
        name = _name(hosts[0])
        return name is not None and (name in self._names or _is_address(name))

    def same_origin(self, origins: Sequence[bytes], host: bytes) -> bool:
        """Whether a request came from a page of our own, or from no page at all."""
        return all(
            origin.lower() in (b"http://" + host.lower(), b"https://" + host.lower()) for origin in origins
        )

    def judge(
        self, client: str, credentials: Sequence[bytes], schemes: Sequence[bytes] = (BEARER,)
    ) -> Verdict:
        """What the Authorization headers of this client's request are worth.

        None at all is no attempt: else a page in a browser could turn away that browser's user.
        """
        if not credentials:
            return Verdict.MISSING
        if self.wait(client):
            return Verdict.TOO_MANY
        if len(credentials) == 1 and self._is_token(credentials[0], schemes):
            return Verdict.RIGHT
        self._remember(_neighbourhood(client))
        return Verdict.WRONG

    def wait(self, client: str) -> float:
        """Seconds until this client is listened to again."""
        wrong = self._wrong.get(_neighbourhood(client))
        if not wrong or len(wrong) < WRONG_TOKENS:
            return 0.0
        return max(0.0, wrong[0] + WRONG_WITHIN - self._seconds())

    def _is_token(self, credentials: bytes, schemes: Sequence[bytes]) -> bool:
        scheme, _, offered = credentials.strip().partition(b" ")
        if scheme.lower() not in schemes:
            return False
        if scheme.lower() == BASIC:
            offered = _password(offered)
        # Digests are of one length: the comparison takes as long for every guess.
        return self._digest is not None and compare_digest(sha256(offered).digest(), self._digest)

    def _remember(self, client: str) -> None:
        wrong = self._wrong.pop(client, None) or deque(maxlen=WRONG_TOKENS)
        wrong.append(self._seconds())
        self._wrong[client] = wrong  # at the end: the first is who tried least recently
        if len(self._wrong) > MAX_ADDRESSES:
            del self._wrong[next(iter(self._wrong))]


def _name(host: bytes) -> str | None:
    """The name or address in a Host header; None where it is none."""
    found = _HOST.fullmatch(host.lower())
    return (found[1] or found[2]).decode("ascii").removesuffix(".") if found else None


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _neighbourhood(client: str) -> str:
    """Who shares a count of wrong tokens: an IPv6 host has a whole /64 of addresses to itself."""
    if ":" not in client:
        return client
    return ip_address(client).exploded[:19]


def _password(encoded: bytes) -> bytes:
    try:
        return b64decode(encoded, validate=True).partition(b":")[2]
    except ValueError:
        return b""
