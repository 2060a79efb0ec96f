"""OpenSSL's libcrypto, called from C: CMS_encrypt and SMIME_write_CMS, and SMIME_read_CMS and
CMS_decrypt, into a buffer that is reused; and RSA by itself. Compiled for each run, into a
temporary folder.
"""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cffi import FFI, VerificationError

from engines import Absent, Engine, one_by_one, rsa_engine
from goals import LIBCRYPTO_RSA, OPENSSL_BACK
from samples import certificate, private_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from engines import Lab

_DECLARATIONS = """
#define CMS_BINARY ...
#define CMS_STREAM ...
typedef struct sealer sealer;
sealer *sealer_new(const unsigned char *certificate, long len);
long sealer_seal(sealer *sealer, const unsigned char *content, int len, unsigned flags);
void sealer_free(sealer *sealer);
typedef struct opener opener;
opener *opener_new(const unsigned char *key, long key_len, const unsigned char *certificate,
                   long len);
long opener_open(opener *opener, const unsigned char *sealed, int len);
void opener_free(opener *opener);
typedef struct EVP_PKEY_CTX EVP_PKEY_CTX;
EVP_PKEY_CTX *rsa_new(const unsigned char *certificate, long len);
long rsa_public(EVP_PKEY_CTX *context, const unsigned char *in, unsigned char *out, size_t len);
void EVP_PKEY_CTX_free(EVP_PKEY_CTX *context);
const char *OpenSSL_version(int);
#define OPENSSL_VERSION ...
"""

# BIO_reset would clear the output, so every message gets a new BIO over the same BUF_MEM.
_SOURCE = """
#include <openssl/cms.h>
#include <openssl/crypto.h>
#include <openssl/rsa.h>

typedef struct sealer {
    STACK_OF(X509) *to;
    BUF_MEM *out;
} sealer;

static void sealer_free(sealer *sealer)
{
    sk_X509_pop_free(sealer->to, X509_free);
    BUF_MEM_free(sealer->out);
    OPENSSL_free(sealer);
}

static sealer *sealer_new(const unsigned char *certificate, long len)
{
    sealer *sealer = OPENSSL_zalloc(sizeof *sealer);
    X509 *x509 = d2i_X509(NULL, &certificate, len);

    sealer->to = sk_X509_new_null();
    sealer->out = BUF_MEM_new();
    if (x509)
        sk_X509_push(sealer->to, x509);
    return sealer;
}

static long sealer_seal(sealer *sealer, const unsigned char *content, int len, unsigned flags)
{
    BIO *in = BIO_new_mem_buf(content, len), *out = BIO_new(BIO_s_mem());
    CMS_ContentInfo *cms = CMS_encrypt(sealer->to, in, EVP_aes_256_cbc(), flags);

    sealer->out->length = 0;
    BIO_set_mem_buf(out, sealer->out, BIO_NOCLOSE);
    int good = cms && SMIME_write_CMS(out, cms, in, (int)flags);
    CMS_ContentInfo_free(cms);
    BIO_free(out);
    BIO_free(in);
    return good ? (long)sealer->out->length : -1;
}

typedef struct opener {
    EVP_PKEY *key;
    X509 *x509;
    BUF_MEM *out;
} opener;

static void opener_free(opener *opener)
{
    EVP_PKEY_free(opener->key);
    X509_free(opener->x509);
    BUF_MEM_free(opener->out);
    OPENSSL_free(opener);
}

static opener *opener_new(const unsigned char *key, long key_len, const unsigned char *certificate,
                          long len)
{
    opener *opener = OPENSSL_zalloc(sizeof *opener);

    opener->key = d2i_AutoPrivateKey(NULL, &key, key_len);
    opener->x509 = d2i_X509(NULL, &certificate, len);
    opener->out = BUF_MEM_new();
    return opener;
}

static long opener_open(opener *opener, const unsigned char *sealed, int len)
{
    BIO *in = BIO_new_mem_buf(sealed, len), *out = BIO_new(BIO_s_mem()), *detached = NULL;
    CMS_ContentInfo *cms = SMIME_read_CMS(in, &detached);

    opener->out->length = 0;
    BIO_set_mem_buf(out, opener->out, BIO_NOCLOSE);
    int good = cms && CMS_decrypt(cms, opener->key, opener->x509, NULL, out, 0);
    CMS_ContentInfo_free(cms);
    BIO_free(detached);
    BIO_free(out);
    BIO_free(in);
    return good ? (long)opener->out->length : -1;
}

static EVP_PKEY_CTX *rsa_new(const unsigned char *certificate, long len)
{
    X509 *x509 = d2i_X509(NULL, &certificate, len);
    EVP_PKEY_CTX *context = x509 ? EVP_PKEY_CTX_new(X509_get0_pubkey(x509), NULL) : NULL;

    X509_free(x509);
    if (context && EVP_PKEY_encrypt_init(context) > 0 &&
        EVP_PKEY_CTX_set_rsa_padding(context, RSA_NO_PADDING) > 0)
        return context;
    EVP_PKEY_CTX_free(context);
    return NULL;
}

static long rsa_public(EVP_PKEY_CTX *context, const unsigned char *in, unsigned char *out,
                       size_t len)
{
    size_t written = len;

    return EVP_PKEY_encrypt(context, out, &written, in, len) > 0 ? (long)written : -1;
}
"""


