"""The constants for codes: all that the exceptions name, and no others."""

from __future__ import annotations

import copy
import inspect
import multiprocessing
import pickle
import re

import pytest

import cmstream
from cmstream import errors, policy
from cmstream.accounts import StoreCode
from cmstream.accounts import errors as store_errors

NAMED = re.compile(r"``([a-z0-9]+(?:-[a-z0-9]+)*)``")
NO_CODES = {"code", "fingerprint", "problems", "recipients", "account", "error", "clear", "retry"}


def named(module):
    """What the docstrings of a module's exceptions call codes."""
    found = set()
    for _, one in inspect.getmembers(module, inspect.isclass):
        if one.__module__ == module.__name__ and issubclass(one, cmstream.CmstreamError):
            text = " ".join((inspect.getdoc(one) or "").split())
            _, codes, rest = text.partition("Code")
            found |= {*NAMED.findall(codes + rest)} - NO_CODES
    return found


@pytest.mark.parametrize(
    ("constants", "module", "more"),
    [(cmstream.Code, errors, policy.PROBLEMS), (StoreCode, store_errors, frozenset())],
)
def test_all_that_are_named_and_no_others(constants, module, more):
    assert {str(one) for one in constants} == named(module) | more
    for one in constants:
        assert one.name == one.value.upper().replace("-", "_")


def test_a_constant_is_its_text():
    with pytest.raises(cmstream.CertificateError) as caught:
        cmstream.load_recipients(b"")
    assert caught.value.code == cmstream.Code.EMPTY
    assert f"{cmstream.Code.EMPTY}" == str(cmstream.Code.EMPTY) == "empty"
    assert {"empty": 1}[cmstream.Code.EMPTY] == 1


VALUES = {
    "code": "expired", "message": "a sentence: with a remedy", "fingerprint": "ab12", "error": "x",
    "problems": ("expired", "no-email"), "recipients": ("CN=A", "CN=B"), "account": "a@example.org",
    "retry_after": 7, "clear": frozenset({"a@example.org"}),
}  # fmt: skip


def every_error():
    """One of each kind, all of whose arguments are given."""
    kinds = [cmstream.CmstreamError]
    for kind in kinds:
        kinds += kind.__subclasses__()
        names = [*inspect.signature(kind).parameters.values()]
        given = {one.name: VALUES[one.name] for one in names}
        yield kind(**given)


def test_an_error_comes_out_of_another_process_as_it_was():
    kinds = set()
    for error in every_error():
        sent = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
        for again in (sent, copy.copy(error), copy.deepcopy(error)):
            assert type(again) is type(error)
            assert (str(again), again.args, vars(again)) == (str(error), error.args, vars(error))
        kinds.add(type(error))
    assert {cmstream.NoRecipientError, cmstream.KeyUnavailableError} < kinds
    assert {store_errors.UnusableAccount, store_errors.AccessDenied} < kinds


def test_a_worker_process_hands_its_error_on():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        waiting = pool.apply_async(cmstream.load_recipients, (b"",))
        with pytest.raises(cmstream.CertificateError, match="the file is empty") as caught:
            waiting.get(60)
    assert caught.value.code == "empty"
