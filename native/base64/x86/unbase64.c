#include "base64/unbase64_steps.h"

#if defined(__x86_64__)
#include "base64_ops.h"

/* Two multiplications put the six bits of four characters together; they lie as c b a 0 then. */
enum { PAIRS = 0x01400140, FOURS = 0x00011000 };
#define OCTETS(at) (at) + 2, (at) + 1, (at)
#define TWELVE(at) OCTETS(at), OCTETS((at) + 4), OCTETS((at) + 8), OCTETS((at) + 12)

/* --- AVX2 and SSSE3: the alphabet by two nibbles ---------------------------------------------- */

/* One bit for each kind of upper nibble. The entry of a lower nibble has the bits of those kinds
 * with which it is no character of the alphabet. */
enum {
    NEVER = 16, /* 0x00 to 0x1f, 0x80 to 0xff */
    SIGNS = 1,  /* 0x20 to 0x2f: + and / */
    DIGITS = 2, /* 0x30 to 0x3f: the first ten */
    FIRST = 4,  /* 0x40 and 0x60 on: A to O and a to o, not what is before them */
    REST = 8,   /* 0x50 and 0x70 on: P to Z and p to z, not the five after them */
};
#define UPPER                                                                                     \
    NEVER, NEVER, SIGNS, DIGITS, FIRST, REST, FIRST, REST, NEVER, NEVER, NEVER, NEVER, NEVER,     \
        NEVER, NEVER, NEVER
#define MOST NEVER | SIGNS
#define LATE NEVER | DIGITS | REST
#define LOWER                                                                                     \
    MOST | FIRST, MOST, MOST, MOST, MOST, MOST, MOST, MOST, MOST, MOST, MOST | DIGITS, LATE,      \
        LATE | SIGNS, LATE | SIGNS, LATE | SIGNS, LATE
static const int8_t upper_kinds[32] = TWICE(UPPER);
static const int8_t lower_kinds[32] = TWICE(LOWER);

/* What makes six bits of a character: one addend for each upper nibble, but '/' has the one before
 * its own, since the other sign takes that. */
#define TO_SIX                                                                                    \
    0, 63 - '/', 62 - '+', 52 - '0', -'A', -'A', 26 - 'a', 26 - 'a', 0, 0, 0, 0, 0, 0, 0, 0
static const int8_t to_six[32] = TWICE(TO_SIX);

#define PACKED TWELVE(0), -1, -1, -1, -1
static const int8_t packed[32] = TWICE(PACKED);

AVX2 static bool step_avx2(const uint8_t *in, uint8_t *out)
{
    const __m256i nibble = _mm256_set1_epi8(15);
    __m256i x = load_avx2(in);
    __m256i upper = _mm256_srli_epi16(x, 4) & nibble;
    __m256i wrong = _mm256_shuffle_epi8(load_avx2(upper_kinds), upper) &
                    _mm256_shuffle_epi8(load_avx2(lower_kinds), x & nibble);
    __m256i right = _mm256_cmpeq_epi8(wrong, _mm256_set1_epi8(0));
    __m256i range = _mm256_add_epi8(upper, _mm256_cmpeq_epi8(x, _mm256_set1_epi8('/')));

    x = _mm256_add_epi8(x, _mm256_shuffle_epi8(load_avx2(to_six), range));
    x = _mm256_maddubs_epi16(x, _mm256_set1_epi32(PAIRS));
    x = _mm256_madd_epi16(x, _mm256_set1_epi32(FOURS));
    x = _mm256_shuffle_epi8(x, load_avx2(packed));
    x = _mm256_permutevar8x32_epi32(x, _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 7, 7));
    _mm256_storeu_si256((void *)out, x);
    return _mm256_movemask_epi8(right) == -1;
}

AVX2 void base64_decode_avx2(struct base64_text *text)
{
    unbase64_by(text, step_avx2, 32, 32);
}

