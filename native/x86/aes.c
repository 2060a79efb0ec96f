#include "../aes_rows.h"

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

    key->rounds = len == 32 ? 14 : 10;
    round[0] = load(octets);
    if (len == 32) {
        round[1] = load(octets + 16);
        expand_256(round);
    } else {
        expand_128(round);
    }
    for (unsigned i = 0; i <= key->rounds; i++)
        store(key->round[i], round[i]);
    wipe(round, sizeof round);
}

/* --- CBC -------------------------------------------------------------------------------------- */

#define CBC one_lane_10
#define ROUNDS 10
#define WIDTH 1
#define CHAINS 1
#include "aes_cbc_template.h"

#define CBC one_lane_14
#define ROUNDS 14
#define WIDTH 1
#define CHAINS 1
#include "aes_cbc_template.h"

TARGET_1 static void one_lane(struct lane *const lane[], unsigned count, size_t blocks)
{
    if (lane[0]->key->rounds == 14)
        one_lane_14(lane, count, blocks);
    else
        one_lane_10(lane, count, blocks);
}

const struct aes_kernel aes_aesni = {
    .name = "aesni",
    .needs = CPU_AESNI,
    .lanes = 1,
    .expand = aes_expand_aesni,
    .cbc = one_lane,
};

#endif

/* Elsewhere this file is empty but for what ISO C asks of one. */
typedef int x86_aes;
