"""The admin port: a status page, figures, health, and a JSON API.

| method, path                          | |
|---|---|
| GET /                                 | the status page |
| GET /status.css                       | how that looks |
| GET /stats.json                       | the same figures as JSON |
| GET /metrics                          | the same for Prometheus (tracker.metrics lists them) |
| GET /health                           | 200; 503 while the tracker does not run, or not without its store |
|                                       | that is away (else 200, and `degraded` says what is wrong) |
| GET /api/torrents?after=HASH&count=N  | torrents registered or blocked, by info hash |
| POST /api/torrents                    | register: a .torrent (application/x-bittorrent), or JSON with |
|                                       | info_hash, and if wanted info_hash_v2, name, size |
| GET, DELETE /api/torrents/HASH        | one of them; forget it, and drop its swarm |
| POST /api/torrents/HASH/block         | serve it no more, registered or not, and drop its swarm |
| POST /api/torrents/HASH/unblock       | serve it again |
| GET /api/users?after=NAME&count=N     | users, by name |
| POST /api/users                       | JSON with name, and if wanted passkey; answered with the passkey |
| GET, DELETE /api/users/NAME           | one of them; forget it and its totals |
| POST /api/users/NAME/block, /unblock  | refuse its passkey; take it again |
| POST /api/users/NAME/passkey          | another passkey in place of the one until now |

Where a list goes on, its `next` is the `after` to go on with. Errors are JSON, {"error": reason}. The API
needs "Authorization: Bearer TOKEN"; where no token is set there is no API. What a POST says is
"application/json". HEAD is answered like GET, any other method with 405. A request under a name that is
neither an address nor localhost nor in `allowed_hosts` is answered with 421, one from another site's page
with 403 (tracker.gate).

Behind `--workers N` each process has an admin port of its own (tracker.admin_places), since each counts its
own announces; what the API changes in one is known to the others when they next look at the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.web.server import Request

from bittwist import __version__
from bittwist.announce.values import ScrapeEntry
from bittwist.net.channel import TOO_LARGE
from bittwist.net.site import SiteFront, SiteSettings, host_of
from bittwist.tracker.admin_settings import AdminSettings
from bittwist.tracker.api import Torrents, UserList
from bittwist.tracker.everybody import Everybody
from bittwist.tracker.gate import Gate, Verdict
from bittwist.tracker.interfaces import ISwarmStore, Totals
from bittwist.tracker.rates import SAMPLE_EVERY, Rates
from bittwist.tracker.statistics import Statistics
from bittwist.tracker.status import CLIENTS, LargeSwarm, Status, counts, events, families, front_status
from bittwist.tracker.tracker import Tracker
from bittwist.tracker.watch import MayBeAway, Question, StoreAway

if TYPE_CHECKING:
    from bittwist.tracker.admin_resource import AdminResource

__all__ = ["Admin", "AdminSettings"]

MAX_BODY = 64 << 10  # bytes of a request's body
MAX_UPLOAD = 16 << 20  # of a .torrent, once the token was right
UPLOAD_DEADLINE = 30.0  # seconds for the whole of it
LOCAL = "local"  # in place of an address, for whoever comes over a UNIX socket
TOTALS_KEPT = 1.0  # seconds for which an answer of the store is given to whoever asks
LARGEST_KEPT = 10.0  # the memory store goes through all swarms for it


class Admin(Service):
    """What is watched and changed of a tracker, as a service: while it runs it keeps rates.

    Without `torrents` or `users` (tracker.registry, tracker.users) there is no API for them.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        tracker: Tracker,
        settings: AdminSettings | None = None,
        *,
        torrents: Torrents | None = None,
        users: UserList | None = None,
        worker: int = 0,
    ) -> None:
        self.torrents = torrents
        self.users = users
        self.worker = worker
        self._reactor = reactor
        self._tracker = tracker
        self._rates = Rates()
        self._began = reactor.seconds()
        self._next_sample: IDelayedCall | None = None
        self._everybody = Everybody(tracker.store, tracker.browsers)
        self._totals = Question(reactor, self._everybody.totals, TOTALS_KEPT)
        self._largest = Question(
            reactor, lambda: self._everybody.largest(self.settings.largest), LARGEST_KEPT
        )
        self.apply(settings or AdminSettings())

    def apply(self, settings: AdminSettings) -> None:
        """From now on, these settings; the token's file is read now. ConfigError where that fails."""
        self.gate = Gate(self._reactor.seconds, settings.secret(), settings.allowed_hosts)
        self.settings = settings

    @property
    def store(self) -> ISwarmStore:
        return self._tracker.store

    async def sizes(self, info_hashes: Sequence[bytes]) -> dict[bytes, ScrapeEntry]:
        """The size of each of these swarms, browsers counted in."""
        return await self._everybody.sizes(info_hashes)

    def forget(self, info_hash: bytes) -> Deferred[None] | None:
        """Drop a swarm."""
        return self._tracker.forget(info_hash)

    def swarm(self, info_hash: bytes) -> bytes:
        """The hash that the peers of this one are kept under."""
        return self._tracker.swarm(info_hash)

    @property
    def statistics(self) -> Statistics:
        return self._tracker.statistics

    @property
    def uptime(self) -> float:
        """Seconds since it was started."""
        return self._reactor.seconds() - self._began

    @property
    def takes_announces(self) -> bool:
        """Whether the tracker runs."""
        return bool(self._tracker.running)

    def resource(self) -> AdminResource:
        """The admin port's root resource."""
        from bittwist.tracker.admin_resource import AdminResource  # imports klein, which installs a reactor

        return AdminResource(self)

    def site(self, settings: SiteSettings | None = None) -> SiteFront:
        """A factory to listen with. Bodies have the admin port's own bounds, not those of `settings`."""
        return AdminSite(self._reactor, self, settings or SiteSettings())

    @property
    def answers_alone(self) -> bool:
        """Whether announces are answered while the store does not answer."""
        return isinstance(self.store, MayBeAway) and self.store.answers_alone

    async def totals(self) -> Totals:
        """How much store and browsers hold; StoreAway where the store does not say."""
        if isinstance(self.store, MayBeAway) and not self.store.here:
            raise StoreAway
        return await self._totals.answer()

    async def status(self) -> Status:
        """How the tracker is doing."""
        try:
            totals = await self.totals()
        except StoreAway:
            totals = None
        statistics, rates = self.statistics, self._rates
        return Status(
            version=__version__,
            worker=self.worker,
            uptime=self.uptime,
            running=self.takes_announces,
            totals=totals,
            answers_alone=self.answers_alone,
            announces_per_second=rates.per_second("announces"),
            scrapes_per_second=rates.per_second("scrapes"),
            history=rates.history("announces"),
            fronts=front_status(statistics, rates),
            families=families(statistics),
            events=events(statistics),
            clients=tuple(statistics.clients(CLIENTS)),
            datagrams=statistics.datagrams,
            largest=await self._large_swarms() if totals is not None else (),
        )

    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call]  # untyped in Twisted
        self._began = self._reactor.seconds()
        self._sample()

    def stopService(self) -> None:
        super().stopService()  # type: ignore[no-untyped-call]  # untyped in Twisted
        if self._next_sample is not None:
            self._next_sample.cancel()
            self._next_sample = None

    def _sample(self) -> None:
        self._next_sample = self._reactor.callLater(SAMPLE_EVERY, self._sample)
        self._rates.sample(counts(self.statistics), now=self._reactor.seconds())

    async def _large_swarms(self) -> tuple[LargeSwarm, ...]:
        if not self.settings.largest:
            return ()
        try:
            swarms = await self._largest.answer()
        except StoreAway:
            return ()
        return tuple(LargeSwarm(info_hash, self._name(info_hash), size) for info_hash, size in swarms)

    def _name(self, info_hash: bytes) -> str | None:
        """What the torrent of this swarm is called, by whichever of its hashes it is registered."""
        if self.torrents is None:
            return None
        found = map(self.torrents.get, self._tracker.hybrids.names(info_hash))
        return next((torrent.name for torrent in found if torrent is not None and torrent.name), None)


