/* The beginning of a message (RFC 5322) as a stream: its header block is cut, and written with what
 * goes inside. A message that needs a closer look is left to Python. */
#include "core.h"

enum { INSIDE_MOST = 4 << 10 }; /* octets of an inner header */

uint64_t seal_message_bound(const struct seal_to *to, const struct seal_form *form, unsigned flags,
                            size_t len)
{
    /* The end of the last field, and a blank line. What stays outside isn't rounded up to blocks
     * and groups of base64, as it is when it is counted as content. */
    enum { ENDS = 4, ROUNDED = 4 };
    struct seal_plan plan = seal_plan_for(to, form, flags);

    plan.content_len = 2 * (uint64_t)len + ENDS + AES_BLOCK;
    int64_t total = len > INT64_MAX / 4 ? SEAL_TOO_LARGE : seal_total(&plan);

    return total < 0 ? UINT64_MAX : (uint64_t)total + ROUNDED;
}

static bool needs_a_look(const struct header *header, const uint8_t *data, size_t len,
                         size_t behind)
{
    const size_t body_len = len - header->end;

    return header->special || header->suspect || header->inside_len > INSIDE_MOST
           || body_len < behind || header_armoured(data + header->end, body_len);
}

int64_t seal_inside(struct seal *seal, const uint8_t *inside, size_t len, uint8_t *out, size_t cap)
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

int64_t seal_begin_message(struct seal *seal, const struct seal_to *to,
                           const struct seal_form *form, uint8_t *infos, unsigned flags,
                           uint64_t size, const uint8_t *data, size_t len, size_t behind,
                           uint8_t *out, size_t cap)
{
    struct header header;
    uint8_t inside[INSIDE_MOST];

    if (cap < seal_message_bound(to, form, flags, len))
        return SEAL_NO_ROOM;
    if (!header_cut(data, len, &header) || needs_a_look(&header, data, len, behind)
        || !header_outside(data, &header, out))
        return SEAL_NEEDS_HEAD;
    if (!header_inside(data, &header, inside)) { /* somebody changes the message */
        wipe(inside, sizeof inside);
        return SEAL_NEEDS_HEAD;
    }
    size_t written = header.outside_len;
    uint64_t content = flags & SEAL_OPEN ? 0 : header.inside_len + size - header.end;
    int64_t count = seal_begin_to(seal, to, form, infos, flags, content);
    if (count >= 0)
        count = seal_inside(seal, inside, header.inside_len, out + written, cap - written);
    wipe(inside, header.inside_len);
    if (count < 0)
        return count;
    written += (size_t)count;
    count = seal_update(seal, data + header.end, len - header.end, out + written, cap - written);
    return count < 0 ? count : (int64_t)written + count;
}
