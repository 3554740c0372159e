"""The admin port over HTTP, as a Klein resource; tracker.admin has the table of its routes.

Importing this imports klein, which installs a reactor: only `Admin.resource()` does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Coroutine
from functools import update_wrapper
from os import SEEK_END
from typing import TYPE_CHECKING, Any, BinaryIO, Concatenate, ParamSpec
from urllib.parse import quote_from_bytes, unquote

from klein import Klein
from klein.resource import KleinResource
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import Request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from bittwist.tracker.admin import MAX_BODY, MAX_UPLOAD, Admin, client_of, credentials
from bittwist.tracker.api import PAGE, Refused, TorrentsApi, UsersApi, fields, refusal
from bittwist.tracker.gate import BASIC, BEARER, Verdict
from bittwist.tracker.page import render
from bittwist.tracker.records import MAX_PAGE
from bittwist.tracker.status import DEGRADED, Gauges, Json, as_json
from bittwist.tracker.stylesheet import STYLESHEET
from bittwist.tracker.watch import StoreAway

if TYPE_CHECKING:
    from klein._app import KleinRenderable

    from bittwist.tracker.metrics import Exposition

METHODS = (b"GET", b"HEAD", b"POST", b"DELETE")
JSON = b"application/json"
TORRENT = b"application/x-bittorrent"
HEADERS = {
    # Nothing but our own stylesheet is loaded, nothing is sent anywhere, and nobody frames the page.
    b"content-security-policy": b"default-src 'none'; style-src 'self'; base-uri 'none'; "
    b"form-action 'none'; frame-ancestors 'none'",
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
    b"cache-control": b"no-store",
}

_P = ParamSpec("_P")
_log = Logger()


class AdminResource(KleinResource):
    """The root of the admin port. Whoever may not ask is turned away before any route is looked for."""

    def __init__(self, admin: Admin) -> None:
        super().__init__(_Routes(admin).app)
        self._admin = admin

    def render(self, request: Request) -> KleinRenderable:  # type: ignore[override]  # what a Site makes
        for name, value in HEADERS.items():
            request.setHeader(name, value)
        try:
            self._admit(request)
        except Refused as refused:
            return _failed(request, refused)
        # Klein builds URLs from the Host header and fails on odd ones. We send nobody to any URL.
        request.requestHeaders.setRawHeaders(b"host", [b"tracker"])
        if request.method not in METHODS:
            request.method = b"OTHER"  # Klein reads it as UTF-8, which it need not be
        # So that a name with a slash in it is one segment, and any bytes are text; `_text` undoes it.
        segments = request.postpath or [b""]
        request.postpath = [quote_from_bytes(segment, safe="").encode() for segment in segments]
        return super().render(request)

    def _admit(self, request: Request) -> None:
        """Refused for who must not ask, or asks with too much."""
        gate = self._admin.gate
        hosts = request.requestHeaders.getRawHeaders(b"host") or []
        if not gate.knows(hosts):
            raise Refused(421, "this tracker is not known by that name; see allowed_hosts")
        if not gate.same_origin(request.requestHeaders.getRawHeaders(b"origin") or [], hosts[0]):
            raise Refused(403, "a page of another site asks")
        path = [segment for segment in request.postpath or () if segment]
        if path[:1] == [b"api"]:
            if not gate.has_token:
                raise Refused(404, "not here")
            self._check_token(request, BEARER)
        elif self._admin.settings.token_for_pages and path != [b"health"]:
            self._check_token(request, BEARER, BASIC)
        most = MAX_UPLOAD if _content_type(request) == TORRENT and path == [b"api", b"torrents"] else MAX_BODY
        if _content(request).seek(0, SEEK_END) > most:
            raise Refused(413, f"more than {most} bytes")

    def _check_token(self, request: Request, *schemes: bytes) -> None:
        client, gate = client_of(request), self._admin.gate
        match gate.judge(client, credentials(request), schemes):
            case Verdict.RIGHT:
                return
            case Verdict.TOO_MANY:
                request.setHeader(b"retry-after", b"%d" % (gate.wait(client) + 1))
                raise Refused(429, "too many wrong tokens from your address")
            case _:
                for scheme in schemes:
                    realm = b'%b realm="tracker"' % scheme.title()
                    request.responseHeaders.addRawHeader(b"www-authenticate", realm)
                raise Refused(401, "this needs the tracker's token")


def _answers(
    answer: Callable[Concatenate[_Routes, Request, _P], Coroutine[Deferred[Any], Any, bytes]],
) -> Callable[Concatenate[_Routes, Request, _P], Deferred[bytes]]:
    """A route whose errors become JSON, and which is carried through though its client has gone."""

    def answered(routes: _Routes, request: Request, *args: _P.args, **kwargs: _P.kwargs) -> Deferred[bytes]:
        waiting: Deferred[bytes] = Deferred()
        work = Deferred.fromCoroutine(answer(routes, request, *args, **kwargs))
        work.addErrback(lambda failure: _failed(request, _refused(failure))).chainDeferred(waiting)
        return waiting

    return update_wrapper(answered, answer)  # type: ignore[return-value]  # it is the same function, named


class _Routes:
    """The ways in, and what each answers."""

    app = Klein()
    app.url_map.merge_slashes = False  # else // is answered with a redirect
    app.url_map.strict_slashes = False  # and so would a missing or a spare / at the end be

    def __init__(self, admin: Admin) -> None:
        self._admin = admin
        self._torrents = TorrentsApi(admin.torrents, admin) if admin.torrents is not None else None
        self._users = UsersApi(admin.users) if admin.users is not None else None
        self._gauges = Gauges(running=False, totals=None, uptime=0.0)
        self._exposition = self._prometheus()

    @app.route("/", methods=["GET"])
    @_answers
    async def page(self, request: Request) -> bytes:
        status = await self._admin.status()
        return _reply(
            request, await render(status, self._admin.settings.page_refresh), b"text/html; charset=utf-8"
        )

    @app.route("/status.css", methods=["GET"])
    @_answers
    async def stylesheet(self, request: Request) -> bytes:
        request.setHeader(b"cache-control", b"max-age=3600")
        return _reply(request, STYLESHEET, b"text/css")

    @app.route("/stats.json", methods=["GET"])
    @_answers
    async def stats(self, request: Request) -> bytes:
        return _json(request, as_json(await self._admin.status()))

    @app.route("/metrics", methods=["GET"])
    @_answers
    async def metrics(self, request: Request) -> bytes:
        admin = self._admin
        if self._exposition is None:
            raise Refused(501, "needs prometheus_client, which pip installs with bittwist[metrics]")
        try:
            totals = await admin.totals()
        except StoreAway:
            totals = None
        self._gauges = Gauges(admin.takes_announces, totals, admin.uptime, admin.worker)
        text, content_type = self._exposition.render(request.getHeader("accept") or "")
        return _reply(request, text, content_type.encode())

    @app.route("/health", methods=["GET"])
    @_answers
    async def health(self, request: Request) -> bytes:
        if not self._admin.takes_announces:
            raise Refused(503, "the tracker does not run")
        try:
            await self._admin.totals()
        except StoreAway:
            if not self._admin.answers_alone:
                raise
            return _json(request, {"healthy": True, "degraded": DEGRADED})
        return _json(request, {"healthy": True})

    @app.route("/api/torrents", methods=["GET"])
    @_answers
    async def torrents(self, request: Request) -> bytes:
        return _json(request, await self._torrents_api.list(*_range(request)))

    @app.route("/api/torrents", methods=["POST"])
    @_answers
    async def add_torrent(self, request: Request) -> bytes:
        if _content_type(request) == TORRENT:
            return _json(request, await self._torrents_api.upload(_body(request)), 201)
        return _json(request, await self._torrents_api.add(_json_body(request)), 201)

    @app.route("/api/torrents/<name>", methods=["GET"])
    @_answers
    async def torrent(self, request: Request, name: str) -> bytes:
        return _json(request, await self._torrents_api.get(_text(name)))

    @app.route("/api/torrents/<name>", methods=["DELETE"])
    @_answers
    async def remove_torrent(self, request: Request, name: str) -> bytes:
        return _json(request, await self._torrents_api.remove(_text(name)))

    @app.route("/api/torrents/<name>/block", methods=["POST"])
    @_answers
    async def block_torrent(self, request: Request, name: str) -> bytes:
        _no_fields(request)
        return _json(request, await self._torrents_api.block(_text(name)))

    @app.route("/api/torrents/<name>/unblock", methods=["POST"])
    @_answers
    async def unblock_torrent(self, request: Request, name: str) -> bytes:
        _no_fields(request)
        return _json(request, await self._torrents_api.unblock(_text(name)))

    @app.route("/api/users", methods=["GET"])
    @_answers
    async def users(self, request: Request) -> bytes:
        return _json(request, await self._users_api.list(*_range(request)))

    @app.route("/api/users", methods=["POST"])
    @_answers
    async def add_user(self, request: Request) -> bytes:
        return _json(request, await self._users_api.add(_json_body(request)), 201)

    @app.route("/api/users/<name>", methods=["GET"])
    @_answers
    async def user(self, request: Request, name: str) -> bytes:
        return _json(request, await self._users_api.get(_text(name)))

    @app.route("/api/users/<name>", methods=["DELETE"])
    @_answers
    async def remove_user(self, request: Request, name: str) -> bytes:
        return _json(request, await self._users_api.remove(_text(name)))

    @app.route("/api/users/<name>/block", methods=["POST"])
    @_answers
    async def block_user(self, request: Request, name: str) -> bytes:
        _no_fields(request)
        return _json(request, await self._users_api.block(_text(name)))

    @app.route("/api/users/<name>/unblock", methods=["POST"])
    @_answers
    async def unblock_user(self, request: Request, name: str) -> bytes:
        _no_fields(request)
        return _json(request, await self._users_api.unblock(_text(name)))

    @app.route("/api/users/<name>/passkey", methods=["POST"])
    @_answers
    async def renew_passkey(self, request: Request, name: str) -> bytes:
        _no_fields(request)
        return _json(request, await self._users_api.renew(_text(name)))

    @app.handle_errors(HTTPException)  # type: ignore[arg-type]  # what a Site makes
    def unrouted(self, request: Request, failure: Failure) -> bytes:
        """There is no such route, or it does not take this method."""
        error = failure.value
        if isinstance(error, MethodNotAllowed):
            allowed = ", ".join(sorted(error.valid_methods or ()))
            request.setHeader(b"allow", allowed.encode())
            return _failed(request, Refused(405, f"the methods here are {allowed}"))
        return _failed(request, Refused(404, "not here"))

    def _prometheus(self) -> Exposition | None:
        try:
            from bittwist.tracker.metrics import Exposition, TrackerCollector
        except ImportError:
            return None  # it is an extra: all but /metrics does without
        return Exposition(TrackerCollector(self._admin.statistics, lambda: self._gauges))

    @property
    def _torrents_api(self) -> TorrentsApi:
        if self._torrents is None:
            raise Refused(404, "this tracker keeps no list of torrents: torrents in [access] names none")
        return self._torrents

    @property
    def _users_api(self) -> UsersApi:
        if self._users is None:
            raise Refused(404, "this tracker keeps no list of users: users in [access] names none")
        return self._users


def _refused(failure: Failure) -> Refused:
    """What the client is told of an error: ours is logged, and its text stays here."""
    if failure.check(StoreAway):
        return Refused(503, failure.getErrorMessage())
    told = refusal(failure.value) if failure.value is not None else None
    if told is None or (told.status >= 500 and told is not failure.value):
        _log.failure("the admin port could not answer", failure)
    return told or Refused(500, "the tracker had an error of its own; its log says which")


def _failed(request: Request, refused: Refused) -> bytes:
    return _json(request, {"error": refused.reason}, refused.status)


def _json(request: Request, value: Json, status: int = 200) -> bytes:
    return _reply(request, json.dumps(value).encode() + b"\n", JSON, status)


def _reply(request: Request, body: bytes, content_type: bytes, status: int = 200) -> bytes:
    request.setResponseCode(status)
    request.setHeader(b"content-type", content_type)
    request.setHeader(b"content-length", b"%d" % len(body))
    return body


def _content_type(request: Request) -> bytes:
    stated = request.requestHeaders.getRawHeaders(b"content-type") or [b""]
    return stated[-1].partition(b";")[0].strip().lower()


def _body(request: Request) -> bytes:
    content = _content(request)
    content.seek(0)
    return content.read()


def _content(request: Request) -> BinaryIO:
    assert request.content is not None  # there is one before a resource is asked
    content: BinaryIO = request.content
    return content


def _json_body(request: Request) -> bytes:
    """A form in a page cannot send this type: 415 for any other."""
    if _content_type(request) != JSON:
        raise Refused(415, "the content type must be application/json")
    return _body(request)


def _no_fields(request: Request) -> None:
    fields(_json_body(request), {})


def _range(request: Request) -> tuple[str | None, int]:
    """`after` and `count` of the query."""
    after = request.args.get(b"after", [None])[0]
    count = request.args.get(b"count", [b"%d" % PAGE])[0]
    if not re.fullmatch(rb"[0-9]{1,4}", count) or not 1 <= int(count) <= MAX_PAGE:
        raise Refused(400, f"count: must be 1 to {MAX_PAGE}")
    try:
        return after.decode() if after is not None else None, int(count)
    except UnicodeDecodeError:
        raise Refused(400, "after: is not UTF-8") from None


def _text(segment: str) -> str:
    """What a segment of the path says."""
    try:
        return unquote(segment, errors="strict")
    except UnicodeDecodeError:
        raise Refused(400, "the path is not UTF-8") from None
