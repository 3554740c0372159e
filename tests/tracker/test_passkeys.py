"""Users, their passkeys and totals: who is let in, what is counted, and what survives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bittwist.announce.values import Event
from bittwist.errors import AccessError, AlreadyThere, NotThere, StorageError
from bittwist.tracker import Arrival, Front, SwarmAnswer
from bittwist.tracker.accounts import (
    DIGEST,
    MAX_NAME,
    SESSION,
    UserChange,
    UsersSum,
    What,
    decode_change,
    encode_change,
)
from bittwist.tracker.heard import Heard
from bittwist.tracker.ledgerfile import Codec
from bittwist.tracker.limits import Rate
from bittwist.tracker.passkeys import MAX_PASSKEY, Passkeys
from bittwist.tracker.users import Users, passkey_digest
from tests.tracker.arrivals import ARRIVAL, REQUEST, announcing, scraping
from tests.tracker.ledgerlines import check_read_or_refused, check_written_and_read
from tests.tracker.machine import LatePool, Machine, complaints

MIB = 1 << 20
CODEC = Codec(encode_change, decode_change)
PASSKEY = "0123456789abcdef"


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir(parents=True)
        self.path = folder / "users"
        self.machine = Machine()
        self.users = self.restarted()

    def restarted(self, machine: Machine | None = None) -> Users:
        machine = machine or self.machine
        users = Users(machine, self.path, self.machine.wall)
        users.load()
        return users

    def add(self, name: str = "ann", users: Users | None = None) -> str:
        """A new user's passkey."""
        return self.successResultOf((users or self.users).add(name)).passkey


class UsersTests(Case):
    def test_a_new_user_is_known_by_its_passkey(self) -> None:
        made = self.successResultOf(self.users.add("ann"))
        self.assertEqual(
            (made.user.name, made.user.blocked, made.user.added_at), ("ann", False, self.machine.wall())
        )
        self.assertRegex(made.passkey, r"\A[0-9a-f]{32}\Z")
        self.assertEqual(self.users.of(made.passkey), made.user)
        self.assertIsNone(self.users.of(made.passkey[:-1]))
        self.assertNotEqual(made.passkey, self.add("bob"))

    def test_changes_survive_a_restart(self) -> None:
        keys = {name: self.add(name) for name in ("ann", "bob", "cyd")}
        self.successResultOf(self.users.block("bob"))
        self.successResultOf(self.users.remove("cyd"))
        again = self.restarted()
        self.assertEqual(again.list(), self.users.list())
        self.assertEqual([user.name for user in again.list()], ["ann", "bob"])
        found = again.of(keys["bob"])
        assert found is not None
        self.assertTrue(found.blocked)
        self.assertIsNone(again.of(keys["cyd"]))

    def test_the_file_holds_no_passkey(self) -> None:
        passkey = self.add()
        self.assertNotIn(passkey.encode(), self.path.read_bytes())
        self.assertNotIn(passkey, repr(self.users.list()))
        self.assertNotIn(passkey, repr(self.successResultOf(self.users.renew("ann"))))

    def test_a_passkey_can_be_brought_along(self) -> None:
        made = self.successResultOf(self.users.add("ann", PASSKEY))
        self.assertEqual((made.passkey, self.users.of(PASSKEY)), (PASSKEY, made.user))
        self.failureResultOf(self.users.add("bob", PASSKEY), AlreadyThere)
        for bad in ("short", "a" * 129, "with/slash/in/it", "with space in it", "ümlaute" * 4):
            self.failureResultOf(self.users.add("bob", bad), AccessError)
        self.assertEqual(len(self.users), 1)

    def test_another_passkey_takes_the_place_of_the_one_before(self) -> None:
        before = self.add()
        after = self.successResultOf(self.users.renew("ann")).passkey
        self.assertIsNone(self.users.of(before))
        self.assertIsNotNone(self.restarted().of(after))
        self.failureResultOf(self.users.renew("bob"), NotThere)

    def test_a_name_is_one_users(self) -> None:
        self.add()
        self.failureResultOf(self.users.add("ann"), AlreadyThere)
        for bad in ("", " ann", "a\nb", "\x1b[2J", "a" * (MAX_NAME + 1)):
            self.failureResultOf(self.users.add(bad), AccessError)
        self.add("Änne ✓")
        self.assertEqual([user.name for user in self.restarted().list()], ["ann", "Änne ✓"])

    def test_who_is_not_there_cannot_be_changed(self) -> None:
        for change in (self.users.block, self.users.unblock, self.users.remove):
            self.failureResultOf(change("nobody"), NotThere)
        self.assertFalse(self.path.exists())

    def test_users_are_listed_a_page_at_a_time(self) -> None:
        names = [f"user {number:03}" for number in range(25)]
        for name in reversed(names):
            self.add(name)
        found: list[str] = []
        while page := self.users.list(found[-1] if found else None, 10):
            found += [user.name for user in page]
            if len(found) == 10:
                self.add("user 009b")  # in front of what comes next
                self.successResultOf(self.users.remove("user 011"))
        names[10:12] = ["user 009b", "user 010"]
        self.assertEqual(found, names)
        self.assertEqual(self.users.list(None, -1), [])

    def test_two_processes_that_add_the_same_name_agree_on_one(self) -> None:
        pool = LatePool()
        other = self.restarted(Machine(pool))
        late = other.add("ann")
        passkey = self.add("ann")
        pool.run()
        self.failureResultOf(late, AlreadyThere)
        self.successResultOf(self.users.reload())
        self.assertEqual(other.list(), self.users.list())
        self.assertIsNotNone(other.of(passkey))

    def test_a_change_that_cannot_be_written_is_not_made(self) -> None:
        passkey = self.add()
        self.path.unlink()
        self.failureResultOf(self.users.block("ann"), StorageError)
        found = self.users.of(passkey)
        assert found is not None
        self.assertFalse(found.blocked)

    def test_a_torn_line_costs_one_change_and_not_the_users(self) -> None:
        passkey = self.add()
        self.add("bob")
        lines = self.path.read_bytes().splitlines(keepends=True)
        self.path.write_bytes(lines[0] + lines[1] + lines[2][:30] + b"\n")
        with complaints() as told:
            again = self.restarted()
        self.assertIsNotNone(again.of(passkey))
        self.assertIsNone(again.get("bob"))
        self.assertIn(str(self.path), told[0])
        self.successResultOf(again.reload())
        self.assertTrue(self.path.with_name("users.unreadable").exists())


