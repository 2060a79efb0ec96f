/* RSA encryption for key transport (RFC 8017), many keys at once: padding, and the table of
 * kernels. On a machine without a kernel Python does it. */
#ifndef CMSTREAM_RSA_H
#define CMSTREAM_RSA_H

#include "kernel.h"

/* [python] */
enum {
    RSA_MOST_DIGITS = 152, /* of the shortest digits there are, for 4096 bits and two more */
    RSA_MOST_OCTETS = 512,
};

enum rsa_padding { RSA_PKCS1V15, RSA_OAEP_SHA256 };

/* How a row cuts numbers into digits. */
enum rsa_radix { RSA_RADIX_52, RSA_RADIX_27, RSA_RADIX_64, RSA_RADIXES };

/* A modulus prepared for Montgomery's multiplication with R = 2^(bits of a digit * digits). Numbers
 * are `digits` digits, the lowest first. Nothing of it is secret. */
struct rsa_form {
    const uint64_t *modulus;   /* odd */
    const uint64_t *r_squared; /* R^2 mod modulus */
    uint64_t inverse;          /* -1 / modulus mod 2^(bits of a digit) */
    unsigned digits;           /* 0: not prepared */
};

/* A public key. */
struct rsa_key {
    struct rsa_form form[RSA_RADIXES];
    uint64_t exponent; /* odd, 3 or more */
    unsigned size;     /* octets of the modulus, and of what comes out */
};

/* The bits of a digit of enum rsa_radix, and the digits for a modulus of so many bits. */
unsigned rsa_digit_bits(unsigned radix);
unsigned rsa_digits(unsigned radix, unsigned modulus_bits);

/* The radixes of the rows that rsa_wrap may choose on this machine, a bit for each; a key needs the
 * forms for them. 0: there is no row. */
unsigned rsa_radixes(void);

/* For tests: raises `count` numbers to the power of their key's exponent by row `index`. in[i] is
 * below the modulus; in[i] and out[i] are big-endian, of the key's size. The keys have as many digits
 * and the same exponent. */
void rsa_raw(unsigned index, const struct rsa_key *const key[], const uint8_t *const in[],
             uint8_t *const out[], size_t count);
/* [end] */

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
