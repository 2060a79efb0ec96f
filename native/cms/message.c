/* The beginning of a message (RFC 5322) as a stream: its header block is cut, and written with what
 * goes inside. A message that needs a closer look is left to Python. */
#include "core.h"

enum { INSIDE_MOST = 4 << 10 }; /* octets of an inner header */

uint64_t seal_message_bound(const struct seal_to *to, const struct seal_form *form, unsigned mode,
                            size_t len, unsigned flags)
{
    /* The end of the last field, and a blank line. What stays outside isn't rounded up to blocks
     * and groups of base64, as it is when it is counted as content. */
    enum { ENDS = 4, ROUNDED = 4 };
    const struct seal_plan plan = {
        .before_len = form->before_len,
        .infos_len = to->infos_len,
        .after_len = form->after_len,
        .content_len = 2 * (uint64_t)len + ENDS + AES_BLOCK,
        .mode = mode,
        .flags = (form->flags & SEAL_BASE64) | flags,
    };
    int64_t total = len > INT64_MAX / 4 ? SEAL_TOO_LARGE : seal_total(&plan);

    return total < 0 ? UINT64_MAX : (uint64_t)total + ROUNDED;
}

static bool needs_a_look(const struct header *header, const struct seal_message *message)
{
    const size_t body_len = message->len - header->end;

    return header->special || header->suspect || header->inside_len > INSIDE_MOST
           || body_len < message->behind
           || header_armoured(message->data + header->end, body_len);
}

/* Encrypts the inner header, which is canonical. */
static int64_t put_inside(struct seal *seal, const uint8_t *inside, size_t len, uint8_t *out,
                          size_t cap)
{
    const unsigned flags = seal->flags;

    int64_t head = seal_update(seal, NULL, 0, out, cap);
    if (head < 0)
        return head;
    seal->flags &= ~(unsigned)(SEAL_CANON | SEAL_STRICT);
    int64_t count = seal_update(seal, inside, len, out + head, cap - (size_t)head);
    seal->flags = flags;
    seal->last = '\n';
    return count < 0 ? count : head + count;
}

/* All but the fields that stay outside. */
static int64_t put_rest(struct seal *seal, const struct header *header,
                        const struct seal_message *message, const uint8_t *inside, uint8_t *out,
                        size_t cap)
{
    int64_t count = put_inside(seal, inside, header->inside_len, out, cap);

    if (count < 0)
        return count;
    int64_t body = seal_update(seal, message->data + header->end, message->len - header->end,
                               out + count, cap - (size_t)count);
    return body < 0 ? body : count + body;
}

int64_t seal_begin_message(struct seal *seal, const struct seal_to *to,
                           const struct seal_form *form, uint8_t *infos,
                           const struct seal_message *message, uint8_t *out, size_t cap)
{
    struct header header;
    uint8_t inside[INSIDE_MOST];

    if (cap < seal_message_bound(to, form, MODE_CBC, message->len, message->flags))
        return SEAL_NO_ROOM;
    if (!header_cut(message->data, message->len, &header) || needs_a_look(&header, message)
        || !header_outside(message->data, &header, out)
        || !header_inside(message->data, &header, inside))
        return SEAL_NEEDS_STREAM;
    uint64_t content = header.inside_len + message->size - header.end;
    content = message->flags & SEAL_OPEN ? 0 : content;
    int64_t count = seal_begin_to(seal, to, form, infos, content, message->flags);
    if (count >= 0)
        count = put_rest(seal, &header, message, inside, out + header.outside_len,
                         cap - header.outside_len);
    wipe(inside, sizeof inside);
    return count < 0 ? count : count + (int64_t)header.outside_len;
}
