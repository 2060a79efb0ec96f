"""Header protection (RFC 9788): a message's fields go inside with its content, and come back."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from . import fields, mime
from .fields import Field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Fields that servers write for servers and for the owner's own program (RFC 5321, 6376, 7208, 8601,
# 8617, 9228, and what mail servers and filters in wide use add).
_TRACE = re.compile(
    rb"return-path|received(?:-spf)?|x-received|(?:x-)?delivered-to|x-original-to|(?:x-)?envelope-to"
    rb"|(?:x-google-|x-)?dkim-.*|domainkey-signature|arc-.*|(?:x-)?authentication-results.*"
    rb"|bimi-(?:indicator|location)|vbr-info|x-(?:spam|virus|rspamd|forefront|ms-exchange)-.*"
    rb"|x-microsoft-antispam.*|x-spam|x-gm-message-state|status|x-status|x-uid|x-keywords"
)
# What a mailing list adds on the way (RFC 9788 section 7).
_LIST = re.compile(rb"list-.*|archived-at")
_STRUCTURAL = re.compile(rb"content-.*|mime-version|hp-outer")


@lru_cache(maxsize=1024)
def _kind(name: bytes) -> str:
    """Whose a field of this name is: ``trace``, ``list``, ``structural``, else the ``author``'s; a
    line that is no field goes with what servers wrote."""
    if not name or _TRACE.fullmatch(name):
        return "trace"
    if _STRUCTURAL.fullmatch(name):
        return "structural"
    return "list" if _LIST.fullmatch(name) else "author"


_TYPE = b"content-type"
_DEFAULT_TYPE = Field(_TYPE, b'Content-Type: text/plain; charset=us-ascii; hp="cipher"\r\n')
_HP = b'hp="cipher"'
_LONGEST_LINE = 998


# Sealing


def protect(head: bytes, hcp: str, entity: bytes = mime.ENTITY_HEADER) -> mime.Framing:
    """Cut a header block as :func:`cmstream.mail.mime.frame` does, with its fields protected by the
    Header Confidentiality Policy (RFC 9788 section 3) named ``"baseline"`` or ``"shy"``.

    Inside go all fields byte for byte, for each that stays outside an ``HP-Outer`` with what the
    outside shows of it (section 2.2), then the ``Content-*`` fields, with ``hp="cipher"`` in the
    Content-Type (section 2.1), which is made up where there is none, as RFC 2045 section 5.2 has
    it. Outside each ``Subject`` becomes ``[...]``, ``Comments`` and ``Keywords`` go
    (``hcp_baseline``, section 3.2), and so does ``Thread-Topic``, Exchange's copy of the Subject;
    ``hcp_shy`` also takes the names and comments from ``From``, ``To`` and ``Cc`` and the time zone
    from ``Date``, where they are as RFC 5322 writes them.

    Section 5.2 speaks of a program that composes a message; a gateway seals one that has come a
    long way. What servers wrote on it (``Received``, ``Return-Path``, ``DKIM-Signature``,
    ``Authentication-Results`` and their like) stays outside alone, where later servers look for it
    and no sender can speak for them. ``HP-Outer`` fields and ``hp`` parameters that came with the
    message were somebody else's claims and are dropped. Signed mail keeps its signature: its fields
    stand around the signed part, not in it, and readers that look only there (the Cryptographic
    Payload of RFC 9787) show the outer ones. Legacy Display Elements (section 5.2.2), for readers
    that know nothing of all this, aren't written: the body stays as it was.
    """
    outside, inside, told, own = [], [], [], []
    shown_of = _HCPS[hcp]
    for field in fields.split(mime.lines(head)):
        kind = _kind(field.name)
        if kind == "trace":
            outside.append(field.raw)
        elif kind != "structural":
            shown = shown_of(field)
            inside.append(field.raw)
            outside.append(shown)
            told.append(_hp_outer(shown))
        elif field.name.startswith(b"content-"):
            own.append(_marked(field))
    if not any(field.name == _TYPE for field in own):
        own.append(_DEFAULT_TYPE)
    described = b"".join(field.raw for field in own)
    outside.append(entity)
    canonical = mime.transfer_encoding(described) != b"binary"
    within = b"".join([*inside, *told, described, b"\r\n"])
    return mime.Framing(b"".join(outside), within, canonical)


def _marked(field: Field) -> Field:
    return fields.with_parameter(_unmarked(field), _HP) if field.name == _TYPE else field


def _unmarked(field: Field) -> Field:
    return fields.without_parameter(field, "hp") if field.name == _TYPE else field


def _hp_outer(shown: bytes) -> bytes:
    if not shown:
        return b""
    fits = shown.find(b"\n") < _LONGEST_LINE - len(b"HP-Outer: ")
    return (b"HP-Outer: " if fits else b"HP-Outer:\r\n ") + shown


def _baseline(field: Field) -> bytes:
    """``hcp_baseline``: what the outside shows of a field."""
    if field.name in {b"keywords", b"comments", b"thread-topic"}:
        return b""
    return _instead(field, b"[...]") if field.name == b"subject" else field.raw


def _shy(field: Field) -> bytes:
    if field.name in {b"from", b"to", b"cc"}:
        return _instead(field, _list(fields.addresses(field)))
    if field.name == b"date":
        return _instead(field, fields.in_utc(field))
    return _baseline(field)


def _instead(field: Field, value: bytes | None) -> bytes:
    """The field with another value, if there is one that says anything else."""
    if value is None or field.value.split() == value.split():
        return field.raw
    return field.raw.partition(b":")[0].rstrip() + b": " + value + b"\r\n"


def _list(mailboxes: list[bytes] | None) -> bytes | None:
    if mailboxes is None:
        return None
    short = sum(map(len, mailboxes)) + 2 * len(mailboxes) < _LONGEST_LINE - 10
    return (b", " if short else b",\r\n ").join(mailboxes)


_HCPS: dict[str, Callable[[Field], bytes]] = {"baseline": _baseline, "shy": _shy}


# Opening


def restored(outer: bytes, inner: bytes) -> bytes | None:
    """The header block of a message whose inner entity protects its fields; None if it doesn't.

    ``outer``: what the message shows; ``inner``: the header block of what was sealed. It protects
    them if its Content-Type says ``hp="cipher"`` or ``hp="clear"`` (RFC 9788 section 2.1), or
    ``protected-headers="v1"``, as older programs do. What the outside says of that means nothing.

    The inner fields are the message's then. Of the outer ones those stay that servers added on the
    way, and a mailing list's where the author has none (section 7); all others go, since nobody
    vouches for them (section 4). The older form often has only some of the fields inside: outer
    ones of other names stay with it, and where there is nothing inside but ``Content-*`` fields.
    An outer ``From`` with another address than the inner one stays, and the inner one goes: no
    signature was verified here, and the outer one may have been where the mail came in (sections
    4.4 and 10.1). Fields of servers inside are no servers' words, and go.

    ``HP-Outer`` fields and the ``hp`` parameter go too: they speak of a sealed message, which this
    no longer is, and a program that sees it later must not take them for a promise.
    """
    every = list(fields.split(inner))
    kind = next((field for field in every if field.name == _TYPE), None)
    stated = kind is not None and fields.parameter(kind, "hp") in {b"cipher", b"clear"}
    if kind is None or not (stated or fields.parameter(kind, "protected-headers") == b"v1"):
        return None
    around = list(fields.split(mime.lines(outer)))
    mismatch = _another_author(around, every)
    own = [field for field in every if _is_authors(field.name, mismatch=mismatch)]
    names = {field.name for field in own}
    strict = stated and not {_kind(name) for name in names}.isdisjoint({"author", "list"})
    top = [f.raw for f in around if _stays(f.name, names, strict=strict, mismatch=mismatch)]
    if b"mime-version" not in names:
        top.append(mime.VERSION)
    return b"".join(top + [_unmarked(field).raw for field in own])


def _is_authors(name: bytes, *, mismatch: bool) -> bool:
    """Whether an inner field belongs to the opened message."""
    if name == b"hp-outer" or (mismatch and name == b"from"):
        return False
    return not name or _kind(name) != "trace"


def _stays(name: bytes, names: set[bytes], *, strict: bool, mismatch: bool) -> bool:
    """Whether an outer field belongs to it, with inner fields of these names."""
    kind = _kind(name)
    if kind == "trace" or (mismatch and name == b"from"):
        return True
    if kind == "structural" or name in names:
        return False
    return kind == "list" or not strict


def _another_author(around: list[Field], every: list[Field]) -> bool:
    outer = set(_authors(around))
    return bool(outer) and outer != set(_authors(every))


def _authors(every: list[Field]) -> Iterator[bytes]:
    for field in every:
        if field.name == b"from":
            for one in fields.addresses(field) or [b" ".join(field.value.split())]:
                yield one.lower()
