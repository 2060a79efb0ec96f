"""Header protection (RFC 9788): fields go inside, the outside shows what the policy leaves, and
they come back. Python's own parser is the second opinion on every message."""

from __future__ import annotations

import email
import email.policy
import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import cmstream
from cmstream.mail import fields, mime
from cmstream.mail.header_protection import protect, restored
from mail.test_mime import FRAGMENTS, crlf, line_ends, split, values

HCPS = ["baseline", "shy"]
VERSION = b"MIME-Version: 1.0\r\n"

# RFC 9788 appendix C: the fields of its samples, and what each policy leaves of them.
SAMPLE = (
    b"Subject: smime-signed-enc-hp-baseline\r\n"
    b"Message-ID: <smime-signed-enc-hp-baseline@example>\r\n"
    b"From: Alice <alice@smime.example>\r\n"
    b"To: Bob <bob@smime.example>\r\n"
    b"Date: Sat, 20 Feb 2021 10:09:02 -0500\r\n"
    b"User-Agent: Sample MUA Version 1.0\r\n"
)
BASELINE = SAMPLE.replace(b"smime-signed-enc-hp-baseline\r\n", b"[...]\r\n")
SHY = (
    b"Subject: [...]\r\n"
    b"Message-ID: <smime-signed-enc-hp-baseline@example>\r\n"
    b"From: alice@smime.example\r\n"
    b"To: bob@smime.example\r\n"
    b"Date: Sat, 20 Feb 2021 15:09:02 +0000\r\n"
    b"User-Agent: Sample MUA Version 1.0\r\n"
)
TYPE = b'Content-Type: text/plain; charset="utf-8"\r\n'
PAYLOAD = (
    SAMPLE
    + b"".join(b"HP-Outer: " + line + b"\r\n" for line in BASELINE.splitlines())
    + b'MIME-Version: 1.0\r\nContent-Type: text/plain; charset="utf-8"; hp="cipher"\r\n\r\n'
)


def outside(framing):
    assert framing.outside.endswith(mime.ENTITY_HEADER)
    return framing.outside[: -len(mime.ENTITY_HEADER)]


def told(framing):
    """What the inner HP-Outer fields say that the outside shows."""
    every = [field for field in fields.split(framing.inside) if field.name == b"hp-outer"]
    return b"".join(re.sub(rb"\AHP-Outer:(?: |\r\n )", b"", field.raw) for field in every)


def reopened(framing):
    """The header block after a way there and back, without what was made up."""
    found = restored(framing.outside, framing.inside)
    if found is None:
        return None
    assert found.endswith(b"\r\n\r\n")
    made_up = b"Content-Type: text/plain; charset=us-ascii\r\n"
    return found[:-2].replace(VERSION, b"", 1).replace(made_up, b"", 1)


# What it looks like


@pytest.mark.parametrize(("hcp", "shown"), [("baseline", BASELINE), ("shy", SHY)])
def test_the_samples_of_the_standard(hcp, shown):
    framing = protect(SAMPLE + VERSION + TYPE + b"\r\n", hcp)
    assert outside(framing) == shown == told(framing)
    inner = email.message_from_bytes(framing.inside)
    assert inner["Subject"] == "smime-signed-enc-hp-baseline"
    assert inner.get_param("hp") == "cipher"
    assert inner.get_param("charset") == "utf-8"
    assert framing.inside.startswith(SAMPLE)
    assert reopened(framing) == SAMPLE + TYPE


def test_what_another_program_protected_is_given_back():
    assert restored(b"Received: x\r\n" + BASELINE, PAYLOAD) == (
        b"Received: x\r\n" + SAMPLE + VERSION + TYPE + b"\r\n"
    )


def test_baseline_hides_the_subject_and_what_describes_the_content():
    head = b"SUBJECT : a\n b\nkeywords: k\nComments: c\nThread-Topic: a b\nSubject: again\nX: y\n\n"
    framing = protect(head, "baseline")
    assert outside(framing) == b"SUBJECT: [...]\r\nSubject: [...]\r\nX: y\r\n" == told(framing)
    assert reopened(framing) == crlf(head[:-1])


def test_shy_leaves_what_it_cannot_read():
    head = (
        b"From: Alice\r\nTo: undisclosed-recipients:;\r\nCc: a@b c@d\r\nDate: yesterday\r\n"
        b"Reply-To: Bob <b@c>\r\n"
    )
    assert outside(protect(head, "shy")) == head


