/* The tables of kernels: how a row is named and chosen. Every table lists its best row first and
 * ends with NULL. */
#ifndef CMSTREAM_KERNEL_H
#define CMSTREAM_KERNEL_H

#include "cpu.h"

/* [python] */
enum kernel_table { KERNELS_AES, KERNELS_BASE64, KERNELS_RSA };

/* The name of row `index` among those that this machine allows, best first; NULL past the last. */
const char *kernel_name(unsigned table, unsigned index);

/* Whether that row gives its known answers. There must be such a row. */
bool kernel_check(unsigned table, unsigned index);
/* [end] */

/* The first member of every row, so that a pointer to it is a pointer to the row. */
struct kernel_id {
    const char *name;
    uint32_t needs; /* enum cpu_feature, all of them */
};

/* Row `index` among those that this machine allows; NULL past the last. */
static inline const void *kernel_at(const struct kernel_id *const *rows, unsigned index)
{
    const uint32_t missing = ~cpu_features();

    for (; *rows; rows++)
        if (!((*rows)->needs & missing) && !index--)
            return *rows;
    return NULL;
}

#endif
