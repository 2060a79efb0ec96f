/* AES-CBC of one message with its other work beside it: the look for bare line feeds and the lines
 * of base64. The rounds of a chain wait for each other, and all that a processor can see while it
 * waits costs nothing; since it sees some hundred instructions ahead, the work goes line by line. */
#ifndef CMSTREAM_LINES_H
#define CMSTREAM_LINES_H

#include "aes/aes.h"
#include "base64/base64.h"

enum {
    LINES_BLOCKS = BASE64_LINE_IN / AES_BLOCK,
    LINES_LAG = 3 * BASE64_LINE_IN, /* from what is encrypted to what is encoded beside it */
};

struct lines_kernel {
    const char *name;
    uint32_t needs;
    /* Encrypts 3 blocks for each of `lines`, and beside it writes so many lines of base64 to
     * `text`, made of what stands at `ready`, which is LINES_LAG octets before lane->out or more
     * and may run into what this call encrypts. Gives whether a line feed of the input is bare;
     * the octet in front of the input must be there. */
    bool (*cbc)(struct lane *lane, size_t lines, const uint8_t *ready, uint8_t *text);
};

/* The best row that cpu_features() allows; NULL where there is none. */
const struct lines_kernel *lines_kernel(void);

#if defined(__x86_64__)
extern const struct lines_kernel lines_avx512vbmi, lines_avx2, lines_ssse3;
#endif

#endif
