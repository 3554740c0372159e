"""Programs that are told to end: in time, with trackers told and everything kept (SECURITY.md T38)."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest

from bittwist.metainfo.metainfo import Metainfo
from bittwist.session.state import SavedTorrent, StateFolder
from bittwist.storage.resume import Journal
from tests.integration.plainpeers import PacedSeed, Talk
from tests.interop.hosts import Program
from tests.processes import Programs, free_port
from tests.scale import SOAK
from tests.session.torrents import content, torrent

GOODBYE = 6.0  # seconds from the signal to the end
GOODBYE_LIVE = 2.0  # where every tracker answers
GOODBYE_MANY = 10.0  # with a thousand torrents
SIZE = 50_000
INTERRUPTED = 130
PEERS = 500  # of a session at once, instead of 200


class Tracker:
    """Answers every announce and remembers its event; `url` is where."""

    def __init__(self) -> None:
        self.events: list[str] = []
        events = self.events

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                events.append(parse_qs(urlsplit(self.path).query).get("event", [""])[0])
                body = b"d8:intervali1800e5:peers0:e"
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_words: object) -> None:
                """Nothing: the events tell."""

        class Server(ThreadingHTTPServer):
            request_queue_size = 1024  # else the kernel turns away those that come at once

        self._server = Server(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self._server.server_port}/announce"
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Tracker:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def dead_tracker() -> Iterator[str]:
    """The URL of a tracker that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/announce"


def ended(program: Program, number: signal.Signals) -> tuple[int, float]:
    """Send that signal: the exit status, and after how many seconds."""
    began = time.monotonic()
    os.kill(program.pid, number)
    return program.wait(30), time.monotonic() - began


def remembered(folder: Path, count: int, tracker: str) -> list[Metainfo]:
    """So many torrents whose data is there, in the state folder of a daemon."""
    state = StateFolder(folder / "state")
    (folder / "data").mkdir()
    made = []
    for number in range(count):
        data = content(SIZE, b"%d" % number)
        metainfo = torrent(data, name=f"{number}.bin", trackers=(tracker,))
        (folder / "data" / metainfo.info.name).write_bytes(data)
        state.save(SavedTorrent(metainfo, str(folder / "data"), True, 3, 5, float(number)))
        made.append(metainfo)
    return made


@contextmanager
def visitors(port: int, torrents: list[Metainfo], count: int) -> Iterator[list[socket.socket]]:
    """So many peers, spread over the torrents, who never read."""
    with ExitStack() as stack:
        there = []
        for number in range(count):
            source = (f"127.0.2.{1 + number % 250}", 0)
            dialed = socket.create_connection(("127.0.0.1", port), timeout=5.0, source_address=source)
            Talk(stack.enter_context(dialed)).shake(torrents[number % len(torrents)].info)
            there.append(dialed)
        yield there


