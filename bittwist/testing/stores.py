"""What every store of swarms promises (tracker.interfaces.ISwarmStore), as checks to run against yours.

Each check is a coroutine function of `Make`, which gives a new store without peers. In a SynchronousTestCase,
for stores that answer at once or once their fakes are asked, inherit the tests:

    class MyStoreTests(SwarmStoreContract, SynchronousTestCase):
        def make_store(self, settings: TrackerSettings) -> ISwarmStore: ...

With a real reactor (pytest-twisted), run the checks:

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    async def test_contract(check: Check) -> None:
        await check(make_store)

Time does not pass in them. They fail with AssertionError.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeAlias, TypeVar

from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from bittwist.address import Address
from bittwist.announce.values import AnnounceRequest, Event, ScrapeEntry
from bittwist.metainfo.compact import unpack
from bittwist.tracker.interfaces import ISwarmStore, SwarmAnswer
from bittwist.tracker.settings import TrackerSettings

Make: TypeAlias = Callable[[TrackerSettings], ISwarmStore]
Check: TypeAlias = Callable[[Make], Coroutine[Any, Any, None]]

HASH = b"h" * 20
ROUNDS = 1500  # announces from which the likelihood of each peer is judged
# Of chi squared with 39 degrees of freedom: above it once in 10,000 runs.
UNLIKELY = 81.0

_T = TypeVar("_T")


def asked(host: str, port: int = 6881, **fields: Any) -> AnnounceRequest:
    """A leech's announce from that address, with an id of its own."""
    address = Address(host, port)
    peer_id = address.packed.rjust(20, b"-")
    request = AnnounceRequest(HASH, peer_id, port, left=1, numwant=50, address=address)
    return replace(request, **fields)


def told(answer: SwarmAnswer) -> list[str]:
    """The peers in an answer, sorted."""
    return sorted(str(peer) for peer in (*unpack(answer.peers4, 6), *unpack(answer.peers6, 18)))


async def announced(store: ISwarmStore, *requests: AnnounceRequest) -> SwarmAnswer:
    """The answer to the last of these."""
    answer = SwarmAnswer()
    for request in requests:
        answer = await _soon(store.announce(request))
    return answer


async def scraped(store: ISwarmStore, *info_hashes: bytes) -> dict[bytes, ScrapeEntry]:
    return await _soon(store.scrape(info_hashes))


async def it_is_a_store(make: Make) -> None:
    verifyObject(ISwarmStore, make(TrackerSettings()))


async def the_first_peer_is_told_of_nobody(make: Make) -> None:
    answer = await announced(make(TrackerSettings()), asked("10.0.0.1"))
    _same(answer, SwarmAnswer(incomplete=1))


async def a_peer_is_told_of_the_others_and_never_of_itself(make: Make) -> None:
    store = make(TrackerSettings())
    answer = await announced(store, asked("10.0.0.1"), asked("10.0.0.2"), asked("10.0.0.1"))
    _same((told(answer), answer.incomplete), (["10.0.0.2:6881"], 2))


async def two_ports_of_one_address_are_two_peers(make: Make) -> None:
    answer = await announced(make(TrackerSettings()), asked("10.0.0.1", 1), asked("10.0.0.1", 2))
    _same((told(answer), answer.incomplete), (["10.0.0.1:1"], 2))


async def swarms_do_not_mix(make: Make) -> None:
    store = make(TrackerSettings())
    answer = await announced(store, asked("10.0.0.1"), asked("10.0.0.2", info_hash=b"x" * 20))
    _same((told(answer), answer.incomplete), ([], 1))


async def a_seed_is_told_of_leeches_only_and_a_leech_of_both(make: Make) -> None:
    store = make(TrackerSettings())
    seeds = asked("10.0.0.1", left=0), asked("10.0.0.2", left=0)
    answer = await announced(store, *seeds, asked("10.0.0.3"), seeds[0])
    _same((told(answer), answer.complete, answer.incomplete), (["10.0.0.3:6881"], 2, 1))
    answer = await announced(store, asked("10.0.0.3"))
    _same(told(answer), ["10.0.0.1:6881", "10.0.0.2:6881"])


