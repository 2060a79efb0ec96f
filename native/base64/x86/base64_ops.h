/* One line of base64 by each of the x86 instruction sets, for inlining into the kernels of base64.c
 * and lines.c. Reads 48 octets and writes 66, and touches no others. */
#ifndef CMSTREAM_X86_BASE64_OPS_H
#define CMSTREAM_X86_BASE64_OPS_H

#include <immintrin.h>

#include "base64/base64_rows.h"

/* A group of three octets a b c goes into 32 bits as b a c b: RFC 4648 reads it big-endian, the
 * registers are little-endian, and now the six bits of every character lie together. */
#define GROUP(at) (at) + 1, (at), (at) + 2, (at) + 1
#define FOUR_GROUPS(at) GROUP(at), GROUP((at) + 3), GROUP((at) + 6), GROUP((at) + 9)

#define AVX512VBMI __attribute__((target("avx512f,avx512bw,avx512vbmi")))

#define AVX512VBMI2 __attribute__((target("avx512f,avx512bw,avx512vbmi,avx512vbmi2")))

AVX512VBMI static inline void line_avx512vbmi(const uint8_t *in, uint8_t *out)
{
    static const uint8_t order[64] = {
        FOUR_GROUPS(0), FOUR_GROUPS(12), FOUR_GROUPS(24), FOUR_GROUPS(36),
    };
    /* Where in two groups the characters begin: at bits 10, 4, 22, 16, and 32 further on. */
    const __m512i begins = _mm512_set1_epi64(0x3036242a1016040a);
    const __mmask64 line = ((__mmask64)1 << BASE64_LINE_IN) - 1;

    __m512i x = _mm512_maskz_loadu_epi8(line, in);
    x = _mm512_permutexvar_epi8(_mm512_loadu_si512(order), x);
    x = _mm512_multishift_epi64_epi8(begins, x);
    /* The instruction uses the low six bits alone. */
    x = _mm512_permutexvar_epi8(x, _mm512_loadu_si512(base64_alphabet));
    _mm512_storeu_si512(out, x);
    base64_end_line(out);
}

/* The narrower rows take a line as four parts of twelve octets, each by a load of sixteen: at octet
 * 0 and 12 the part leads in its load, at 20 and 32 it trails, so that no load leaves the line. */
#define TWICE(list) {list, list}
static const int8_t leading[32] = TWICE(FOUR_GROUPS(0));
static const int8_t trailing[32] = TWICE(FOUR_GROUPS(4));

/* What makes a character of six bits: one addend for each range of the alphabet. The ranges are
 * numbered 0 for a to z, 1 to 10 for the digits, 11 and 12 for + and /, 13 for A to Z. */
#define DIGIT '0' - 52
#define ADDENDS                                                                                   \
    'a' - 26, DIGIT, DIGIT, DIGIT, DIGIT, DIGIT, DIGIT, DIGIT, DIGIT, DIGIT, DIGIT, '+' - 62,     \
        '/' - 63, 'A', 0, 0
static const int8_t addends[32] = TWICE(ADDENDS);

/* Two masks and two multiplications move the six bits of each character into an octet. */
enum { EVEN = 0x0fc0fc00, EVEN_SHIFT = 0x04000040, ODD = 0x003f03f0, ODD_SHIFT = 0x01000010 };

#define AVX2 __attribute__((target("avx2")))

AVX2 static inline __m256i load_avx2(const void *octets)
{
    return _mm256_loadu_si256(octets);
}

AVX2 static inline __m256i characters_avx2(__m256i groups)
{
    __m256i even = _mm256_mulhi_epu16(groups & _mm256_set1_epi32(EVEN),
                                      _mm256_set1_epi32(EVEN_SHIFT));
    __m256i odd = _mm256_mullo_epi16(groups & _mm256_set1_epi32(ODD),
                                     _mm256_set1_epi32(ODD_SHIFT));
    __m256i six = even | odd;
    __m256i upper = _mm256_cmpgt_epi8(_mm256_set1_epi8(26), six) & _mm256_set1_epi8(13);
    __m256i range = _mm256_subs_epu8(six, _mm256_set1_epi8(51)) | upper;
    return _mm256_add_epi8(six, _mm256_shuffle_epi8(load_avx2(addends), range));
}

AVX2 static inline void line_avx2(const uint8_t *in, uint8_t *out)
{
    __m256i x = _mm256_loadu2_m128i((const void *)(in + 12), (const void *)in);
    __m256i y = _mm256_loadu2_m128i((const void *)(in + 32), (const void *)(in + 20));
    x = characters_avx2(_mm256_shuffle_epi8(x, load_avx2(leading)));
    y = characters_avx2(_mm256_shuffle_epi8(y, load_avx2(trailing)));
    _mm256_storeu_si256((void *)out, x);
    _mm256_storeu_si256((void *)(out + 32), y);
    base64_end_line(out);
}

#define SSSE3 __attribute__((target("ssse3")))

SSSE3 static inline __m128i load_ssse3(const void *octets)
{
    return _mm_loadu_si128(octets);
}

SSSE3 static inline __m128i characters_ssse3(__m128i groups)
{
    __m128i even = _mm_mulhi_epu16(groups & _mm_set1_epi32(EVEN), _mm_set1_epi32(EVEN_SHIFT));
    __m128i odd = _mm_mullo_epi16(groups & _mm_set1_epi32(ODD), _mm_set1_epi32(ODD_SHIFT));
    __m128i six = even | odd;
    __m128i upper = _mm_cmpgt_epi8(_mm_set1_epi8(26), six) & _mm_set1_epi8(13);
    __m128i range = _mm_subs_epu8(six, _mm_set1_epi8(51)) | upper;
    return _mm_add_epi8(six, _mm_shuffle_epi8(load_ssse3(addends), range));
}

SSSE3 static inline void part_ssse3(const uint8_t *in, const int8_t *order, uint8_t *out)
{
    __m128i groups = _mm_shuffle_epi8(load_ssse3(in), load_ssse3(order));
    _mm_storeu_si128((void *)out, characters_ssse3(groups));
}

SSSE3 static inline void line_ssse3(const uint8_t *in, uint8_t *out)
{
    part_ssse3(in, leading, out);
    part_ssse3(in + 12, leading, out + 16);
    part_ssse3(in + 20, trailing, out + 32);
    part_ssse3(in + 32, trailing, out + 48);
    base64_end_line(out);
}

#endif
