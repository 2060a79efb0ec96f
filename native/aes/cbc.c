#include "cbc.h"

void cbc_begin(struct cbc *cbc, const uint8_t *key, size_t key_len, const uint8_t *iv)
{
    cbc->kernel = aes_kernel();
    cbc->kernel->expand(&cbc->key, key, key_len);
    cbc->lane.key = &cbc->key;
    memcpy(cbc->lane.chain, iv, AES_BLOCK);
    cbc->held = 0;
}

static size_t encrypt(struct cbc *cbc, const uint8_t *in, size_t blocks, uint8_t *out)
{
    struct lane *lane = &cbc->lane;

    if (!blocks)
        return 0;
    lane->in = in;
    lane->out = out;
    cbc->kernel->cbc(&lane, 1, blocks);
    return blocks * AES_BLOCK;
}

size_t cbc_update(struct cbc *cbc, const uint8_t *in, size_t len, uint8_t *out)
{
    size_t written = 0;

    if (cbc->held) {
        size_t head = min_size(len, AES_BLOCK - cbc->held);
        memcpy(cbc->block + cbc->held, in, head);
        cbc->held += (unsigned)head;
        if (cbc->held < AES_BLOCK)
            return 0;
        written = encrypt(cbc, cbc->block, 1, out);
        in += head;
        len -= head;
    }
    written += encrypt(cbc, in, len / AES_BLOCK, out + written);
    cbc->held = (unsigned)(len % AES_BLOCK);
    if (cbc->held)
        memcpy(cbc->block, in + len - cbc->held, cbc->held);
    return written;
}

size_t cbc_finish(struct cbc *cbc, uint8_t *out)
{
    unsigned padding = AES_BLOCK - cbc->held;
    memset(cbc->block + cbc->held, (int)padding, padding);
    cbc->held = 0;
    return encrypt(cbc, cbc->block, 1, out);
}
