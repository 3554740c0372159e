"""webtorrent for Node as a client, and where npm's programs are."""

from __future__ import annotations

from pathlib import Path

from tests.interop.clients import Source, Talking
from tests.interop.partners import NPM


class Webtorrent(Talking):
    """Without WebRTC, so that it has peers of TCP only. It cannot bind to an address."""

    name = "webtorrent"
    needs = ("node", "webtorrent")

    def command(self, role: str, torrent: Source, folder: Path) -> list[str | Path]:
        return ["node", NPM / "peer.mjs", torrent, folder]
