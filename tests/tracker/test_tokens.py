"""Signed tokens: which pass, which do not and why, and which keys a tracker takes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import sys
from io import BytesIO
from typing import Any
from unittest import mock

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bittwist.errors import ConfigError
from bittwist.tracker import Arrival, Front
from bittwist.tracker.tokenkeys import MAX_KEYS_FILE, Key, keys_reader
from bittwist.tracker.tokens import LEEWAY, MAX_TOKEN, REMEMBERED, Claims, Tokens
from bittwist.tracker.watched import BrokenFile
from tests.tracker.arrivals import HASH, OTHER, announcing, scraping

NOW = 1_800_000_000.0
SECRET = b"s" * 32
ED = ed25519.Ed25519PrivateKey.generate()
EC = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 2048)
SHORT = rsa.generate_private_key(65537, 1024)


def public_pem(private: Any) -> bytes:
    return bytes(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def private_pem(private: Any) -> bytes:
    return bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def part(value: object) -> bytes:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=")


def by_hand(header: object, payload: object, secret: bytes = SECRET) -> bytes:
    """A token signed with HS256, whatever its header says."""
    signed = part(header) + b"." + part(payload)
    return signed + b"." + part(hmac.new(secret, signed, hashlib.sha256).digest())


def keys(content: bytes, *algorithms: str) -> tuple[Key, ...]:
    return keys_reader(algorithms or ("HS256",))(BytesIO(content))


class Keys:
    def __init__(self, value: tuple[Key, ...]) -> None:
        self.value = value


class TokensTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.now = NOW
        self.keys = Keys(keys(SECRET))
        self.hook = self.hooked()

    def hooked(self, **options: Any) -> Tokens:
        return Tokens(self.keys, lambda: self.now, **options)

    def token(
        self, key: Any = SECRET, algorithm: str = "HS256", kid: str | None = None, **claims: Any
    ) -> bytes:
        payload = {"exp": int(NOW) + 3600, **claims}
        headers = {} if kid is None else {"kid": kid}
        return jwt.encode(payload, key, algorithm, headers).encode()

    def refused(self, token: bytes | None, hook: Tokens | None = None, **fields: Any) -> str:
        """Why an announce with this token is refused; "" where it is not."""
        failure = announcing(hook or self.hook, Arrival(Front.HTTP, "192.0.2.1", token=token), **fields)
        return "" if failure is None else failure.reason

    def test_a_good_token_passes_again_and_again(self) -> None:
        token = self.token()
        self.assertEqual([self.refused(token) for _ in range(3)], ["", "", ""])

    def test_none_at_all_is_missing(self) -> None:
        for nothing in (None, b""):
            self.assertTrue(self.refused(nothing).startswith("jwt: missing"))

    def test_it_expires_though_it_was_good_before(self) -> None:
        token = self.token()
        self.assertEqual(self.refused(token), "")
        self.now = NOW + 3600 + LEEWAY - 1
        self.assertEqual(self.refused(token), "")
        self.now = NOW + 3600 + LEEWAY
        self.assertEqual(self.refused(token), "jwt: the token has expired")

    def test_the_clock_is_the_one_given(self) -> None:
        self.now = 1000.0  # long before this machine's
        self.assertEqual(self.refused(self.token(exp=1100, nbf=900, iat=950)), "")

    def test_without_an_end_it_is_refused(self) -> None:
        for exp in (None, "tomorrow", True, [], 1e300):
            token = by_hand({"alg": "HS256"}, {} if exp is None else {"exp": exp})
            self.assertEqual(self.refused(token), "jwt: exp is missing, or no time")
        self.assertTrue(self.refused(by_hand({"alg": "HS256"}, b'{"exp": NaN}')))
        self.assertTrue(self.refused(by_hand({"alg": "HS256"}, b'{"exp": Infinity}')))

    def test_one_for_later_says_when(self) -> None:
        arrival = Arrival(Front.HTTP, "192.0.2.1", token=self.token(nbf=int(NOW) + 600))
        failure = announcing(self.hook, arrival)
        assert failure is not None
        self.assertEqual((failure.reason, failure.retry_in), ("jwt: the token is not valid yet", 600))
        self.now += 600 - LEEWAY
        self.assertIsNone(announcing(self.hook, arrival))

    def test_issuer_and_audience_must_be_those_of_the_settings(self) -> None:
        hook = self.hooked(issuer="https://site.example", audience="tracker")
        good = {"iss": "https://site.example", "aud": ["other", "tracker"]}
        self.assertEqual(self.refused(self.token(**good), hook), "")
        self.assertEqual(self.refused(self.token(**{**good, "aud": "tracker"}), hook), "")
        self.assertIn("issuer", self.refused(self.token(aud="tracker"), hook))
        self.assertIn("issuer", self.refused(self.token(**{**good, "iss": "https://site.example/"}), hook))
        self.assertIn("another tracker", self.refused(self.token(**{**good, "aud": "tracker2"}), hook))
        self.assertIn("another tracker", self.refused(self.token(iss="https://site.example"), hook))
        for odd in ({"iss": 5}, {"aud": 5}, {"aud": [5]}):
            self.assertIn(" is no ", self.refused(by_hand({"alg": "HS256"}, {"exp": NOW + 9, **odd})))

    def test_one_that_names_a_torrent_is_good_for_that_one(self) -> None:
        escaped = "".join(f"%{byte:02x}" for byte in HASH)
        for claim in (HASH.hex(), HASH.hex().upper(), HASH.hex() + "00" * 12, "h" * 20, escaped):
            token = self.token(infohash=claim)
            self.assertEqual(self.refused(token), "")
            self.assertEqual(self.refused(token, info_hash=OTHER), "jwt: the token is for another torrent")
        self.assertEqual(self.refused(self.token(info_hash=HASH.hex()), info_hash=OTHER)[:4], "jwt:")
        for odd in (5, "", "ab", "h" * 21, "é" * 20, ["h"]):
            self.assertEqual(self.refused(self.token(infohash=odd)), "jwt: infohash is no info hash")

    def test_it_can_be_required_to_name_one(self) -> None:
        hook = self.hooked(names_torrent=True)
        self.assertEqual(self.refused(self.token(), hook), "jwt: the token names no torrent")
        self.assertEqual(self.refused(self.token(infohash=HASH.hex()), hook), "")

    def test_scrapes_need_one_unless_told_otherwise(self) -> None:
        arrival = Arrival(Front.HTTP, "192.0.2.1", token=self.token(infohash=HASH.hex()))
        self.assertIsNone(scraping(self.hook, arrival))
        self.assertIsNotNone(scraping(self.hook, arrival, (HASH, OTHER)))
        self.assertIsNotNone(scraping(self.hook))
        self.assertIsNone(scraping(self.hooked(for_scrapes=False)))

    def test_what_is_not_signed_by_our_key_is_refused(self) -> None:
        good = self.token()
        header, payload, signature = good.split(b".")
        forged = part({"exp": NOW + 999_999})
        for token in (
            self.token(b"x" * 32),
            b".".join((header, forged, signature)),
            b".".join((header, payload, b"")),
            b".".join((header, payload, part(b"\0" * 32))),
            b".".join((part({"alg": "none"}), payload, b"")),
            by_hand({"alg": "HS512"}, {"exp": NOW + 9}),
            by_hand({"alg": ["HS256"]}, {"exp": NOW + 9}),
            by_hand({}, {"exp": NOW + 9}),
            good + b"x",
        ):
            self.assertIn(
                self.refused(token), ("jwt: not signed by a key of this tracker", "jwt: not a token"), token
            )
        self.assertEqual(self.refused(good), "")

    def test_a_public_key_is_no_secret(self) -> None:
        """A token signed by HMAC with the public key that everybody knows (RFC 8725, 2.1)."""
        self.keys.value = keys(public_pem(EC), "ES256")
        token = by_hand({"alg": "HS256"}, {"exp": NOW + 9}, public_pem(EC))
        self.assertEqual(self.refused(token), "jwt: not signed by a key of this tracker")

    def test_each_kind_of_public_key_checks_its_own(self) -> None:
        for private, algorithm in ((ED, "EdDSA"), (EC, "ES256"), (RSA, "RS256"), (RSA, "PS256")):
            self.keys.value = keys(public_pem(private), "RS256", "PS256", "ES256", "EdDSA")
            self.assertEqual(self.refused(self.token(private, algorithm)), "", algorithm)
            for other, theirs in ((ED, "EdDSA"), (EC, "ES256"), (RSA, "RS256")):
                if other is not private:
                    self.assertIn("not signed", self.refused(self.token(other, theirs)))

    def test_a_key_set_is_asked_by_key_id_or_key_by_key(self) -> None:
        listed = [
            {**json.loads(jwt.algorithms.ECAlgorithm.to_jwk(EC.public_key())), "kid": "one"},
            {**json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(ED.public_key())), "kid": "two", "use": "sig"},
        ]
        self.keys.value = keys(json.dumps({"keys": listed}).encode(), "ES256", "EdDSA")
        for kid in ("one", None):
            self.assertEqual(self.refused(self.token(EC, "ES256", kid)), "")
        self.assertEqual(self.refused(self.token(ED, "EdDSA", "two")), "")
        for kid in ("two", "three"):
            self.assertIn("not signed", self.refused(self.token(EC, "ES256", kid)))

    def test_tokens_of_a_key_that_is_gone_are_refused(self) -> None:
        token = self.token()
        self.assertEqual(self.refused(token), "")
        self.keys.value = keys(b"n" * 32)
        self.assertIn("not signed", self.refused(token))

    def test_what_is_remembered_is_bounded(self) -> None:
        self.patch(sys.modules[Tokens.__module__], "REMEMBERED", 10)
        for number in range(30):
            self.assertEqual(self.refused(self.token(jti=str(number))), "")
        self.assertEqual(len(self.hook._good), 10)
        self.assertLessEqual(REMEMBERED * MAX_TOKEN, 64 << 20)

    def test_a_long_one_is_not_looked_at(self) -> None:
        long = self.token(padding="x" * MAX_TOKEN)
        self.assertEqual(self.refused(long), f"jwt: longer than {MAX_TOKEN} bytes")

    def test_any_bytes_are_refused_and_nothing_else_is_raised(self) -> None:
        values = st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=10),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
            ),
            max_leaves=6,
        )
        header = st.dictionaries(st.sampled_from(["alg", "kid", "crit", "b64", "typ"]), values)
        parts = st.one_of(st.binary(max_size=50), header.map(lambda value: json.dumps(value).encode()))
        tokens = st.one_of(
            st.binary(max_size=100),
            st.lists(parts.map(part), min_size=2, max_size=4).map(b".".join),
            st.builds(by_hand, header, parts, st.just(b"x" * 32)),
        )

        @given(tokens)
        def tried(token: bytes) -> None:
            self.assertTrue(self.refused(token).startswith("jwt: "))

        tried()
        for depth in (b"[" * 3000, b'{"a":' * 600):
            self.assertTrue(self.refused(part(depth) + b"." + part(b"{}") + b".x").startswith("jwt: "))

    def test_any_signed_claims_are_claims_or_a_value_error(self) -> None:
        names = st.sampled_from(["exp", "nbf", "iss", "aud", "infohash", "info_hash"])
        values = st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.lists(st.text())

        @given(
            st.one_of(st.binary(), st.dictionaries(names, values).map(lambda each: json.dumps(each).encode()))
        )
        def tried(payload: bytes) -> None:
            try:
                claims = Claims.read(payload)
            except ValueError:
                return
            self.assertIn(len(claims.info_hash or bytes(20)), {20})

        tried()
        for depth in (b"[" * 100_000, b'{"a":' * 100_000):
            with self.assertRaises(ValueError):
                Claims.read(depth)

    def test_what_the_user_reads_is_one_line_of_text(self) -> None:
        for token in (b"\x1b[2J\n", by_hand({"alg": "HS256"}, {"exp": "\n"}), b"a.b.c"):
            self.assertTrue(self.refused(token).isprintable())


class KeysTests(SynchronousTestCase):
    def test_a_secret_ends_with_its_line(self) -> None:
        self.assertEqual(keys(SECRET + b"\r\n"), keys(SECRET))

    def test_what_cannot_be_used_says_why(self) -> None:
        jwk = {"kty": "oct", "k": part(b"short").decode()}
        secret = {"kty": "oct", "k": part(SECRET).decode()}
        private = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(EC))
        for content, algorithm, reason in (
            (b"", "HS256", "at least 32"),
            (b"short\n", "HS256", "at least 32"),
            (json.dumps(jwk).encode(), "HS256", "at least 32"),
            (SECRET, "HS384", "at least 48"),
            (public_pem(SHORT), "RS256", "no key for RS256"),
            (SECRET, "ES256", "holds a secret"),
            (json.dumps(secret).encode(), "ES256", "holds a secret"),
            (public_pem(EC), "HS256", "no key for HS256"),
            (public_pem(EC), "RS256", "no key for RS256"),
            (private_pem(EC), "ES256", "private key"),
            (json.dumps({"keys": [private]}).encode(), "ES256", "no key for ES256"),
            (b"-----BEGIN PUBLIC KEY-----\nxx\n-----END PUBLIC KEY-----\n", "ES256", "not a public key"),
            (b'{"keys": 5}', "ES256", "not a list"),
            (b'{"keys": [5, {}, {"kty": "EC"}, {"kty": "x"}]}', "ES256", "no key for"),
            (b'{"keys": [' + b"{}," * 40 + b"{}]}", "ES256", "at most"),
            (b"{" * 10, "ES256", "not JSON"),
            (b'{"a":' * 12_000, "ES256", "not JSON"),
            (b"x" * (MAX_KEYS_FILE + 1), "HS256", "longer"),
        ):
            with self.assertRaisesRegex(BrokenFile, reason):
                keys(content, algorithm)

    def test_a_secret_is_used_where_it_is_long_enough(self) -> None:
        (found,) = keys(b"s" * 48, "HS256", "HS384", "HS512")
        self.assertEqual(found.algorithms, ("HS256", "HS384"))

    def test_a_set_serves_other_programs_too(self) -> None:
        listed = [
            {"kty": "EC", "crv": "P-999"},
            {"kty": "new"},
            {**json.loads(jwt.algorithms.ECAlgorithm.to_jwk(EC.public_key())), "use": "enc"},
            json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(ED.public_key())),
        ]
        (found,) = keys(json.dumps({"keys": listed}).encode(), "ES256", "EdDSA")
        self.assertEqual((found.kid, found.algorithms), (None, ("EdDSA",)))

    def test_a_key_that_says_its_algorithm_is_used_for_no_other(self) -> None:
        public = {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(RSA.public_key())), "alg": "PS256"}
        (found,) = keys(json.dumps(public).encode(), "RS256", "PS256")
        self.assertEqual(found.algorithms, ("PS256",))

    def test_without_the_package_the_setting_is_named(self) -> None:
        missing = mock.patch.dict(sys.modules, {"jwt": None})
        with missing, self.assertRaisesRegex(ConfigError, "token_keys.*PyJWT"):
            keys_reader(("HS256",))

    def test_any_bytes_are_keys_or_broken(self) -> None:
        names = st.sampled_from(["kty", "k", "crv", "x", "y", "n", "e", "alg", "kid", "use"])
        words = st.sampled_from(["oct", "EC", "RSA", "OKP", "P-256", "Ed25519", "AQAB", "sig", "HS256"])
        one = st.dictionaries(names, st.one_of(words, st.text(max_size=44), st.integers(), st.none()))
        sets = st.one_of(one, st.builds(lambda each: {"keys": each}, st.lists(one, max_size=3)))

        @given(st.one_of(st.binary(), sets.map(lambda value: json.dumps(value).encode())))
        def tried(content: bytes) -> None:
            for algorithms in (("HS256",), ("ES256", "EdDSA", "RS256")):
                try:
                    self.assertTrue(keys(content, *algorithms))
                except BrokenFile:
                    pass  # one of the two outcomes

        tried()
