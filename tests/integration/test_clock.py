"""Programs whose wall clock is stepped by hours, by days, to 1970 and to 2038 (SECURITY.md T35)."""

from __future__ import annotations

import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from bittwist.session.state import StateFolder
from tests.integration.plainpeers import PacedSeed
from tests.integration.test_sigterm import GOODBYE, Tracker, dead_tracker, ended
from tests.interop.hosts import Program
from tests.processes import Programs, free_port
from tests.scale import runs
from tests.session.torrents import content, torrent

LATE = 1.0  # seconds a timer may be late
LOOK_EVERY = 0.5  # seconds between progress reports
DATA = content(runs(6, 40) << 20)
STEPPED = (sys.executable, "-m", "tests.integration.steppedclock")


def longest_silence(program: Program, timeout: float) -> float:
    """Until the download ends: the longest time between two progress reports."""
    deadline = time.monotonic() + timeout
    seen, at, longest = 0, time.monotonic(), 0.0
    while program.running():
        count = sum(event["event"] == "progress" for event in program.events())
        if count > seen:
            seen, at = count, time.monotonic()
        longest = max(longest, time.monotonic() - at)
        assert time.monotonic() < deadline, program.output
        time.sleep(0.02)
    assert seen > 5
    return longest


def test_a_download_goes_on_in_its_stride(tmp_path: Path) -> None:
    with Tracker() as tracker, ExitStack() as stack:
        metainfo = torrent(DATA, 1 << 17, trackers=(tracker.url,))
        (tmp_path / "the.torrent").write_bytes(metainfo.encode())
        seed = stack.enter_context(PacedSeed("127.0.0.2", metainfo.info, DATA, pace=0.01))
        programs = stack.enter_context(Programs(tmp_path))
        words = ["--bind", "127.0.0.1", "--port", "0", "--json", "--peer", seed.endpoint]
        command = [*STEPPED, "bittwist", "download", tmp_path / "the.torrent", "-o", tmp_path / "to", *words]

        first = programs.start(command, "first")
        first.until(lambda: len(seed.given) > 150, 30, "some pieces are there")
        assert ended(first, signal.SIGTERM)[0] == 130
        seed.counts()
        second = programs.start(command, "second")
        second.until_event("listening", 30)
        assert longest_silence(second, 60) <= LOOK_EVERY + LATE
        assert second.wait(10) == 0
        asked, _ = seed.counts()
        assert len(asked) <= len(DATA) // 16384 - 100, "dates are no reason to fetch again"
        peers = [event["peers"] for event in second.events() if event["event"] == "progress"]
        assert 0 not in peers[peers.index(1) :], "nobody is dropped for being silent since 1970"
        assert tracker.events == ["started", "stopped", "started", "completed", "stopped"]
        for program in (first, second):
            assert "Traceback" not in program.output
    assert (tmp_path / "to" / "data.bin").read_bytes() == DATA


def test_a_daemon_ends_in_time_and_remembers_sane_dates(tmp_path: Path) -> None:
    with dead_tracker() as url, Programs(tmp_path) as programs:
        words: list[str | Path] = []
        for number in range(10):
            metainfo = torrent(content(50_000, b"%d" % number), name=f"{number}.bin", trackers=(url,))
            (tmp_path / f"{number}.torrent").write_bytes(metainfo.encode())
            words += ["--add", tmp_path / f"{number}.torrent"]
        options = ["--listen", f"tcp:{free_port()}:interface=127.0.0.1", "--state", tmp_path / "state"]
        twistd = [*STEPPED, "twistd", "--nodaemon", "--pidfile=", "bittwist-peer"]
        program = programs.start([*twistd, *options, "--downloads", tmp_path / "to", *words], "twistd")
        program.until(lambda: program.output.count(" is downloading") == 10, 30, "all are added")
        time.sleep(1.0)
        code, seconds = ended(program, signal.SIGTERM)
        assert (code, seconds <= GOODBYE) == (-signal.SIGTERM, True), program.output[-2000:]
        assert "Traceback" not in program.output
        saved, troubles = StateFolder(tmp_path / "state").load()
        assert (len(saved), troubles) == (10, [])
        assert all(0 <= one.added_at < 2**32 for one in saved)
