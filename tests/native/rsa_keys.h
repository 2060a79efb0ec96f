/* What the tests of RSA share: public keys, prepared by OpenSSL's arithmetic. */
#ifndef RSA_KEYS_H
#define RSA_KEYS_H

#include "rsa/rsa_rows.h"
#include "tools.h"

#include <openssl/bn.h>

enum { LANES = RSA_MOST_LANES, MARGIN = 16 };
enum { ROOM = RSA_MOST_OCTETS + MARGIN, UNTOUCHED = 0xa5 };

static BN_CTX *scratch;

static BIGNUM *new_number(void)
{
    BIGNUM *number = BN_new();
    CHECK(number);
    return number;
}

static inline void flip(uint8_t *octets, size_t len)
{
    octets[below((uint32_t)len)] ^= (uint8_t)(1 << below(8));
}

static uint64_t *to_digits(const BIGNUM *number, unsigned bits, unsigned count)
{
    uint64_t *digits = malloc(count * sizeof *digits);
    BIGNUM *rest = BN_dup(number), *digit = new_number();

    CHECK(digits && rest);
    for (unsigned i = 0; i < count; i++) {
        CHECK(BN_copy(digit, rest) && (BN_num_bits(digit) <= (int)bits
                                       || BN_mask_bits(digit, (int)bits)));
        digits[i] = BN_get_word(digit);
        CHECK(BN_rshift(rest, rest, (int)bits));
    }
    CHECK(BN_is_zero(rest));
    BN_free(rest);
    BN_free(digit);
    return digits;
}

/* -1 / odd mod 2^64: each step doubles the bits that are right, of which odd itself has three. */
static uint64_t negative_inverse(uint64_t odd)
{
    uint64_t inverse = odd;

    for (unsigned step = 0; step < 5; step++)
        inverse *= 2 - odd * inverse;
    return -inverse;
}

static void prepare_form(struct rsa_form *form, const BIGNUM *modulus, unsigned radix)
{
    const unsigned bits = rsa_digit_bits(radix);
    BIGNUM *r_squared = new_number();

    free((void *)form->modulus);
    free((void *)form->r_squared);
    form->digits = rsa_digits(radix, (unsigned)BN_num_bits(modulus));
    CHECK(form->digits <= RSA_MOST_DIGITS);
    CHECK(BN_set_bit(r_squared, (int)(2 * form->digits * bits)));
    CHECK(BN_mod(r_squared, r_squared, modulus, scratch));
    form->modulus = to_digits(modulus, bits, form->digits);
    form->r_squared = to_digits(r_squared, bits, form->digits);
    form->inverse = negative_inverse(form->modulus[0]) & UINT64_MAX >> (64 - bits);
    BN_free(r_squared);
}

static void prepare(struct rsa_key *key, const BIGNUM *modulus, uint64_t power)
{
    CHECK(BN_is_odd(modulus));
    for (unsigned radix = 0; radix < RSA_RADIXES; radix++)
        prepare_form(&key->form[radix], modulus, radix);
    key->exponent = power;
    key->size = ((unsigned)BN_num_bits(modulus) + 7) / 8;
}

#endif
