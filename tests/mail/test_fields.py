"""Header fields taken apart; Python's own parser is the second opinion."""

from __future__ import annotations

import email
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmstream.mail import fields
from cmstream.mail.fields import Field
from cmstream.mail.mime import HEADER_LIMIT

HP = b'hp="cipher"'


def field(value, name=b"Content-Type"):
    return Field(name.lower(), name + b":" + value)


@given(st.lists(st.sampled_from([b"A: 1\r\n", b"b:\n", b" c\n", b"\t\r\n", b"From x\n", b"\r\n"])))
def test_the_fields_together_are_the_block(lines):
    text = b"".join(lines)
    found = list(fields.split(text))
    assert b"".join(one.raw for one in found) == text
    assert {one.name for one in found} <= {b"", b"a", b"b"}


@pytest.mark.parametrize(
    ("value", "mask", "sound"),
    [
        (b"a;b", b"a;b", 3),
        (b'a"b;c"d', b'a"""""d', 7),
        (b"a(b;c)d", b"a     d", 7),
        (b"a(b(c)d)e", b"a       e", 9),
        (b'a(")b', b"a   b", 5),
        (b'"a\\"b"c', b'""""""c', 7),
        (b"(a\\)b)c", b"      c", 7),
        (b"a)b", b"a)b", 3),
        (b'a;"b', b"a;  ", 2),
        (b"a;(b", b"a;  ", 2),
    ],
)
def test_quotes_and_comments_are_blotted_out(value, mask, sound):
    assert fields.masked(value) == (mask, sound)


@given(st.binary(max_size=40) | st.text('"()\\;=ahp \r\n').map(str.encode))
def test_a_mask_is_as_long_as_the_value(value):
    mask, sound = fields.masked(value)
    assert len(mask) == len(value)
    assert 0 <= sound <= len(value)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b" text/plain\r\n", b' text/plain;\r\n hp="cipher"\r\n'),
        (b" text/plain;\r\n", b' text/plain;\r\n hp="cipher";\r\n'),
        (b" a/b; c=d ;; ;\r\n\t\r\n", b' a/b; c=d ;\r\n hp="cipher";; ;\r\n\t\r\n'),
        (b' a/b;; c="d\r\n', b' a/b;;\r\n hp="cipher"; c="d\r\n'),
        (b" text/plain; \r\n \r\n", b' text/plain;\r\n hp="cipher"; \r\n \r\n'),
        (b" a/b; c=d (e;f)\r\n", b' a/b; c=d (e;f);\r\n hp="cipher"\r\n'),
        (b' a/b; c="d;\r\n', b' a/b;\r\n hp="cipher"; c="d;\r\n'),
        (b" a/b (c\r\n", b' a/b ;\r\n hp="cipher" ;(c\r\n'),
        (b"\r\n", b';\r\n hp="cipher"\r\n'),
    ],
)
def test_a_parameter_more(before, after):
    found = fields.with_parameter(field(before), HP)
    assert found.value == after
    assert fields.parameter(found, "hp") == b"cipher"
    assert email.message_from_bytes(found.raw + b"\r\n").get_param("hp") == "cipher"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b' a/b; hp="clear"; c=d\r\n', b" a/b; c=d\r\n"),
        (b" a/b;hp=x\r\n", b" a/b\r\n"),
        (b" a/b; HP = x (y) ; hp*0=a; hp*=b; hps=1\r\n", b" a/b (y) ; hps=1\r\n"),
        (b' a/b; c="; hp=x"; d=(; hp=x) 1\r\n', b' a/b; c="; hp=x"; d=(; hp=x) 1\r\n'),
        (b" a/b; xhp=x; hp\r\n", b" a/b; xhp=x; hp\r\n"),
    ],
)
def test_a_parameter_less(before, after):
    assert fields.without_parameter(field(before), "hp").value == after


@given(st.text('"()\\;=ahp/ \r\n\t*').map(str.encode))
def test_what_was_added_goes_again(value):
    bare = fields.without_parameter(field(value + b"\r\n"), "hp")
    added = fields.with_parameter(bare, HP)
    assert fields.parameter(added, "hp") == b"cipher"
    assert fields.without_parameter(added, "hp") == bare


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (b" a@b\r\n", [b"a@b"]),
        (b" Alice <a@b>\r\n", [b"a@b"]),
        (b' "A, (B)" <a@b> (c, <d@e>),\r\n Bob <d.e@[::1]>,\r\n', [b"a@b", b"d.e@[::1]"]),
        (b' "a b"@c, =?utf-8?q?=C3=A9?= <\xc3\xa9@d>', [b'"a b"@c', b"\xc3\xa9@d"]),
        (b" a@b <c@d>", [b"c@d"]),
        (b" undisclosed-recipients:;\r\n", None),
        (b" Friends: a@b, c@d;\r\n", None),
        (b" a@b c@d", None),
        (b" Alice <a@b", None),
        (b" Alice\r\n", None),
        (b' "Alice <a@b>\r\n', None),
        (b"\r\n", None),
    ],
)
def test_addresses(value, found):
    assert fields.addresses(field(value, b"To")) == found


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (b" Sat, 20 Feb 2021 10:09:02 -0500\r\n", b"Sat, 20 Feb 2021 15:09:02 +0000"),
        (b" 20 Feb 2021 10:09 +0130 (here)", b"Sat, 20 Feb 2021 08:39:00 +0000"),
        (b" Sat, 20 Feb 2021 10:09:02 EST", b"Sat, 20 Feb 2021 15:09:02 +0000"),
        (b" Sat, 20 Feb 2021 10:09:02 -0000", b"Sat, 20 Feb 2021 10:09:02 +0000"),
        (b" Sat, 31 Feb 2021 10:09:02 +0000", None),
        (b" Sat, 1 Jan 0001 00:00:00 +0100", None),
        (b" Fri, 31 Dec 9999 23:00:00 -0200", None),
        (b" Sat, 1 Jan 2021 00:00:00 +9999", None),
        (b" Sat, 1 Foo 2021 00:00:00 +0000", None),
        (b" yesterday", None),
        (b" 2021-02-20T10:09:02Z", None),
        (b" " * 200 + b"Sat, 20 Feb 2021 10:09:02 -0500", None),
    ],
)
def test_dates(value, found):
    assert fields.in_utc(field(value, b"Date")) == found


@pytest.mark.parametrize("unit", [b'"', b"(", b"\\", b";", b",", b";hp", b";hp=", b"<", b" ", b"@",
                                  b"a@b,", b"(()", b'\\"', b";\t"])  # fmt: skip
@pytest.mark.parametrize("first", [b"", b";hp", b";hp*"])
def test_hostile_fields_take_linear_time(first, unit):
    huge = field(first + unit * (HEADER_LIMIT // 32 // len(unit)))
    begin = time.process_time()
    fields.without_parameter(fields.with_parameter(huge, HP), "hp")
    fields.parameter(huge, "hp")
    fields.addresses(huge)
    fields.in_utc(huge)
    assert time.process_time() - begin < 3  # quadratic would take minutes
