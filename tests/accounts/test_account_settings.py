"""The list of an account's settings: all that handles settings has each of them."""

from __future__ import annotations

import argparse

import pytest

from cmstream.accounts import Invalid
from cmstream.accounts.account import SWITCHES
from cmstream.accounts.account_settings import DEFAULTS, SETTINGS, STORED, checked
from cmstream.accounts.api.schemas import SCHEMAS
from cmstream.accounts.setting import Choice, Flag, Names
from cmstream.accounts.tables import accounts
from cmstream.command.account import _settings, add_command
from cmstream.command.shared import Parser
from helpers.accounts.served import ACCOUNTS, ALICE, copy, peopled, serving
from helpers.accounts.support import ADMINISTRATOR


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    path = peopled(tmp_path_factory.mktemp("settings") / "accounts.sqlite3")
    with serving(copy(path, tmp_path_factory.mktemp("served"))) as found:
        yield found.administrator


def another(name):
    """A value that isn't the default."""
    one = SETTINGS[name]
    if isinstance(one, Flag):
        return not one.default
    if isinstance(one, Choice):
        return next(word for word in one.choices if word != one.default)
    return {"domains": ["example.net"], "aliases": ["other@example.org"]}.get(name, ["mutt"])


def test_every_setting_has_words_for_people():
    for name, one in SETTINGS.items():
        assert one.name == name
        assert one.help.endswith(".")
        assert one.label
        assert one.say(one.default)
        assert one.say(checked({name: another(name)})[name])
        assert bool(one.options) == bool(one.legend)


def test_a_value_stays_the_same_on_its_way_through_a_column_and_through_text():
    for name, one in SETTINGS.items():
        for value in checked({name: another(name)})[name], one.default:
            assert one.load(one.store(value)) == value
            assert one.check(one.read(one.texts(value))) == value
            assert set(one.texts(value)) <= set(one.words) or not one.words


def test_the_columns_are_those_of_the_list():
    names = set(accounts.columns.keys()) - {"id", "address", "created_at"}
    assert names == STORED.keys() == DEFAULTS.keys()


@pytest.mark.parametrize("name", SETTINGS)
def test_the_store_keeps_each_setting_and_refuses_what_it_is_not(name, store):
    store.add_account(ALICE, by=ADMINISTRATOR)
    changed = store.change_account(ALICE, by=ADMINISTRATOR, **{name: another(name)})
    assert getattr(store.account(ALICE), name) == SETTINGS[name].check(another(name))
    assert changed == store.account(ALICE)
    with pytest.raises(Invalid):
        store.change_account(ALICE, by=ADMINISTRATOR, **{name: 7})


@pytest.mark.parametrize("name", SETTINGS)
def test_the_api_takes_gives_and_resets_each_setting(name, api):
    place = f"{ACCOUNTS}/{ALICE}"
    sure = {"without_certificate": "true"}
    assert api.patch(place, json={name: another(name)}, params=sure).status_code == 200
    assert api.get(place).json()[name] == another(name)
    assert api.put(place, json={"cipher": None}).status_code == 200
    default = SETTINGS[name].default
    assert api.get(place).json()[name] == (list(default) if SETTINGS[name].many else default)


def test_the_schemas_have_each_setting():
    for schema in ("Settings", "AllSettings", "NewAccount", "Account"):
        assert SCHEMAS[schema]["properties"].keys() >= SETTINGS.keys()
    assert SCHEMAS["Account"]["example"].keys() >= SETTINGS.keys()


def test_the_command_has_an_option_for_each_setting():
    parser = argparse.ArgumentParser()
    add_command(parser.add_subparsers(parser_class=Parser))
    for name, one in SETTINGS.items():
        text = ",".join(one.texts(another(name)))
        options = parser.parse_args(["account", "set", ALICE, f"--{name.replace('_', '-')}", text])
        assert _settings(options) == {name: another(name)}


def test_a_switch_overrides_a_setting_with_words_that_the_setting_knows():
    for name in SWITCHES.keys() & SETTINGS.keys():
        words = [word for word in SETTINGS[name].words if word != "as-server-says"]
        assert SWITCHES[name] == ("", *words)
        for word in SETTINGS[name].words:
            SETTINGS[name].check(SETTINGS[name].read([word]))


def test_names_are_kept_once_and_in_order_where_the_order_counts():
    clients, aliases = SETTINGS["clients"], SETTINGS["aliases"]
    assert isinstance(clients, Names)
    assert clients.check(["b", "a", "b"]) == ("b", "a")
    assert aliases.check(["b@x.org", "a@x.org", "B@X.org"]) == ("a@x.org", "b@x.org")
