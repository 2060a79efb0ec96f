/* What the texts of the AES kernels share: operations on registers of one block, some of two and
 * four. */
#ifndef CMSTREAM_X86_AES_OPS_H
#define CMSTREAM_X86_AES_OPS_H

#include <immintrin.h>

#include "common.h"

#define TARGET_1 __attribute__((target("aes,ssse3,sse4.1")))

typedef __m128i vector_1;

TARGET_1 static inline vector_1 load(const uint8_t *octets)
{
    return _mm_loadu_si128((const __m128i *)octets);
}

TARGET_1 static inline void store(uint8_t *octets, vector_1 value)
{
    _mm_storeu_si128((__m128i *)octets, value);
}

TARGET_1 static inline vector_1 gather_1(const uint8_t *const from[1], size_t offset)
{
    return load(from[0] + offset);
}

TARGET_1 static inline void scatter_1(uint8_t *const to[1], size_t offset, vector_1 value)
{
    store(to[0] + offset, value);
}

TARGET_1 static inline vector_1 xor_1(vector_1 a, vector_1 b)
{
    return _mm_xor_si128(a, b);
}

TARGET_1 static inline vector_1 middle_round_1(vector_1 state, vector_1 key)
{
    return _mm_aesenc_si128(state, key);
}

TARGET_1 static inline vector_1 last_round_1(vector_1 state, vector_1 key)
{
    return _mm_aesenclast_si128(state, key);
}

/* --- two blocks, and four --------------------------------------------------------------------- */

#define TARGET_2 __attribute__((target("aes,ssse3,sse4.1,avx2,vaes")))

typedef __m256i vector_2;

TARGET_2 static inline vector_2 xor_2(vector_2 a, vector_2 b)
{
    return _mm256_xor_si256(a, b);
}

#define TARGET_4 __attribute__((target("aes,ssse3,sse4.1,avx2,vaes,avx512f,avx512bw,avx512vl")))

typedef __m512i vector_4;

TARGET_4 static inline vector_4 xor_4(vector_4 a, vector_4 b)
{
    return _mm512_xor_si512(a, b);
}

#endif
