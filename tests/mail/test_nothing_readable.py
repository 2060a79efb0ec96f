"""Whatever passes as encrypted already shows nobody a planted text: mail that is, and mail that
only seems so, changed at random, and read by other parsers in all their ways."""

from __future__ import annotations

import base64
import random
from typing import TYPE_CHECKING

import pytest

from cmstream import is_encrypted
from helpers.already import PLANTED, mail
from helpers.mutations import FALSE, FROM_THE_FIELD, TRUE, mutated
from helpers.peers import Dovecot, MailParser
from helpers.planted_text import ANY_RUN, masked, planted_in, python_sees

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_what_only_seems_so_is_seen_by_the_readers_of_this_test() -> None:
    assert all(planted_in(python_sees(masked(message))) for message in FALSE)
    assert not any(planted_in(python_sees(message)) for message in TRUE)


def passing(seed: int, tries: int) -> Iterator[bytes]:
    """Those of so many mutations that pass as encrypted."""
    source = random.Random(seed)
    for _ in range(tries):
        message = mutated(source)
        if is_encrypted(message):
            yield message


def test_no_planted_text_passes() -> None:
    assert all(map(is_encrypted, TRUE))
    assert not any(map(is_encrypted, [*FALSE, *FROM_THE_FIELD]))
    passed = list(passing(13, 600))
    for message in passed:
        assert planted_in(python_sees(masked(message))) is None, message
    assert len(passed) > 20  # else the mutations are too coarse to try anything


# Other parsers


@pytest.fixture(scope="module")
def mail_parser():
    made = MailParser()
    yield made
    made.close()


@pytest.fixture(scope="module")
def dovecot():
    made = Dovecot()
    yield made
    made.close()


PLAIN = b"Content-Type: text/plain\r\n"
PARTS = b"Content-Type: multipart/mixed; boundary=x\r\n"
IN_PARTS = b"--x\r\nContent-Type: text/plain\r\n%b\r\n%b\r\n--x--\r\n"
IN_BASE64 = b"Content-Transfer-Encoding: base64\r\n"
TOLD = base64.encodebytes(b"x" + PLANTED + b".")  # the test's own decoding finds it too, of course
READABLE = [
    mail(PLAIN, PLANTED),
    mail(PLAIN + b"Content-Transfer-Encoding: quoted-printable\r\n", PLANTED.replace(b"e", b"=65")),
    mail(PLAIN + IN_BASE64, TOLD),
    mail(PARTS, IN_PARTS % (b"", PLANTED)),
    mail(PARTS, IN_PARTS % (IN_BASE64, TOLD)),
    mail(b"Content-Type: application/pkcs7-mime\r\n" + IN_BASE64, TOLD),
    mail(b"Content-Type: message/rfc822\r\n", mail(PLAIN + IN_BASE64, TOLD)),
]


@pytest.mark.slow
@pytest.mark.parametrize("message", READABLE)
def test_other_parsers_show_what_can_be_read(mail_parser, dovecot, message) -> None:
    assert ANY_RUN.search(mail_parser.sees(message))
    assert ANY_RUN.search(dovecot.sees([message]))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_no_planted_text_passes_by_other_parsers(mail_parser, dovecot, seed) -> None:
    """20 000 mutations in four parts."""
    held: list[bytes] = []
    count = 0
    for message in passing(seed, 5000):
        shown = masked(message)
        assert planted_in(python_sees(shown)) is None, message
        assert planted_in([mail_parser.sees(shown)]) is None, message
        held.append(shown)
        if len(held) == 100:
            assert planted_in([dovecot.sees(held)]) is None
            held.clear()
        count += 1
    assert planted_in([dovecot.sees(held)]) is None
    assert count > 150