async def seeds_are_told_of_seeds_where_that_is_asked_for(make: Make) -> None:
    store = make(TrackerSettings(seeds_meet_seeds=True))
    answer = await announced(store, asked("10.0.0.1", left=0), asked("10.0.0.2"), asked("10.0.0.3", left=0))
    _same(told(answer), ["10.0.0.1:6881", "10.0.0.2:6881"])
    _same((answer.complete, answer.incomplete), (2, 1))


async def a_leech_becomes_a_seed_and_a_leech_again(make: Make) -> None:
    store = make(TrackerSettings())
    for left, counts in ((1, (0, 1)), (0, (1, 0)), (5, (0, 1))):
        answer = await announced(store, asked("10.0.0.1", left=left))
        _same((answer.complete, answer.incomplete), counts)


async def partial_seeds_are_counted_apart(make: Make) -> None:
    """BEP 21: they are incomplete, and no downloaders; each announce says it anew."""
    store = make(TrackerSettings())
    paused = asked("10.0.0.1", event=Event.PAUSED)
    answer = await announced(store, asked("10.0.0.2", left=0), asked("10.0.0.3"), paused)
    _same((answer.complete, answer.incomplete), (1, 2))
    _same((await scraped(store, HASH))[HASH], ScrapeEntry(1, 0, 2, 1))
    await announced(store, asked("10.0.0.1"))
    _same((await scraped(store, HASH))[HASH], ScrapeEntry(1, 0, 2, 2))
    await announced(store, paused, replace(paused, left=0))
    _same((await scraped(store, HASH))[HASH], ScrapeEntry(2, 0, 1, 1))
    await announced(store, paused, replace(paused, event=Event.STOPPED))
    _same((await scraped(store, HASH))[HASH], ScrapeEntry(1, 0, 1, 1))


async def a_leech_is_told_of_partial_seeds(make: Make) -> None:
    store = make(TrackerSettings())
    answer = await announced(store, asked("10.0.0.1", event=Event.PAUSED), asked("10.0.0.2"))
    _same(told(answer), ["10.0.0.1:6881"])


async def who_stops_is_gone_and_told_of_nobody(make: Make) -> None:
    store = make(TrackerSettings())
    stopped = asked("10.0.0.2", event=Event.STOPPED)
    answer = await announced(store, asked("10.0.0.1"), asked("10.0.0.2"), stopped)
    _same(answer, SwarmAnswer(incomplete=1))
    _same(told(await announced(store, asked("10.0.0.1"))), [])


async def stopping_what_never_began_leaves_nothing(make: Make) -> None:
    store = make(TrackerSettings())
    _same(await announced(store, asked("10.0.0.1", event=Event.STOPPED)), SwarmAnswer())
    _nothing((await scraped(store, HASH))[HASH])


async def a_download_counts_once(make: Make) -> None:
    store = make(TrackerSettings())
    await announced(store, asked("10.0.0.1"))
    for event in (Event.COMPLETED, Event.COMPLETED, Event.NONE):
        answer = await announced(store, asked("10.0.0.1", left=0, event=event))
        _same(answer.downloaded, 1)
    answer = await announced(store, asked("10.0.0.2", left=0, event=Event.STARTED))
    _same(answer.downloaded, 1, "a peer that comes as a seed has downloaded nothing here")
    _same((await scraped(store, HASH))[HASH].downloaded, 1)


async def one_scrape_asks_about_many_and_the_unknown_are_zeros(make: Make) -> None:
    store = make(TrackerSettings())
    await announced(store, asked("10.0.0.1"), asked("10.0.0.2", left=0, info_hash=b"i" * 20))
    entries = await scraped(store, b"x" * 20, HASH, b"i" * 20)
    _same(set(entries), {b"x" * 20, HASH, b"i" * 20})
    _nothing(entries[b"x" * 20])
    _same((entries[HASH].incomplete, entries[b"i" * 20].complete), (1, 1))


