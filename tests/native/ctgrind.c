/* Shows that no branch and no index depends on a key or on plaintext: valgrind's memcheck is told
 * that they are undefined, and reports whatever decides by them. The portable row is what this is
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

int main(int argc, char **argv)
{
    (void)argv;
    check(RUNNING_ON_VALGRIND, "to be run under valgrind");
    for (unsigned i = 0; aes_kernel_at(i); i++)
        test_row(aes_kernel_at(i));
    if (argc > 1 && text[0][0] & 1)
        puts("decided by a secret");
    return VALGRIND_COUNT_ERRORS != 0;
}
