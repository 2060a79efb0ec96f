/* SHA-256 (FIPS 180-4) of octets in memory, for the masks of OAEP. No branch and no index depends
 * on what is hashed. */
#ifndef CMSTREAM_SHA256_H
#define CMSTREAM_SHA256_H

#include "common.h"

enum { SHA256_SIZE = 32 };

void sha256(const uint8_t *octets, size_t len, uint8_t hash[SHA256_SIZE]);

#endif
