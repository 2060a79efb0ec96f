/* Base64 (RFC 4648). Written in lines of 64 characters, each ended by CRLF: 48 octets in, 66 out.
 * Read in lines of any length, or none. */
#ifndef CMSTREAM_BASE64_H
#define CMSTREAM_BASE64_H

#include "kernel.h"

enum { BASE64_COLUMNS = 64, BASE64_LINE_IN = 48, BASE64_LINE_OUT = 66 };

_Static_assert(BASE64_COLUMNS == 64 && BASE64_LINE_IN * 4 / 3 == BASE64_COLUMNS
               && BASE64_LINE_OUT == BASE64_COLUMNS + 2,
               "a kernel writes a line as registers that 64 characters fill, and CRLF");

/* An encoder between two calls: the octets of the line that isn't full yet. */
struct base64 {
    uint8_t carry[BASE64_LINE_IN];
    unsigned fill; /* 0 to 47 */
};

/* The text still to be decoded, and the room left for its octets. */
struct base64_text {
    const uint8_t *in, *in_end;
    uint8_t *out, *out_end;
};

/* Output that doesn't fill a line of the processor's cache yet. It belongs directly before what is
 * written next. */
enum { CACHE_LINE = 64 };
struct cache_rest {
    uint8_t octets[CACHE_LINE];
    unsigned count; /* 0 to 63 */
};

struct base64_kernel {
    struct kernel_id id;
    /* Reads 48 octets for each line and writes 66, and touches no others. */
    void (*lines)(const uint8_t *in, size_t lines, uint8_t *out);
    /* The same with stores that bypass the cache, for output that isn't read again soon: the
     * processor then doesn't load the old content of the output's memory. The last octets wait in
     * `rest`. NULL where there is no such code. */
    void (*lines_past_cache)(struct cache_rest *rest, const uint8_t *in, size_t lines,
                             uint8_t *out);
    /* Decodes groups of four characters, with white space anywhere between characters, as long as
     * there are whole groups and room for their three octets. Stops before a group with any other
     * character. May write anything to the rest of the room. */
    void (*decode)(struct base64_text *text);
};

/* The last is the portable one, which every machine allows. */
extern const struct kernel_id *const base64_kernels[];

/* Row `index` of base64_kernels among those that this machine allows; NULL past the last. */
const struct base64_kernel *base64_kernel_at(unsigned index);

/* The best row that this machine allows. */
const struct base64_kernel *base64_kernel(void);

/* Whether the row, one of base64_kernels, encodes and decodes as RFC 4648 section 4 says. */
bool base64_known_answer(const struct kernel_id *row);

/* The length of `len` octets encoded: whole lines, then a shorter last one. */
uint64_t base64_size(uint64_t len);

/* Writes the (fill + len) / 48 lines that `in` completes, and keeps the rest of `in` in `carry`.
 * Gives the number of octets written. */
size_t base64_update(struct base64 *state, const uint8_t *in, size_t len, uint8_t *out);

/* The same with stores that bypass the cache, where the kernel has them. Nothing may be carried
 * yet. The last octets wait in `rest` until base64_settle writes them to their place before `end`.
 * base64_fence must be called before another thread reads the lines. */
size_t base64_update_past_cache(struct base64 *state, struct cache_rest *rest, const uint8_t *in,
                                size_t len, uint8_t *out);
void base64_settle(struct cache_rest *rest, uint8_t *end);
void base64_fence(void);

/* Writes the last, shorter line with its padding and CRLF; nothing when nothing is carried. Gives
 * the number of octets written. */
size_t base64_finish(struct base64 *state, uint8_t *out);

/* --- decoding --------------------------------------------------------------------------------- */

/* A decoder between two calls of base64_decode; zeros at first. An octet is written as soon as all
 * its bits are known, so none is kept here. */
struct unbase64 {
    uint32_t bits;    /* of the group that has begun, including those already written */
    unsigned fill;    /* how many characters of the group came, 0 to 3 */
    unsigned padding; /* how many '=' came, 0 to 2; complete when fill + padding is 4 */
};

enum base64_state {
    BASE64_MORE,    /* the text ended; or the room did, and *in is at a character that needs it */
    BASE64_PADDED,  /* the text ended and its padding is complete: only white space may follow */
    BASE64_STOPPED, /* *in is at a character that isn't allowed there */
};

/* Decodes from *in until the text or the room ends, or to the first character that isn't allowed
 * where it stands, and moves *in there. White space (space, tab, CR, LF, FF, VT) is skipped
 * anywhere. Gives the number of octets written, which may end in the middle of a group: any room is
 * filled. Reads nothing from in_end on. Writes nothing past `cap` octets, but may write anything to
 * those of them that it doesn't fill. `in` and `out` mustn't overlap. The time depends on the text,
 * which must be public: ciphertext is. */
size_t base64_decode(struct unbase64 *state, const uint8_t **in, const uint8_t *in_end,
                     uint8_t *out, size_t cap, enum base64_state *how);

/* Whether the text may end here: after whole groups, after complete padding, or after two or three
 * characters without any padding, as some programs write them. */
bool base64_decode_finish(const struct unbase64 *state);

/* Decodes groups of four characters and nothing else: no white space, no padding. Gives 0 where there
 * is anything else. `out` has room for 3 octets of each group; they mean nothing then. */
int base64_groups(const uint8_t *in, size_t groups, uint8_t *out);

#endif
