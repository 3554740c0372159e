"""What integration tests rely on: programs start, say something, and are gone afterwards."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.processes import Programs, descendants, free_port

TALKS = 'print(\'{"event": "listening", "port": 7}\', flush=True); import time; time.sleep(60)'
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {TALKS}"


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def test_a_program_is_watched_and_gone_at_the_end(tmp_path: Path) -> None:
    with Programs(tmp_path) as programs:
        talking = programs.start([sys.executable, "-c", TALKS], "talking")
        assert talking.until_event("listening", 20)["port"] == 7
        assert (tmp_path / "talking-0.log").read_text().startswith("{")
    assert gone(talking.pid)


def test_a_failing_test_leaves_nothing_running(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), Programs(tmp_path) as programs:
        pid = programs.start([sys.executable, "-c", TALKS], "talking").pid
        raise ZeroDivisionError
    assert gone(pid)


def test_a_program_deaf_to_sigterm_is_killed_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.processes.GRACE", 0.3)
    starts = f"subprocess.Popen([sys.executable, '-c', {DEAF!r}], start_new_session=True)"
    parent = f"import subprocess, sys; {starts}\n{DEAF}"
    with Programs(tmp_path) as programs:
        running = programs.start([sys.executable, "-c", parent], "parent")
        running.until(lambda: len(running.events()) == 2, 20, "both talk")
        children = [pid for pid, _ in descendants(running.pid)]
        assert len(children) == 1
    assert gone(running.pid)
    assert gone(children[0])


def test_programs_end_with_the_test_process(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from tests.processes import Programs\n"
        f"talking = Programs(Path({str(tmp_path)!r})).start([sys.executable, '-c', {TALKS!r}], 'talking')\n"
        "talking.until_event('listening', 20); print(talking.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    root = Path(__file__).parents[2]
    ended = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=60)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert gone(int(ended.stdout))


def test_our_own_programs_start_from_the_tree(tmp_path: Path) -> None:
    with Programs(tmp_path) as programs:
        asked = programs.bittwist("--help")
        assert asked.wait(30) == 0, asked.output
        assert "download" in asked.output
        listed = programs.twistd("--help")
        assert listed.wait(30) == 0, listed.output
        assert "bittwist-tracker" in listed.output


def test_a_free_port_can_be_bound() -> None:
    for address, family in (("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)):
        with socket.socket(family) as bound:
            bound.bind((address, free_port(address)))
