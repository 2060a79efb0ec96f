/* AES-CBC of one message, and between its rounds the search for bare line feeds and base64. In CBC
 * each round waits for the one before. What the processor does in the meantime costs no time, but
 * it looks only some hundred instructions ahead: so the work is interleaved line by line. */
#ifndef CMSTREAM_LINES_H
#define CMSTREAM_LINES_H

#include "aes/aes.h"
#include "base64/base64.h"

enum {
    LINES_BLOCKS = BASE64_LINE_IN / AES_BLOCK,
    LINES_LAG = 3 * BASE64_LINE_IN, /* from what is encrypted back to what is encoded */
};

_Static_assert(LINES_BLOCKS * AES_BLOCK == BASE64_LINE_IN,
               "a kernel encrypts whole blocks for each line: with a part of one it would lose it");


struct lines_kernel {
    struct kernel_id id;
    /* Encrypts LINES_BLOCKS blocks for each of `lines`, and writes as many lines of base64 to
     * `text`. They encode the octets from `ready` on, which begin at least LINES_LAG octets before
     * lane->out and may go on into what this call encrypts. The key has 10 or 14 rounds. Gives
     * whether a line feed of the input is bare: so the octet before the input must be readable. */
    bool (*cbc)(struct lane *lane, size_t lines, const uint8_t *ready, uint8_t *text);
};

/* The best row that this machine allows; NULL where there is none. */
const struct lines_kernel *lines_kernel(void);

#if defined(__x86_64__)
extern const struct lines_kernel lines_avx512vbmi, lines_avx2, lines_ssse3;
#endif

#endif
