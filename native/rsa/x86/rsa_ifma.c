/* RSA's public operation with AVX-512 IFMA, which multiplies numbers of 52 bits and adds the lower
 * or the upper half of the product. Numbers stay below twice the modulus; since R is four times as
 * large or more, Montgomery's multiplication keeps them there without a comparison (Walter,
 * "Montgomery exponentiation needs no final subtractions", 1999). No branch and no index depends on
 * a number. */
#include "rsa/rsa_rows.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define IFMA __attribute__((target("avx512f,avx512ifma")))
#define ALWAYS __attribute__((always_inline)) IFMA static inline

enum { VECTOR = 8, DIGIT_BITS = 52, MOST_DIGITS = 80, MOST_VECTORS = MOST_DIGITS / VECTOR };

_Static_assert((int)VECTOR <= (int)RSA_MOST_LANES, "a lane for each digit of a register");

static const uint64_t digit_mask = (UINT64_C(1) << DIGIT_BITS) - 1;

/* --- a number in each lane -------------------------------------------------------------------- */

enum { STEP = 4 }; /* rows of a product that are added at once */

/* Digit i of eight numbers is register i. A sum takes two halves of products from each of 80 rows of
 * a product, and of 80 rows of its reduction: less than 2^61. */
struct eight {
    __m512i modulus[MOST_DIGITS], factor[MOST_DIGITS], result[MOST_DIGITS];
    __m512i sum[2 * MOST_DIGITS], inverse;
};

/* sum + a * b for half a product of digits. */
#define LOW _mm512_madd52lo_epu64
#define HIGH _mm512_madd52hi_epu64

/* Adds four rows of a product, a times b[0] to b[3], from column `from` on: there a[from - 1] is x1,
 * the one before it x2, and so on. So each sum is loaded and stored once for four rows. `fresh`: the
 * four sums beyond the digits hold nothing yet. */
ALWAYS void add_rows(__m512i *sum, const __m512i *a, const __m512i b[STEP], unsigned from,
                     unsigned digits, __m512i x1, __m512i x2, __m512i x3, __m512i x4, bool fresh)
{
    const __m512i b0 = b[0], b1 = b[1], b2 = b[2], b3 = b[3];

#pragma GCC unroll 4
    for (unsigned c = from; c < digits; c++) {
        const __m512i x0 = a[c];
        const __m512i low = LOW(LOW(LOW(LOW(sum[c], x0, b0), x1, b1), x2, b2), x3, b3);
        sum[c] = HIGH(HIGH(HIGH(HIGH(low, x1, b0), x2, b1), x3, b2), x4, b3);
        x4 = x3;
        x3 = x2;
        x2 = x1;
        x1 = x0;
    }
    sum += digits;
    if (fresh)
        sum[0] = sum[1] = sum[2] = sum[3] = _mm512_setzero_si512();
    sum[0] = HIGH(LOW(HIGH(LOW(HIGH(LOW(sum[0], x1, b1), x1, b0), x2, b2), x2, b1), x3, b3), x3, b2);
    sum[0] = HIGH(sum[0], x4, b3);
    sum[1] = HIGH(HIGH(LOW(HIGH(LOW(sum[1], x1, b2), x1, b1), x2, b3), x2, b2), x3, b3);
    sum[2] = HIGH(HIGH(LOW(sum[2], x1, b3), x1, b2), x2, b3);
    sum[3] = HIGH(sum[3], x1, b3);
}

/* Sets m to the multiples of the modulus that clear four digits of the sum; gives what they carry. */
ALWAYS __m512i clear_four(const struct eight *w, const __m512i *sum, __m512i carry, __m512i m[STEP])
{
    const __m512i *n = w->modulus;

#pragma GCC unroll 4
    for (unsigned i = 0; i < STEP; i++) {
        __m512i low = sum[i];
#pragma GCC unroll 4
        for (unsigned r = 0; r < i; r++)
            low = HIGH(LOW(low, n[i - r], m[r]), n[i - r - 1], m[r]);
        low = _mm512_add_epi64(low, carry); /* last, for it comes last */
        m[i] = LOW(_mm512_setzero_si512(), low, w->inverse);
        carry = _mm512_srli_epi64(LOW(low, n[0], m[i]), DIGIT_BITS);
    }
    return carry;
}

