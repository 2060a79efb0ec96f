#include "random.h"

#include <unistd.h>
#if defined(__APPLE__)
#include <sys/random.h>
#endif

int random_fill(uint8_t *octets, size_t len)
{
    int error = 0;

    for (size_t part; len && !error; octets += part, len -= part) {
        part = least(len, RANDOM_AT_ONCE);
        error = getentropy(octets, part);
    }
    return error;
}
