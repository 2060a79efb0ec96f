"""MAIL, RCPT and the attributes of XFORWARD: read, and kept octet for octet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmstream.gateway.protocol.envelope import (
    NULL,
    EnvelopeError,
    Mail,
    Rcpt,
    decode_xtext,
    parse_attributes,
    parse_mail,
    parse_rcpt,
    with_domain,
)

UMLAUT = "Jürgen@bücher.example".encode()


@pytest.mark.parametrize(
    ("argument", "path", "parameters"),
    [
        (b"FROM:<a@example.org>", b"<a@example.org>", ()),
        (b"from:<a@example.org> size=17", b"<a@example.org>", (b"size=17",)),
        (b"FROM: <a@example.org>  SIZE=17   BODY=8bitmime ", b"<a@example.org>",
         (b"SIZE=17", b"BODY=8bitmime")),
        (b"FROM:a@example.org SIZE=1", b"<a@example.org>", (b"SIZE=1",)),
        (b"FROM:<>", NULL, ()),
        (b"FROM:<> RET=HDRS ENVID=a+3Db", NULL, (b"RET=HDRS", b"ENVID=a+3Db")),
        (b'FROM:<"a > b"@example.org> SMTPUTF8', b'<"a > b"@example.org>', (b"SMTPUTF8",)),
        (b'FROM:<"a \\" > b"@example.org>', b'<"a \\" > b"@example.org>', ()),
        (b'FROM:"a b"@example.org SIZE=1', b'<"a b"@example.org>', (b"SIZE=1",)),
        (b"FROM:<@x,@y:a@example.org>", b"<@x,@y:a@example.org>", ()),
        (b"FROM:<MAILER-DAEMON>", b"<MAILER-DAEMON>", ()),
        (b"FROM:<" + UMLAUT + b"> SMTPUTF8", b"<" + UMLAUT + b">", (b"SMTPUTF8",)),
    ],
)  # fmt: skip
def test_mail_is_kept_as_it_came(argument, path, parameters):
    assert parse_mail(argument) == Mail(path, parameters)


@pytest.mark.parametrize(
    ("path", "address"),
    [
        (b"<bob@example.org>", "bob@example.org"),
        (b"<Bob+News@Example.ORG>", "Bob+News@Example.ORG"),
        (b"<@a,@b:bob@example.org>", "bob@example.org"),
        (b"<@[IPv6:::1],@b:bob@example.org>", "bob@example.org"),
        (b'<"b o > b"@example.org>', '"b o > b"@example.org'),
        (b'<"b\\"@\\\\"@example.org>', '"b\\"@\\\\"@example.org'),
        (b"<bob@[192.0.2.1]>", "bob@[192.0.2.1]"),
        (b"<bob@[IPv6:2001:db8::1]>", "bob@[IPv6:2001:db8::1]"),
        (b"<a..b.@example.org>", "a..b.@example.org"),
        (b"<a!b%c@example.org>", "a!b%c@example.org"),
        (b"<" + UMLAUT + b">", "Jürgen@bücher.example"),
    ],
)
def test_rcpt_names_who_is_looked_up(path, address):
    rcpt = parse_rcpt(b"TO:" + path + b" NOTIFY=NEVER orcpt=rfc822;Bob+2B@x")
    assert rcpt == Rcpt(path, (b"NOTIFY=NEVER", b"orcpt=rfc822;Bob+2B@x"), address)
    assert with_domain(rcpt.address, "elsewhere.example") == address


@pytest.mark.parametrize("path", [b"<bob>", b'<"b@b">', b"<Postmaster>"])
def test_a_domain_is_put_to_an_address_without(path):
    address = parse_rcpt(b"TO:" + path).address
    assert with_domain(address, "example.org") == path[1:-1].decode() + "@example.org"
    assert with_domain(address, "") == address


def test_parameters_are_found_in_any_case():
    mail = parse_mail(b"FROM:<> size=17 SmtpUtf8 Body=8BitMime")
    assert mail.parameter(b"SIZE") == b"17"
    assert mail.parameter(b"SMTPUTF8") == b""
    assert mail.parameter(b"BODY") == b"8BitMime"
    assert mail.parameter(b"RET") is None
    assert parse_rcpt(b"TO:<a> notify=NEVER").parameter(b"NOTIFY") == b"NEVER"


@pytest.mark.parametrize(
    "argument",
    [b"", b"FROM", b"FROM:", b"FROM: ", b"TO:<a@b>", b"FROM:<a@b", b"FROM:<a@b>SIZE=1",
     b'FROM:<"a@b>', b'FROM:"a@b', b"FROM:a>b SIZE=1", b"FROM:<a\0@b>", b"FROM:<a@b>\rRCPT TO:<c>",
     b"FROM:<a@b>\tSIZE=1", b"FROM:<\xff@b>", b"FROM :<a@b>"],
)  # fmt: skip
def test_what_is_no_sender(argument):
    with pytest.raises(EnvelopeError) as caught:
        parse_mail(argument)
    assert caught.value.enhanced in {"5.1.7", "5.5.4"}


@pytest.mark.parametrize(
    "path",
    [b"<>", b"< >", b"<a b@c>", b"<a@b,c@d>", b"<a(b)@c>", b"<a@b@c>", b"<@b>", b"<a@>", b"<@a:>",
     b"<a\\b@c>", b"<a<b@c>", b'<"a"b@c>', b"<g:a@b;>", b"<a@[b>", b"<a@b c>", b"a@b>",
     b"<\xe4@b>"],
)  # fmt: skip
def test_what_servers_may_read_differently_is_no_recipient(path):
    with pytest.raises(EnvelopeError) as caught:
        parse_rcpt(b"TO:" + path)
    assert caught.value.enhanced == "5.1.3"


PIECES = [b"<", b">", b'"', b"\\", b"@", b":", b",", b" ", b"a", b"b.example", b"[", b"]", b"\0",
          b"\xc3\xa4", b"\xff", b"=", b"SIZE", b"TO:", b"FROM:"]  # fmt: skip
ANY = st.one_of(st.binary(max_size=40), st.lists(st.sampled_from(PIECES)).map(b"".join))


@given(ANY)
def test_of_anything_the_path_stays_or_an_error_comes(text):
    for word, parse in ((b"FROM:", parse_mail), (b"TO:", parse_rcpt)):
        try:
            found = parse(word + text)
        except EnvelopeError:
            continue
        path = found.path if found.path in text else found.path[1:-1]
        before, _, behind = text.partition(path)
        assert not before.strip()
        assert tuple(behind.split()) == found.parameters
        assert found.path[:1] + found.path[-1:] == b"<>"


def test_xtext():
    assert decode_xtext(b"") == b""
    assert decode_xtext(b"a+2Bb+3d+00") == b"a+b=\0"
    for wrong in (b"+", b"a+2", b"+G0", b"+2B+"):
        with pytest.raises(EnvelopeError):
            decode_xtext(wrong)


@given(st.binary())
def test_xtext_gives_back_what_was_put_in(value):
    encoded = b"".join(
        bytes([byte]) if 33 <= byte <= 126 and byte not in b"+=" else b"+%02X" % byte
        for byte in value
    )
    assert decode_xtext(encoded) == value


def test_attributes():
    assert parse_attributes(
        b"name=[UNAVAILABLE]  ADDR=192.0.2.1 HELO=a+20b+0A+00+C3 IDENT=[TempUnavail]"
    ) == {
        b"NAME": None,
        b"ADDR": b"192.0.2.1",
        b"HELO": b"a b??\xc3",
        b"IDENT": None,
    }
    for wrong in (b"", b" ", b"NAME", b"=a", b"NAME=+", b"NAME=a b"):
        with pytest.raises(EnvelopeError):
            parse_attributes(wrong)
