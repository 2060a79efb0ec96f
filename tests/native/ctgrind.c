/* Proves that the portable AES has no branch and no index that depends on a secret: valgrind takes
 * keys and plaintext for undefined memory and reports every jump or address made of them.
 *
 *   cc -std=gnu11 -O3 -g -Inative -o ctgrind tests/native/ctgrind.c native/[*].c native/[*]/[*].c
 *   valgrind --error-exitcode=1 ./ctgrind            (without the brackets) */
#include "aes_rows.h"

#include <stdio.h>
#include <valgrind/memcheck.h>

enum { BLOCKS = 5, LANES = 4 };

static void run(size_t key_len)
{
    uint8_t octets[AES_MAX_KEY], plain[LANES][BLOCKS * AES_BLOCK], out[LANES][BLOCKS * AES_BLOCK];
    struct aes_key key[LANES];
    struct lane lane[LANES], *lanes[LANES];

    memset(octets, 7, sizeof octets);
    memset(plain, 9, sizeof plain);
    VALGRIND_MAKE_MEM_UNDEFINED(octets, sizeof octets);
    VALGRIND_MAKE_MEM_UNDEFINED(plain, sizeof plain);
    for (unsigned i = 0; i < LANES; i++) {
        aes_portable.expand(&key[i], octets, key_len);
        lane[i] = (struct lane){plain[i], out[i], &key[i], {0}};
        lanes[i] = &lane[i];
    }
    for (unsigned count = 1; count <= LANES; count++)
        aes_portable.cbc(lanes, count, 1);
    /* A ciphertext is public: it may decide what is printed. */
    VALGRIND_MAKE_MEM_DEFINED(out, sizeof out);
    printf("AES-%zu: first octet %02x\n", 8 * key_len, out[0][0]);
}

int main(void)
{
    run(16);
    run(32);
    return 0;
}
