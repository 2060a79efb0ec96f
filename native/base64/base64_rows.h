/* The functions of the base64 kernels, and what they share: for base64.c and the files that define
 * them. */
#ifndef CMSTREAM_BASE64_ROWS_H
#define CMSTREAM_BASE64_ROWS_H

#include "base64.h"

/* RFC 4648 section 4. What is encoded is public, so tables may be indexed by it. */
extern const uint8_t base64_alphabet[64];

static inline void base64_end_line(uint8_t *line)
{
    memcpy(line + BASE64_COLUMNS, "\r\n", 2);
}

/* The meaning of a character: its six bits, or one of these. Those that end decoding have the sign
 * bit set. */
enum { BASE64_WHITE = 64, BASE64_PAD = 128, BASE64_STRANGE = 129 };
extern const uint8_t base64_meaning[256];

void base64_decode_portable(struct base64_text *text);

#if defined(__x86_64__)
void base64_decode_avx512(struct base64_text *text);
void base64_decode_avx2(struct base64_text *text);
void base64_decode_ssse3(struct base64_text *text);

void base64_lines_avx512vbmi(const uint8_t *in, size_t lines, uint8_t *out);
void base64_lines_avx2(const uint8_t *in, size_t lines, uint8_t *out);
void base64_lines_ssse3(const uint8_t *in, size_t lines, uint8_t *out);

void base64_past_cache_avx512vbmi(struct cache_rest *rest, const uint8_t *in, size_t lines,
                                  uint8_t *out);
void base64_past_cache_avx2(struct cache_rest *rest, const uint8_t *in, size_t lines, uint8_t *out);
void base64_past_cache_ssse3(struct cache_rest *rest, const uint8_t *in, size_t lines,
                             uint8_t *out);
#elif defined(__aarch64__)
void base64_decode_neon(struct base64_text *text);
void base64_lines_neon(const uint8_t *in, size_t lines, uint8_t *out);
#endif

#endif
