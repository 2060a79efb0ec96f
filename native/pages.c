/* Memory for large answers. */
#include "core.h"

#include <sys/mman.h>

void expect_large(uint8_t *fresh, size_t len)
{
#if defined(MADV_HUGEPAGE)
    enum { PAGE = 4096 };
    uintptr_t start = ((uintptr_t)fresh + PAGE - 1) & ~(uintptr_t)(PAGE - 1);
    uintptr_t end = ((uintptr_t)fresh + len) & ~(uintptr_t)(PAGE - 1);

    if (start < end)
        (void)madvise((uint8_t *)start, end - start, MADV_HUGEPAGE);
#else
    (void)fresh;
    (void)len;
#endif
}
