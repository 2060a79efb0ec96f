"""A plain list of the same Recipient objects is prepared once."""

from __future__ import annotations

import gc
import weakref

import cmstream
from cmstream.recipients.recipients import as_recipients
from helpers.opening import open_message
from helpers.people import person


def test_the_same_objects_are_prepared_once(alice):
    one = alice.recipient
    for first, second in (([one], [one]), (one, (one,)), ((one, person().recipient),) * 2):
        assert as_recipients(first) is as_recipients(second)


def test_other_objects_are_others(alice):
    one, two, three = alice.recipient, person(number=1).recipient, person(number=2).recipient
    every = [[one], [two], [one, two], [two, one], [one, three], [one, two, three]]
    found = [as_recipients(some) for some in every]
    assert [list(some) for some in found] == every
    assert [list(as_recipients(some)) for some in every] == every


def test_a_list_that_changes_is_read_anew(alice):
    two = person(number=1, emails=("b@x.org",))
    to, mail = [alice.recipient], b"Subject: x\r\n\r\ntext\r\n"
    cmstream.encrypt_message(mail, to)
    to[0] = two.recipient
    sealed = cmstream.encrypt_message(mail, to)
    assert open_message(sealed, two.key)[1].endswith(b"text\r\n")


def test_duplicates_that_are_gone_are_not_mistaken(alice):
    """A duplicate is left out of what is prepared; another object could get its place in memory."""
    der = alice.recipient.der
    (first,) = cmstream.load_recipients(der)
    other = person(number=1).recipient
    for _ in range(100):
        (copy,) = cmstream.load_recipients(der)
        assert list(as_recipients([first, copy])) == [first]
        del copy
        (fresh,) = cmstream.load_recipients(other.der)
        assert list(as_recipients([first, fresh])) == [first, other]
        del fresh


def test_what_is_remembered_goes_with_its_recipient(alice):
    (one,) = cmstream.load_recipients(alice.recipient.der)
    cmstream.encrypt(b"x", [one])
    gone = weakref.ref(one)
    del one
    gc.collect()
    assert gone() is None


def test_it_is_bounded(alice):
    (one,) = cmstream.load_recipients(alice.recipient.der)
    others = [person(number=number).recipient for number in range(3)]
    kept = []
    for _ in range(40):
        kept += [cmstream.load_recipients(other.der)[0] for other in others]
        as_recipients([one, *kept[-3:]])
    assert len(vars(one)["_sets"]) <= 16
    to = as_recipients([one])
    codes = sorted(cmstream.DEFAULT.warn)
    for warned in (frozenset(codes[:count]) for count in range(len(codes))):
        for cipher in ("aes128-cbc", "aes256-cbc", "aes256-gcm"):
            to.check(cmstream.DEFAULT.clone(warn=warned, cipher=cipher))
    assert 0 < len(to._prepared) <= 16


class Changing(list):
    """A list that another thread changes while it is read: by its first item it is one, by all of
    them another."""

    def __iter__(self):
        self.reverse()
        return super().__iter__()


def test_a_list_that_changes_meanwhile_is_not_mistaken(alice):
    one, two = alice.recipient, person(number=1).recipient
    found = as_recipients(Changing([one, two]))
    assert list(found) in ([one, two], [two, one])
    assert list(as_recipients([one, two])) == [one, two]
    assert list(as_recipients([two, one])) == [two, one]


def test_a_password_is_not_remembered(alice):
    (one,) = cmstream.load_recipients(alice.recipient.der)
    to = [one, cmstream.Recipient.from_password("a good one")]
    assert as_recipients(to) is not as_recipients(to)
    assert "_sets" not in vars(one)
