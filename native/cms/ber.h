/* A walk through the BER encoding (ITU-T X.690) of a ContentInfo that holds EnvelopedData (RFC 5652
 * section 6.1) or AuthEnvelopedData (RFC 5083), in pieces of any size: it finds the encrypted
 * content, in segments or not. What comes before the content isn't interpreted. */
#ifndef CMSTREAM_BER_H
#define CMSTREAM_BER_H

#include "common.h"

enum {
    /* Elements inside each other. EnvelopedData needs some twelve, with an issuer's name and
     * attributes; strings in segments of segments are right and written by nobody. */
    BER_MOST_DEPTH = 32,
};

enum ber_error {
    BER_MALFORMED = -1,
    BER_TOO_DEEP = -2,
};

/* What the walk comes to next. */
enum ber_event {
    BER_MORE,    /* the end of the input */
    BER_CONTENT, /* the beginning of the encrypted content, or where it would be: all before it has
                    been passed */
    BER_RUN,     /* octets of the encrypted content */
    BER_BEHIND,  /* the end of what holds that: all from here to BER_END follows it */
    BER_END,     /* the end of the ContentInfo: what follows isn't its own */
};

struct ber {
    uint64_t at;                         /* octets passed so far */
    uint64_t end[BER_MOST_DEPTH + 1];    /* of each element around, UINT64_MAX: not known yet */
    uint64_t limit[BER_MOST_DEPTH + 1];  /* the nearest end that is known */
    uint64_t left;                       /* octets of the element itself still to come */
    uint64_t length;                     /* as far as it has been read */
    unsigned depth;                      /* elements around */
    unsigned free_depth;                 /* the one around in which anything goes; 0: none */
    unsigned content_depth;              /* that of the encrypted content, once it is there */
    unsigned length_octets;              /* of the length, still to come */
    unsigned place;                      /* what was passed last of what must come in order */
    uint8_t tag;
    uint8_t state;
    bool behind;     /* BER_BEHIND has been told */
    bool absent;     /* there is no encrypted content: it is OPTIONAL */
    bool indefinite; /* an element had no length: not DER */
};

void ber_begin(struct ber *ber);

/* Walks on from *in, which it moves; the octets of a run lie in front of the new *in. Gives an enum
 * ber_event or an enum ber_error; after an error or the end it must not be called again. */
int ber_walk(struct ber *ber, const uint8_t **in, const uint8_t *in_end, size_t *run);

#endif