class TotalsTests(Case):
    def setUp(self) -> None:
        super().setUp()
        self.add()

    def announce(
        self,
        uploaded: int,
        downloaded: int = 0,
        *,
        users: Users | None = None,
        after: float = 60,
        **fields: object,
    ) -> None:
        self.machine.advance(after)
        users = users or self.users
        user = users.get("ann")
        assert user is not None
        users.hear(user, replace(REQUEST, uploaded=uploaded, downloaded=downloaded, **fields))  # type: ignore[arg-type]

    def flush(self, *users: Users) -> None:
        for each in users or (self.users,):
            self.successResultOf(each.flush())
        for each in users:
            self.successResultOf(each.reload())

    def totals(self, users: Users | None = None) -> tuple[int, int]:
        user = (users or self.users).get("ann")
        assert user is not None
        return user.uploaded, user.downloaded

    def test_what_a_client_says_counts_from_its_first_announce(self) -> None:
        self.announce(10 * MIB, 3 * MIB, event=Event.STARTED)
        self.announce(12 * MIB, 4 * MIB)
        self.flush()
        self.assertEqual(self.totals(), (2 * MIB, MIB))
        self.assertEqual(self.users.list()[0], self.users.get("ann"))

    def test_what_comes_before_a_restart_between_two_flushes_counts(self) -> None:
        self.announce(0)
        self.flush()
        self.announce(5 * MIB, event=Event.STOPPED, after=1)
        self.announce(0, event=Event.STARTED, after=1)
        self.announce(2 * MIB, after=1)
        self.announce(1 * MIB, after=1)  # its counter has gone back
        self.announce(4 * MIB, after=1)
        self.flush()
        self.assertEqual(self.totals(), (10 * MIB, 0))

    def test_totals_survive_a_restart_and_clients_go_on(self) -> None:
        self.announce(0)
        self.announce(MIB)
        self.flush()
        again = self.restarted()
        self.assertEqual(self.totals(again), (MIB, 0))
        self.announce(3 * MIB, users=again)
        self.flush(again)
        self.assertEqual(self.totals(again), (3 * MIB, 0))

    def test_a_client_whose_announces_go_to_different_workers_is_counted_once(self) -> None:
        workers = [self.users, self.restarted(), self.restarted()]
        for number in range(12):
            self.announce(number * MIB, number, users=workers[number % 3])
        self.flush(*workers)
        self.flush(*workers)
        self.assertEqual([self.totals(worker) for worker in workers], [(11 * MIB, 11)] * 3)

    def test_a_file_written_anew_keeps_totals_and_sessions(self) -> None:
        for number in range(10):
            self.announce(number * MIB)
        self.flush()
        state = UsersSum(1 << 40)
        for line in self.path.read_bytes().splitlines()[1:]:
            state.apply(CODEC.read(line))
        again = UsersSum(1 << 40)
        for change in state.changes():
            again.apply(CODEC.read(CODEC.line(change)))
        self.assertEqual(list(again.changes()), list(state.changes()))
        self.assertEqual(len(again), 2)

    def test_totals_go_with_their_user(self) -> None:
        self.announce(0)
        self.announce(MIB)
        self.flush()
        self.successResultOf(self.users.remove("ann"))
        self.add()
        self.assertEqual(self.totals(), (0, 0))
        self.assertEqual(self.totals(self.restarted()), (0, 0))

    def test_nobody_moves_more_than_a_line_can_carry(self) -> None:
        self.announce(0)
        self.announce(2**63, after=2)
        self.flush()
        self.assertEqual(self.totals(), (2 * 1_250_000_000, 0))

    def test_what_cannot_be_written_is_written_later(self) -> None:
        self.announce(0)
        self.announce(MIB)
        away = self.path.rename(self.path.with_name("away"))
        self.failureResultOf(self.users.flush(), StorageError)
        self.announce(2 * MIB)
        self.failureResultOf(self.users.flush(), StorageError)
        away.rename(self.path)
        self.flush()
        self.assertEqual(self.totals(), (2 * MIB, 0))
        self.flush()
        self.assertEqual(self.totals(), (2 * MIB, 0))

    def test_what_is_heard_between_two_flushes_is_bounded(self) -> None:
        self.add("bob")
        bob = self.users.get("bob")
        assert bob is not None
        self.users._heard = Heard(most=20, most_of_user=10)
        self.users.hear(bob, REQUEST)
        for number in range(100):
            self.announce(number, after=0.1)
        for number in range(100):
            self.announce(0, peer_id=number.to_bytes(20), after=0.1)
            self.announce(100 - number, after=0.1)
        self.users.hear(bob, replace(REQUEST, uploaded=MIB))
        self.flush()
        self.assertLessEqual(len(self.path.read_bytes().splitlines()), 3 + 2 * 11)
        bob = self.users.get("bob")
        assert bob is not None
        self.assertEqual(bob.uploaded, MIB, "another's flood costs nobody else anything")

    def test_what_is_forgotten_is_made_up_for_by_the_next_announce(self) -> None:
        self.announce(0)
        self.flush()
        self.users._heard = Heard(most_of_user=1)
        self.announce(MIB)
        self.announce(0, peer_id=b"p" * 20)  # in its place
        self.flush()
        self.assertEqual(self.totals(), (0, 0))
        self.announce(3 * MIB)
        self.flush()
        self.assertEqual(self.totals(), (3 * MIB, 0))

    def test_totals_go_on_when_the_date_is_set_back_or_forth(self) -> None:
        self.announce(0)
        for number, step in enumerate((-86_400, 40_000, -86_400), start=1):
            self.machine.date += step
            self.announce(number * MIB)
            self.flush()
            self.assertEqual(self.totals(), (number * MIB, 0))

    def test_totals_go_on_in_a_tracker_that_starts_at_an_earlier_date(self) -> None:
        self.announce(0)
        self.flush()
        self.machine.date -= 86_400
        again = self.restarted()
        self.announce(MIB, users=again)
        self.flush(again)
        self.assertEqual(self.totals(again), (MIB, 0))

    def test_workers_that_started_at_different_dates_count_a_client_once(self) -> None:
        workers = [self.users]
        for step in (-7200, 40_000):
            self.machine.date += step
            workers.append(self.restarted())
        for number in range(13):
            worker = workers[number % 3]
            self.announce(number * MIB, users=worker)
            self.flush(worker)
            self.flush(*workers)
        self.assertEqual([self.totals(worker) for worker in workers], [(12 * MIB, 0)] * 3)


