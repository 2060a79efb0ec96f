/* AES-CBC with PKCS #7 padding as a stream (RFC 5652 section 6.3): head, loop, tail. */
#ifndef CMSTREAM_CBC_H
#define CMSTREAM_CBC_H

#include "aes.h"

/* Secret: wipe it. */
struct cbc {
    struct aes_key key;
    struct lane lane;
    const struct aes_kernel *kernel;
    uint8_t block[AES_BLOCK]; /* the octets that don't fill a block yet */
    unsigned held;            /* 0 to 15 */
};

void cbc_begin(struct cbc *cbc, const uint8_t *key, size_t key_len, const uint8_t *iv);

/* Encrypts the (held + len) / 16 blocks that `in` makes full, holds the rest back, and gives the
 * number of octets written. */
size_t cbc_update(struct cbc *cbc, const uint8_t *in, size_t len, uint8_t *out);

/* Writes the padded last block, 16 octets. */
size_t cbc_finish(struct cbc *cbc, uint8_t *out);

#endif
