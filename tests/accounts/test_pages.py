"""The pages without a browser: who may, forms that aren't ours, limits, what is written down."""

from __future__ import annotations

import re
import tempfile
import time

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from cmstream.accounts import StoreUnavailable, open_store
from cmstream.accounts.account import SWITCHES
from cmstream.accounts.http import forms
from cmstream.accounts.pages import (
    bulk,
    entry,
    upload,
    words,
)
from cmstream.accounts.people.people import People
from helpers.accounts.served import ALICE, BOB, PASSWORDS, copy, peopled, send, serving, token
from helpers.accounts.support import ADMINISTRATOR, OWNER, pem, session
from helpers.authorities import certificate, key_usage, other_key, rsa_identity

PASSWORD = PASSWORDS[ALICE]


@pytest.fixture(scope="module")
def _peopled(tmp_path_factory):
    return peopled(tmp_path_factory.mktemp("peopled") / "accounts.sqlite3")


@pytest.fixture
def database(_peopled, tmp_path):
    return copy(_peopled, tmp_path)


@pytest.fixture
def store(database):
    with open_store(database) as opened:
        yield opened


@pytest.fixture
def client(database):
    with serving(database) as world:
        yield world.client()


def sign_in(client, name=ALICE, password=PASSWORD, **fields):
    form = {"csrf": token(client.get("/sign-in")), "name": name, "password": password}
    return client.post("/sign-in", data={**form, **fields})


@pytest.fixture
def alice(client, store):
    client.cookies["cmstream"] = session(store, ALICE)
    return client


@pytest.fixture
def root(client, store):
    client.cookies["cmstream"] = session(store, "root")
    return client


def test_cookies_are_for_this_host_over_tls_and_for_no_script(store, database):
    with serving(database, public_url="https://keys.example.org") as world:
        client = world.client()
        page = client.get("/sign-in")
        form = page.headers["set-cookie"]
        fields = {"csrf": token(page), "name": ALICE, "password": PASSWORD}
        answer = client.post("/sign-in", data=fields, headers={"Cookie": form.partition(";")[0]})
        session = answer.headers["set-cookie"]
    assert form.startswith("__Host-cmstream-form=")
    assert session.startswith("__Host-cmstream=")
    for part in ("HttpOnly", "Secure", "Path=/"):
        assert part in form
        assert part in session
    assert "Domain" not in form + session


def test_a_sign_in_gives_a_new_session_and_ends_the_one_before(client, store):
    first = sign_in(client).cookies["cmstream"]
    page = client.get("/account")
    again = client.post("/sign-in", data={"csrf": token(page), "name": ALICE, "password": PASSWORD})
    assert again.cookies["cmstream"] != first
    assert People(store).session(first) is None


def test_whoever_signs_out_is_out_everywhere_with_that_cookie(alice, store):
    secret = alice.cookies["cmstream"]
    assert send(alice, "/account", "/sign-out").status_code == 303
    assert People(store).session(secret) is None


@pytest.mark.parametrize("path", ["/account", "/accounts", "/switches", "/account/upload"])
def test_a_stranger_is_sent_to_the_sign_in(client, path):
    answer = client.get(path)
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/sign-in?next={path.replace('/', '%2F')}"
    assert client.post(path, data={}).headers["location"] == "/sign-in"


@pytest.mark.parametrize(
    "target",
    ["//evil.example", "https://evil.example", "/\\evil.example", "\\/evil", "", "/a\nb"],
)
def test_after_the_sign_in_nobody_is_led_elsewhere(target):
    assert entry._local(target) == "/"


def test_a_page_of_this_server_is_where_it_leads(client):
    answer = sign_in(client, next="/account/settings?x=1")
    assert answer.headers["location"] == "/account/settings?x=1"


@pytest.mark.parametrize("sent", ["", "0" * 64, None])
def test_a_form_needs_the_sessions_token(alice, store, sent):
    data = {"password": PASSWORD} | ({} if sent is None else {"csrf": sent})
    answer = alice.post("/account/off", data=data)
    assert answer.status_code == 403
    assert "The form is older than your session." in answer.text


