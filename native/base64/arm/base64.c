#include "base64/unbase64_steps.h"

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

/* One table for the characters below 64, one for those from there to 127; no index fits both. */
static inline uint8x16_t meanings(uint8x16_t characters)
{
    const uint8x16x4_t low = vld1q_u8_x4(base64_meaning);
    const uint8x16x4_t high = vld1q_u8_x4(base64_meaning + 64);
    return vorrq_u8(vqtbl4q_u8(low, characters),
                    vqtbl4q_u8(high, veorq_u8(characters, vdupq_n_u8(64))));
}

static inline uint8x16_t any_of_four(uint8x16x4_t x)
{
    return vorrq_u8(vorrq_u8(x.val[0], x.val[1]), vorrq_u8(x.val[2], x.val[3]));
}

/* The way back: the load takes groups of four apart, the store puts groups of three together. */
static bool step_neon(const uint8_t *in, uint8_t *out)
{
    const uint8x16x4_t x = vld4q_u8(in);
    const uint8x16x4_t six = {{
        meanings(x.val[0]),
        meanings(x.val[1]),
        meanings(x.val[2]),
        meanings(x.val[3]),
    }};
    const uint8x16x3_t octets = {{
        vsliq_n_u8(vshrq_n_u8(six.val[1], 4), six.val[0], 2),
        vsliq_n_u8(vshrq_n_u8(six.val[2], 2), six.val[1], 4),
        vsliq_n_u8(six.val[3], six.val[2], 6),
    }};
    /* Of the characters themselves the sign bit alone: neither table has those from 128 on. */
    const uint8x16_t signs = vandq_u8(any_of_four(x), vdupq_n_u8(128));

    vst3q_u8(out, octets);
    return vmaxvq_u8(vorrq_u8(any_of_four(six), signs)) < BASE64_WHITE;
}

void base64_decode_neon(struct base64_text *text)
{
    unbase64_by(text, step_neon, 64, 48);
}
#endif
