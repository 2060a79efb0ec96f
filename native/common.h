/* What every file here needs: integers, and how a secret is forgotten. */
#ifndef CMSTREAM_COMMON_H
#define CMSTREAM_COMMON_H

#if !defined(__GNUC__)
#error "cmstream needs gcc or clang: its kernels choose their instruction set by function attribute"
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The barrier keeps the compiler from dropping a store that nobody reads. */
static inline void wipe(void *secret, size_t len)
{
    memset(secret, 0, len);
    __asm__ __volatile__("" : : "r"(secret) : "memory");
}

static inline size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

#endif
