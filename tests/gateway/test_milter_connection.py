"""What a mail server is told by the gateway as a milter, over real connections and a real store."""

from __future__ import annotations

import shutil
import socket
import time
from contextlib import contextmanager

import pytest

from cmstream import MessageError, Policy, decrypt_message, encrypt_message, is_encrypted
from cmstream.accounts import open_store
from cmstream.gateway import milter_connection
from cmstream.gateway.recipient_group import REFUSALS
from helpers.accounts.support import ADMINISTRATOR, pem
from helpers.milter import Client, changed, field, macros, packet, running, strings, written
from helpers.people import identity, person

ALICE, BOB, CAROL, OFF = (f"{one}@example.org" for one in ("alice", "bob", "carol", "off"))
FIELDS = [
    (b"Received", b" from client.example.net\n\tby mail.example.net"),
    (b"From", b" Bob <bob@example.net>"),
    (b"content-type", b" text/plain;\n charset=utf-8"),
    (b"Subject", b" The boat"),
    (b"MIME-Version", b" 1.0"),
    (b"To", b"\tAlice\n <alice@example.org>"),
    (b"Content-Type", b" text/html"),
    (b"Content-Transfer-Encoding", b" 8bit"),
]
BODY = b"The key is under the third flower pot.\r\n.\r\n\xc3\xa4\r\n"
PROCEED = (b"c", b"")


@pytest.fixture(scope="module")
def two():
    return {ALICE: person(), BOB: person(number=1, emails=(BOB,), common_name="Bob")}


@pytest.fixture(scope="module")
def _store(_sqlite_template, two, tmp_path_factory):
    """Alice and Bob are protected, each by a certificate; the account of "off" isn't."""
    path = tmp_path_factory.mktemp("milter") / "accounts.sqlite3"
    shutil.copyfile(_sqlite_template, path)
    with open_store(f"sqlite:///{path}") as store:
        for address, one in two.items():
            store.add_account(address, by=ADMINISTRATOR)
            store.import_certificates(address, one.recipient.pem, by=ADMINISTRATOR)
            store.change_account(address, cipher="aes256-cbc", by=ADMINISTRATOR)
        store.change_account(ALICE, aliases=["ally@example.org"], by=ADMINISTRATOR)
        store.add_account(OFF, by=ADMINISTRATOR)
    return path


@pytest.fixture
def database(_store, tmp_path):
    path = tmp_path / "accounts.sqlite3"
    shutil.copyfile(_store, path)
    return f"sqlite:///{path}"


@pytest.fixture
def gateway(database, tmp_path):
    @contextmanager
    def started(**settings):
        with running(database, tmp_path, **settings) as one, Client(one.place) as client:
            one.client = client
            yield one

    return started


def said(verdict):
    """The reply that a client gets."""
    assert verdict[0] == b"y", verdict
    assert verdict[1].endswith(b"\0")
    return verdict[1][:9].decode()


def opened(sealed, one):
    return decrypt_message(sealed, identity(one))


# --- sealed or left --------------------------------------------------------------------------


@pytest.mark.parametrize("protection", [None, "baseline", "shy"])
def test_sealed_as_encrypt_message_does_it(gateway, database, two, protection):
    policy = Policy(header_protection=protection)
    whole = written(FIELDS) + b"\r\n" + BODY
    with open_store(database) as store:
        store.change_account(ALICE, header_protection=protection or "none", by=ADMINISTRATOR)
    with gateway() as one:
        assert one.client.mail(ALICE) == [PROCEED]
        wanted, verdict = one.client.message(FIELDS, BODY)
    assert verdict == PROCEED
    message = changed(FIELDS, BODY, wanted)
    expected = encrypt_message(whole, two[ALICE].recipient, policy=policy)
    assert message.partition(b"\r\n\r\n")[0] == expected.partition(b"\r\n\r\n")[0]
    assert is_encrypted(message)
    assert opened(message, two[ALICE]) == opened(expected, two[ALICE])
    (line,) = one.log()
    assert line["recipients"][0]["action"] == "sealed"
    assert b"flower" not in str(line).encode()


