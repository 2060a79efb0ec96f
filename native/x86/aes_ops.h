/* The operations that the text of the AES kernels takes, on registers of one block. */
#ifndef CMSTREAM_X86_AES_OPS_H
#define CMSTREAM_X86_AES_OPS_H

#include <immintrin.h>

#include "../common.h"

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

TARGET_1 static inline vector_1 add_1(vector_1 a, vector_1 b)
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

#endif
