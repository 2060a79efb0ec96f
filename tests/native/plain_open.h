/* What opening a message must come to, told by the plainest means: the whole message at once,
 * character by character, element within element. For fuzz_open.c. */
#ifndef CMSTREAM_PLAIN_OPEN_H
#define CMSTREAM_PLAIN_OPEN_H

#include "cms/open.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOO_LARGE = 1 }; /* beside enum open_error: the head outgrew its limit */

#define CHECK(truth) check(truth, #truth, __LINE__)

static void check(bool truth, const char *text, int line)
{
    if (truth)
        return;
    fprintf(stderr, "line %d: not true: %s\n", line, text);
    abort();
}

struct octets {
    uint8_t *at;
    size_t len, room;
};

static void append(struct octets *to, const uint8_t *from, size_t len)
{
    if (!len)
        return;
    if (len > to->room - to->len) {
        to->room = 2 * (to->len + len);
        to->at = realloc(to->at, to->room);
        CHECK(to->at);
    }
    memcpy(to->at + to->len, from, len);
    to->len += len;
}

struct outcome {
    int64_t error;         /* 0, an enum open_error, or TOO_LARGE */
    struct octets content; /* without a key: with all that stands before an error */
    struct octets head;
    struct octets tail; /* all that follows the content, if there is no error */
    uint64_t content_len;
    size_t taken; /* if there is no error */
    bool is_ber;
};

/* --- elements --------------------------------------------------------------------------------- */

struct plain {
    const uint8_t *in;
    uint64_t len, at, head_limit, tail_limit, tail_start;
    enum { HEAD, CONTENT_ITSELF, TAIL } part;
    struct outcome *outcome;
};

/* What is around an element. */
struct around {
    uint64_t limit; /* no octet from here on belongs to it */
    bool endless;   /* it ends by octets of its own */
    unsigned depth;
};

struct element {
    uint8_t tag; /* 0: the end of what is around */
    bool endless;
    uint64_t len;
};

static bool fails(struct plain *plain, int error)
{
    if (!plain->outcome->error)
        plain->outcome->error = error;
    return false;
}

/* Where the part of the message must end that is being read. */
static uint64_t part_end(const struct plain *plain)
{
    if (plain->part == CONTENT_ITSELF)
        return UINT64_MAX;
    return plain->part == HEAD ? plain->head_limit : plain->tail_start + plain->tail_limit;
}

static int too_large(const struct plain *plain)
{
    return plain->part == HEAD ? (int)TOO_LARGE : OPEN_TAIL_FULL;
}

static bool next_octet(struct plain *plain, const struct around *around, uint8_t *octet)
{
    if (plain->at == around->limit)
        return fails(plain, OPEN_MALFORMED);
    if (plain->at == plain->len)
        return fails(plain, OPEN_TRUNCATED);
    if (plain->at == part_end(plain))
        return fails(plain, too_large(plain));
    *octet = plain->in[plain->at++];
    return true;
}

static bool read_len(struct plain *plain, const struct around *around, struct element *element)
{
    uint8_t first, octet;

    if (!next_octet(plain, around, &first))
        return false;
    element->endless = first == 0x80;
    element->len = first < 0x80 ? first : 0;
    if (!element->tag)
        return (!first && around->endless) || fails(plain, OPEN_MALFORMED);
    if (first == 0xff)
        return fails(plain, OPEN_MALFORMED);
    for (unsigned left = first > 0x80 ? first & 0x7f : 0; left; left--) {
        if (!next_octet(plain, around, &octet))
            return false;
        if ((INT64_MAX - octet) / 256 < (int64_t)element->len)
            return fails(plain, OPEN_MALFORMED);
        element->len = 256 * element->len + octet;
    }
    return element->len <= around->limit - plain->at || fails(plain, OPEN_MALFORMED);
}

/* The next element's beginning, or the end of what is around. */
static bool next_element(struct plain *plain, const struct around *around, struct element *element)
{
    *element = (struct element){0};
    if (!around->endless && plain->at == around->limit)
        return true;
    if (!next_octet(plain, around, &element->tag))
        return false;
    if ((element->tag & 0x1f) == 0x1f)
        return fails(plain, OPEN_MALFORMED);
    return read_len(plain, around, element)
           && (element->tag & 0x20 || !element->endless || fails(plain, OPEN_MALFORMED));
}

