"""Certificate files that were reported by people, each with the outcome that is right."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmstream.certificates.recipient import read_certificates
from cmstream.errors import CertificateError

FIELD = Path(__file__).resolve().parents[3] / "shared" / "field"

if not FIELD.exists():
    pytest.skip("the shared files aren't here", allow_module_level=True)

BOB, CARLA, CASE, DORA = (
    f"{name}@example.{end}"
    for name, end in (("bob", "org"), ("carla", "org"), ("case", "com"), ("dora", "org"))
)
ONE = "one@example.com"
# The password, and whom each file gives; or the code and a word of the error.
EXPECTED = {
    "key-usage-set-aside": (
        "secret1",
        {
            "dual.pem": CARLA,
            "dual2.pem": CARLA,
            "enc.pem": CARLA,
            "sign.pem": CARLA,
            "chain.p12": DORA,
        },
    ),
    "pfx-null-password": (
        None,
        {
            f"{kind}-{name}.pfx": CASE
            for kind, names in {
                "empty": ("id-one", "id-two", "noid-one", "noid-two"),
                "null": ("id-one", "id-two", "noid-one"),
            }.items()
            for name in names
        },
    ),
    "pbmac1-short-key": (
        "alpha",
        {
            "keylen1.pfx": ("unsupported-cipher", "20 octets"),
            "keylen20.pfx": CASE,
            "keylen32.pfx": CASE,
        },
    ),
    "files-that-are-certificates": (
        None,
        {
            "bob.sst": BOB,
            "bob@example.org.p7s": BOB,
            "k.jks": ("not-a-certificate", "JKS"),
            "o_b64wrapped.txt": BOB,
            "o_emdash.pem": BOB,
            "o_jsonn.pem": BOB,
            "o_ldif.ldif": BOB,
            "o_utf16.pem": ("not-a-certificate", "UTF-16"),
            "sig.eml": CARLA,
        },
    ),
    "trailing-octet": (
        "x",
        {
            f"c.{kind}{end}": ONE
            for kind in ("der", "pfx")
            for end in ("", ".plain", ".LF", ".CRLF", ".NUL")
        }
        | {"c.p7b": ONE, "c.der.x": ("trailing-data", "1 bytes")},
    ),
    "broken-bystander": (
        "x",
        {
            f"{fault}.{kind}": CASE
            for fault in ("date", "negative-modulus", "ski", "sound")
            for kind in ("pem", "p7b", "pfx")
        },
    ),
    "smtputf8-ia5": (
        None,
        dict.fromkeys(("ia5.pem", "utf8.pem", "utf8bad.pem"), "real@example.com"),
    ),
    "damaged-optional-extension": (None, {"ski-raw.pem": BOB, "smtputf8-ia5.pem": BOB}),
    "explicit-curve": (None, {"ex.pem": "eve@example.org"}),
}
FILES = [
    pytest.param(f"{folder}/{name}", password, right, id=f"{folder}/{name}")
    for folder, (password, files) in EXPECTED.items()
    for name, right in files.items()
]


@pytest.mark.parametrize(("file", "password", "right"), FILES)
def test_a_reported_file_has_the_right_outcome(file, password, right):
    data = (FIELD / file).read_bytes()
    if isinstance(right, tuple):
        with pytest.raises(CertificateError) as caught:
            read_certificates(data, password=password)
        assert caught.value.code == right[0]
        assert right[1] in str(caught.value)
        return
    (found,) = read_certificates(data, password=password).recipients
    assert found.emails[0] == right


def test_the_stranger_beside_the_key_is_set_aside():
    for kind, password in (("null", None), ("empty", None), ("password", "secret")):
        data = (FIELD / "pfx-null-password" / f"{kind}-id-two.pfx").read_bytes()
        (aside,) = read_certificates(data, password=password).set_aside
        assert "other@example.com" in aside.subject