class PasskeysTests(Case):
    def setUp(self) -> None:
        super().setUp()
        self.passkey = self.add()
        self.hook = self.hooked()

    def hooked(self, **options: object) -> Passkeys:
        return Passkeys(self.users, self.machine.seconds, **options)  # type: ignore[arg-type]

    def arrival(self, passkey: str | None) -> Arrival:
        return Arrival(Front.HTTP, "192.0.2.1", passkey)

    def refused(self, passkey: str | None, hook: Passkeys | None = None) -> str:
        """Why announces and scrapes with this passkey are refused; "" where they are not."""
        hook = hook or self.hook
        announce, scrape = announcing(hook, self.arrival(passkey)), scraping(hook, self.arrival(passkey))
        self.assertEqual(str(announce), str(scrape))
        return "" if announce is None else announce.reason

    def test_a_users_passkey_passes_and_others_say_what_is_wrong(self) -> None:
        self.assertEqual(self.refused(self.passkey), "")
        self.assertEqual(self.refused("0" * 32), "passkey: not known here")
        self.assertTrue(self.refused(None).startswith("passkey: missing"))
        for odd in ("", "é", "\udcff", "x" * (MAX_PASSKEY + 1), "x" * 1_000_000):
            self.assertEqual(self.refused(odd), "passkey: not known here")

    def test_a_blocked_user_is_told_so_and_can_come_back(self) -> None:
        self.successResultOf(self.users.block("ann"))
        self.assertEqual(self.refused(self.passkey), "passkey: its user is blocked")
        self.successResultOf(self.users.unblock("ann"))
        self.assertEqual(self.refused(self.passkey), "")

    def test_where_none_is_required_a_wrong_one_is_refused_all_the_same(self) -> None:
        hook = self.hooked(required=False)
        self.assertEqual(self.refused(None, hook), "")
        self.assertEqual(self.refused("0" * 32, hook), "passkey: not known here")
        hook.announced(REQUEST, ARRIVAL, SwarmAnswer())  # counts for nobody

    def test_an_answered_announce_is_counted(self) -> None:
        for uploaded in (0, MIB):
            hook_says = self.hook.announced(
                replace(REQUEST, uploaded=uploaded), self.arrival(self.passkey), SwarmAnswer()
            )
            self.assertIsNone(hook_says)
            self.machine.advance(60)
            self.successResultOf(self.users.flush())
        self.assertEqual(self.users.list()[0].uploaded, MIB)

    def test_a_user_has_rates_of_its_own(self) -> None:
        hook = self.hooked(announces=Rate(60, 2), scrapes=Rate(60, 1))
        mine = self.arrival(self.passkey)
        self.assertEqual([announcing(hook, mine) is None for _ in range(3)], [True, True, False])
        self.assertEqual([scraping(hook, mine) is None for _ in range(2)], [True, False])
        self.assertIsNone(announcing(hook, self.arrival(self.add("bob"))))
        failure = announcing(hook, mine)
        assert failure is not None
        self.assertEqual((failure.reason, failure.retry_in), ("too many announces with your passkey", 1.0))
        self.assertIsNone(announcing(hook, mine, event=Event.STOPPED), "who leaves may")

    def test_a_passkey_nobody_has_takes_no_room_in_the_rates(self) -> None:
        rate = Rate(60, 2)
        hook = self.hooked(announces=rate)
        for number in range(100):
            announcing(hook, self.arrival(str(number)))
        self.assertEqual(len(rate), 0)


