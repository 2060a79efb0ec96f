"""Who may use the management interface: passwords, sessions, links, and how often one may try."""

from __future__ import annotations

import multiprocessing
import threading
from datetime import datetime, timedelta, timezone

import pytest
from argon2 import PasswordHasher, extract_parameters
from sqlalchemy import select, update

from cmstream.accounts import (
    AccessDenied,
    Conflict,
    Invalid,
    NotFound,
    limits,
    open_store,
    passwords,
    sessions,
    tables,
)
from cmstream.accounts.people import People

from .support import ADMINISTRATOR, OWNER

PASSWORD = "a horse that staples"
OTHER = "a battery that trots"
ALICE, BOB = "alice@example.org", "bob@example.org"


class Clock:
    def __init__(self):
        self.time = datetime(2030, 1, 1, tzinfo=timezone.utc)

    def __call__(self):
        return self.time

    def advance(self, **span):
        self.time += timedelta(**span)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(autouse=True)
def _quick_hashes(monkeypatch):
    """argon2id as it is, with less work: how much there is has tests of its own."""
    quick = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    monkeypatch.setattr(passwords, "_hasher", quick)
    monkeypatch.setattr(passwords, "_NOBODYS", quick.hash("nobody's"))


def people_of(store, clock):
    people = People(store, now=clock)
    for address in (ALICE, BOB):
        store.add_account(address, by=ADMINISTRATOR)
        people.add(address, "owner", account=address, password=PASSWORD, by=ADMINISTRATOR)
    return people


@pytest.fixture
def people(store, clock):
    return people_of(store, clock)


@pytest.fixture
def quick_people(sqlite_url, clock):
    """On SQLite alone."""
    with open_store(sqlite_url) as store:
        yield people_of(store, clock)


def refused(code, function, *args, **kwargs):
    with pytest.raises(AccessDenied) as caught:
        function(*args, **kwargs)
    assert caught.value.code == code
    return caught.value


# --- signing in ------------------------------------------------------------------------------


def test_a_person_signs_in_and_out(people):
    session = people.sign_in(ALICE, PASSWORD, source="192.0.2.1")
    assert session.person.account == ALICE
    found = people.session(session.token)
    assert (found.person, found.csrf) == (session.person, session.csrf)
    people.sign_out(session.token)
    assert people.session(session.token) is None


def test_a_name_is_found_in_whichever_form_it_is_written(people):
    assert people.sign_in(" Alice@EXAMPLE.org ", PASSWORD).person.name == ALICE
    people.add("Björn", "administrator", password=PASSWORD, by=ADMINISTRATOR)
    assert people.sign_in("BJO\u0308RN", PASSWORD).person.name == "björn"


@pytest.mark.parametrize(
    "name, password",
    [(ALICE, OTHER), (ALICE, ""), ("nobody", PASSWORD), ("", ""), ("\x00", "\x00"),
     (ALICE, "x" * 100_000), ("x" * 100_000, PASSWORD), (ALICE, "\ud800"), ("\ud800", PASSWORD),
     ("a\ud800@example.org", PASSWORD)],
)  # fmt: skip
def test_wrong_passwords_and_names_look_alike(people, name, password):
    assert str(refused("sign-in-failed", people.sign_in, name, password)) == (
        "name or password is wrong"
    )


def test_a_name_that_is_not_there_takes_the_same_work(quick_people, monkeypatch):
    quick_people.add("new", "administrator", by=ADMINISTRATOR)
    works = []
    real = PasswordHasher.verify

    def verify(self, stored, password):
        works.append((extract_parameters(stored), password))
        return real(self, stored, password)

    monkeypatch.setattr(PasswordHasher, "verify", verify)
    for name in (ALICE, "nobody", "new"):
        refused("sign-in-failed", quick_people.sign_in, name, OTHER)
    assert len(works) == 3
    assert works[0] == works[1] == works[2]


def test_nobodys_hash_has_todays_parameters_and_is_nobodys():
    parameters = extract_parameters(passwords._nobodys())
    quick = extract_parameters(passwords.hashed(PASSWORD))
    assert parameters == quick
    assert not passwords.matches(None, PASSWORD)


def test_a_password_is_hashed_by_argon2id_with_the_work_of_rfc_9106():
    found = extract_parameters(PasswordHasher().hash(PASSWORD))
    assert found.type.name == "ID"
    assert (found.time_cost, found.memory_cost, found.parallelism) == (3, 64 << 10, 4)


