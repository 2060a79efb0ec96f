/* The rows of the table of RSA kernels: for rsa.c, which chooses among them, and for the files that
 * define them. */
#ifndef CMSTREAM_RSA_ROWS_H
#define CMSTREAM_RSA_ROWS_H

#include "rsa.h"

enum { RSA_MOST_LANES = 8 };

struct rsa_row {
    struct kernel_id id;
    enum rsa_radix radix;
    unsigned lanes; /* numbers that one call can take, at most RSA_MOST_LANES */
    /* number[i] = number[i] ^ exponent mod form[i]->modulus for the first `count` lanes (1 to
     * `lanes`). The forms have the same number of digits. Numbers are in digits and below the
     * modulus, before and after. */
    void (*power)(const struct rsa_form *const form[], uint64_t exponent,
                  uint64_t (*number)[RSA_MOST_DIGITS], unsigned count);
};

/* The best row of `rows` that this machine allows for `count` numbers, which may have fewer lanes;
 * NULL where it allows none. */
const struct rsa_row *rsa_row_for(const struct kernel_id *const *rows, unsigned count);

#if defined(__x86_64__)
extern const struct rsa_row rsa_ifma8, rsa_ifma1, rsa_avx2x4, rsa_adx;
#endif
#if defined(__SIZEOF_INT128__)
extern const struct rsa_row rsa_portable;
#endif

#endif