NAMES = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=MAX_NAME)
NUMBERS = st.integers(0, 1 << 80)
CHANGES = st.one_of(
    st.builds(
        UserChange,
        st.just(What.ADDED),
        NAMES,
        st.binary(min_size=DIGEST, max_size=DIGEST),
        st.floats(0, 1e11),
        NUMBERS,
        NUMBERS,
    ),
    st.builds(UserChange, st.just(What.RENEWED), NAMES, st.binary(min_size=DIGEST, max_size=DIGEST)),
    st.builds(UserChange, st.sampled_from([What.BLOCKED, What.UNBLOCKED, What.REMOVED]), NAMES),
    st.builds(
        UserChange,
        st.just(What.SEEN),
        NAMES,
        st.just(b""),
        st.floats(0, 1e11),
        NUMBERS,
        NUMBERS,
        st.binary(min_size=SESSION, max_size=SESSION),
        st.booleans(),
    ),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=70), st.lists, max_leaves=3
)


class LineTests(SynchronousTestCase):
    def test_a_change_is_read_as_it_was_written(self) -> None:
        check_written_and_read(CODEC, CHANGES)

    def test_any_line_is_a_change_or_a_value_error(self) -> None:
        keys = st.sampled_from(
            ["add", "seen", "block", "renew", "digest", "at", "uploaded", "session", "ended", "x"]
        )
        check_read_or_refused(CODEC, st.dictionaries(keys, JSON))

    def test_any_changes_in_any_order_lead_to_a_state_that_can_be_told_again(self) -> None:
        few = CHANGES.map(lambda change: replace(change, name=change.name[0], digest=change.digest[:1] * 32))

        @given(st.lists(few, max_size=30))
        def tried(changes: list[UserChange]) -> None:
            state, again = UsersSum(1 << 90), UsersSum(1 << 90)
            for change in changes:
                state.apply(change)
            for change in state.changes():
                again.apply(change)
            self.assertEqual(list(again.changes()), list(state.changes()))
            self.assertEqual(set(state.by_digest), {user.digest for user in state.users})
            for user in state.users:
                self.assertEqual(state.users.get(user.name), state.by_digest[user.digest])

        tried()

    def test_the_hash_of_a_passkey_takes_any_text(self) -> None:
        @given(st.text())
        def tried(passkey: str) -> None:
            self.assertEqual(len(passkey_digest(passkey)), DIGEST)

        tried()
        self.assertEqual(len(passkey_digest("\udcff")), DIGEST)
