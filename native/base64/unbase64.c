#include "unbase64_steps.h"

/* RFC 4648 section 4, and C's white space. */
const uint8_t base64_meaning[256] __attribute__((aligned(64))) = {
#define NONE BASE64_STRANGE
    [0 ... 8] = NONE,
    ['\t'] = BASE64_WHITE, BASE64_WHITE, BASE64_WHITE, BASE64_WHITE, BASE64_WHITE,
    [14 ... 31] = NONE,
    [' '] = BASE64_WHITE,
    ['!' ... '*'] = NONE,
    ['+'] = 62, NONE, NONE, NONE, ['/'] = 63,
    ['0'] = 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, NONE, NONE, NONE,
    ['='] = BASE64_PAD, NONE, NONE, NONE,
    ['A'] = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
    ['N'] = 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25,
    ['Z' + 1 ... 'a' - 1] = NONE,
    ['a'] = 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38,
    ['n'] = 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51,
    ['z' + 1 ... 255] = NONE,
#undef NONE
};

void base64_decode_portable(struct base64_text *text)
{
    unbase64_by(text, unbase64_step_portable, 4, 3);
}

/* --- what kernels leave over: parts of groups, padding, the end ------------------------------- */

static bool is_padded(const struct unbase64 *state)
{
    return state->fill + state->padding == 4;
}

static bool may_stand(const struct unbase64 *state, unsigned meaning)
{
    if (meaning == BASE64_PAD)
        return state->fill >= 2 && !is_padded(state);
    return meaning == BASE64_WHITE || (meaning < BASE64_WHITE && !state->padding);
}

/* The unused bits before padding may be set, as in OpenSSL: no octet depends on them. */
static void take_six(struct unbase64 *state, struct base64_text *text, unsigned six)
{
    state->bits = state->bits << 6 | six;
    if (state->fill)
        *text->out++ = (uint8_t)(state->bits >> (6 - 2 * state->fill));
    state->fill = (state->fill + 1) % 4;
}

static bool take_character(struct unbase64 *state, struct base64_text *text)
{
    if (text->in == text->in_end)
        return false;
    const unsigned meaning = base64_meaning[*text->in];
    if (!may_stand(state, meaning))
        return false;
    if (meaning < BASE64_WHITE) {
        if (state->fill && text->out == text->out_end)
            return false;
        take_six(state, text, meaning);
    }
    state->padding += meaning == BASE64_PAD;
    text->in++;
    return true;
}

/* Takes one character after the other up to the next group. False where decoding must stop. */
static bool take_group(struct unbase64 *state, struct base64_text *text)
{
    do {
        if (!take_character(state, text))
            return false;
    } while (state->fill);
    unbase64_pass_white(text);
    return true;
}

static enum base64_state state_at(const struct unbase64 *state, const struct base64_text *text)
{
    if (text->in == text->in_end)
        return is_padded(state) ? BASE64_PADDED : BASE64_MORE;
    return may_stand(state, base64_meaning[*text->in]) ? BASE64_MORE : BASE64_STOPPED;
}

size_t base64_decode(struct unbase64 *state, const uint8_t **in, const uint8_t *in_end,
                     uint8_t *out, size_t cap, enum base64_state *how)
{
    struct base64_text text = {*in, in_end, out, cap ? out + cap : out};
    void (*decode)(struct base64_text *) = base64_kernel()->decode;

    do {
        if (!state->fill)
            decode(&text);
    } while (take_group(state, &text));
    *in = text.in;
    *how = state_at(state, &text);
    return (size_t)(text.out - out);
}

bool base64_decode_finish(const struct unbase64 *state)
{
    return is_padded(state) || (!state->padding && state->fill != 1);
}

int base64_groups(const uint8_t *in, size_t groups, uint8_t *out)
{
    const uint8_t *const end = in + 4 * groups;
    struct unbase64 state = {0};
    enum base64_state how;

    return base64_decode(&state, &in, end, out, 3 * groups, &how) == 3 * groups;
}
