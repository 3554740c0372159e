"""Signed tokens that expire (RFC 7519), in the parameter `jwt` of an announce or scrape.

A token is signed by whoever has the key; the tracker checks it against a secret or a public key. Its claims:
`exp` must be there; `nbf`, `iss` and `aud` as in the RFC; `infohash` (40 hexadecimal digits, 64 of a v2 hash,
or 20 bytes with %-escapes) binds it to one torrent. Dates are checked against the clock given, not by PyJWT.
PyJWT is imported when this is used: it comes with the extra "tracker".
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import unquote_to_bytes

from bittwist.announce.values import AnnounceRequest
from bittwist.errors import TrackerFailure
from bittwist.tracker.fields import HEXADECIMAL, LATEST
from bittwist.tracker.hybrids import Hybrids
from bittwist.tracker.interfaces import NO_CREDENTIALS, AnnounceHook, Arrival, Front
from bittwist.tracker.tokenkeys import Key, signatures

WANTED = "this tracker wants a token"
MAX_TOKEN = 4096  # bytes: tokens with a signature by RSA have about 800
LEEWAY = 60.0  # seconds by which clocks may differ
REMEMBERED = 10_000  # tokens found good, so that a client's next announce costs no signature; 1 KiB each


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says. Times are wall clock; `info_hash` is 20 bytes."""

    expires_at: float
    not_before: float
    issuer: str | None
    audience: tuple[str, ...]
    info_hash: bytes | None

    @classmethod
    def read(cls, payload: bytes) -> Claims:
        """Read what was signed; ValueError where a claim is not of its kind."""
        try:
            claims = json.loads(payload)
        except RecursionError as error:
            raise ValueError("nested too deep") from error
        if not isinstance(claims, dict):
            raise ValueError("no claims")
        issuer = claims.get("iss")
        if issuer is not None and not isinstance(issuer, str):
            raise ValueError("iss is no text")
        audience = claims.get("aud", [])
        if isinstance(audience, str):
            audience = [audience]
        if not isinstance(audience, list) or not all(isinstance(each, str) for each in audience):
            raise ValueError("aud is no list of texts")
        named = claims.get("infohash", claims.get("info_hash"))
        return cls(
            _time(claims, "exp"),
            _time(claims, "nbf") if "nbf" in claims else 0.0,
            issuer,
            tuple(audience),
            None if named is None else _info_hash(named),
        )


class CurrentKeys(Protocol):
    """The keys as they are now; whoever reads them anew replaces `value`."""

    @property
    def value(self) -> tuple[Key, ...]: ...


class Tokens(AnnounceHook):
    """Lets announces pass that carry a good token, and scrapes as well unless told otherwise.

    `issuer` and `audience` must be the token's, unless empty; with `names_torrent` it must name the torrent,
    one of the `hybrids` by either hash.
    Owns the tokens found good.
    """

    def __init__(
        self,
        keys: CurrentKeys,
        wall: Callable[[], float],
        hybrids: Hybrids | None = None,
        *,
        issuer: str = "",
        audience: str = "",
        names_torrent: bool = False,
        for_scrapes: bool = True,
    ) -> None:
        self._keys = keys
        self._wall = wall
        self._hybrids = hybrids or Hybrids()
        self._issuer = issuer
        self._audience = audience
        self._names_torrent = names_torrent
        self._for_scrapes = for_scrapes
        self._jws = signatures()
        self._good: OrderedDict[bytes, Claims] = OrderedDict()
        self._good_by = keys.value

    def announcing(self, request: AnnounceRequest, arrival: Arrival) -> None:
        self._check(arrival.token, (request.info_hash,))

    def scraping(self, info_hashes: Sequence[bytes], arrival: Arrival) -> None:
        if self._for_scrapes:
            why = NO_CREDENTIALS if arrival.front is Front.UDP else WANTED
            self._check(arrival.token, info_hashes, why)

    def _check(self, token: bytes | None, info_hashes: Sequence[bytes], why: str = WANTED) -> None:
        if not token:
            raise TrackerFailure(f"jwt: missing ({why})")
        claims = self._claims(token)
        now = self._wall()
        if now >= claims.expires_at + LEEWAY:
            raise TrackerFailure("jwt: the token has expired")
        if now < claims.not_before - LEEWAY:
            raise TrackerFailure("jwt: the token is not valid yet", claims.not_before - now)
        if self._issuer and claims.issuer != self._issuer:
            raise TrackerFailure("jwt: the token is by another issuer")
        if self._audience and self._audience not in claims.audience:
            raise TrackerFailure("jwt: the token is for another tracker")
        if claims.info_hash is None:
            if self._names_torrent:
                raise TrackerFailure("jwt: the token names no torrent")
        elif any(claims.info_hash not in self._hybrids.names(info_hash) for info_hash in info_hashes):
            raise TrackerFailure("jwt: the token is for another torrent")

    def _claims(self, token: bytes) -> Claims:
        """What a token says that is signed by one of the keys; TrackerFailure where it is not."""
        if self._keys.value is not self._good_by:
            self._good.clear()
            self._good_by = self._keys.value
        known = self._good.get(token)
        if known is not None:
            return known
        if len(token) > MAX_TOKEN:
            raise TrackerFailure(f"jwt: longer than {MAX_TOKEN} bytes")
        try:
            claims = Claims.read(self._signed(token))
        except ValueError as error:
            raise TrackerFailure(f"jwt: {error}") from error
        self._good[token] = claims
        if len(self._good) > REMEMBERED:
            self._good.popitem(last=False)
        return claims

    def _signed(self, token: bytes) -> bytes:
        """The payload; ValueError where no key of ours has signed it."""
        import jwt

        try:
            kid = jwt.get_unverified_header(token).get("kid")
        except jwt.PyJWTError as error:
            raise ValueError("not a token") from error
        for key in self._keys.value:
            if kid is not None and key.kid is not None and kid != key.kid:
                continue
            try:
                found = self._jws.decode(token, key.key, algorithms=key.algorithms)
            except jwt.PyJWTError:
                continue  # the next key may be the one; where none is, that is said below
            assert isinstance(found, bytes)
            return found
        raise ValueError("not signed by a key of this tracker")


def _time(claims: Mapping[str, object], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not -LATEST < value < LATEST:
        raise ValueError(f"{name} is missing, or no time")
    return float(value)


def _info_hash(claim: object) -> bytes:
    if not isinstance(claim, str) or len(claim) > 64:
        raise ValueError("infohash is no info hash")
    if len(claim) in (40, 64) and set(claim) <= HEXADECIMAL:
        return bytes.fromhex(claim)[:20]
    found = unquote_to_bytes(claim.replace("+", " "))
    if len(found) != 20:
        raise ValueError("infohash is no info hash")
    return found
