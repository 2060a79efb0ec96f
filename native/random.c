#include "random.h"

#include <errno.h>
#include <sys/random.h>
#include <unistd.h>

#if defined(__linux__)

/* Some octets, at least one; -1 if there are none to be had. */
static ssize_t some(uint8_t *octets, size_t len)
{
    ssize_t count;

    do
        count = getrandom(octets, len, 0);
    while (count < 0 && errno == EINTR);
    return count > 0 ? count : -1;
}

#else

static ssize_t some(uint8_t *octets, size_t len)
{
    const size_t part = min_size(len, 256); /* POSIX lets getentropy give no more */
    return getentropy(octets, part) ? -1 : (ssize_t)part;
}

#endif

int random_fill(uint8_t *octets, size_t len)
{
    while (len) {
        const ssize_t count = some(octets, len);
        if (count < 0)
            return -1;
        octets += count;
        len -= (size_t)count;
    }
    return 0;
}
