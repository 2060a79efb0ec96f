/* Every row of base64, and the line ends, against the plainest code that does the same; each buffer
 * has its exact size, between two pages that must not be touched. Needs no Python, so that it runs
 * under an emulator and under the sanitizers:
 *
 *   cc -g -Inative tests/native/base64_canon.c $(find native -name "*.c") -o base64_canon && ./base64_canon
 */
#include "base64/base64.h"
#include "mail/canon.h"
#include "cpu.h"
#include "guarded.h"

#include <inttypes.h>

enum { ROOM = 1 << 16, MOST_LINES = 80 };

static const uint32_t masks[] = {UINT32_MAX, ~(uint32_t)CPU_AVX512, CPU_AESNI, 0};
#define COUNT(array) (sizeof(array) / sizeof *(array))

static struct guarded source, target;
static uint8_t expected[ROOM];

/* --- base64 ----------------------------------------------------------------------------------- */

/* Bit by bit, as RFC 4648 section 4 tells it. */
static size_t plain_base64(const uint8_t *in, size_t len, uint8_t *out)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   "abcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t written = 0, column = 0, characters = (len + 2) / 3 * 4;

    for (size_t i = 0; i < characters; i++) {
        unsigned six = 0;
        for (size_t bit = 6 * i; bit < 6 * i + 6; bit++)
            six = six << 1 | (bit < 8 * len ? in[bit / 8] >> (7 - bit % 8) & 1u : 0);
        out[written++] = (uint8_t)(6 * i < 8 * len ? alphabet[six] : '=');
        if (++column == 64 || i + 1 == characters) {
            memcpy(out + written, "\r\n", 2);
            written += 2;
            column = 0;
        }
    }
    return written;
}

static void check_with(void (*make)(const uint8_t *, size_t, uint8_t *), const uint8_t *in,
                       size_t lines, uint8_t *out)
{
    size_t size = plain_base64(in, lines * BASE64_LINE_IN, expected);
    memset(target.start, 0xa5, ROOM);
    make(in, lines, out);
    CHECK(size == lines * BASE64_LINE_OUT);
    CHECK(!memcmp(out, expected, size));
    for (const uint8_t *at = target.start; at < out; at++)
        CHECK(*at == 0xa5);
    for (const uint8_t *at = out + size; at < target.end; at++)
        CHECK(*at == 0xa5);
}

static const struct base64_kernel *tested;

/* Past the cache, in two calls. */
static void make_past_cache(const uint8_t *in, size_t lines, uint8_t *out)
{
    struct cache_rest rest = {.count = 0};
    size_t first = below((uint32_t)lines + 1);

    tested->lines_past_cache(&rest, in, first, out);
    CHECK(rest.count < CACHE_LINE);
    in += first * BASE64_LINE_IN;
    tested->lines_past_cache(&rest, in, lines - first, out + first * BASE64_LINE_OUT);
    base64_settle(&rest, out + lines * BASE64_LINE_OUT);
    base64_fence();
}

static void check_lines(const struct base64_kernel *row, const uint8_t *in, size_t lines,
                        uint8_t *out)
{
    check_with(row->lines, in, lines, out);
    tested = row;
    if (row->lines_past_cache)
        check_with(make_past_cache, in, lines, out);
}

/* Whole lines against both guards, and at every alignment. */
static void test_row(const struct base64_kernel *row)
{
    row_name = row->id.name;
    fill_random(source.start, ROOM);
    for (size_t lines = 0; lines <= MOST_LINES; lines++) {
        size_t in_len = lines * BASE64_LINE_IN, out_len = lines * BASE64_LINE_OUT;
        check_lines(row, source.start, lines, target.start);
        check_lines(row, source.end - in_len, lines, target.end - out_len);
    }
    for (size_t offset = 0; offset < 64; offset++) {
        check_lines(row, source.start + offset, 3, target.start + 1 + below(64));
        check_lines(row, source.start + below(64), 3, target.start + 1 + offset);
        check_lines(row, source.start + below(64), 70, target.start + offset);
    }
    printf("base64 %s ok\n", row->id.name);
}

/* --- a row that is wrong is found out ---------------------------------------------------------- */

enum { OWN_LINES = 34 }; /* of a row's own check */

static size_t wrong_at;

