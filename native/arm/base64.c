#include "../base64_rows.h"

#if defined(__aarch64__)
#include <arm_neon.h>

/* A line is one load that takes groups of three apart, and one store that puts groups of four
 * together. */
void base64_lines_neon(const uint8_t *in, size_t lines, uint8_t *out)
{
    const uint8x16x4_t alphabet = vld1q_u8_x4(base64_alphabet);
    const uint8x16_t six = vdupq_n_u8(63);

    for (; lines--; in += BASE64_LINE_IN, out += BASE64_LINE_OUT) {
        const uint8x16x3_t x = vld3q_u8(in);
        const uint8x16x4_t line = {{
            vqtbl4q_u8(alphabet, vshrq_n_u8(x.val[0], 2)),
            vqtbl4q_u8(alphabet, vandq_u8(vsliq_n_u8(vshrq_n_u8(x.val[1], 4), x.val[0], 4), six)),
            vqtbl4q_u8(alphabet, vandq_u8(vsliq_n_u8(vshrq_n_u8(x.val[2], 6), x.val[1], 2), six)),
            vqtbl4q_u8(alphabet, vandq_u8(x.val[2], six)),
        }};
        vst4q_u8(out, line);
        base64_end_line(out);
    }
}
#endif
