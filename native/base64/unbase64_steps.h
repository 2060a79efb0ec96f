/* The loop of all decoding kernels but AVX-512's, for inlining. */
#ifndef CMSTREAM_UNBASE64_STEPS_H
#define CMSTREAM_UNBASE64_STEPS_H

#include "base64_rows.h"

#define UNBASE64_INLINE static inline __attribute__((always_inline))

UNBASE64_INLINE size_t unbase64_left(const struct base64_text *text)
{
    return (size_t)(text->in_end - text->in);
}

UNBASE64_INLINE size_t unbase64_room(const struct base64_text *text)
{
    return (size_t)(text->out_end - text->out);
}

/* A step decodes the `width` characters at `in`, and gives whether all of them are of the alphabet.
 * It writes `room` octets in any case; those that the characters don't stand for have any value. */
typedef bool unbase64_step(const uint8_t *in, uint8_t *out);

UNBASE64_INLINE bool unbase64_step_portable(const uint8_t *in, uint8_t *out)
{
    const uint32_t a = base64_meaning[in[0]], b = base64_meaning[in[1]];
    const uint32_t c = base64_meaning[in[2]], d = base64_meaning[in[3]];

    out[0] = (uint8_t)(a << 2 | b >> 4);
    out[1] = (uint8_t)(b << 4 | c >> 2);
    out[2] = (uint8_t)(c << 6 | d);
    return (a | b | c | d) < BASE64_WHITE;
}

/* Repeats the step until one meets a character outside the alphabet, and drops what that one wrote.
 * The only link between steps is the branch, which the processor predicts in lines of equal length:
 * so no step waits for the one before. */
UNBASE64_INLINE void unbase64_steps(struct base64_text *text, unbase64_step *step, size_t width,
                                    size_t room)
{
    while (unbase64_left(text) >= width && unbase64_room(text) >= room) {
        if (!step(text->in, text->out))
            return;
        text->in += width;
        text->out += width / 4 * 3;
    }
}

UNBASE64_INLINE bool unbase64_is_white(const struct base64_text *text)
{
    return text->in < text->in_end && base64_meaning[*text->in] == BASE64_WHITE;
}

UNBASE64_INLINE void unbase64_pass_white(struct base64_text *text)
{
    while (unbase64_is_white(text))
        text->in++;
}

/* Decodes one group with white space between its characters. False if the group isn't complete. */
UNBASE64_INLINE bool unbase64_broken_group(struct base64_text *text)
{
    const uint8_t *in = text->in;
    uint32_t bits = 1;

    while (bits < 1 << 24) {
        if (in == text->in_end || base64_meaning[*in] > BASE64_WHITE)
            return false;
        if (base64_meaning[*in] < BASE64_WHITE)
            bits = bits << 6 | base64_meaning[*in];
        in++;
    }
    if (unbase64_room(text) < 3)
        return false;
    text->out[0] = (uint8_t)(bits >> 16);
    text->out[1] = (uint8_t)(bits >> 8);
    text->out[2] = (uint8_t)bits;
    text->in = in;
    text->out += 3;
    return true;
}

/* Whether `len` characters are all of the alphabet. The last step ends where they end, and decodes
 * once more what the one before may have decoded. */
UNBASE64_INLINE bool unbase64_line(const uint8_t *in, size_t len, uint8_t *out,
                                   unbase64_step *step, size_t width)
{
    for (size_t at = 0; at < len - width; at += width)
        if (!step(in + at, out + at / 4 * 3))
            return false;
    return step(in + len - width, out + (len - width) / 4 * 3);
}

/* The cipher reads what is decoded, and meanwhile the next text comes from memory. */
enum { UNBASE64_AHEAD = 4096 };

UNBASE64_INLINE void unbase64_fetch_ahead(const uint8_t *in)
{
    __builtin_prefetch((const void *)((uintptr_t)in + UNBASE64_AHEAD));
}

/* From the end of a line of `len` characters to the end of the last line behind it that is as long
 * and ends alike, in LF or CRLF. Each begins where it is expected, so that nothing is looked for. */
UNBASE64_INLINE void unbase64_equal_lines(struct base64_text *text, size_t len,
                                          unbase64_step *step, size_t width, size_t room)
{
    const size_t end = unbase64_left(text) > 1 && base64_meaning[text->in[1]] == BASE64_WHITE ? 2 : 1;
    const size_t need = len / 4 * 3 + room - width / 4 * 3;

    if (len < width)
        return;
    while (unbase64_left(text) > end + len && unbase64_room(text) >= need
           && base64_meaning[text->in[0]] == BASE64_WHITE
           && base64_meaning[text->in[end - 1]] == BASE64_WHITE
           && base64_meaning[text->in[end + len]] == BASE64_WHITE
           && unbase64_line(text->in + end, len, text->out, step, width)) {
        unbase64_fetch_ahead(text->in);
        text->in += end + len;
        text->out += len / 4 * 3;
    }
}

/* A whole kernel: the wide step as long as it can, then single groups to the end of the line, more
 * lines of that length, and single groups across the end of a line. It works on a copy of `text`,
 * because the compiler must assume that the output may overwrite the caller's. */
UNBASE64_INLINE void unbase64_by(struct base64_text *text, unbase64_step *step, size_t width,
                                 size_t room)
{
    struct base64_text own = *text;

    do {
        unbase64_pass_white(&own);
        const uint8_t *line = own.in;
        unbase64_steps(&own, step, width, room);
        unbase64_steps(&own, unbase64_step_portable, 4, 3);
        unbase64_equal_lines(&own, (size_t)(own.in - line), step, width, room);
    } while (unbase64_is_white(&own) || unbase64_broken_group(&own));
    *text = own;
}

#endif