SSSE3 static bool step_ssse3(const uint8_t *in, uint8_t *out)
{
    const __m128i nibble = _mm_set1_epi8(15);
    __m128i x = load_ssse3(in);
    __m128i upper = _mm_srli_epi16(x, 4) & nibble;
    __m128i wrong = _mm_shuffle_epi8(load_ssse3(upper_kinds), upper) &
                    _mm_shuffle_epi8(load_ssse3(lower_kinds), x & nibble);
    __m128i right = _mm_cmpeq_epi8(wrong, _mm_set1_epi8(0));
    __m128i range = _mm_add_epi8(upper, _mm_cmpeq_epi8(x, _mm_set1_epi8('/')));

    x = _mm_add_epi8(x, _mm_shuffle_epi8(load_ssse3(to_six), range));
    x = _mm_maddubs_epi16(x, _mm_set1_epi32(PAIRS));
    x = _mm_madd_epi16(x, _mm_set1_epi32(FOURS));
    _mm_storeu_si128((void *)out, _mm_shuffle_epi8(x, load_ssse3(packed)));
    return _mm_movemask_epi8(right) == 0xffff;
}

SSSE3 void base64_decode_ssse3(struct base64_text *text)
{
    unbase64_by(text, step_ssse3, 16, 16);
}

/* --- AVX-512 ---------------------------------------------------------------------------------- */

enum { SOME = 4096, VECTOR = 64, VECTOR_OUT = 48 };

/* The look-up ignores the sign bit; are_strange() checks it. */
AVX512VBMI static inline __m512i meanings(__m512i characters)
{
    const __m512i low = _mm512_loadu_si512(base64_meaning);
    const __m512i high = _mm512_loadu_si512(base64_meaning + 64);
    return _mm512_permutex2var_epi8(low, characters, high);
}

AVX512VBMI static inline __mmask64 are_strange(__m512i characters, __m512i meaning)
{
    return _mm512_movepi8_mask(_mm512_or_si512(characters, meaning));
}

AVX512VBMI static inline __mmask64 are_white(__m512i meaning)
{
    return _mm512_test_epi8_mask(meaning, _mm512_set1_epi8(BASE64_WHITE));
}

AVX512VBMI static inline __m512i octets(__m512i six)
{
    static const uint8_t order[64] = {TWELVE(0), TWELVE(16), TWELVE(32), TWELVE(48)};
    six = _mm512_maddubs_epi16(six, _mm512_set1_epi32(PAIRS));
    six = _mm512_madd_epi16(six, _mm512_set1_epi32(FOURS));
    return _mm512_permutexvar_epi8(_mm512_loadu_si512(order), six);
}

AVX512VBMI static inline void store_octets(uint8_t *out, __m512i octets)
{
    _mm256_storeu_si256((void *)out, _mm512_castsi512_si256(octets));
    _mm_storeu_si128((void *)(out + 32), _mm512_extracti32x4_epi32(octets, 2));
}

/* Gives how many characters at the beginning are of the alphabet. */
AVX512VBMI static inline size_t step_avx512(const uint8_t *in, uint8_t *out)
{
    const __m512i x = _mm512_loadu_si512(in), meaning = meanings(x);
    /* Twice white space is strange, too. */
    const __mmask64 wrong = are_strange(_mm512_or_si512(x, meaning),
                                        _mm512_add_epi8(meaning, meaning));

    store_octets(out, octets(meaning));
    return wrong ? (size_t)__builtin_ctzll(wrong) : VECTOR;
}

static inline bool fits_vector(const struct base64_text *text)
{
    return unbase64_left(text) >= VECTOR && unbase64_room(text) >= VECTOR_OUT;
}

AVX512VBMI static inline void finish_line(struct base64_text *text)
{
    if (!fits_vector(text))
        return;
    size_t good = step_avx512(text->in, text->out) / 4 * 4;
    text->in += good;
    text->out += good / 4 * 3;
    unbase64_pass_white(text);
}

