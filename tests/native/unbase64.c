/* Decoding of base64 by every row against the plainest decoder; each part of the text and each room
 * has its exact size beside a page that must not be touched. Needs no Python:
 *
 *   cc -g -Inative tests/native/unbase64.c $(find native -name "*.c") -o unbase64 && ./unbase64
 */
#include "base64/base64.h"
#include "cpu.h"
#include "guarded.h"


enum { ROOM = 1 << 16 };

static const uint32_t masks[] = {UINT32_MAX, ~(uint32_t)CPU_AVX512, CPU_AESNI, 0};
#define COUNT(array) (sizeof(array) / sizeof *(array))

static struct guarded source, target;
static uint8_t text[ROOM], decoded[ROOM];

/* --- the plain decoder ------------------------------------------------------------------------ */

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                               "abcdefghijklmnopqrstuvwxyz0123456789+/";
static const char white[] = " \t\r\n\f\v";

static struct {
    uint8_t octets[ROOM];
    size_t size, taken;
    enum base64_state how;
    bool may_end;
} expected;

/* Bit by bit, as RFC 4648 section 4 tells it. */
static void expect(size_t len)
{
    size_t bits = 0, padding = 0, i = 0;

    memset(expected.octets, 0, len);
    for (; i < len; i++) {
        const char *found = text[i] ? strchr(alphabet, text[i]) : NULL;
        const size_t group = bits / 6 % 4;
        if (found && !padding) {
            for (unsigned bit = 6; bit--; bits++)
                if ((found - alphabet) >> bit & 1)
                    expected.octets[bits / 8] |= (uint8_t)(0x80 >> bits % 8);
        } else if (text[i] == '=' && group >= 2 && group + padding < 4) {
            padding++;
        } else if (!text[i] || !strchr(white, text[i])) {
            break;
        }
    }
    const size_t group = bits / 6 % 4;
    expected.size = bits / 8;
    expected.taken = i;
    expected.how = i < len ? BASE64_STOPPED : group + padding == 4 ? BASE64_PADDED : BASE64_MORE;
    expected.may_end = padding ? group + padding == 4 : group != 1;
}

/* --- comparison ------------------------------------------------------------------------------- */

/* One call, with a copy of the text and a room at the one guard or the other; gives the octets and
 * moves `*at` on. */
static size_t decode_part(struct unbase64 *state, size_t *at, size_t len, uint8_t *out, size_t cap,
                          enum base64_state *how)
{
    const bool first = below(2), last = below(2);
    uint8_t *in = first ? source.start : source.end - len;
    uint8_t *room = last ? target.end - cap : target.start;
    uint8_t *beside = last ? room - 1 : room + cap;
    const uint8_t *moved = in;

    memcpy(in, text + *at, len);
    if (cap && cap < ROOM)
        *beside = 0xa5;
    size_t written = base64_decode(state, &moved, in + len, room, cap, how);
    CHECK(written <= cap && moved >= in && moved <= in + len);
    CHECK(moved == in + len ? *how != BASE64_STOPPED : *how == BASE64_STOPPED || written == cap);
    CHECK(moved == in + len || *how != BASE64_PADDED);
    CHECK(!cap || cap == ROOM || *beside == 0xa5);
    memcpy(out, room, written);
    *at += (size_t)(moved - in);
    return written;
}

static void compare(const struct unbase64 *state, size_t size, size_t at, enum base64_state how)
{
    CHECK(size == expected.size && at == expected.taken && how == expected.how);
    CHECK(!memcmp(decoded, expected.octets, size));
    CHECK(base64_decode_finish(state) == expected.may_end);
}

/* Parts of the text of up to `part` characters into rooms of up to `room` octets, or of just these
 * sizes. */
static void check_parts(size_t len, size_t part, size_t room, bool just)
{
    struct unbase64 state = {.fill = 0};
    enum base64_state how = BASE64_MORE;
    size_t size = 0, at = 0;

    while (at < len && how != BASE64_STOPPED) {
        size_t some = min_size(just ? part : below((uint32_t)part + 1), len - at);
        size_t cap = just ? room : below((uint32_t)room + 1);
        size += decode_part(&state, &at, some, decoded + size, cap, &how);
    }
    compare(&state, size, at, how);
}

static void check_split(size_t len, size_t split)
{
    struct unbase64 state = {.fill = 0};
    enum base64_state how;
    size_t at = 0, size = decode_part(&state, &at, split, decoded, expected.size, &how);

    if (how != BASE64_STOPPED)
        size += decode_part(&state, &at, len - at, decoded + size, expected.size - size, &how);
    compare(&state, size, at, how);
}

