/* The rows of the table of AES kernels, and what they share: for aes.c, which chooses among them,
 * and for the files that define them. */
#ifndef CMSTREAM_AES_ROWS_H
#define CMSTREAM_AES_ROWS_H

#include "aes.h"

extern const struct aes_kernel aes_portable;
#if defined(__x86_64__)
extern const struct aes_kernel aes_aesni, aes_aesni8, aes_vaes256, aes_vaes512;

void aes_expand_aesni(struct aes_key *key, const uint8_t *octets, size_t len);
void aes_expand_inverse_aesni(struct aes_key *key, const uint8_t *octets, size_t len);

/* cbc_decrypt of the rows. Each leaves to a narrower one the blocks that don't fill its
 * registers. */
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

/* Ends the process: the key is of a length for which the row has no code. seal_begin and
 * seal_plan_sizes refuse such keys with an error, so that only a mistake in this library comes here; to
 * go on would write mail that nobody can read. */
__attribute__((noreturn, cold)) void aes_refuse_key(void);

/* FIPS 197's key expansion (section 5.2) of 16, 24 or 32 octets. `substitute` is the row's own
 * SubBytes of four octets. Wipes the stack. */
void aes_expand_words(struct aes_key *key, const uint8_t *octets, size_t len,
                      uint32_t (*substitute)(uint32_t word));

/* Makes an expanded key one for decryption. `unmix` is the row's own InvMixColumns of one round
 * key. Wipes the stack. */
void aes_invert_key(struct aes_key *key, void (*unmix)(uint8_t octets[AES_BLOCK]));

/* Overwrites the 4 KiB of stack below the caller, and the vector registers. A function that it has
 * called before left its variables there, and copies that the compiler made of them, which no other
 * code can reach. */
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
