/* Coverage-guided fuzzing of RSA's rows against each other and against OpenSSL's arithmetic. The
 * input tells the length of the moduli, the exponent, how many lanes there are, and the octets of
 * moduli and numbers: so that they come to patterns which make carries go far. rsa.c draws them at
 * random. */
#include "rsa_keys.h"

enum { CONTROLS = 6, FEWEST_BITS = 1024, MOST_BITS = 4096 };

struct input {
    const uint8_t *octets;
    size_t len, at;
};

static struct {
    struct rsa_key key;
    BIGNUM *modulus;
} keys[LANES];

static struct lane {
    uint8_t in[RSA_MOST_OCTETS], expected[ROOM], out[ROOM];
} lanes[LANES];

static BIGNUM *number, *result, *exponent;
static BN_MONT_CTX *mont;

static void set_up(void)
{
    scratch = BN_CTX_new();
    number = new_number();
    result = new_number();
    exponent = new_number();
    mont = BN_MONT_CTX_new();
    CHECK(scratch && mont);
    for (unsigned i = 0; i < LANES; i++)
        keys[i].modulus = new_number();
}

/* So many bits of the input, which begins again when it is over. */
static void take_number(struct input *input, BIGNUM *to, unsigned bits)
{
    uint8_t octets[RSA_MOST_OCTETS];
    const unsigned len = (bits + 7) / 8;

    for (unsigned i = 0; i < len; i++)
        octets[i] = input->octets[input->at++ % input->len];
    CHECK(BN_bin2bn(octets, (int)len, to));
    CHECK(BN_num_bits(to) <= (int)bits || BN_mask_bits(to, (int)bits));
}

static uint64_t exponent_of(const uint8_t control[2])
{
    static const uint64_t usual[] = {65537, 3, 17, 65537, (UINT64_C(1) << 32) + 1, 5, 7, 65539};

    if (control[0] < 0xf0)
        return usual[control[0] & 7];
    return control[0] * UINT64_C(0x0123456789abcdef) >> (control[1] & 63) | 3;
}

static void take_key(struct input *input, unsigned i, unsigned bits, uint64_t power)
{
    BIGNUM *modulus = keys[i].modulus;

    take_number(input, modulus, bits);
    CHECK(BN_set_bit(modulus, (int)bits - 1) && BN_set_bit(modulus, 0));
    prepare(&keys[i].key, modulus, power);
}

/* R^-1, by which what is drawn becomes what a row of this radix has in Montgomery's form. */
static void divide_by_r(const struct rsa_key *key, const BIGNUM *modulus, unsigned radix)
{
    BIGNUM *r = new_number();

    CHECK(BN_set_bit(r, (int)(key->form[radix].digits * rsa_digit_bits(radix))));
    CHECK(BN_mod_inverse(r, r, modulus, scratch));
    CHECK(BN_mod_mul(number, number, r, modulus, scratch));
    BN_free(r);
}

static void take_lane(struct input *input, struct lane *lane, const struct rsa_key *key,
                      const BIGNUM *modulus)
{
    const unsigned how = input->octets[input->at++ % input->len], size = key->size;

    take_number(input, number, how & 1 ? (unsigned)BN_num_bits(modulus) : 1 + 4 * how);
    if (how & 2)
        CHECK(BN_sub(number, modulus, number));
    CHECK(BN_nnmod(number, number, modulus, scratch));
    if (how & 4)
        divide_by_r(key, modulus, (how >> 3) % RSA_RADIXES);
    CHECK(BN_mod_exp_mont(result, number, exponent, modulus, scratch, mont));
    memset(lane->expected, UNTOUCHED, ROOM);
    CHECK(BN_bn2binpad(number, lane->in, (int)size) == (int)size);
    CHECK(BN_bn2binpad(result, lane->expected, (int)size) == (int)size);
}

static void expect_rows(const struct rsa_key *const key[], unsigned count)
{
    const uint8_t *in[LANES];
    uint8_t *out[LANES];

    for (unsigned index = 0; kernel_name(KERNELS_RSA, index); index++) {
        row_name = kernel_name(KERNELS_RSA, index);
        for (unsigned i = 0; i < count; i++) {
            in[i] = lanes[i].in;
            out[i] = memset(lanes[i].out, UNTOUCHED, ROOM);
        }
        rsa_raw(index, key, in, out, count);
        for (unsigned i = 0; i < count; i++)
            CHECK(!memcmp(lanes[i].out, lanes[i].expected, ROOM));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t len)
{
    if (len <= CONTROLS)
        return 0;
    struct input input = {.octets = in + CONTROLS, .len = len - CONTROLS};
    const unsigned bits = FEWEST_BITS + (in[0] << 8 | in[1]) % (MOST_BITS - FEWEST_BITS + 1);
    const unsigned count = 1 + in[2] % LANES, moduli = 1 + in[3] % LANES;
    const uint64_t power = exponent_of(in + 4);
    const struct rsa_key *key[LANES];

    if (!scratch)
        set_up();
    CHECK(BN_set_word(exponent, power));
    for (unsigned i = 0; i < min_size(moduli, count); i++)
        take_key(&input, i, bits, power);
    for (unsigned i = 0; i < count; i++) {
        const BIGNUM *modulus = keys[i % moduli].modulus;
        key[i] = &keys[i % moduli].key;
        CHECK(BN_MONT_CTX_set(mont, modulus, scratch));
        take_lane(&input, &lanes[i], key[i], modulus);
    }
    expect_rows(key, count);
    return 0;
}