/* With just the room it needs, and with so much that room stops no step. */
static void check_whole(size_t len)
{
    check_parts(len, len, expected.size, true);
    check_parts(len, len, min_size(expected.size + 64 + below(100), ROOM), true);
}

/* --- texts ------------------------------------------------------------------------------------ */

static const char *const ends[] = {"\r\n", "\n", "\r", " ", "\n\n", " \t\r\n", "\v\f\n\r\n \n"};

/* Random characters in lines; a line of none is no end. */
static size_t make_text(size_t characters, size_t line, const char *end)
{
    size_t len = 0;

    for (size_t i = 0; i < characters; i++) {
        text[len++] = (uint8_t)alphabet[below(64)];
        if (line && (i + 1) % line == 0) {
            memcpy(text + len, end, strlen(end));
            len += strlen(end);
        }
    }
    return len;
}

static size_t make_uneven_text(size_t characters)
{
    size_t len = 0;

    for (size_t i = 0; i < characters; i++) {
        text[len++] = (uint8_t)alphabet[below(64)];
        while (!below(20))
            text[len++] = (uint8_t)white[below(6)];
    }
    return len;
}

static void test_layouts(void)
{
    for (size_t line = 0; line <= 200; line++) {
        const char *end = ends[line < COUNT(ends) ? line : below(COUNT(ends))];
        size_t len = make_text(300 + below(400), line, end);
        expect(len);
        check_whole(len);
        check_parts(len, 100, 100, false);
        check_parts(len, 1, 1, true);
        check_parts(len, len, 70, false);
    }
}

static void test_uneven(void)
{
    for (unsigned round = 0; round < 300; round++) {
        size_t len = make_uneven_text(below(round % 20 ? 1000 : ROOM / 2));
        expect(len);
        check_whole(len);
        check_parts(len, 300, 200, false);
        check_parts(len, 10000, 10000, false);
    }
}

/* Every split of the text, and every room. */
static void test_splits(void)
{
    size_t len = make_text(402, 76, "\r\n");

    memcpy(text + len, "==\r\n", 4);
    len += 4;
    expect(len);
    CHECK(expected.how == BASE64_PADDED && expected.taken == len);
    for (size_t part = 1; part <= len; part++) {
        check_split(len, part);
        check_parts(len, part, expected.size, true);
        check_parts(len, len, min_size(part, expected.size), true);
    }
    check_parts(len, len, 1, false);
    check_parts(len, 1, 1, false);
}

/* Every octet at every place. */
static void test_strangers(void)
{
    for (unsigned layout = 0; layout < 2; layout++) {
        size_t len = make_text(250, layout ? 76 : 64, layout ? "\n" : "\r\n");
        for (size_t place = 0; place < len; place++) {
            uint8_t kept = text[place];
            for (unsigned octet = 0; octet < 256; octet++) {
                text[place] = (uint8_t)octet;
                expect(len);
                check_whole(len);
            }
            text[place] = kept;
        }
    }
}

/* Every short text of four kinds of characters, behind whole groups, in every two parts. */
static void test_padding(void)
{
    static const uint8_t kinds[] = {'/', '=', '\n', '-'};
    const size_t before = below(2) ? 64 : 0;
    unsigned texts = 1;

    make_text(before, 0, "");
    for (size_t len = 0; len <= 6; len++, texts *= 4)
        for (unsigned number = 0; number < texts; number++) {
            for (unsigned i = 0, rest = number; i < len; i++, rest /= 4)
                text[before + i] = kinds[rest % 4];
            expect(before + len);
            check_whole(before + len);
            for (size_t split = 0; split <= len; split++)
                check_split(before + len, before + split);
        }
}

static void test_nothing(void)
{
    struct unbase64 state = {.fill = 0};
    const uint8_t *in = NULL;
    enum base64_state how;

    CHECK(base64_decode(&state, &in, NULL, NULL, 0, &how) == 0 && how == BASE64_MORE && !in);
    CHECK(base64_decode_finish(&state));
}

int main(void)
{
    source = guarded(ROOM);
    target = guarded(ROOM);
    for (size_t i = 0; i < COUNT(masks); i++) {
        cpu_restrict(masks[i]);
        row_name = base64_kernel()->id.name;
        test_nothing();
        test_layouts();
        test_uneven();
        test_splits();
        test_strangers();
        test_padding();
        printf("unbase64 %s ok\n", base64_kernel()->id.name);
    }
    puts("ok");
    return 0;
}
