/* CBC decryption. Round keys are read in place: no copy in memory has to be wiped. */
#include "aes/aes_rows.h"

#if defined(__x86_64__)
#include "aes_ops.h"

/* --- one block in a register: see aes_ops.h too ----------------------------------------------- */

TARGET_1 static inline vector_1 load_1(const uint8_t *octets)
{
    return load(octets);
}

TARGET_1 static inline void store_1(uint8_t *octets, vector_1 value)
{
    store(octets, value);
}

/* One block in all places. */
TARGET_1 static inline vector_1 spread_1(const uint8_t *octets)
{
    return load(octets);
}

/* The highest block of `last`, and all of `next` but its highest. */
TARGET_1 static inline vector_1 behind_1(vector_1 last, vector_1 next)
{
    (void)next;
    return last;
}

TARGET_1 static inline __m128i highest_1(vector_1 value)
{
    return value;
}

TARGET_1 static inline vector_1 middle_inverse_1(vector_1 state, vector_1 key)
{
    return _mm_aesdec_si128(state, key);
}

TARGET_1 static inline vector_1 last_inverse_1(vector_1 state, vector_1 key)
{
    return _mm_aesdeclast_si128(state, key);
}

/* --- two -------------------------------------------------------------------------------------- */

TARGET_2 static inline vector_2 load_2(const uint8_t *octets)
{
    return _mm256_loadu_si256((const void *)octets);
}

TARGET_2 static inline void store_2(uint8_t *octets, vector_2 value)
{
    _mm256_storeu_si256((void *)octets, value);
}

TARGET_2 static inline vector_2 spread_2(const uint8_t *octets)
{
    return _mm256_broadcastsi128_si256(load(octets));
}

TARGET_2 static inline vector_2 behind_2(vector_2 last, vector_2 next)
{
    return _mm256_permute2x128_si256(last, next, 0x21);
}

TARGET_2 static inline __m128i highest_2(vector_2 value)
{
    return _mm256_extracti128_si256(value, 1);
}

TARGET_2 static inline vector_2 middle_inverse_2(vector_2 state, vector_2 key)
{
    return _mm256_aesdec_epi128(state, key);
}

TARGET_2 static inline vector_2 last_inverse_2(vector_2 state, vector_2 key)
{
    return _mm256_aesdeclast_epi128(state, key);
}

/* --- four ------------------------------------------------------------------------------------- */

TARGET_4 static inline vector_4 load_4(const uint8_t *octets)
{
    return _mm512_loadu_si512(octets);
}

TARGET_4 static inline void store_4(uint8_t *octets, vector_4 value)
{
    _mm512_storeu_si512(octets, value);
}

TARGET_4 static inline vector_4 spread_4(const uint8_t *octets)
{
    return _mm512_broadcast_i32x4(load(octets));
}

TARGET_4 static inline vector_4 behind_4(vector_4 last, vector_4 next)
{
    return _mm512_alignr_epi64(next, last, 6);
}

TARGET_4 static inline __m128i highest_4(vector_4 value)
{
    return _mm512_extracti32x4_epi32(value, 3);
}

TARGET_4 static inline vector_4 middle_inverse_4(vector_4 state, vector_4 key)
{
    return _mm512_aesdec_epi128(state, key);
}

TARGET_4 static inline vector_4 last_inverse_4(vector_4 state, vector_4 key)
{
    return _mm512_aesdeclast_epi128(state, key);
}

/* --- what the rows take ----------------------------------------------------------------------- */

#define DECRYPT single
#define WIDTH 1
#define REGISTERS 1
#include "aes_decrypt_template.h"

#define DECRYPT eight
#define WIDTH 1
#define REGISTERS 8
#include "aes_decrypt_template.h"

#define DECRYPT vaes256
#define WIDTH 2
#define REGISTERS 8
#include "aes_decrypt_template.h"

#define DECRYPT vaes512
#define WIDTH 4
#define REGISTERS 8
#include "aes_decrypt_template.h"

/* Single blocks overlap without help: the processor runs them out of order. */
void aes_decrypt_aesni(const struct aes_key *key, uint8_t *chain, const uint8_t *in, size_t blocks,
                       uint8_t *out)
{
    const size_t done = eight(key, chain, in, blocks, out);
    (void)single(key, chain, in + done, blocks - done / AES_BLOCK, out + done);
    cpu_wipe_registers();
}

void aes_decrypt_vaes256(const struct aes_key *key, uint8_t *chain, const uint8_t *in,
                         size_t blocks, uint8_t *out)
{
    const size_t done = vaes256(key, chain, in, blocks, out);
    aes_decrypt_aesni(key, chain, in + done, blocks - done / AES_BLOCK, out + done);
}

void aes_decrypt_vaes512(const struct aes_key *key, uint8_t *chain, const uint8_t *in,
                         size_t blocks, uint8_t *out)
{
    const size_t done = vaes512(key, chain, in, blocks, out);
    aes_decrypt_vaes256(key, chain, in + done, blocks - done / AES_BLOCK, out + done);
}

#endif

/* Elsewhere this file is empty but for what ISO C asks of one. */
typedef int x86_aes_decrypt;
