/* Every AES row of this machine: its known answers, and the same octets as the portable row gives,
 * for random keys, lengths, alignments and numbers of lanes, also in place.
 *
 *   cc -std=gnu11 -O3 -Inative -o known_answers tests/native/known_answers.c native/[*].c
 *   native/[*]/[*].c                                  (without the brackets) */
#include "aes_rows.h"

#include <stdio.h>
#include <stdlib.h>

enum { LANES = 32, BLOCKS = 40, ROUNDS_OF_TESTS = 500 };

struct sample {
    uint8_t key[AES_MAX_KEY], iv[AES_BLOCK], plain[BLOCKS * AES_BLOCK + 1];
};

static void fill(void *octets, size_t len)
{
    for (uint8_t *at = octets; len--; at++)
        *at = (uint8_t)(rand() >> 7);
}

static void encrypt(const struct aes_kernel *kernel, const struct sample *sample, size_t key_len,
                    unsigned count, size_t blocks, uint8_t (*out)[BLOCKS * AES_BLOCK + 1])
{
    struct aes_key key[LANES];
    struct lane lane[LANES], *lanes[LANES] = {NULL};

    for (unsigned i = 0; i < count; i++) {
        kernel->expand(&key[i], sample[i].key, key_len);
        memcpy(out[i], sample[i].plain, sizeof out[i]);
        lane[i] = (struct lane){out[i] + 1, out[i] + 1, &key[i], {0}}; /* in place, at odd places */
        memcpy(lane[i].chain, sample[i].iv, AES_BLOCK);
        lanes[i] = &lane[i];
    }
    /* In two calls, so that the chaining value must be carried over. */
    kernel->cbc(lanes, count, blocks / 2);
    kernel->cbc(lanes, count, blocks - blocks / 2);
    for (unsigned i = 0; i < count; i++)
        if (memcmp(lane[i].chain, out[i] + 1 + (blocks - 1) * AES_BLOCK, AES_BLOCK) != 0)
            exit((printf("%s: wrong chaining value\n", kernel->name), 1));
}

static bool agrees(const struct aes_kernel *kernel)
{
    static struct sample sample[LANES];
    static uint8_t out[LANES][BLOCKS * AES_BLOCK + 1], expected[1][BLOCKS * AES_BLOCK + 1];
    unsigned count = 1 + (unsigned)rand() % kernel->lanes;
    size_t blocks = 1 + (size_t)rand() % BLOCKS, key_len = rand() & 64 ? 16 : 32;

    fill(sample, sizeof sample);
    encrypt(kernel, sample, key_len, count, blocks, out);
    for (unsigned i = 0; i < count; i++) {
        encrypt(&aes_portable, &sample[i], key_len, 1, blocks, expected);
        if (memcmp(out[i], expected[0], sizeof out[i]) != 0)
            return false;
    }
    return true;
}

int main(void)
{
    const struct aes_kernel *kernel;

    for (unsigned i = 0; (kernel = aes_kernel_at(i)); i++) {
        bool good = aes_known_answer(kernel);
        for (unsigned round = 0; good && round < ROUNDS_OF_TESTS; round++)
            good = agrees(kernel);
        printf("%s: %s\n", kernel->name, good ? "ok" : "WRONG");
        if (!good)
            return 1;
    }
    return 0;
}