def test_a_hash_of_other_parameters_is_renewed_at_sign_in(quick_people):
    old = PasswordHasher(time_cost=2, memory_cost=32, parallelism=1).hash(PASSWORD)
    with quick_people._database.write() as connection:
        connection.execute(update(tables.people).values(password_hash=old))
    quick_people.sign_in(ALICE, PASSWORD)
    with quick_people._database.read() as connection:
        hashes = connection.execute(
            select(tables.people.c.password_hash).order_by(tables.people.c.name)
        ).scalars()
        alices, bobs = hashes
    assert bobs == old
    assert not passwords.outdated(alices)
    quick_people.sign_in(ALICE, PASSWORD)


def test_many_hashes_at_once_wait_for_each_other(monkeypatch):
    running, most, lock = 0, 0, threading.Lock()
    gate = threading.Event()
    real = PasswordHasher.hash

    def slow(self, password):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        gate.wait(0.05)
        with lock:
            running -= 1
        return real(self, password)

    monkeypatch.setattr(PasswordHasher, "hash", slow)
    threads = [threading.Thread(target=passwords.hashed, args=(PASSWORD,)) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == passwords.HASHES_AT_ONCE


# --- sessions --------------------------------------------------------------------------------


def test_a_session_cannot_be_fixed(people):
    mallorys = people.sign_in(BOB, PASSWORD)
    session = people.sign_in(ALICE, PASSWORD, before=mallorys.token)
    assert session.token != mallorys.token
    assert session.csrf != mallorys.csrf
    assert people.session(mallorys.token) is None
    assert people.sign_in(ALICE, PASSWORD, before="chosen by mallory").token != "chosen by mallory"
    assert people.session("chosen by mallory") is None


def test_a_session_cannot_be_forged_from_what_is_stored(people):
    session = people.sign_in(ALICE, PASSWORD)
    with people._database.read() as connection:
        row = connection.execute(select(tables.sessions)).one()
    assert session.token not in str(row)
    for forged in (row.token_hash.hex(), session.token[:-1], session.token + "=", "", "\ud800"):
        assert people.session(forged) is None
    assert len(session.token) >= 43  # 256 bits in base64


def test_secrets_are_not_shown(people):
    session = people.sign_in(ALICE, PASSWORD)
    assert session.token not in repr(session)
    assert session.csrf not in repr(session)


def test_a_session_ends_when_it_is_not_used(people, clock):
    session = people.sign_in(ALICE, PASSWORD)
    for _ in range(4):
        clock.advance(minutes=29)
        assert people.session(session.token)
    clock.advance(minutes=30)
    assert people.session(session.token) is None


def test_a_session_ends_after_half_a_day_in_any_case(people, clock):
    session = people.sign_in(ALICE, PASSWORD)
    for _ in range(36):
        clock.advance(minutes=19)
        assert people.session(session.token)
    clock.advance(minutes=36)
    assert people.session(session.token) is None


def test_what_is_over_is_cleared_away(people, clock):
    people.sign_in(ALICE, PASSWORD)
    clock.advance(hours=1)
    people.sign_in(BOB, PASSWORD)
    with people._database.read() as connection:
        assert len(connection.execute(select(tables.sessions)).all()) == 1


def test_sessions_are_seen_by_other_processes_and_do_not_disturb_their_caches(people, url, clock):
    with open_store(url) as other:
        before = other.database.counter()
        session = people.sign_in(ALICE, PASSWORD)
        assert People(other, now=clock).session(session.token).person.name == ALICE
        assert other.database.counter() == before


def test_a_password_given_again_holds_for_five_minutes(people, clock):
    session = people.sign_in(ALICE, PASSWORD)
    assert not session.confirmed
    refused("sign-in-failed", people.confirm, session, OTHER)
    assert not people.session(session.token).confirmed
    assert people.confirm(session, PASSWORD).confirmed
    clock.advance(minutes=4, seconds=59)
    assert people.session(session.token).confirmed
    clock.advance(seconds=1)
    assert not people.session(session.token).confirmed


def test_a_confirmation_is_the_sessions_own(people):
    one, other = people.sign_in(ALICE, PASSWORD), people.sign_in(ALICE, PASSWORD)
    people.confirm(one, PASSWORD)
    assert not people.session(other.token).confirmed
    people.sign_out(other.token)
    refused("not-signed-in", people.confirm, other, PASSWORD)


# --- passwords -------------------------------------------------------------------------------


def test_a_new_password_ends_all_sessions_and_links(people):
    here, there = people.sign_in(ALICE, PASSWORD), people.sign_in(ALICE, PASSWORD)
    bobs = people.sign_in(BOB, PASSWORD)
    link = people.add_link("set-password", ALICE, by=ADMINISTRATOR)
    new = people.change_password(here, PASSWORD, OTHER)
    assert people.session(here.token) is people.session(there.token) is None
    assert people.session(new.token).person.name == ALICE
    assert people.session(bobs.token)
    refused("link-invalid", people.link, link)
    refused("sign-in-failed", people.sign_in, ALICE, PASSWORD)
    assert people.sign_in(ALICE, OTHER)


def test_a_password_is_changed_by_whoever_knows_it(people):
    session = people.sign_in(ALICE, PASSWORD)
    refused("sign-in-failed", people.change_password, session, OTHER, OTHER)
    people.sign_out(session.token)
    refused("not-signed-in", people.change_password, session, PASSWORD, OTHER)
    assert people.sign_in(ALICE, PASSWORD)


def test_a_sign_in_with_a_password_that_is_changed_meanwhile_fails(quick_people, monkeypatch):
    real = passwords.matches

    def slow(stored, password):
        right = real(stored, password)
        quick_people.set_password(ALICE, OTHER, by=ADMINISTRATOR)
        return right

    monkeypatch.setattr(passwords, "matches", slow)
    refused("sign-in-failed", quick_people.sign_in, ALICE, PASSWORD)


@pytest.mark.parametrize(
    "password",
    ["", "elevenchars", "aaaaaaaaaaaaaaaa", "abababababababab", "abcdefghijklm", "123456789012",
     "987654321098", "qwertyuiopas", "abcabcabcabcabc", "password1234", "PasswordPassword",
     "alice@example.org", "alice.example", "Alice-alice-2", "cmstream-smime", "x" * 1025],
)  # fmt: skip
def test_passwords_that_are_guessed_first_are_refused(password):
    with pytest.raises(Invalid) as caught:
        passwords.check(password, "alice@example.org")
    assert caught.value.code == "invalid-password"
    assert not password or password not in str(caught.value)


@pytest.mark.parametrize(
    "password",
    ["twelve chars", "all lower case words", "pässwörter sind", "jf83kd02ls9x",
     "日本語の合言葉は十二文字より長い", "x1y2" * 5 + "z", "alice likes old horses",
     "k" * 20 + "w4t3r"],
)  # fmt: skip
def test_passwords_need_no_mixture_of_characters(password):
    passwords.check(password, "alice@example.org")


def test_a_password_is_the_same_from_any_keyboard(quick_people):
    quick_people.set_password(ALICE, "cafe\u0301 au lait, merci", by=ADMINISTRATOR)
    assert quick_people.sign_in(ALICE, "caf\u00e9 au lait, merci")


# --- limits ----------------------------------------------------------------------------------


def test_a_name_may_be_tried_so_often_and_no_more_from_anywhere(people, clock):
    for number in range(limits.BY_NAME):
        refused("sign-in-failed", people.sign_in, ALICE, OTHER, source=f"192.0.2.{number}")
    clock.advance(minutes=5)
    wait = refused("too-many-attempts", people.sign_in, ALICE, PASSWORD, source="198.51.100.1")
    assert wait.retry_after == 600
    assert people.sign_in(BOB, PASSWORD, source="192.0.2.1")
    clock.advance(seconds=599)
    refused("too-many-attempts", people.sign_in, ALICE, PASSWORD)
    clock.advance(seconds=1)
    assert people.sign_in(ALICE, PASSWORD)


def test_the_window_slides(people, clock):
    for _ in range(limits.BY_NAME):
        refused("sign-in-failed", people.sign_in, ALICE, OTHER)
        clock.advance(minutes=1)
    wait = refused("too-many-attempts", people.sign_in, ALICE, OTHER)
    assert wait.retry_after == 300
    clock.advance(minutes=5)
    refused("sign-in-failed", people.sign_in, ALICE, OTHER)
    assert refused("too-many-attempts", people.sign_in, ALICE, OTHER).retry_after == 60


def test_a_name_that_is_not_there_has_the_same_limit(quick_people):
    for _ in range(limits.BY_NAME):
        refused("sign-in-failed", quick_people.sign_in, "nobody", OTHER)
    refused("too-many-attempts", quick_people.sign_in, "nobody", OTHER)


def test_a_source_may_try_so_many_names_and_no_more(quick_people):
    for number in range(limits.BY_SOURCE):
        refused("sign-in-failed", quick_people.sign_in, f"n{number}", OTHER, source="192.0.2.1")
    refused("too-many-attempts", quick_people.sign_in, ALICE, PASSWORD, source="::ffff:192.0.2.1")
    assert quick_people.sign_in(ALICE, PASSWORD, source="192.0.2.2")


def test_a_source_of_ipv6_is_its_network(quick_people):
    for number in range(limits.BY_SOURCE):
        source = f"2001:db8:1:2::{number:x}"
        refused("sign-in-failed", quick_people.sign_in, f"n{number}", OTHER, source=source)
    source = "2001:db8:1:2:ffff::1"
    refused("too-many-attempts", quick_people.sign_in, ALICE, PASSWORD, source=source)
    assert quick_people.sign_in(ALICE, PASSWORD, source="2001:db8:1:3::1")


def test_the_right_password_forgets_what_was_tried_for_its_name_alone(quick_people):
    for _ in range(3):
        for _ in range(limits.BY_NAME - 1):
            refused("sign-in-failed", quick_people.sign_in, ALICE, OTHER, source="192.0.2.1")
        quick_people.sign_in(ALICE, PASSWORD, source="192.0.2.1")
    with quick_people._database.read() as connection:
        rows = connection.execute(select(tables.attempts.c.subject)).scalars().all()
    assert len(rows) == 3 * (limits.BY_NAME - 1)
    assert {row.partition(":")[0] for row in rows} == {"source"}


def test_the_limit_holds_for_the_password_that_is_given_again(quick_people):
    session = quick_people.sign_in(ALICE, PASSWORD)
    for _ in range(limits.BY_NAME):
        refused("sign-in-failed", quick_people.confirm, session, OTHER)
    refused("too-many-attempts", quick_people.confirm, session, PASSWORD)


def test_what_was_typed_for_a_name_is_not_stored(quick_people):
    refused("sign-in-failed", quick_people.sign_in, "my secret password", "", source="x")
    with quick_people._database.read() as connection:
        rows = connection.execute(select(tables.attempts.c.subject)).scalars().all()
    assert rows
    assert not any("secret" in row for row in rows)


def guess(url, times, answers):
    with open_store(url) as store:
        people = People(store)
        for number in range(times):
            with pytest.raises(AccessDenied) as caught:
                people.sign_in(ALICE, f"{OTHER} {number}", source="192.0.2.9")
            answers.put(caught.value.code)


def test_the_limit_holds_over_two_processes(people, url, store):
    here, left = People(store), 3
    for _ in range(limits.BY_NAME - left):
        refused("sign-in-failed", here.sign_in, ALICE, OTHER)
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    workers = [context.Process(target=guess, args=(url, left, answers)) for _ in range(2)]
    for worker in workers:
        worker.start()
    found = [answers.get(timeout=60) for _ in range(2 * left)]
    for worker in workers:
        worker.join()
    assert found.count("sign-in-failed") == left
    assert found.count("too-many-attempts") == left


# --- links -----------------------------------------------------------------------------------


def test_a_link_works_once(people, clock):
    people.add("boss", "administrator", by=ADMINISTRATOR)
    assert people.needs_administrator()
    link = people.add_link("first-sign-in", "boss", by=ADMINISTRATOR)
    assert people.link(link).person.name == "boss"
    assert people.link(link).purpose == "first-sign-in"  # looking doesn't use it
    session = people.use_link(link, PASSWORD)
    assert people.session(session.token).person.role == "administrator"
    assert session.person.has_password
    refused("link-invalid", people.use_link, link, OTHER)
    refused("link-invalid", people.link, link)
    assert people.sign_in("boss", PASSWORD)
    assert not people.needs_administrator()


def test_a_link_works_for_a_quarter_of_an_hour(people, clock):
    link = people.add_link("set-password", ALICE, by=ADMINISTRATOR)
    clock.advance(minutes=14, seconds=59)
    assert people.link(link)
    clock.advance(seconds=1)
    refused("link-invalid", people.link, link)
    refused("link-invalid", people.use_link, link, OTHER)
    assert people.sign_in(ALICE, PASSWORD)


def test_a_link_is_dead_when_there_is_a_new_one(people):
    old = people.add_link("set-password", ALICE, by=ADMINISTRATOR)
    bobs = people.add_link("set-password", BOB, by=ADMINISTRATOR)
    new = people.add_link("set-password", ALICE, by=ADMINISTRATOR)
    refused("link-invalid", people.link, old)
    assert people.link(new)
    assert people.link(bobs)


def test_a_password_that_is_refused_leaves_the_link_alive(people):
    link = people.add_link("set-password", ALICE, by=ADMINISTRATOR)
    with pytest.raises(Invalid):
        people.use_link(link, "short")
    assert people.use_link(link, OTHER)


def test_a_link_that_two_use_at_once_works_for_one(people):
    link = people.add_link("set-password", ALICE, by=ADMINISTRATOR)
    answers = []

    def use(password):
        try:
            answers.append(people.use_link(link, password).person.name)
        except AccessDenied as error:
            answers.append(error.code)

    threads = [threading.Thread(target=use, args=(f"{PASSWORD} {n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [ALICE, "link-invalid", "link-invalid", "link-invalid"]


@pytest.mark.parametrize("minutes", [0, -1, 10_081])
def test_a_link_has_a_time(quick_people, minutes):
    with pytest.raises(Invalid):
        quick_people.add_link("set-password", ALICE, minutes=minutes, by=ADMINISTRATOR)


def test_no_secret_is_stored(people):
    link = people.add_link("set-password", ALICE, by=ADMINISTRATOR)
    secret, _ = people.add_token("gate", scopes=["metrics"], by=ADMINISTRATOR)
    session = people.sign_in(BOB, PASSWORD)
    with people._database.read() as connection:
        everything = [
            str(row) for table in tables.metadata.sorted_tables
            for row in connection.execute(select(table))
        ]  # fmt: skip
    assert everything
    for hidden in (link, secret, session.token, PASSWORD):
        assert not any(hidden in row for row in everything)


# --- people ----------------------------------------------------------------------------------


def test_who_is_removed_is_out_at_once(people):
    session = people.sign_in(ALICE, PASSWORD)
    link = people.add_link("set-password", ALICE, by=ADMINISTRATOR)
    people.remove(ALICE, by=ADMINISTRATOR)
    assert people.session(session.token) is None
    refused("link-invalid", people.link, link)
    refused("sign-in-failed", people.sign_in, ALICE, PASSWORD)
    with pytest.raises(NotFound):
        people.person(ALICE)


def test_owners_are_out_when_their_account_is_removed(people, store):
    session = people.sign_in(ALICE, PASSWORD)
    store.remove_account(ALICE, by=ADMINISTRATOR)
    assert people.session(session.token) is None
    assert [person.name for person in people.everyone()] == [BOB]


def test_the_last_administrator_stays(people):
    people.add("boss", "administrator", by=ADMINISTRATOR)
    with pytest.raises(Conflict) as caught:
        people.remove("boss", by=ADMINISTRATOR)
    assert caught.value.code == "last-administrator"
    people.add("chief", "administrator", by=ADMINISTRATOR)
    people.remove("boss", by=ADMINISTRATOR)


@pytest.mark.parametrize(
    "name, role, account, error",
    [(ALICE, "owner", ALICE, Conflict), ("ALICE@example.org", "owner", ALICE, Conflict),
     ("x", "owner", None, Invalid), ("x", "administrator", ALICE, Invalid),
     ("x", "king", None, Invalid), ("", "administrator", None, Invalid),
     ("a\nb", "administrator", None, Invalid), ("x", "owner", "no@example.org", NotFound)],
)  # fmt: skip
def test_people_who_cannot_be(quick_people, name, role, account, error):
    with pytest.raises(error):
        quick_people.add(name, role, account=account, by=ADMINISTRATOR)


def test_an_account_may_have_several_owners(people):
    people.add("al", "owner", account=ALICE, by=ADMINISTRATOR)
    assert [person.name for person in people.owners(ALICE)] == ["al", ALICE]


def test_every_change_stands_in_the_log_of_its_account(people, store):
    session = people.sign_in(ALICE, PASSWORD)
    people.change_password(session, PASSWORD, OTHER)
    link = people.add_link("set-password", ALICE, by=ADMINISTRATOR)
    people.use_link(link, PASSWORD)
    people.sign_out_everywhere(ALICE, by=OWNER)
    people.remove(ALICE, by=ADMINISTRATOR)
    entries = [(entry.action, entry.actor) for entry in store.audit(ALICE)]
    assert entries == [
        ("remove-person", "root"), ("end-sessions", "alice"), ("use-link", ALICE),
        ("add-link", "root"), ("set-password", ALICE), ("add-person", "root"),
        ("add-account", "root"),
    ]  # fmt: skip
    assert PASSWORD not in str(store.audit())


def test_the_owner_is_shown_who_else_got_access(people, store):
    people.add("spy", "owner", account=ALICE, password=OTHER, by=ADMINISTRATOR)
    entry = store.audit(ALICE)[0]
    assert entry.needs_acknowledgement
    assert entry.detail["person"] == "spy"


def test_idle_time_is_shorter_than_a_life():
    assert sessions.CONFIRMATION < sessions.IDLE < sessions.LIFETIME
