"""The framing of every mail in the shared corpus has one of its acceptable outcomes."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from cmstream.cms.already_encrypted import is_encrypted
from cmstream.mail.mime import ENTITY_HEADER, frame, header_end

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus"


def records() -> list[dict[str, Any]]:
    if not (CORPUS / "expected.json").is_file():
        return []
    found = json.loads((CORPUS / "expected.json").read_text())["records"]
    return [record for record in found if record["file"].startswith("mail/")]


def fields(block: bytes) -> list[tuple[str, str]]:
    """Names and values, line by line: another way than the code under test."""
    unfolded = re.sub(r"\r\n(?=[ \t])", "", block.decode("latin-1"))
    lines = [line for line in unfolded.split("\r\n") if not re.match(">?From ", line)]
    pairs = [line.partition(":") for line in lines if line]
    return [(name.rstrip(), value) for name, _, value in pairs]


def is_type(name: str) -> bool:
    return name.lower() == "content-type"


def media_type(value: str) -> str:
    before = None
    while before != value:
        before, value = value, re.sub(r"\((?:[^()\\]|\\.)*\)", "", value)
    return value.split(";")[0].strip().lower()


def outcome(message: bytes) -> dict[str, Any]:
    """What came of it, in the names of the records."""
    if is_encrypted(message):
        return {"encrypted_already": True}
    end, _ = header_end(message, 0, final=True)
    framing, body = frame(message[:end]), message[end:]
    if framing.canonical:
        body = re.sub(rb"(?<!\r)\n", b"\r\n", body)
    outside, inside = fields(framing.outside.removesuffix(ENTITY_HEADER)), fields(framing.inside)
    return {
        "encrypted_already": False,
        "headers_outside": [name for name, _ in outside],
        "inner_content_type": next((media_type(v) for n, v in inside if is_type(n)), None),
        "canonical": framing.canonical,
        "inner_body_sha256": hashlib.sha256(body).hexdigest(),
    }


def fits(got: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """A list in the record holds the values of which any will do."""
    lists = {"inner_content_type", "canonical"}
    for name, value in wanted.items():
        if name == "inner_body_sha256" and value is None:
            continue
        if name in lists and isinstance(value, list):
            if got.get(name) not in value:
                return False
        elif got.get(name, ()) != value:
            return False
    return True


@pytest.mark.skipif(not records(), reason="the shared corpus isn't here")
def test_there_are_records_of_both_outcomes() -> None:
    preferred = [record["expected"][0]["encrypted_already"] for record in records()]
    assert True in preferred
    assert False in preferred


@pytest.mark.parametrize("record", records(), ids=lambda record: record["file"])
def test_mail(record: dict[str, Any]) -> None:
    message = (CORPUS / record["file"]).read_bytes()
    got = outcome(message)
    assert any(fits(got, wanted) for wanted in record["expected"]), got
