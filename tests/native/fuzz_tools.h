/* What the targets have in common: memory, pieces, rows, the secret key, and what it must make of a
 * message. */
#ifndef CMSTREAM_FUZZ_TOOLS_H
#define CMSTREAM_FUZZ_TOOLS_H

#include "cpu.h"
#include "plain_open.h"

/* As long as it must be, so that the sanitizers see an octet too many. */
static inline uint8_t *exactly(size_t len)
{
    uint8_t *octets = malloc(len);
    CHECK(octets);
    return octets;
}

static inline uint8_t *copied(const uint8_t *from, size_t len)
{
    uint8_t *octets = exactly(len);
    if (len)
        memcpy(octets, from, len);
    return octets;
}

static inline bool begins(const struct octets *whole, const struct octets *part)
{
    return part->len <= whole->len && (!part->len || !memcmp(whole->at, part->at, part->len));
}

static inline bool equal(const struct octets *a, const struct octets *b)
{
    return a->len == b->len && begins(a, b);
}

/* An input whose end comes again and again, up to `most` octets: long ones of short inputs. */
static inline struct octets repeated(const uint8_t *in, size_t len, size_t end, unsigned times,
                                     size_t most)
{
    const size_t again = min_size(len, end);
    struct octets octets = {0};

    append(&octets, in, len);
    for (unsigned i = 0; i < times && octets.len + again <= most; i++)
        append(&octets, in + len - again, again);
    return octets;
}

/* --- pieces, and the rows that take them -------------------------------------------------------- */

/* Up to `most` of what is left. */
static inline size_t some(uint32_t *random, size_t most, size_t left)
{
    *random = *random * 1664525 + 1013904223;
    return (*random >> 8) % (min_size(most, left) + 1);
}

/* For cpu_restrict: every row is the best one of one of them. */
static const uint32_t masks[] = {
    ~0u,
    0,
    CPU_AESNI,
    CPU_AESNI | CPU_AVX2,
    CPU_AESNI | CPU_AVX2 | CPU_VAES256,
    CPU_AESNI | CPU_AVX2 | CPU_VAES256 | CPU_AVX512,
    CPU_AVX512,
    CPU_AESNI | CPU_AVX2 | CPU_AVX512 | CPU_VAES512,
};

/* --- the secret key ---------------------------------------------------------------------------- */

static const uint8_t secret[AES_MAX_KEY + 1] = "fuzzed with the very same octets";
static const uint8_t iv[AES_BLOCK + 1] = "and this before.";

static inline void forget(struct outcome *outcome)
{
    free(outcome->content.at);
    free(outcome->head.at);
    free(outcome->tail.at);
}

/* RFC 5652 section 6.3, in the plainest way. */
static inline bool unpad(struct octets *text)
{
    const size_t count = text->len ? text->at[text->len - 1] : 0;

    if (!count || count > AES_BLOCK || count > text->len)
        return false;
    for (size_t i = 1; i <= count; i++)
        if (text->at[text->len - i] != count)
            return false;
    text->len -= count;
    return true;
}

/* What a key makes of the outcome without one: by the portable row, all at once. */
static inline void decipher(struct outcome *expected, size_t key_len, const uint8_t *first)
{
    struct octets *content = &expected->content;
    const size_t blocks = content->len / AES_BLOCK;
    const bool whole = content->len % AES_BLOCK == 0;
    struct aes_key key;
    uint8_t chain[AES_BLOCK];

    cpu_restrict(0);
    memcpy(chain, first, AES_BLOCK);
    aes_decrypt_kernel()->expand_inverse(&key, secret, key_len);
    if (blocks)
        aes_decrypt_kernel()->cbc_decrypt(&key, chain, content->at, blocks, content->at);
    content->len = blocks * AES_BLOCK;
    if (!expected->error && (!whole || !unpad(content)))
        expected->error = OPEN_FAILED;
}

/* --- base64 ----------------------------------------------------------------------------------- */

static inline void append_group(struct octets *text, const uint8_t *in, size_t len)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = (uint32_t)in[0] << 16;
    uint8_t group[4];

    if (len > 1)
        bits |= (uint32_t)in[1] << 8;
    if (len > 2)
        bits |= in[2];
    for (size_t i = 0; i < 4; i++)
        group[i] = i <= len ? (uint8_t)alphabet[bits >> (18 - 6 * i) & 63] : '=';
    append(text, group, sizeof group);
}

#endif
