/* The operating system's generator. */
#ifndef CMSTREAM_RANDOM_H
#define CMSTREAM_RANDOM_H

#include "common.h"

/* A call costs as much as 150 octets. So what several need is fetched together, up to this. */
enum { RANDOM_TOGETHER = 4 << 10 };

/* 0, or -1 if it gave nothing. */
int random_fill(uint8_t *octets, size_t len);

#endif
