"""Who may do what: owners and administrators, tokens and sessions, and pages of other sites."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from cmstream.accounts.people.people import OWNER_SCOPES, People
from helpers.accounts.served import (
    ACCOUNTS,
    ALICE,
    BOB,
    PASSWORDS,
    certificates,
    copy,
    peopled,
    serving,
)
from helpers.accounts.support import ADMINISTRATOR, pem

SESSION = "/api/v1/session"
ENTRY = "/audit/1/acknowledgement"
F = "0" * 64


@pytest.fixture(scope="module")
def _peopled(tmp_path_factory):
    return peopled(tmp_path_factory.mktemp("access") / "accounts.sqlite3")


@pytest.fixture(scope="module")
def world(_peopled, tmp_path_factory):
    with serving(copy(_peopled, tmp_path_factory.mktemp("served"))) as found:
        found.administrator.put(certificates(BOB), content=pem(1, emails=(BOB,)))
        yield found


@pytest.fixture(scope="module")
def owner(world):
    return world.sign_in(ALICE, confirmed=True)


@pytest.fixture(scope="module")
def bound(world):
    """A machine that may do with Alice's account whatever an owner may."""
    return world.machine(*OWNER_SCOPES, account=ALICE)


CALLS = [
    ("GET", "", None),
    ("PUT", "", {"cipher": None}),
    ("PATCH", "", {"cipher": None}),
    ("DELETE", "", None),
    ("GET", "/certificates", None),
    ("PUT", "/certificates", "pem"),
    ("PUT", "/certificates?preview", "pem"),
    ("POST", "/certificates", "pem"),
    ("GET", "/certificates/{held}", None),
    ("GET", "/certificates/{held}.pem", None),
    ("GET", "/certificates/{held}.der", None),
    ("PATCH", "/certificates/{held}", {"state": "retired"}),
    ("DELETE", "/certificates/{held}", None),
    ("GET", "/test", None),
    ("POST", "/test", None),
    ("GET", "/audit", None),
]


def call(client, method, path, body):
    if body == "pem":
        return client.request(method, path, content=pem(2))
    return client.request(method, path, **({} if body is None else {"json": body}))


@pytest.mark.parametrize("wanted", [*CALLS, ("POST", ENTRY, None)])
def test_of_another_account_an_owner_learns_only_that_there_is_none(world, owner, bound, wanted):
    method, path, body = wanted
    (held,) = world.store.certificates(BOB)
    before = world.store.account(BOB), held, len(world.store.audit())
    path = path.format(held=held.fingerprint)
    for client in (owner, bound):
        answers = [call(client, method, f"{ACCOUNTS}/{who}{path}", body)
                   for who in (BOB, "nobody@example.org")]  # fmt: skip
        assert {one.status_code for one in answers} == {404}
        assert {one.json()["code"] for one in answers} == {"no-such-account"}
        assert answers[0].json()["detail"].replace(BOB, "X") == answers[1].json()["detail"].replace(
            "nobody@example.org", "X"
        )
    assert (world.store.account(BOB), *world.store.certificates(BOB)) == before[:2]
    assert len(world.store.audit()) == before[2]


@pytest.mark.parametrize(("method", "path", "body"), [*CALLS, ("POST", ENTRY, None)])
def test_whoever_says_nothing_is_asked_who_they_are(world, method, path, body):
    answer = call(world.client(), method, f"{ACCOUNTS}/{ALICE}{path.format(held=F)}", body)
    assert (answer.status_code, answer.json()["code"]) == (401, "not-signed-in")
    assert answer.headers["www-authenticate"].startswith("Bearer ")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/v1/audit", None),
        ("GET", "/api/v1/switches", None),
        ("PATCH", "/api/v1/switches", {"encryption": "off"}),
        ("POST", ACCOUNTS, {"address": "new@example.org"}),
        ("GET", "/api/v1/people", None),
        ("POST", "/api/v1/people", {"name": "eve", "role": "administrator"}),
        ("DELETE", "/api/v1/people/root", None),
        ("POST", "/api/v1/people/root/link", None),
    ],
)
def test_what_is_for_administrators_is_refused_to_owners(world, owner, method, path, body):
    answer = call(owner, method, path, body)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert world.store.switches()["encryption"] == "as-accounts-say"