async def numwant_is_honoured(make: Make) -> None:
    store = make(TrackerSettings())
    await announced(store, *(asked(f"10.0.0.{host}") for host in range(1, 31)))
    for numwant, count in ((0, 0), (1, 1), (10, 10), (20, 20), (29, 29), (50, 29)):
        peers = told(await announced(store, asked("10.0.0.1", numwant=numwant)))
        _same((len(peers), len(set(peers)), "10.0.0.1:6881" in peers), (count, count, False))


async def families_are_apart_and_the_own_one_comes_first(make: Make) -> None:
    store = make(TrackerSettings())
    for number in range(1, 4):
        await announced(store, asked(f"10.0.0.{number}"), asked(f"2001:db8::{number}"))
    answer = await announced(store, asked("2001:db8::1", numwant=3))
    _same((len(answer.peers4), len(answer.peers6)), (6, 36))
    answer = await announced(store, asked("10.0.0.1"))
    _same((len(answer.peers4), len(answer.peers6), answer.incomplete), (12, 54, 6))


async def a_peer_is_not_told_of_its_own_other_address(make: Make) -> None:
    store = make(TrackerSettings())
    mine = asked("10.0.0.1", peer_id=b"me" * 10), asked("2001:db8::1", peer_id=b"me" * 10)
    _same(told(await announced(store, *mine)), [])
    _same(told(await announced(store, asked("10.0.0.2"), *mine)), ["10.0.0.2:6881"])


async def mapped_addresses_are_ipv4(make: Make) -> None:
    answer = await announced(make(TrackerSettings()), asked("::ffff:10.0.0.1"), asked("10.0.0.2"))
    _same(told(answer), ["10.0.0.1:6881"])


async def ids_are_given_where_they_are_wanted(make: Make) -> None:
    store = make(TrackerSettings())
    await announced(store, asked("10.0.0.1", peer_id=b"a" * 20), asked("2001:db8::1", peer_id=b"b" * 20))
    wanted = await announced(store, asked("10.0.0.2", compact=False))
    _same(wanted.ids(), (b"a" * 20, b"b" * 20))
    _same((await announced(store, asked("10.0.0.2", compact=False, no_peer_id=True))).ids(), ())
    _same((await announced(store, asked("10.0.0.2"))).ids(), ())


async def each_id_stands_for_its_peer(make: Make) -> None:
    store = make(TrackerSettings())
    await announced(store, *(asked(f"10.0.0.{host}", left=host % 2) for host in range(1, 31)))
    for numwant in (5, 20, 50):
        answer = await announced(store, asked("10.0.0.1", compact=False, numwant=numwant))
        _same(answer.ids(), tuple(peer.packed.rjust(20, b"-") for peer in unpack(answer.peers4, 6)))


async def a_peer_that_comes_back_with_another_id_has_that_id(make: Make) -> None:
    store = make(TrackerSettings())
    await announced(store, asked("10.0.0.1", peer_id=b"a" * 20), asked("10.0.0.1", peer_id=b"b" * 20))
    _same((await announced(store, asked("10.0.0.2", compact=False))).ids(), (b"b" * 20,))


async def over_the_limit_an_address_loses_its_own_oldest_and_nobody_elses(make: Make) -> None:
    store = make(TrackerSettings(peers_per_address=3))
    await announced(store, asked("10.0.0.9"))
    # When port 4 comes, port 2 is the oldest.
    await announced(store, *(asked("10.0.0.1", port) for port in (1, 2, 3, 1, 4)))
    answer = await announced(store, asked("10.0.0.8"))
    _same(told(answer), ["10.0.0.1:1", "10.0.0.1:3", "10.0.0.1:4", "10.0.0.9:6881"])
    _same(answer.incomplete, 5)


