/* The rows of the table of AES kernels; for aes.c and the files that define them. */
#ifndef CMSTREAM_AES_ROWS_H
#define CMSTREAM_AES_ROWS_H

#include "aes.h"
#include "cpu.h"

extern const struct aes_kernel aes_portable;
#if defined(__x86_64__)
extern const struct aes_kernel aes_aesni;
#endif
#if defined(__aarch64__)
extern const struct aes_kernel aes_armaes;
#endif

/* FIPS 197's key expansion in constant time; rows without a faster one share it. */
void aes_portable_expand(struct aes_key *key, const uint8_t *octets, size_t len);

#endif
