"""How twistd ends: with 1 where it cannot begin, at once when told twice, always (SECURITY.md T38)."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.test_sigterm import dead_tracker, ended, remembered
from tests.interop.hosts import Program
from tests.processes import Programs

CONF = Path(__file__).parents[2] / "conf"
AT_ONCE = 0.5  # seconds
LIVE = "[session]\nlisten_host = '127.0.0.1'\nports = [0]\nstate_dir = 'state'\n"

# What runs, and a service that never stops.
STUCK = """
from twisted.application.service import Application, Service
from twisted.internet.defer import Deferred
from bittwist.app import ending, {tap} as tap

class Stuck(Service):
    def stopService(self):
        return Deferred()

ending.LONGEST = {within}
application = Application("stuck")
options = tap.Options()
options.parseOptions({words!r})
tap.makeService(options).setServiceParent(application)
Stuck().setServiceParent(application)
"""
TAPS = {
    "peer_tap": ["--listen", "tcp:0:interface=127.0.0.1", "--state", "state"],
    "tracker_tap": ["--http", "tcp:0:interface=127.0.0.1"],
}


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    with Programs(tmp_path) as running:
        yield running


@contextmanager
def taken() -> Iterator[int]:
    """A port of 127.0.0.1 that another program listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.mark.parametrize("filtered", [False, True], ids=["at once", "after address lists"])
@pytest.mark.parametrize("named", ["option", "no port number", "file"])
def test_a_peer_whose_port_cannot_be_opened_ends_with_1_and_one_line(
    tmp_path: Path, programs: Programs, named: str, filtered: bool
) -> None:
    config, state = tmp_path / "peer.toml", tmp_path / "state"
    (tmp_path / "list.p2p").write_text("nobody:192.0.2.1-192.0.2.1\n")
    lists = "[session.ip_filter]\nfiles = ['list.p2p']\n" if filtered else ""
    with taken() as port:
        words: list[str | Path] = ["--config", config, "--state", state]
        ours = ""
        if named == "file":
            ours = f"[session]\nlisten_host = '127.0.0.1'\nports = [{port}]\nany_port = false\n"
        else:
            number = port if named == "option" else 99999
            words += ["--listen", f"tcp:{number}:interface=127.0.0.1"]
        config.write_text(ours + lists)
        program = programs.twistd("bittwist-peer", *words)
        assert program.wait(20) == 1, program.output
    told = [line for line in program.output.splitlines() if line.startswith("twistd bittwist-peer: ")]
    assert len(told) == 1, program.output
    assert ("port must be" if named == "no port number" else "address already in use") in told[0]
    assert "Traceback" not in program.output


def until_ending(program: Program, number: signal.Signals) -> None:
    """Send that signal, and wait until it has been understood."""
    os.kill(program.pid, number)
    program.until(lambda: "once more ends it at once" in program.output, 10, "it begins to end")
    assert program.running()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_a_peer_at_once_whose_tracker_never_answers(
    tmp_path: Path, programs: Programs, number: signal.Signals
) -> None:
    with dead_tracker() as url:
        remembered(tmp_path, 1, url)
        program = programs.twistd(
            "bittwist-peer", "--listen", "tcp:0:interface=127.0.0.1", "--state", tmp_path / "state"
        )
        program.until(lambda: " is seeding" in program.output, 20, "it seeds")
        until_ending(program, number)
        code, seconds = ended(program, number)
    assert code == -number
    assert seconds <= AT_ONCE
    assert "Traceback" not in program.output


def test_a_second_signal_ends_tracker_and_peer_in_one_process_at_once(
    tmp_path: Path, programs: Programs
) -> None:
    shutil.copy(CONF / "suite.tac", tmp_path)
    (tmp_path / "tracker.toml").write_text("[listen]\nhttp = ['tcp:0:interface=127.0.0.1']\nudp = []\n")
    (tmp_path / "peer.toml").write_text(LIVE)
    with dead_tracker() as url:
        remembered(tmp_path, 1, url)
        program = programs.twistd("--no_save", "--python", tmp_path / "suite.tac")
        program.until(lambda: " is seeding" in program.output, 20, "it seeds")
        until_ending(program, signal.SIGTERM)
        code, seconds = ended(program, signal.SIGTERM)
    assert code == -signal.SIGTERM
    assert seconds <= AT_ONCE
    assert "Traceback" not in program.output


@pytest.mark.parametrize("tap", TAPS)
def test_a_second_signal_ends_what_never_stops(tmp_path: Path, programs: Programs, tap: str) -> None:
    program = stuck(tmp_path, programs, tap, 60.0)
    until_ending(program, signal.SIGTERM)
    code, seconds = ended(program, signal.SIGTERM)
    assert code == -signal.SIGTERM
    assert seconds <= AT_ONCE
    assert "Traceback" not in program.output


@pytest.mark.parametrize("tap", TAPS)
def test_what_never_stops_is_ended_and_says_where_it_stuck(
    tmp_path: Path, programs: Programs, tap: str
) -> None:
    program = stuck(tmp_path, programs, tap, 1.0)
    code, seconds = ended(program, signal.SIGTERM)
    assert code == 1
    assert 1.0 <= seconds <= 3.0
    assert "Timeout (0:00:01)!" in program.output
    assert "mainLoop" in program.output


def stuck(folder: Path, programs: Programs, tap: str, within: float) -> Program:
    file = folder / "stuck.tac"
    file.write_text(STUCK.format(tap=tap, within=within, words=TAPS[tap]))
    program = programs.twistd("--no_save", "--python", file)
    program.until(lambda: " on 127.0.0.1:" in program.output, 20, "it listens")
    return program
