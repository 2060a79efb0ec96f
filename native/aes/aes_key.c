/* The key schedule that the rows share (FIPS 197 section 5.2), and how it leaves no secret
 * behind. */
#include "aes_rows.h"

#include <stdlib.h>

void aes_refuse_key(void)
{
    abort();
}

__attribute__((noinline)) void aes_wipe_stack(void)
{
    uint8_t frames[4096];
    wipe(frames, sizeof frames);
    cpu_wipe_registers();
}

__attribute__((noinline)) static void expand_words(struct aes_key *key, const uint8_t *octets,
                                                   size_t len, uint32_t (*substitute)(uint32_t))
{
    uint8_t *words = (uint8_t *)key->round;
    uint32_t word = (uint32_t)aes_load(octets + len - 4, 4), constant = 1;

    key->rounds = (unsigned)len / 4 + 6;
    memcpy(words, octets, len);
    for (size_t at = len; at < AES_BLOCK * (key->rounds + 1); at += 4) {
        if (at % len == 0) {
            word = substitute(word >> 8 | word << 24) ^ constant;
            constant = constant << 1 ^ (constant >> 7) * 0x11b;
        } else if (len == 32 && at % len == 16) {
            word = substitute(word);
        }
        word ^= (uint32_t)aes_load(words + at - len, 4);
        aes_store(words + at, 4, word);
    }
}

void aes_expand_words(struct aes_key *key, const uint8_t *octets, size_t len,
                      uint32_t (*substitute)(uint32_t word))
{
    expand_words(key, octets, len, substitute);
    aes_wipe_stack();
}

static void exchange(uint8_t a[AES_BLOCK], uint8_t b[AES_BLOCK])
{
    for (unsigned i = 0; i < AES_BLOCK; i += 8) {
        uint64_t word = aes_load(a + i, 8);
        aes_store(a + i, 8, aes_load(b + i, 8));
        aes_store(b + i, 8, word);
    }
}

__attribute__((noinline)) static void invert_key(struct aes_key *key, void (*unmix)(uint8_t *))
{
    for (unsigned i = 0; i < key->rounds / 2; i++)
        exchange(key->round[i], key->round[key->rounds - i]);
    for (unsigned i = 1; i < key->rounds; i++)
        unmix(key->round[i]);
}

void aes_invert_key(struct aes_key *key, void (*unmix)(uint8_t octets[AES_BLOCK]))
{
    invert_key(key, unmix);
    aes_wipe_stack();
}
