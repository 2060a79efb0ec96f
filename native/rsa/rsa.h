/* RSA public-key operations for key transport (RFC 8017), many at once: padding and the table of
 * rows. A machine without a row leaves them to Python. */
#ifndef CMSTREAM_RSA_H
#define CMSTREAM_RSA_H

#include "common.h"

/* [python] */
enum {
    RSA_DIGIT_BITS = 52,
    RSA_VECTOR = 8,       /* digits in a register: a number has a multiple of them */
    RSA_MOST_DIGITS = 80, /* 4096 bits, and two to spare */
    RSA_MOST_OCTETS = 512,
};

enum rsa_padding { RSA_PKCS1V15, RSA_OAEP_SHA256 };

/* A public key prepared for Montgomery's multiplication with R = 2^(52 digits). Digits of 52 bits,
 * the lowest first; nothing of it is secret. */
struct rsa_key {
    uint64_t modulus[RSA_MOST_DIGITS];   /* odd, at most R / 4 */
    uint64_t r_squared[RSA_MOST_DIGITS]; /* R^2 mod modulus */
    uint64_t inverse;                    /* -1 / modulus mod 2^52 */
    uint64_t exponent;                   /* odd, 3 or more */
    unsigned digits;
    unsigned size; /* octets of the modulus, and of what comes out */
};

/* The rows that this build has and this machine allows: NULL past the last. */
const char *rsa_name(unsigned index);

/* Whether the row gives a known answer. */
bool rsa_check(unsigned index);

/* By row `index`, for each of `count` numbers below its key's modulus: in[i] to the power of the
 * exponent; big-endian, of the key's size. For tests. */
void rsa_raw(unsigned index, const struct rsa_key *const key[], const uint8_t *const in[],
             uint8_t *const out[], size_t count);
/* [end] */

/* A secret of at most 32 octets to be encrypted; `out` has room for the key's size. */
struct rsa_job {
    const struct rsa_key *key;
    const uint8_t *secret;
    size_t secret_len;
    unsigned padding; /* enum rsa_padding */
    uint8_t *out;
};

/* Pads (RFC 8017 sections 7.1.1 and 7.2.1) and encrypts each by the best rows for so many. 0, or -1
 * if the operating system's generator gave nothing. There must be a row. */
int rsa_wrap(const struct rsa_job *jobs, size_t count);

#endif
