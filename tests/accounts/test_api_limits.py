"""What strangers may send: bodies without end, files that are no certificates, JSON that is none;
and that a store out of reach, an error and the log tell nothing that they shouldn't."""

from __future__ import annotations

import json
import logging
import socket
from pathlib import Path

import httpx
import pytest

from cmstream.accounts.http import inputs
from helpers.accounts.served import ACCOUNTS, ALICE, certificates, copy, peopled, serving
from helpers.accounts.support import pem

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"
STRANGE = sorted(CORPUS.glob("certificates/*")) + sorted(CORPUS.glob("pfx/*"))[::4]
KIB = 1024


@pytest.fixture(scope="module")
def _peopled(tmp_path_factory):
    return peopled(tmp_path_factory.mktemp("limits") / "accounts.sqlite3")


@pytest.fixture(scope="module")
def world(_peopled, tmp_path_factory):
    with serving(copy(_peopled, tmp_path_factory.mktemp("served"))) as found:
        yield found


def assert_problem(answer, status, code):
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == f"urn:cmstream:problem:{code}"
    assert answer.json()["request"] == answer.headers["x-request-id"]


# --- bodies ----------------------------------------------------------------------------------


def test_64_kib_are_read_and_one_octet_more_is_not_unless_it_is_a_signed_mail(world):
    put = world.administrator.put
    assert_problem(put(certificates(), content=bytes(64 * KIB)), 422, "not-a-certificate")
    assert_problem(put(certificates(), content=bytes(64 * KIB + 1)), 413, "too-large")


def test_a_body_without_end_is_refused_while_it_comes(world):
    sent = 0

    def endless():
        nonlocal sent
        for _ in range(100_000):
            sent += KIB
            yield bytes(KIB)

    try:
        answer = world.administrator.put(certificates(), content=endless())
    except Exception:  # noqa: BLE001 - the connection may be closed before the answer is read
        answer = None
    if answer is not None:
        assert_problem(answer, 413, "too-large")
    assert sent < 100_000 * KIB


def talk(world, head, *pieces):
    """What the server answers to octets as they are."""
    host, _, port = world.base.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        lines = [*head, f"Host: localhost:{port}", f"Authorization: Bearer {world.secret}"]
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        for piece in pieces:
            connection.sendall(piece)
        return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def test_a_declared_length_is_refused_before_anything_is_read(world):
    head = [f"PUT {certificates()} HTTP/1.1", "Content-Length: 10000000000"]
    answer = talk(world, [*head, "Expect: 100-continue"])
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer.lower()


