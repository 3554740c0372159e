"""Network namespaces: their hosts reach each other, and nothing else reaches them or is reached."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.interop.hosts import Host, Program, namespace, namespace_pair

pytestmark = pytest.mark.needs("nsenter", "unshare", "ip", "root")

SERVE = "import socket, sys, time; s = socket.create_server((sys.argv[1], 6881)); time.sleep(60)"
DIAL = "import socket, sys; socket.create_connection((sys.argv[1], 6881), timeout=5)"


def dials(host: Host, target: str) -> bool:
    command = [*host.prefix, sys.executable, "-c", DIAL, target]
    return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0


def test_hosts_at_both_ends_of_the_cable_reach_each_other_and_nobody_else(tmp_path: Path) -> None:
    with namespace_pair(2, 1) as ([giver, neighbour], [taker]), namespace(1) as [stranger]:
        serving = Program([sys.executable, "-c", SERVE, giver.address], giver, tmp_path / "log")
        try:
            serving.until_listening(6881)
            assert dials(neighbour, giver.address)
            assert dials(taker, giver.address)
            assert not dials(stranger, giver.address)
            assert not dials(taker, "192.0.2.1")
        finally:
            serving.stop()