@pytest.mark.parametrize("body", [b"", b"\r\n", b"x", b"a\nb\r\n", b"\0\x80" * 99, b"x" * 300_000])
@pytest.mark.parametrize("fields", [[], [(b"X", b"")], FIELDS])
def test_any_body_under_any_header(gateway, two, fields, body):
    with gateway(memory=100_000) as one:
        one.client.mail(ALICE)
        wanted, verdict = one.client.message(fields, body)
    assert verdict == PROCEED
    expected = encrypt_message(written(fields) + b"\r\n" + body, two[ALICE].recipient)
    message = changed(fields, body, wanted)
    assert message.partition(b"\r\n\r\n")[0] == expected.partition(b"\r\n\r\n")[0]
    assert opened(message, two[ALICE]) == opened(expected, two[ALICE])


@pytest.mark.parametrize(
    "addresses", [[CAROL], [OFF], [CAROL, OFF], ["postmaster"], ["Postmaster"], [""]]
)
def test_left_where_nobody_is_protected(gateway, addresses):
    with gateway() as one:
        assert one.client.mail(*addresses) == [PROCEED] * len(addresses)
        assert one.client.message(FIELDS, BODY) == ([], PROCEED)
    assert {each["action"] for each in one.log()[0]["recipients"]} == {"left"}


@pytest.mark.parametrize("address", ["alice", '"a@b"'])
def test_whose_mailbox_it_is_must_be_known(gateway, address):
    """The next hop may know an address without a domain, and the store can't."""
    with gateway() as one:
        assert [said(each) for each in one.client.mail(address)] == ["451 4.3.0"]
    with gateway(domain="example.org") as one:
        assert one.client.mail(address) == [PROCEED]


def test_left_if_it_is_sealed_already(gateway, two):
    sealed = encrypt_message(written(FIELDS[1:2]) + b"\r\n" + BODY, two[BOB].recipient)
    head, _, body = sealed.partition(b"\r\n\r\n")
    fields = [tuple(line.split(b":", 1)) for line in head.split(b"\r\n")]
    for settings in ({}, {"require": True}):
        with gateway(**settings) as one:
            one.client.mail(ALICE)
            assert one.client.message(fields, body) == ([], PROCEED)


def test_details_and_aliases_lead_to_the_same_account(gateway, two):
    with gateway(mixed="split") as one:
        answers = one.client.mail(
            "Alice+boat@EXAMPLE.org", "ally@example.org", '"alice"@example.org'
        )
        assert answers == [PROCEED] * 3
        wanted, _ = one.client.message(FIELDS, BODY)
    assert opened(changed(FIELDS, BODY, wanted), two[ALICE])


def test_the_server_knows_better_who_is_meant(gateway):
    with gateway() as one:
        one.client.mail()
        one.client.send(
            macros(b"R", b"{rcpt_addr}", ALICE.encode()), packet(b"R", strings(b"<Alice>"))
        )
        assert one.client.reply() == PROCEED
        assert one.client.message(FIELDS, BODY)[0]


# --- several recipients ----------------------------------------------------------------------


def test_one_message_for_several_accounts(gateway, two):
    with gateway() as one:
        assert one.client.mail(ALICE, BOB) == [PROCEED] * 2
        wanted, verdict = one.client.message(FIELDS, BODY)
    assert verdict == PROCEED
    message = changed(FIELDS, BODY, wanted)
    assert opened(message, two[ALICE]) == opened(message, two[BOB])


