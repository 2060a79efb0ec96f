/* RSA encryption for key transport (RFC 8017), many keys at once: padding, and the table of
 * kernels. On a machine without a kernel Python does it. */
#ifndef CMSTREAM_RSA_H
#define CMSTREAM_RSA_H

#include "kernel.h"

/* [python] */
enum {
    RSA_DIGIT_BITS = 52,
    RSA_VECTOR = 8,       /* digits in a register: the digits of a number are a multiple of it */
    RSA_MOST_DIGITS = 80, /* for 4096 bits and the two more by which R exceeds the modulus */
    RSA_MOST_OCTETS = 512,
};

enum rsa_padding { RSA_PKCS1V15, RSA_OAEP_SHA256 };

/* A public key prepared for Montgomery's multiplication with R = 2^(52 digits). Numbers are digits
 * of 52 bits, the lowest first. Nothing of it is secret. */
struct rsa_key {
    uint64_t modulus[RSA_MOST_DIGITS];   /* odd, at most R / 4 */
    uint64_t r_squared[RSA_MOST_DIGITS]; /* R^2 mod modulus */
    uint64_t inverse;                    /* -1 / modulus mod 2^52 */
    uint64_t exponent;                   /* odd, 3 or more */
    unsigned digits;
    unsigned size; /* octets of the modulus, and of what comes out */
};

/* For tests: raises `count` numbers to the power of their key's exponent by row `index`. in[i] is
 * below the modulus; in[i] and out[i] are big-endian, of the key's size. */
void rsa_raw(unsigned index, const struct rsa_key *const key[], const uint8_t *const in[],
             uint8_t *const out[], size_t count);
/* [end] */

_Static_assert(RSA_MOST_DIGITS % RSA_VECTOR == 0, "numbers are whole registers");
_Static_assert(RSA_MOST_DIGITS * RSA_DIGIT_BITS >= 8 * RSA_MOST_OCTETS + 2,
               "R must be four times the largest modulus or more");

/* Those with more lanes come first. */
extern const struct kernel_id *const rsa_kernels[];

/* Whether the row, one of rsa_kernels, gives a known answer. */
bool rsa_known_answer(const struct kernel_id *row);

/* A secret of at most 32 octets to be encrypted; `out` has room for the key's size. */
struct rsa_job {
    const struct rsa_key *key;
    const uint8_t *secret;
    size_t secret_len;
    unsigned padding; /* enum rsa_padding */
    uint8_t *out;
};

/* Pads and encrypts each secret (RFC 8017 sections 7.1.1 and 7.2.1) by the best rows for so many.
 * Gives 0, or -1 if the operating system's generator gave nothing or this machine allows no row. */
int rsa_wrap(const struct rsa_job *jobs, size_t count);

#endif