def test_an_owner_lists_the_own_account_alone(owner, bound):
    for client in (owner, bound):
        for query in ("", "?search=bob", "?after=a", "?limit=1000"):
            found = client.get(f"{ACCOUNTS}{query}").json()["accounts"]
            assert {one["address"] for one in found} <= {ALICE}


def test_an_owner_finds_the_own_account_however_it_is_written(owner):
    assert owner.get(f"{ACCOUNTS}/Alice@EXAMPLE.org").json()["address"] == ALICE


@pytest.mark.parametrize("names", [{"aliases": [BOB]}, {"domains": ["example.org"]}])
def test_an_owner_cannot_claim_other_peoples_mail(world, owner, names):
    for method, more in (("PATCH", {}), ("PUT", {"cipher": "aes256-cbc"})):
        answer = owner.request(method, f"{ACCOUNTS}/{ALICE}", json=names | more)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert world.store.account(ALICE).aliases == world.store.account(ALICE).domains == ()


def test_an_owner_sets_everything_else_at_once_and_keeps_the_aliases(world, owner):
    world.administrator.patch(f"{ACCOUNTS}/{ALICE}", json={"aliases": ["al@example.org"]})
    answer = owner.put(f"{ACCOUNTS}/{ALICE}", json={"cipher": "aes128-cbc"})
    assert answer.json()["aliases"] == ["al@example.org"]
    world.administrator.patch(f"{ACCOUNTS}/{ALICE}", json={"aliases": [], "cipher": "aes256-cbc"})


def test_an_owner_cannot_remove_the_account(world, owner):
    answer = owner.delete(f"{ACCOUNTS}/{ALICE}")
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert world.store.account(ALICE)


# --- tokens ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "method", "path", "body"),
    [
        ("accounts:read", "GET", ACCOUNTS, None),
        ("accounts:write", "PATCH", f"{ACCOUNTS}/{ALICE}", {"encrypt_on_append": False}),
        ("certificates:write", "PUT", f"{certificates()}?preview", "pem"),
        ("audit:read", "GET", "/api/v1/audit", None),
        ("switches:write", "PATCH", "/api/v1/switches", {}),
    ],
)
def test_a_token_does_what_its_scope_says_and_nothing_else(world, scope, method, path, body):
    assert call(world.machine(scope), method, path, body).status_code == 200
    answer = call(world.machine("metrics"), method, path, body)
    assert (answer.status_code, answer.json()["code"]) == (403, "scope-needed")
    assert answer.json()["scope"] == scope


def test_a_revoked_token_is_dead_at_once(world):
    machine = world.machine("accounts:read")
    assert machine.get(ACCOUNTS).status_code == 200
    root = world.sign_in("root", confirmed=True)
    assert root.delete(f"/api/v1/tokens/{world.token.id}").status_code == 204
    answer = machine.get(ACCOUNTS)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid-token")
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


def test_an_expired_token_is_dead(world):
    later = People(world.store, now=lambda: datetime.now(timezone.utc) - timedelta(days=2))
    secret, _ = later.add_token(
        "old", scopes=["accounts:read"], by=ADMINISTRATOR,
        expires_at=datetime.now(timezone.utc) - timedelta(days=1),
    )  # fmt: skip
    answer = world.client(authorization=f"Bearer {secret}").get(ACCOUNTS)
    assert answer.json()["code"] == "invalid-token"


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer x", "Basic cm9vdDp4", "x" * 9000,
                                   "Bearer " + "a" * 43, "Bearer \xff\xfe"])  # fmt: skip
