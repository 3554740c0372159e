"""The tracker over HTTP, as a Klein resource (BEP 3, 48).

Importing this imports klein, which installs a reactor: only `Tracker.resource()` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from klein import Klein
from klein.resource import KleinResource
from twisted.internet.defer import Deferred
from twisted.web.iweb import IRequest

from bittwist.net.site import host_of
from bittwist.tracker.http import Answers
from bittwist.tracker.tracked import Tracked

if TYPE_CHECKING:
    from klein._app import KleinRenderable

_TOLD = (b"", b"announce", b"scrape")  # parts of a path that are no passkey


class TrackerResource(KleinResource):
    """Mounted as a Site's root it answers /announce and /scrape; mounted as "announce" or "scrape", that.

    A passkey may stand before or behind the word.
    """

    def __init__(self, tracker: Tracked) -> None:
        super().__init__(_Routes(Answers(tracker)).app)

    def render(self, request: IRequest) -> KleinRenderable:
        """What Klein would log a traceback for is refused here: to a public tracker it is daily bread."""
        # Who logs requests logs their paths: a passkey is nobody else's affair.
        request.path = b"/".join([word if word in _TOLD else b"-" for word in request.path.split(b"/")])
        # Who reads announces reads neither; and they cost as much as the rest of the answer.
        for header in (b"server", b"date"):
            request.responseHeaders.removeHeader(header)
        if request.method not in (b"GET", b"HEAD"):
            request.setHeader(b"allow", b"GET, HEAD")
            return _plain(request, 405, b"GET only\n")
        try:
            b"/".join([*request.prepath, *request.postpath]).decode()
        except UnicodeDecodeError:
            return _plain(request, 404, b"not here\n")
        if not request.postpath:
            request.postpath = [b""]  # mounted by name: without this Klein redirects to name/
        # Klein builds URLs from the Host header and fails on odd ones. We send nobody to any URL.
        request.requestHeaders.setRawHeaders(b"host", [b"tracker"])
        return super().render(request)


class _Routes:
    """The ways in: the two words, each with a passkey before or behind it, and the place of a mount."""

    app = Klein()
    app.url_map.merge_slashes = False  # else // is answered with a redirect

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    @app.route("/announce")
    @app.route("/announce/<passkey>")
    @app.route("/<passkey>/announce")
    def announce(self, request: IRequest, passkey: str | None = None) -> bytes | Deferred[bytes]:
        return _plain_later(
            request, self._answers.announce(_query(request), host_of(request.getClientAddress()), passkey)
        )

    @app.route("/scrape")
    @app.route("/scrape/<passkey>")
    @app.route("/<passkey>/scrape")
    def scrape(self, request: IRequest, passkey: str | None = None) -> bytes | Deferred[bytes]:
        return _plain_later(
            request, self._answers.scrape(_query(request), host_of(request.getClientAddress()), passkey)
        )

    @app.route("/")
    def mounted(self, request: IRequest) -> bytes | Deferred[bytes]:
        return self._mounted(request, request.prepath, None)

    @app.route("/<passkey>")
    def mounted_before_passkey(self, request: IRequest, passkey: str) -> bytes | Deferred[bytes]:
        return self._mounted(request, request.prepath[:-1], passkey)

    def _mounted(
        self, request: IRequest, mount: Sequence[bytes], passkey: str | None
    ) -> bytes | Deferred[bytes]:
        match [segment for segment in mount if segment]:
            case [*_, b"announce"]:
                return self.announce(request, passkey)
            case [*_, b"scrape"]:
                return self.scrape(request, passkey)
            case _:
                return _plain(request, 404, b"A BitTorrent tracker: see /announce.\n")


def _query(request: IRequest) -> bytes:
    _, _, query = request.uri.partition(b"?")
    return bytes(query)


def _plain_later(request: IRequest, body: bytes | Deferred[bytes]) -> bytes | Deferred[bytes]:
    # 200 for refusals too: clients read reasons in good replies only.
    if isinstance(body, Deferred):
        return body.addCallback(lambda later: _plain(request, 200, later))
    return _plain(request, 200, body)


def _plain(request: IRequest, status: int, body: bytes) -> bytes:
    # With the length, Klein's write is not chunked: some clients' HTTP is older than chunks.
    request.setResponseCode(status)
    request.setHeader(b"content-type", b"text/plain")
    request.setHeader(b"content-length", str(len(body)).encode())
    return body
