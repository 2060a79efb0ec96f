#include "base64/base64_rows.h"

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

/* --- stores that bypass the cache, a cache line at a time ------------------------------------- */

enum { SOME = 64 };

#define ALWAYS __attribute__((always_inline)) static inline

/* Goes through a buffer that stays in the first cache. Output that doesn't fill a cache line waits
 * in `rest`: an ordinary store of it would delay all later stores until that line was loaded. */
ALWAYS void past_cache(void (*make)(const uint8_t *, size_t, uint8_t *),
                       void (*store)(uint8_t *, const uint8_t *), struct cache_rest *rest,
                       const uint8_t *in, size_t lines, uint8_t *out)
{
    uint8_t text[CACHE_LINE + SOME * BASE64_LINE_OUT] __attribute__((aligned(64)));

    for (size_t some; lines; lines -= some) {
        some = min_size(lines, SOME);
        memcpy(text, rest->octets, CACHE_LINE);
        make(in, some, text + rest->count);
        in += some * BASE64_LINE_IN;
        out -= rest->count;
        const size_t len = rest->count + some * BASE64_LINE_OUT;
        size_t at = -(uintptr_t)out % CACHE_LINE; /* but at the first time none */
        memcpy(out, text, at);
        for (; len - at >= CACHE_LINE; at += CACHE_LINE)
            store(out + at, text + at);
        rest->count = (unsigned)(len - at);
        memcpy(rest->octets, text + at, rest->count);
        out += len;
    }
}

static inline void store_16(uint8_t *out, const uint8_t *text)
{
    for (unsigned at = 0; at < CACHE_LINE; at += sizeof(__m128i))
        _mm_stream_si128((void *)(out + at), _mm_loadu_si128((const void *)(text + at)));
}

AVX512VBMI static inline void store_64(uint8_t *out, const uint8_t *text)
{
    _mm512_stream_si512((void *)out, _mm512_loadu_si512(text));
}

AVX512VBMI void base64_past_cache_avx512vbmi(struct cache_rest *rest, const uint8_t *in,
                                             size_t lines, uint8_t *out)
{
    past_cache(base64_lines_avx512vbmi, store_64, rest, in, lines, out);
}

void base64_past_cache_avx2(struct cache_rest *rest, const uint8_t *in, size_t lines, uint8_t *out)
{
    past_cache(base64_lines_avx2, store_16, rest, in, lines, out);
}

void base64_past_cache_ssse3(struct cache_rest *rest, const uint8_t *in, size_t lines, uint8_t *out)
{
    past_cache(base64_lines_ssse3, store_16, rest, in, lines, out);
}

#endif
