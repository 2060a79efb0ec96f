#include "base64_rows.h"

const uint8_t base64_alphabet[64] __attribute__((aligned(64))) = {
    'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O', 'P',
    'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z', 'a', 'b', 'c', 'd', 'e', 'f',
    'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p', 'q', 'r', 's', 't', 'u', 'v',
    'w', 'x', 'y', 'z', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '+', '/',
};

/* Encodes groups of three octets as four characters each. */
static void encode(const uint8_t *in, size_t groups, uint8_t *out)
{
    for (; groups--; in += 3, out += 4) {
        out[0] = base64_alphabet[in[0] >> 2];
        out[1] = base64_alphabet[(in[0] << 4 | in[1] >> 4) & 63];
        out[2] = base64_alphabet[(in[1] << 2 | in[2] >> 6) & 63];
        out[3] = base64_alphabet[in[2] & 63];
    }
}

static void lines_portable(const uint8_t *in, size_t lines, uint8_t *out)
{
    for (; lines--; in += BASE64_LINE_IN, out += BASE64_LINE_OUT) {
        encode(in, BASE64_LINE_IN / 3, out);
        base64_end_line(out);
    }
}

static const struct base64_kernel portable = {
    .id = {"portable", 0},
    .lines = lines_portable,
    .decode = base64_decode_portable,
};

#if defined(__x86_64__)
static const struct base64_kernel avx512vbmi = {
    .id = {"avx512vbmi", CPU_AVX512},
    .lines = base64_lines_avx512vbmi,
    .lines_past_cache = base64_past_cache_avx512vbmi,
    .decode = base64_decode_avx512,
};
static const struct base64_kernel avx2 = {
    .id = {"avx2", CPU_AVX2},
    .lines = base64_lines_avx2,
    .lines_past_cache = base64_past_cache_avx2,
    .decode = base64_decode_avx2,
};
static const struct base64_kernel ssse3 = {
    .id = {"ssse3", CPU_AESNI},
    .lines = base64_lines_ssse3,
    .lines_past_cache = base64_past_cache_ssse3,
    .decode = base64_decode_ssse3,
};
#elif defined(__aarch64__)
static const struct base64_kernel neon = {
    .id = {"neon", CPU_NEON},
    .lines = base64_lines_neon,
    .decode = base64_decode_neon,
};
#endif

const struct kernel_id *const base64_kernels[] = {
#if defined(__x86_64__)
    &avx512vbmi.id,
    &avx2.id,
    &ssse3.id,
#elif defined(__aarch64__)
    &neon.id,
#endif
    &portable.id,
    NULL,
};

const struct base64_kernel *base64_kernel_at(unsigned index)
{
    return kernel_at(base64_kernels, index);
}

const struct base64_kernel *base64_kernel(void)
{
    return base64_kernel_at(0);
}

uint64_t base64_size(uint64_t len)
{
    uint64_t rest = len % BASE64_LINE_IN;
    return len / BASE64_LINE_IN * BASE64_LINE_OUT + (rest ? (rest + 2) / 3 * 4 + 2 : 0);
}

/* Fills up the line that has begun. Gives the number of octets taken from `in`. */
static size_t fill_carry(struct base64 *state, const uint8_t *in, size_t len)
{
    size_t head = min_size(len, BASE64_LINE_IN - state->fill);
    memcpy(state->carry + state->fill, in, head);
    state->fill += (unsigned)head;
    return head;
}

size_t base64_update(struct base64 *state, const uint8_t *in, size_t len, uint8_t *out)
{
    const struct base64_kernel *kernel = base64_kernel();
    size_t written = 0;

    if (!len)
        return 0;
    if (state->fill) {
        size_t head = fill_carry(state, in, len);
        if (state->fill < BASE64_LINE_IN)
            return 0;
        kernel->lines(state->carry, 1, out);
        written = BASE64_LINE_OUT;
        in += head;
        len -= head;
    }
    size_t lines = len / BASE64_LINE_IN;
    kernel->lines(in, lines, out + written);
    state->fill = 0;
    fill_carry(state, in + lines * BASE64_LINE_IN, len % BASE64_LINE_IN);
    return written + lines * BASE64_LINE_OUT;
}

size_t base64_update_past_cache(struct base64 *state, struct cache_rest *rest, const uint8_t *in,
                                size_t len, uint8_t *out)
{
    const struct base64_kernel *kernel = base64_kernel();
    size_t lines = len / BASE64_LINE_IN;

    if (!kernel->lines_past_cache)
        return base64_update(state, in, len, out);
    kernel->lines_past_cache(rest, in, lines, out);
    state->fill = 0;
    fill_carry(state, in + lines * BASE64_LINE_IN, len % BASE64_LINE_IN);
    return lines * BASE64_LINE_OUT;
}

void base64_settle(struct cache_rest *rest, uint8_t *end)
{
    memcpy(end - rest->count, rest->octets, rest->count);
    rest->count = 0;
}

void base64_fence(void)
{
#if defined(__x86_64__)
    __asm__ __volatile__("sfence" : : : "memory");
#endif
}

size_t base64_finish(struct base64 *state, uint8_t *out)
{
    size_t groups = (state->fill + 2) / 3, padding = groups * 3 - state->fill;

    if (!state->fill)
        return 0;
    memset(state->carry + state->fill, 0, padding);
    encode(state->carry, groups, out);
    memset(out + groups * 4 - padding, '=', padding);
    memcpy(out + groups * 4, "\r\n", 2);
    state->fill = 0;
    return groups * 4 + 2;
}
