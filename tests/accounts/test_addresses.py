"""Addresses: which keys they are looked up by, and when they are the same. A miss is plaintext on
a disk, and a false hit is mail sealed for somebody else."""

from __future__ import annotations

import unicodedata

import idna
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from cmstream.accounts import addresses
from cmstream.accounts.addresses import canonical, canonical_domain, delimiters_of, keys
from cmstream.accounts.errors import Invalid

SAME = [
    ("alice@example.org", "alice@example.org"),
    # Case, of ASCII and of all else.
    ("Alice@Example.ORG", "alice@example.org"),
    ("JÜRGEN@example.org", "jürgen@example.org"),
    ("ju\u0308rgen@example.org", "jürgen@example.org"),
    ("ΟΔΟΣ@example.org", "οδοσ@example.org"),
    ("οδος@example.org", "οδοσ@example.org"),
    ("STRASSE@example.org", "strasse@example.org"),
    ("straße@example.org", "strasse@example.org"),
    ("\u212aelvin@example.org", "kelvin@example.org"),
    # White space, brackets, dots at the end, routes.
    (" alice@example.org\r\n", "alice@example.org"),
    ("\u00a0alice@example.org", "alice@example.org"),
    ("<alice@example.org>", "alice@example.org"),
    (" < alice@example.org > ", "alice@example.org"),
    ("alice@example.org.", "alice@example.org"),
    ("<@relay.example:alice@example.org>", "alice@example.org"),
    ("@a.example,@b.example:alice@example.org", "alice@example.org"),
    # Quotes.
    ('"alice"@example.org', "alice@example.org"),
    ('"a.b"@example.org', "a.b@example.org"),
    ('"a\\lice"@example.org', "alice@example.org"),
    ('"Alice+News"@example.org', "alice+news@example.org"),
    ('"a b"@example.org', '"a b"@example.org'),
    ('"a@b"@example.org', '"a@b"@example.org'),
    ('"a\\"b\\\\"@example.org', '"a\\"b\\\\"@example.org'),
    ('"a\\@b"@example.org', '"a@b"@example.org'),
    ('""@example.org', '""@example.org'),
    ('"<@b:c>"@example.org', '"<@b:c>"@example.org'),
    # What isn't by the book, and is in use.
    ("a..b@example.org", "a..b@example.org"),
    (".a.@example.org", ".a.@example.org"),
    ('"a..b"@example.org', "a..b@example.org"),
    ("o'brien/x=y!z#%&*?^_`{|}~@example.org", "o'brien/x=y!z#%&*?^_`{|}~@example.org"),
    ("user%host@example.org", "user%host@example.org"),
    ("root@localhost", "root@localhost"),
    ("a@my_host.example.org", "a@my_host.example.org"),
    ("a@r3---sn.example.org", "a@r3---sn.example.org"),
    ("a@1and1.example", "a@1and1.example"),
    # IDNA.
    ("a@bücher.example", "a@xn--bcher-kva.example"),
    ("a@BÜCHER.example", "a@xn--bcher-kva.example"),
    ("a@bu\u0308cher.example", "a@xn--bcher-kva.example"),
    ("a@xn--bcher-kva.example", "a@xn--bcher-kva.example"),
    ("a@XN--BCHER-KVA.Example.", "a@xn--bcher-kva.example"),
    ("a@日本。example", "a@xn--wgv71a.example"),
    ("a@\uff45\uff58\uff41\uff4d\uff50\uff4c\uff45\uff0e\uff4f\uff52\uff47", "a@example.org"),
    ("a@straße.example", "a@xn--strae-oqa.example"),
    ("a@STRASSE.example", "a@strasse.example"),
    ("a@βόλος.example", "a@xn--nxasmm1c.example"),
    ("a@ex\u00adample.org", "a@example.org"),
    ("a@i❤.example", "a@xn--i-7iq.example"),
    ("a@xn--i-7iq.example", "a@xn--i-7iq.example"),
    # Addresses of hosts.
    ("a@[192.0.2.1]", "a@[192.0.2.1]"),
    ("a@[IPv6:2001:DB8:0:0::1]", "a@[ipv6:2001:db8::1]"),
]