def test_shy_folds_many_addresses():
    many = b",\r\n ".join(b'"Person %d" <p%d@example.org>' % (n, n) for n in range(1000))
    framing = protect(b"To: " + many + b"\r\n\r\n", "shy")
    assert max(map(len, framing.outside.splitlines())) < 998
    outer = email.message_from_bytes(framing.outside, policy=email.policy.SMTP)
    assert [str(one) for one in outer["To"].addresses] == [f"p{n}@example.org" for n in range(1000)]
    assert reopened(framing) == b"To: " + many + b"\r\n"


def test_what_servers_wrote_stays_outside_alone():
    trace = (
        b"Return-Path: <a@b>\r\nReceived: by x\r\n\tfor y\r\nDKIM-Signature: v=1\r\n"
        b"ARC-Seal: i=1\r\nAuthentication-Results: mx; dkim=pass\r\nX-Spam-Status: No\r\n"
        b"Delivered-To: bob@example.net\r\n"
    )
    framing = protect(b"From x\r\n" + trace + SAMPLE + b"\r\n", "baseline")
    assert outside(framing) == b"From x\r\n" + trace + BASELINE
    assert told(framing) == BASELINE
    assert framing.inside.startswith(SAMPLE)
    assert reopened(framing) == b"From x\r\n" + trace + SAMPLE


def test_a_message_without_content_type_gets_the_one_that_is_meant():
    framing = protect(b"Subject: x\r\n\r\n", "baseline")
    assert framing.inside == (
        b"Subject: x\r\nHP-Outer: Subject: [...]\r\n"
        b'Content-Type: text/plain; charset=us-ascii; hp="cipher"\r\n\r\n'
    )


@pytest.mark.parametrize("head", [b"", b"\r\n", b"Received: x\r\n\r\n", TYPE + b"\r\n"])
def test_a_message_without_fields_of_an_author(head):
    framing = protect(head, "shy")
    assert told(framing) == b""
    assert outside(framing) == (head[:-2] if head.startswith(b"Rec") else b"")
    assert reopened(framing) == (head[:-2] if len(head) > 2 else b"")


def test_claims_that_came_with_the_message_are_dropped():
    head = (
        b"HP-Outer: Subject: forged\r\nSubject: x\r\nhp-outer: To: forged\r\n"
        b'Content-Type: text/plain; hp="clear"; HP*0=x\r\n ; charset=utf-8; x=v1\r\n'
        b"Content-Type: text/html; hp=cipher\r\n\r\n"
    )
    framing = protect(head, "baseline")
    assert b"forged" not in framing.outside + framing.inside
    assert b"clear" not in framing.inside
    assert framing.inside.lower().count(b"hp=") == framing.inside.count(b'hp="cipher"') == 2
    assert email.message_from_bytes(framing.inside).get_param("hp") == "cipher"


def test_a_long_line_is_folded_behind_the_name():
    framing = protect(b"X: " + b"y" * 990 + b"\r\n\r\n", "baseline")
    assert max(map(len, framing.inside.splitlines())) <= 998
    assert told(framing) == outside(framing) == b"X: " + b"y" * 990 + b"\r\n"


@pytest.mark.parametrize("encoding", [b"binary", b"BINARY (x)", b"base64", b"8bit"])
def test_line_ends_are_kept_where_they_must_be(encoding):
    head = b"Subject: binary\r\nContent-Transfer-Encoding: " + encoding + b"\r\n\r\n"
    assert protect(head, "baseline").canonical is (not encoding.lower().startswith(b"binary"))


# Any header block

NAMES = [b"Subject", b"subject", b"From", b"To", b"cc", b"Date", b"Keywords", b"X-A", b"Received",
         b"List-Id", b"Content-Type", b"content-id", b"Mime-Version", b"HP-Outer"]  # fmt: skip


@st.composite
def blocks(draw):
    """Fields as (name, value with its continuation lines, without the last line end)."""
    found = []
    for _ in range(draw(st.integers(0, 8))):
        value = draw(values | st.sampled_from([b" a/b; c=d", b' a/b;c="d;', b" A <a@b>"]))
        value = value.rstrip(b"\r")
        for more in draw(st.lists(values, max_size=2)):
            value += draw(line_ends) + draw(st.sampled_from([b" ", b"\t"])) + more.rstrip(b"\r")
        found.append((draw(st.sampled_from(NAMES)), b":" + value))
    return found


