"""The keys a tracker's tokens are signed with (RFC 7517, 7518): a secret, a public key, or a set of them.

PyJWT, which comes with the extra "tracker", is imported when this is used.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from bittwist.errors import ConfigError
from bittwist.tracker.access_settings import SECRETS
from bittwist.tracker.watched import BrokenFile

if TYPE_CHECKING:
    from jwt import PyJWS
    from jwt.algorithms import AllowedPublicKeys

MAX_KEYS_FILE = 64 << 10  # bytes: a set of a dozen keys has about 5 KiB
MAX_KEYS = 32  # without a key id each is tried
MIN_SECRET = {"HS256": 32, "HS384": 48, "HS512": 64}  # bytes; fewer can be guessed from one token
MIN_RSA = 2048  # bits (RFC 7518, 3.2 and 3.3)


@dataclass(frozen=True, slots=True)
class Key:
    """A key, and the algorithms it is good for; `kid` is how tokens name it, if they do."""

    kid: str | None
    algorithms: tuple[str, ...]
    key: AllowedPublicKeys | bytes


def keys_reader(algorithms: Sequence[str]) -> Callable[[BinaryIO], tuple[Key, ...]]:
    """Reads a file of keys for these algorithms: a secret, a public key in PEM, or a JWK set.

    Raises BrokenFile, and ConfigError where PyJWT or what it needs for them is not installed.
    """
    available = signatures().get_algorithms()
    for name in algorithms:
        if name not in available:
            raise ConfigError(
                "settings",
                "token_algorithms",
                f"{name} needs the package cryptography: install bittwist[tracker]",
            )

    def read(stream: BinaryIO) -> tuple[Key, ...]:
        content = stream.read(MAX_KEYS_FILE + 1)
        if len(content) > MAX_KEYS_FILE:
            raise BrokenFile(0, f"longer than {MAX_KEYS_FILE} bytes")
        if content.lstrip().startswith(b"{"):
            keys = _set_of_keys(content, algorithms)
        elif b"-----BEGIN" in content:
            keys = _pem(content, algorithms)
        else:
            keys = [_secret(None, content.rstrip(b"\r\n"), algorithms)]
        if not keys:
            raise BrokenFile(0, f"holds no key for {', '.join(algorithms)}")
        return tuple(keys)

    return read


def _set_of_keys(content: bytes, algorithms: Sequence[str]) -> list[Key]:
    """The usable keys of a JWK set, or of a single JWK (RFC 7517); others in the set are passed over."""
    import jwt

    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BrokenFile(0, "not JSON") from error
    listed = found.get("keys", [found])
    if not isinstance(listed, list) or len(listed) > MAX_KEYS:
        raise BrokenFile(0, f"not a list of at most {MAX_KEYS} keys")
    keys: list[Key] = []
    for each in listed:
        if not isinstance(each, dict) or each.get("use", "sig") != "sig":
            continue
        kid = each.get("kid")
        try:
            key = jwt.PyJWK(each)
        except (jwt.PyJWTError, ValueError, TypeError, KeyError):
            continue  # a set serves many programs: what we cannot use is another's
        if isinstance(key.key, bytes):
            keys.append(_secret(kid, key.key, algorithms))
        elif "d" not in each:  # else it is a private key
            named = [each["alg"]] if "alg" in each else algorithms
            keys += _usable(kid, key.key, [name for name in algorithms if name in named])
    return keys


def _pem(content: bytes, algorithms: Sequence[str]) -> list[Key]:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    if b"PRIVATE KEY" in content:
        raise BrokenFile(0, "holds a private key; the tracker wants the public one")
    try:
        key = load_pem_public_key(content)
    except Exception as error:  # what cryptography raises depends on how the file is wrong
        raise BrokenFile(0, f"not a public key: {error}") from error
    return _usable(None, key, algorithms)  # type: ignore[arg-type]  # of a kind we cannot use: not usable


def _usable(kid: object, key: AllowedPublicKeys, algorithms: Sequence[str]) -> list[Key]:
    """The key with the algorithms it can be used for; nothing where there are none."""
    import jwt
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    if isinstance(key, RSAPublicKey) and key.key_size < MIN_RSA:
        return []
    jws = signatures()
    good = []
    for name in algorithms:
        try:
            jws.get_algorithm_by_name(name).prepare_key(key)
        except (jwt.PyJWTError, TypeError, ValueError):
            continue
        good.append(name)
    return [Key(kid if isinstance(kid, str) else None, tuple(good), key)] if good else []


def _secret(kid: object, secret: bytes, algorithms: Sequence[str]) -> Key:
    wanted = [name for name in algorithms if name in SECRETS]
    if not wanted:
        raise BrokenFile(0, f"holds a secret, not a public key for {', '.join(algorithms)}")
    good = tuple(name for name in wanted if len(secret) >= MIN_SECRET[name])
    if not good:
        least = min(MIN_SECRET[name] for name in wanted)
        raise BrokenFile(0, f"a secret of {len(secret)} bytes; it must have at least {least}")
    return Key(kid if isinstance(kid, str) else None, good, secret)


def signatures() -> PyJWS:
    """What checks them; ConfigError where PyJWT is not installed."""
    try:
        from jwt import PyJWS
    except ImportError as error:
        raise ConfigError(
            "settings", "token_keys", "tokens need the package PyJWT: install bittwist[tracker]"
        ) from error
    return PyJWS()
