#include "whole.h"

#include "mail/sealed_label.h"

/* What a message without a MIME-Version inside gets (RFC 2045 section 4). */
static const char mime_version[] = "MIME-Version: 1.0\r\n";
enum { MIME_VERSION = sizeof mime_version - 1 };

/* A SEQUENCE of 128 octets or more is no text. */
static bool is_binary(const uint8_t *in, size_t len)
{
    return len > 1 && in[0] == 0x30 && in[1] >= 0x80;
}

/* Finds out where the CMS begins, and in which form. */
static bool find_start(struct whole *whole, size_t len, unsigned *form)
{
    whole->header = (struct header){0};
    *form = is_binary(whole->in, len) ? OPEN_BINARY : OPEN_BASE64;
    return *form == OPEN_BINARY
           || (header_cut(whole->in, len, &whole->header)
               && sealed_label_is_plain(whole->in, &whole->header));
}

/* Reads up to the content, and hardly any of that; without a key nothing comes out. */
static bool read_head(struct whole *whole, unsigned form)
{
    enum { PART = 2 << 10 };
    struct open *open = &whole->open;
    size_t taken;

    open_begin(open, form);
    open_head(open, whole->head, sizeof whole->head);
    while (whole->rest_len && open_stage(open) == OPEN_HEAD) {
        const size_t part = min_size(whole->rest_len, PART);
        if (open_update(open, whole->rest, part, whole->head, SIZE_MAX, &taken) < 0)
            return false;
        whole->rest += taken;
        whole->rest_len -= taken;
    }
    return open_stage(open) == OPEN_WAIT && open_has_content(open);
}

const struct whole_found *whole_read(struct whole *whole, const uint8_t *in, size_t len,
                                     const struct recipient_names *names, bool message)
{
    struct whole_found *found = &whole->found;
    unsigned form;

    whole->in = in;
    whole->message = message;
    if (!find_start(whole, len, &form))
        return NULL;
    whole->rest = in + whole->header.end;
    whole->rest_len = len - whole->header.end;
    if (!read_head(whole, form)
        || !usual_head_read(whole->head, open_head_len(&whole->open), names, &whole->usual))
        return NULL;
    found->encrypted_key = whole->usual.encrypted_key;
    found->encrypted_key_len = whole->usual.encrypted_key_len;
    found->key_len = whole->usual.key_len;
    found->header_end = whole->header.end;
    found->content_at = message ? whole->header.outside_len + MIME_VERSION : 0;
    found->by_hand = false;
    found->bound = found->content_at + open_bound(&whole->open, whole->rest_len);
    return found;
}

/* Decrypts all; gives how many octets of content there are. */
static int64_t decrypt(struct whole *whole, const uint8_t *key, uint8_t *out, size_t cap)
{
    struct open *open = &whole->open;
    size_t taken;

    open_key(open, key, whole->usual.key_len, whole->usual.iv);
    int64_t count = open_update(open, whole->rest, whole->rest_len, out, cap, &taken);
    if (count < 0)
        return count;
    int64_t last = open_finish(open, out + count, cap - (size_t)count);
    return last < 0 ? last : count + last;
}

/* Puts the fields from outside in front of the content. */
static bool restore_header(const struct whole *whole, uint8_t *out, size_t content_len)
{
    const size_t at = whole->found.content_at;

    if (!sealed_entity_is_plain(out + at, content_len)
        || !header_outside(whole->in, &whole->header, out))
        return false;
    memcpy(out + at - MIME_VERSION, mime_version, MIME_VERSION);
    return true;
}

int64_t whole_open(struct whole *whole, const uint8_t *key, uint8_t *out, size_t cap)
{
    struct whole_found *found = &whole->found;

    if (cap < found->bound)
        return OPEN_NO_ROOM;
    int64_t count = decrypt(whole, key, out + found->content_at, cap - found->content_at);
    if (count < 0)
        return count;
    found->by_hand = whole->message && !restore_header(whole, out, (size_t)count);
    return (int64_t)found->content_at + count;
}
