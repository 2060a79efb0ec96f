"""The bounded reader of BER: what it reads, what it refuses, and that it never does else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmstream.asn1 import tlv
from helpers.authorities import element


def test_an_element_tells_where_its_octets_are():
    found = tlv.read(b"??" + element(0x04, b"abc") + b"more", 2)
    assert (found.tag, found.content, found.end) == (0x04, b"abc", 7)
    assert found.whole == b"\x04\x03abc"


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 65536])
def test_definite_lengths(size):
    data = element(0x04, b"x" * size)
    assert tlv.build(0x04, b"x" * size) == data
    assert tlv.read_only(data, 0x04).content == b"x" * size


def test_a_length_longer_than_need_be_is_read():
    assert tlv.read_only(b"\x04\x84\0\0\0\x01x", 0x04).content == b"x"


def test_indefinite_lengths_nest():
    inner = element(0x30, element(0x02, b"\x05"), indefinite=True)
    data = element(0x30, inner, element(0x04, b"\0\0"), indefinite=True)
    first, second = tlv.read_only(data).children()
    assert first.whole == inner
    assert first.children()[0].integer() == 5
    assert second.content == b"\0\0"


@pytest.mark.parametrize("indefinite", [True, False])
def test_segments_are_joined(indefinite):
    inner = element(0x24, element(0x04, b"b"), element(0x04, b"c"), indefinite=indefinite)
    data = element(0x24, element(0x04, b"a"), inner, indefinite=indefinite)
    assert tlv.read_only(data, 0x24).octets() == b"abc"


def test_segments_of_another_kind_are_refused():
    with pytest.raises(tlv.TlvError, match="something else"):
        tlv.read(element(0x24, element(0x02, b"a"))).octets()


def test_segments_in_segments_are_read_once(monkeypatch):
    deep, count = 26, 9900
    data = b"\x24\x80" * deep + element(0x04, b"x") * count + bytes(2 * deep)
    found = tlv.read(data)
    read = []
    header = tlv._header
    monkeypatch.setattr(tlv, "_header", lambda *where: read.append(where) or header(*where))
    assert found.octets() == b"x" * count
    assert len(read) == count + 2 * deep


def test_a_sequence_of_named_fields_is_short():
    assert tlv.read(element(0x30, b"\x05\0" * tlv.MAX_FIELDS)).fields().rest()
    with pytest.raises(tlv.TlvError, match=str(tlv.MAX_FIELDS)):
        tlv.read(element(0x30, b"\x05\0" * (tlv.MAX_FIELDS + 1))).fields()


@pytest.mark.parametrize("cut", range(len(element(0x30, b"\x02\x01\x05"))))
def test_a_cut_element_is_truncated(cut):
    with pytest.raises(tlv.TlvError) as caught:
        tlv.read(element(0x30, b"\x02\x01\x05")[:cut])
    assert caught.value.code == "truncated"


@pytest.mark.parametrize(
    "data",
    [
        b"\0\0",
        b"\x1f\x81\x01\0",
        b"\x04\x80a\0\0",
        element(0x30, b"\0\x01x", indefinite=True),
        element(0x30, b"\x02\x05\x01"),
        element(0x30, b"\x02"),
    ],
    ids=["end", "high tag", "primitive indefinite", "end with length", "inner length", "inner cut"],
)
def test_malformed_elements_are_corrupt(data):
    with pytest.raises(tlv.TlvError) as caught:
        tlv.read(data).children()
    assert caught.value.code == "corrupt"


@pytest.mark.parametrize("length", [b"\xff", b"\x84\xff\xff\xff\xff", b"\x88" + b"\xff" * 8])
def test_a_claimed_length_costs_nothing(length):
    with pytest.raises(tlv.TlvError):
        tlv.read(b"\x30" + length + b"few octets")


def test_nesting_is_limited():
    with pytest.raises(tlv.TlvError, match="deep"):
        tlv.read(b"\x30\x80" * 100 + b"\0\0" * 100)
    segments = element(0x04, b"x")
    for _ in range(tlv.MAX_DEPTH + 1):
        segments = element(0x24, segments)
    with pytest.raises(tlv.TlvError, match="deep"):
        tlv.read(segments).octets()


@pytest.mark.parametrize("indefinite", [True, False])
def test_the_number_of_elements_is_limited(indefinite):
    data = element(0x30, b"\x05\0" * (tlv.MAX_ELEMENTS + 1), indefinite=indefinite)
    with pytest.raises(tlv.TlvError, match=str(tlv.MAX_ELEMENTS)):
        tlv.read(data).children()


@pytest.mark.parametrize(
    ("content", "value"), [("00", 0), ("7f", 127), ("0080", 128), ("ff", -1), ("ff7f", -129)]
)
def test_integers(content, value):
    assert tlv.read(element(0x02, bytes.fromhex(content))).integer() == value


@pytest.mark.parametrize("content", ["", "0000", "007f", "ff80", "ffff"])
def test_integers_that_are_not_minimal_are_refused(content):
    with pytest.raises(tlv.TlvError):
        tlv.read(element(0x02, bytes.fromhex(content))).integer()


@pytest.mark.parametrize(
    ("content", "text"),
    [("2a864886f70d010101", "1.2.840.113549.1.1.1"), ("550403", "2.5.4.3"), ("883703", "2.999.3")],
)
def test_object_identifiers(content, text):
    assert tlv.read(element(0x06, bytes.fromhex(content))).oid() == text


@pytest.mark.parametrize("content", [b"", b"\x2a\x86", b"\x2a" * (tlv.MAX_OID_OCTETS + 1)])
def test_malformed_object_identifiers_are_refused(content):
    with pytest.raises(tlv.TlvError):
        tlv.read(element(0x06, content)).oid()


def test_fields_are_taken_in_order():
    data = element(0x30, element(0x02, b"\x01"), element(0x04, b"x"), element(0x05))
    fields = tlv.read_only(data).fields()
    assert fields.maybe(0x04) is None
    assert fields.take(0x02).integer() == 1
    assert [one.tag for one in fields.rest()] == [0x04, 0x05]
    with pytest.raises(tlv.TlvError, match="0x04 found"):
        fields.take(0x30)
    with pytest.raises(tlv.TlvError, match="too many"):
        fields.done()


def test_read_only_wants_one_element_of_its_kind():
    with pytest.raises(tlv.TlvError, match="1 bytes too many"):
        tlv.read_only(element(0x30) + b"x")
    with pytest.raises(tlv.TlvError, match="expected"):
        tlv.read_only(element(0x31))


def _walk(found: tlv.Tlv, depth: int = 0) -> int:
    assert found.start < found.body <= found.stop <= found.end <= len(found.data)
    if not found.tag & 0x20 or depth > tlv.MAX_DEPTH:
        return 1
    return 1 + sum(_walk(child, depth + 1) for child in found.children())


tree = st.recursive(
    st.builds(element, st.sampled_from([0x02, 0x04, 0x06, 0x80]), st.binary(max_size=9)),
    lambda inner: st.builds(
        lambda tag, parts, indefinite: element(tag, *parts, indefinite=indefinite),
        st.sampled_from([0x24, 0x30, 0xA0]),
        st.lists(inner, max_size=4),
        st.booleans(),
    ),
    max_leaves=12,
)


@given(tree)
def test_every_tree_is_read_to_its_end(data):
    found = tlv.read(data)
    assert found.whole == data
    assert _walk(found) >= 1


@given(st.one_of(st.binary(max_size=60), st.tuples(tree, st.binary(max_size=6)).map(b"".join)))
def test_only_its_own_error_comes_out(data):
    try:
        found = tlv.read(data)
        _walk(found)
        found.octets()
    except tlv.TlvError as error:
        assert error.code in {"truncated", "corrupt"}


strings = st.recursive(
    st.builds(element, st.just(0x04), st.binary(max_size=9)),
    lambda inner: st.builds(
        lambda parts, indefinite: element(0x24, *parts, indefinite=indefinite),
        st.lists(inner, max_size=4),
        st.booleans(),
    ),
    max_leaves=12,
)


def joined(found: tlv.Tlv) -> bytes:
    return b"".join(map(joined, found.children())) if found.tag & 0x20 else found.content


@given(strings)
def test_segments_are_joined_in_their_order(data):
    assert tlv.read(data).octets() == joined(tlv.read(data))


def rebuilt(found: tlv.Tlv) -> bytes:
    inside = map(rebuilt, found.children()) if found.tag & 0x20 else [found.content]
    return element(found.tag, *inside)


@given(tree, st.binary(max_size=3))
def test_definite_lengths_instead_of_indefinite_ones(data, behind):
    assert tlv.definite(data + behind) == (rebuilt(tlv.read(data)), len(data))


@given(st.one_of(st.binary(max_size=60), st.tuples(tree, st.binary(max_size=6)).map(b"".join)))
def test_definite_lengths_or_its_own_error(data):
    try:
        made, end = tlv.definite(data)
    except tlv.TlvError as error:
        assert error.code in {"truncated", "corrupt"}
        return
    assert tlv.definite(made) == (made, len(made))
    assert tlv.definite(data[:end]) == (made, end)