static void wrong_lines(const uint8_t *in, size_t lines, uint8_t *out)
{
    tested->lines(in, lines, out);
    if (wrong_at < lines * BASE64_LINE_OUT)
        out[wrong_at] ^= 1;
}

static void wrong_past_cache(struct cache_rest *rest, const uint8_t *in, size_t lines, uint8_t *out)
{
    (void)rest;
    wrong_lines(in, lines, out);
}

static void wrong_decode(struct base64_text *text)
{
    uint8_t *out = text->out;

    tested->decode(text);
    if (wrong_at < (size_t)(text->out - out))
        out[wrong_at] ^= 1;
}

/* Stops a group too early. */
static void hasty_decode(struct base64_text *text)
{
    text->in_end -= 4;
    tested->decode(text);
    text->in_end += 4;
}

/* Takes one character more than there are. */
static void generous_decode(struct base64_text *text)
{
    uint8_t copy[ROOM];
    struct base64_text changed = *text;
    const size_t len = (size_t)(text->in_end - text->in);

    for (size_t i = 0; i < len; i++)
        copy[i] = text->in[i] == '-' ? '+' : text->in[i];
    changed.in = copy;
    changed.in_end = copy + len;
    tested->decode(&changed);
    text->in += changed.in - copy;
    text->out = changed.out;
}

static void test_wrong(const struct base64_kernel *row)
{
    struct base64_kernel wrong = *row;

    tested = row;
    CHECK(base64_known_answer(&wrong.id));
    for (wrong_at = 0; wrong_at < OWN_LINES * BASE64_LINE_OUT; wrong_at++) {
        wrong = (struct base64_kernel){row->id, wrong_lines, NULL, row->decode};
        CHECK(!base64_known_answer(&wrong.id));
        wrong = (struct base64_kernel){row->id, row->lines, wrong_past_cache, row->decode};
        CHECK(!base64_known_answer(&wrong.id));
    }
    for (wrong_at = 0; wrong_at < OWN_LINES * BASE64_LINE_IN; wrong_at++) {
        wrong = (struct base64_kernel){row->id, row->lines, NULL, wrong_decode};
        CHECK(!base64_known_answer(&wrong.id));
    }
    wrong = (struct base64_kernel){row->id, row->lines, NULL, hasty_decode};
    CHECK(!base64_known_answer(&wrong.id));
    wrong = (struct base64_kernel){row->id, row->lines, NULL, generous_decode};
    CHECK(!base64_known_answer(&wrong.id));
}

/* Gives the octets out in parts of random size, each into a place of its exact size. */
static void check_stream(size_t len, uint32_t part_limit)
{
    struct base64 state = {.fill = 0};
    uint8_t *in = source.end - len;
    size_t size = plain_base64(in, len, expected), written = 0;
    uint8_t *out = target.end - size;

    CHECK(base64_size(len) == size);
    CHECK(base64_update(&state, NULL, 0, NULL) == 0);
    while (in < source.end) {
        size_t part = min_size(below(part_limit), (size_t)(source.end - in));
        size_t lines = (state.fill + part) / BASE64_LINE_IN;
        size_t given = base64_update(&state, in, part, out + written);
        CHECK(given == lines * BASE64_LINE_OUT);
        written += given;
        in += part;
    }
    written += base64_finish(&state, out + written);
    CHECK(written == size && !memcmp(out, expected, size));
    CHECK(base64_finish(&state, NULL) == 0);
}

static void test_stream(void)
{
    static const uint32_t part_limits[] = {2, 5, 49, 100, 1000};

    fill_random(source.start, ROOM);
    for (size_t len = 0; len <= 1000; len++)
        check_stream(len, part_limits[len % COUNT(part_limits)]);
    for (unsigned round = 0; round < 200; round++)
        check_stream(below(30000), 5000);
    printf("base64 stream (%s) ok\n", base64_kernel()->id.name);
}

static void test_sizes(void)
{
    CHECK(base64_size(0) == 0 && base64_size(1) == 6 && base64_size(47) == 66);
    CHECK(base64_size(48) == 66 && base64_size(49) == 72);
    CHECK(base64_size(UINT64_C(48) << 56) == UINT64_C(66) << 56);
}

