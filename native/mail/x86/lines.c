#include "mail/lines.h"

#if defined(__x86_64__)
#include "aes/aes_rows.h"
#include "aes/x86/aes_ops.h"
#include "base64/x86/base64_ops.h"

/* The marks of the line feeds among 16 octets that have no carriage return before them. */
TARGET_1 static inline __m128i bare_line_feeds(const uint8_t *in)
{
    __m128i line_feeds = _mm_cmpeq_epi8(load(in), _mm_set1_epi8('\n'));
    __m128i after_returns = _mm_cmpeq_epi8(load(in - 1), _mm_set1_epi8('\r'));
    return _mm_andnot_si128(after_returns, line_feeds);
}

#define TARGET __attribute__((target("aes,ssse3,sse4.1,avx512f,avx512bw,avx512vbmi")))
#define ROW avx512vbmi
#define NEEDS (CPU_AESNI | CPU_AVX512)
#include "lines_template.h"

#define TARGET __attribute__((target("aes,ssse3,sse4.1,avx2")))
#define ROW avx2
#define NEEDS (CPU_AESNI | CPU_AVX2)
#include "lines_template.h"

#define TARGET __attribute__((target("aes,ssse3,sse4.1")))
#define ROW ssse3
#define NEEDS CPU_AESNI
#include "lines_template.h"

#endif

/* Elsewhere this file is empty but for what ISO C asks of one. */
typedef int x86_lines;
