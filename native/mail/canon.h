/* Canonical line ends (RFC 8551 section 3.1.1): a bare LF becomes CRLF; a lone CR stays. */
#ifndef CMSTREAM_CANON_H
#define CMSTREAM_CANON_H

#include "common.h"

/* How many line feeds of `in` have no CR before them. `*last` is the octet before `in` (any but
 * CR at the start of a text) and becomes the last one of it. */
size_t canon_count(const uint8_t *in, size_t len, uint8_t *last);

/* Copies `in` to `out` with CRLF for each bare LF; at most 2 * len octets. Gives their number. */
size_t canon_copy(const uint8_t *in, size_t len, uint8_t *last, uint8_t *out);

#endif