def test_chunks_are_counted_too(world):
    """One octet more than a mebibyte. Had it to leave more unread, the system might reset the
    connection before the answer is read."""
    head = [f"PUT {certificates()} HTTP/1.1", "Transfer-Encoding: chunked"]
    chunk = b"8000\r\n" + bytes(0x8000) + b"\r\n"
    answer = talk(world, head, *[chunk] * 32, b"1\r\nx\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_body_that_never_comes_is_waited_for_so_long(world, monkeypatch):
    monkeypatch.setattr(inputs, "TIMEOUT", 0.2)
    head = [f"PUT {certificates()} HTTP/1.1", "Content-Length: 100"]
    answer = talk(world, head, b"x")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"too-slow" in answer


@pytest.mark.parametrize(
    ("headers", "content"),
    [
        ({"content-type": "multipart/form-data; boundary=x"}, b"--x--"),
        ({"content-encoding": "gzip"}, b"\x1f\x8b"),
    ],
)
def test_a_body_in_a_wrapping_is_refused(world, headers, content):
    answer = world.administrator.put(certificates(), content=content, headers=headers)
    assert_problem(answer, 415, "unsupported-media-type")


def test_the_media_type_of_a_file_is_of_no_matter(world):
    for kind in ("application/x-www-form-urlencoded", "text/plain", "x", ""):
        answer = world.administrator.put(
            f"{certificates()}?preview", content=pem(), headers={"content-type": kind}
        )
        assert answer.status_code == 200


@pytest.mark.skipif(not STRANGE, reason="needs ../shared/corpus")
@pytest.mark.slow
def test_every_file_of_the_corpus_is_taken_or_refused_with_its_code(world):
    taken = 0
    for file in STRANGE:
        try:
            answer = world.administrator.put(
                f"{certificates()}?preview",
                content=file.read_bytes(),
                headers={"X-PFX-Password": "wrong"} if file.parent.name == "pfx" else {},
            )
        except httpx.TransportError:  # refused and closed before all of it was sent
            assert file.stat().st_size > 64 * KIB
            continue
        if answer.status_code == 200:
            assert answer.json()["certificates"]
            taken += 1
        else:
            assert answer.status_code in {413, 422}, (file.name, answer.text)
            assert_problem(answer, answer.status_code, answer.json()["code"])
            assert answer.json()["code"] not in {"unprocessable-entity", "internal-error"}
    assert 20 < taken < len(STRANGE)


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 400, "malformed-json"),
        (b"{", 400, "malformed-json"),
        (b"\xff{}", 400, "malformed-json"),
        (b"[" * 50_000, 400, "malformed-json"),
        (b'{"cipher":NaN}', 400, "malformed-json"),
        (b'{"cipher":null,"cipher":"aes256-cbc"}', 400, "malformed-json"),
        (b'{"clients":[' + b"9" * 5000 + b"]}", 400, "malformed-json"),
        (b'{"clients":["\\ud800"]}', 400, "malformed-json"),
        (b'{"clients":["\\u0000"]}', 422, "invalid-setting"),
        (b'{"aliases":["\\u0000@example.org"]}', 422, "invalid-address"),
        (b'{"aliases":[[]]}', 422, "invalid-setting"),
        (b'{"domains":["a b"]}', 422, "invalid-domain"),
        (b"[]", 422, "invalid-member"),
        (b'{"cipher":1}', 422, "invalid-member"),
        (b'{"encrypt_on_append":1}', 422, "invalid-member"),
        (b'{"cipher":"rot13"}', 422, "invalid-setting"),
        (b'{"address":"x@example.org"}', 422, "unknown-member"),
        (b" " * 70_000 + b"{}", 413, "too-large"),
    ],
)
def test_json_that_cannot_be_taken_is_refused(world, content, status, code):
    answer = world.administrator.patch(
        f"{ACCOUNTS}/{ALICE}", content=content, headers={"content-type": "application/json"}
    )
    assert_problem(answer, status, code)


def test_json_says_that_it_is_json(world):
    answer = world.administrator.patch(f"{ACCOUNTS}/{ALICE}", content=b"{}")
    assert_problem(answer, 415, "unsupported-media-type")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("limit=0", "invalid-parameter"),
        ("limit=9999", "invalid-parameter"),
        ("limit=\xb2", "invalid-parameter"),
        ("limit=" + "9" * 5000, "invalid-parameter"),
        ("expiring_within=-1", "invalid-parameter"),
        ("unprotected=maybe", "invalid-parameter"),
        ("search=%00", "invalid-parameter"),
        ("search=" + "x" * 501, "invalid-parameter"),
        ("serach=x", "unknown-parameter"),
        ("search=x&search=y", "unknown-parameter"),
    ],
)
def test_parameters_that_cannot_be_are_refused(world, query, code):
    assert_problem(world.administrator.get(f"{ACCOUNTS}?{query}"), 400, code)


def test_a_mistyped_preview_stores_nothing(world):
    answer = world.administrator.put(f"{certificates()}?preveiw", content=pem())
    assert_problem(answer, 400, "unknown-parameter")
    assert world.store.certificates(ALICE) == []


@pytest.mark.parametrize("path", ["/api/v1", "/api/v1/nothing", "/api/v1/accounts/", "/api/v2/x"])
def test_there_is_nothing_elsewhere(world, path):
    assert_problem(world.administrator.get(path), 404, "not-found")