def test_what_is_no_token_is_refused(world, value):
    answer = world.client(authorization=value.encode("latin-1")).get(ACCOUNTS)
    assert answer.status_code == 401
    assert answer.json()["code"] == "invalid-token"


def test_a_wrong_token_is_not_made_good_by_a_session(world, owner):
    answer = owner.get(SESSION, headers={"authorization": "Bearer x"})
    assert answer.json()["code"] == "invalid-token"


def test_a_machine_makes_neither_tokens_nor_people(world):
    for path in ("tokens", "people", "session"):
        answer = world.administrator.get(f"/api/v1/{path}")
        assert (answer.status_code, answer.json()["code"]) == (403, "person-needed")


def test_a_person_makes_a_token_that_is_shown_once(world, owner):
    answer = owner.post("/api/v1/tokens", json={"name": "mine", "scopes": ["accounts:read"]})
    assert answer.status_code == 201
    secret, number = answer.json()["secret"], answer.json()["id"]
    assert answer.json()["account"] == ALICE
    machine = world.client(authorization=f"Bearer {secret}")
    assert machine.get(f"{ACCOUNTS}/{ALICE}").status_code == 200
    assert machine.get(f"{ACCOUNTS}/{BOB}").status_code == 404
    listed = owner.get("/api/v1/tokens")
    assert secret not in listed.text
    assert {one["account"] for one in listed.json()["tokens"]} == {ALICE}
    assert owner.delete(f"/api/v1/tokens/{number}").status_code == 204
    assert machine.get(f"{ACCOUNTS}/{ALICE}").status_code == 401


def test_an_owner_makes_no_token_for_more_than_the_own_account(world, owner):
    wanted = {"name": "x", "scopes": ["accounts:read"]}
    assert owner.post("/api/v1/tokens", json=wanted | {"account": BOB}).status_code == 404
    answer = owner.post("/api/v1/tokens", json=wanted | {"scopes": ["switches:write"]})
    assert answer.json()["code"] == "invalid-setting"
    world.machine("metrics")
    assert owner.delete(f"/api/v1/tokens/{world.token.id}").json()["code"] == "no-such-token"


# --- sessions --------------------------------------------------------------------------------


def test_a_session_begins_with_a_new_secret_whatever_the_browser_had(world):
    client = world.client()
    client.cookies.set("cmstream", "f" * 43)
    body = {"name": "root", "password": PASSWORDS["root"]}
    answer = client.post(SESSION, json=body)
    cookie = answer.headers["set-cookie"]
    assert "f" * 43 not in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    first = answer.cookies["cmstream"]
    planted = world.client(cookie=f"cmstream={'f' * 43}")
    assert planted.get(SESSION).status_code == 401
    second = world.client(cookie=f"cmstream={first}").post(SESSION, json=body).cookies["cmstream"]
    assert world.client(cookie=f"cmstream={first}").get(SESSION).status_code == 401
    assert world.client(cookie=f"cmstream={second}").get(SESSION).status_code == 200


@pytest.mark.parametrize(
    "cookie",
    [
        "cmstream=",
        "cmstream=x",
        f"cmstream={'a' * 43}",
        f"cmstream={'a' * 5000}",
        "=;;;cmstream",
        "\xff=\xfe",
    ],
)
def test_a_forged_session_is_none(world, cookie):
    answer = world.client(cookie=cookie.encode("latin-1")).get(SESSION)
    assert (answer.status_code, answer.json()["code"]) == (401, "not-signed-in")


def test_a_session_that_was_ended_is_over_for_all_who_have_its_secret(world):
    client = world.sign_in("root")
    secret = client.cookies["cmstream"]
    assert client.delete(SESSION).status_code == 204
    assert world.client(cookie=f"cmstream={secret}").get(SESSION).status_code == 401


