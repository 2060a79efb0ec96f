/* RSA's public operation with the processor's own multiplication of 64-bit words, one number at a
 * time: Montgomery's, with squarings by half the products. No branch and no index depends on a
 * number. The file that includes this has defined BLOCK, how many words are multiplied at once, and
 * defines the three functions that are
 * only declared here. */

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { MOST_WORDS = RSA_MOST_OCTETS / 8 };

typedef unsigned __int128 two_words;

struct words {
    const struct rsa_form *form;
    uint64_t window[BLOCK], factors[BLOCK];
    uint64_t sum[2 * MOST_WORDS]; /* a product, before it is reduced */
    uint64_t result[MOST_WORDS], power[MOST_WORDS];
};

/* Adds the factors times `a` to `count` words of `sum`, 0 or more, and the window to the lowest;
 * what goes beyond is the window then. */
static void add_block(struct words *w, uint64_t *sum, const uint64_t *a, size_t count);

/* Finds the factors for which the window plus a block of the modulus times them is a block of
 * zeros; what goes beyond is the window then. */
static void clear_block(struct words *w);

/* The products of each two different words of a block, to two blocks of the sum. */
static void multiply_within(uint64_t sum[2 * BLOCK], const uint64_t a[BLOCK]);

/* sum = a + b + carry, and difference = a - b - borrow; each gives the next carry or borrow. */
#if defined(__x86_64__)
static inline unsigned char add(unsigned char carry, uint64_t a, uint64_t b, uint64_t *sum)
{
    unsigned long long word; /* not the type of *sum */
    carry = _addcarry_u64(carry, a, b, &word);
    *sum = word;
    return carry;
}

static inline unsigned char sub(unsigned char borrow, uint64_t a, uint64_t b, uint64_t *difference)
{
    unsigned long long word;
    borrow = _subborrow_u64(borrow, a, b, &word);
    *difference = word;
    return borrow;
}
#else
static inline unsigned char add(unsigned char carry, uint64_t a, uint64_t b, uint64_t *sum)
{
    const two_words word = (two_words)a + b + carry;
    *sum = (uint64_t)word;
    return (unsigned char)(word >> 64);
}

static inline unsigned char sub(unsigned char borrow, uint64_t a, uint64_t b, uint64_t *difference)
{
    const two_words word = (two_words)a - b - borrow;
    *difference = (uint64_t)word;
    return (unsigned char)(word >> 64) & 1;
}
#endif

/* Adds the window to a block of the sum, and gives what is carried beyond it. */
static unsigned char add_window(const struct words *w, uint64_t *sum, unsigned char carry)
{
#pragma GCC unroll 8
    for (unsigned i = 0; i < BLOCK; i++)
        carry = add(carry, sum[i], w->window[i], &sum[i]);
    return carry;
}

/* Subtracts the modulus from the upper half of the sum, unless that is below it already. `over`:
 * whether a bit above the sum is set. */
static void subtract(struct words *w, unsigned char over)
{
    const struct rsa_form *form = w->form;
    const uint64_t *high = w->sum + form->digits;
    unsigned char borrow = 0;

#pragma GCC unroll 8
    for (unsigned i = 0; i < form->digits; i++)
        borrow = sub(borrow, high[i], form->modulus[i], &w->result[i]);
    const uint64_t below = -(uint64_t)(borrow & (over ^ 1));
    for (unsigned i = 0; i < form->digits; i++)
        w->result[i] ^= (w->result[i] ^ high[i]) & below;
}

/* result = sum / R mod modulus, where the sum is less than R times the modulus. */
static void reduce(struct words *w)
{
    const struct rsa_form *form = w->form;
    const unsigned len = form->digits;
    unsigned char over = 0;

    for (unsigned i = 0; i < len; i += BLOCK) {
        uint64_t *sum = w->sum + i;
        memcpy(w->window, sum, sizeof w->window);
        clear_block(w);
        add_block(w, sum + BLOCK, form->modulus + BLOCK, len - BLOCK);
        over = add_window(w, sum + len, over);
    }
    subtract(w, over);
}

static void begin(struct words *w, const uint64_t factors[BLOCK])
{
    memcpy(w->factors, factors, sizeof w->factors);
    memset(w->window, 0, sizeof w->window);
}

/* result = a * b / R. */
static void multiply(struct words *w, const uint64_t *a, const uint64_t *b)
{
    const unsigned len = w->form->digits;

    memset(w->sum, 0, len * sizeof *w->sum);
    for (unsigned i = 0; i < len; i += BLOCK) {
        begin(w, b + i);
        add_block(w, w->sum + i, a, len);
        memcpy(w->sum + i + len, w->window, sizeof w->window);
    }
    reduce(w);
}

/* Doubles the sum, which is of products of two different words each, and adds the squares. */
static void add_squares(struct words *w)
{
    uint64_t shifted = 0;
    unsigned char carry = 0;

#pragma GCC unroll 4
    for (unsigned i = 0; i < w->form->digits; i++) {
        const two_words square = (two_words)w->result[i] * w->result[i];
        const uint64_t low = w->sum[2 * i], high = w->sum[2 * i + 1];
        carry = add(carry, low << 1 | shifted, (uint64_t)square, &w->sum[2 * i]);
        carry = add(carry, high << 1 | low >> 63, (uint64_t)(square >> 64), &w->sum[2 * i + 1]);
        shifted = high >> 63;
    }
}

/* result = result ^ 2 / R. */
static void square(struct words *w)
{
    const unsigned len = w->form->digits;
    const uint64_t *a = w->result;
    unsigned char carry = 0;

    for (unsigned i = 0; i < len; i += BLOCK)
        multiply_within(w->sum + 2 * i, a + i);
    for (unsigned i = 0; i < len; i += BLOCK) {
        begin(w, a + i);
        add_block(w, w->sum + 2 * i + BLOCK, a + i + BLOCK, len - i - BLOCK);
        carry = add_window(w, w->sum + i + len, carry);
    }
    add_squares(w);
    reduce(w);
}

static void power(const struct rsa_form *const form[], uint64_t exponent,
                  uint64_t (*number)[RSA_MOST_DIGITS], unsigned count)
{
    const size_t len = form[0]->digits * sizeof(uint64_t);
    struct words w = {.form = form[0]};

    (void)count;
    multiply(&w, form[0]->r_squared, number[0]);
    memcpy(w.power, w.result, len);
    for (unsigned bit = 62 - (unsigned)__builtin_clzll(exponent); bit > 0; bit--) {
        square(&w);
        if (exponent >> bit & 1)
            multiply(&w, w.result, w.power);
    }
    square(&w);
    multiply(&w, w.result, number[0]); /* without a factor R: out of Montgomery's form */
    memcpy(number[0], w.result, len);
    wipe(&w, sizeof w);
}
