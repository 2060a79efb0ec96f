/* The tables of kernels as Python sees them. */
#include "kernel.h"

#include "aes/aes.h"
#include "base64/base64.h"
#include "rsa/rsa.h"

static const struct {
    const struct kernel_id *const *rows;
    bool (*known_answer)(const struct kernel_id *row);
} tables[] = {
    [KERNELS_AES] = {aes_kernels, aes_known_answer},
    [KERNELS_BASE64] = {base64_kernels, base64_known_answer},
    [KERNELS_RSA] = {rsa_kernels, rsa_known_answer},
};

const char *kernel_name(unsigned table, unsigned index)
{
    const struct kernel_id *row = kernel_at(tables[table].rows, index);
    return row ? row->name : NULL;
}

bool kernel_check(unsigned table, unsigned index)
{
    return tables[table].known_answer(kernel_at(tables[table].rows, index));
}
