from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmstream.archive import names

PARTS = st.binary(min_size=1, max_size=300).filter(lambda part: not {0, 47} & {*part})


@given(PARTS)
def test_a_quoted_name_gives_the_octets_back(part):
    raw = os.fsdecode(part)
    if raw not in {".", ".."}:
        for quoted in (names.quoted(raw), names.quoted_folder(raw)):
            assert os.fsencode(names.original(quoted)) == part
            quoted.encode()
            assert quoted.isprintable() or all(ord(one) > 0x9F for one in quoted if not
                                               one.isprintable())  # fmt: skip


@given(PARTS, PARTS)
def test_two_names_stay_two(one, other):
    if one != other:
        one, other = os.fsdecode(one), os.fsdecode(other)
        assert names.quoted(one) != names.quoted(other)
        ends = [names.target(names.quoted(name), names.FILE) for name in (one, other)]
        assert ends[0] != ends[1]


@given(st.lists(PARTS, min_size=1, max_size=4), st.sampled_from([names.MAIL, names.FILE]))
def test_a_file_system_takes_each_target(parts, ending):
    folders = [names.quoted_folder(os.fsdecode(part)) for part in parts[:-1]]
    path = names.target("/".join([*folders, names.quoted(os.fsdecode(parts[-1]))]), ending)
    assert path.endswith(ending)
    assert max(len(part.encode()) for part in path.split("/")) <= 255


@pytest.mark.parametrize("name", ["a.eml", "a.p7m", "a.P7M", "a.EML"])
def test_a_folder_is_never_called_as_a_sealed_file_is(name):
    assert not names.quoted_folder(name).lower().endswith((".eml", ".p7m"))


@pytest.mark.parametrize("name", [".", "..", ".cmstream", ""])
def test_a_folder_is_never_the_archives_own(name):
    assert names.quoted_folder(name) not in {".", "..", ".cmstream", ""}
