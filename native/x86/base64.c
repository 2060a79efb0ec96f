#include "../base64_rows.h"

#if defined(__x86_64__)
#include <immintrin.h>

/* A group of three octets a b c goes into 32 bits as b a c b: RFC 4648 reads it big-endian, the
 * registers are little-endian, and now the six bits of every character lie together. */
#define GROUP(at) (at) + 1, (at), (at) + 2, (at) + 1
#define FOUR_GROUPS(at) GROUP(at), GROUP((at) + 3), GROUP((at) + 6), GROUP((at) + 9)

__attribute__((target("avx512f,avx512bw,avx512vbmi")))
void base64_lines_avx512vbmi(const uint8_t *in, size_t lines, uint8_t *out)
{
    static const uint8_t order[64] = {
        FOUR_GROUPS(0), FOUR_GROUPS(12), FOUR_GROUPS(24), FOUR_GROUPS(36),
    };
    const __m512i groups = _mm512_loadu_si512(order);
    const __m512i alphabet = _mm512_loadu_si512(base64_alphabet);
    /* Where in two groups the characters begin: at bits 10, 4, 22, 16, and 32 further on. */
    const __m512i begins = _mm512_set1_epi64(0x3036242a1016040a);
    const __mmask64 line = ((__mmask64)1 << BASE64_LINE_IN) - 1;

    for (; lines--; in += BASE64_LINE_IN, out += BASE64_LINE_OUT) {
        __m512i x = _mm512_permutexvar_epi8(groups, _mm512_maskz_loadu_epi8(line, in));
        x = _mm512_multishift_epi64_epi8(begins, x);
        x = _mm512_permutexvar_epi8(x, alphabet); /* heeds the low six bits alone */
        _mm512_storeu_si512(out, x);
        base64_end_line(out);
    }
}

/* The narrower rows take a line as four parts of twelve octets, each within a load of sixteen at
 * octet 0, 12, 20, 32: the part leads in the first two loads and trails in the last two, so that
 * none leaves the line. Multiplying moves the characters' bits apart; what to add to six bits to
 * make them a character depends on their range alone. */
#define LEADING FOUR_GROUPS(0)
#define TRAILING FOUR_GROUPS(4)
#define RANGES                                                                                  \
    'a' - 26, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52,  \
        '0' - 52, '0' - 52, '+' - 62, '/' - 63, 'A', 0, 0

static const int8_t leading[32] = {LEADING, LEADING}, trailing[32] = {TRAILING, TRAILING};
static const int8_t ranges[32] = {RANGES, RANGES};

__attribute__((target("avx2")))
static inline __m256i characters_avx2(__m256i x)
{
    __m256i even = _mm256_mulhi_epu16(x & _mm256_set1_epi32(0x0fc0fc00), _mm256_set1_epi32(0x04000040));
    __m256i odd = _mm256_mullo_epi16(x & _mm256_set1_epi32(0x003f03f0), _mm256_set1_epi32(0x01000010));
    __m256i six = even | odd;
    __m256i upper = _mm256_cmpgt_epi8(_mm256_set1_epi8(26), six) & _mm256_set1_epi8(13);
    __m256i range = _mm256_subs_epu8(six, _mm256_set1_epi8(51)) | upper;
    return _mm256_add_epi8(six, _mm256_shuffle_epi8(_mm256_loadu_si256((const void *)ranges), range));
}

__attribute__((target("avx2")))
void base64_lines_avx2(const uint8_t *in, size_t lines, uint8_t *out)
{
    const __m256i first = _mm256_loadu_si256((const void *)leading);
    const __m256i second = _mm256_loadu_si256((const void *)trailing);

    for (; lines--; in += BASE64_LINE_IN, out += BASE64_LINE_OUT) {
        __m256i a = _mm256_loadu2_m128i((const void *)(in + 12), (const void *)in);
        __m256i b = _mm256_loadu2_m128i((const void *)(in + 32), (const void *)(in + 20));
        a = characters_avx2(_mm256_shuffle_epi8(a, first));
        b = characters_avx2(_mm256_shuffle_epi8(b, second));
        _mm256_storeu_si256((void *)out, a);
        _mm256_storeu_si256((void *)(out + 32), b);
        base64_end_line(out);
    }
}

__attribute__((target("ssse3")))
static inline void part_ssse3(const uint8_t *in, const int8_t *order, uint8_t *out)
{
    __m128i x = _mm_shuffle_epi8(_mm_loadu_si128((const void *)in), _mm_loadu_si128((const void *)order));
    __m128i even = _mm_mulhi_epu16(x & _mm_set1_epi32(0x0fc0fc00), _mm_set1_epi32(0x04000040));
    __m128i odd = _mm_mullo_epi16(x & _mm_set1_epi32(0x003f03f0), _mm_set1_epi32(0x01000010));
    __m128i six = even | odd;
    __m128i upper = _mm_cmpgt_epi8(_mm_set1_epi8(26), six) & _mm_set1_epi8(13);
    __m128i range = _mm_subs_epu8(six, _mm_set1_epi8(51)) | upper;
    x = _mm_add_epi8(six, _mm_shuffle_epi8(_mm_loadu_si128((const void *)ranges), range));
    _mm_storeu_si128((void *)out, x);
}

__attribute__((target("ssse3")))
void base64_lines_ssse3(const uint8_t *in, size_t lines, uint8_t *out)
{
    for (; lines--; in += BASE64_LINE_IN, out += BASE64_LINE_OUT) {
        part_ssse3(in, leading, out);
        part_ssse3(in + 12, leading, out + 16);
        part_ssse3(in + 20, trailing, out + 32);
        part_ssse3(in + 32, trailing, out + 48);
        base64_end_line(out);
    }
}
#endif
