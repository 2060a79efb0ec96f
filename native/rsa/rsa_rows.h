/* The rows of the table of RSA operations; for rsa.c and the files that define them. */
#ifndef CMSTREAM_RSA_ROWS_H
#define CMSTREAM_RSA_ROWS_H

#include "cpu.h"
#include "rsa.h"

struct rsa_row {
    const char *name;
    uint32_t needs; /* enum cpu_feature */
    unsigned lanes; /* the most that one call takes */
    /* number[i] = number[i] ^ key[i]->exponent mod key[i]->modulus for the first `count` lanes,
     * whose keys have as many digits and the same exponent; in digits, below the modulus before
     * and after. */
    void (*power)(const struct rsa_key *const key[], uint64_t (*number)[RSA_MOST_DIGITS],
                  unsigned count);
};

#if defined(__x86_64__)
extern const struct rsa_row rsa_ifma8, rsa_ifma1;
#endif

#endif
