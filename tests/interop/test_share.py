"""`bittwist share` on one host; the line it prints, on another."""

import re
import shlex
from pathlib import Path

import pytest

from tests.interop.clients import COMMAND, STARTED
from tests.interop.content import differences, many_files, single_file
from tests.interop.hosts import Program, namespace_pair

INTERRUPTED = 130  # the exit code after a signal (docs/exit-codes.md)

pytestmark = pytest.mark.needs("nsenter", "unshare", "ip", "root")


@pytest.mark.parametrize("kind", [single_file, many_files])
def test_the_printed_line_fetches_what_is_shared(kind: type, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    content = kind(source)
    with namespace_pair(1, 1) as ([giver], [taker]):
        command = [*COMMAND, "share", content, "--address", giver.address]
        sharing = Program(command, giver, tmp_path / "share.log")
        try:
            sharing.until(
                lambda: "bittwist download http" in sharing.output, STARTED, "the line to run elsewhere"
            )
            found = re.search(r"bittwist (download http.*)", sharing.output)
            assert found is not None
            assert re.search(r"magnet:\?xt=urn:btih:[0-9a-f]{40}", sharing.output)
            words = shlex.split(found[1])
            fetching = Program([*COMMAND, *words, "-o", target], taker, tmp_path / "download.log")
            try:
                assert fetching.wait(STARTED) == 0, fetching.output
            finally:
                fetching.stop()
            assert differences(content, target / content.name) == []
        finally:
            assert sharing.stop() in (0, INTERRUPTED), sharing.output