def is_open(connection: socket.socket) -> bool:
    """Whether the other end has not closed it; what it sent is left where it is."""
    connection.setblocking(False)
    try:
        return bool(connection.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


def daemon(programs: Programs, folder: Path, port: int, torrents: list[Metainfo]) -> Program:
    config = folder / "peer.toml"
    config.write_text(f"[session]\nmax_peers = {PEERS}\n")
    words = ["--config", config, "--listen", f"tcp:{port}:interface=127.0.0.1", "--state", folder / "state"]
    program = programs.twistd("bittwist-peer", *words)
    program.until(
        lambda: program.output.count(" is seeding") == len(torrents), 30 + len(torrents) / 10, "all seed"
    )
    return program


def assert_kept(folder: Path, torrents: list[Metainfo]) -> None:
    """All are remembered as running, and their files vouched for by a clean stop."""
    saved, troubles = StateFolder(folder / "state").load()
    assert troubles == []
    assert [one.info_hash for one in saved] == [metainfo.info.info_hash for metainfo in torrents]
    assert all((one.running, one.uploaded, one.downloaded) == (True, 3, 5) for one in saved)
    for metainfo in torrents:
        journal = Journal(StateFolder(folder / "state").journal(metainfo.info.info_hash))
        journaled = journal.read(metainfo.info)
        assert journaled is not None and journaled.have.complete and journaled.stopped is not None


CASES = [(100, PEERS, GOODBYE), (1000, PEERS, GOODBYE_MANY)] if SOAK else [(20, 20, GOODBYE)]


@pytest.mark.parametrize(("count", "peers", "within"), CASES)
@pytest.mark.parametrize("live", [False, True], ids=["dead tracker", "live tracker"])
def test_a_daemon_ends_in_time_and_keeps_everything(
    tmp_path: Path, count: int, peers: int, within: float, live: bool
) -> None:
    with ExitStack() as stack:
        tracker = stack.enter_context(Tracker())
        url = tracker.url if live else stack.enter_context(dead_tracker())
        torrents = remembered(tmp_path, count, url)
        programs = stack.enter_context(Programs(tmp_path))
        port = free_port()
        program = daemon(programs, tmp_path, port, torrents)
        there = stack.enter_context(visitors(port, torrents, peers))
        assert all(is_open(one) for one in there), "none of them was turned away"
        if live:
            program.until(lambda: tracker.events.count("started") == count, 30, "all are announced")
        code, seconds = ended(program, signal.SIGTERM)
        # twistd ends itself with the signal that stopped it, once all is done.
        assert code == -signal.SIGTERM, program.output[-2000:]
        print(f"{count} torrents, {peers} peers: gone after {seconds:.2f} s")
        assert seconds <= (within if not live or count > 100 else GOODBYE_LIVE)
        if live and count <= 100:  # a thousand may be more than this tracker takes in time
            assert tracker.events.count("stopped") == count
        assert "Traceback" not in program.output
    assert_kept(tmp_path, torrents)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", ["download", "seed"])
def test_a_transfer_says_goodbye_to_its_tracker(tmp_path: Path, command: str, number: signal.Signals) -> None:
    with Tracker() as tracker, transfer(tmp_path, command, tracker.url) as program:
        program.until(lambda: "started" in tracker.events, 20, "it is announced")
        code, seconds = ended(program, number)
        assert (code, tracker.events) == (INTERRUPTED, ["started", "stopped"])
        assert seconds <= GOODBYE_LIVE
        assert "Traceback" not in program.output
        if command == "download":
            journals = list((tmp_path / "to" / ".bittwist").glob("*.journal"))
            assert len(journals) == 1, "what is there is vouched for at the next start"


@pytest.mark.parametrize("command", ["download", "seed"])
def test_a_second_signal_ends_a_transfer_at_once(tmp_path: Path, command: str) -> None:
    with dead_tracker() as url, transfer(tmp_path, command, url) as program:
        time.sleep(0.5)
        os.kill(program.pid, signal.SIGINT)
        time.sleep(0.5)
        assert program.running(), "it waits for the tracker"
        code, seconds = ended(program, signal.SIGINT)
        assert code == INTERRUPTED
        assert seconds <= 0.5


@pytest.mark.parametrize("command", ["download", "seed"])
def test_a_dead_tracker_is_not_waited_for_long(tmp_path: Path, command: str) -> None:
    with dead_tracker() as url, transfer(tmp_path, command, url) as program:
        code, seconds = ended(program, signal.SIGTERM)
        assert code == INTERRUPTED
        assert seconds <= GOODBYE


@contextmanager
def transfer(folder: Path, command: str, tracker: str) -> Iterator[Program]:
    """A download under way, or a seed at work."""
    data = content(4 << 20)
    metainfo = torrent(data, 1 << 16, trackers=(tracker,))
    source = folder / "data.torrent"
    source.write_bytes(metainfo.encode())
    words = ["--bind", "127.0.0.1", "--port", "0", "--json"]
    with PacedSeed("127.0.0.2", metainfo.info, data, pace=0.1) as seed, Programs(folder) as programs:
        if command == "seed":
            (folder / "data.bin").write_bytes(data)
            program = programs.bittwist("seed", source, folder / "data.bin", *words)
            program.until_event("complete", 20)
        else:
            words += ["--peer", seed.endpoint]
            program = programs.bittwist("download", source, "-o", folder / "to", *words)
            program.until(lambda: len(seed.given) > 5, 20, "it is under way")
        yield program
