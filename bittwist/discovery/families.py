"""A tracker asked over IPv4 and over IPv6, so that it knows us, and tells us of peers, in both (BEP 7)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from bittwist.address import Address
from bittwist.announce.values import AnnounceRequest, AnnounceResponse, ScrapeEntry
from bittwist.discovery.interfaces import TrackerClient
from bittwist.errors import FetchError, NetworkError, TrackerFailure

FAMILIES = (4, 6)
GRACE = 2.0  # seconds that an answer waits for the one over the other family
PAUSES = 7  # announces that pass over a family by which the tracker could not be reached

Asked = Deferred[AnnounceResponse]


class BothFamilies:
    """A TrackerClient. The first answer counts; the peers of the other one, too, if need be next time."""

    def __init__(
        self,
        clock: IReactorTime,
        client: Callable[[int | None], TrackerClient],
        running: dict[Asked, None],
    ) -> None:
        """`client` makes one that is confined to a family, or to none; what is under way is in `running`."""
        self._clock = clock
        self._running = running
        self._any = client(None)
        self._clients = {family: client(family) for family in FAMILIES}
        self._pauses = dict.fromkeys(FAMILIES, 0)
        self._late: tuple[Address, ...] = ()

    def announce(self, request: AnnounceRequest) -> Asked:
        """Announce; errors are those of TrackerClient. Cancelling ends it over both."""
        families = [family for family in FAMILIES if not self._pauses[family]] or FAMILIES
        self._pauses = {family: max(0, left - 1) for family, left in self._pauses.items()}
        return _Announce(self._clock, self, families, request).told

    def scrape(self, info_hashes: Sequence[bytes]) -> Deferred[dict[bytes, ScrapeEntry]]:
        """The swarms' sizes, over whichever family."""
        return self._any.scrape(info_hashes)

    # For an announce

    def ask(self, family: int, request: AnnounceRequest) -> Asked:
        asked = self._clients[family].announce(request)
        if not asked.called:
            self._running[asked] = None
        return asked

    def ended(self, asked: Asked) -> None:
        self._running.pop(asked, None)

    def failed(self, family: int, failure: Failure) -> None:
        answered = isinstance(failure.value, FetchError) and failure.value.status is not None
        if failure.check(NetworkError) and not answered:
            self._pauses[family] = PAUSES

    def came_late(self, response: AnnounceResponse) -> None:
        self._late = response.peers

    def merged(self, first: AnnounceResponse, others: Sequence[AnnounceResponse]) -> AnnounceResponse:
        """The first, with everybody's peers; of the others' no ids are kept."""
        late, self._late = self._late, ()
        told = frozenset(first.peers)
        more = [peer for other in others for peer in other.peers]
        more = [peer for peer in dict.fromkeys([*more, *late]) if peer not in told]
        ids = first.peer_ids and (*first.peer_ids, *(b"" for _ in more))
        return replace(first, peers=(*first.peers, *more), peer_ids=ids)


class _Announce:
    """One announce over some families; `told` is what comes of it."""

    def __init__(
        self, clock: IReactorTime, tracker: BothFamilies, families: Sequence[int], request: AnnounceRequest
    ) -> None:
        self.told: Asked = Deferred(lambda _: self._give_up())
        self._clock = clock
        self._tracker = tracker
        self._left = len(families)
        self._answers: list[AnnounceResponse] = []
        self._failures: list[Failure] = []
        self._waiting: IDelayedCall | None = None
        self._given_up = False  # what fails then says nothing of its family
        self._asked = [tracker.ask(family, request) for family in families]
        for family, asked in zip(families, self._asked):
            asked.addBoth(self._ended, asked)
            asked.addCallbacks(self._answered, self._failed, errbackArgs=(family,))

    def _ended(self, result: AnnounceResponse | Failure, asked: Asked) -> AnnounceResponse | Failure:
        self._left -= 1
        self._tracker.ended(asked)
        return result

    def _answered(self, response: AnnounceResponse) -> None:
        if self.told.called:
            self._tracker.came_late(response)
            return
        self._answers.append(response)
        if not self._left:
            self._tell()
        elif self._waiting is None:
            self._waiting = self._clock.callLater(GRACE, self._tell)

    def _failed(self, failure: Failure, family: int) -> None:
        if not self._given_up:
            self._tracker.failed(family, failure)
        if self.told.called:
            return
        self._failures.append(failure)
        if not self._left:
            self._tell()

    def _tell(self) -> None:
        if self._waiting is not None and self._waiting.active():
            self._waiting.cancel()
        if self._answers:
            self.told.callback(self._tracker.merged(self._answers[0], self._answers[1:]))
        else:
            refusals = [failure for failure in self._failures if failure.check(TrackerFailure)]
            self.told.errback((refusals or self._failures)[0])

    def _give_up(self) -> None:
        self._given_up = True
        if self._waiting is not None and self._waiting.active():
            self._waiting.cancel()
        for asked in self._asked:
            asked.cancel()
