"""``cmstream doctor`` finds domains whose mail Postfix doesn't hand to the gateway."""

from __future__ import annotations

import json

import pytest

from cmstream.accounts import open_store
from cmstream.command import doctor_domains, doctor_postfix
from helpers.command import run
from helpers.servers.mail import populated
from helpers.servers.place import folder
from helpers.servers.postfix import Postfix, Way

GATEWAY = "lmtp:inet:127.0.0.1:10024"
VIRTUAL = {"virtual_transport": GATEWAY, "virtual_mailbox_domains": "example.org"}
LOCAL = {"virtual_mailbox_domains": "", "mydestination": "localhost, shop.example.org,Example.org"}


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    return populated(tmp_path_factory.mktemp("store"))


def look(main, url):
    with folder("doctor") as own, open_store(url) as store:
        Postfix(own, Way(main))
        return list(doctor_domains.look(doctor_postfix.read(f"{own}/etc"), store.accounts()))


@pytest.mark.parametrize(
    ("main", "named"),
    [
        (VIRTUAL, None),
        (VIRTUAL | LOCAL, "mydestination"),
        (VIRTUAL | LOCAL | {"mailbox_transport": GATEWAY}, None),
        (VIRTUAL | LOCAL | {"mailbox_transport": "lmtp:127.0.0.1:10024"}, None),
        (VIRTUAL | LOCAL | {"mailbox_transport": GATEWAY, "local_transport": "discard:"},
         "mydestination"),
        (VIRTUAL | LOCAL | {"local_transport": GATEWAY}, None),
        (VIRTUAL | LOCAL | {"transport_maps": "inline:{example.org=lmtp:inet:127.0.0.1:9}"}, None),
        (VIRTUAL | LOCAL | {"smtpd_proxy_filter": "127.0.0.1:9"}, None),
        ({"mailbox_transport": GATEWAY, "virtual_mailbox_domains": "a.example example.org",
          "virtual_transport": "virtual"}, "virtual_mailbox_domains"),
        (VIRTUAL | {"relay_domains": "shop.example.org"}, "relay_domains"),
        (VIRTUAL | {"mydestination": "carol.example.org"}, None),
        (LOCAL, None),
    ],
)  # fmt: skip
def test_domains_that_pass_the_gateway_by(main, named, url):
    found = look(main, url)
    assert [one.status for one in found] == (["wrong"] if named else [])
    assert not named or f"{named} has the domain" in found[0].text
    assert not named or found[0].remedy.endswith(f"_transport = {GATEWAY}'")


def test_two_places_that_can_not_both_be_the_gateway(url):
    local = "lmtp:unix:private/dovecot-lmtp"
    main = VIRTUAL | {"mydestination": "shop.example.org", "mailbox_transport": local}
    (found,) = look(main, url)
    assert found.status == "warning"
    assert f" example.org to {GATEWAY}" in found.text
    assert f"shop.example.org to {local}" in found.text
    (found,) = look(VIRTUAL | {"relay_transport": local}, url)
    assert found.text.endswith(f"? example.org to {GATEWAY}")


def test_with_several_places_the_administrator_chooses(url):
    other = {"default_transport": "lmtp:inet:127.0.0.1:9"}
    (found,) = look(VIRTUAL | LOCAL | other, url)
    assert found.status == "wrong"
    assert found.remedy.endswith(f"which is one of {GATEWAY}, lmtp:inet:127.0.0.1:9")


def test_what_it_says_mends_it(url):
    with folder("doctor") as own, open_store(url) as store:
        postfix = Postfix(own, Way(VIRTUAL | LOCAL))
        (found,) = doctor_domains.look(doctor_postfix.read(f"{own}/etc"), store.accounts())
        assert "example.org, shop.example.org isn't" in found.text
        postfix.run("postconf", "-e", found.remedy.removeprefix("postconf -e ").strip("'"))
        assert list(doctor_domains.look(doctor_postfix.read(f"{own}/etc"), store.accounts())) == []


def test_with_aliases_it_may_be_meant(url):
    (found,) = look(VIRTUAL | LOCAL | {"virtual_alias_maps": "inline:{a=b}"}, url)
    assert found.status == "warning"


def test_the_command_says_it(url):
    with folder("doctor") as own:
        Postfix(own, Way(VIRTUAL | LOCAL))
        done = run("doctor", "--json", "--database", url, "--postfix-config", f"{own}/etc", code=78)
    assert [one for one in json.loads(done.stdout) if "mydestination has" in one["text"]]
