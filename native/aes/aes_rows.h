/* The rows of the table of AES kernels, and what they share; for aes.c and the files that define
 * them. */
#ifndef CMSTREAM_AES_ROWS_H
#define CMSTREAM_AES_ROWS_H

#include "aes.h"
#include "cpu.h"

extern const struct aes_kernel aes_portable;
#if defined(__x86_64__)
extern const struct aes_kernel aes_aesni, aes_aesni8, aes_vaes256, aes_vaes512;

void aes_expand_aesni(struct aes_key *key, const uint8_t *octets, size_t len);
void aes_expand_inverse_aesni(struct aes_key *key, const uint8_t *octets, size_t len);

/* cbc_decrypt of the rows; each leaves to a narrower one what doesn't fill its registers. */
void aes_decrypt_aesni(const struct aes_key *key, uint8_t *chain, const uint8_t *in, size_t blocks,
                       uint8_t *out);
void aes_decrypt_vaes256(const struct aes_key *key, uint8_t *chain, const uint8_t *in,
                         size_t blocks, uint8_t *out);
void aes_decrypt_vaes512(const struct aes_key *key, uint8_t *chain, const uint8_t *in,
                         size_t blocks, uint8_t *out);
#endif
#if defined(__aarch64__)
extern const struct aes_kernel aes_armaes, aes_armaes4;
#endif

/* FIPS 197's key expansion (section 5.2) by a row's own SubBytes of a word's four octets; wipes the
 * stack. */
void aes_expand_words(struct aes_key *key, const uint8_t *octets, size_t len,
                      uint32_t (*substitute)(uint32_t word));

/* Makes an expanded key one for decryption, by a row's own InvMixColumns of one round key; wipes
 * the stack. */
void aes_invert_key(struct aes_key *key, void (*unmix)(uint8_t octets[AES_BLOCK]));

/* Forgets what a function that the caller has called before left on the stack: its variables and,
 * what nothing else can reach, the compiler's copies of them. 4 KiB of it. */
void aes_wipe_stack(void);

/* Little-endian, `len` octets (at most 8). */
static inline uint64_t aes_load(const uint8_t *octets, unsigned len)
{
    uint64_t word = 0;
    for (unsigned i = 0; i < len; i++)
        word |= (uint64_t)octets[i] << (8 * i);
    return word;
}

static inline void aes_store(uint8_t *octets, unsigned len, uint64_t word)
{
    for (unsigned i = 0; i < len; i++)
        octets[i] = (uint8_t)(word >> (8 * i));
}

#endif