def test_a_session_expires(world):
    early = People(world.store, now=lambda: datetime.now(timezone.utc) - timedelta(hours=13))
    session = early.sign_in("root", PASSWORDS["root"])
    assert world.client(cookie=f"cmstream={session.token}").get(SESSION).status_code == 401


def test_over_tls_the_cookie_is_for_this_host_and_tls_alone(_peopled, tmp_path):
    with serving(copy(_peopled, tmp_path), public_url="https://localhost") as world:
        body = {"name": "root", "password": PASSWORDS["root"]}
        answer = world.client().post(world.base + SESSION, json=body)
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-cmstream=")
        assert "Secure" in cookie
        assert "Path=/" in cookie
        assert "Domain" not in cookie
        assert answer.headers["strict-transport-security"].startswith("max-age=")


@pytest.mark.parametrize("token", [None, "", "x", "ä"])
def test_a_change_needs_the_sessions_own_token(world, token):
    client = world.sign_in(ALICE, confirmed=True)
    del client.headers["X-CSRF-Token"]
    headers = {} if token is None else {"X-CSRF-Token": token.encode("latin-1")}
    calls = [
        client.patch(f"{ACCOUNTS}/{ALICE}", json={"cipher": None}, headers=headers),
        client.put(certificates(), content=pem(), headers=headers),
        client.delete(SESSION, headers=headers),
    ]
    assert [(one.status_code, one.json()["code"]) for one in calls] == [(403, "csrf")] * 3
    assert world.store.account(ALICE).cipher
    assert world.store.certificates(ALICE) == []


def test_the_token_of_another_session_is_of_no_use(world):
    mine, other = world.sign_in(ALICE), world.sign_in("root")
    mine.headers["X-CSRF-Token"] = other.headers["X-CSRF-Token"]
    answer = mine.patch(f"{ACCOUNTS}/{ALICE}", json={"cipher": None})
    assert answer.json()["code"] == "csrf"


@pytest.mark.parametrize(
    "headers", [{"origin": "https://evil.example"}, {"origin": "null"},
                {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}]
)  # fmt: skip
def test_another_sites_page_changes_nothing(world, owner, headers):
    answer = owner.patch(f"{ACCOUNTS}/{ALICE}", json={"cipher": None}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "foreign-origin")
    body = {"name": "root", "password": PASSWORDS["root"]}
    answer = world.client().post(SESSION, json=body, headers=headers)
    assert answer.json()["code"] == "foreign-origin"
    assert "set-cookie" not in answer.headers


def test_certificates_change_only_after_the_password_was_given_again(world):
    client = world.sign_in(ALICE)
    assert client.put(f"{certificates()}?preview", content=pem()).status_code == 200
    (held,) = world.store.certificates(BOB)
    place = f"{certificates()}/{held.fingerprint}"
    calls = [
        client.put(certificates(), content=pem()),
        client.patch(place, json={"state": "retired"}),
        client.delete(place),
        client.post("/api/v1/tokens", json={"name": "x", "scopes": ["accounts:read"]}),
    ]
    codes = {(one.status_code, one.json()["code"]) for one in calls}
    assert codes == {(403, "confirmation-needed")}
    again = f"{SESSION}/confirmation"
    answer = client.post(again, json={"password": "something else"})
    assert (answer.status_code, answer.json()["code"]) == (401, "sign-in-failed")
    assert client.put(certificates(), content=pem()).json()["code"] == "confirmation-needed"
    assert client.post(again, json={"password": PASSWORDS[ALICE]}).json()["confirmed_until"]
    assert client.put(certificates(), content=pem()).status_code == 200


