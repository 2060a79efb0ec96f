#include "canon.h"
#include "cpu.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* Has no branch, so that the compiler can vectorize the loops around it. */
static inline bool is_bare(uint8_t octet, uint8_t before)
{
    return (octet == '\n') & (before != '\r');
}

/* --- counting --------------------------------------------------------------------------------- */

/* A multiple of every register's width, and small enough to be counted in an octet. */
enum { BLOCK = 192 };

/* The octet before `in` must be readable, here and in copy(). */
static inline __attribute__((always_inline)) size_t count(const uint8_t *in, size_t len)
{
    const uint8_t *before = in - 1;
    size_t total = 0;

    for (; len >= BLOCK; in += BLOCK, before += BLOCK, len -= BLOCK) {
        uint8_t bare = 0;
        for (size_t at = 0; at < BLOCK; at++)
            bare += is_bare(in[at], before[at]);
        total += bare;
    }
    for (size_t at = 0; at < len; at++)
        total += is_bare(in[at], before[at]);
    return total;
}

#if defined(__x86_64__)
__attribute__((target("avx2")))
static size_t count_avx2(const uint8_t *in, size_t len)
{
    return count(in, len);
}

__attribute__((target("avx512f,avx512bw,popcnt")))
static size_t count_avx512(const uint8_t *in, size_t len)
{
    const __m512i lf = _mm512_set1_epi8('\n'), cr = _mm512_set1_epi8('\r');
    size_t total = 0;

    for (; len >= sizeof(__m512i); in += sizeof(__m512i), len -= sizeof(__m512i)) {
        __mmask64 feeds = _mm512_cmpeq_epi8_mask(_mm512_loadu_si512(in), lf);
        __mmask64 bare = _mm512_mask_cmpneq_epi8_mask(feeds, _mm512_loadu_si512(in - 1), cr);
        total += (size_t)__builtin_popcountll(bare);
    }
    return total + count(in, len);
}
#endif

size_t canon_count(const uint8_t *in, size_t len, uint8_t *last)
{
    if (!len)
        return 0;
    size_t first = is_bare(in[0], *last);
    *last = in[len - 1];
#if defined(__x86_64__)
    if (cpu_features() & CPU_AVX512)
        return first + count_avx512(in + 1, len - 1);
    if (cpu_features() & CPU_AVX2)
        return first + count_avx2(in + 1, len - 1);
#endif
    return first + count(in + 1, len - 1);
}

/* --- copying ---------------------------------------------------------------------------------- */

/* Sixteen octets at a time, by the operators that gcc and clang give every machine. */
typedef uint8_t octets __attribute__((vector_size(16)));
enum { STEP = sizeof(octets), HALF = STEP / 2 };

/* The marks of bare line feeds, in two words whose lowest octet stands for the first one. */
static inline void find_bare(const uint8_t *in, uint64_t found[2])
{
    octets x, before;

    memcpy(&x, in, STEP);
    memcpy(&before, in - 1, STEP);
    x = (octets)((x == '\n') & (before != '\r'));
    memcpy(found, &x, STEP);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    found[0] = __builtin_bswap64(found[0]);
    found[1] = __builtin_bswap64(found[1]);
#endif
}

/* Copies eight octets with a CR before each that is marked, and gives the new end of the output.
 * After a CR the rest is copied again, one place on: always eight octets, since a length that
 * varies costs more than what is copied too far, which later octets cover. */
static inline uint8_t *copy_half(const uint8_t *in, uint64_t found, uint8_t *out)
{
    memcpy(out, in, HALF);
    for (found &= 0x8080808080808080; found; found &= found - 1) {
        unsigned at = (unsigned)__builtin_ctzll(found) / 8;
        out[at] = '\r';
        out++;
        memcpy(out + at, in + at, HALF);
    }
    return out + HALF;
}

static uint8_t *copy(const uint8_t *in, size_t len, uint8_t *out)
{
    uint64_t found[2];

    /* The last copy of a step reaches less than HALF past it. */
    for (; len >= STEP + HALF; in += STEP, len -= STEP) {
        find_bare(in, found);
        if (found[0] | found[1]) {
            out = copy_half(in, found[0], out);
            out = copy_half(in + HALF, found[1], out);
        } else {
            memcpy(out, in, STEP);
            out += STEP;
        }
    }
    for (; len; in++, len--) {
        if (is_bare(in[0], in[-1]))
            *out++ = '\r';
        *out++ = in[0];
    }
    return out;
}

#if defined(__x86_64__)
/* Has no branch, because lines differ in length and branches would be mispredicted: puts a CR
 * before every octet, and then compresses the unwanted ones away. A store of 64 octets stays within
 * the output that is still expected. */
__attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi2,bmi2,popcnt")))
static uint8_t *copy_vbmi2(const uint8_t *in, size_t len, uint8_t *out)
{
    const __m256i lf = _mm256_set1_epi8('\n'), cr = _mm256_set1_epi8('\r');

    for (; len >= 64; in += 32, len -= 32) {
        __m256i x = _mm256_loadu_si256((const void *)in);
        __m256i before = _mm256_loadu_si256((const void *)(in - 1));
        uint32_t bare = _mm256_cmpeq_epi8_mask(x, lf) & _mm256_cmpneq_epi8_mask(before, cr);
        __m512i pairs = _mm512_slli_epi16(_mm512_cvtepu8_epi16(x), 8) | _mm512_set1_epi16('\r');
        uint64_t wanted = _pdep_u64(bare, 0x5555555555555555) | 0xaaaaaaaaaaaaaaaa;
        _mm512_storeu_si512(out, _mm512_maskz_compress_epi8(wanted, pairs));
        out += 32 + __builtin_popcount(bare);
    }
    return copy(in, len, out);
}
#endif

size_t canon_copy(const uint8_t *in, size_t len, uint8_t *last, uint8_t *out)
{
    uint8_t *end = out;

    if (!len)
        return 0;
    if (is_bare(in[0], *last))
        *end++ = '\r';
    *end++ = in[0];
    *last = in[len - 1];
#if defined(__x86_64__)
    if (cpu_features() & CPU_AVX512)
        return (size_t)(copy_vbmi2(in + 1, len - 1, end) - out);
#endif
    return (size_t)(copy(in + 1, len - 1, end) - out);
}
