/* Rows for several messages at once: what one chain waits for, the others fill. */
#include "aes/aes_rows.h"

#if defined(__x86_64__)
#include "aes_ops.h"

enum { LINE_BLOCKS = 4 }; /* of 64 octets, as caches have them */

/* --- one block in a register: see aes_ops.h --------------------------------------------------- */

TARGET_1 static inline void load_line_1(const uint8_t *const from[1], size_t offset,
                                        vector_1 line[LINE_BLOCKS])
{
#pragma GCC unroll 4
    for (unsigned i = 0; i < LINE_BLOCKS; i++)
        line[i] = gather_1(from, offset + i * AES_BLOCK);
}

TARGET_1 static inline void store_line_1(uint8_t *const to[1], size_t offset,
                                         vector_1 line[LINE_BLOCKS])
{
#pragma GCC unroll 4
    for (unsigned i = 0; i < LINE_BLOCKS; i++)
        scatter_1(to, offset + i * AES_BLOCK, line[i]);
}

/* --- two blocks in a register ----------------------------------------------------------------- */

TARGET_2 static inline vector_2 gather_2(const uint8_t *const from[2], size_t offset)
{
    return _mm256_loadu2_m128i((const void *)(from[1] + offset), (const void *)(from[0] + offset));
}

TARGET_2 static inline void scatter_2(uint8_t *const to[2], size_t offset, vector_2 value)
{
    store(to[0] + offset, _mm256_castsi256_si128(value));
    store(to[1] + offset, _mm256_extracti128_si256(value, 1));
}

/* Two blocks of each of two lanes, to and fro. */
TARGET_2 static inline void transpose_2(const vector_2 from[2], vector_2 to[2])
{
    vector_2 low = _mm256_permute2x128_si256(from[0], from[1], 0x20);
    to[1] = _mm256_permute2x128_si256(from[0], from[1], 0x31);
    to[0] = low;
}

TARGET_2 static inline void load_line_2(const uint8_t *const from[2], size_t offset,
                                        vector_2 line[LINE_BLOCKS])
{
#pragma GCC unroll 2
    for (unsigned half = 0; half < LINE_BLOCKS; half += 2) {
        const size_t at = offset + half * AES_BLOCK;
        line[half] = _mm256_loadu_si256((const void *)(from[0] + at));
        line[half + 1] = _mm256_loadu_si256((const void *)(from[1] + at));
        transpose_2(line + half, line + half);
    }
}

TARGET_2 static inline void store_line_2(uint8_t *const to[2], size_t offset,
                                         vector_2 line[LINE_BLOCKS])
{
#pragma GCC unroll 2
    for (unsigned half = 0; half < LINE_BLOCKS; half += 2) {
        const size_t at = offset + half * AES_BLOCK;
        transpose_2(line + half, line + half);
        _mm256_storeu_si256((void *)(to[0] + at), line[half]);
        _mm256_storeu_si256((void *)(to[1] + at), line[half + 1]);
    }
}

TARGET_2 static inline vector_2 middle_round_2(vector_2 state, vector_2 key)
{
    return _mm256_aesenc_epi128(state, key);
}

TARGET_2 static inline vector_2 last_round_2(vector_2 state, vector_2 key)
{
    return _mm256_aesenclast_epi128(state, key);
}

/* --- four ------------------------------------------------------------------------------------- */