def test_even_the_sign_in_needs_a_token(client):
    answer = client.post("/sign-in", data={"name": ALICE, "password": PASSWORD})
    assert answer.status_code == 403
    assert "cmstream=" not in answer.headers.get("set-cookie", "")


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_a_form_from_another_site_is_refused_even_with_the_token(alice, headers):
    answer = send(alice, "/account", "/sign-out", headers=headers)
    assert answer.status_code == 403


def test_a_bearer_token_opens_no_page(client, store):
    secret, _ = People(store).add_token("gateway", scopes=["accounts:read"], by=ADMINISTRATOR)
    answer = client.get("/account", headers={"Authorization": f"Bearer {secret}"})
    assert answer.headers["location"].startswith("/sign-in")


def test_what_is_not_there_is_a_page_for_people_and_a_problem_for_machines(client):
    page = client.get("/nothing")
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "There is no such page" in page.text
    machine = client.get("/api/v1/nothing")
    assert machine.headers["content-type"] == "application/problem+json"
    assert client.get("/sign-out").status_code == 303
    assert client.put("/account").status_code == 405


def test_a_form_that_is_too_long_is_refused(alice):
    long = {"csrf": "x", "certificates": "x" * (2 << 20)}
    answer = alice.post("/account/save", data=long)
    assert answer.status_code == 413
    assert "That is too much at once" in answer.text
    chunks = (b"certificates=" + b"x" * (1 << 19) for _ in range(3))
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    assert alice.post("/account/save", content=chunks, headers=kind).status_code == 413


def test_a_form_of_another_kind_is_refused(alice):
    answer = alice.post("/account/off", content=b"{}", headers={"Content-Type": "text/json"})
    assert answer.status_code == 415
    multipart = {"Content-Type": "multipart/form-data; boundary=x"}
    assert alice.post("/account/off", content=b"nonsense", headers=multipart).status_code == 400
    for charset in ("utf-16", "utf-7", "hex"):
        other = {"Content-Type": f"multipart/form-data; boundary=x; charset={charset}"}
        assert alice.post("/account/off", content=b"--x--", headers=other).status_code == 415


def test_a_form_that_never_comes_is_waited_for_so_long(alice, monkeypatch):
    def slow():
        yield b"csrf=x"
        time.sleep(1)

    monkeypatch.setattr(forms, "TIMEOUT", 0.05)
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    assert alice.post("/account/off", content=slow(), headers=kind).status_code == 408


def test_settings_in_a_store_out_of_reach_are_no_mistake_of_the_form(alice, monkeypatch):
    def away(*_, **__):
        raise StoreUnavailable("store-unavailable", "away")

    monkeypatch.setattr("cmstream.accounts.store.Store.change_account", away)
    data = {"cipher": "aes256-cbc", "when_unusable": "error", "password": PASSWORD}
    assert send(alice, "/account/settings", "/account/settings", data).status_code == 503


def test_switching_on_without_a_certificate_is_confirmed(alice, store):
    store.change_account(ALICE, by=OWNER, cipher=None)
    choices = {"when_unusable": "error", "header_protection": "as-server-says"}
    data = {"cipher": "aes256-cbc", "password": PASSWORD, **choices}
    where = ("/account/settings", "/account/settings")
    assert "without_certificate" not in alice.get("/account/settings").text
    answer = send(alice, *where, data)
    assert answer.status_code == 422
    assert "all its mail would wait in the mail server" in answer.text
    assert 'name="without_certificate"' in answer.text
    assert store.account(ALICE).cipher is None
    answer = send(alice, *where, data | {"without_certificate": "yes"})
    assert answer.status_code == 303
    assert store.account(ALICE).cipher == "aes256-cbc"


def test_no_upload_is_ever_written_to_a_file(alice, monkeypatch):
    def written(*_):
        raise AssertionError("an upload would have been written to a file")

    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", written)
    files = [("files", (f"{n}.pfx", b"x" * (60 << 10))) for n in range(16)]
    answer = send(alice, "/account/upload", "/account/upload", files=files)
    assert answer.status_code == 422
    assert answer.text.count("<h2>") >= 16


def test_a_file_that_is_too_large_is_named(alice):
    files = {"files": ("big.pem", b"x" * ((64 << 10) + 1))}
    answer = send(alice, "/account/upload", "/account/upload", files=files)
    assert "at most" in answer.text
    assert "big.pem" in answer.text


