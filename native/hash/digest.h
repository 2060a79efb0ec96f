/* SHA-1 and SHA-2 (FIPS 180-4): a digest that is hashed again and again, for the key derivation of
 * PKCS #12, and SHA-256 of octets in memory, for the masks of OAEP. No branch and no index depends
 * on what is hashed. */
#ifndef CMSTREAM_DIGEST_H
#define CMSTREAM_DIGEST_H

#include "common.h"

/* [python] */
enum digest_name {
    DIGEST_SHA1,
    DIGEST_SHA224,
    DIGEST_SHA256,
    DIGEST_SHA384,
    DIGEST_SHA512,
    DIGEST_SHA512_224,
    DIGEST_SHA512_256,
    DIGESTS,
};

/* Replaces a digest by its own digest, so many times. `name` is an enum digest_name; what is in
 * `digest` has its length. */
void digest_again(unsigned name, uint8_t *digest, uint64_t times);
/* [end] */

enum { SHA256_SIZE = 32 };

void sha256(const uint8_t *octets, size_t len, uint8_t hash[SHA256_SIZE]);

#endif
