/* RSA's public operation with AVX2, four numbers at once, one in each lane. Digits have 27 bits: a
 * product has 54, and a register's lane takes the sum of all that there are for 4096 bits. Numbers
 * stay below twice the modulus; since R is four times as large or more, Montgomery's multiplication
 * keeps them there without a comparison (Walter, "Montgomery exponentiation needs no final
 * subtractions", 1999). No branch and no index depends on a number. */
#include "rsa/rsa_rows.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))
#define ALWAYS __attribute__((always_inline)) AVX2 static inline

enum { LANES = 4, STEP = 4, DIGIT_BITS = 27 };

/* Digit i of four numbers is register i. Behind a number there are zeros, for rows to end in. */
struct four {
    __m256i modulus[RSA_MOST_DIGITS + STEP], plain[RSA_MOST_DIGITS + STEP];
    __m256i result[RSA_MOST_DIGITS + STEP], factor[RSA_MOST_DIGITS];
    __m256i sum[2 * RSA_MOST_DIGITS + STEP], inverse;
};

#define ADD _mm256_add_epi64
#define PRODUCT _mm256_mul_epu32

/* Clang would see that the upper half is zero, forget it later, and multiply to 64 bits in three
 * steps. */
#define OPAQUE(vector) __asm__("" : "+x"(vector))

ALWAYS __m256i add_product(__m256i sum, __m256i a, __m256i b)
{
    return ADD(sum, PRODUCT(a, b));
}

/* Adds four rows of products at once, so that a sum is loaded and stored a quarter as often:
 * sum[i] += a[i] b[0] + a[i-1] b[1] + a[i-2] b[2] + a[i-3] b[3]. The first is that of `first`, and
 * a1 to a3 are the digits before it, or zeros for the start of rows. */
ALWAYS void add_rows(__m256i *sum, const __m256i *a, const __m256i b[STEP], unsigned first,
                     unsigned digits, __m256i a1, __m256i a2, __m256i a3)
{
#pragma GCC unroll 4
    for (unsigned i = first; i < digits + STEP; i++) {
        const __m256i a0 = a[i];
        const __m256i left = add_product(PRODUCT(a0, b[0]), a1, b[1]);
        const __m256i right = add_product(PRODUCT(a2, b[2]), a3, b[3]);
        sum[i] = ADD(sum[i], ADD(left, right));
        a3 = a2;
        a2 = a1;
        a1 = a0;
    }
}

/* Digits for which the lowest four of the sum become multiples of 2^27, and what these carry. */
ALWAYS __m256i clear_four(const struct four *w, const __m256i *sum, __m256i carry, __m256i m[STEP])
{
    const __m256i mask = _mm256_set1_epi64x((1 << DIGIT_BITS) - 1), *n = w->modulus;

#pragma GCC unroll 4
    for (unsigned i = 0; i < STEP; i++) {
        __m256i low = ADD(sum[i], carry);
#pragma GCC unroll 4
        for (unsigned j = 0; j < i; j++)
            low = add_product(low, n[i - j], m[j]);
        m[i] = _mm256_and_si256(PRODUCT(low, w->inverse), mask);
        OPAQUE(m[i]);
        carry = _mm256_srli_epi64(add_product(low, n[0], m[i]), DIGIT_BITS);
    }
    return carry;
}

/* result = sum / R, below twice the modulus where the sum is below R times that. */
AVX2 static void reduce(struct four *w, unsigned digits)
{
    const __m256i mask = _mm256_set1_epi64x((1 << DIGIT_BITS) - 1), *n = w->modulus;
    __m256i carry = _mm256_setzero_si256(), m[STEP];

    for (unsigned i = 0; i < digits; i += STEP) {
        carry = clear_four(w, w->sum + i, carry, m);
        add_rows(w->sum + i, n, m, STEP, digits, n[3], n[2], n[1]);
    }
    for (unsigned i = 0; i < digits; i++) {
        carry = ADD(carry, w->sum[digits + i]);
        w->result[i] = _mm256_and_si256(carry, mask);
        carry = _mm256_srli_epi64(carry, DIGIT_BITS);
    }
}

/* result = a * b / R. */
AVX2 static void multiply(struct four *w, const __m256i *a, const __m256i *b, unsigned digits)
{
    const __m256i zero = _mm256_setzero_si256();

    for (unsigned i = 0; i < 2 * digits + STEP; i++)
        w->sum[i] = zero;
    for (unsigned i = 0; i < digits; i += STEP)
        add_rows(w->sum + i, a, b + i, 0, digits, zero, zero, zero);
    reduce(w, digits);
}

