"""The HTTP API as machines and people use it, from nothing to a sealed message."""

from __future__ import annotations

import base64
import subprocess
from email import message_from_bytes

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509 import load_pem_x509_certificate

from cmstream.accounts import open_store
from helpers.accounts.served import (
    ACCOUNTS,
    ALICE,
    BOB,
    certificates,
    copy,
    peopled,
    populate,
    serving,
)
from helpers.accounts.support import pem
from helpers.authorities import key_usage, rsa_identity


@pytest.fixture(scope="module")
def _peopled(tmp_path_factory):
    return peopled(tmp_path_factory.mktemp("api") / "accounts.sqlite3")


@pytest.fixture
def world(_peopled, tmp_path):
    with serving(copy(_peopled, tmp_path)) as found:
        yield found


def pfx(folder, password, number=0):
    key, certificate = rsa_identity(number=number)
    data = pkcs12.serialize_key_and_certificates(
        b"alice", key, certificate, None, BestAvailableEncryption(password.encode())
    )
    (folder / "me.pfx").write_bytes(data)
    pem_key = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "me.key.pem").write_bytes(pem_key)
    return data


def openssl(folder, *arguments):
    return subprocess.run(
        ["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=60
    ).stdout


@pytest.mark.parametrize("cipher", ["aes256-cbc", "aes128-cbc"])
def test_the_documented_route_ends_with_a_message_that_openssl_opens(world, tmp_path, cipher):
    pfx(tmp_path, "secret")
    openssl(
        tmp_path, "pkcs12", "-in", "me.pfx", "-clcerts", "-nokeys", "-out", "public_cert.pem",
        "-passin", "pass:secret",
    )  # fmt: skip
    owner = world.sign_in(ALICE, confirmed=True)
    data = (tmp_path / "public_cert.pem").read_bytes()
    assert b"Bag Attributes" in data

    preview = owner.put(f"{certificates()}?preview", content=data).json()
    assert preview["saved"] is False
    assert preview["certificates"][0]["emails"] == [ALICE]
    assert owner.get(certificates()).json() == {"certificates": []}

    answer = owner.put(f"{certificates()}?description=the card", content=data)
    assert answer.status_code == 200
    assert answer.json()["saved"] is True
    assert owner.patch(f"{ACCOUNTS}/{ALICE}", json={"cipher": cipher}).status_code == 200

    answer = owner.get(f"{ACCOUNTS}/{ALICE}/test")
    assert answer.headers["content-type"] == "message/rfc822"
    message = message_from_bytes(answer.content)
    assert message["To"] == ALICE
    (tmp_path / "test.eml").write_bytes(answer.content)
    opened = openssl(tmp_path, "cms", "-decrypt", "-in", "test.eml", "-inkey", "me.key.pem")
    assert "漢字 ✓" in message_from_bytes(opened).get_payload(decode=True).decode()
    shown = openssl(tmp_path, "cms", "-cmsout", "-print", "-in", "test.eml")
    assert cipher.replace("aes", "aes-") in shown.decode()


@pytest.mark.parametrize("password", ["secret", "pässwörd €", ""])
@pytest.mark.parametrize("coded", [False, True])
def test_a_pfx_opens_with_the_password_of_a_header(world, tmp_path, password, coded):
    data = pfx(tmp_path, password or "another")
    octets = (password or "another").encode()
    headers = (
        {"X-PFX-Password-Base64": base64.b64encode(octets)} if coded else {"X-PFX-Password": octets}
    )
    answer = world.administrator.put(certificates(), content=data, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["private_key_ignored"] is True
    (stored,) = world.store.certificates(ALICE)
    key = load_pem_private_key((tmp_path / "me.key.pem").read_bytes(), None)
    assert stored.recipient.public_key.public_numbers() == key.public_key().public_numbers()


@pytest.mark.parametrize(
    ("headers", "code"),
    [({}, "password-needed"), ({"X-PFX-Password": "wrong"}, "wrong-password")],
)
def test_a_pfx_without_its_password_is_refused_with_the_imports_code(
    world, tmp_path, headers, code
):
    data = pfx(tmp_path, "secret")
    answer = world.administrator.put(certificates(), content=data, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert world.store.certificates(ALICE) == []


def test_a_certificate_is_shown_described_retired_activated_and_deleted(world):
    api = world.administrator
    for number in (0, 1):
        api.post(certificates(), content=pem(number))
    first, second = (one["fingerprint"] for one in api.get(certificates()).json()["certificates"])
    place = f"{certificates()}/{first}"
    assert api.get(place).json()["problems"] == []
    assert api.patch(place, json={"description": "old"}).json()["description"] == "old"
    assert api.patch(place, json={"state": "retired"}).json()["state"] == "retired"
    assert api.patch(place, json={"state": "active"}).json()["state"] == "active"
    assert api.patch(place, json={"state": "gone"}).json()["code"] == "invalid-member"
    assert api.delete(place).status_code == 204
    assert api.get(place).json()["code"] == "no-such-certificate"
    last = api.delete(f"{certificates()}/{second}")
    assert (last.status_code, last.json()["code"]) == (409, "last-certificate")


def test_a_change_with_a_wrong_part_changes_nothing(world):
    api = world.administrator
    for number in (0, 1):
        api.post(certificates(), content=pem(number))
    place = f"{certificates()}/{api.get(certificates()).json()['certificates'][0]['fingerprint']}"
    answer = api.patch(place, json={"state": "retired", "description": "two\nlines"})
    assert answer.status_code == 422
    assert api.get(place).json()["state"] == "active"
    switches = {"encryption": "off", "when_unusable": "never"}
    assert api.patch("/api/v1/switches", json=switches).status_code == 422
    assert api.get("/api/v1/switches").json()["encryption"] == "as-accounts-say"


def test_a_certificate_is_downloaded_in_both_forms(world):
    api, data = world.administrator, pem()
    report = api.put(certificates(), content=data).json()
    place = f"{certificates()}/{report['certificates'][0]['fingerprint']}"
    assert api.get(f"{place}.pem").content == data
    der = api.get(f"{place}.der")
    assert der.content == load_pem_x509_certificate(data).public_bytes(Encoding.DER)
    assert der.headers["content-type"] == "application/pkix-cert"
    assert der.headers["content-disposition"].endswith('.der"')


def test_the_new_certificate_takes_the_place_of_the_old_in_one_step(world):
    api = world.administrator
    old = api.put(certificates(), content=pem(0)).json()["certificates"][0]["fingerprint"]
    report = api.put(f"{certificates()}?retire_others=true", content=pem(1)).json()
    assert report["retired"] == [old]
    assert api.get(f"{ACCOUNTS}/{ALICE}").json()["certificates"]["active"] == 1


def test_a_certificate_for_another_address_is_saved_only_when_confirmed(world):
    api, data = world.administrator, pem(emails=("eve@example.net",))
    preview = api.put(f"{certificates()}?preview", content=data).json()
    assert preview["needs_confirmation"] is True
    assert preview["certificates"][0]["problems"][0]["code"] == "address-mismatch"
    answer = api.put(certificates(), content=data)
    assert (answer.status_code, answer.json()["code"]) == (409, "address-mismatch")
    assert "eve@example.net" in answer.json()["detail"]
    assert world.store.certificates(ALICE) == []
    assert api.put(f"{certificates()}?confirm_mismatch", content=data).status_code == 200
    assert api.get(certificates()).json()["certificates"][0]["mismatch_confirmed"] is True


def test_a_certificate_that_isnt_used_beside_another_says_so(world):
    api = world.administrator
    good = api.put(certificates(), content=pem(0)).json()["certificates"][0]["fingerprint"]
    signing = pem(1, usage=key_usage("digital_signature"))
    other = api.put(certificates(), content=signing).json()["certificates"][0]["fingerprint"]

    def shown():
        listed = {one["fingerprint"]: one for one in api.get(certificates()).json()["certificates"]}
        for fingerprint, one in listed.items():
            assert api.get(f"{certificates()}/{fingerprint}").json() == one
        return listed

    found = shown()
    assert (found[good]["set_aside"], found[good]["problems"]) == (False, [])
    assert (found[other]["state"], found[other]["set_aside"]) == ("active", True)
    codes = [one["code"] for one in found[other]["problems"]]
    assert codes == ["no-key-encipherment", "set-aside"]
    assert "another one is meant for mail" in found[other]["problems"][1]["detail"]
    retired = api.patch(f"{certificates()}/{other}", json={"state": "retired"}).json()
    assert [one["code"] for one in retired["problems"]] == ["no-key-encipherment"]
    back = api.patch(f"{certificates()}/{other}", json={"state": "active"}).json()
    assert back == shown()[other]
    assert back["set_aside"] is True
    api.patch(f"{certificates()}/{good}", json={"state": "retired"})
    assert shown()[other]["set_aside"] is False  # alone it is used


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"], indirect=True)
def test_accounts_are_made_listed_changed_and_removed(url):
    with open_store(url) as store:
        populate(store)
    with serving(url) as world:
        api = world.administrator
        answer = api.post(
            ACCOUNTS, json={"address": "Carol@Bücher.example", "aliases": ["c@x.org"]}
        )
        assert answer.status_code == 201
        address = answer.json()["address"]
        assert address == "carol@xn--bcher-kva.example"
        assert answer.headers["location"] == f"{ACCOUNTS}/{address}"
        taken = api.post(ACCOUNTS, json={"address": "c@x.org"})
        assert (taken.status_code, taken.json()["code"]) == (409, "address-taken")
        sure = {"without_certificate": "true"}
        place = f"{ACCOUNTS}/{address}"
        assert api.patch(place, json={"cipher": "auto"}, params=sure).status_code == 200
        whole = api.put(f"{ACCOUNTS}/{address}", json={"cipher": "aes128-cbc"}).json()
        assert (whole["cipher"], whole["aliases"]) == ("aes128-cbc", [])
        assert api.put(f"{ACCOUNTS}/new@x.org", json={"cipher": None}).status_code == 201
        found = api.get(ACCOUNTS, params={"search": "bcher"}).json()["accounts"]
        assert [one["address"] for one in found] == [address]
        assert api.delete(f"{ACCOUNTS}/{address}").status_code == 204
        assert api.get(f"{ACCOUNTS}/{address}").json()["code"] == "no-such-account"
        log = api.get("/api/v1/audit").json()["entries"]
        assert log[0]["action"] == "remove-account"
        assert api.get("/metrics").status_code == 200


def test_accounts_come_in_pages_that_lead_to_the_next(world):
    for number in range(5):
        world.administrator.post(ACCOUNTS, json={"address": f"p{number}@pages.example"})
    place, seen = f"{ACCOUNTS}?search=pages.example&limit=2", []
    while place:
        page = world.administrator.get(place).json()
        seen.append([one["address"][:2] for one in page["accounts"]])
        place = page["next"]
    assert seen == [["p0", "p1"], ["p2", "p3"], ["p4"]]


def test_accounts_are_chosen_by_expiry_and_by_protection(world):
    api = world.administrator
    api.put(certificates(), content=pem())
    (certificate,) = world.store.certificates(ALICE)
    assert [one["address"] for one in api.get(f"{ACCOUNTS}?unprotected").json()["accounts"]] == [
        BOB
    ]
    assert api.get(f"{ACCOUNTS}?expiring_within=0").json()["accounts"] == []
    soon = api.get(f"{ACCOUNTS}?expiring_within=36500").json()["accounts"]
    assert [one["address"] for one in soon] == [ALICE]
    assert soon[0]["certificates"]["expires_at"][:10] == f"{certificate.not_after:%Y-%m-%d}"


def test_an_address_may_hold_what_urls_reserve(world):
    api, address = world.administrator, "a/b?c#d%e@example.org"
    assert api.post(ACCOUNTS, json={"address": address}).status_code == 201
    place = api.post(ACCOUNTS, json={"address": "x" + address}).headers["location"]
    assert api.get(place).json()["address"] == "x" + address
    assert api.get(f"{place}/certificates").json() == {"certificates": []}


def test_what_an_administrator_changed_is_for_the_owner_to_acknowledge(world):
    world.administrator.put(certificates(), content=pem())
    owner = world.sign_in(ALICE)
    log = f"{ACCOUNTS}/{ALICE}/audit"
    entries = owner.get(f"{log}?unacknowledged").json()["entries"]
    (entry,) = [one for one in entries if one["action"] == "import-certificate"]
    assert entry["needs_acknowledgement"] is True
    place = f"{log}/{entry['id']}/acknowledgement"
    assert world.administrator.post(place).json()["code"] == "person-needed"
    assert world.sign_in("root").post(place).json()["code"] == "forbidden"
    assert owner.post(place).json()["acknowledged_at"]
    assert owner.post(place).json()["code"] == "already-acknowledged"
    assert owner.post(f"{log}/999999/acknowledgement").status_code == 404


def test_switches_override_what_accounts_say(world):
    world.administrator.put(certificates(), content=pem())
    assert world.administrator.get(f"{ACCOUNTS}/{ALICE}/test").status_code == 200
    answer = world.administrator.patch("/api/v1/switches", json={"encryption": "off"})
    assert answer.json()["encryption"] == "off"
    answer = world.administrator.get(f"{ACCOUNTS}/{ALICE}/test")
    assert (answer.status_code, answer.json()["code"]) == (409, "switched-off")


def test_what_becomes_of_mail_is_told(world):
    place = f"{ACCOUNTS}/{ALICE}/seal"
    assert world.administrator.get(place).json()["code"] == "no-usable-certificate"
    world.administrator.put(certificates(), content=pem())
    found = world.administrator.get(place).json()
    assert (found["action"], found["cipher"]) == ("seal", "aes256-cbc")
    world.administrator.patch(f"{ACCOUNTS}/{ALICE}", json={"cipher": None})
    assert world.administrator.get(place).json()["code"] == "disabled"


def test_a_choice_that_the_owners_program_cannot_open_is_refused(world):
    api, place = world.administrator, f"{ACCOUNTS}/{ALICE}"
    clients = {one["id"]: one for one in api.get("/api/v1/clients").json()["clients"]}
    assert "aes256-gcm" in clients["apple-mail"]["fails"]
    assert api.patch(place, json={"clients": ["apple-mail"]}).status_code == 200
    answer = api.patch(place, json={"cipher": "aes256-gcm"})
    assert (answer.status_code, answer.json()["code"]) == (409, "unreadable-choice")
    assert "Apple Mail" in answer.json()["detail"]
    api.patch(place, json={"clients": ["a program of my own"]})
    (finding,) = api.put(f"{certificates()}?preview", content=pem()).json()["findings"]
    assert (finding["level"], finding["client"]) == ("warn", "a program of my own")


def test_without_a_certificate_there_is_no_test_message(world):
    answer = world.administrator.get(f"{ACCOUNTS}/{ALICE}/test")
    assert (answer.status_code, answer.json()["code"]) == (409, "no-usable-certificate")
    world.administrator.patch(f"{ACCOUNTS}/{ALICE}", json={"cipher": None})
    answer = world.administrator.get(f"{ACCOUNTS}/{ALICE}/test")
    assert (answer.status_code, answer.json()["code"]) == (409, "disabled")


def test_people_are_added_with_a_link_and_removed(world):
    root = world.sign_in("root", confirmed=True)
    person = {"name": "Bob", "role": "owner", "account": BOB}
    assert root.post("/api/v1/people", json=person).json()["has_password"] is False
    assert root.post("/api/v1/people", json=person).json()["code"] == "name-taken"
    link = root.post("/api/v1/people/bob/link").json()["url"]
    assert world.client().get(link).status_code == 200
    assert "bob" in [one["name"] for one in root.get("/api/v1/people").json()["people"]]
    assert root.delete("/api/v1/people/bob").status_code == 204
    assert root.delete("/api/v1/people/bob").json()["code"] == "no-such-person"
    assert root.delete("/api/v1/people/root").json()["code"] == "last-administrator"


def test_the_server_tells_its_figures(world):
    world.administrator.put(certificates(), content=pem())
    text = world.administrator.get("/metrics").text
    assert 'cmstream_accounts{state="protected"} 1.0' in text
    assert 'cmstream_accounts{state="unprotected"} 1.0' in text
    assert 'cmstream_certificates{state="active"} 1.0' in text
    assert 'cmstream_accounts_expiring{days="0"} 0.0' in text
    assert 'cmstream_http_requests_total{method="PUT"' in text
    assert ALICE not in text


def test_health_is_for_everybody(world):
    assert world.client().get("/health").json() == {"status": "ok"}
