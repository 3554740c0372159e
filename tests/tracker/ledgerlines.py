"""What holds of the lines of every ledger, whatever they say (tracker.ledgerfile)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from hypothesis import given
from hypothesis import strategies as st

from bittwist.tracker.ledgerfile import Codec

C = TypeVar("C")


def check_written_and_read(codec: Codec[C], changes: st.SearchStrategy[C]) -> None:
    """A change is read as it was written."""

    @given(changes)
    def same(change: C) -> None:
        assert codec.read(codec.line(change)) == change

    same()


def check_read_or_refused(codec: Codec[C], lines: st.SearchStrategy[Mapping[str, Any]]) -> None:
    """Any line is a change that can be told again, or a ValueError."""

    @given(lines)
    def tried(line: Mapping[str, Any]) -> None:
        try:
            change = codec.decode(line)
        except ValueError:
            return
        assert codec.decode(codec.encode(change)) == change

    tried()