class AdminSite(SiteFront):
    """Listens for the admin port. A long body is taken from who has the token, and from nobody else."""

    def __init__(self, reactor: IReactorTime, admin: Admin, settings: SiteSettings) -> None:
        deadline = max(settings.body_deadline, UPLOAD_DEADLINE)
        bounded = replace(settings, max_body=MAX_BODY, body_deadline=deadline)
        super().__init__(reactor, admin.resource(), bounded)
        self._admin = admin

    def refusal(self, request: Request, method: bytes, target: bytes, length: int | None) -> bytes | None:
        """Judged by the head, before any of the body is kept."""
        if length is None or length <= MAX_BODY:
            return None
        path, _, _ = target.partition(b"?")
        gate = self._admin.gate
        if length > MAX_UPLOAD or method != b"POST" or path != b"/api/torrents" or not gate.has_token:
            return TOO_LARGE
        # The request does not know yet who sent it.
        forwarded = request.requestHeaders.getRawHeaders(self.proxy_header) or []
        client = self.client(request.channel.getPeer(), forwarded)
        verdict = gate.judge(host_of(client) or LOCAL, credentials(request))
        return None if verdict is Verdict.RIGHT else b"401 Unauthorized"


def client_of(request: Request) -> str:
    """Who asks: an address, or LOCAL."""
    return host_of(request.getClientAddress()) or LOCAL


def credentials(request: Request) -> Sequence[bytes]:
    """The request's Authorization headers."""
    return request.requestHeaders.getRawHeaders(b"authorization") or []
