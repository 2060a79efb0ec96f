/* Memory whose neighbours on both sides fault. */
#ifndef GUARDED_H
#define GUARDED_H

#include "tools.h"

#include <sys/mman.h>
#include <unistd.h>

struct guarded {
    uint8_t *start, *end;
};

/* So much of it, a multiple of a page. */
static inline struct guarded guarded(size_t room)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *all = mmap(NULL, room + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (all == MAP_FAILED || mprotect(all + page, room, PROT_READ | PROT_WRITE)) {
        perror("guard pages");
        exit(2);
    }
    return (struct guarded){all + page, all + page + room};
}

#endif
