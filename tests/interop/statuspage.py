"""A page of a headless Chromium that looks at a tracker's status page.

A program: `python -m tests.interop.statuspage URL PICTURE` says in one line of JSON what the page asked for,
ran and said, and puts a picture of it into PICTURE.
"""

from __future__ import annotations

import json
import sys

from playwright.sync_api import Dialog, sync_playwright

from tests.interop.chromium import FLAGS
from tests.interop.partners import program

# Whether anything that a stranger wrote became an element, or ran.
LOOK = """() => ({
    text: document.body.innerText,
    scripts: document.querySelectorAll('script, img, iframe, object, embed, form, base').length,
    owned: window.owned === undefined ? null : String(window.owned),
    styled: getComputedStyle(document.querySelector('.tiles')).display,
    wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
})"""


def main(url: str, picture: str) -> None:
    dialogs: list[str] = []
    asked: list[str] = []
    said: list[str] = []

    def dismiss(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program("chromium"), args=FLAGS)
        try:
            page = browser.new_context(viewport={"width": 360, "height": 800}).new_page()
            page.on("dialog", dismiss)
            page.on("request", lambda request: asked.append(request.url.removeprefix(url)))
            page.on("console", lambda message: said.append(message.text))
            page.on("pageerror", lambda error: said.append(str(error)))
            page.goto(url)
            page.wait_for_timeout(500)  # for whatever would load or run by itself
            found = page.evaluate(LOOK)
            page.screenshot(path=picture, full_page=True)
        finally:
            browser.close()
    print(
        json.dumps({"event": "seen", "dialogs": dialogs, "asked": asked, "said": said, **found}), flush=True
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
