#include "aes/aes_rows.h"

#if defined(__aarch64__)

#include <arm_neon.h>

#if defined(__clang__)
#define TARGET __attribute__((target("aes")))
#else
#define TARGET __attribute__((target("+crypto")))
#endif

/* Before version 16, clang's arm_neon.h hides its AES functions from those that have the
 * instructions by attribute alone: hence assembly. */

/* SubBytes and ShiftRows of state + key. */
TARGET static inline uint8x16_t last_round(uint8x16_t state, uint8x16_t key)
{
    __asm__("aese %0.16b, %1.16b" : "+w"(state) : "w"(key));
    return state;
}

/* The same, then MixColumns. Many processors fuse the two instructions if they are adjacent. */
TARGET static inline uint8x16_t full_round(uint8x16_t state, uint8x16_t key)
{
    __asm__("aese %0.16b, %1.16b\n\taesmc %0.16b, %0.16b" : "+w"(state) : "w"(key));
    return state;
}

/* With four equal columns ShiftRows changes nothing. */
TARGET static uint32_t substitute_word(uint32_t word)
{
    uint8x16_t state = vreinterpretq_u8_u32(vdupq_n_u32(word));
    return vgetq_lane_u32(vreinterpretq_u32_u8(last_round(state, vdupq_n_u8(0))), 0);
}

static void expand(struct aes_key *key, const uint8_t *octets, size_t len)
{
    aes_expand_words(key, octets, len, substitute_word);
}

/* InvMixColumns. */
TARGET static void unmix_key(uint8_t octets[AES_BLOCK])
{
    uint8x16_t state = vld1q_u8(octets);
    __asm__("aesimc %0.16b, %0.16b" : "+w"(state));
    vst1q_u8(octets, state);
}

static void expand_inverse(struct aes_key *key, const uint8_t *octets, size_t len)
{
    aes_expand_words(key, octets, len, substitute_word);
    aes_invert_key(key, unmix_key);
}

/* `aese` begins with an XOR. So the first round key, the plaintext and the last round key of the
 * block before are XORed beforehand and go in together, which keeps two XORs out of the chain; the
 * true ciphertext is computed beside it. Round keys are read in place: no copy has to be wiped. */
TARGET static inline __attribute__((always_inline)) void
encrypt_blocks(struct lane *lane, size_t blocks, unsigned rounds)
{
    const uint8_t(*key)[AES_BLOCK] = lane->key->round;
    const uint8x16_t last = vld1q_u8(key[rounds]);
    const uint8x16_t between = veorq_u8(vld1q_u8(key[0]), last);
    uint8x16_t state = veorq_u8(vld1q_u8(lane->chain), last);

    for (; blocks; blocks--) {
        state = full_round(state, veorq_u8(vld1q_u8(lane->in), between));
#pragma GCC unroll 16
        for (unsigned round = 1; round < rounds - 1; round++)
            state = full_round(state, vld1q_u8(key[round]));
        state = last_round(state, vld1q_u8(key[rounds - 1]));
        vst1q_u8(lane->out, veorq_u8(state, last));
        lane->in += AES_BLOCK;
        lane->out += AES_BLOCK;
    }
    vst1q_u8(lane->chain, veorq_u8(state, last));
}

TARGET static void one_lane(struct lane *const lane[], unsigned count, size_t blocks)
{
    (void)count;
    switch (lane[0]->key->rounds) {
    case 10: encrypt_blocks(lane[0], blocks, 10); break;
    case 14: encrypt_blocks(lane[0], blocks, 14); break;
    default: aes_refuse_key();
    }
}

/* Four chains side by side. A free lane repeats the work of the first one. */
enum { LANES = 4 };

TARGET static inline __attribute__((always_inline)) void
encrypt_lanes(struct lane *const lane[LANES], size_t blocks, unsigned rounds)
{
    uint8x16_t last[LANES], between[LANES], state[LANES];

    for (unsigned i = 0; i < LANES; i++) {
        last[i] = vld1q_u8(lane[i]->key->round[rounds]);
        between[i] = veorq_u8(vld1q_u8(lane[i]->key->round[0]), last[i]);
        state[i] = veorq_u8(vld1q_u8(lane[i]->chain), last[i]);
    }
    for (size_t at = 0; at < blocks * AES_BLOCK; at += AES_BLOCK) {
#pragma GCC unroll 4
        for (unsigned i = 0; i < LANES; i++)
            state[i] = full_round(state[i], veorq_u8(vld1q_u8(lane[i]->in + at), between[i]));
#pragma GCC unroll 16
        for (unsigned round = 1; round < rounds - 1; round++)
#pragma GCC unroll 4
            for (unsigned i = 0; i < LANES; i++)
                state[i] = full_round(state[i], vld1q_u8(lane[i]->key->round[round]));
#pragma GCC unroll 4
        for (unsigned i = 0; i < LANES; i++) {
            state[i] = last_round(state[i], vld1q_u8(lane[i]->key->round[rounds - 1]));
            vst1q_u8(lane[i]->out + at, veorq_u8(state[i], last[i]));
        }
    }
}