def test_accounts_and_switches_change_only_after_the_password_was_given_again(world):
    client, place = world.sign_in("root"), f"{ACCOUNTS}/{ALICE}"
    before, settings = world.store.accounts(), {"cipher": None}
    calls = [
        client.post(ACCOUNTS, json={"address": "new@example.org"}),
        client.put(place, json=settings),
        client.put(f"{ACCOUNTS}/new@example.org", json=settings),
        client.patch(place, json=settings),
        client.delete(place),
        client.patch("/api/v1/switches", json={"encryption": "off"}),
    ]
    codes = [(one.status_code, one.json()["code"]) for one in calls]
    assert codes == [(403, "confirmation-needed")] * len(calls)
    assert world.store.accounts() == before
    assert world.store.switches()["encryption"] == "as-accounts-say"
    client = world.sign_in("root", confirmed=True)
    assert client.patch("/api/v1/switches", json={}).status_code == 200


def test_passwords_are_tried_a_few_times_only(_peopled, tmp_path):
    with serving(copy(_peopled, tmp_path)) as world:
        body = {"name": "root", "password": "wrong"}
        answers = [world.client().post(SESSION, json=body) for _ in range(12)]
        assert answers[0].json()["code"] == "sign-in-failed"
        assert (answers[-1].status_code, answers[-1].json()["code"]) == (429, "too-many-attempts")
        assert int(answers[-1].headers["retry-after"]) > 0
        right = world.client().post(SESSION, json=body | {"password": PASSWORDS["root"]})
        assert right.status_code == 429


# --- where a request comes from --------------------------------------------------------------


def test_metrics_are_for_the_loopback_and_for_tokens_with_the_scope(world):
    assert world.client().get("/metrics").status_code == 200
    forwarded = {"x-forwarded-for": "203.0.113.9"}
    assert world.client(**forwarded).get("/metrics").status_code == 401
    machine = world.machine("metrics")
    assert machine.get("/metrics", headers=forwarded).status_code == 200
    machine = world.machine("accounts:read")
    assert machine.get("/metrics", headers=forwarded).json()["code"] == "scope-needed"


@pytest.mark.parametrize(
    "settings", [{"public_url": "https://keys.example.org"}, {"trusted_proxies": ("127.0.0.9",)}]
)
def test_metrics_need_a_token_where_a_proxy_may_stand_before(_peopled, tmp_path, settings):
    with serving(copy(_peopled, tmp_path), **settings) as world:
        assert world.client().get("/metrics").status_code == 401
        assert world.machine("metrics").get("/metrics").status_code == 200


def test_a_proxy_is_believed_only_if_it_is_trusted(_peopled, tmp_path):
    wrong = {"name": "nobody", "password": "wrong"}
    counts = {}
    for name, proxies in (("strangers", ()), ("trusted", ("127.0.0.1",))):
        folder = tmp_path / name
        folder.mkdir()
        with serving(copy(_peopled, folder), trusted_proxies=proxies) as world:
            for number in range(3):
                headers = {"x-forwarded-for": f"203.0.113.{number}"}
                world.client(**headers).post(SESSION, json=wrong)
            with world.store.database.read() as connection:
                rows = connection.exec_driver_sql("SELECT DISTINCT subject FROM attempts").all()
            counts[name] = len(rows)
    # The name, and for each source itself and the name from there.
    assert counts == {"strangers": 1 + 2, "trusted": 1 + 2 * 3}


@pytest.mark.parametrize("name", ["evil.example", "localhost.x", "", "[", "a@localhost.x"])
def test_other_host_names_are_not_answered_to(world, name):
    answer = world.client().get("/health", headers={"host": name})
    assert (answer.status_code, answer.json()["code"]) == (400, "unknown-host")
    assert "content-security-policy" in answer.headers


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST:1", "127.0.0.1:80", "[::1]", "[::1]:80"])
def test_the_loopbacks_names_are_answered_to(world, name):
    assert world.client().get("/health", headers={"host": name}).status_code == 200


def test_further_names_can_be_set(_peopled, tmp_path):
    names = ("keys.example.org",)
    with serving(copy(_peopled, tmp_path), hosts=names) as world:
        get = world.client().get
        assert get("/health", headers={"host": "keys.example.org"}).status_code == 200
        assert get("/health", headers={"host": "evil.example"}).status_code == 400
