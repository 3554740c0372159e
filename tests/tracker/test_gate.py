"""T24, T25: which Host, Origin and token the admin port listens to."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock

from bittwist.tracker.gate import (
    BASIC,
    BEARER,
    MAX_ADDRESSES,
    WRONG_TOKENS,
    WRONG_WITHIN,
    Gate,
    Verdict,
)

TOKEN = "correct horse battery staple"
RIGHT = b"Bearer " + TOKEN.encode()


def gate(clock: Clock | None = None, token: str = TOKEN) -> Gate:
    return Gate((clock or Clock()).seconds, token, ("Tracker.Example", "stats.example."))


@pytest.mark.parametrize(
    "host",
    [
        b"localhost",
        b"LOCALHOST.",
        b"localhost:6970",
        b"localhost:",
        b"127.0.0.1",
        b"127.0.0.1:6970",
        b"127.8.9.10",
        b"[::1]",
        b"[::1]:6970",
        b"192.168.1.5:6970",
        b"[2001:db8::5]",
        b"tracker.example",
        b"tracker.EXAMPLE.:80",
        b"stats.example",
    ],
)
def test_loopback_addresses_and_agreed_names_are_us(host: bytes) -> None:
    assert gate().knows([host])


@pytest.mark.parametrize(
    "host",
    [
        b"",
        b".",
        b"evil.example",
        b"evil.example:6970",
        b"127.0.0.1.evil.example",
        b"localhost.evil.example",
        b"tracker.example.evil.example",
        b"evil.example#localhost",
        b"localhost@evil.example",
        b"evil.example@localhost",
        b"localhost evil.example",
        b"localhost,evil.example",
        b"localhost:80:80",
        b"localhost:port",
        b"[::1",
        b"[::1]x",
        b"::1",
        b"[localhost]",
        b"[fe80::1%lo]",
        b"127.1",
        b"2130706433",
        b"0x7f000001",
        b"127.0.0.01",
        "localhos\u0442".encode(),
        b"localhost\x00",
        b"\xff",
    ],
)
def test_any_other_name_is_not_us(host: bytes) -> None:
    assert not gate().knows([host])
    assert not gate(token="").knows([host])


def test_a_host_is_said_once() -> None:
    assert not gate().knows([])
    assert not gate().knows([b"localhost", b"localhost"])


@settings(deadline=None)
@given(st.binary(max_size=40))
def test_any_bytes_are_a_host_or_not(host: bytes) -> None:
    gate().knows([host])
    gate().knows([b"[" + host + b"]"])


def test_only_our_own_pages_and_programs_have_the_right_origin() -> None:
    us = b"localhost:6970"
    assert gate().same_origin([], us)
    assert gate().same_origin([b"http://localhost:6970"], us)
    assert gate().same_origin([b"https://LOCALHOST:6970"], us)
    for other in (
        b"null",
        b"",
        b"http://localhost",
        b"http://evil.example",
        b"file://",
        b"http://localhost:69700",
    ):
        assert not gate().same_origin([other], us)
    assert not gate().same_origin([b"http://localhost:6970", b"http://evil.example"], us)


def test_the_token_is_right_in_either_case_of_the_scheme() -> None:
    assert gate().judge("192.0.2.1", [RIGHT]) is Verdict.RIGHT
    assert gate().judge("192.0.2.1", [b"bearer " + TOKEN.encode()]) is Verdict.RIGHT


@pytest.mark.parametrize(
    "credentials",
    [
        [b""],
        [b"Bearer"],
        [b"Bearer "],
        [RIGHT + b"x"],
        [RIGHT[:-1]],
        [RIGHT, RIGHT],
        [TOKEN.encode()],
        [b"Token " + TOKEN.encode()],
        [b"Basic " + b64encode(b"user:" + TOKEN.encode())],
        [b"\xff\x00"],
    ],
)
def test_anything_else_is_wrong(credentials: list[bytes]) -> None:
    assert gate().judge("192.0.2.1", credentials) is Verdict.WRONG


def test_a_browser_may_send_it_as_a_password_where_that_is_asked_for() -> None:
    def judged(credentials: bytes) -> Verdict:
        return gate().judge("192.0.2.1", [credentials], (BEARER, BASIC))

    assert judged(b"Basic " + b64encode(b"anyone:" + TOKEN.encode())) is Verdict.RIGHT
    assert judged(RIGHT) is Verdict.RIGHT
    for wrong in (b"Basic " + b64encode(TOKEN.encode()), b"Basic !!", b"Basic", b"Basic " + b64encode(b":")):
        assert judged(wrong) is Verdict.WRONG


def test_without_a_token_nobody_has_the_right() -> None:
    empty = gate(token="")
    assert not empty.has_token
    for credentials in (b"Bearer ", b"Bearer x", b"Basic " + b64encode(b":")):
        assert empty.judge("192.0.2.1", [credentials], (BEARER, BASIC)) is not Verdict.RIGHT


def test_who_guesses_is_slowed_and_nobody_else() -> None:
    clock = Clock()
    door = gate(clock)
    for _ in range(WRONG_TOKENS):
        assert door.judge("192.0.2.1", [b"Bearer guess"]) is Verdict.WRONG
    assert door.judge("192.0.2.1", [RIGHT]) is Verdict.TOO_MANY
    assert door.wait("192.0.2.1") == WRONG_WITHIN
    assert door.judge("192.0.2.2", [RIGHT]) is Verdict.RIGHT
    clock.advance(WRONG_WITHIN)
    assert door.judge("192.0.2.1", [RIGHT]) is Verdict.RIGHT


def test_a_guesser_has_five_guesses_a_minute() -> None:
    clock = Clock()
    door = gate(clock)
    heard = 0
    for _ in range(600):
        heard += door.judge("192.0.2.1", [b"Bearer guess"]) is Verdict.WRONG
        clock.advance(1)
    assert heard <= WRONG_TOKENS * 10


def test_requests_without_a_token_slow_nobody() -> None:
    """A page in a browser can send those, from its user's address."""
    door = gate()
    for _ in range(100):
        assert door.judge("127.0.0.1", []) is Verdict.MISSING
    assert door.judge("127.0.0.1", [RIGHT]) is Verdict.RIGHT


def test_the_addresses_of_one_ipv6_host_are_one() -> None:
    door = gate()
    for number in range(WRONG_TOKENS):
        door.judge(f"2001:db8::{number}", [b"Bearer guess"])
    assert door.judge("2001:db8::ffff:1", [RIGHT]) is Verdict.TOO_MANY
    assert door.judge("2001:db8:0:1::1", [RIGHT]) is Verdict.RIGHT


def test_guesses_from_everywhere_cost_bounded_memory() -> None:
    door = gate()
    for number in range(MAX_ADDRESSES + 100):
        door.judge(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", [b"Bearer guess"])
    assert len(door._wrong) == MAX_ADDRESSES
