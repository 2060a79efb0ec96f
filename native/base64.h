/* Base64 (RFC 4648) in lines of 64 characters, each ended by CRLF: 48 octets in, 66 out. */
#ifndef CMSTREAM_BASE64_H
#define CMSTREAM_BASE64_H

#include "common.h"

enum { BASE64_LINE_IN = 48, BASE64_LINE_OUT = 66 };

/* Between two calls: the octets of the line that isn't full yet. */
struct base64 {
    uint8_t carry[BASE64_LINE_IN];
    unsigned fill; /* 0 to 47 */
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

#endif
