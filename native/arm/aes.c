#include "../aes_rows.h"

#if defined(__aarch64__)

#include <arm_neon.h>

#if defined(__clang__)
#define ARMAES __attribute__((target("aes")))
#else
#define ARMAES __attribute__((target("+crypto")))
#endif

/* `aese` adds the round key before it substitutes, so that a block's whitening with the first
 * round key is its first round's; the last key is added by itself, and with it, to save a step in
 * the chain, the next plaintext block. */
ARMAES static void cbc(struct lane *const lanes[], unsigned count, size_t blocks)
{
    struct lane *lane = lanes[0];
    const unsigned rounds = lane->key->rounds;
    uint8x16_t round[15], chain = vld1q_u8(lane->chain);

    (void)count; /* one lane */
    for (unsigned i = 0; i <= rounds; i++)
        round[i] = vld1q_u8(lane->key->round[i]);
    for (; blocks; blocks--) {
        uint8x16_t state = veorq_u8(chain, vld1q_u8(lane->in));
        for (unsigned i = 0; i < rounds - 1; i++)
            state = vaesmcq_u8(vaeseq_u8(state, round[i]));
        chain = veorq_u8(vaeseq_u8(state, round[rounds - 1]), round[rounds]);
        vst1q_u8(lane->out, chain);
        lane->in += AES_BLOCK;
        lane->out += AES_BLOCK;
    }
    vst1q_u8(lane->chain, chain);
    wipe(round, sizeof round);
}

const struct aes_kernel aes_armaes = {
    .name = "armaes",
    .needs = CPU_ARMAES,
    .lanes = 1,
    .expand = aes_portable_expand,
    .cbc = cbc,
};

#endif

/* Elsewhere this file is empty but for what ISO C asks of one. */
typedef int arm_aes;