class Libcrypto:
    """One recipient, and one output buffer for each direction, which all messages share."""

    def __init__(self, native: Any, certificate: bytes, key: bytes) -> None:
        self._ffi, self._lib = native.ffi, native.lib
        sealer = self._lib.sealer_new(certificate, len(certificate))
        self._sealer = self._ffi.gc(sealer, self._lib.sealer_free)
        opener = self._lib.opener_new(key, len(key), certificate, len(certificate))
        self._opener = self._ffi.gc(opener, self._lib.opener_free)
        rsa = self._lib.rsa_new(certificate, len(certificate))
        self._rsa = self._ffi.gc(rsa, self._lib.EVP_PKEY_CTX_free)
        binary, stream = self._lib.CMS_BINARY, self._lib.CMS_STREAM
        # Without CMS_BINARY it makes line ends canonical on the way, as a message needs.
        self.modes = {"binary": binary, "binary stream": binary | stream, "stream": stream}

    def version(self) -> str:
        """As the library names itself."""
        name: bytes = self._ffi.string(self._lib.OpenSSL_version(self._lib.OPENSSL_VERSION))
        return name.decode()

    def encrypt(self, content: bytes, mode: str) -> int:
        """Encrypts as an S/MIME entity with AES-256-CBC; gives the length of what came out."""
        source = self._ffi.from_buffer("unsigned char[]", content)
        count = self._lib.sealer_seal(self._sealer, source, len(content), self.modes[mode])
        if count < len(content):
            raise RuntimeError("OpenSSL failed to write")
        return int(count)

    def rsa(self, number: bytes) -> tuple[Callable[[], object], bytearray]:
        """Raises a number to the power of the recipient's exponent, without padding."""
        result = bytearray(len(number))
        source, out = (self._ffi.from_buffer("unsigned char[]", one) for one in (number, result))

        def work() -> None:
            if self._lib.rsa_public(self._rsa, source, out, len(number)) != len(number):
                raise RuntimeError("OpenSSL's RSA failed")

        return work, result

    def decrypt(self, sealed: bytes) -> int:
        """Opens an S/MIME message; gives the length of its content."""
        source = self._ffi.from_buffer("unsigned char[]", sealed)
        count = self._lib.opener_open(self._opener, source, len(sealed))
        if count < 0:
            raise RuntimeError("OpenSSL failed to open")
        return int(count)


def engines(lab: Lab) -> list[Engine]:
    """A row for each mode, and RSA by itself."""
    openssl = _begin(lab)
    return [
        *(
            one_by_one(f"OpenSSL {mode}", functools.partial(openssl.encrypt, mode=mode))
            for mode in openssl.modes
        ),
        rsa_engine(LIBCRYPTO_RSA, openssl.rsa),
    ]


def openers(lab: Lab) -> list[Engine]:
    """The one way to open."""
    return [one_by_one(OPENSSL_BACK, _begin(lab).decrypt)]


def _begin(lab: Lab) -> Libcrypto:
    openssl = load(build(lab.folder))
    lab.versions["OpenSSL"] = openssl.version()
    return openssl


def build(folder: Path) -> Path:
    """Compiles it, unless it is there already."""
    built = list(folder.glob("_bench_libcrypto*.so"))
    if built:
        return built[0]
    builder = FFI()
    builder.cdef(_DECLARATIONS)
    builder.set_source("_bench_libcrypto", _SOURCE, libraries=["crypto"])
    try:
        return Path(builder.compile(tmpdir=folder))
    except (VerificationError, ImportError) as error:
        raise Absent(f"it needs a C compiler and OpenSSL's headers ({error})") from error


def load(path: Path) -> Libcrypto:
    """Loads what was built, for the one recipient."""
    spec = importlib.util.spec_from_file_location("_bench_libcrypto", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return Libcrypto(module, certificate(), private_key())
