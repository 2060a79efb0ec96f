/* Every row of the RSA table against OpenSSL's arithmetic.
 *
 *   cc -O3 -Inative tests/native/rsa.c $(find native -name "*.c") -lcrypto -o rsa
 *   ./rsa [cases [seed]]
 *
 * `cases`: how many numbers each row raises to a power, 80000 if not given, which takes some twenty
 * seconds and has moduli of every length. The same seed gives the same numbers. Prints a line for
 * each row. */
#include "rsa_keys.h"

enum { ROUNDS = 16, SHORTEST = 120, FEWEST_BITS = 1024, MOST_BITS = 4096, DEFAULT_CASES = 80000 };

/* --- tools ------------------------------------------------------------------------------------ */

static uint64_t random_long(void)
{
    uint64_t any;
    fill_random(&any, sizeof any);
    return any;
}

/* --- numbers of all shapes -------------------------------------------------------------------- */

static void draw_random(BIGNUM *x, unsigned bits)
{
    uint8_t octets[RSA_MOST_OCTETS];

    fill_random(octets, sizeof octets);
    CHECK(BN_bin2bn(octets, sizeof octets, x));
    CHECK(BN_rshift(x, x, (int)(MOST_BITS - bits)));
}

static void draw_same(BIGNUM *x, unsigned bits, bool ones)
{
    BN_zero(x);
    CHECK(!ones || (BN_set_bit(x, (int)bits) && BN_sub_word(x, 1)));
}

/* Zero but for a few bits, or all ones but for a few. */
static void draw_plain(BIGNUM *x, unsigned bits, bool ones)
{
    draw_same(x, bits, ones);
    for (unsigned left = below(4); left; left--)
        (ones ? BN_clear_bit : BN_set_bit)(x, (int)below(bits));
}

static uint64_t draw_digit(unsigned bits)
{
    const uint64_t ones = UINT64_MAX >> (64 - bits);

    switch (below(6)) {
    case 0: return 0;
    case 1: return 1;
    case 2: return UINT64_C(1) << (bits - 1);
    case 3: return random_long() & ones;
    default: return ones;
    }
}

/* Digits as a row cuts them, or runs of any length: mostly such as make carries go far. */
static void draw_digits(BIGNUM *x, unsigned bits, bool aligned)
{
    const unsigned digit_bits = rsa_digit_bits(below(RSA_RADIXES));

    BN_zero(x);
    for (unsigned step; bits; bits -= step) {
        step = aligned ? (bits - 1) % digit_bits + 1 : 1 + below((uint32_t)min_size(bits, 60));
        CHECK(BN_lshift(x, x, (int)step) && BN_add_word(x, draw_digit(step)));
    }
}

/* Near to a power of two or just above zero. */
static void draw_end(BIGNUM *x, unsigned bits, bool ones)
{
    const uint64_t distance = random_long() >> below(64);

    draw_same(x, bits, ones);
    CHECK(ones ? BN_sub_word(x, distance) : BN_add_word(x, distance));
}

/* Random below, with some bits at the top all zero or all ones. */
static void draw_top(BIGNUM *x, unsigned bits, bool ones)
{
    const unsigned rest = bits - below(SHORTEST);

    draw_random(x, rest);
    for (unsigned bit = rest; ones && bit < bits; bit++)
        CHECK(BN_set_bit(x, (int)bit));
}

/* Any number of at most so many bits, which are SHORTEST or more. */
static void draw(BIGNUM *x, unsigned bits)
{
    switch (below(6)) {
    case 0: draw_plain(x, bits, below(2)); break;
    case 1: draw_digits(x, bits, below(2)); break;
    case 2: draw_end(x, bits, below(2)); break;
    case 3: draw_top(x, bits, below(2)); break;
    default: draw_random(x, bits);
    }
}

/* --- moduli ------------------------------------------------------------------------------------ */

static struct modulus {
    struct rsa_key key;
    BIGNUM *number, *r_inverse;
    BN_MONT_CTX *mont; /* OpenSSL's own, with another R */
} moduli[LANES];

static BIGNUM *exponent;

/* The two that occur, mostly; the others take long. */
static uint64_t draw_exponent(void)
{
    switch (below(16)) {
    case 0: return 17;
    case 1: return (UINT64_C(1) << 32) + 1;
    case 2: return UINT64_MAX;
    case 3: return random_long() >> below(64) | 3;
    case 4: return random_long() >> below(64) | 5;
    default: return below(2) ? 3 : 65537;
    }
}

