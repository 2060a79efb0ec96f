"""The one sealed part of a multipart is found, however the parts are bounded, and nothing else."""

from __future__ import annotations

import tracemalloc

import pytest

import cmstream
from cmstream.mail.sealed_part import HEAD_LIMIT, MOST_LEVELS, MOST_PARTS, SealedPart
from helpers.shapes import pieces

SMIME = b"Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: base64\r\n\r\n"
PART = SMIME + b"MIIB\r\nADCB\r\n"
TEXT = b"Content-Type: text/plain\r\n\r\nfooter\r\n"


def mixed(boundary=b"b"):
    return b'Content-Type: multipart/mixed; boundary="' + boundary + b'"\r\n\r\n'


MIXED = mixed()


def bounded(*parts, boundary=b"b"):
    mark = b"--" + boundary
    return b"".join(mark + b"\r\n" + part + b"\r\n" for part in parts) + mark + b"--\r\n"


def found(body, head=MIXED, *, others=None):
    """The same in whatever pieces it comes."""
    answers = set()
    for cut in (1, 2, 3, 7, 64, len(body) or 1):
        part = SealedPart(head)
        text = b"".join(map(part.take, pieces(body, cut))) + part.take(b"", final=True)
        answers.add((text, part.others))
    whole = SealedPart(head)
    answers.add((whole.take(memoryview(body), final=True), whole.others))
    ((text, count),) = answers
    assert others is None or count == others
    return text


def code(body, head=MIXED):
    with pytest.raises(cmstream.EnvelopeError) as caught:
        found(body, head)
    return caught.value.code


@pytest.mark.parametrize(
    ("parts", "others"),
    [((PART,), 0), ((PART, TEXT), 1), ((TEXT, PART), 1), ((TEXT, b"", PART, b"\r\nx"), 3)],
)
def test_the_sealed_part_among_others(parts, others):
    body = bounded(*parts)
    assert found(body, others=others) == PART
    assert found(b"preamble --b\r\n" + body + b"epilogue\r\n--b\r\n" + PART, others=others) == PART
    feeds = found(body.replace(b"\r\n", b"\n"), others=others)
    assert feeds == PART.replace(b"\r\n", b"\n")


def test_the_line_end_before_a_boundary_is_the_boundary_s():
    octets = SMIME + b"\0\r\n\xff\r\r\n\n--bb\r\n--b-\r\n-- b\r\n --b\r\n\r"
    assert found(bounded(octets, TEXT), others=1) == octets


@pytest.mark.parametrize("behind", [b"", b" ", b"\t  \t", b" " * 900])
def test_white_space_behind_a_boundary(behind):
    body = b"--b%b\r\n%b\r\n--b%b\r\n%b\r\n--b--%b" % (behind, PART, behind, TEXT, behind)
    assert found(body, others=1) == PART


ODD = [b"=_(a)+'b,./:=? c", b"-", b"--", b"b--", b"a:b", b".*", b"x" * 70, b"\xc3\xa4", b"B;c=d"]


@pytest.mark.parametrize("boundary", ODD)
def test_odd_boundaries(boundary):
    assert found(bounded(PART, TEXT, boundary=boundary), mixed(boundary), others=1) == PART


@pytest.mark.parametrize(
    "parameter",
    [b"boundary=b", b'charset=x; BOUNDARY = "b"', b'x="boundary=no"; boundary="\\b"',
     b'boundary="b"; boundary="c"', b"\r\n\tboundary=b"],
)  # fmt: skip
def test_how_the_boundary_is_told(parameter):
    head = b"Subject: x\r\nContent-Type: Multipart/Mixed; " + parameter + b"\r\n\r\n"
    assert found(bounded(PART, TEXT), head, others=1) == PART


@pytest.mark.parametrize("parameter", [b"", b"; boundary=", b'; boundary=""', b"; Boundaries=b"])
def test_a_multipart_without_a_boundary_is_malformed(parameter):
    head = b"Content-Type: multipart/mixed" + parameter + b"\r\n\r\n"
    assert code(bounded(PART), head) == "malformed"


def test_a_last_boundary_that_is_missing():
    assert found(b"--b\r\n" + PART) == PART
    assert found(b"--b\r\n" + PART + b"\r\n--b\r\n" + TEXT, others=1) == PART
    assert found(b"--b\r\n" + PART + b"\r\n--b", others=1) == PART


def nested(part, levels, *, closed=True):
    """The mail itself is the first level."""
    for level in range(levels - 1):
        boundary = b"n%d" % level
        inner = bounded(part, TEXT, boundary=boundary)
        if not closed:
            inner = inner.removesuffix(b"--" + boundary + b"--\r\n")
        part = mixed(boundary) + inner
    return bounded(part, TEXT)


