/* The operating system's generator. */
#ifndef CMSTREAM_RANDOM_H
#define CMSTREAM_RANDOM_H

#include "common.h"

enum { RANDOM_AT_ONCE = 256 }; /* octets that one system call gives */

/* 0, or -1 if it gave nothing. */
int random_fill(uint8_t *octets, size_t len);

#endif
