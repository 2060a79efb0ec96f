/* Which instruction sets this machine has: the processor's word and the operating system's. */
#ifndef CMSTREAM_CPU_H
#define CMSTREAM_CPU_H

#include "common.h"

/* [python] */
/* In the order of the levels that CMSTREAM_CPU names. */
enum cpu_feature {
    CPU_AESNI = 1 << 0,   /* AES-NI with SSSE3 and SSE4.1 */
    CPU_ADX = 1 << 1,     /* ADX, and BMI2 with its MULX */
    CPU_AVX2 = 1 << 2,    /* AVX2, ymm registers kept */
    CPU_VAES256 = 1 << 3, /* VAES on ymm registers */
    CPU_AVX512 = 1 << 4,  /* AVX-512 F, BW, VL, VBMI, VBMI2; BMI2; zmm registers kept */
    CPU_VAES512 = 1 << 5, /* VAES on zmm registers */
    CPU_IFMA = 1 << 6,    /* AVX-512 IFMA */
    CPU_NEON = 1 << 7,    /* Arm: Advanced SIMD */
    CPU_ARMAES = 1 << 8,  /* Arm: the crypto extension's AES */
};

/* A feature is offered only if the processor has it and the operating system keeps its registers
 * (XCR0), and only as far as cpu_restrict lets it. */
uint32_t cpu_features(void);

/* Lowers the mask, for tests and for CMSTREAM_CPU; ~0 gives everything back. Not to be called
 * while another thread seals. */
void cpu_restrict(uint32_t mask);
/* [end] */

/* Clears the vector registers, all that the processor has, whatever is allowed: whoever saves them
 * later, for a signal or a new thread, would write the keys in them to a stack. */
void cpu_wipe_registers(void);

#endif