static void draw_modulus(struct modulus *modulus, unsigned bits, uint64_t power)
{
    draw(modulus->number, bits);
    CHECK(BN_set_bit(modulus->number, (int)bits - 1) && BN_set_bit(modulus->number, 0));
    prepare(&modulus->key, modulus->number, power);
    CHECK(BN_MONT_CTX_set(modulus->mont, modulus->number, scratch));
    const unsigned radix = below(RSA_RADIXES), digits = modulus->key.form[radix].digits;
    BN_zero(modulus->r_inverse);
    CHECK(BN_set_bit(modulus->r_inverse, (int)(digits * rsa_digit_bits(radix))));
    CHECK(BN_mod_inverse(modulus->r_inverse, modulus->r_inverse, modulus->number, scratch));
}

static bool same_digits(unsigned bits, unsigned others)
{
    for (unsigned radix = 0; radix < RSA_RADIXES; radix++)
        if (rsa_digits(radix, bits) != rsa_digits(radix, others))
            return false;
    return true;
}

/* Moduli with as many digits and one exponent, as a row needs them. The lengths in bits go round,
 * so that none is left out; large numbers are rare, since they take long. */
static void draw_moduli(void)
{
    static const unsigned first[] = {FEWEST_BITS, 1401, 2101, 3101, MOST_BITS + 1};
    static unsigned next[] = {FEWEST_BITS, 1401, 2101, 3101}, turn;
    static const uint8_t ranges[] = {0, 1, 0, 2, 1, 0, 1, 3, 0, 1, 0, 2, 1, 0, 1, 3};
    const unsigned range = ranges[turn++ % sizeof ranges], bits = next[range];
    const uint64_t power = draw_exponent();

    CHECK(BN_set_word(exponent, power));
    for (unsigned i = 0; i < LANES; i++) {
        const bool fits = same_digits(next[range], bits);
        draw_modulus(&moduli[i], fits ? next[range] : bits, power);
        if (fits && ++next[range] == first[range + 1])
            next[range] = first[range];
    }
}

/* --- one number of each lane ------------------------------------------------------------------ */

static struct lane {
    const struct modulus *modulus;
    uint8_t in[ROOM], out[ROOM], expected[ROOM]; /* with what lies behind */
} lanes[LANES];

static BIGNUM *base, *result;

/* Of a quarter, what it becomes in Montgomery's form is drawn; that is what gets squared. */
static void draw_base(const struct modulus *modulus)
{
    const BIGNUM *n = modulus->number;
    const unsigned bits = (unsigned)BN_num_bits(n);

    draw(base, below(2) ? bits : SHORTEST + below(bits - SHORTEST));
    if (!below(8))
        CHECK(BN_set_word(base, below(3)));
    if (!below(16)) /* if 9 divides n, its powers are 0, and a row comes to n before that */
        CHECK(BN_copy(base, n) && BN_div_word(base, 3) < 3);
    if (!below(3))
        CHECK(BN_sub(base, n, base));
    CHECK(BN_nnmod(base, base, n, scratch));
    if (!below(4))
        CHECK(BN_mod_mul(base, base, modulus->r_inverse, n, scratch));
}

static void draw_lane(struct lane *lane)
{
    const struct modulus *modulus = lane->modulus = &moduli[below(LANES)];
    const int size = (int)modulus->key.size;

    draw_base(modulus);
    CHECK(BN_mod_exp_mont(result, base, exponent, modulus->number, scratch, modulus->mont));
    memset(lane->expected, UNTOUCHED, ROOM);
    CHECK(BN_bn2binpad(base, lane->in, size) == size);
    CHECK(BN_bn2binpad(result, lane->expected, size) == size);
}

static bool as_expected(const struct lane *lane)
{
    return !memcmp(lane->out, lane->expected, ROOM);
}

static void show(const char *name, const uint8_t *octets, size_t len)
{
    for (printf("\n%s: ", name); len; len--)
        printf("%02x", *octets++);
}

static void verify(const struct lane *lane)
{
    const struct rsa_key *key = &lane->modulus->key;

    if (as_expected(lane))
        return;
    printf("exponent: %#llx\nmodulus: ", (unsigned long long)key->exponent);
    BN_print_fp(stdout, lane->modulus->number);
    show("number", lane->in, key->size);
    show("expected", lane->expected, ROOM);
    show("out", lane->out, ROOM);
    CHECK(!"the result is as expected");
}

