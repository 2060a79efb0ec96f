"""Who may use the management interface: signing in, sessions, links, people."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import select

from cmstream.accounts import (
    AccessDenied,
    Conflict,
    Invalid,
    NotFound,
    open_store,
    tables,
)
from cmstream.accounts.people import sessions
from cmstream.accounts.people.people import People
from helpers.accounts.persons import ALICE, BOB, OTHER, PASSWORD, refused
from helpers.accounts.support import ADMINISTRATOR, OWNER

pytestmark = pytest.mark.usefixtures("quick_hashes")


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


# --- links -----------------------------------------------------------------------------------


def test_a_link_works_once(people, clock):
    people.add("boss", "administrator", by=ADMINISTRATOR)
    assert people.needs_administrator()
    bobs = people.add_link("set-password", BOB, by=ADMINISTRATOR)
    link = people.add_link("first-sign-in", "boss", by=ADMINISTRATOR)
    assert people.link(link).person.name == "boss"
    assert people.link(link).purpose == "first-sign-in"  # looking doesn't use it
    session = people.use_link(link, PASSWORD)
    assert people.session(session.token).person.role == "administrator"
    assert session.person.has_password
    refused("link-invalid", people.use_link, link, OTHER)
    refused("link-invalid", people.link, link)
    assert people.link(bobs)
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
    people.set_password("chief", OTHER, by=ADMINISTRATOR)
    people.add("late", "administrator", by=ADMINISTRATOR)
    with pytest.raises(Conflict):  # nobody else could sign in
        people.remove("chief", by=ADMINISTRATOR)
    people.remove("late", by=ADMINISTRATOR)


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
