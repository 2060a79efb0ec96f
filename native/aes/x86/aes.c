#include "aes/aes_rows.h"

#if defined(__x86_64__)

#include "aes_ops.h"

/* --- key expansion (FIPS 197 section 5.2) ----------------------------------------------------- */

/* The four words before, each with those in front of it added up, and the
 * substituted word of `assist` in all of them. */
TARGET_1 static inline __m128i next_round(__m128i words, __m128i assist)
{
    words = _mm_xor_si128(words, _mm_slli_si128(words, 4));
    words = _mm_xor_si128(words, _mm_slli_si128(words, 8));
    return _mm_xor_si128(words, assist);
}

/* The round constant must be an immediate. */
#define ROTATED(words, rcon) _mm_shuffle_epi32(_mm_aeskeygenassist_si128(words, rcon), 0xff)
#define STRAIGHT(words) _mm_shuffle_epi32(_mm_aeskeygenassist_si128(words, 0), 0xaa)

TARGET_1 static void expand_128(__m128i *round)
{
#define STEP(i, rcon) round[i] = next_round(round[(i) - 1], ROTATED(round[(i) - 1], rcon))
    STEP(1, 0x01);
    STEP(2, 0x02);
    STEP(3, 0x04);
    STEP(4, 0x08);
    STEP(5, 0x10);
    STEP(6, 0x20);
    STEP(7, 0x40);
    STEP(8, 0x80);
    STEP(9, 0x1b);
    STEP(10, 0x36);
#undef STEP
}

TARGET_1 static void expand_256(__m128i *round)
{
#define STEP(i, rcon) round[i] = next_round(round[(i) - 2], ROTATED(round[(i) - 1], rcon))
#define HALF_STEP(i) round[i] = next_round(round[(i) - 2], STRAIGHT(round[(i) - 1]))
    STEP(2, 0x01);
    HALF_STEP(3);
    STEP(4, 0x02);
    HALF_STEP(5);
    STEP(6, 0x04);
    HALF_STEP(7);
    STEP(8, 0x08);
    HALF_STEP(9);
    STEP(10, 0x10);
    HALF_STEP(11);
    STEP(12, 0x20);
    HALF_STEP(13);
    STEP(14, 0x40);
#undef HALF_STEP
#undef STEP
}

TARGET_1 void aes_expand_aesni(struct aes_key *key, const uint8_t *octets, size_t len)
{
    __m128i round[15];

    round[0] = load(octets);
    switch (len) {
    case 16:
        key->rounds = 10;
        expand_128(round);
        break;
    case 32:
        key->rounds = 14;
        round[1] = load(octets + 16);
        expand_256(round);
        break;
    default:
        aes_refuse_key();
    }
    for (unsigned i = 0; i <= key->rounds; i++)
        store(key->round[i], round[i]);
    wipe(round, sizeof round);
    cpu_wipe_registers();
}

/* The assistant substitutes the second word into the first. */
TARGET_1 static uint32_t substitute_word(uint32_t word)
{
    __m128i words = _mm_set1_epi32((int)word);
    return (uint32_t)_mm_cvtsi128_si32(_mm_aeskeygenassist_si128(words, 0));
}

TARGET_1 static void unmix_key(uint8_t octets[AES_BLOCK])
{
    store(octets, _mm_aesimc_si128(load(octets)));
}

void aes_expand_inverse_aesni(struct aes_key *key, const uint8_t *octets, size_t len)
{
    if (len == 24)
        aes_expand_words(key, octets, len, substitute_word);
    else
        aes_expand_aesni(key, octets, len);
    aes_invert_key(key, unmix_key);
}

/* --- CBC -------------------------------------------------------------------------------------- */

/* Only the chain from one block to the next costs time. Whitening a block adds its
 * plaintext, the ciphertext before it and the first round key; `aesenclast` ends with an addition
 * anyway, so its key is given the other two beforehand, and the true ciphertext is recovered beside
 * the chain. */
__attribute__((always_inline)) TARGET_1
static inline void chain(struct lane *lane, size_t blocks, const unsigned rounds)
{
    const size_t end = blocks * AES_BLOCK;
    vector_1 key[15], state;

    for (unsigned round = 0; round <= rounds; round++)
        key[round] = load(lane->key->round[round]);
    state = xor_1(xor_1(key[0], load(lane->chain)), load(lane->in));
    for (size_t at = 0; at < end; at += AES_BLOCK) {
        /* Past the last block there is nothing to read, and what is read of no use. */
        const size_t next = at + AES_BLOCK < end ? at + AES_BLOCK : at;
        /* The keys may be others now, for all the compiler knows: otherwise it keeps copies on the
         * stack, which nobody could wipe. */
        __asm__ __volatile__("" : : "r"(key) : "memory");
#pragma GCC unroll 16
        for (unsigned round = 1; round < rounds; round++)
            state = middle_round_1(state, key[round]);
        vector_1 white = xor_1(load(lane->in + next), key[0]);
        state = last_round_1(state, xor_1(white, key[rounds]));
        store(lane->out + at, xor_1(state, white));
    }
    lane->in += end;
    lane->out += end;
    memcpy(lane->chain, lane->out - AES_BLOCK, AES_BLOCK);
    wipe(key, sizeof key);
}

TARGET_1 static void one_lane(struct lane *const lane[], unsigned count, size_t blocks)
{
    (void)count;
    if (!blocks)
        return;
    switch (lane[0]->key->rounds) {
    case 10: chain(lane[0], blocks, 10); break;
    case 14: chain(lane[0], blocks, 14); break;
    default: aes_refuse_key();
    }
    cpu_wipe_registers();
}

const struct aes_kernel aes_aesni = {
    .id = {"aesni", CPU_AESNI},
    .lanes = 1,
    .expand = aes_expand_aesni,
    .cbc = one_lane,
    .expand_inverse = aes_expand_inverse_aesni,
    .cbc_decrypt = aes_decrypt_aesni,
};

#endif

/* Elsewhere this file is empty but for what ISO C asks of one. */
typedef int x86_aes;