NONE = [
    "", " ", "<>", "< >", "alice", "alice@", "@example.org", "<alice@example.org",
    "alice@example.org>", "<<alice@example.org>>", "Alice <alice@example.org>",
    "alice@example.org, bob@example.org", "alice@example.org;bob@example.org",
    "alice@example.org bob@example.org", "alice@b@example.org", "al ice@example.org",
    "alice @example.org", "alice@ example.org", "alice@exam ple.org", "(c)alice@example.org",
    "alice(c)@example.org", "alice@example.org(c)", '"alice@example.org', 'alice"@example.org',
    '"a"b@example.org', '"a"."b"@example.org', '"a"b"@example.org', '"a\\"@example.org',
    "a\\b@example.org", "a:b@example.org", "a\0b@example.org", '"a\0b"@example.org',
    '"a\nb"@example.org', '"a\tb"@example.org', "a\x7f@example.org", "a\u200bb@example.org",
    "\ufeffalice@example.org", "alice\u202e@example.org", "a\ufe0f@example.org",
    "a\u3164@example.org", "a\u2028b@example.org", "a\u00a0b@example.org", "\udc80@example.org",
    "a@.example.org", "a@example..org", "a@.", "a@..", "a@-a.example", "a@a-.example",
    "a@exa!mple.org", "a@exa/mple.org", "a@example.org:25", "a@\udc80.example", "a@xn--a.example",
    "a@xn--.example", "a@xn--zzzzzz.example", "a@xn--abc-.example", "a@xn--bücher.example",
    "a@\u0301a.example", "a@a\u200db.example", "a@אa.example", "a@" + "a" * 64 + ".example",
    "a@" + "ü" * 60 + ".example", "a@" + ".".join(["a" * 60] * 5), "a" * 1000 + "@example.org",
    "a@[]", "a@[1.2.3]", "a@[1.2.3.4", "a@[IPv6:1.2.3.4]", "a@[IPv6:zz::]", "a@[IPv6:fe80::1%eth0]",
    "a@[x:y]", "@a.example:", "@a.example,alice@example.org", "alice@example.org\0",
]  # fmt: skip


@pytest.mark.parametrize(("address", "same"), SAME)
def test_one_way_to_write_an_address(address, same):
    assert canonical(address) == same
    assert canonical(same) == same


@pytest.mark.parametrize("address", NONE)
def test_what_is_no_address_is_an_error_and_never_unknown(address):
    for ask in (canonical, keys):
        with pytest.raises(Invalid) as caught:
            ask(address)
        assert caught.value.code == "invalid-address"
        text = str(caught.value)
        assert text.isprintable()
        text.encode()
        assert len(text) < 500


@pytest.mark.parametrize("domain", ["", ".", "a..b", "a@b", "*.example.org", "a b", "[1.2.3]"])
def test_what_is_no_domain_is_an_error_of_its_own(domain):
    with pytest.raises(Invalid) as caught:
        canonical_domain(domain)
    assert caught.value.code == "invalid-domain"


def test_the_keys_in_the_order_in_which_they_count():
    assert keys('<"Alice+news+2"@Bücher.example.>') == (
        ("account", "alice+news+2@xn--bcher-kva.example"),
        ("alias", "alice+news+2@xn--bcher-kva.example"),
        ("account", "alice@xn--bcher-kva.example"),
        ("alias", "alice@xn--bcher-kva.example"),
        ("domain", "xn--bcher-kva.example"),
    )


@pytest.mark.parametrize(
    "address", ["alice@example.org", "+alice@example.org", "+@example.org", '""@example.org']
)
def test_without_a_detail_there_is_no_key_for_it(address):
    exact = canonical(address)
    assert keys(address) == (("account", exact), ("alias", exact), ("domain", "example.org"))


def test_a_detail_may_be_empty_or_in_quotes():
    assert keys("alice+@example.org")[2].value == "alice@example.org"
    assert keys('"al ice+x y"@example.org')[2].value == '"al ice"@example.org'
    assert keys('"alice+x y"@example.org')[2].value == "alice@example.org"


def test_different_people_stay_different():
    people = [
        "a.b@x.org", "ab@x.org", "a_b@x.org", "a@b.x.org", "a@x.org", '"a b"@x.org', "a-b@x.org",
        "a@x.de", "ä@x.org", "ae@x.org", '"a@b"@x.org', "à@x.org", "\u0430@x.org", '"a+"@x.org',
    ]  # fmt: skip
    assert len({canonical(one) for one in people}) == len(people)


# --- properties ------------------------------------------------------------------------------

ATOMS = "abcXYZ019.!#$%&'*/=?^_`{|}~-+"
LETTERS = st.characters(categories=["L", "N"], max_codepoint=0x2FFFF)
locals_ = st.text(st.sampled_from(ATOMS) | LETTERS, min_size=1, max_size=20)
quotable = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=20)
hosts = st.lists(
    st.from_regex(r"\A[a-zA-Z0-9]([a-zA-Z0-9-]{0,10}[a-zA-Z0-9])?\Z"), min_size=1, max_size=4
).map(".".join)
names = st.lists(
    st.text(LETTERS | st.sampled_from("abc-"), min_size=1, max_size=8), min_size=1, max_size=3
).map(".".join)


def ascii_hosts(domain):
    return not any(label[:4].lower() == "xn--" for label in domain.split("."))


def accepted(address):
    try:
        return canonical(address)
    except Invalid:
        return None


@given(st.text(max_size=60) | st.text(ATOMS + '@"\\<>:,; []()', max_size=30))
@example("a\u037e@x")
@settings(max_examples=400)
def test_any_text_is_an_address_or_the_one_error(text):
    found = accepted(text)
    if found is not None:
        assert accepted(found) == found
        assert found.rpartition("@")[2].isascii()
        assert keys(found) == keys(text)
        assert keys(text)[0] == ("account", found)


