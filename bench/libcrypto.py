"""OpenSSL's libcrypto through cffi: CMS_encrypt and SMIME_write_CMS into memory that is reused."""

from __future__ import annotations

import ctypes.util
from typing import Any

from cffi import FFI

CMS_BINARY, CMS_PARTIAL, CMS_STREAM = 0x80, 0x4000, 0x1000
MODES = {"binary": CMS_BINARY, "binary stream": CMS_BINARY | CMS_STREAM}

_DECLARATIONS = """
void *BIO_new_mem_buf(const void *, int);
void *BIO_new(void *);
void *BIO_s_mem(void);
long BIO_ctrl(void *, int, long, void *);
int BIO_free(void *);
void *d2i_X509(void **, const unsigned char **, long);
void *OPENSSL_sk_new_null(void);
int OPENSSL_sk_push(void *, void *);
void *EVP_aes_256_cbc(void);
void *CMS_encrypt(void *, void *, const void *, unsigned int);
int SMIME_write_CMS(void *, void *, void *, int);
void CMS_ContentInfo_free(void *);
const char *OpenSSL_version(int);
"""
_BIO_CTRL_RESET = 1
_BIO_CTRL_INFO = 3


class Libcrypto:
    """One recipient, one output buffer that keeps its memory from message to message."""

    def __init__(self, certificate: bytes) -> None:
        self._ffi = FFI()
        self._ffi.cdef(_DECLARATIONS)
        self._lib: Any = self._ffi.dlopen(ctypes.util.find_library("crypto"))
        octets = self._ffi.from_buffer(certificate)
        at = self._ffi.new("unsigned char **", self._ffi.cast("unsigned char *", octets))
        null = self._ffi.NULL
        x509 = self._lib.d2i_X509(null, at, len(certificate))
        self._stack = self._lib.OPENSSL_sk_new_null()
        self._lib.OPENSSL_sk_push(self._stack, x509)
        self._out = self._lib.BIO_new(self._lib.BIO_s_mem())

    def version(self) -> str:
        """As the library names itself."""
        name: bytes = self._ffi.string(self._lib.OpenSSL_version(0))
        return name.decode()

    def encrypt(self, content: bytes, flags: int) -> int:
        """Seals as an S/MIME message with AES-256-CBC; gives the length of what came out."""
        lib, null = self._lib, self._ffi.NULL
        lib.BIO_ctrl(self._out, _BIO_CTRL_RESET, 0, null)
        source = lib.BIO_new_mem_buf(self._ffi.from_buffer(content), len(content))
        cms = lib.CMS_encrypt(self._stack, source, lib.EVP_aes_256_cbc(), flags)
        good = lib.SMIME_write_CMS(self._out, cms, source, flags)
        lib.CMS_ContentInfo_free(cms)
        lib.BIO_free(source)
        if not good:
            raise RuntimeError("OpenSSL failed to write")
        start = self._ffi.new("char **")
        return int(lib.BIO_ctrl(self._out, _BIO_CTRL_INFO, 0, start))


def find(certificate: bytes) -> Libcrypto | None:
    """The library, or None on a machine without it."""
    return Libcrypto(certificate) if ctypes.util.find_library("crypto") else None
