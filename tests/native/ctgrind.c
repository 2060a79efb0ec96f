/* Shows that no branch and no index depends on a key, on plaintext, on what RSA encrypts or on what
 * is hashed: valgrind's memcheck is told that they are undefined, and reports whatever decides by
 * them. The portable row is what this is
 * for; the others that valgrind can run come along. Built as the real engine is, since it is the
 * compiler's code that is judged, and run twice: the second time something is decided by a secret
 * indeed, which must be reported.
 *
 *   cc -O3 -gdwarf-4 -Inative tests/native/ctgrind.c $(find native -name "*.c") -o ctgrind
 *   valgrind --quiet ./ctgrind
 *   ! valgrind --quiet ./ctgrind leak
 *
 * Exits with 0, with 1 if anything was reported, and with 2 when it can show nothing. */
#include "aes/aes.h"
#include "hash/digest.h"
#include "rsa/rsa_rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <valgrind/memcheck.h>

enum { MOST_LANES = 32, LEN = 5 * AES_BLOCK };

static uint8_t octets[AES_MAX_KEY], text[MOST_LANES][LEN];

static void check(bool truth, const char *otherwise)
{
    if (truth)
        return;
    fprintf(stderr, "ctgrind: %s\n", otherwise);
    exit(2);
}

static void encrypt(const struct aes_kernel *row, unsigned count, size_t key_len)
{
    static struct aes_key key[MOST_LANES];
    struct lane lanes[MOST_LANES], *lane[MOST_LANES];

    (void)VALGRIND_MAKE_MEM_UNDEFINED(octets, sizeof octets);
    (void)VALGRIND_MAKE_MEM_UNDEFINED(text, sizeof text);
    for (unsigned i = 0; i < count; i++) {
        row->expand(&key[i], octets, key_len);
        lanes[i] = (struct lane){.in = text[i], .out = text[i], .key = &key[i]};
        lane[i] = &lanes[i];
    }
    row->cbc(lane, count, LEN / AES_BLOCK);
}

/* The first text, five blocks: one call of the portable row's four and one of what is left. */
static void decrypt(const struct aes_kernel *row, size_t key_len)
{
    static struct aes_key key;
    uint8_t chain[AES_BLOCK] = {0};

    (void)VALGRIND_MAKE_MEM_UNDEFINED(octets, sizeof octets);
    memset(text[0], 0, LEN);
    row->expand_inverse(&key, octets, key_len);
    row->cbc_decrypt(&key, chain, text[0], LEN / AES_BLOCK, text[0]);
}

/* Each bit of the result is made of secrets: had memcheck lost sight of them on the way, its
 * silence would mean nothing. */
static void check_traced(unsigned count)
{
    uint8_t undefined[LEN];

    for (unsigned i = 0; i < count; i++) {
        check(VALGRIND_GET_VBITS(text[i], undefined, LEN) == 1, "no word from memcheck");
        for (unsigned j = 0; j < LEN; j++)
            check(undefined[j] == 0xff, "the secrets were lost sight of");
    }
}

static void test_row(const struct aes_kernel *row)
{
    for (unsigned count = 1; count <= row->lanes; count++)
        for (size_t key_len = 16; key_len <= AES_MAX_KEY; key_len += 16) {
            encrypt(row, count, key_len);
            check_traced(count);
        }
    for (size_t key_len = 16; key_len <= AES_MAX_KEY; key_len += 8) {
        decrypt(row, key_len);
        check_traced(1);
    }
    printf("%s: %u reports\n", row->id.name, (unsigned)VALGRIND_COUNT_ERRORS);
}

/* --- RSA -------------------------------------------------------------------------------------- */

enum { BITS = 2048, SIZE = BITS / 8, SECRET = 32 };

/* For 2^2048 - 1, modulo which every R is a power of two, and -1 its own inverse. */
static void prepare(struct rsa_form *form, unsigned radix)
{
    static uint64_t modulus[RSA_RADIXES][RSA_MOST_DIGITS], r_squared[RSA_RADIXES][RSA_MOST_DIGITS];
    const unsigned bits = rsa_digit_bits(radix), digits = rsa_digits(radix, BITS);
    const unsigned two = 2 * (digits * bits - BITS);

    for (unsigned bit = 0; bit < BITS; bit++)
        modulus[radix][bit / bits] |= UINT64_C(1) << bit % bits;
    r_squared[radix][two / bits] = UINT64_C(1) << two % bits;
    *form = (struct rsa_form){modulus[radix], r_squared[radix], 1, digits};
}