static bool enter(struct plain *plain, const struct around *around, const struct element *element,
                  struct around *inside)
{
    if (around->depth == BER_MOST_DEPTH)
        return fails(plain, OPEN_TOO_DEEP);
    inside->limit = element->endless ? around->limit : plain->at + element->len;
    inside->endless = element->endless;
    inside->depth = around->depth + 1;
    plain->outcome->is_ber |= element->endless;
    return true;
}

static bool skip(struct plain *plain, uint64_t len)
{
    const uint64_t there = plain->len - plain->at;
    const uint64_t room = part_end(plain) - plain->at;

    if (len > there && there <= room)
        fails(plain, OPEN_TRUNCATED);
    else if (len > room)
        fails(plain, too_large(plain));
    plain->at += min_size(len, min_size(there, room));
    return !plain->outcome->error;
}

static bool anything(struct plain *plain, const struct around *around);

static bool whole_element(struct plain *plain, const struct around *around,
                          const struct element *element)
{
    struct around inside;

    if (!(element->tag & 0x20))
        return skip(plain, element->len);
    return enter(plain, around, element, &inside) && anything(plain, &inside);
}

static bool anything(struct plain *plain, const struct around *around)
{
    struct element element;

    while (next_element(plain, around, &element) && element.tag)
        if (!whole_element(plain, around, &element))
            return false;
    return !plain->outcome->error;
}

/* --- those of a sealed message, in their order ------------------------------------------------ */

static bool must(struct plain *plain, const struct around *around, uint8_t tag,
                 struct around *inside)
{
    struct element element;

    if (!next_element(plain, around, &element))
        return false;
    if (element.tag != tag)
        return fails(plain, OPEN_MALFORMED);
    return tag & 0x20 ? enter(plain, around, &element, inside) : skip(plain, element.len);
}

/* Whatever it holds, and on to the next one, if it is there. */
static bool may(struct plain *plain, const struct around *around, uint8_t tag,
                struct element *element)
{
    if (element->tag != tag)
        return true;
    return whole_element(plain, around, element) && next_element(plain, around, element);
}

static bool take(struct plain *plain, uint64_t len)
{
    const uint64_t before = plain->at;
    const bool good = skip(plain, len);

    append(&plain->outcome->content, plain->in + before, plain->at - before);
    return good;
}

static bool strings(struct plain *plain, const struct around *around)
{
    struct element element;
    struct around inside;
    bool good = true;

    while (good && next_element(plain, around, &element) && element.tag) {
        if (element.tag == 0x04)
            good = take(plain, element.len);
        else if (element.tag == 0x24)
            good = enter(plain, around, &element, &inside) && strings(plain, &inside);
        else
            good = fails(plain, OPEN_MALFORMED);
    }
    return !plain->outcome->error;
}

/* Up to the end of what is around. The content is OPTIONAL (RFC 5652 section 6.1). */
static bool encrypted_content(struct plain *plain, const struct around *around)
{
    struct element element;
    struct around inside;

    if (!next_element(plain, around, &element))
        return false;
    if (element.tag && element.tag != 0x80 && element.tag != 0xa0)
        return fails(plain, OPEN_MALFORMED);
    plain->part = CONTENT_ITSELF;
    append(&plain->outcome->head, plain->in, plain->at);
    if (!element.tag)
        return true;
    if (element.tag == 0x80 && !take(plain, element.len))
        return false;
    if (element.tag == 0xa0
        && (!enter(plain, around, &element, &inside) || !strings(plain, &inside)))
        return false;
    return must(plain, around, 0, NULL);
}

static bool encrypted(struct plain *plain, const struct around *around)
{
    struct around inside, cipher;

    const bool good = must(plain, around, 0x30, &inside) && must(plain, &inside, 0x06, NULL)
                      && must(plain, &inside, 0x30, &cipher) && anything(plain, &cipher)
                      && encrypted_content(plain, &inside);
    plain->part = good ? TAIL : plain->part;
    plain->tail_start = plain->at;
    return good;
}

