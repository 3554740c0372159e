"""Two pages of a headless Chromium, each with webtorrent's browser bundle: one seeds, the other downloads.

A program: `python -m tests.interop.chromium ANNOUNCE_URL FILE COPY GO` seeds FILE in one page, and once there
is a file GO writes what the other page got to COPY. It says what happens in lines of JSON.
"""

from __future__ import annotations

import json
import sys
from base64 import b64decode, b64encode
from pathlib import Path

from playwright.sync_api import BrowserContext, Page, Route, sync_playwright

from tests.interop.partners import NPM, program

BUNDLE = NPM / "node_modules" / "webtorrent" / "dist" / "webtorrent.min.js"
PATIENCE = 60_000  # milliseconds
# A page of localhost counts as secure, without which it has no crypto.subtle. Nothing listens there.
SITE = "http://localhost/"
FLAGS = [
    "--no-sandbox",  # root has none
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--allow-loopback-in-peer-connection",
    # Addresses as they are, and no question whether the page may reach this machine: its own is not known.
    "--disable-features=WebRtcHideLocalIpsWithMdns,LocalNetworkAccessChecks,LocalNetworkAccessChecksWebSockets",
]
START = """
    const { default: WebTorrent } = await import('/webtorrent.min.js')
    const client = new WebTorrent({ dht: false, tracker: { rtcConfig: { iceServers: [] } } })
    globalThis.problems = []
    for (const event of ['error', 'warning']) client.on(event, problem => problems.push(String(problem)))
    const watched = torrent => {
      torrent.on('warning', problem => problems.push(String(problem)))
      torrent.on('wire', wire => { globalThis.wire = wire.type })
      return torrent
    }
"""
SEED = (
    "async ([url, name, content]) => {"
    + START
    + """
    const bytes = Uint8Array.from(atob(content), letter => letter.charCodeAt(0))
    const torrent = await new Promise(resolve =>
      client.seed(new File([bytes], name), { announce: [url], pieceLength: 65536 }, resolve))
    watched(torrent)
    return { magnet: torrent.magnetURI, info_hash: torrent.infoHash }
}"""
)
DOWNLOAD = (
    "async ([url, magnet]) => {"
    + START
    + """
    const torrent = watched(client.add(magnet, { announce: [url] }))
    await new Promise(resolve => torrent.on('done', resolve))
    const blob = await torrent.files[0].blob()
    const content = await new Promise(resolve => {
      const reader = new FileReader()
      reader.onload = () => resolve(reader.result.split(',')[1])
      reader.readAsDataURL(blob)
    })
    return { content, wire: globalThis.wire, problems: globalThis.problems }
}"""
)


def say(**event: object) -> None:
    print(json.dumps(event), flush=True)


def open_page(context: BrowserContext) -> Page:
    def fulfill(route: Route) -> None:
        if route.request.url == SITE:
            route.fulfill(body="<!doctype html><title>a page</title>", content_type="text/html")
        elif route.request.url == SITE + BUNDLE.name:
            route.fulfill(path=BUNDLE, content_type="text/javascript")
        else:
            route.fulfill(status=404)

    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.on("console", lambda message: say(event="console", text=message.text))
    page.on("pageerror", lambda error: say(event="pageerror", text=str(error)))
    page.route(SITE + "**", fulfill)
    page.goto(SITE)
    return page


def main(url: str, source: Path, copy: Path, go: Path) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program("chromium"), args=FLAGS)
        try:
            # A context each, as two people have: they share neither storage nor connections.
            seeding, leeching = open_page(browser.new_context()), open_page(browser.new_context())
            content = b64encode(source.read_bytes()).decode()
            seeded = seeding.evaluate(SEED, [url, source.name, content])
            say(event="seeding", **seeded)
            while not go.exists():
                seeding.wait_for_timeout(100)  # its announces go on meanwhile
            got = leeching.evaluate(DOWNLOAD, [url, seeded["magnet"]])
            copy.write_bytes(b64decode(got.pop("content")))
            say(event="complete", **got)
        finally:
            browser.close()


if __name__ == "__main__":
    main(sys.argv[1], *map(Path, sys.argv[2:5]))