@pytest.mark.parametrize(
    ("mixed", "addresses", "taken"),
    [
        ("split", [ALICE, BOB, CAROL, "ally@example.org", CAROL], [0, 3]),
        ("split", [CAROL, ALICE, OFF], [0, 2]),
        ("together", [ALICE, CAROL, BOB], [0, 2]),
        ("together", [OFF, ALICE, CAROL], [0, 2]),
    ],
)
def test_recipients_of_another_group_come_back(gateway, mixed, addresses, taken):
    with gateway(mixed=mixed) as one:
        answers = one.client.mail(*addresses)
        assert [place for place, each in enumerate(answers) if each == PROCEED] == taken
        refused = {said(each) for each in answers if each != PROCEED}
        assert refused == {"452 4.5.3"}
        assert one.client.message(FIELDS, BODY)[1] == PROCEED
        rest = [each for place, each in enumerate(addresses) if place not in taken]
        assert one.client.mail(rest[0]) == [PROCEED]
        assert one.client.message(FIELDS, BODY)[1] == PROCEED


def test_no_more_refusals_than_a_client_is_allowed(gateway):
    strangers = [f"s{number}@example.org" for number in range(REFUSALS + 3)]
    with gateway() as one:
        answers = one.client.mail(ALICE, *strangers)
        assert [said(each) for each in answers if each != PROCEED] == ["452 4.5.3"] * REFUSALS
        # Nobody gets it then: whoever was told 250 can't be left out.
        wanted, verdict = one.client.message(FIELDS, BODY)
        assert (wanted, said(verdict)) == ([], "452 4.5.3")
        # Until a message goes through, and the server counts anew.
        assert one.client.mail(ALICE) == [PROCEED]
        assert one.client.message(FIELDS, BODY)[1] == PROCEED
        assert said(one.client.mail(ALICE, CAROL)[1]) == "452 4.5.3"
        # Or until another client is there.
        one.client.mail(ALICE, *strangers)
        assert one.client.mail(ALICE, CAROL) == [PROCEED] * 2
        one.client.send(packet(b"K"))
        assert said(one.client.mail(ALICE, CAROL)[1]) == "452 4.5.3"


def test_what_is_submitted_for_both_kinds_bounces(gateway):
    """Postfix keeps it in maildrop for ever if a recipient is refused."""
    with gateway() as one:
        one.client.send(macros(b"C", b"{client_port}", b"0"))
        assert one.client.mail(ALICE, CAROL) == [PROCEED] * 2
        wanted, verdict = one.client.message(FIELDS, BODY)
        assert (wanted, said(verdict)) == ([], "554 5.5.3")


def test_the_store_has_changed_since_the_recipients_were_there(gateway, database):
    with gateway() as one, open_store(database) as store:
        assert one.client.mail(ALICE, BOB) == [PROCEED] * 2
        store.change_account(BOB, cipher=None, by=ADMINISTRATOR)
        time.sleep(1)
        wanted, verdict = one.client.message(FIELDS, BODY)
        assert (wanted, said(verdict)) == ([], "452 4.5.3")
        assert one.client.mail(CAROL) == [PROCEED]
        store.add_account(CAROL, by=ADMINISTRATOR)
        store.import_certificates(CAROL, pem(2, emails=(CAROL,)), by=ADMINISTRATOR)
        store.change_account(CAROL, cipher="aes256-cbc", by=ADMINISTRATOR)
        time.sleep(1)
        assert one.client.message(FIELDS, BODY)[0]


def test_too_many_recipients(gateway):
    with gateway(recipient_limit=2) as one:
        assert [each == PROCEED for each in one.client.mail(CAROL, OFF, CAROL)] == [
            True,
            True,
            False,
        ]
    with gateway(recipient_limit=2) as one:
        answers = one.client.mail(*[CAROL] * (REFUSALS + 10))
        assert [said(each) for each in answers if each != PROCEED] == ["452 4.5.3"] * (REFUSALS + 8)
        assert one.client.message(FIELDS, BODY)[1] == PROCEED


# --- refused ---------------------------------------------------------------------------------