/* The products within four digits, each of two different ones twice. */
ALWAYS void square_four(__m256i *sum, const __m256i a[STEP], const __m256i twice[STEP])
{
    sum[0] = add_product(sum[0], a[0], a[0]);
    sum[1] = add_product(sum[1], twice[0], a[1]);
    sum[2] = add_product(add_product(sum[2], twice[0], a[2]), a[1], a[1]);
    sum[3] = add_product(add_product(sum[3], twice[0], a[3]), twice[1], a[2]);
    sum[4] = add_product(add_product(sum[4], twice[1], a[3]), a[2], a[2]);
    sum[5] = add_product(sum[5], twice[2], a[3]);
    sum[6] = add_product(sum[6], a[3], a[3]);
}

/* result = result ^ 2 / R. */
AVX2 static void square(struct four *w, unsigned digits)
{
    const __m256i zero = _mm256_setzero_si256(), *a = w->result;
    __m256i twice[STEP];

    for (unsigned i = 0; i < 2 * digits + STEP; i++)
        w->sum[i] = zero;
    for (unsigned i = 0; i < digits; i += STEP) {
        for (unsigned j = 0; j < STEP; j++)
            twice[j] = ADD(a[i + j], a[i + j]);
        square_four(w->sum + 2 * i, a + i, twice);
        add_rows(w->sum + i, a, twice, i + STEP, digits, zero, zero, zero);
    }
    reduce(w, digits);
}

/* Subtracts the modulus once where the result isn't below it. */
AVX2 static void reduce_once(struct four *w, unsigned digits)
{
    const __m256i mask = _mm256_set1_epi64x((1 << DIGIT_BITS) - 1);
    __m256i borrow = _mm256_setzero_si256();

    for (unsigned i = 0; i < digits; i++) {
        __m256i less = ADD(_mm256_sub_epi64(w->result[i], w->modulus[i]), borrow);
        w->sum[i] = _mm256_and_si256(less, mask);
        /* Of -1 or 0: the sign, since the rest is less than a digit. */
        borrow = _mm256_sub_epi64(_mm256_setzero_si256(), _mm256_srli_epi64(less, 63));
    }
    /* All ones where something had to be borrowed: there the number was below already. */
    for (unsigned i = 0; i < digits; i++)
        w->result[i] = _mm256_blendv_epi8(w->sum[i], w->result[i], borrow);
}

ALWAYS void load_lanes(__m256i *to, const uint64_t *const number[LANES], unsigned digits)
{
    for (unsigned i = 0; i < digits; i++)
        to[i] = _mm256_set_epi64x((long long)number[3][i], (long long)number[2][i],
                                  (long long)number[1][i], (long long)number[0][i]);
}

/* A free lane repeats the work of the first one. */
AVX2 static void load(struct four *w, const struct rsa_form *const form[],
                      uint64_t (*number)[RSA_MOST_DIGITS], unsigned count)
{
    const unsigned digits = form[0]->digits;
    const uint64_t *modulus[LANES], *r_squared[LANES], *base[LANES];
    uint64_t inverse[LANES];

    for (unsigned i = 0; i < LANES; i++) {
        const unsigned lane = i < count ? i : 0;
        modulus[i] = form[lane]->modulus;
        r_squared[i] = form[lane]->r_squared;
        inverse[i] = form[lane]->inverse;
        base[i] = number[lane];
    }
    w->inverse = _mm256_loadu_si256((const __m256i *)inverse);
    load_lanes(w->modulus, modulus, digits);
    load_lanes(w->factor, r_squared, digits);
    load_lanes(w->plain, base, digits);
    for (unsigned i = digits; i < digits + STEP; i++)
        w->modulus[i] = w->plain[i] = w->result[i] = _mm256_setzero_si256();
}

AVX2 static void power(const struct rsa_form *const form[], uint64_t exponent,
                       uint64_t (*number)[RSA_MOST_DIGITS], unsigned count)
{
    const unsigned digits = form[0]->digits;
    uint64_t lanes[LANES];
    struct four w;

    load(&w, form, number, count);
    multiply(&w, w.plain, w.factor, digits);
    memcpy(w.factor, w.result, digits * sizeof *w.factor);
    for (unsigned bit = 62 - (unsigned)__builtin_clzll(exponent); bit > 0; bit--) {
        square(&w, digits);
        if (exponent >> bit & 1)
            multiply(&w, w.result, w.factor, digits);
    }
    square(&w, digits);
    multiply(&w, w.result, w.plain, digits); /* without a factor R: out of Montgomery's form */
    reduce_once(&w, digits);
    for (unsigned j = 0; j < digits; j++) {
        _mm256_storeu_si256((__m256i *)lanes, w.result[j]);
        for (unsigned i = 0; i < count; i++)
            number[i][j] = lanes[i];
    }
    wipe(lanes, sizeof lanes);
    wipe(&w, sizeof w);
}

const struct rsa_row rsa_avx2x4 = {
    .id = {"avx2x4", CPU_AVX2},
    .radix = RSA_RADIX_27,
    .lanes = LANES,
    .power = power,
};
#endif

/* Elsewhere this file is empty but for what ISO C asks of one. */
typedef int x86_rsa_avx2;