@given(locals_, hosts.filter(ascii_hosts))
@settings(max_examples=300)
def test_every_way_to_write_it_is_the_same(local, domain):
    exact = accepted(f"{local}@{domain}")
    assume(exact is not None)
    quoted = local.replace("\\", "\\\\").replace('"', '\\"')
    upper = local.upper() if local.isascii() else local
    for other in (
        f"{upper}@{domain.upper()}",
        f"{upper.lower()}@{domain.swapcase()}.",
        f"\t<{local}@{domain}> ",
        f'"{quoted}"@{domain}',
        f"<@one.example,@two.example:{local}@{domain}>",
        f"{unicodedata.normalize('NFD', local)}@{domain}",
        f"{unicodedata.normalize('NFC', local)}@{domain}",
        f"{local.casefold()}@{domain}",
    ):
        assert canonical(other) == exact
        assert keys(other) == keys(exact)


@given(quotable, hosts.filter(ascii_hosts))
@settings(max_examples=300)
def test_quoting_loses_nothing(content, domain):
    escaped = "".join("\\" + c if c in '\\"' else c for c in content)
    exact = accepted(f'"{escaped}"@{domain}')
    assume(exact is not None)
    everything_escaped = "".join("\\" + c for c in content)
    assert canonical(f'"{everything_escaped}"@{domain}') == exact
    assert canonical(exact) == exact
    other = f"{content}x".replace("\\", "\\\\").replace('"', '\\"')
    assert canonical(f'"{other}"@{domain}') != exact


@given(st.from_regex(r"\A[a-z0-9._-]{1,10}\Z"), st.text(ATOMS, max_size=10))
def test_the_detail_key_is_the_address_without_it(base, detail):
    found = keys(f"{base}+{detail}@example.org")
    assert [key.value for key in found[2:4]] == [canonical(f"{base}@example.org")] * 2
    assert [key.kind for key in found] == ["account", "alias", "account", "alias", "domain"]


@given(names)
@settings(max_examples=500)
@example("faß.de")
@example("bücher")
def test_what_idna_2008_allows_is_written_as_idna_writes_it(name):
    try:
        expected = idna.encode(name, uts46=True).decode()
    except (idna.IDNAError, UnicodeError):
        assume(False)
    assert canonical_domain(name) == expected
    assert canonical_domain(idna.decode(expected)) == expected
    assert canonical_domain(expected.upper() + ".") == expected


@given(st.text(max_size=40))
@settings(max_examples=300)
def test_any_domain_is_canonical_or_the_one_error(text):
    try:
        found = canonical_domain(text)
    except Invalid as error:
        assert error.code == "invalid-domain"
        return
    assert found.isascii()
    assert canonical_domain(found) == found
    assert len(found) <= 253


def test_a_very_long_one_is_refused_at_once():
    with pytest.raises(Invalid):
        canonical('"' + "\\" * (1 << 20) + "@x")
    assert canonical("a" * (addresses.LONGEST - 2) + "@x").startswith("aaa")
    with pytest.raises(Invalid):
        canonical_domain("a" + "\u0316\u0301" * (1 << 20))  # sorted by the square of their number


@pytest.mark.parametrize(
    "local",
    [
        "漢" * 980,
        "ä" * 495,  # 990 bytes, and the domain
        "\U0001d160" * 200,  # 800 bytes, and 2400 in canonical form
        "a" * 987,
    ],
)
def test_the_bound_counts_the_bytes_of_the_canonical_form(local):
    for ask in (canonical, keys):
        with pytest.raises(Invalid, match="longer than 998 bytes") as caught:
            ask(f"{local}@example.org")
        assert caught.value.code == "invalid-address"


def test_the_detail_begins_at_the_first_of_the_delimiters():
    def base(address, delimiters):
        found = keys(address, delimiters)
        return found[2].value if len(found) > 3 else None

    assert base("bob-lists@example.org", "-") == "bob@example.org"
    assert base("bob-lists+x@example.org", "+-") == "bob@example.org"
    assert base("bob+lists-x@example.org", "-+") == "bob@example.org"
    assert base("bob-lists+x@example.org", "+") == "bob-lists@example.org"
    assert base("bob_x=y@example.org", "=_-") == "bob@example.org"
    assert base("Bob=user.example@example.org", "=") == "bob@example.org"
    assert base("-bob-x@example.org", "-") is None
    assert base("bob+x@example.org", "-") is None
    assert base("bob+x@example.org", "") is None
    assert base('"bob smith-x"@example.org', "-") == '"bob smith"@example.org'


def test_what_may_begin_a_detail():
    assert delimiters_of("") == ""
    assert delimiters_of("+-+_=") == "+-_="
    for wrong in ("a", "+1", "@", '"', " ", "\\", "ä", "\0", "+" * 21, "(", ","):
        with pytest.raises(Invalid) as caught:
            delimiters_of(wrong)
        assert caught.value.code == "invalid-setting"


@pytest.mark.parametrize("delimiter", addresses.MAY_DELIMIT)
def test_each_delimiter_may_stand_in_an_address_without_quotes(delimiter):
    exact, _, base, *_ = keys(f"bob{delimiter}x@example.org", delimiter)
    assert exact.value == f"bob{delimiter}x@example.org"
    assert base.value == "bob@example.org"
