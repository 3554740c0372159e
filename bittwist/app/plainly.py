"""What keeps a `twistd` from starting, told in one line instead of a traceback."""

from __future__ import annotations

import sys
from types import TracebackType

from bittwist.app.wording import printable
from bittwist.errors import BitTwistError


def tell_plainly(program: str) -> None:
    """From now on an error of ours that ends the process is one line on standard error.

    twistd ends with 1 whatever is raised, but prints all its options for a UsageError, and a traceback for
    everything else: the last word before that is Python's, and here.
    """
    otherwise = sys.excepthook

    def tell(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
        if isinstance(error, BitTwistError):
            # twistd may have put its log in the place of standard error: then the line is in both.
            for place in {id(place): place for place in (sys.stderr, sys.__stderr__)}.values():
                print(printable(f"{program}: {error}"), file=place)
        else:
            otherwise(kind, error, where)

    sys.excepthook = tell
