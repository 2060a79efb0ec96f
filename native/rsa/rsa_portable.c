/* RSA's public operation on any 64-bit machine whose compiler multiplies words to double length. */
#include "rsa_rows.h"

#if defined(__SIZEOF_INT128__)

enum { BLOCK = 4 };

#include "rsa_words_template.h"

/* Gives the lower word of a * b + c + carry, which two words hold; the upper one is the carry then.
 * Compilers keep single words in registers, but not always a sum of two. */
static inline uint64_t multiply_add(uint64_t a, uint64_t b, uint64_t c, uint64_t *carry)
{
    const two_words product = (two_words)a * b;
    uint64_t low = (uint64_t)product, high = (uint64_t)(product >> 64);

    low += c;
    high += low < c;
    low += *carry;
    high += low < *carry;
    *carry = high;
    return low;
}

/* Adds the factors times `word` to the window, and `carry` to its lowest word, which it gives. The
 * others move down. Products of one word wait for each other, but not for all those of the word
 * before, so that the processor does several at once. */
static inline uint64_t add_column(uint64_t window[BLOCK], const uint64_t factors[BLOCK],
                                  uint64_t word, uint64_t carry)
{
    const uint64_t lowest = multiply_add(word, factors[0], window[0], &carry);

#pragma GCC unroll 4
    for (unsigned i = 1; i < BLOCK; i++)
        window[i - 1] = multiply_add(word, factors[i], window[i], &carry);
    window[BLOCK - 1] = carry;
    return lowest;
}

static void add_block(struct words *w, uint64_t *sum, const uint64_t *a, size_t count)
{
    uint64_t window[BLOCK], factors[BLOCK]; /* in registers: the sum can't overlap them */

    memcpy(window, w->window, sizeof window);
    memcpy(factors, w->factors, sizeof factors);
    for (size_t i = 0; i < count; i++)
        sum[i] = add_column(window, factors, a[i], sum[i]);
    memcpy(w->window, window, sizeof window);
}

static void clear_block(struct words *w)
{
    const struct rsa_form *form = w->form;

    for (unsigned i = 0; i < BLOCK; i++) {
        w->factors[i] = w->window[0] * form->inverse;
        add_column(w->window, form->modulus, w->factors[i], 0); /* the lowest word is zero */
    }
}

static void multiply_within(uint64_t sum[2 * BLOCK], const uint64_t a[BLOCK])
{
    memset(sum, 0, 2 * BLOCK * sizeof *sum);
#pragma GCC unroll 4
    for (unsigned i = 0; i < BLOCK; i++) {
        uint64_t carry = 0;
#pragma GCC unroll 4
        for (unsigned j = i + 1; j < BLOCK; j++)
            sum[i + j] = multiply_add(a[i], a[j], sum[i + j], &carry);
        sum[i + BLOCK] = carry;
    }
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
