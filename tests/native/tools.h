/* What the standalone tests share: checks, numbers that are the same in every run, and memory whose
 * neighbours fault. */
#ifndef TOOLS_H
#define TOOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* The row that is tested, for what is printed when a check fails. */
static const char *row_name = "none";

#define CHECK(truth) check(truth, #truth, __LINE__)

static inline void check(bool truth, const char *text, int line)
{
    if (truth)
        return;
    fprintf(stderr, "\nline %d: not true: %s (row: %s)\n", line, text, row_name);
    exit(1);
}

static uint64_t random_state = 1;

static inline uint32_t below(uint32_t limit)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((random_state >> 32) * limit >> 32);
}

static inline void fill_random(void *room, size_t len)
{
    for (uint8_t *octet = room; len; len--)
        *octet++ = (uint8_t)below(256);
}

#endif