async def every_other_peer_is_as_likely(make: Make) -> None:
    """Chi squared over 40 peers, seeds and leeches: no position is favoured, next to the asker or not."""
    store = make(TrackerSettings())
    await announced(store, *(asked(f"10.0.0.{host}", left=host % 3) for host in range(41)))
    numwant = 7
    found: Counter[str] = Counter()
    for _ in range(ROUNDS):
        found.update(told(await announced(store, asked("10.0.0.20", left=2, numwant=numwant))))
    expected = ROUNDS * numwant / 40
    _same((len(found), sum(found.values())), (40, ROUNDS * numwant))
    chi_squared = sum((count - expected) ** 2 / expected for count in found.values())
    assert chi_squared < UNLIKELY, f"chi squared is {chi_squared:.1f}"


async def what_is_forgotten_is_gone(make: Make) -> None:
    store = make(TrackerSettings())
    await announced(store, asked("10.0.0.1"), asked("10.0.0.1", info_hash=b"x" * 20))
    await _soon(store.forget(HASH))
    await _soon(store.forget(b"y" * 20))
    entries = await scraped(store, HASH, b"x" * 20)
    _nothing(entries[HASH])
    _same(entries[b"x" * 20].incomplete, 1)
    _same(told(await announced(store, asked("10.0.0.2"))), [])


CHECKS: Sequence[Check] = (
    it_is_a_store,
    the_first_peer_is_told_of_nobody,
    a_peer_is_told_of_the_others_and_never_of_itself,
    two_ports_of_one_address_are_two_peers,
    swarms_do_not_mix,
    a_seed_is_told_of_leeches_only_and_a_leech_of_both,
    seeds_are_told_of_seeds_where_that_is_asked_for,
    a_leech_becomes_a_seed_and_a_leech_again,
    partial_seeds_are_counted_apart,
    a_leech_is_told_of_partial_seeds,
    who_stops_is_gone_and_told_of_nobody,
    stopping_what_never_began_leaves_nothing,
    a_download_counts_once,
    one_scrape_asks_about_many_and_the_unknown_are_zeros,
    numwant_is_honoured,
    families_are_apart_and_the_own_one_comes_first,
    a_peer_is_not_told_of_its_own_other_address,
    mapped_addresses_are_ipv4,
    ids_are_given_where_they_are_wanted,
    each_id_stands_for_its_peer,
    a_peer_that_comes_back_with_another_id_has_that_id,
    over_the_limit_an_address_loses_its_own_oldest_and_nobody_elses,
    every_other_peer_is_as_likely,
    what_is_forgotten_is_gone,
)


class SwarmStoreContract:
    """The checks as tests, `test_` and the name of each; to be inherited beside a SynchronousTestCase."""

    def make_store(self, settings: TrackerSettings) -> ISwarmStore:
        """A new store without peers."""
        raise NotImplementedError


class _TestCase(Protocol):
    """What a contract and a SynchronousTestCase are together."""

    def make_store(self, settings: TrackerSettings) -> ISwarmStore: ...

    def successResultOf(self, deferred: Deferred[None]) -> None: ...


def _as_test(check: Check) -> Callable[[_TestCase], None]:
    def test(self: _TestCase) -> None:
        self.successResultOf(Deferred.fromCoroutine(check(self.make_store)))

    test.__name__ = f"test_{check.__name__}"
    test.__qualname__ = f"{SwarmStoreContract.__qualname__}.{test.__name__}"
    test.__doc__ = check.__doc__
    return test


for _check in CHECKS:
    setattr(SwarmStoreContract, f"test_{_check.__name__}", _as_test(_check))


async def _soon(answer: _T | Awaitable[_T]) -> _T:
    return await answer if isinstance(answer, Awaitable) else answer


def _same(found: object, expected: object, why: str = "") -> None:
    assert found == expected, f"{found!r} is not {expected!r} {why}"


def _nothing(entry: ScrapeEntry) -> None:
    """No peers and no downloads; whether downloaders are counted apart is open where there are none."""
    _same((entry.complete, entry.downloaded, entry.incomplete, entry.downloaders or 0), (0, 0, 0, 0))