/* --- every row -------------------------------------------------------------------------------- */

static void run_row(unsigned index, unsigned count)
{
    const struct rsa_key *key[LANES];
    const uint8_t *in[LANES];
    uint8_t *out[LANES];

    for (unsigned i = 0; i < count; i++) {
        key[i] = &lanes[i].modulus->key;
        in[i] = lanes[i].in;
        out[i] = memset(lanes[i].out, UNTOUCHED, ROOM);
    }
    row_name = kernel_name(KERNELS_RSA, index);
    rsa_raw(index, key, in, out, count);
    for (unsigned i = 0; i < count; i++)
        verify(&lanes[i]);
}

static void test_rows(uint64_t cases)
{
    uint64_t done = 0;

    for (unsigned round = 0; done < cases; round++) {
        const unsigned count = (unsigned)min_size(1 + below(LANES), cases - done);
        if (round % ROUNDS == 0)
            draw_moduli();
        for (unsigned i = 0; i < count; i++)
            draw_lane(&lanes[i]);
        for (unsigned index = 0; kernel_name(KERNELS_RSA, index); index++) {
            run_row(index, count);
            flip(lanes[0].out, ROOM); /* this test can fail: one bit that is wrong is noticed */
            CHECK(!as_expected(&lanes[0]));
        }
        done += count;
    }
    for (unsigned index = 0; kernel_name(KERNELS_RSA, index); index++) {
        row_name = kernel_name(KERNELS_RSA, index);
        CHECK(kernel_check(KERNELS_RSA, index));
        printf("rsa %s ok: %llu numbers\n", row_name, (unsigned long long)done);
    }
}

/* --- a row that is wrong is found out --------------------------------------------------------- */

static const struct rsa_row *right;
static unsigned wrong_lane, wrong_digit;

static void wrong_power(const struct rsa_form *const form[], uint64_t exponent,
                        uint64_t (*number)[RSA_MOST_DIGITS], unsigned count)
{
    right->power(form, exponent, number, count);
    number[wrong_lane][wrong_digit] ^= 1;
}

static void test_wrong(void)
{
    for (unsigned index = 0; (right = kernel_at(rsa_kernels, index)); index++) {
        const struct rsa_row wrong = {right->id, right->radix, right->lanes, wrong_power};
        CHECK(rsa_known_answer(&right->id));
        for (wrong_lane = 0; wrong_lane < right->lanes; wrong_lane++)
            for (wrong_digit = 0; wrong_digit < rsa_digits(right->radix, 1246); wrong_digit++)
                CHECK(!rsa_known_answer(&wrong.id));
    }
}

/* --- the choice of a row ---------------------------------------------------------------------- */

static void test_choice(void)
{
    static const struct rsa_row wide = {.lanes = 8}, narrow = {.lanes = 1};
    static const struct rsa_row never = {.id = {"never", ~UINT32_C(0)}, .lanes = 8};
    static const struct kernel_id *const both[] = {&wide.id, &narrow.id, NULL};
    static const struct kernel_id *const one[] = {&never.id, &wide.id, NULL};
    static const struct kernel_id *const none[] = {&never.id, NULL};

    for (unsigned count = 1; count <= LANES; count++) {
        CHECK(rsa_row_for(both, count) == (count > 4 ? &wide : &narrow));
        CHECK(rsa_row_for(one, count) == &wide);
        CHECK(!rsa_row_for(none, count));
    }
}

/* All this stays until the end. */
static void set_up(void)
{
    scratch = BN_CTX_new();
    exponent = new_number();
    base = new_number();
    result = new_number();
    CHECK(scratch);
    for (unsigned i = 0; i < LANES; i++) {
        moduli[i].number = new_number();
        moduli[i].r_inverse = new_number();
        moduli[i].mont = BN_MONT_CTX_new();
        CHECK(moduli[i].mont);
    }
}

int main(int count, char **arguments)
{
    const uint64_t cases = count > 1 ? strtoull(arguments[1], NULL, 10) : DEFAULT_CASES;

    if (count > 2)
        random_state = strtoull(arguments[2], NULL, 10);
    test_choice();
    test_wrong();
    set_up();
    CHECK(cases);
    test_rows(cases);
    return 0;
}