def test_an_upload_has_so_many_files_and_no_more(alice):
    files = [("files", (f"{n}.pem", pem())) for n in range(upload.MOST_FILES + 1)]
    answer = send(alice, "/account/upload", "/account/upload", files=files)
    assert answer.status_code == 422
    assert "These are 21 files: choose 20 at most." in answer.text


def test_files_that_take_long_hold_nobody_up(alice, monkeypatch):
    monkeypatch.setattr(upload, "MOST_SECONDS", -1)
    files = {"files": ("slow.pfx", b"x")}
    answer = send(alice, "/account/upload", "/account/upload", files=files)
    assert "slow.pfx" in answer.text
    assert "the files before it took too long: send it alone." in answer.text


def test_what_a_person_sends_is_never_markup(alice):
    name = '<script src=x>".pem'
    files = {"files": (name, b"nothing")}
    answer = send(alice, "/account/upload", "/account/upload", files=files)
    assert "<script src=x" not in answer.text
    assert "&lt;" in answer.text


def test_a_bundle_that_was_changed_is_judged_again(alice, store):
    data = {
        "certificates": pem(emails=("bob@example.net",)).decode(),
        "password": PASSWORD,
    }
    answer = send(alice, "/account/upload", "/account/save", data)
    assert answer.status_code == 422
    assert store.certificates(ALICE) == []
    assert send(alice, "/account/upload", "/account/save", {"certificates": "ä"}).status_code == 422


def test_a_mail_program_that_cannot_open_the_cipher_refuses_it(alice, store):
    data = {
        "cipher": "aes256-gcm",
        "clients": ["thunderbird", "gpgsm"],
        "when_unusable": "error",
        "header_protection": "baseline",
        "password": PASSWORD,
    }
    answer = send(alice, "/account/settings", "/account/settings", data)
    assert answer.status_code == 422
    assert "Thunderbird can&#39;t open AES-256-GCM" in answer.text
    assert store.account(ALICE).cipher == "aes256-cbc"
    data["clients"] = ["gpgsm"]
    assert send(alice, "/account/settings", "/account/settings", data).status_code == 303
    page = alice.get("/account").text
    assert "only with GnuPG 2.3.2 or later" in page
    assert "KMail and others with GnuPG (gpgsm) shows [...] instead of the sealed subject" in page
    store.set_switch("header_protection", "none", by=ADMINISTRATOR)
    assert "instead of the sealed subject" not in alice.get("/account").text


def test_a_key_that_a_mail_program_cannot_use_is_said_before_it_is_saved(alice, store):
    store.change_account(ALICE, by=OWNER, cipher=None, clients=["thunderbird"])
    key = other_key("x25519")
    made = certificate(key, common_name="Alice", emails=(ALICE,))
    files = {"files": ("alice.cer", made.public_bytes(Encoding.DER))}
    page = send(alice, "/account/upload", "/account/upload", files=files)
    assert "Thunderbird can&#39;t open mail for a key of the kind X25519" in page.text
    bundle = made.public_bytes(Encoding.PEM).decode()
    data = {"certificates": bundle, "switch_on": "yes", "password": PASSWORD}
    answer = send(alice, "/account/upload", "/account/save", data)
    assert answer.headers["location"] == "/account/settings?done=not-on"
    assert store.account(ALICE).cipher is None
    assert len(store.certificates(ALICE)) == 1


def test_an_owner_sees_what_the_server_overrides(alice, store):
    before = alice.get("/account").text
    store.set_switch("append_sealed_by", "script", by=ADMINISTRATOR)
    store.set_switch("encrypt_on_append", "yes", by=ADMINISTRATOR)
    store.set_switch("when_unusable", "clear", by=ADMINISTRATOR)
    after = alice.get("/account").text
    assert "stay as they are" in before
    assert "mail waits" in before
    assert "encrypted too" in after
    assert "delivered in the clear" in after
    assert after.count("set for the whole server") == 2


