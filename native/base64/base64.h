/* Base64 (RFC 4648). Written in lines of 64 characters, each ended by CRLF: 48 octets in, 66 out.
 * Read in lines of any length, or none. */
#ifndef CMSTREAM_BASE64_H
#define CMSTREAM_BASE64_H

#include "common.h"

enum { BASE64_LINE_IN = 48, BASE64_LINE_OUT = 66 };

/* Between two calls: the octets of the line that isn't full yet. */
struct base64 {
    uint8_t carry[BASE64_LINE_IN];
    unsigned fill; /* 0 to 47 */
};

/* What is left of a text to decode, and of the room for its octets. */
struct base64_text {
    const uint8_t *in, *in_end;
    uint8_t *out, *out_end;
};

/* Octets that don't fill a line of the processor's cache yet; they belong in front of what comes
 * next. */
enum { CACHE_LINE = 64 };
struct cache_rest {
    uint8_t octets[CACHE_LINE];
    unsigned count; /* 0 to 63 */
};

struct base64_kernel {
    const char *name;
    uint32_t needs;
    /* Writes exactly 66 octets for each line of 48, and reads and writes no octet beside them. */
    void (*lines)(const uint8_t *in, size_t lines, uint8_t *out);
    /* The same past the cache, for what isn't read again soon, so that what lay in its room before
     * needn't be fetched; the last octets wait in `rest`. NULL where that can't be had. */
    void (*lines_past_cache)(struct cache_rest *rest, const uint8_t *in, size_t lines,
                             uint8_t *out);
    /* Decodes groups of four characters, with white space anywhere among them, as long as there are
     * whole ones and room for their three octets; stops before a group in which there is something
     * else. May scribble on what it leaves of the room. */
    void (*decode)(struct base64_text *text);
};

const struct base64_kernel *base64_kernel(void);
const struct base64_kernel *base64_kernel_at(unsigned index); /* as aes_kernel_at */

/* What `len` octets come to when they stand alone: whole lines, then a shorter last one. */
uint64_t base64_size(uint64_t len);

/* Gives out the lines that `in` makes full, (fill + len) / 48 of them; the rest is carried. */
size_t base64_update(struct base64 *state, const uint8_t *in, size_t len, uint8_t *out);

/* The same past the cache where that can be had and nothing is carried yet: some of what it gives
 * out waits in `rest`, until base64_settle writes that to its place in front of `end`. Before the
 * lines are read by others, base64_fence. */
size_t base64_update_past_cache(struct base64 *state, struct cache_rest *rest, const uint8_t *in,
                                size_t len, uint8_t *out);
void base64_settle(struct cache_rest *rest, uint8_t *end);
void base64_fence(void);

/* Gives out the last, shorter line with its padding and CRLF; nothing when nothing is carried. */
size_t base64_finish(struct base64 *state, uint8_t *out);

/* --- decoding --------------------------------------------------------------------------------- */

/* Between two calls of base64_decode; zeros at first. An octet is given out as soon as all its bits
 * are there, so none is carried. */
struct unbase64 {
    uint32_t bits;    /* of the group begun; those of octets given out are still among them */
    unsigned fill;    /* its characters, 0 to 3 */
    unsigned padding; /* its '=', 0 to 2; at four with the characters the padding is complete */
};

enum base64_state {
    BASE64_MORE,    /* the text ended; or the room did, and *in is at a character that needs some */
    BASE64_PADDED,  /* the text ended, its padding is complete: only white space may follow */
    BASE64_STOPPED, /* *in is at a character that mustn't stand there */
};

/* Decodes from *in, which it moves on, until the text or the room ends, or to the first character
 * that isn't base64 where it stands. White space (space, tab, CR, LF, FF, VT) is passed over
 * anywhere. Gives the octets written: they may end anywhere in a group, so that any room is filled.
 * Reads nothing from in_end on; writes nothing past `cap` octets, but may scribble on those of them
 * that it doesn't fill. `in` and `out` mustn't overlap. The time depends on what is decoded, which
 * is to be ciphertext. */
size_t base64_decode(struct unbase64 *state, const uint8_t **in, const uint8_t *in_end,
                     uint8_t *out, size_t cap, enum base64_state *how);

/* Whether the text may end here: after whole groups, complete padding, or two or three characters
 * whose padding was left out altogether, as some programs do. All its octets were given out. */
bool base64_decode_finish(const struct unbase64 *state);

#endif
