/* AES-CBC: the table of kernels, and how the best rows for a number of messages are chosen. */
#ifndef CMSTREAM_AES_H
#define CMSTREAM_AES_H

#include "kernel.h"

enum { AES_BLOCK = 16, AES_MAX_KEY = 32 };

/* An expanded key in FIPS 197's own octet order, the same for every kernel. Secret: wipe it. */
struct aes_key {
    uint8_t round[15][AES_BLOCK];
    unsigned rounds; /* 10 or 14; for decryption also 12 */
};

/* One message in a kernel. The kernel moves `in`, `out` and `chain` on as it works. */
struct lane {
    const uint8_t *in;
    uint8_t *out; /* may be `in` itself */
    const struct aes_key *key;
    uint8_t chain[AES_BLOCK]; /* the IV, then the last ciphertext block */
};

struct aes_kernel {
    struct kernel_id id;
    unsigned lanes; /* messages that one call can take */
    /* Expands a key for encryption, of 16 or 32 octets. */
    void (*expand)(struct aes_key *key, const uint8_t *octets, size_t len);
    /* Encrypts `blocks` blocks of each of the first `count` lanes (1 to `lanes`), whose keys all
     * have the same number of rounds. Any alignment. */
    void (*cbc)(struct lane *const lane[], unsigned count, size_t blocks);
    /* Expands a key for decryption, of 16, 24 or 32 octets: the round keys of the equivalent
     * inverse cipher (FIPS 197 section 5.3.5) in the order of their use. */
    void (*expand_inverse)(struct aes_key *key, const uint8_t *octets, size_t len);
    /* Decrypts `blocks` blocks of one message, any number, at any alignment; `out` may be `in`.
     * `chain` is the ciphertext block before them, or the IV, and becomes the last of them. */
    void (*cbc_decrypt)(const struct aes_key *key, uint8_t chain[AES_BLOCK], const uint8_t *in,
                        size_t blocks, uint8_t *out);
};

/* Rows with more lanes come first; the last is the portable one, which every machine allows. */
extern const struct kernel_id *const aes_kernels[];

/* Row `index` of aes_kernels among those that this machine allows; NULL past the last. */
const struct aes_kernel *aes_kernel_at(unsigned index);

/* The best row that this machine allows for `count` messages at once. It may have fewer lanes. */
const struct aes_kernel *aes_kernel_for(unsigned count);

/* The best row for one message. */
const struct aes_kernel *aes_kernel(void);

/* The best row for decryption. */
const struct aes_kernel *aes_decrypt_kernel(void);

/* The most lanes that a row has, and that aes_cbc takes. With 32 whole messages took longer: the
 * text of so many doesn't stay in the cache. */
enum { AES_MOST_LANES = 16 };

/* Encrypts `blocks` blocks of each of `count` lanes (at most AES_MOST_LANES) by the best rows for
 * so many. Keys of 16 and of 32 octets may be mixed. */
void aes_cbc(struct lane *const lane[], unsigned count, size_t blocks);

/* Whether the row, one of aes_kernels, gives the answers of NIST SP 800-38A F.2 in both directions.
 * Key expansion is included; encryption with AES-192, which no row has, is not. */
bool aes_known_answer(const struct kernel_id *row);

#endif
