"""OpenSSL's libcrypto, called from C: CMS_encrypt and SMIME_write_CMS into memory that is reused.

Compiled when it is first asked for, into a folder that doesn't stay; it needs OpenSSL's headers.
"""

from __future__ import annotations

import functools
import importlib.util
import sys
import tempfile
from typing import Any

from cffi import FFI, VerificationError

_DECLARATIONS = """
#define CMS_BINARY ...
#define CMS_STREAM ...
typedef struct sealer sealer;
sealer *sealer_new(const unsigned char *certificate, long len);
long sealer_seal(sealer *sealer, const unsigned char *content, int len, unsigned flags);
const char *sealer_output(const sealer *sealer);
void sealer_free(sealer *sealer);
const char *OpenSSL_version(int);
#define OPENSSL_VERSION ...
"""

# BIO_reset would clear the output, so every message gets a new BIO over the same BUF_MEM.
_SOURCE = """
#include <openssl/cms.h>
#include <openssl/crypto.h>

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

static const char *sealer_output(const sealer *sealer)
{
    return sealer->out->data;
}
"""


class Libcrypto:
    """One recipient, one output buffer that keeps its memory from message to message."""

    def __init__(self, native: Any, certificate: bytes) -> None:
        self._ffi, self._lib = native.ffi, native.lib
        sealer = self._lib.sealer_new(certificate, len(certificate))
        self._sealer = self._ffi.gc(sealer, self._lib.sealer_free)
        binary, stream = self._lib.CMS_BINARY, self._lib.CMS_STREAM
        # Without CMS_BINARY it makes line ends canonical on the way, as a message needs.
        self.modes = {"binary": binary, "binary stream": binary | stream, "stream": stream}

    def version(self) -> str:
        """As the library names itself."""
        name: bytes = self._ffi.string(self._lib.OpenSSL_version(self._lib.OPENSSL_VERSION))
        return name.decode()

    def encrypt(self, content: bytes, mode: str) -> int:
        """Seals as an S/MIME entity with AES-256-CBC; gives the length of what came out."""
        source = self._ffi.from_buffer("unsigned char[]", content)
        count = self._lib.sealer_seal(self._sealer, source, len(content), self.modes[mode])
        if count < len(content):
            raise RuntimeError("OpenSSL failed to write")
        return int(count)

    def output(self, count: int) -> bytes:
        """What the last message came to, ``count`` octets of it."""
        return bytes(self._ffi.buffer(self._lib.sealer_output(self._sealer), count))


@functools.cache
def _native() -> Any:
    builder = FFI()
    builder.cdef(_DECLARATIONS)
    builder.set_source("_bench_libcrypto", _SOURCE, libraries=["crypto"])
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = builder.compile(tmpdir=folder)
        except (VerificationError, ImportError) as error:
            print(f"OpenSSL is left out, it doesn't compile: {error}", file=sys.stderr)
            return None
        spec = importlib.util.spec_from_file_location("_bench_libcrypto", path)
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module


def find(certificate: bytes) -> Libcrypto | None:
    """The library for one recipient, or None on a machine without compiler or headers."""
    native = _native()
    return native and Libcrypto(native, certificate)