__attribute__((noinline)) TARGET
static void work_lanes(struct lane *const lane[], unsigned count, size_t blocks)
{
    struct lane *place[LANES];

    for (unsigned i = 0; i < LANES; i++)
        place[i] = lane[i < count ? i : 0];
    switch (lane[0]->key->rounds) {
    case 10: encrypt_lanes(place, blocks, 10); break;
    case 14: encrypt_lanes(place, blocks, 14); break;
    default: aes_refuse_key();
    }
}

static void four_lanes(struct lane *const lane[], unsigned count, size_t blocks)
{
    if (!blocks)
        return;
    work_lanes(lane, count, blocks);
    aes_wipe_stack();
    for (unsigned i = 0; i < count; i++) {
        lane[i]->in += blocks * AES_BLOCK;
        lane[i]->out += blocks * AES_BLOCK;
        memcpy(lane[i]->chain, lane[i]->out - AES_BLOCK, AES_BLOCK);
    }
}

/* --- CBC backwards ---------------------------------------------------------------------------- */

/* InvSubBytes and InvShiftRows of state + key. */
TARGET static inline uint8x16_t last_inverse(uint8x16_t state, uint8x16_t key)
{
    __asm__("aesd %0.16b, %1.16b" : "+w"(state) : "w"(key));
    return state;
}

TARGET static inline uint8x16_t full_inverse(uint8x16_t state, uint8x16_t key)
{
    __asm__("aesd %0.16b, %1.16b\n\taesimc %0.16b, %0.16b" : "+w"(state) : "w"(key));
    return state;
}

/* As many blocks as are `together`, at most 8, and again; gives how many octets these were. */
TARGET static inline __attribute__((always_inline)) size_t
decrypt_blocks(const struct aes_key *key, uint8_t *chain, const uint8_t *in, size_t blocks,
               uint8_t *out, const unsigned together)
{
    const size_t step = together * AES_BLOCK, end = blocks / together * step;
    const unsigned rounds = key->rounds;
    uint8x16_t before = vld1q_u8(chain);

    for (size_t at = 0; at < end; at += step) {
        uint8x16_t state[8];

#pragma GCC unroll 8
        for (unsigned i = 0; i < together; i++)
            state[i] = vld1q_u8(in + at + i * AES_BLOCK);
        for (unsigned round = 0; round < rounds - 1; round++) {
            uint8x16_t round_key = vld1q_u8(key->round[round]);
#pragma GCC unroll 8
            for (unsigned i = 0; i < together; i++)
                state[i] = full_inverse(state[i], round_key);
        }
#pragma GCC unroll 8
        for (unsigned i = 0; i < together; i++) {
            uint8x16_t cipher = vld1q_u8(in + at + i * AES_BLOCK);
            state[i] = last_inverse(state[i], vld1q_u8(key->round[rounds - 1]));
            before = veorq_u8(before, vld1q_u8(key->round[rounds]));
            vst1q_u8(out + at + i * AES_BLOCK, veorq_u8(state[i], before));
            before = cipher;
        }
    }
    vst1q_u8(chain, before);
    return end;
}

__attribute__((noinline)) TARGET
static void decrypt_all(const struct aes_key *key, uint8_t *chain, const uint8_t *in, size_t blocks,
                        uint8_t *out)
{
    const size_t done = decrypt_blocks(key, chain, in, blocks, out, 8);
    (void)decrypt_blocks(key, chain, in + done, blocks - done / AES_BLOCK, out + done, 1);
}

static void cbc_decrypt(const struct aes_key *key, uint8_t chain[AES_BLOCK], const uint8_t *in,
                        size_t blocks, uint8_t *out)
{
    decrypt_all(key, chain, in, blocks, out);
    aes_wipe_stack();
}

/* --- rows ------------------------------------------------------------------------------------- */

const struct aes_kernel aes_armaes4 = {
    .id = {"armaes4", CPU_ARMAES},
    .lanes = LANES,
    .expand = expand,
    .cbc = four_lanes,
    .expand_inverse = expand_inverse,
    .cbc_decrypt = cbc_decrypt,
};

const struct aes_kernel aes_armaes = {
    .id = {"armaes", CPU_ARMAES},
    .lanes = 1,
    .expand = expand,
    .cbc = one_lane,
    .expand_inverse = expand_inverse,
    .cbc_decrypt = cbc_decrypt,
};

#endif

/* Elsewhere this file is empty but for what ISO C asks of one. */
typedef int arm_aes;