def test_what_nobody_seals_where_sealing_is_required(gateway, database):
    with gateway(require=True) as one, open_store(database) as store:
        answers = one.client.mail(CAROL, ALICE)
        assert (said(answers[0]), answers[1]) == ("451 4.7.1", PROCEED)
        (line,) = one.log()
        assert (line["event"], line["to"], line["action"]) == ("recipient", CAROL, "deferred")
        assert (line["reason"], line["level"]) == ("unknown-address", "warning")
        assert one.client.message(FIELDS, BODY)[0]
        one.client.mail(ALICE)
        store.change_account(ALICE, cipher=None, by=ADMINISTRATOR)
        time.sleep(1)
        assert said(one.client.message(FIELDS, BODY)[1]) == "451 4.7.1"


def test_an_account_without_a_usable_certificate(gateway, database):
    from cmstream.accounts.tables import certificates

    with open_store(database) as store, store.database.write() as connection:
        connection.execute(certificates.update().values(state="retired"))
    with gateway() as one:
        assert [said(each) for each in one.client.mail(ALICE)] == ["451 4.3.0"]


def test_a_store_that_goes_away(gateway, database, tmp_path):
    with gateway() as one:
        assert one.client.mail(ALICE) == [PROCEED]
        (tmp_path / "accounts.sqlite3").rename(tmp_path / "away")
        time.sleep(1)
        wanted, verdict = one.client.message(FIELDS, BODY)
        assert (wanted, said(verdict)) == ([], "451 4.3.0")
        assert [said(each) for each in one.client.mail(CAROL)] == ["451 4.3.0"]


def test_too_big(gateway):
    with gateway(size_limit=100_000) as one:
        one.client.mail(ALICE)
        assert said(one.client.message(FIELDS, b"x" * 100_001)[1]) == "552 5.3.4"
        one.client.mail(CAROL)
        assert said(one.client.message(FIELDS, b"x" * 100_001)[1]) == "552 5.3.4"
        one.client.mail(ALICE)
        assert one.client.message(FIELDS, b"x" * 90_000)[1] == PROCEED


def test_a_header_without_end(gateway):
    with gateway() as one:
        one.client.mail(ALICE)
        fields = [(b"X", b"y" * 100_000)] * 50
        assert said(one.client.message(fields, BODY)[1]) == "554 5.6.0"
        assert one.call(lambda: next(iter(one.listener.connections)).message) is None


def test_what_cant_be_sealed(gateway, monkeypatch):
    with gateway() as one:

        async def refuse(*_):
            raise MessageError("malformed-message", "the message is of no use")

        one.service.seal = refuse
        one.client.mail(ALICE)
        assert said(one.client.message(FIELDS, BODY)[1]) == "554 5.6.0"
    assert one.log()[0]["recipients"][0]["action"] == "refused"


@pytest.mark.parametrize(
    ("error", "code"), [(OSError(28, "x"), "452 4.3.1"), (KeyError(), "451 4.3.0")]
)
def test_what_nobody_foresaw(gateway, error, code):
    with gateway() as one:

        async def fail(*_):
            raise error

        one.service.seal = fail
        one.client.mail(ALICE)
        assert said(one.client.message(FIELDS, BODY)[1]) == code
        one.client.mail(CAROL)
        assert one.client.message(FIELDS, BODY) == ([], PROCEED)
    assert type(error).__name__ in str(one.log())


# --- connections -----------------------------------------------------------------------------


def test_a_message_that_is_dropped(gateway):
    with gateway() as one:
        for part in ([], [field(*FIELDS[0])], [field(*FIELDS[0]), packet(b"B", BODY)]):
            one.client.mail(ALICE)
            one.client.send(*part, packet(b"A"))
        one.client.mail(CAROL)
        assert one.client.message(FIELDS, BODY) == ([], PROCEED)


def test_the_end(gateway):
    with gateway() as one:
        one.client.send(packet(b"Q"))
        assert one.client.reply() == (b"", b"")
        assert one.call(lambda: len(one.listener.connections)) == 0