def test_an_entry_of_another_account_is_not_acknowledged(alice, store):
    (entry_,) = store.audit(BOB)
    answer = send(alice, "/account", "/account/acknowledge", {"entry": str(entry_.id)})
    assert answer.status_code == 404
    assert store.audit(BOB)[0].acknowledged_at is None
    for wrong in ("x", "9" * 10, "9" * 5000):
        answer = send(alice, "/account", "/account/acknowledge", {"entry": wrong})
        assert answer.status_code == 404


def test_a_certificate_is_given_back_as_it_is(alice, store):
    store.import_certificates(ALICE, pem(), by=OWNER)
    (held,) = store.certificates(ALICE)
    answer = alice.get(f"/account/certificate/file?fingerprint={held.fingerprint}")
    assert answer.content == held.der
    assert answer.headers["content-type"] == "application/pkix-cert"


def test_without_a_mail_command_nothing_is_sent(alice):
    assert "Send it" not in alice.get("/account/test").text
    assert send(alice, "/account", "/account/test/send").status_code == 404


def test_every_answer_has_the_security_headers(client):
    for place in "/sign-in", "/nowhere", "/api/v1/accounts", "/static/style.css":
        headers = client.get(place).headers
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_the_style_is_kept_and_the_pages_are_not(client):
    assert client.get("/static/style.css").status_code == 200
    assert client.get("/sign-in").headers["cache-control"] == "no-store"
    assert client.get("/static/../pages.py").status_code == 404


def test_every_action_of_the_audit_log_has_words(store, database):
    store.set_switch("encryption", "off", by=ADMINISTRATOR)
    store.change_account(ALICE, by=OWNER, cipher="aes128-cbc")
    texts = [words.change(one) for one in store.audit()]
    assert "set a switch of the whole server: encryption is off" in texts
    assert "changed the settings: cipher: AES-128" in texts


def test_an_administrator_link_is_shown_once_and_not_logged(root, store):
    where = f"/account/owner?address={ALICE}"
    data = {"name": ALICE}
    for wrong in ({}, {"password": PASSWORD}):
        answer = send(root, where, where, data | wrong)
        assert answer.status_code == 422
        assert "/link/" not in answer.text
    answer = send(root, where, where, data | {"password": PASSWORDS["root"]})
    secret = re.search(r"/link/([\w-]+)", answer.text)[1]
    assert answer.status_code == 200
    assert secret not in str(store.audit())
    assert People(store).link(secret).person.name == ALICE


def test_a_link_that_works_no_more_says_why(client, store):
    people = People(store)
    old = people.add_link("set-password", ALICE, by=ADMINISTRATOR)
    people.add_link("set-password", ALICE, by=ADMINISTRATOR)
    answer = client.get(f"/link/{old}")
    assert answer.status_code == 403
    assert "<h1>The link works no more</h1>" in answer.text
    for said in ("a newer one took its place", "cmstream account link NAME"):
        assert said in answer.text


def test_an_account_is_added_by_whoever_knows_the_password(root, store):
    data = {"address": "new@example.org", "owner": "yes"}
    answer = send(root, "/accounts/add", "/accounts/add", data)
    assert answer.status_code == 422
    assert "/link/" not in answer.text
    assert [one.address for one in store.accounts()] == [ALICE, BOB]
    data["password"] = PASSWORDS["root"]
    answer = send(root, "/accounts/add", "/accounts/add", data)
    assert "/link/" in answer.text
    assert store.account("new@example.org")


PLANS = ["", "[]", "null", '{"items": [3]}', '{"items": [{"x": 1}]}', "[" * 100_000]


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan[:20])
def test_a_plan_that_is_none_is_refused(root, store, plan):
    answer = send(root, "/accounts/import", "/accounts/import/save", {"plan": plan})
    assert answer.status_code == 422
    assert "choose the files again" in answer.text


def test_tables_of_other_programs_are_read():
    table = "\ufeffAddress;File\r\nalice@example.org;a.pem\r\n".encode()
    results = []
    rows = list(bulk._rows(bulk_upload("t.csv", table), results))
    assert rows == [("t.csv, line 2", {"address": "alice@example.org", "file": "a.pem"})]
    assert list(bulk._rows(bulk_upload("t.csv", b"\xff"), results)) == []
    assert "needs the columns" in results[0].sentences[0]
    assert list(bulk._rows(bulk_upload("t.csv", b"\x00\xff"), results)) == []
    assert "save it as CSV in UTF-8" in results[1].sentences[0]