/* The rest of a line, then lines of 64 characters or a multiple of 64. */
AVX512VBMI static void even_lines(struct base64_text *text)
{
    struct base64_text own = *text;

    finish_line(&own);
    while (fits_vector(&own) && step_avx512(own.in, own.out) == VECTOR) {
        own.in += VECTOR;
        own.out += VECTOR_OUT;
        unbase64_pass_white(&own);
    }
    *text = own;
}

/* Lines of any other length: removes white space first, then decodes groups. It goes through the
 * text in steps of fixed length, so that no step waits for the end of a line. The six bits of each
 * character go to a buffer, and whole vectors from there become octets. What doesn't fill a vector
 * stays. */
struct sixes {
    size_t count; /* less than VECTOR between the rounds */
    uint8_t six[SOME + 2 * VECTOR];
};

/* Takes the characters marked in `there` up to the first that is neither base64 nor white space.
 * Gives their number. */
AVX512VBMI2 static inline size_t gather(const uint8_t *in, __mmask64 there, struct sixes *sixes)
{
    const __m512i x = _mm512_maskz_loadu_epi8(there, in), meaning = meanings(x);
    const __mmask64 strange = are_strange(x, meaning) & there;
    const __mmask64 taken = there & ((strange & -strange) - 1);
    const __mmask64 good = taken & ~are_white(meaning);

    _mm512_storeu_si512(sixes->six + sixes->count, _mm512_maskz_compress_epi8(good, meaning));
    sixes->count += (size_t)__builtin_popcountll(good);
    return (size_t)__builtin_popcountll(taken);
}

/* Takes `len` characters, at most SOME, up to the first that is neither base64 nor white space. */
AVX512VBMI2 static size_t gather_some(const uint8_t *in, size_t len, struct sixes *sixes)
{
    size_t at = 0;

    for (; len - at >= VECTOR; at += VECTOR) {
        size_t taken = gather(in + at, UINT64_MAX, sixes);
        if (taken < VECTOR)
            return at + taken;
    }
    return len > at ? at + gather(in + at, UINT64_MAX >> (VECTOR - (len - at)), sixes) : at;
}

/* Decodes whole vectors of six-bit values, and moves the rest to the front of the buffer. */
AVX512VBMI static uint8_t *pack(struct sixes *sixes, uint8_t *out)
{
    size_t at = 0;

    for (; sixes->count - at >= VECTOR; at += VECTOR, out += VECTOR_OUT)
        store_octets(out, octets(_mm512_loadu_si512(sixes->six + at)));
    _mm512_storeu_si512(sixes->six, _mm512_loadu_si512(sixes->six + at));
    sixes->count -= at;
    return out;
}

/* The groups of the last vector, which isn't full. */
AVX512VBMI static uint8_t *pack_last(const struct sixes *sixes, uint8_t *out)
{
    const size_t len = sixes->count / 4 * 3;
    const __m512i last = octets(_mm512_loadu_si512(sixes->six));

    _mm512_mask_storeu_epi8(out, ((__mmask64)1 << len) - 1, last);
    return out + len;
}

AVX512VBMI2 static void any_lines(struct base64_text *text)
{
    struct sixes sixes;
    size_t len, taken;

    if (!unbase64_left(text) || unbase64_room(text) < 3)
        return;
    sixes.count = 0;
    do {
        len = min_size(SOME, min_size(unbase64_left(text), unbase64_room(text) / 3 * 4 - sixes.count));
        taken = gather_some(text->in, len, &sixes);
        text->in += taken;
        text->out = pack(&sixes, text->out);
    } while (len && taken == len);
    text->out = pack_last(&sixes, text->out);
    /* An incomplete group is left in the text. */
    for (size_t back = sixes.count % 4; back;)
        back -= base64_meaning[*--text->in] < BASE64_WHITE;
}

AVX512VBMI2 void base64_decode_avx512(struct base64_text *text)
{
    even_lines(text);
    any_lines(text);
}

#endif
