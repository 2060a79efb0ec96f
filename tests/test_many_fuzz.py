"""Batches against one message at a time: whatever the mix, each gets what it would get alone."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cmstream
from helpers.opening import open_cms, open_message
from helpers.people import person

PEOPLE = [person(bits, number=7, emails=("x@x.org",)) for bits in (1024, 2048)]
EVERYBODY = [one.recipient for one in PEOPLE]
PREPARED = [cmstream.Recipients([one]) for one in EVERYBODY]
POLICIES = [
    cmstream.DEFAULT.clone(cipher=cipher, key_transport=transport, header_protection=protection,
                           warn=frozenset())
    for cipher, protection in (
        ("aes256-cbc", None), ("aes128-cbc", None), ("aes256-gcm", None),
        ("chacha20-poly1305", "shy"), ("aes128-cbc", "baseline"),
    )
    for transport in ("pkcs1v15", "oaep-sha256")
]  # fmt: skip
REFUSING = cmstream.DEFAULT.clone(refuse={"weak-key"}, warn=frozenset())

lines = st.lists(st.sampled_from([b"a\r\n", b"\n", b"\r", b"text" * 30, b"x" * 5000 + b"\r\n"]))
heads = st.sampled_from(
    [
        b"",
        b"Subject: x\n\n",
        b"Subject: x\r\nContent-Type: text/plain\r\n folded\r\n\r\n",
        b"Content-Transfer-Encoding: binary\r\n\r\n",
        b"Content-Type: application/pkcs7-mime\r\n\r\nMIIB",
    ]
)
messages = st.builds(lambda head, body, times: head + b"".join(body) * times, heads, lines,
                     st.sampled_from([1, 1, 1, 9]))  # fmt: skip
good = st.tuples(messages, st.sampled_from(PREPARED), st.sampled_from(POLICIES))
bad = st.one_of(
    st.tuples(messages, st.just([])),
    st.tuples(messages, st.just(PREPARED[0]), st.just(REFUSING)),
    st.tuples(st.just(None), st.just(PREPARED[0])),
    st.just(()),
    st.tuples(st.just(b"A: " + b"b" * (5 << 20)), st.just(PREPARED[0])),
)


def alone(order, form):
    """What the job gives by itself: the content, and what stands outside; or an error."""
    if len(order) not in {2, 3}:
        return TypeError, None
    try:
        data, to, *own = order
        policy = own[0] if own else POLICIES[0]
        if form == "message":
            return opened(cmstream.encrypt_message(data, to, policy=policy), to, form)
        return opened(cmstream.encrypt(data, to, policy=policy, form=form), to, form)
    except Exception as error:  # noqa: BLE001 - whatever it is, the batch must give the same
        return type(error), getattr(error, "code", None)


def opened(sealed, to, form):
    key = PEOPLE[PREPARED.index(to)].key
    if form == "message":
        return open_message(bytes(sealed), key)
    return open_cms(bytes(sealed), key)


@pytest.mark.parametrize("form", ["message", "der"])
@given(orders=st.lists(st.one_of(good, good, good, good, bad), max_size=24))
@settings(max_examples=150, deadline=None)
def test_a_batch_gives_what_each_job_gives_alone(form, orders):
    answers = cmstream.encrypt_many(orders, form=form, policy=POLICIES[0], return_exceptions=True)
    for order, answer in zip(orders, answers, strict=True):
        if isinstance(answer, Exception):
            found = type(answer), getattr(answer, "code", None)
        else:
            found = opened(answer, order[1], form)
        assert found == alone(order, form)