/* result = sum / R, below twice the modulus where the sum is below R times that. */
IFMA static void reduce(struct eight *w, unsigned digits)
{
    const __m512i mask = _mm512_set1_epi64((long long)digit_mask), *n = w->modulus;
    __m512i carry = _mm512_setzero_si512(), m[STEP];

    for (unsigned i = 0; i < digits; i += STEP) {
        carry = clear_four(w, w->sum + i, carry, m);
        add_rows(w->sum + i, n, m, STEP, digits, n[3], n[2], n[1], n[0], false);
    }
    for (unsigned i = 0; i < digits; i++) {
        carry = _mm512_add_epi64(carry, w->sum[digits + i]);
        w->result[i] = _mm512_and_si512(carry, mask);
        carry = _mm512_srli_epi64(carry, DIGIT_BITS);
    }
}

/* result = a * b / R. */
IFMA static void multiply(struct eight *w, const __m512i *a, const __m512i *b, unsigned digits)
{
    const __m512i zero = _mm512_setzero_si512();

    for (unsigned i = 0; i < digits; i++)
        w->sum[i] = zero;
    for (unsigned i = 0; i < digits; i += STEP)
        add_rows(w->sum + i, a, b + i, 0, digits, zero, zero, zero, zero, true);
    reduce(w, digits);
}

ALWAYS void add_product(__m512i *sum, __m512i a, __m512i b)
{
    sum[0] = LOW(sum[0], a, b);
    sum[1] = HIGH(sum[1], a, b);
}

/* result = result ^ 2 / R. The products of two different digits are added once, and doubled then:
 * twice a digit has no room in a factor. */
IFMA static void square(struct eight *w, unsigned digits)
{
    const __m512i zero = _mm512_setzero_si512(), *a = w->result;

    for (unsigned i = 0; i < digits; i++)
        w->sum[i] = zero;
    for (unsigned i = 0; i < digits; i += STEP) {
        __m512i *sum = w->sum + 2 * i;
        add_rows(w->sum + i, a, a + i, i + STEP, digits, zero, zero, zero, zero, true);
        add_product(sum + 1, a[i], a[i + 1]);
        add_product(sum + 2, a[i], a[i + 2]);
        add_product(sum + 3, a[i], a[i + 3]);
        add_product(sum + 3, a[i + 1], a[i + 2]);
        add_product(sum + 4, a[i + 1], a[i + 3]);
        add_product(sum + 5, a[i + 2], a[i + 3]);
    }
    for (unsigned i = 0; i < digits; i++) {
        __m512i *sum = w->sum + 2 * i;
        sum[0] = _mm512_add_epi64(sum[0], sum[0]);
        sum[1] = _mm512_add_epi64(sum[1], sum[1]);
        add_product(sum, a[i], a[i]);
    }
    reduce(w, digits);
}

/* Subtracts the modulus once where the result isn't below it. */
IFMA static void reduce_once(struct eight *w, unsigned digits)
{
    const __m512i mask = _mm512_set1_epi64((long long)digit_mask);
    __m512i borrow = _mm512_setzero_si512();

    for (unsigned i = 0; i < digits; i++) {
        __m512i less = _mm512_add_epi64(_mm512_sub_epi64(w->result[i], w->modulus[i]), borrow);
        borrow = _mm512_srai_epi64(less, DIGIT_BITS);
        w->sum[i] = _mm512_and_si512(less, mask);
    }
    /* All ones where something had to be borrowed: there the number was below already. */
    for (unsigned i = 0; i < digits; i++)
        w->result[i] = _mm512_ternarylogic_epi64(borrow, w->result[i], w->sum[i], 0xca);
}

IFMA static void load_lanes(__m512i *to, const uint64_t *const number[VECTOR], unsigned digits)
{
    for (unsigned i = 0; i < digits; i++)
        to[i] = _mm512_set_epi64(
            (long long)number[7][i], (long long)number[6][i], (long long)number[5][i],
            (long long)number[4][i], (long long)number[3][i], (long long)number[2][i],
            (long long)number[1][i], (long long)number[0][i]);
}