static void check_all_undefined(const void *from, size_t len)
{
    uint8_t undefined[SIZE];

    check(VALGRIND_GET_VBITS(from, undefined, len) == 1, "no word from memcheck");
    for (size_t i = 0; i < len; i++)
        check(undefined[i] == 0xff, "the secrets were lost sight of");
}

/* Every row, with as many numbers as it takes. */
static void test_rsa_row(unsigned index, const struct rsa_key *key)
{
    static uint8_t numbers[RSA_MOST_LANES][SIZE];
    const struct rsa_key *keys[RSA_MOST_LANES];
    const uint8_t *in[RSA_MOST_LANES];
    uint8_t *out[RSA_MOST_LANES];

    for (unsigned i = 0; i < RSA_MOST_LANES; i++) {
        keys[i] = key;
        in[i] = out[i] = numbers[i];
    }
    (void)VALGRIND_MAKE_MEM_UNDEFINED(numbers, sizeof numbers);
    rsa_raw(index, keys, in, out, RSA_MOST_LANES);
    for (unsigned i = 0; i < RSA_MOST_LANES; i++)
        check_all_undefined(numbers[i], SIZE);
    printf("rsa %s: %u reports\n", kernel_name(KERNELS_RSA, index),
           (unsigned)VALGRIND_COUNT_ERRORS);
}

#if defined(__x86_64__)
static bool has_adx(void)
{
    static char text[1 << 14];
    FILE *file = fopen("/proc/cpuinfo", "r");

    check(file, "no /proc/cpuinfo");
    (void)!fread(text, 1, sizeof text - 1, file);
    fclose(file);
    return strstr(text, " adx ");
}

/* Valgrind runs these instructions, but its own CPUID doesn't offer them. */
static void test_rsa_adx(const struct rsa_key *key)
{
    const struct rsa_form *form = &key->form[RSA_RADIX_64];
    static uint64_t number[1][RSA_MOST_DIGITS];

    if (!has_adx() || cpu_features() & CPU_ADX)
        return;
    (void)VALGRIND_MAKE_MEM_UNDEFINED(number, SIZE);
    rsa_adx.power(&form, key->exponent, number, 1);
    check_all_undefined(number, SIZE);
    printf("rsa adx: %u reports\n", (unsigned)VALGRIND_COUNT_ERRORS);
}
#else
static void test_rsa_adx(const struct rsa_key *key)
{
    (void)key;
}
#endif

static void test_rsa_padding(unsigned padding, const struct rsa_key *key)
{
    uint8_t secret[SECRET] = {0}, out[SIZE];
    const struct rsa_job job = {key, secret, sizeof secret, padding, out};

    (void)VALGRIND_MAKE_MEM_UNDEFINED(secret, sizeof secret);
    check(!rsa_wrap(&job, 1), "no random octets");
    check_all_undefined(out, SIZE);
    printf("rsa padding %u: %u reports\n", padding, (unsigned)VALGRIND_COUNT_ERRORS);
}

static void test_rsa(void)
{
    static struct rsa_key key = {.exponent = 65537, .size = SIZE};

    for (unsigned radix = 0; radix < RSA_RADIXES; radix++)
        prepare(&key.form[radix], radix);
    for (unsigned index = 0; kernel_name(KERNELS_RSA, index); index++)
        test_rsa_row(index, &key);
    test_rsa_adx(&key);
    test_rsa_padding(RSA_PKCS1V15, &key);
    test_rsa_padding(RSA_OAEP_SHA256, &key);
}

static void test_digests(void)
{
    uint8_t digest[64];

    for (unsigned name = 0; name < DIGESTS; name++) {
        (void)VALGRIND_MAKE_MEM_UNDEFINED(digest, sizeof digest);
        digest_again(name, digest, 2);
        check_all_undefined(digest, sizeof digest);
    }
    printf("digests: %u reports\n", (unsigned)VALGRIND_COUNT_ERRORS);
}

int main(int argc, char **argv)
{
    (void)argv;
    check(RUNNING_ON_VALGRIND, "to be run under valgrind");
    for (unsigned i = 0; aes_kernel_at(i); i++)
        test_row(aes_kernel_at(i));
    test_rsa();
    test_digests();
    if (argc > 1 && text[0][0] & 1)
        puts("decided by a secret");
    return VALGRIND_COUNT_ERRORS != 0;
}
