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

/* Digit i of eight numbers is register i. */
struct eight {
    __m512i modulus[MOST_DIGITS], factor[MOST_DIGITS], result[MOST_DIGITS];
    __m512i sum[MOST_DIGITS + 1], inverse;
};

/* sum + a * b for half a product of digits. */
#define LOW _mm512_madd52lo_epu64
#define HIGH _mm512_madd52hi_epu64

/* Adds two rows of a product of a and b and the multiples of the modulus that clear the two lowest
 * digits, then drops those. Two at once, so that a sum is loaded and stored half as often. */
ALWAYS void multiply_rows(struct eight *w, const __m512i *a, __m512i b0, __m512i b1,
                          unsigned digits)
{
    const __m512i zero = _mm512_setzero_si512(), *n = w->modulus;
    __m512i *sum = w->sum, low = LOW(sum[0], a[0], b0);
    const __m512i m0 = LOW(zero, low, w->inverse);

    low = _mm512_srli_epi64(LOW(low, n[0], m0), DIGIT_BITS);
    low = _mm512_add_epi64(low, sum[1]);
    low = HIGH(HIGH(LOW(LOW(low, a[1], b0), n[1], m0), a[0], b0), n[0], m0);
    low = LOW(low, a[0], b1);
    const __m512i m1 = LOW(zero, low, w->inverse);
    __m512i carry = _mm512_srli_epi64(LOW(low, n[0], m1), DIGIT_BITS);

    for (unsigned j = 2; j < digits; j++) {
        __m512i first = LOW(LOW(sum[j], a[j], b0), n[j], m0);
        __m512i second = LOW(LOW(carry, a[j - 1], b1), n[j - 1], m1);
        first = HIGH(HIGH(first, a[j - 1], b0), n[j - 1], m0);
        second = HIGH(HIGH(second, a[j - 2], b1), n[j - 2], m1);
        sum[j - 2] = _mm512_add_epi64(first, second);
        carry = zero;
    }
    a += digits;
    n += digits;
    sum += digits;
    __m512i first = HIGH(HIGH(carry, a[-1], b0), n[-1], m0);
    __m512i second = HIGH(HIGH(zero, a[-2], b1), n[-2], m1);
    sum[-2] = _mm512_add_epi64(first, LOW(LOW(second, a[-1], b1), n[-1], m1));
    sum[-1] = HIGH(HIGH(zero, a[-1], b1), n[-1], m1);
}

/* result = a * b / R, below twice the modulus where a and b are. */
IFMA static void multiply(struct eight *w, const __m512i *a, const __m512i *b, unsigned digits)
{
    const __m512i mask = _mm512_set1_epi64((long long)digit_mask);
    __m512i carry = _mm512_setzero_si512();

    for (unsigned i = 0; i < digits; i++)
        w->sum[i] = carry;
    for (unsigned i = 0; i < digits; i += 2)
        multiply_rows(w, a, b[i], b[i + 1], digits);
    for (unsigned i = 0; i < digits; i++) {
        carry = _mm512_add_epi64(carry, w->sum[i]);
        w->result[i] = _mm512_and_si512(carry, mask);
        carry = _mm512_srli_epi64(carry, DIGIT_BITS);
    }
}

/* Subtracts the modulus once where the result isn't below it. */
IFMA static void reduce(struct eight *w, unsigned digits)
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
        multiply(&w, w.result, w.result, digits);
        if (exponent >> bit & 1)
            multiply(&w, w.result, w.factor, digits);
    }
    multiply(&w, w.result, w.result, digits);
    multiply(&w, w.result, plain, digits); /* without a factor R: out of Montgomery's form */
    reduce(&w, digits);
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

/* The carries of digits that have grown beyond 52 bits. */
IFMA static void carry_digits(__m512i *number, unsigned vectors)
{
    uint64_t digit[MOST_DIGITS], carry = 0;

    memcpy(digit, number, vectors * sizeof *number);
    for (unsigned i = 0; i < vectors * VECTOR; i++) {
        carry += digit[i];
        digit[i] = carry & digit_mask;
        carry >>= DIGIT_BITS;
    }
    memcpy(number, digit, vectors * sizeof *number);
    wipe(digit, sizeof digit);
}

/* As multiply() above; `vectors` is a constant wherever this goes, so that sums are registers. */
ALWAYS void multiply_vectors(struct one *w, const __m512i *a, const uint64_t *b,
                             const unsigned vectors)
{
    const __m512i zero = _mm512_setzero_si512(), *n = w->modulus;
    __m512i sum[MOST_VECTORS + 1];

#pragma GCC unroll 11
    for (unsigned v = 0; v <= vectors; v++)
        sum[v] = zero;
    for (unsigned i = 0; i < vectors * VECTOR; i++) {
        const __m512i digit = _mm512_set1_epi64((long long)b[i]);
#pragma GCC unroll 10
        for (unsigned v = 0; v < vectors; v++)
            sum[v] = _mm512_madd52lo_epu64(sum[v], a[v], digit);
        __m512i m = _mm512_madd52lo_epu64(zero, sum[0], w->inverse);
        m = _mm512_broadcastq_epi64(_mm512_castsi512_si128(m));
#pragma GCC unroll 10
        for (unsigned v = 0; v < vectors; v++)
            sum[v] = _mm512_madd52lo_epu64(sum[v], n[v], m);
        const __m512i carry = _mm512_maskz_srli_epi64(1, sum[0], DIGIT_BITS);
#pragma GCC unroll 10
        for (unsigned v = 0; v < vectors; v++) {
            sum[v] = _mm512_alignr_epi64(sum[v + 1], sum[v], 1);
            if (!v)
                sum[v] = _mm512_add_epi64(sum[v], carry);
            sum[v] = _mm512_madd52hi_epu64(sum[v], a[v], digit);
            sum[v] = _mm512_madd52hi_epu64(sum[v], n[v], m);
        }
    }
    memcpy(w->result, sum, vectors * sizeof *sum);
    carry_digits(w->result, vectors);
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
