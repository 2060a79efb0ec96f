#include "aes_rows.h"

/* Widest first: what comes later has fewer lanes or is slower for as many. */
static const struct aes_kernel *const rows[] = {
#if defined(__x86_64__)
    &aes_vaes512,
    &aes_vaes256,
    &aes_aesni8,
    &aes_aesni,
#endif
#if defined(__aarch64__)
    &aes_armaes4,
    &aes_armaes,
#endif
    &aes_portable,
};

enum { ROWS = sizeof rows / sizeof rows[0] };

const struct aes_kernel *aes_kernel_at(unsigned index)
{
    uint32_t features = cpu_features();

    for (unsigned i = 0; i < ROWS; i++)
        if ((rows[i]->needs & ~features) == 0 && index-- == 0)
            return rows[i];
    return NULL;
}

/* The narrowest of the good rows that takes them all, the best of several alike; a call takes as long
 * for one lane as for all. The portable one is used only where it is alone. */
const struct aes_kernel *aes_kernel_for(unsigned count)
{
    const struct aes_kernel *found = aes_kernel_at(0), *next = found;

    for (unsigned i = 1; next != &aes_portable && next->lanes >= count; i++) {
        if (next->lanes < found->lanes)
            found = next;
        next = aes_kernel_at(i);
    }
    return found;
}

const struct aes_kernel *aes_kernel(void)
{
    return aes_kernel_for(1);
}

/* Wider rows have more of one message's blocks under way. */
const struct aes_kernel *aes_decrypt_kernel(void)
{
    return aes_kernel_at(0);
}

/* All of the same number of rounds. */
static void cbc_alike(struct lane *const lane[], unsigned count, size_t blocks)
{
    for (unsigned part; count; lane += part, count -= part) {
        const struct aes_kernel *kernel = aes_kernel_for(count);
        part = (unsigned)min_size(count, kernel->lanes);
        kernel->cbc(lane, part, blocks);
    }
}

void aes_cbc(struct lane *const lane[], unsigned count, size_t blocks)
{
    struct lane *longer[AES_MOST_LANES], *shorter[AES_MOST_LANES];
    unsigned long_keys = 0, short_keys = 0;

    for (unsigned i = 0; i < count; i++) {
        if (lane[i]->key->rounds == 14)
            longer[long_keys++] = lane[i];
        else
            shorter[short_keys++] = lane[i];
    }
    cbc_alike(longer, long_keys, blocks);
    cbc_alike(shorter, short_keys, blocks);
}

/* --- what the rows share ---------------------------------------------------------------------- */

