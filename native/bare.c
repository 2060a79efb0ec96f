/* Single steps of the engine, for measuring and for tests. */
#include "core.h"

void cbc_bare(const struct content_key *key, const uint8_t *in, size_t blocks, uint8_t *out)
{
    struct cbc cbc;
    cbc_begin(&cbc, key->key, key->key_len, key->iv);
    cbc_update(&cbc, in, blocks * AES_BLOCK, out);
    wipe(&cbc, sizeof cbc);
}

void cbc_bare_wide(const struct content_key *key, const uint8_t *in, size_t blocks, unsigned lanes,
                   uint8_t *out)
{
    struct cbc cbc[AES_MOST_LANES];
    struct lane *lane[AES_MOST_LANES];

    lanes = (unsigned)min_size(lanes, AES_MOST_LANES);
    for (unsigned i = 0; i < lanes; i++) {
        cbc_begin(&cbc[i], key->key, key->key_len, key->iv);
        lane[i] = &cbc[i].lane;
        lane[i]->in = in + i * blocks * AES_BLOCK;
        lane[i]->out = out + i * blocks * AES_BLOCK;
    }
    aes_cbc(lane, lanes, blocks);
    wipe(cbc, sizeof cbc);
}

void cbc_bare_decrypt(const struct content_key *key, const uint8_t *in, size_t blocks, uint8_t *out)
{
    const struct aes_kernel *kernel = aes_decrypt_kernel();
    struct aes_key inverse;
    uint8_t chain[AES_BLOCK];

    memcpy(chain, key->iv, AES_BLOCK);
    kernel->expand_inverse(&inverse, key->key, key->key_len);
    kernel->cbc_decrypt(&inverse, chain, in, blocks, out);
    wipe(&inverse, sizeof inverse);
}

void base64_bare(const uint8_t *in, size_t lines, uint8_t *out)
{
    base64_kernel()->lines(in, lines, out);
}
