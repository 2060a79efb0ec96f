/* The header block of a message (RFC 5322 section 2.2): where it ends, and which fields stay
 * outside when the rest is sealed. The rules are those of mime.py, octet for octet; headers
 * that need more than these rules are marked `special`, and Python decides. */
#ifndef CMSTREAM_HEADER_H
#define CMSTREAM_HEADER_H

#include "common.h"

/* [python] */
enum {
    HEADER_LIMIT = 4 << 20, /* the most octets of a header block, its blank line included */
    ABOVE_LIMIT = 4 << 10,  /* the most octets of the lines above the fields */
    HEADER_MOST = 16,       /* the most Content-* and MIME-Version fields that are noted */
};

/* A Content-* or MIME-Version field with its folded lines; only the first kind goes inside. */
struct mime_field {
    uint32_t start, end;
    bool inside;
};

struct header {
    size_t end;         /* the offset of the body's first octet */
    size_t fields_end;  /* the end of the last field, in front of the blank line */
    size_t outside_len; /* octets that header_outside writes */
    size_t inside_len;  /* octets that header_inside writes, blank line included */
    struct mime_field field[HEADER_MOST];
    unsigned field_count;
    bool canonical; /* every line ends in CRLF */
    bool suspect;   /* its type may be one of an encrypted message */
    bool special;   /* too many fields, a transfer encoding that may be binary, a byte order mark, or
                     * lines above the fields that don't all stay */
};

/* Cuts the header block of a whole message, at a carriage return without line feed at the latest.
 * False past HEADER_LIMIT. */
bool header_cut(const uint8_t *message, size_t len, struct header *header);

/* Write the fields that stay outside, without a blank line, and those that go inside with one; each
 * line ends in CRLF. Not for a special header. False where they don't come to the length that was
 * measured, since somebody has changed the message: no octet is written beyond it. */
bool header_outside(const uint8_t *message, const struct header *header, uint8_t *out);
bool header_inside(const uint8_t *message, const struct header *header, uint8_t *out);

/* Whether a body begins as an armoured OpenPGP message, in base64 or not. */
bool header_armoured(const uint8_t *body, size_t len);
/* [end] */

#endif