/* The rows come best first, only those allowed, and the portable one always last. */
static void test_table(void)
{
    unsigned rows = 0;
    while (base64_kernel_at(rows))
        rows++;
    CHECK(rows > 0 && !base64_kernel_at(rows + 1));
    CHECK(base64_kernel() == base64_kernel_at(0));
    CHECK(!strcmp(base64_kernel_at(rows - 1)->id.name, "portable"));
    for (unsigned row = 0; row < rows; row++)
        CHECK(!(base64_kernel_at(row)->id.needs & ~cpu_features()));
}

/* --- line ends -------------------------------------------------------------------------------- */

static size_t plain_canon(const uint8_t *in, size_t len, uint8_t last, uint8_t *out)
{
    size_t written = 0;
    for (size_t i = 0; i < len; i++) {
        if (in[i] == '\n' && last != '\r')
            out[written++] = '\r';
        last = out[written++] = in[i];
    }
    return written;
}

/* One part of a text, both ways; the output has the room it needs and not an octet more. */
static void check_part(const uint8_t *in, size_t len, uint8_t *last)
{
    uint8_t counted = *last;
    size_t size = plain_canon(in, len, *last, expected);
    uint8_t *out = target.end - size;
    uint8_t after = len ? in[len - 1] : *last;

    CHECK(canon_count(in, len, &counted) == size - len);
    CHECK(canon_copy(in, len, last, out) == size);
    CHECK(!memcmp(out, expected, size));
    CHECK(*last == after && counted == after);
}

static void check_split(const uint8_t *text, size_t len, size_t split, uint8_t last)
{
    check_part(text, split, &last);
    check_part(text + split, len - split, &last);
}

/* Every text of up to six octets, after each kind of octet, in two parts of every size. */
static void test_short_texts(void)
{
    static const uint8_t kinds[] = {'\r', '\n', 'x'};
    unsigned texts = 1;

    for (size_t len = 0; len <= 6; len++, texts *= 3)
        for (unsigned text = 0; text < texts; text++) {
            uint8_t *in = source.end - len;
            for (unsigned i = 0, rest = text; i < len; i++, rest /= 3)
                in[i] = kinds[rest % 3];
            for (size_t split = 0; split <= len; split++)
                for (unsigned kind = 0; kind < 3; kind++)
                    check_split(in, len, split, kinds[kind]);
        }
}

/* Octets of a text whose line ends are about one in `rarity`; NUL and 8-bit octets among them. */
static void fill_text(uint8_t *text, size_t len, uint32_t rarity)
{
    static const uint8_t ends[] = {'\r', '\n'};
    for (size_t i = 0; i < len; i++)
        text[i] = below(rarity) ? (uint8_t)(below(4) ? 'x' : below(256)) : ends[below(2)];
}

static void test_random_texts(void)
{
    static const uint32_t rarities[] = {1, 2, 5, 30, 100};

    for (unsigned round = 0; round < 2000; round++) {
        size_t len = below(round % 50 ? 400 : ROOM / 3);
        uint8_t *in = round % 2 ? source.start : source.end - len;
        fill_text(in, len, rarities[round % COUNT(rarities)]);
        check_split(in, len, below((uint32_t)len + 1), round % 3 ? 'x' : '\r');
    }
}

/* Every split of one text: long enough for each step of each loop. */
static void test_every_split(void)
{
    enum { LEN = 450 };
    fill_text(source.start, LEN, 3);
    for (size_t split = 0; split <= LEN; split++)
        check_split(source.start, LEN, split, 0);
}

static void test_canon(void)
{
    uint8_t last = 'x';

    test_short_texts();
    test_random_texts();
    test_every_split();
    memset(source.start, '\n', ROOM / 2); /* no counter of the inner loops may overflow */
    check_part(source.start, ROOM / 2, &last);
    CHECK(canon_count(NULL, 0, &last) == 0 && canon_copy(NULL, 0, &last, NULL) == 0);
    printf("canon (mask %#" PRIx32 ") ok\n", cpu_features());
}

int main(void)
{
    source = guarded(ROOM);
    target = guarded(ROOM);
    test_sizes();
    for (unsigned row = 0; base64_kernel_at(row); row++) {
        test_row(base64_kernel_at(row));
        test_wrong(base64_kernel_at(row));
    }
    for (size_t i = 0; i < COUNT(masks); i++) {
        cpu_restrict(masks[i]);
        test_table();
        test_stream();
        test_canon();
    }
    puts("ok");
    return 0;
}
