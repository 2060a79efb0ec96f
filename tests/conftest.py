"""What several tests share: people to encrypt to, and a look at every kernel."""

from __future__ import annotations

import os
import signal
from itertools import chain

import pytest

from cmstream.engine import gate
from helpers.peers import BouncyCastle
from helpers.people import Person, identity, person

pytest_plugins = ["helpers.accounts.fixtures"]

# Where the tests themselves were started to ignore these, what they start would ignore them, too.
for _number, _usual in {
    signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL
}.items():  # fmt: skip
    if signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, _usual)


@pytest.fixture(scope="session")
def alice() -> Person:
    return person()


@pytest.fixture(scope="session")
def bob() -> Person:
    return person(number=1, emails=("bob@example.org",), common_name="Bob")


@pytest.fixture(scope="session")
def me(alice):
    return identity(alice)


@pytest.fixture(scope="module")
def bouncy_castle(tmp_path_factory):
    made = BouncyCastle(tmp_path_factory.mktemp("bouncy"))
    yield made
    made.close()


# Every level at which another kernel comes in, the portable one first.
LEVELS = list({gate.LEVELS[row]: row for row in chain(*gate.kernels().values())}.values())
LEVELS.sort(key=gate.LEVELS.__getitem__)


@pytest.fixture(params=LEVELS)
def level(request):
    """Runs the test once for every level of the CPU's features, the portable one first."""
    gate.restrict_cpu(request.param)
    yield request.param
    gate.restrict_cpu(os.environ.get("CMSTREAM_CPU"))
