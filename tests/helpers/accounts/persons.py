"""People for tests: two owners, and a clock that only goes when it is told to."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from cmstream.accounts import AccessDenied
from cmstream.accounts.people.people import People
from helpers.accounts.support import ADMINISTRATOR

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


def people_of(store, clock):
    """Alice and Bob own an account each, and have the same password."""
    people = People(store, now=clock)
    for address in (ALICE, BOB):
        store.add_account(address, by=ADMINISTRATOR)
        people.add(address, "owner", account=address, password=PASSWORD, by=ADMINISTRATOR)
    return people


def refused(code, function, *args, **kwargs):
    with pytest.raises(AccessDenied) as caught:
        function(*args, **kwargs)
    assert caught.value.code == code
    return caught.value