def test_files_of_the_same_name_are_all_read():
    files = [bulk_upload("me.pem", pem()), bulk_upload("me.pem", pem(1, emails=(BOB,)))]
    items, results = bulk._items(files, None)
    assert [one.address for one in items] == [ALICE, BOB]
    assert results == []


def test_a_table_names_ciphers_that_there_are():
    lines = [f"{ALICE},me.pem,aes128-cbc\n", f"{BOB},me.pem,rot13\n"]
    table = bulk_upload("t.csv", "".join(["address,file,cipher\n", *lines]).encode())
    items, (result,) = bulk._items([table, bulk_upload("me.pem", pem())], None)
    assert [(one.address, one.cipher) for one in items] == [(ALICE, "aes128-cbc")]
    assert "There is no cipher rot13" in result.sentences[0]


def test_a_table_names_a_file_that_is_there_once():
    table = bulk_upload("t.csv", f"address,file\n{ALICE},me.pem\n".encode())
    files = [bulk_upload("me.pem", pem()), bulk_upload("me.pem", pem(1))]
    items, (result,) = bulk._items([table, *files], None)
    assert items == []
    assert "2 of the files are called me.pem" in result.sentences[0]


def test_a_certificate_of_several_addresses_is_given_to_none_of_them():
    mallory = bulk_upload("mallory.pem", pem(emails=("mallory@example.org", ALICE)))
    items, (result,) = bulk._items([mallory], None)
    assert items == []
    assert "names 2 addresses: say by a table" in result.sentences[0]
    items, results = bulk._items([bulk_upload("a.pem", pem(emails=(ALICE, ALICE.upper())))], None)
    assert ([one.address for one in items], results) == ([ALICE], [])
    table = bulk_upload("t.csv", f"address,file\n{ALICE},mallory.pem\n".encode())
    assert [one.address for one in bulk._items([table, mallory], None)[0]] == [ALICE]


def bulk_upload(name, data):
    from cmstream.accounts.http.forms import Upload

    return Upload("files", name, data)


def test_a_certificate_that_isnt_meant_for_mail_is_shown_as_not_used(alice, store):
    store.import_certificates(ALICE, pem(), by=OWNER)
    signing = rsa_identity(number=1, usage=key_usage("digital_signature"))[1]
    store.import_certificates(ALICE, signing.public_bytes(Encoding.PEM), by=OWNER)
    page = alice.get("/account").text
    assert page.count(">in use<") == page.count(">not used<") == 1
    assert "and another one is meant for mail." in page
    fingerprint = signing.fingerprint(hashes.SHA256()).hex()
    assert "and another one is meant for mail." in alice.get(
        f"/account/certificate?fingerprint={fingerprint}"
    ).text  # fmt: skip


def test_the_switches_page_sets_the_delimiters(database, store):
    store.add_account("bob-x@example.net", by=ADMINISTRATOR)
    with serving(database) as world:
        root = world.client()
        sign_in(root, "root", PASSWORDS["root"])
        assert 'id="recipient_delimiter"' in root.get("/switches").text
        data = {name: values[0] for name, values in SWITCHES.items()}
        data["password"] = PASSWORDS["root"]
        wrong = send(root, "/switches", "/switches", data | {"recipient_delimiter": "a"})
        assert wrong.status_code == 422
        assert "can&#39;t begin the detail" in wrong.text
        assert store.switches()["recipient_delimiter"] == "+"
        answer = send(root, "/switches", "/switches", data | {"recipient_delimiter": "-+"})
        assert answer.status_code == 303
        assert store.switches()["recipient_delimiter"] == "-+"
        assert "alice-news@example.org" in root.get(f"/account?address={ALICE}").text
        del data["recipient_delimiter"]  # a form that an earlier version made
        assert send(root, "/switches", "/switches", data).status_code == 303
        assert store.switches()["recipient_delimiter"] == "-+"
        send(root, "/switches", "/switches", data | {"recipient_delimiter": ""})
        assert store.switches()["recipient_delimiter"] == ""
        assert "with a detail" not in root.get(f"/account?address={ALICE}").text
        assert "recipient_delimiter is none" in root.get("/log").text
