"""Passwords: which may be chosen, how they are kept, and that a wrong name costs as much as a wrong
password."""

from __future__ import annotations

import threading

import pytest
from argon2 import PasswordHasher, extract_parameters
from sqlalchemy import select, update

from cmstream.accounts import Invalid, tables
from cmstream.accounts.people import passwords
from helpers.accounts.persons import ALICE, BOB, OTHER, PASSWORD, refused
from helpers.accounts.support import ADMINISTRATOR

pytestmark = pytest.mark.usefixtures("quick_hashes")


# --- hashes ---------------------------------------------------------------------------------


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
