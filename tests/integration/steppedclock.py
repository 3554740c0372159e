"""`python -m tests.integration.steppedclock bittwist|twistd WORDS…`: a program under a clock that jumps.

Whatever asks for the date, Twisted included, gets one that is right for a while, then an hour late, a day
early, in 1970, in 2038, and so on. The system's own clock is left alone.
"""

import sys
import time

EVERY = 0.4  # seconds between steps
HOUR, DAY = 3600.0, 86400.0
IN_1970, IN_2038 = 5.0, 2.0**31 + 7

real, began = time.time, time.monotonic()


def stepped() -> float:
    now = real()
    dates = (now, now - HOUR, now + HOUR, now - DAY, now + DAY, IN_1970, now, IN_2038)
    return dates[int((time.monotonic() - began) / EVERY) % len(dates)]


if __name__ == "__main__":
    time.time = stepped
    program = sys.argv.pop(1)
    if program == "twistd":
        from twisted.scripts.twistd import run

        run()
    else:
        from bittwist.app.cli import main

        main()
