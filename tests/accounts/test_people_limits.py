"""How often one may try to sign in: by name and by source, over all processes."""

from __future__ import annotations

import multiprocessing

import pytest
from sqlalchemy import select

from cmstream.accounts import (
    AccessDenied,
    Invalid,
    NotFound,
    open_store,
    tables,
)
from cmstream.accounts.people import limits
from cmstream.accounts.people.people import People
from helpers.accounts.persons import ALICE, BOB, OTHER, PASSWORD, refused
from helpers.accounts.support import ADMINISTRATOR

pytestmark = pytest.mark.usefixtures("quick_hashes")


def test_a_name_may_be_tried_so_often_from_one_network_and_no_more(people, clock):
    for _ in range(limits.BY_NAME_AND_SOURCE):
        refused("sign-in-failed", people.sign_in, ALICE, OTHER, source="192.0.2.1")
    clock.advance(minutes=5)
    wait = refused("too-many-attempts", people.sign_in, ALICE, PASSWORD, source="192.0.2.1")
    assert wait.retry_after == 600
    assert people.sign_in(ALICE, PASSWORD, source="198.51.100.1")
    assert people.sign_in(BOB, PASSWORD, source="192.0.2.1")
    clock.advance(seconds=599)
    refused("too-many-attempts", people.sign_in, ALICE, PASSWORD, source="192.0.2.1")
    clock.advance(seconds=1)
    assert people.sign_in(ALICE, PASSWORD, source="192.0.2.1")


def try_from_everywhere(people, name=ALICE):
    """As often as a name may be tried, each time from another network."""
    for number in range(limits.BY_NAME):
        refused("sign-in-failed", people.sign_in, name, OTHER, source=f"192.0.2.{number}")


def test_a_name_may_be_tried_so_often_from_anywhere_and_no_more(people, clock):
    try_from_everywhere(people)
    refused("too-many-attempts", people.sign_in, ALICE, PASSWORD, source="198.51.100.1")
    assert people.sign_in(BOB, PASSWORD, source="192.0.2.1")
    clock.advance(minutes=15)
    assert people.sign_in(ALICE, PASSWORD, source="198.51.100.1")


def test_strangers_keep_nobody_from_giving_the_password_again(people):
    session = people.sign_in(ALICE, PASSWORD, source="198.51.100.1")
    try_from_everywhere(people)
    assert people.confirm(session, PASSWORD).confirmed
    assert people.change_password(session, PASSWORD, "a lake that whistles")


def test_the_password_that_is_given_again_counts_for_its_session_alone(quick_people):
    session, other = (quick_people.sign_in(ALICE, PASSWORD) for _ in range(2))
    for _ in range(limits.BY_SESSION):
        refused("sign-in-failed", quick_people.confirm, session, OTHER)
    refused("too-many-attempts", quick_people.confirm, session, PASSWORD)
    refused("too-many-attempts", quick_people.change_password, session, PASSWORD, OTHER)
    assert quick_people.confirm(other, PASSWORD).confirmed
    assert quick_people.sign_in(ALICE, PASSWORD)


def test_the_right_password_given_again_forgets_what_was_tried_in_the_session(quick_people):
    session = quick_people.sign_in(ALICE, PASSWORD)
    for _ in range(2):
        for _ in range(limits.BY_SESSION - 1):
            refused("sign-in-failed", quick_people.confirm, session, OTHER)
        quick_people.confirm(session, PASSWORD)


def test_a_link_forgets_what_was_tried_from_anywhere(people):
    for number in range(limits.BY_NAME):
        source = f"192.0.2.{number // limits.BY_NAME_AND_SOURCE}"
        refused("sign-in-failed", people.sign_in, ALICE, OTHER, source=source)
    refused("sign-in-failed", people.sign_in, BOB, OTHER, source="192.0.2.1")
    people.use_link(people.add_link("set-password", ALICE, by=ADMINISTRATOR), OTHER)
    assert people.sign_in(ALICE, OTHER, source="192.0.2.1")
    with people._database.read() as connection:
        kinds = [
            row.partition(":")[0]
            for row in connection.execute(select(tables.attempts.c.subject)).scalars()
        ]
    assert kinds.count("pair") == kinds.count("name") == 1  # Bob's


def test_the_window_slides(people, clock):
    for _ in range(limits.BY_NAME_AND_SOURCE):
        refused("sign-in-failed", people.sign_in, ALICE, OTHER)
        clock.advance(minutes=1)
    wait = refused("too-many-attempts", people.sign_in, ALICE, OTHER)
    assert wait.retry_after == 300
    clock.advance(minutes=5)
    refused("sign-in-failed", people.sign_in, ALICE, OTHER)
    assert refused("too-many-attempts", people.sign_in, ALICE, OTHER).retry_after == 60


def test_a_name_that_is_not_there_has_the_same_limit(quick_people):
    for _ in range(limits.BY_NAME_AND_SOURCE):
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


def test_the_right_password_forgets_what_was_tried_for_its_name_from_its_network(quick_people):
    for _ in range(3):
        for _ in range(limits.BY_NAME_AND_SOURCE - 1):
            refused("sign-in-failed", quick_people.sign_in, ALICE, OTHER, source="192.0.2.1")
        quick_people.sign_in(ALICE, PASSWORD, source="192.0.2.1")
    with quick_people._database.read() as connection:
        rows = connection.execute(select(tables.attempts.c.subject)).scalars().all()
    kinds = [row.partition(":")[0] for row in rows]
    tried = 3 * (limits.BY_NAME_AND_SOURCE - 1)
    assert {kind: kinds.count(kind) for kind in kinds} == {"source": tried, "name": tried}


def test_what_was_typed_for_a_name_is_not_stored(quick_people):
    refused("sign-in-failed", quick_people.sign_in, "my secret password", "", source="x")
    with quick_people._database.read() as connection:
        rows = connection.execute(select(tables.attempts.c.subject)).scalars().all()
    assert rows
    assert not any("secret" in row for row in rows)


LONG = "\u0315\u0300" * 1_000_000
"""Normalising this would take hours."""


def test_a_text_longer_than_any_name_is_counted_and_not_normalised(quick_people):
    refused("sign-in-failed", quick_people.sign_in, LONG, PASSWORD, source="x")
    refused("sign-in-failed", quick_people.sign_in, ALICE, LONG, source="x")
    with pytest.raises(NotFound):
        quick_people.remove(f"a@{LONG}", by=ADMINISTRATOR)
    with pytest.raises(Invalid):
        quick_people.add(LONG, "administrator", by=ADMINISTRATOR)
    with pytest.raises(Invalid):
        quick_people.set_password(ALICE, LONG, by=ADMINISTRATOR)


def guess(url, times, answers):
    with open_store(url) as store:
        people = People(store)
        for number in range(times):
            with pytest.raises(AccessDenied) as caught:
                people.sign_in(ALICE, f"{OTHER} {number}")
            answers.put(caught.value.code)


def test_the_limit_holds_over_two_processes(people, url, store):
    here, left = People(store), 3
    for _ in range(limits.BY_NAME_AND_SOURCE - left):
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
