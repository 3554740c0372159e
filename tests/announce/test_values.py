"""The values of an announce, and how they are made quickly."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, replace

import pytest

from bittwist.announce.values import AnnounceRequest, Event, quick

new_request = quick(AnnounceRequest)


def test_a_value_made_quickly_is_the_value() -> None:
    slow = AnnounceRequest(b"h" * 20, b"p" * 20, 6881, 1, 2, 3, Event.STARTED, numwant=5, ip="192.0.2.1")
    made = new_request(b"h" * 20, b"p" * 20, 6881, 1, 2, 3, Event.STARTED, numwant=5, ip="192.0.2.1")
    assert made == slow and hash(made) == hash(slow) and repr(made) == repr(slow)
    assert type(made) is AnnounceRequest and isinstance(made, AnnounceRequest)
    assert copy.copy(made) == pickle.loads(pickle.dumps(made)) == slow
    assert replace(made, left=0).is_seed


def test_it_has_the_same_defaults() -> None:
    assert new_request(b"h", b"p", 1) == AnnounceRequest(b"h", b"p", 1)
    with pytest.raises(TypeError):
        new_request(b"h", b"p")  # type: ignore[call-arg]


def test_it_is_as_frozen() -> None:
    made = new_request(b"h", b"p", 1)
    with pytest.raises(FrozenInstanceError):
        made.left = 5  # type: ignore[misc]
    with pytest.raises((AttributeError, TypeError)):
        made.other = 5  # type: ignore[attr-defined]