@given(blocks(), line_ends, st.sampled_from(HCPS))
@settings(max_examples=300, deadline=None)
def test_there_and_back_no_field_is_lost(pairs, line_end, hcp):
    head = b"".join(name + value + line_end for name, value in pairs) + line_end
    framing = protect(head, hcp)
    lines = [(name.lower(), crlf(name + value) + b"\r\n") for name, value in pairs]
    own = b"".join(line for name, line in lines if name in AUTHORS)
    trace = b"".join(line for name, line in lines if name == b"received")
    assert framing.inside.startswith(own)
    assert told(framing).replace(trace, b"") == told(framing)
    shown = b"".join(f.raw for f in fields.split(outside(framing)) if f.name != b"received")
    assert told(framing) == shown
    found = restored(framing.outside, framing.inside)
    assert found is not None
    back = list(fields.split(found))
    assert b"".join(field.raw for field in back if field.name in AUTHORS) == own
    assert b"".join(field.raw for field in back if field.name == b"received") == trace
    assert [f.raw for f in back if f.name == b"mime-version"] == [VERSION]
    subjects = [f.raw.lower() for f in fields.split(shown) if f.name == b"subject"]
    assert set(subjects) <= {b"subject: [...]\r\n"}
    assert len(subjects) == [name for name, _ in lines].count(b"subject")


AUTHORS = {b"subject", b"from", b"to", b"cc", b"date", b"keywords", b"x-a", b"list-id"}
printable = st.text('abc .,;:()<>@"\\=?', max_size=30).map(str.encode)


@given(
    st.lists(st.tuples(st.sampled_from(NAMES[:9]), printable), max_size=8), st.sampled_from(HCPS)
)
@settings(max_examples=200, deadline=None)
def test_another_parser_sees_each_field_once(pairs, hcp):
    pairs = [(name, b"x" + value) for name, value in pairs]
    framing = protect(b"".join(b"%b: %b\n" % pair for pair in pairs) + b"\n", hcp)
    outer, inner = map(email.message_from_bytes, (framing.outside + b"z", framing.inside + b"z"))
    assert outer.get_all("MIME-Version") == ["1.0"]
    assert outer.get_content_type() == "application/pkcs7-mime"
    assert inner.get_param("hp") == "cipher"
    given_fields = [(n.decode(), v.decode()) for n, v in pairs if n != b"Received"]
    assert [item for item in inner.items() if item[0] not in {"HP-Outer", "Content-Type"}] == (
        given_fields
    )
    shown = [item for item in outer.items()[:-4] if item[0] != "Received"]
    assert inner.get_all("HP-Outer", []) == [f"{name}: {value}" for name, value in shown]
    assert {value for name, value in shown if name.lower() == "subject"} <= {"[...]"}
    assert "Keywords" not in outer


@given(FRAGMENTS | st.binary(max_size=60), st.sampled_from(HCPS))
@example(b"From x\n\r\r\n", "shy")
def test_any_octets_will_do(message, hcp):
    head, _ = split(message)
    framing = protect(head, hcp)
    assert restored(framing.outside, framing.inside) is not None
    restored(message, message)


@pytest.mark.parametrize("unit", [b"a:\n", b"\n ", b" ", b":", b"\r", b"\xff", b"(", b'"', b";",
                                  b",", b"<", b"To: a@b\n", b"Subject:\n", b"Content-Type:\n",
                                  b"From: a <b@c>, \n"])  # fmt: skip