TARGET_4 static inline vector_4 gather_4(const uint8_t *const from[4], size_t offset)
{
    __m256i low = _mm256_loadu2_m128i((const void *)(from[1] + offset),
                                      (const void *)(from[0] + offset));
    __m256i high = _mm256_loadu2_m128i((const void *)(from[3] + offset),
                                       (const void *)(from[2] + offset));
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

TARGET_4 static inline void scatter_4(uint8_t *const to[4], size_t offset, vector_4 value)
{
    store(to[0] + offset, _mm512_castsi512_si128(value));
    store(to[1] + offset, _mm512_extracti32x4_epi32(value, 1));
    store(to[2] + offset, _mm512_extracti32x4_epi32(value, 2));
    store(to[3] + offset, _mm512_extracti32x4_epi32(value, 3));
}

/* A line of each of four lanes, to and fro. */
TARGET_4 static inline void transpose_4(vector_4 line[4])
{
    vector_4 low_a = _mm512_shuffle_i32x4(line[0], line[1], 0x44);
    vector_4 low_b = _mm512_shuffle_i32x4(line[2], line[3], 0x44);
    vector_4 high_a = _mm512_shuffle_i32x4(line[0], line[1], 0xee);
    vector_4 high_b = _mm512_shuffle_i32x4(line[2], line[3], 0xee);
    line[0] = _mm512_shuffle_i32x4(low_a, low_b, 0x88);
    line[1] = _mm512_shuffle_i32x4(low_a, low_b, 0xdd);
    line[2] = _mm512_shuffle_i32x4(high_a, high_b, 0x88);
    line[3] = _mm512_shuffle_i32x4(high_a, high_b, 0xdd);
}

TARGET_4 static inline void load_line_4(const uint8_t *const from[4], size_t offset,
                                        vector_4 line[LINE_BLOCKS])
{
#pragma GCC unroll 4
    for (unsigned i = 0; i < 4; i++)
        line[i] = _mm512_loadu_si512(from[i] + offset);
    transpose_4(line);
}

TARGET_4 static inline void store_line_4(uint8_t *const to[4], size_t offset,
                                         vector_4 line[LINE_BLOCKS])
{
    transpose_4(line);
#pragma GCC unroll 4
    for (unsigned i = 0; i < 4; i++)
        _mm512_storeu_si512(to[i] + offset, line[i]);
}

TARGET_4 static inline vector_4 middle_round_4(vector_4 state, vector_4 key)
{
    return _mm512_aesenc_epi128(state, key);
}

TARGET_4 static inline vector_4 last_round_4(vector_4 state, vector_4 key)
{
    return _mm512_aesenclast_epi128(state, key);
}

/* --- rows ------------------------------------------------------------------------------------- */

/* So many keys don't fit the registers, and what a compiler then does with the stack is its own
 * affair. */
__attribute__((noinline)) static void wipe_frames(void)
{
    uint8_t frames[12 << 10];
    wipe(frames, sizeof frames);
    cpu_wipe_registers();
}

#define CBC aesni8_10
#define ROUNDS 10
#define WIDTH 1
#define CHAINS 8
#include "aes_cbc_template.h"

#define CBC aesni8_14
#define ROUNDS 14
#define WIDTH 1
#define CHAINS 8
#include "aes_cbc_template.h"

static void aesni8(struct lane *const lane[], unsigned count, size_t blocks)
{
    switch (lane[0]->key->rounds) {
    case 10: aesni8_10(lane, count, blocks); break;
    case 14: aesni8_14(lane, count, blocks); break;
    default: aes_refuse_key();
    }
    wipe_frames();
}

const struct aes_kernel aes_aesni8 = {
    .id = {"aesni8", CPU_AESNI},
    .lanes = 8,
    .expand = aes_expand_aesni,
    .cbc = aesni8,
    .expand_inverse = aes_expand_inverse_aesni,
    .cbc_decrypt = aes_decrypt_aesni,
};

#define CBC vaes256_10
#define ROUNDS 10
#define WIDTH 2
#define CHAINS 8
#include "aes_cbc_template.h"

#define CBC vaes256_14
#define ROUNDS 14
#define WIDTH 2
#define CHAINS 8
#include "aes_cbc_template.h"

static void vaes256(struct lane *const lane[], unsigned count, size_t blocks)
{
    switch (lane[0]->key->rounds) {
    case 10: vaes256_10(lane, count, blocks); break;
    case 14: vaes256_14(lane, count, blocks); break;
    default: aes_refuse_key();
    }
    wipe_frames();
}

const struct aes_kernel aes_vaes256 = {
    .id = {"vaes256", CPU_VAES256 | CPU_AESNI},
    .lanes = 16,
    .expand = aes_expand_aesni,
    .cbc = vaes256,
    .expand_inverse = aes_expand_inverse_aesni,
    .cbc_decrypt = aes_decrypt_vaes256,
};

#define CBC vaes512_10
#define ROUNDS 10
#define WIDTH 4
#define CHAINS 4
#include "aes_cbc_template.h"

#define CBC vaes512_14
#define ROUNDS 14
#define WIDTH 4
#define CHAINS 4
#include "aes_cbc_template.h"

static void vaes512(struct lane *const lane[], unsigned count, size_t blocks)
{
    switch (lane[0]->key->rounds) {
    case 10: vaes512_10(lane, count, blocks); break;
    case 14: vaes512_14(lane, count, blocks); break;
    default: aes_refuse_key();
    }
    wipe_frames();
}

const struct aes_kernel aes_vaes512 = {
    .id = {"vaes512", CPU_VAES512 | CPU_VAES256 | CPU_AESNI},
    .lanes = 16,
    .expand = aes_expand_aesni,
    .cbc = vaes512,
    .expand_inverse = aes_expand_inverse_aesni,
    .cbc_decrypt = aes_decrypt_vaes512,
};
#endif

/* Elsewhere this file is empty but for what ISO C asks of one. */
typedef int x86_aes_wide;
