"""The constants for codes: all that the exceptions name, and no others."""

from __future__ import annotations

import inspect
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