/* A free lane repeats the work of the first one. */
IFMA static void power_eight(const struct rsa_form *const form[], uint64_t exponent,
                             uint64_t (*number)[RSA_MOST_DIGITS], unsigned count)
{
    const unsigned digits = form[0]->digits;
    const uint64_t *modulus[VECTOR], *r_squared[VECTOR], *base[VECTOR];
    uint64_t eight[VECTOR];
    __m512i plain[MOST_DIGITS] = {0};
    struct eight w;

    for (unsigned i = 0; i < VECTOR; i++) {
        const unsigned lane = i < count ? i : 0;
        modulus[i] = form[lane]->modulus;
        r_squared[i] = form[lane]->r_squared;
        eight[i] = form[lane]->inverse;
        base[i] = number[lane];
    }
    w.inverse = _mm512_loadu_si512(eight);
    load_lanes(w.modulus, modulus, digits);
    load_lanes(w.result, r_squared, digits);
    load_lanes(plain, base, digits);
    multiply(&w, w.result, plain, digits);
    memcpy(w.factor, w.result, digits * sizeof *w.factor);
    for (unsigned bit = 62 - (unsigned)__builtin_clzll(exponent); bit > 0; bit--) {
        square(&w, digits);
        if (exponent >> bit & 1)
            multiply(&w, w.result, w.factor, digits);
    }
    square(&w, digits);
    multiply(&w, w.result, plain, digits); /* without a factor R: out of Montgomery's form */
    reduce_once(&w, digits);
    for (unsigned j = 0; j < digits; j++) {
        _mm512_storeu_si512(eight, w.result[j]);
        for (unsigned i = 0; i < count; i++)
            number[i][j] = eight[i];
    }
    wipe(eight, sizeof eight);
    wipe(&w, sizeof w);
    wipe(plain, sizeof plain);
}

const struct rsa_row rsa_ifma8 = {
    .id = {"ifma8", CPU_IFMA},
    .radix = RSA_RADIX_52,
    .lanes = VECTOR,
    .power = power_eight,
};

/* --- one number ------------------------------------------------------------------------------- */

/* Eight digits of the number are a register. */
struct one {
    __m512i modulus[MOST_VECTORS], result[MOST_VECTORS];
    __m512i inverse;
};

/* The carries of digits that have grown beyond 52 bits. After each has given its upper bits to the
 * next one, some may be too large by a bit again, which full ones pass on: that is a sum of their
 * masks. */
ALWAYS void carry_digits(__m512i *number, const unsigned vectors)
{
    const __m512i mask = _mm512_set1_epi64((long long)digit_mask), one = _mm512_set1_epi64(1);
    __m512i below = _mm512_setzero_si512();
    unsigned __int128 over = 0, full = 0;

#pragma GCC unroll 10
    for (unsigned v = 0; v < vectors; v++) {
        const __m512i upper = _mm512_srli_epi64(number[v], DIGIT_BITS);
        number[v] = _mm512_add_epi64(_mm512_and_si512(number[v], mask),
                                     _mm512_alignr_epi64(upper, below, VECTOR - 1));
        over |= (unsigned __int128)_mm512_cmpgt_epu64_mask(number[v], mask) << VECTOR * v;
        full |= (unsigned __int128)_mm512_cmpeq_epu64_mask(number[v], mask) << VECTOR * v;
        below = upper;
    }
    const unsigned __int128 more = (2 * over + full) ^ full;
#pragma GCC unroll 10
    for (unsigned v = 0; v < vectors; v++) {
        const __mmask8 here = (__mmask8)(more >> VECTOR * v);
        number[v] = _mm512_and_si512(_mm512_mask_add_epi64(number[v], here, number[v], one), mask);
    }
}

/* As multiply() above; `vectors` is a constant wherever this goes, so that sums are registers. The
 * next multiple of the modulus waits for the lowest register alone: whatever of that doesn't depend
 * on this multiple is added apart, in `product` and `carry`. */
