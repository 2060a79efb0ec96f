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
#endif
