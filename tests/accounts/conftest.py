"""Stores on both databases, and people who may sign in."""

from helpers.accounts.fixtures import (  # noqa: F401 - fixtures
    _postgresql_template,
    _sqlite_template,
    clock,
    empty_url,
    kind,
    people,
    postgresql,
    quick_hashes,
    quick_people,
    sqlite_url,
    store,
    url,
)
