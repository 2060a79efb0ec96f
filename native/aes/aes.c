#include "aes_rows.h"

const struct kernel_id *const aes_kernels[] = {
#if defined(__x86_64__)
    &aes_vaes512.id,
    &aes_vaes256.id,
    &aes_aesni8.id,
    &aes_aesni.id,
#endif
#if defined(__aarch64__)
    &aes_armaes4.id,
    &aes_armaes.id,
#endif
    &aes_portable.id,
    NULL,
};

const struct aes_kernel *aes_kernel_at(unsigned index)
{
    return kernel_at(aes_kernels, index);
}

/* The row with the fewest lanes that takes them all, and of several with as many lanes the first: a
 * call takes as long for one lane as for all. The portable row is the last choice, whatever its
 * lanes. */
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

/* The blocks of one message are decrypted side by side, more of them by wider rows. */
const struct aes_kernel *aes_decrypt_kernel(void)
{
    return aes_kernel_at(0);
}

/* The keys have the same number of rounds. */
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
        switch (lane[i]->key->rounds) {
        case 10: shorter[short_keys++] = lane[i]; break;
        case 14: longer[long_keys++] = lane[i]; break;
        default: aes_refuse_key();
        }
    }
    cbc_alike(longer, long_keys, blocks);
    cbc_alike(shorter, short_keys, blocks);
}