__attribute__((noinline)) void aes_wipe_stack(void)
{
    uint8_t frames[4096];
    wipe(frames, sizeof frames);
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

/* --- known answers ---------------------------------------------------------------------------- */

enum { KNOWN_LEN = 4 * AES_BLOCK };

/* NIST SP 800-38A, F.2.1 to F.2.6. */
struct known_answer {
    size_t key_len;
    uint8_t key[AES_MAX_KEY];
    uint8_t cipher[KNOWN_LEN];
};

static const struct known_answer known_answers[] = {
    {16,
     {0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6,
      0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c},
     {0x76, 0x49, 0xab, 0xac, 0x81, 0x19, 0xb2, 0x46,
      0xce, 0xe9, 0x8e, 0x9b, 0x12, 0xe9, 0x19, 0x7d,
      0x50, 0x86, 0xcb, 0x9b, 0x50, 0x72, 0x19, 0xee,
      0x95, 0xdb, 0x11, 0x3a, 0x91, 0x76, 0x78, 0xb2,
      0x73, 0xbe, 0xd6, 0xb8, 0xe3, 0xc1, 0x74, 0x3b,
      0x71, 0x16, 0xe6, 0x9e, 0x22, 0x22, 0x95, 0x16,
      0x3f, 0xf1, 0xca, 0xa1, 0x68, 0x1f, 0xac, 0x09,
      0x12, 0x0e, 0xca, 0x30, 0x75, 0x86, 0xe1, 0xa7}},
    {24,
     {0x8e, 0x73, 0xb0, 0xf7, 0xda, 0x0e, 0x64, 0x52,
      0xc8, 0x10, 0xf3, 0x2b, 0x80, 0x90, 0x79, 0xe5,
      0x62, 0xf8, 0xea, 0xd2, 0x52, 0x2c, 0x6b, 0x7b},
     {0x4f, 0x02, 0x1d, 0xb2, 0x43, 0xbc, 0x63, 0x3d,
      0x71, 0x78, 0x18, 0x3a, 0x9f, 0xa0, 0x71, 0xe8,
      0xb4, 0xd9, 0xad, 0xa9, 0xad, 0x7d, 0xed, 0xf4,
      0xe5, 0xe7, 0x38, 0x76, 0x3f, 0x69, 0x14, 0x5a,
      0x57, 0x1b, 0x24, 0x20, 0x12, 0xfb, 0x7a, 0xe0,
      0x7f, 0xa9, 0xba, 0xac, 0x3d, 0xf1, 0x02, 0xe0,
      0x08, 0xb0, 0xe2, 0x79, 0x88, 0x59, 0x88, 0x81,
      0xd9, 0x20, 0xa9, 0xe6, 0x4f, 0x56, 0x15, 0xcd}},
    {32,
     {0x60, 0x3d, 0xeb, 0x10, 0x15, 0xca, 0x71, 0xbe,
      0x2b, 0x73, 0xae, 0xf0, 0x85, 0x7d, 0x77, 0x81,
      0x1f, 0x35, 0x2c, 0x07, 0x3b, 0x61, 0x08, 0xd7,
      0x2d, 0x98, 0x10, 0xa3, 0x09, 0x14, 0xdf, 0xf4},
     {0xf5, 0x8c, 0x4c, 0x04, 0xd6, 0xe5, 0xf1, 0xba,
      0x77, 0x9e, 0xab, 0xfb, 0x5f, 0x7b, 0xfb, 0xd6,
      0x9c, 0xfc, 0x4e, 0x96, 0x7e, 0xdb, 0x80, 0x8d,
      0x67, 0x9f, 0x77, 0x7b, 0xc6, 0x70, 0x2c, 0x7d,
      0x39, 0xf2, 0x33, 0x69, 0xa9, 0xd9, 0xba, 0xcf,
      0xa5, 0x30, 0xe2, 0x63, 0x04, 0x23, 0x14, 0x61,
      0xb2, 0xeb, 0x05, 0xe2, 0xc3, 0x9b, 0xe9, 0xfc,
      0xda, 0x6c, 0x19, 0x07, 0x8c, 0x6a, 0x9d, 0x1b}},
};

static const uint8_t known_plain[KNOWN_LEN] = {
    0x6b, 0xc1, 0xbe, 0xe2, 0x2e, 0x40, 0x9f, 0x96,
    0xe9, 0x3d, 0x7e, 0x11, 0x73, 0x93, 0x17, 0x2a,
    0xae, 0x2d, 0x8a, 0x57, 0x1e, 0x03, 0xac, 0x9c,
    0x9e, 0xb7, 0x6f, 0xac, 0x45, 0xaf, 0x8e, 0x51,
    0x30, 0xc8, 0x1c, 0x46, 0xa3, 0x5c, 0xe4, 0x11,
    0xe5, 0xfb, 0xc1, 0x19, 0x1a, 0x0a, 0x52, 0xef,
    0xf6, 0x9f, 0x24, 0x45, 0xdf, 0x4f, 0x9b, 0x17,
    0xad, 0x2b, 0x41, 0x7b, 0xe6, 0x6c, 0x37, 0x10,
};

/* The same message in every lane, since each may fail by itself. */
static bool encrypts(const struct aes_kernel *kernel, const struct known_answer *answer)
{
    uint8_t out[AES_MOST_LANES][KNOWN_LEN];
    struct aes_key key;
    struct lane lanes[AES_MOST_LANES], *lane[AES_MOST_LANES];

    kernel->expand(&key, answer->key, answer->key_len);
    for (unsigned i = 0; i < kernel->lanes; i++) {
        lanes[i] = (struct lane){.in = known_plain, .out = out[i], .key = &key};
        for (unsigned j = 0; j < AES_BLOCK; j++)
            lanes[i].chain[j] = (uint8_t)j;
        lane[i] = &lanes[i];
    }
    kernel->cbc(lane, kernel->lanes, KNOWN_LEN / AES_BLOCK);
    for (unsigned i = 0; i < kernel->lanes; i++)
        if (memcmp(out[i], answer->cipher, KNOWN_LEN) != 0)
            return false;
    return true;
}

/* The message again and again, so that wide code and what it leaves to narrower code both work.
 * What is before it is its own last block then, no longer the IV. */
static bool decrypts(const struct aes_kernel *kernel, const struct known_answer *answer)
{
    enum { TIMES = 23 }; /* 92 blocks: two steps of 32, one of 16 and of 8, four alone */
    const uint8_t *last = answer->cipher + KNOWN_LEN - AES_BLOCK;
    uint8_t text[TIMES][KNOWN_LEN], chain[AES_BLOCK];
    struct aes_key key;
    bool good = true;

    for (unsigned i = 0; i < TIMES; i++)
        memcpy(text[i], answer->cipher, KNOWN_LEN);
    for (unsigned i = 0; i < AES_BLOCK; i++)
        chain[i] = (uint8_t)i;
    kernel->expand_inverse(&key, answer->key, answer->key_len);
    kernel->cbc_decrypt(&key, chain, text[0], sizeof text / AES_BLOCK, text[0]);
    for (unsigned i = 0; i < TIMES; i++) {
        for (unsigned j = 0; i && j < AES_BLOCK; j++)
            text[i][j] ^= (uint8_t)(last[j] ^ j);
        good &= memcmp(text[i], known_plain, KNOWN_LEN) == 0;
    }
    return good && memcmp(chain, last, AES_BLOCK) == 0;
}

bool aes_known_answer(const struct aes_kernel *kernel)
{
    bool good = true;

    for (unsigned i = 0; i < sizeof known_answers / sizeof known_answers[0]; i++) {
        good &= known_answers[i].key_len == 24 || encrypts(kernel, &known_answers[i]);
        good &= decrypts(kernel, &known_answers[i]);
    }
    return good;
}
