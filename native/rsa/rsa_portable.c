/* RSA's public operation on any 64-bit machine whose compiler multiplies words to double length. */
#include "rsa_rows.h"

#if defined(__SIZEOF_INT128__)

enum { BLOCK = 1 };

#include "rsa_words_template.h"

static void add_block(struct words *w, uint64_t *sum, const uint64_t *a, size_t count)
{
    const uint64_t factor = w->factors[0];
    uint64_t carry = w->window[0];

    for (size_t i = 0; i < count; i++) {
        two_words word = (two_words)a[i] * factor + sum[i] + carry;
        sum[i] = (uint64_t)word;
        carry = (uint64_t)(word >> 64);
    }
    w->window[0] = carry;
}

static void clear_block(struct words *w)
{
    w->factors[0] = w->window[0] * w->form->inverse;
    two_words word = (two_words)w->form->modulus[0] * w->factors[0] + w->window[0];
    w->window[0] = (uint64_t)(word >> 64);
}

static void multiply_within(uint64_t sum[2 * BLOCK], const uint64_t a[BLOCK])
{
    (void)a; /* there is but one */
    sum[0] = sum[1] = 0;
}

const struct rsa_row rsa_portable = {
    .id = {"portable", 0},
    .radix = RSA_RADIX_64,
    .lanes = 1,
    .power = power,
};
#endif

/* Elsewhere this file is empty but for what ISO C asks of one. */
typedef int no_rsa_portable;
