"""`conf/suite.tac`: a tracker and a peer in one process, which both read their settings again on SIGHUP."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

from tests.processes import Programs, free_port

TAC = Path(__file__).parents[2] / "conf" / "suite.tac"
TRACKER_READ, PEER_READ = "[tracker] and [admin] are as", "[session] is as the file has it now"
STAYS = "the settings stay as they were"


def test_a_hangup_has_both_read_their_settings_again(tmp_path: Path) -> None:
    place, folder = free_port("127.0.0.1"), tmp_path / "conf"
    folder.mkdir()
    shutil.copy(TAC, folder)
    tracker, peer = folder / "tracker.toml", folder / "peer.toml"
    tracker.write_text(f'[listen]\nhttp = ["tcp:{place}:interface=127.0.0.1"]\nudp = []\n')
    mine = f'[session]\nlisten_host = "127.0.0.1"\nports = [0]\nstate_dir = "{tmp_path}/state"\n'
    peer.write_text(mine)
    with Programs(tmp_path) as programs:
        suite = programs.twistd("--python", folder / TAC.name)
        suite.until(lambda: "peers are listened for on" in suite.output, 30, "it listens")
        peer.write_text(mine + "[session.limits]\nupload_rate = -1\n")
        os.kill(suite.pid, signal.SIGHUP)
        suite.until(lambda: TRACKER_READ in suite.output and STAYS in suite.output, 10, "both were told")
        assert f"{STAYS}: {peer}: session.limits" in suite.output
        peer.write_text(mine + "[session.limits]\nupload_rate = 5000\n")
        tracker.write_text("[listen\n")
        os.kill(suite.pid, signal.SIGHUP)
        suite.until(lambda: PEER_READ in suite.output, 10, "the peer has read it")
        suite.until(lambda: f"{STAYS}: {tracker}" in suite.output, 10, "the tracker has refused it")
        assert suite.running()