@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize("levels", [1, 2, 3, MOST_LEVELS])
def test_multiparts_in_multiparts(levels, closed):
    assert found(nested(PART, levels, closed=closed), others=levels) == PART


def test_deeper_ones_are_refused():
    assert code(nested(PART, MOST_LEVELS + 1)) == "too-deep"


def test_other_multiparts_are_one_part():
    for kind in (b"alternative", b"signed", b"related", b"digest"):
        other = mixed(b"n").replace(b"mixed", kind) + bounded(PART, boundary=b"n")
        assert found(bounded(PART, other), others=1) == PART
        assert code(bounded(other)) == "not-enveloped"
    forwarded = b"Content-Type: message/rfc822\r\n\r\n" + PART
    assert code(bounded(forwarded)) == "not-enveloped"


def test_two_sealed_parts_are_refused():
    assert code(bounded(PART, TEXT, PART)) == "trailing-data"
    assert code(bounded(PART, mixed(b"n") + bounded(PART, boundary=b"n"))) == "trailing-data"


@pytest.mark.parametrize(
    "label",
    [b"application/x-pkcs7-mime", b"application/pkcs7", b"application/cms",
     b"APPLICATION/PKCS7-Mime", b"application/pkcs7-mime; smime-type=enveloped-data",
     b"application/octet-stream; name=a.P7M",
     b"application/octet-stream\r\nContent-Disposition: attachment;\r\n filename=smime.p7m",
     b"application/pkcs7-mime; smime-type=authEnveloped-data"],
)  # fmt: skip
def test_labels_of_a_sealed_part(label):
    part = PART.replace(b"application/pkcs7-mime", label)
    assert found(bounded(part, TEXT), others=1) == part


@pytest.mark.parametrize(
    "label",
    [b"application/octet-stream", b"application/octet-stream; name=a.p7m.exe", b"text/plain",
     b"application/pkcs7-signature; name=smime.p7s",
     b"application/pkcs7-mime; smime-type=certs-only",
     b'application/pkcs7-mime; smime-type="signed-data"',
     b"application/pkcs7-mime\r\nContent-Type: x/y",
     b"multipart/mixed"],
)  # fmt: skip
def test_labels_of_other_parts(label):
    other = PART.replace(b"application/pkcs7-mime", label)
    assert found(bounded(other, PART), others=1) == PART
    assert code(bounded(other)) == "not-enveloped"


@pytest.mark.parametrize("body", [b"", b"no parts", b"--b--\r\n", b"--b\r\n", b"--c\r\n" + PART])
def test_no_part_at_all(body):
    assert code(body) == "not-enveloped"


def test_the_number_of_parts_has_a_limit():
    part = SealedPart(MIXED)
    assert part.take(bounded(*[b""] * (MOST_PARTS - 1), PART), final=True) == PART
    assert part.others == MOST_PARTS - 1
    with pytest.raises(cmstream.EnvelopeError, match="10000 parts") as caught:
        SealedPart(MIXED).take(b"--b\r\n" * (MOST_PARTS + 2))
    assert caught.value.code == "too-large"


def test_a_part_s_header_block_has_a_limit():
    assert code(bounded(b"X: " + b"y" * HEAD_LIMIT + b"\r\n" + PART)) == "too-large"


HOSTILE = {
    "boundaries": b"--b\r\n",
    "nested ones": b"--b\r\n" + mixed(b"n") + b"--n--\r\n",
    "nearly boundaries": b"--bb\n",
    "dashes": b"\n--",
    "white space": b"--b" + b" " * 1900 + b"x\n",
    "one line of boundaries": b"--b ",
    "carriage returns": b"\r",
    "header fields": b"--b\r\n" + b"Content-Type: multipart/mixed;;;;;;;;\r\n" * 99 + b"\r\n",
    "parameters": b"--b\r\nContent-Type: multipart/mixed" + b'; boundary ="' * 900 + b"\r\n\r\n",
}


@pytest.mark.parametrize("line", HOSTILE.values(), ids=HOSTILE)
def test_hostile_bodies_come_to_an_end(line):
    """A cost that grows with the square of the length would take hours."""
    body = line * ((2 << 20) // len(line))
    for parts in ([body], pieces(body, 4096)):
        part = SealedPart(MIXED)
        with pytest.raises(cmstream.EnvelopeError):
            for one in [*parts, b""]:
                part.take(one, final=not one)


def test_long_parts_take_little_memory():
    part = SealedPart(MIXED)
    part.take(b"--b\r\n" + TEXT)
    tracemalloc.start()
    try:
        for _ in range(200):
            assert not part.take(b"x" * 100_000)
        part.take(b"\r\n--b\r\n" + SMIME)
        for _ in range(200):
            part.take((b"A" * 64 + b"\r\n") * 1500)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20
