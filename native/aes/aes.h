/* AES-CBC: the table of kernels, best row first. */
#ifndef CMSTREAM_AES_H
#define CMSTREAM_AES_H

#include "common.h"

enum { AES_BLOCK = 16, AES_MAX_KEY = 32 };

/* An expanded key in FIPS 197's own octet order, the same for every kernel. Secret: wipe it. */
struct aes_key {
    uint8_t round[15][AES_BLOCK];
    unsigned rounds; /* 10 or 14; of a key for decryption 12 too */
};

/* One message's place in a kernel. A kernel moves `in`, `out` and `chain` on as it works. */
struct lane {
    const uint8_t *in;
    uint8_t *out; /* may be `in` itself */
    const struct aes_key *key;
    uint8_t chain[AES_BLOCK]; /* the IV, then the last ciphertext block */
};

struct aes_kernel {
    const char *name;
    uint32_t needs; /* enum cpu_feature, all of them */
    unsigned lanes; /* the most that one call takes */
    void (*expand)(struct aes_key *key, const uint8_t *octets, size_t len);
    /* Encrypts `blocks` blocks of each of the first `count` lanes (1 to `lanes`), whose keys all
     * have the same number of rounds. Any alignment. */
    void (*cbc)(struct lane *const lane[], unsigned count, size_t blocks);
    /* A key for decryption, of 16, 24 or 32 octets: the round keys of the equivalent inverse cipher
     * (FIPS 197 section 5.3.5) in the order of their use. */
    void (*expand_inverse)(struct aes_key *key, const uint8_t *octets, size_t len);
    /* Decrypts `blocks` blocks of one message, any number, at any alignment; `out` may be `in`.
     * `chain` is the ciphertext block before them, or the IV, and becomes the last of them. */
    void (*cbc_decrypt)(const struct aes_key *key, uint8_t chain[AES_BLOCK], const uint8_t *in,
                        size_t blocks, uint8_t *out);
};

/* The best row for so many messages at once, of those that cpu_features() allows; it may have fewer
 * lanes. */
const struct aes_kernel *aes_kernel_for(unsigned count);

/* For one. */
const struct aes_kernel *aes_kernel(void);

/* The best row for decryption. */
const struct aes_kernel *aes_decrypt_kernel(void);

/* Row `index` of those that this build has and this machine allows, widest first; NULL past the
 * last. The last is always the portable one. */
const struct aes_kernel *aes_kernel_at(unsigned index);

/* More of them, 32, took longer for whole messages, since what they have in hand needs as much cache
 * again. */
enum { AES_MOST_LANES = 16 };

/* Encrypts `blocks` blocks of each of `count` lanes (at most AES_MOST_LANES) by the best rows for so
 * many, whatever the mix of keys. */
void aes_cbc(struct lane *const lane[], unsigned count, size_t blocks);

/* Whether the row gives the known answers of NIST SP 800-38A F.2, both ways (key expansion
 * included; no encryption by AES-192). */
bool aes_known_answer(const struct aes_kernel *kernel);

#endif
