#include "cpu.h"

/* No feature's bits: probe() was done; there are ymm and zmm registers. */
static const uint32_t KNOWN = UINT32_C(1) << 31, YMM = UINT32_C(1) << 30, ZMM = UINT32_C(1) << 29;

static uint32_t allowed = ~UINT32_C(0);

#if defined(__x86_64__)

#include <cpuid.h>

enum {
    XCR0_YMM = 0x06, /* xmm and the upper half of ymm */
    XCR0_ZMM = 0xe6, /* opmask, the upper half of zmm, zmm16 to 31 */
};

static uint32_t kept_registers(void)
{
    uint32_t low, high;
    __asm__ __volatile__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

/* `b` and `c` are what leaf 7 of CPUID says of extensions. */
static uint32_t vector_features(uint32_t b, uint32_t c, uint32_t kept)
{
    const uint32_t avx512 = bit_AVX512F | bit_AVX512BW | bit_AVX512VL | bit_BMI2;
    const uint32_t bytes = bit_AVX512VBMI | bit_AVX512VBMI2;
    uint32_t found = YMM;

    if ((kept & XCR0_YMM) != XCR0_YMM)
        return 0;
    if ((kept & XCR0_ZMM) == XCR0_ZMM && (b & bit_AVX512F))
        found |= ZMM;
    if (b & bit_AVX2)
        found |= CPU_AVX2;
    if ((b & bit_AVX2) && (c & bit_VAES))
        found |= CPU_VAES256;
    if ((kept & XCR0_ZMM) == XCR0_ZMM && (b & avx512) == avx512
        && (c & bytes) == bytes) {
        found |= CPU_AVX512;
        if (c & bit_VAES)
            found |= CPU_VAES512;
        if (b & bit_AVX512IFMA)
            found |= CPU_IFMA;
    }
    return found;
}

static uint32_t probe(void)
{
    const uint32_t aesni = bit_AES | bit_SSSE3 | bit_SSE4_1, adx = bit_ADX | bit_BMI2;
    uint32_t a, b, first, more, d, found = 0;

    if (!__get_cpuid(1, &a, &b, &first, &d))
        return 0;
    if ((first & aesni) == aesni)
        found |= CPU_AESNI;
    if (!__get_cpuid_count(7, 0, &a, &b, &more, &d))
        return found;
    if ((b & adx) == adx)
        found |= CPU_ADX;
    if ((first & bit_OSXSAVE) && (first & bit_AVX))
        found |= vector_features(b, more, kept_registers());
    return found;
}

#elif defined(__aarch64__) && defined(__linux__)

#include <sys/auxv.h>

static uint32_t probe(void)
{
    const unsigned long has = getauxval(AT_HWCAP);
    return (has & HWCAP_ASIMD ? CPU_NEON : 0) | (has & HWCAP_AES ? CPU_ARMAES : 0);
}

#elif defined(__aarch64__) && defined(__APPLE__)

static uint32_t probe(void)
{
    return CPU_NEON | CPU_ARMAES; /* every Apple processor of this architecture has both */
}

#else

static uint32_t probe(void)
{
    return 0;
}

#endif

static uint32_t known(void)
{
    static uint32_t probed; /* 0 until it is known; the same whoever finds it out: no lock */
    uint32_t found = __atomic_load_n(&probed, __ATOMIC_RELAXED);

    if (!found) {
        found = probe() | KNOWN;
        __atomic_store_n(&probed, found, __ATOMIC_RELAXED);
    }
    return found;
}

uint32_t cpu_features(void)
{
    return known() & allowed & ~(KNOWN | YMM | ZMM);
}

void cpu_restrict(uint32_t mask)
{
    allowed = mask;
}

/* --- the registers ---------------------------------------------------------------------------- */

#if defined(__x86_64__)

#define LOW_16(each) each(0) each(1) each(2) each(3) each(4) each(5) each(6) each(7) each(8) \
    each(9) each(10) each(11) each(12) each(13) each(14) each(15)
#define HIGH_16(each) each(16) each(17) each(18) each(19) each(20) each(21) each(22) each(23) \
    each(24) each(25) each(26) each(27) each(28) each(29) each(30) each(31)
#define CLEAR_XMM(n) "pxor %%xmm" #n ", %%xmm" #n "\n\t"
#define CLEAR_ZMM(n) "vpxord %%zmm" #n ", %%zmm" #n ", %%zmm" #n "\n\t"
#define NAME(n) "xmm" #n,

__attribute__((noinline)) static void clear_xmm(void)
{
    __asm__ __volatile__(LOW_16(CLEAR_XMM) : : : LOW_16(NAME) "memory");
}

__attribute__((noinline, target("avx"))) static void clear_ymm(void)
{
    __asm__ __volatile__("vzeroall" : : : LOW_16(NAME) "memory");
}

__attribute__((noinline, target("avx512f"))) static void clear_zmm(void)
{
    __asm__ __volatile__(HIGH_16(CLEAR_ZMM) "vzeroall"
                         : : : LOW_16(NAME) HIGH_16(NAME) "memory");
}

void cpu_wipe_registers(void)
{
    const uint32_t found = known();

    if (found & ZMM)
        clear_zmm();
    else if (found & YMM)
        clear_ymm();
    else
        clear_xmm();
}

#elif defined(__aarch64__)

#define EACH(each) each(0) each(1) each(2) each(3) each(4) each(5) each(6) each(7) each(8) \
    each(9) each(10) each(11) each(12) each(13) each(14) each(15) each(16) each(17) each(18) \
    each(19) each(20) each(21) each(22) each(23) each(24) each(25) each(26) each(27) each(28) \
    each(29) each(30) each(31)
#define CLEAR(n) "movi v" #n ".16b, #0\n\t"
#define NAME(n) "v" #n,

void cpu_wipe_registers(void)
{
    __asm__ __volatile__(EACH(CLEAR) : : : EACH(NAME) "memory");
}

#else

void cpu_wipe_registers(void)
{
}

#endif