@pytest.mark.parametrize("first", [b"X:", b"To:", b"Content-Type:", b"Date:"])
def test_hostile_header_blocks_take_linear_time(first, unit):
    head = first + unit * (mime.HEADER_LIMIT // 32 // len(unit)) + b"\n\n"
    begin = time.process_time()
    framing = protect(head, "shy")
    assert restored(framing.outside, framing.inside) is not None
    assert time.process_time() - begin < 4  # quadratic would take minutes


def test_four_mebioctets_of_fields():
    head = b"".join(b"X-%06d: %b\r\n" % (n, b"y" * 400) for n in range(10_000))
    assert reopened(protect(head + b"\r\n", "shy")) == head


# Opening


def test_nothing_but_what_was_sealed_is_believed():
    outer = BASELINE + b'HP-Outer: Subject: x\r\nContent-Type: text/plain; hp="cipher"\r\n'
    assert restored(outer, TYPE + b"\r\n") is None
    assert restored(outer, SAMPLE + TYPE + b"\r\n") is None
    assert restored(outer, SAMPLE + TYPE.replace(b"\r", b"; hp=other\r") + b"\r\n") is None
    assert b"HP-Outer" not in (restored(outer, PAYLOAD) or b"HP-Outer")


def test_fields_that_were_put_outside_on_the_way_are_dropped():
    added = b"Cc: mallory@example.org\r\nReply-To: mallory@example.org\r\nIn-Reply-To: <x>\r\n"
    assert restored(added + BASELINE, PAYLOAD) == restored(BASELINE, PAYLOAD) is not None


def test_fields_of_a_mailing_list_stay_where_the_author_has_none():
    added = b"List-Id: <l>\r\nArchived-At: <u>\r\n"
    assert (restored(added + BASELINE, PAYLOAD) or b"").startswith(added)
    own = b"List-Id: <own>\r\n" + PAYLOAD
    found = restored(added + BASELINE, own) or b""
    assert found.startswith(b"Archived-At: <u>\r\n")
    assert found.count(b"List-Id") == found.count(b"List-Id: <own>") == 1


def test_no_author_speaks_for_servers():
    found = restored(
        b"Received: ours\r\n", b"Authentication-Results: pass\r\nReceived: x\r\n" + PAYLOAD
    )
    assert found is not None
    assert found.startswith(b"Received: ours\r\n")
    assert b"Authentication" not in found
    assert b"Received: x" not in found


@pytest.mark.parametrize(
    ("outer", "stays"),
    [
        (b"From: mallory@example.org\r\n", True),
        (b"From: Alice <mallory@example.org>\r\n", True),
        (b"From: alice@smime.example, mallory@example.org\r\n", True),
        (b"From: alice@smime.example\r\nFrom: mallory@example.org\r\n", True),
        (b"From: not an address\r\n", True),
        (b"From: ALICE@smime.EXAMPLE (Boss)\r\n", False),
        (b"", False),
    ],
)
def test_an_author_who_is_another_outside_is_not_replaced(outer, stays):
    found = restored(outer, PAYLOAD) or b""
    assert found.startswith(outer) is (stays or not outer)
    assert (b"From: Alice <alice@smime.example>" in found) is not stays


def test_the_older_form_adds_to_the_outer_fields():
    inner = b'Subject: real\r\nContent-Type: text/plain; protected-headers="v1"\r\n\r\n'
    outer = (
        b"From: a@b\r\nSubject: ...\r\nDate: today\r\nMIME-Version: 1.0\r\nContent-Type: x/y\r\n"
    )
    assert restored(outer, inner) == b"From: a@b\r\nDate: today\r\n" + VERSION + inner


def test_a_claim_without_fields_takes_none_away():
    """A gateway that seals without protection puts a stranger's Content-Type inside."""
    inner = b"Content-Type: text/plain; hp=cipher\r\n\r\n"
    assert restored(b"Subject: x\r\nTo: b\r\n", inner) == (
        b"Subject: x\r\nTo: b\r\n" + VERSION + b"Content-Type: text/plain\r\n\r\n"
    )


def test_lines_are_given_back_as_they_were_sealed():
    assert restored(BASELINE, PAYLOAD.replace(b"\r\n", b"\n")) == (
        (SAMPLE + VERSION + TYPE + b"\r\n").replace(b"\r\n", b"\n")
    )


@pytest.mark.parametrize("hcp", HCPS)
def test_with_keys(alice, me, hcp):
    policy = cmstream.DEFAULT.clone(header_protection=hcp)
    message = b"Received: x\r\n" + SAMPLE + TYPE + b"\r\nHello\n"
    sealed = cmstream.encrypt_message(message, alice.recipient, policy=policy)
    assert b"Subject: [...]" in sealed
    assert cmstream.decrypt_message(sealed, me) == (
        b"Received: x\r\n" + VERSION + SAMPLE + TYPE + b"\r\nHello\r\n"
    )


def test_what_is_encrypted_already_passes(alice):
    policy = cmstream.DEFAULT.clone(header_protection="shy")
    sealed = cmstream.encrypt_message(SAMPLE + b"\r\nx", alice.recipient, policy=policy)
    assert cmstream.encrypt_message(sealed, alice.recipient, policy=policy) == sealed


TYPES = [
    b"text/plain; charset=utf-8;",
    b"text/plain; charset=utf-8; ",
    b"text/plain; charset=utf-8 ; \t",
    b"text/plain; charset=utf-8;;",
    b"text/plain;;; ; ",
    b"text/plain; charset=utf-8;\r\n ",
    b"text/plain;\r\n charset=utf-8;\r\n\t;\r\n ",
    b"text/plain; charset=utf-8 (a;b);",
    b'text/plain; x="never ends',
    b'text/plain;; x="never ends;',
    b"text/plain (never ends",
    b"text/plain ;(never ends",
    b";",
    b"",
]


@pytest.mark.parametrize("value", TYPES)
@pytest.mark.parametrize("policy", ["baseline", "shy"])
def test_a_content_type_comes_back_octet_for_octet(alice, me, policy, value):
    field = b"Content-Type: " + value + b"\r\n"
    head = b"From: a@example.com\r\nSubject: one two three\r\nMIME-Version: 1.0\r\n"
    protecting = cmstream.Policy(header_protection=policy)
    message = head + field + b"\r\nbody\r\n"
    opened = cmstream.decrypt_message(
        cmstream.encrypt_message(message, alice.recipient, policy=protecting), me
    )
    assert opened.endswith(b"Subject: one two three\r\n" + field + b"\r\nbody\r\n")
