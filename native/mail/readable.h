/* Do octets look random, or can somebody read them? Which signs a script has, and how many of them
 * are too many, the caller says; four scripts are looked for at once. */
#ifndef CMSTREAM_READABLE_H
#define CMSTREAM_READABLE_H

#include "common.h"

/* [python] */
enum { READABLE_SCRIPTS = 4, READABLE_LONGEST = 128, READABLE_WINDOW = 4096 };

/* signs[octet] has 0xFFFF in the 16 bits of each script that it is a sign of. A number for each
 * script stands in 16 bits, too, from the lowest on; 0x7FFF for a script that isn't there. */

/* Counts the runs of a script's signs, in every `step`th octet from the first on and as if no octet
 * were 0, that are as long as `shortest` says, 1 to 0x4000, or longer: under
 * lengths[READABLE_LONGEST * script + length], those of READABLE_LONGEST and more under the last
 * one. Gives how many it has counted. */
size_t readable_runs(const uint64_t *signs, uint64_t shortest, const uint8_t *octets, size_t len,
                     size_t step, uint32_t *lengths);

/* Whether one window of so many octets, 4096 at most, has more signs of a script than `most` says;
 * `most_of_last`: than the last one may have, which may be shorter. */
int readable_share(const uint64_t *signs, uint64_t most, uint64_t most_of_last,
                   const uint8_t *octets, size_t len, size_t window);

/* Where the next window begins, at `at` or a multiple of READABLE_WINDOW behind it, that Deflate
 * may make shorter: some octets are more frequent, or three come again more often, than in all but
 * a few in ten thousand that are random. `len` where there is none. The last window may be shorter;
 * one of fewer than 64 octets is never meant. */
size_t readable_suspect(const uint8_t *octets, size_t len, size_t at);
/* [end] */

#endif
