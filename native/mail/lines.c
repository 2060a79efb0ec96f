#include "lines.h"

static const struct kernel_id *const kernels[] = {
#if defined(__x86_64__)
    &lines_avx512vbmi.id,
    &lines_avx2.id,
    &lines_ssse3.id,
#endif
    NULL,
};

const struct lines_kernel *lines_kernel(void)
{
    return kernel_at(kernels, 0);
}