@pytest.mark.parametrize(
    "address", ["%00@example.org", "a%20b@example.org", "a@-", "x" * 2000 + "@x"]
)
def test_what_is_no_address_has_no_account(world, address):
    answer = world.administrator.get(f"{ACCOUNTS}/{address}")
    assert_problem(answer, 422, "invalid-address")
    owner = world.machine("accounts:read", account=ALICE)
    assert_problem(owner.get(f"{ACCOUNTS}/{address}"), 404, "no-such-account")


@pytest.mark.parametrize("rest", ["", "/seal", "/certificates", "/x"])
def test_a_path_of_many_ats_is_answered(world, rest):
    answer = world.administrator.get(f"{ACCOUNTS}/{'@' * 8000}{rest}")
    assert_problem(answer, 404, "not-found")
    local = world.administrator.get(f"{ACCOUNTS}/%22a@b%22@example.org")
    assert_problem(local, 404, "no-such-account")


def test_a_number_of_thousands_of_digits_is_none(world):
    root = world.sign_in("root", confirmed=True)
    for digits in ("9" * 10, "9" * 5000):
        place = f"{ACCOUNTS}/{ALICE}/audit/{digits}/acknowledgement"
        assert root.post(place).status_code == 404
        assert root.delete(f"/api/v1/tokens/{digits}").status_code == 404


def test_another_method_is_told_which_there_are(world):
    for method in ("DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"):
        answer = world.administrator.request(method, ACCOUNTS)
        assert_problem(answer, 405, "method-not-allowed")
        assert answer.headers["allow"] == "GET, HEAD, POST"


# --- what every answer has -------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/health", "/docs", "/api/v1/nothing", "/sign-in", ACCOUNTS])
def test_every_answer_has_the_headers_that_protect_people(world, path):
    headers = world.client().get(path).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert {policy[name] for name in ("script-src", "style-src", "form-action")} == {"'self'"}
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert "strict-transport-security" not in headers  # the public URL isn't https
    assert "no-store" in headers["cache-control"] or "no-cache" in headers["cache-control"]


def test_a_store_out_of_reach_is_503_and_back_again_when_it_is(_peopled, tmp_path):
    url = copy(_peopled, tmp_path)
    path = tmp_path / "accounts.sqlite3"
    with serving(url) as world:
        path.rename(tmp_path / "away")
        for call in (
            world.client().get("/health"),
            world.administrator.get(ACCOUNTS),
            world.administrator.put(certificates(), content=pem()),
            world.client().get("/metrics"),
        ):
            assert_problem(call, 503, "store-unavailable")
            assert int(call.headers["retry-after"]) > 0
            assert str(tmp_path) not in call.text
        (tmp_path / "away").rename(path)
        assert world.administrator.get(ACCOUNTS).status_code == 200


def test_an_error_that_nobody_foresaw_tells_nothing_and_leaves_no_secret(
    world, monkeypatch, caplog
):
    text = f"the password was hunter{2}"

    def broken(*_, **__):
        raise RuntimeError(text)

    monkeypatch.setattr("cmstream.accounts.store.Store.preview", broken)
    with caplog.at_level(logging.INFO):
        answer = world.administrator.put(f"{certificates()}?preview", content=pem())
    assert_problem(answer, 500, "internal-error")
    assert "hunter2" not in answer.text + caplog.text
    assert "Traceback" not in answer.text
    assert answer.json()["request"] in caplog.text
    assert "RuntimeError" in caplog.text


def test_the_log_holds_no_secret_of_a_request(world, caplog):
    with caplog.at_level(logging.DEBUG):
        world.administrator.put(
            f"{certificates()}?preview",
            content=b"PFX-OCTETS",
            headers={"X-PFX-Password": "hunter2"},
        )
        world.client().post("/api/v1/session", json={"name": "root", "password": "hunter3"})
        world.client(cookie="cmstream=hunter4").get("/link/hunter5")
    lines = [one.getMessage() for one in caplog.records if one.name.startswith("cmstream")]
    assert any("/certificates" in line and "422" in line for line in lines)
    assert "hunter" not in json.dumps(lines)
    assert "PFX-OCTETS" not in json.dumps(lines)
    assert world.secret not in json.dumps(lines)
