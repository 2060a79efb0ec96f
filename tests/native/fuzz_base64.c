/* Coverage-guided fuzzing of base64.h, both ways. What must hold, whatever the octets are: no buffer
 * is overrun; every row writes the lines that RFC 4648 tells of, character by character; and every
 * row reads a text as plain_open.h does, in one piece and in pieces, into rooms of any size. */
#include "base64/base64.h"
#include "fuzz_tools.h"

enum { CONTROLS = 5, MOST_LEN = 40 << 10, MOST_CALLS = 2000 };

struct plan {
    uint32_t random;
    size_t piece, room;
    unsigned noise; /* one character in so many is followed by white space; 0: none */
};

static struct plan read_plan(const uint8_t control[CONTROLS], size_t len)
{
    return (struct plan){
        .random = control[0],
        .piece = ((size_t)1 << (control[1] & 15)) + len / MOST_CALLS,
        .room = ((size_t)1 << (control[1] >> 4)) + len / MOST_CALLS,
        .noise = control[2] & 0x3f,
    };
}

/* --- encoding ---------------------------------------------------------------------------------- */

static struct octets encode_plainly(const struct octets *octets)
{
    struct octets text = {0};

    for (size_t i = 0; i < octets->len; i += 3) {
        append_group(&text, octets->at + i, min_size(octets->len - i, 3));
        if (i % BASE64_LINE_IN == BASE64_LINE_IN - 3 || octets->len - i <= 3)
            append(&text, (const uint8_t *)"\r\n", 2);
    }
    return text;
}

/* Whole lines by one row, both of its ways. */
static void expect_row(const struct base64_kernel *row, const struct octets *octets,
                       const struct octets *expected, size_t first)
{
    const size_t lines = octets->len / BASE64_LINE_IN, len = lines * BASE64_LINE_OUT;
    uint8_t *in = copied(octets->at, lines * BASE64_LINE_IN), *out = exactly(len);
    struct cache_rest rest = {.count = 0};

    row->lines(in, lines, out);
    CHECK(!len || !memcmp(out, expected->at, len));
    if (len)
        memset(out, 0, len);
    if (row->lines_past_cache) {
        first = min_size(first, lines);
        row->lines_past_cache(&rest, in, first, out);
        row->lines_past_cache(&rest, in + first * BASE64_LINE_IN, lines - first,
                              out + first * BASE64_LINE_OUT);
        base64_settle(&rest, out + len);
        base64_fence();
        CHECK(!len || !memcmp(out, expected->at, len));
    }
    free(in);
    free(out);
}

/* As a stream, in pieces; each into a place of its exact size. */
static void expect_encoded(const struct plan *plan, const struct octets *octets,
                           const struct octets *expected)
{
    struct base64 state = {.fill = 0};
    struct octets text = {0};
    uint32_t random = plan->random;
    uint8_t last[BASE64_LINE_OUT];

    for (size_t at = 0, len; at < octets->len; at += len) {
        len = some(&random, plan->piece, octets->len - at);
        const size_t room = (state.fill + len) / BASE64_LINE_IN * BASE64_LINE_OUT;
        uint8_t *in = copied(octets->at + at, len), *out = exactly(room);
        CHECK(base64_update(&state, in, len, out) == room);
        append(&text, out, room);
        free(in);
        free(out);
    }
    append(&text, last, base64_finish(&state, last));
    CHECK(equal(&text, expected) && base64_size(octets->len) == expected->len);
    free(text.at);
}

/* --- decoding ---------------------------------------------------------------------------------- */

struct decoded {
    struct octets octets;
    size_t taken;
    enum base64_state how;
    bool complete; /* the text may end there */
};

static struct decoded read_plainly(const struct octets *text)
{
    struct decoded all = {.how = BASE64_STOPPED};
    size_t characters = 0, padding = 0;

    all.taken = decode_plainly(text, &all.octets, &all.complete);
    for (size_t i = 0; i < all.taken; i++) {
        padding += text->at[i] == '=';
        characters += !strchr(" \t\r\n\f\v", text->at[i]);
    }
    if (all.taken == text->len)
        all.how = padding && characters % 4 == 0 ? BASE64_PADDED : BASE64_MORE;
    return all;
}

static struct decoded read_in_pieces(const struct plan *plan, const struct octets *text)
{
    struct unbase64 state = {0};
    struct decoded all = {.how = BASE64_MORE};
    uint32_t random = plan->random;

    while (all.taken < text->len && all.how != BASE64_STOPPED) {
        const size_t len = some(&random, plan->piece, text->len - all.taken);
        const size_t room = some(&random, plan->room, SIZE_MAX - 1);
        uint8_t *in = copied(text->at + all.taken, len), *out = exactly(room);
        const uint8_t *next = in;
        const size_t given = base64_decode(&state, &next, in + len, out, room, &all.how);
        CHECK(given <= room && next <= in + len);
        CHECK(next == in + len || all.how == BASE64_STOPPED || given == room);
        append(&all.octets, out, given);
        all.taken += (size_t)(next - in);
        free(in);
        free(out);
    }
    all.complete = base64_decode_finish(&state);
    return all;
}

static void compare(const struct decoded *expected, struct decoded all)
{
    CHECK(all.taken == expected->taken && all.how == expected->how);
    CHECK(all.complete == expected->complete);
    CHECK(equal(&all.octets, &expected->octets));
    free(all.octets.at);
}

static void expect_decoded(const struct plan *plan, const struct octets *text,
                           const struct decoded *expected)
{
    const struct plan whole = {.piece = SIZE_MAX / 2, .room = MOST_LEN, .random = plan->random};

    compare(expected, read_in_pieces(plan, text));
    compare(expected, read_in_pieces(&whole, text));
}

/* --- one input --------------------------------------------------------------------------------- */

/* The same text with white space in between. */
static struct octets with_noise(const struct plan *plan, const struct octets *text)
{
    struct octets noisy = {0};
    uint32_t random = plan->random;

    for (size_t i = 0; i < text->len; i++) {
        append(&noisy, text->at + i, 1);
        if (plan->noise && !some(&random, plan->noise, SIZE_MAX - 1))
            append(&noisy, (const uint8_t *)" \t\r\n\f\v\n\n" + (random & 3), 1 + (random >> 2 & 3));
    }
    return noisy;
}

static void expect(const struct plan *plan, const struct octets *octets, const struct octets *text,
                   const struct octets *noisy)
{
    struct decoded read = read_plainly(octets), back = read_plainly(noisy);

    CHECK(equal(&back.octets, octets) && back.complete);
    for (unsigned i = 0; base64_kernel_at(i); i++, cpu_restrict(~0u)) {
        const struct base64_kernel *row = base64_kernel_at(i);
        cpu_restrict(row->id.needs);
        CHECK(base64_kernel() == row);
        expect_row(row, octets, text, plan->random % 8);
        expect_encoded(plan, octets, text);
        expect_decoded(plan, octets, &read);
        expect_decoded(plan, noisy, &back);
    }
    free(read.octets.at);
    free(back.octets.at);
}

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t len)
{
    if (len <= CONTROLS)
        return 0;
    struct octets octets = repeated(in + CONTROLS, len - CONTROLS, (size_t)1 << (in[3] & 15), in[4],
                                    MOST_LEN);
    const struct plan plan = read_plan(in, octets.len);
    struct octets text = encode_plainly(&octets), noisy = with_noise(&plan, &text);

    expect(&plan, &octets, &text, &noisy);
    free(octets.at);
    free(text.at);
    free(noisy.at);
    return 0;
}