def test_garbage_ends_the_connection_alone(gateway):
    with gateway() as one, Client(one.place) as other:
        one.client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert one.client.reply() == (b"", b"")
        other.mail(ALICE)
        assert other.message(FIELDS, BODY)[1] == PROCEED


def test_a_server_that_goes_away_in_the_middle(gateway):
    with gateway() as one:
        for part in (
            [],
            [field(*FIELDS[0])],
            [packet(b"B", BODY)],
            [packet(b"B", BODY), packet(b"E")],
        ):
            with Client(one.place) as other:
                other.mail(ALICE)
                other.send(*part)
        one.client.mail(CAROL)
        assert one.client.message(FIELDS, BODY) == ([], PROCEED)
    assert "error" not in {line["level"] for line in one.log()}


def test_a_silent_server(gateway):
    with gateway(data_timeout=100) as one:
        (connection,) = one.call(one.listener.connections.copy)
        one.client.mail(ALICE)
        now = one.call(one.loop.time)
        # Its own client may take its time to bring the message.
        one.call(one.listener.check_time, now + 7000)
        assert one.call(lambda: connection in one.listener.connections)
        one.client.send(field(*FIELDS[0]))
        while not one.call(lambda: connection.message.fields):
            pass
        one.call(one.listener.check_time, now + 99)
        assert one.call(lambda: connection in one.listener.connections)
        one.call(one.listener.check_time, now + 110)
        assert one.client.reply() == (b"", b"")


def test_a_server_that_doesnt_read(gateway):
    with gateway(data_timeout=100, memory=100_000) as one:
        one.client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        (connection,) = one.call(one.listener.connections.copy)
        one.client.mail(ALICE)
        one.client.send(*(packet(b"B", b"x" * 65535) for _ in range(400)), packet(b"E"))
        deadline = time.monotonic() + 60
        while one.call(connection._room.is_set):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        # It waits in a file, not in memory.
        assert one.call(connection.transport.get_write_buffer_size) < 1 << 20
        one.call(one.listener.check_time, one.call(one.loop.time) + 110)
        assert one.call(connection.transport.is_closing)


def test_more_is_not_read_than_can_be_answered(gateway):
    with gateway() as one:
        gate = one.call(_gate, one)
        (connection,) = one.call(one.listener.connections.copy)
        one.client.send(
            packet(b"M", strings(b"<b@x>")), packet(b"R", strings(b"<carol@example.org>"))
        )
        one.client.socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            for _ in range(1000):
                one.client.send(packet(b"B", b"x" * 65535))
        assert one.call(lambda: connection.session.waiting) < 4 << 20
        one.call(gate.set)


def _gate(one):
    """Holds up whatever asks who is protected."""
    import asyncio

    gate, seals = asyncio.Event(), one.service.seals

    async def wait(addresses):
        await gate.wait()
        return await seals(addresses)

    one.service.seals = wait
    return gate


def test_progress_is_told(gateway, monkeypatch):
    monkeypatch.setattr(milter_connection, "PROGRESS", 0.01)
    with gateway() as one:
        one.client.mail(ALICE)
        gate = one.call(_gate, one)
        one.client.send(*(field(*each) for each in FIELDS), packet(b"B", BODY), packet(b"E"))
        assert [one.client.reply() for _ in range(3)] == [(b"p", b"")] * 3
        one.call(gate.set)
        while (found := one.client.reply())[0] == b"p":
            pass
        assert found[0] == b"m"


def test_the_gateway_ends(gateway):
    with gateway() as one, Client(one.place) as idle:
        one.client.mail(ALICE)
        one.call(one.listener.close)
        assert idle.reply() == (b"", b"")
        assert one.client.message(FIELDS, BODY)[1] == PROCEED
        assert one.client.reply() == (b"", b"")


def test_too_many_connections(gateway):
    with gateway(connection_limit=1) as one:
        with Client(one.place) as other:
            assert other.agreed == (b"", b"")
        one.client.mail(ALICE)
        assert one.client.message(FIELDS, BODY)[1] == PROCEED