ALWAYS void multiply_vectors(struct one *w, const __m512i *a, const uint64_t *b,
                             const unsigned vectors)
{
    const __m512i zero = _mm512_setzero_si512(), *n = w->modulus;
    __m512i sum[MOST_VECTORS + 1], product = zero, carry = zero;

#pragma GCC unroll 11
    for (unsigned v = 0; v <= vectors; v++)
        sum[v] = zero;
    for (unsigned i = 0; i < vectors * VECTOR; i++) {
        const __m512i digit = _mm512_set1_epi64((long long)b[i]);
        product = LOW(product, a[0], digit);
        __m512i low = _mm512_add_epi64(_mm512_add_epi64(product, carry), sum[0]);
        __m512i m = LOW(zero, low, w->inverse);
        m = _mm512_broadcastq_epi64(_mm512_castsi512_si128(m));
        low = LOW(low, n[0], m);
        carry = _mm512_maskz_srli_epi64(1, low, DIGIT_BITS);
        product = HIGH(zero, a[0], digit);
#pragma GCC unroll 10
        for (unsigned v = 1; v < vectors; v++)
            sum[v] = LOW(LOW(sum[v], a[v], digit), n[v], m);
        sum[0] = HIGH(_mm512_alignr_epi64(sum[1], low, 1), n[0], m);
#pragma GCC unroll 10
        for (unsigned v = 1; v < vectors; v++)
            sum[v] = HIGH(HIGH(_mm512_alignr_epi64(sum[v + 1], sum[v], 1), a[v], digit), n[v], m);
    }
    sum[0] = _mm512_add_epi64(_mm512_add_epi64(sum[0], product), carry);
    carry_digits(sum, vectors);
    memcpy(w->result, sum, vectors * sizeof *sum);
}

ALWAYS void power_vectors(const struct rsa_form *form, uint64_t exponent, uint64_t *number,
                          const unsigned vectors)
{
    const size_t len = vectors * sizeof(__m512i);
    __m512i factor[MOST_VECTORS];
    struct one w;

    w.inverse = _mm512_set1_epi64((long long)form->inverse);
    memcpy(w.modulus, form->modulus, len);
    memcpy(factor, form->r_squared, len);
    multiply_vectors(&w, factor, number, vectors);
    memcpy(factor, w.result, len);
    for (unsigned bit = 62 - (unsigned)__builtin_clzll(exponent); bit > 0; bit--) {
        multiply_vectors(&w, w.result, (const uint64_t *)w.result, vectors);
        if (exponent >> bit & 1)
            multiply_vectors(&w, w.result, (const uint64_t *)factor, vectors);
    }
    multiply_vectors(&w, w.result, (const uint64_t *)w.result, vectors);
    multiply_vectors(&w, w.result, number, vectors);
    memcpy(number, w.result, len);
    wipe(&w, sizeof w);
    wipe(factor, sizeof factor);
}

/* Subtracts the modulus once if the number isn't below it. */
static void reduce_one(const struct rsa_form *form, uint64_t *number)
{
    uint64_t less[MOST_DIGITS], borrow = 0;

    for (unsigned i = 0; i < form->digits; i++) {
        borrow = number[i] - form->modulus[i] - borrow;
        less[i] = borrow & digit_mask;
        borrow >>= 63;
    }
    for (unsigned i = 0; i < form->digits; i++)
        number[i] = less[i] ^ ((less[i] ^ number[i]) & -borrow);
    wipe(less, sizeof less);
}

IFMA static void power_one(const struct rsa_form *const form[], uint64_t exponent,
                           uint64_t (*number)[RSA_MOST_DIGITS], unsigned count)
{
    (void)count;
    switch (form[0]->digits / VECTOR) {
#define CASE(vectors) case vectors: power_vectors(form[0], exponent, number[0], vectors); break
    CASE(3);
    CASE(4);
    CASE(5);
    CASE(6);
    CASE(7);
    CASE(8);
    CASE(9);
    CASE(10);
#undef CASE
    }
    reduce_one(form[0], number[0]);
}

const struct rsa_row rsa_ifma1 = {
    .id = {"ifma1", CPU_IFMA},
    .radix = RSA_RADIX_52,
    .lanes = 1,
    .power = power_one,
};
#endif

/* Elsewhere this file is empty but for what ISO C asks of one. */
typedef int x86_rsa_ifma;
