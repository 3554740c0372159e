"""The programs in docs/examples do what the documentation says of them."""

import ast
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.processes import LOOPBACK, Programs, free_port

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
LONG = 60.0  # seconds: a slow machine; no example takes more than a few


@pytest.fixture
def content(tmp_path: Path) -> Path:
    root = tmp_path / "shared"
    (root / "inner").mkdir(parents=True)
    (root / "inner" / "größe.bin").write_bytes(bytes(range(256)) * 20_000)
    (root / "empty").touch()
    return root


def run_demo(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, EXAMPLES / "demo.py", *arguments]
    root = EXAMPLES.parents[1]
    return subprocess.run(command, capture_output=True, text=True, timeout=LONG, cwd=root, check=False)


def test_the_demo_shares_what_it_is_given_and_says_so(content: Path) -> None:
    done = run_demo(content)
    assert done.returncode == 0, done.stderr
    assert "verdict   every byte of both copies is the same" in done.stdout


def test_the_demo_refuses_a_path_that_is_not_there(tmp_path: Path) -> None:
    assert run_demo(tmp_path / "nothing").returncode == 2


def test_the_demo_leaves_nothing_running_when_it_is_stopped(tmp_path: Path) -> None:
    with Programs(tmp_path) as programs:
        demo = programs.start([sys.executable, "-u", EXAMPLES / "demo.py"], "demo")
        demo.until(lambda: "tracker   http" in demo.output, LONG, "the tracker's address")
        port = demo.output.split("127.0.0.1:")[1].split("/")[0]
        assert demo.stop() == 128 + signal.SIGINT
        with pytest.raises(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5)


def test_the_embedded_peer_says_what_it_is_called_with() -> None:
    command = [sys.executable, EXAMPLES / "fetch.py"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONG, check=False)
    assert (done.returncode, done.stderr) == (1, "usage: python fetch.py TORRENT FOLDER\n")


def test_the_embedded_peer_fetches(content: Path, tmp_path: Path) -> None:
    torrent, target = tmp_path / "shared.torrent", tmp_path / "target"
    port = free_port()
    url = f"http://127.0.0.1:{port}/announce"
    with Programs(tmp_path) as programs:
        endpoint = f"tcp:{port}:interface=127.0.0.1"
        programs.twistd("bittwist-tracker", "--http", endpoint).until_listening(port)
        created = programs.bittwist("create", content, "-o", torrent, "--tracker", url)
        assert created.wait(LONG) == 0, created.output
        seed = programs.bittwist("seed", torrent, content, "--bind", "127.0.0.2", "--json")
        seed.until_event("complete", LONG)
        fetch = programs.start([sys.executable, EXAMPLES / "fetch.py", torrent, target], "fetch", LOOPBACK)
        assert fetch.wait(LONG) == 0, fetch.output
        assert "shared: 5120000 bytes" in fetch.output
    wanted = (content / "inner" / "größe.bin").read_bytes()
    assert (target / "shared" / "inner" / "größe.bin").read_bytes() == wanted


def test_the_tracker_in_a_site_answers_beside_its_pages(tmp_path: Path) -> None:
    port = free_port()
    program = (
        (EXAMPLES / "web_tracker.py").read_text().replace('"tcp:8080"', f'"tcp:{port}:interface=127.0.0.1"')
    )
    (tmp_path / "site.py").write_text(program)
    with Programs(tmp_path) as programs:
        programs.twistd("--python", tmp_path / "site.py").until_listening(port)
        front = f"http://127.0.0.1:{port}"
        with urllib.request.urlopen(f"{front}/", timeout=LONG) as page:
            assert b"Our files" in page.read()
        query = f"info_hash={'%41' * 20}&peer_id={'b' * 20}&port=6881&uploaded=0&downloaded=0&left=1"
        with urllib.request.urlopen(f"{front}/announce?{query}", timeout=LONG) as answer:
            assert answer.read().startswith(b"d8:complete")


def test_a_page_and_a_tracker_on_one_port_answer_both(tmp_path: Path) -> None:
    program = EXAMPLES / "tracker_and_page.py"
    code = [line for line in ast.unparse(ast.parse(program.read_text())).splitlines() if line.strip()]
    assert len(code) - 1 <= 15, "without its docstring it is short enough to read at once"
    port = free_port()
    with Programs(tmp_path) as programs:
        programs.start([sys.executable, program, str(port)], "page").until_listening(port)
        front = f"http://127.0.0.1:{port}"
        with urllib.request.urlopen(f"{front}/", timeout=LONG) as page:
            assert page.read() == b"<h1>Our files</h1>"
        query = f"info_hash={'%41' * 20}&peer_id={'b' * 20}&port=6881&uploaded=0&downloaded=0&left=1"
        for path in ("announce", "announce/passkey"):
            with urllib.request.urlopen(f"{front}/{path}?{query}", timeout=LONG) as answer:
                assert answer.read().startswith(b"d8:complete")
        with urllib.request.urlopen(f"{front}/scrape?info_hash={'%41' * 20}", timeout=LONG) as answer:
            assert answer.read().startswith(b"d5:filesd20:AAAA")
