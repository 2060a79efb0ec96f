#include "lines.h"

#include "cpu.h"

static const struct lines_kernel *const rows[] = {
#if defined(__x86_64__)
    &lines_avx512vbmi,
    &lines_avx2,
    &lines_ssse3,
#endif
    NULL,
};

const struct lines_kernel *lines_kernel(void)
{
    uint32_t missing = ~cpu_features();
    size_t row = 0;

    while (rows[row] && rows[row]->needs & missing)
        row++;
    return rows[row];
}