static bool enveloped(struct plain *plain, const struct around *around)
{
    struct element element;
    struct around recipients;

    if (!must(plain, around, 0x02, NULL) || !next_element(plain, around, &element)
        || !may(plain, around, 0xa0, &element))
        return false;
    if (element.tag != 0x31)
        return fails(plain, OPEN_MALFORMED);
    if (!enter(plain, around, &element, &recipients) || !anything(plain, &recipients)
        || !encrypted(plain, around) || !next_element(plain, around, &element)
        || !may(plain, around, 0xa1, &element))
        return false;
    if (element.tag == 0x04
        && (!may(plain, around, 0x04, &element) || !may(plain, around, 0xa2, &element)))
        return false;
    return !element.tag || fails(plain, OPEN_MALFORMED);
}

static bool content_info(struct plain *plain)
{
    const struct around all = {.limit = INT64_MAX};
    struct around info, wrapper, inside;

    return must(plain, &all, 0x30, &info) && must(plain, &info, 0x06, NULL)
           && must(plain, &info, 0xa0, &wrapper) && must(plain, &wrapper, 0x30, &inside)
           && enveloped(plain, &inside) && must(plain, &wrapper, 0, NULL)
           && must(plain, &info, 0, NULL);
}

static void walk_plainly(const struct octets *message, uint64_t head_limit, uint64_t tail_limit,
                         struct outcome *outcome)
{
    struct plain plain = {
        .in = message->at,
        .len = message->len,
        .head_limit = head_limit,
        .tail_limit = tail_limit,
        .outcome = outcome,
    };

    const bool good = content_info(&plain);
    CHECK(good == !outcome->error);
    if (plain.part == HEAD)
        append(&outcome->head, plain.in, plain.at);
    if (good)
        append(&outcome->tail, plain.in + plain.tail_start, plain.at - plain.tail_start);
    outcome->content_len = outcome->content.len;
    for (; good && plain.at < plain.len; plain.at++)
        if (!strchr(" \t\r\n", plain.in[plain.at]) || !plain.in[plain.at])
            fails(&plain, OPEN_TRAILING);
}

/* --- text ------------------------------------------------------------------------------------- */

/* As far as it is base64; gives where it isn't any more. */
static size_t decode_plainly(const struct octets *text, struct octets *octets, bool *complete)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned characters = 0, padding = 0, bits = 0;
    size_t at = 0;

    for (; at < text->len; at++) {
        const char c = (char)text->at[at], *found = c ? strchr(alphabet, c) : NULL;
        if (c && strchr(" \t\r\n\f\v", c))
            continue;
        if (c == '=' && characters % 4 >= 2 && characters % 4 + padding < 4) {
            padding++;
            continue;
        }
        if (!found || padding)
            break;
        bits = bits << 6 | (unsigned)(found - alphabet);
        if (characters % 4) {
            const uint8_t octet = (uint8_t)(bits >> (6 - 2 * (characters % 4)));
            append(octets, &octet, 1);
        }
        characters++;
    }
    *complete = padding ? (characters + padding) % 4 == 0 : characters % 4 != 1;
    return at;
}

static inline struct outcome open_plainly(const struct octets *message, unsigned form,
                                          uint64_t head_limit, uint64_t tail_limit)
{
    struct outcome outcome = {.taken = message->len};
    struct octets octets = {0};
    bool complete = true;

    if (form == OPEN_BINARY)
        append(&octets, message->at, message->len);
    else
        outcome.taken = decode_plainly(message, &octets, &complete);
    walk_plainly(&octets, head_limit, tail_limit, &outcome);
    const bool stranger = outcome.taken < message->len
                          && (form != OPEN_PEM || message->at[outcome.taken] != '-');
    if (stranger && (!outcome.error || outcome.error == OPEN_TRUNCATED))
        outcome.error = OPEN_MALFORMED;
    if (!outcome.error && !complete)
        outcome.error = OPEN_MALFORMED;
    free(octets.at);
    return outcome;
}

#endif
