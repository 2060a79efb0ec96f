#include "../base64_rows.h"

#if defined(__x86_64__)
#include "base64_ops.h"

AVX512VBMI void base64_lines_avx512vbmi(const uint8_t *in, size_t lines, uint8_t *out)
{
    for (; lines--; in += BASE64_LINE_IN, out += BASE64_LINE_OUT)
        line_avx512vbmi(in, out);
}

AVX2 void base64_lines_avx2(const uint8_t *in, size_t lines, uint8_t *out)
{
    for (; lines--; in += BASE64_LINE_IN, out += BASE64_LINE_OUT)
        line_avx2(in, out);
}

SSSE3 void base64_lines_ssse3(const uint8_t *in, size_t lines, uint8_t *out)
{
    for (; lines--; in += BASE64_LINE_IN, out += BASE64_LINE_OUT)
        line_ssse3(in, out);
}

/* --- past the cache: whole lines of it, of 64 octets, at a time ------------------------------- */

enum { CACHE_LINE = 64, VECTOR = sizeof(__m128i), SOME = 64 };

static void store_past_cache(uint8_t *out, const uint8_t *octets, size_t len)
{
    size_t at = least(len, -(uintptr_t)out % CACHE_LINE);

    memcpy(out, octets, at);
    for (; len - at >= CACHE_LINE; at += CACHE_LINE)
        for (size_t part = at; part < at + CACHE_LINE; part += VECTOR)
            _mm_stream_si128((void *)(out + part), _mm_loadu_si128((const void *)(octets + part)));
    memcpy(out + at, octets + at, len - at);
}

/* By way of a buffer that stays in the first cache. */
static inline __attribute__((always_inline)) void
past_cache(void (*make)(const uint8_t *, size_t, uint8_t *), const uint8_t *in, size_t lines,
           uint8_t *out)
{
    uint8_t text[SOME * BASE64_LINE_OUT];

    for (size_t some; lines; lines -= some) {
        some = least(lines, SOME);
        make(in, some, text);
        store_past_cache(out, text, some * BASE64_LINE_OUT);
        in += some * BASE64_LINE_IN;
        out += some * BASE64_LINE_OUT;
    }
}

void base64_past_cache_avx2(const uint8_t *in, size_t lines, uint8_t *out)
{
    past_cache(base64_lines_avx2, in, lines, out);
}

void base64_past_cache_ssse3(const uint8_t *in, size_t lines, uint8_t *out)
{
    past_cache(base64_lines_ssse3, in, lines, out);
}

/* 64 characters from the one numbered `number` on; `end` is the input's. Eight of them are 48 bits
 * of the input, which begin at the same bit of an octet in each of the eight words. */
AVX512VBMI static inline __m512i characters(const uint8_t *in, size_t number, const uint8_t *end)
{
    static const uint8_t order[64] = {
#define WORD(at) (at) + 7, (at) + 6, (at) + 5, (at) + 4, (at) + 3, (at) + 2, (at) + 1, (at)
        WORD(0), WORD(6), WORD(12), WORD(18), WORD(24), WORD(30), WORD(36), WORD(42),
#undef WORD
    };
    const __m512i first = _mm512_set1_epi64(0x10161c22282e343a); /* bits 58, 52, … 16 */
    const __m512i skipped = _mm512_set1_epi8((char)(number * 6 % 8));

    in += number * 6 / 8;
    const size_t there = least((size_t)(end - in), sizeof(__m512i));
    __m512i x = _mm512_maskz_loadu_epi8(~(uint64_t)0 >> (64 - there), in);
    x = _mm512_permutexvar_epi8(_mm512_loadu_si512(order), x);
    x = _mm512_multishift_epi64_epi8(_mm512_sub_epi8(first, skipped), x);
    return _mm512_permutexvar_epi8(x, _mm512_loadu_si512(base64_alphabet));
}

/* The cache's line from column `column` of a line of text on: a gap in it for the CR and the LF. */
AVX512VBMI2 static inline __m512i with_line_end(__m512i characters, unsigned column)
{
    const __m512i ends = _mm512_set1_epi16(column % 2 ? '\n' | '\r' << 8 : '\r' | '\n' << 8);
    const unsigned at = BASE64_COLUMNS - column;
    const __mmask64 gap = column > BASE64_COLUMNS ? 1 : at < CACHE_LINE ? (__mmask64)3 << at : 0;

    return _mm512_mask_expand_epi8(ends, ~gap, characters);
}

AVX512VBMI2 void base64_past_cache_avx512(const uint8_t *in, size_t lines, uint8_t *out)
{
    const uint8_t *in_end = in + lines * BASE64_LINE_IN;
    const size_t end = lines * BASE64_LINE_OUT;
    size_t at = -(uintptr_t)out % CACHE_LINE, line = 0;
    uint8_t edge[BASE64_LINE_OUT];

    if (!lines)
        return;
    line_avx512vbmi(in, edge);
    memcpy(out, edge, at);
    for (unsigned column = (unsigned)at; end - at >= CACHE_LINE; at += CACHE_LINE) {
        const size_t number = line * BASE64_COLUMNS + least(column, BASE64_COLUMNS);
        __m512i x = with_line_end(characters(in, number, in_end), column);
        _mm512_stream_si512((void *)(out + at), x);
        line += column >= 2;
        column = column >= 2 ? column - 2 : column + CACHE_LINE;
    }
    line_avx512vbmi(in_end - BASE64_LINE_IN, edge);
    memcpy(out + at, edge + BASE64_LINE_OUT - (end - at), end - at);
}

#endif
