"""Changes of single fields make the sealed message's header block of any other."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmstream import Policy, encrypt_message
from cmstream.gateway.header_changes import changes
from helpers.milter import changed, written

NAMES = st.sampled_from(
    [b"From", b"To", b"Subject", b"subject", b"Content-Type", b"CONTENT-TYPE", b"MIME-Version",
     b"Content-Transfer-Encoding", b"Content-Disposition", b"Received", b"Keywords", b"X-A",
     b"Date", b"HP-Outer", b"x" * 999]
)  # fmt: skip
VALUES = st.sampled_from(
    [b"", b" ", b" a", b"a", b"\tb", b" a\n\tb", b" a\n b\n c", b" 1.0", b" text/plain", b" [...]",
     b" base64", b' attachment; filename="smime.p7m"', b" Bob <bob@example.net>", b" \xc3\xa4",
     b" \r", b" Mon, 23 Nov 2026 10:30:07 +0100", b" a\r\n b"]
)  # fmt: skip
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=12)
POLICIES = [Policy(), Policy(header_protection="baseline"), Policy(header_protection="shy")]


def wanted(fields, block):
    """The packets that a milter sends for it."""
    found = changes(fields, block)
    return [
        (b"m", struct.pack(">I", number) + name + b"\0" + value + b"\0")
        for name, number, value in found.changed
    ] + [(b"h", name + b"\0" + value + b"\0") for name, value in found.added]


def block_of(message):
    return message[: message.index(b"\r\n\r\n") + 2]


@given(FIELDS, FIELDS)
def test_any_block_of_any_other(old, new):
    block = written((name, value) for name, value in new if len(name) < 999 and b"\r" not in value)
    assert changed(old, b"", wanted(old, block)) == block + b"\r\n"


@pytest.mark.parametrize("policy", POLICIES, ids=lambda one: str(one.header_protection))
def test_that_of_the_sealed_message(alice, policy):
    @given(FIELDS)
    def check(fields):
        whole = written(fields) + b"\r\nbody\r\n"
        sealed = encrypt_message(whole, alice.recipient, policy=policy)
        block = block_of(sealed)
        assert changed(fields, b"", wanted(fields, block)) == block + b"\r\n"

    check()


def test_a_blank_is_no_value():
    """Of it a server takes none that puts a blank behind the colon itself: the field would go."""
    found = changes([(b"To", b" \r"), (b"X", b" x")], written([(b"To", b" "), (b"X", b" x")]))
    assert found.changed == [(b"X", 1, b""), (b"To", 1, b"")]
    assert found.added == [(b"To", b" "), (b"X", b" x")]


def test_what_stays_is_left_alone():
    fields = [(b"From", b" a"), (b"MIME-Version", b" 1.0"), (b"Content-Type", b" text/plain"),
              (b"To", b" b\n c"), (b"Content-Language", b" de")]  # fmt: skip
    found = changes(
        fields, written([(b"From", b" a"), (b"To", b" b\n c"), (b"MIME-Version", b" 1.0")])
    )
    assert found.changed == [
        (b"Content-Language", 1, b""), (b"Content-Type", 1, b""), (b"MIME-Version", 1, b""),
    ]  # fmt: skip
    assert found.added == [(b"MIME-Version", b" 1.0")]


def test_fields_of_one_name_go_from_the_last_to_the_first():
    fields = [(b"Content-Type", b" a"), (b"X", b" b"), (b"content-type", b" c")]
    found = changes(fields, written([(b"X", b" b")]))
    assert [(name, number) for name, number, _ in found.changed] == [
        (b"content-type", 2), (b"Content-Type", 1),
    ]  # fmt: skip
