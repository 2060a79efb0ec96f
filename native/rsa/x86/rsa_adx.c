/* RSA's public operation with MULX, which leaves the flags alone, and ADCX and ADOX, which carry in
 * one flag each: the lower and the upper halves of products are added beside each other. Compilers
 * don't do that by themselves. */
#include "rsa/rsa_rows.h"

#if defined(__x86_64__)

enum { BLOCK = 8 };

#include "rsa/rsa_words_template.h"

/* The window is r8 to r15. It moves down by a word: `word` gets what was in the next one, the upper
 * half of rdx times its own factor, and the lower half of rdx times the next factor. */
#define NEXT(word, next, factor)                                                                   \
    "adox %%" next ", %%" word "\n\t"                                                              \
    "mulx " factor ", %[low], %%" next "\n\t"                                                      \
    "adcx %[low], %%" word "\n\t"

#define NEXT_SEVEN(factor)                                                                         \
    NEXT("r8", "r9", factor("8"))                                                                  \
    NEXT("r9", "r10", factor("16"))                                                                \
    NEXT("r10", "r11", factor("24"))                                                               \
    NEXT("r11", "r12", factor("32"))                                                               \
    NEXT("r12", "r13", factor("40"))                                                               \
    NEXT("r13", "r14", factor("48"))                                                               \
    NEXT("r14", "r15", factor("56"))                                                               \
    "mov $0, %k[low]\n\t"                                                                          \
    "adcx %[low], %%r15\n\t"                                                                       \
    "adox %[low], %%r15\n\t"

#define OF_W(at, member) "%c[" member "]+" at "(%[w])"
#define WINDOW(at) OF_W(at, "window")
#define FACTOR(at) OF_W(at, "factors")
#define OF_N(at) at "(%[n])"

#define LOAD                                                                                       \
    "mov " WINDOW("0") ", %%r8\n\t"                                                                \
    "mov " WINDOW("8") ", %%r9\n\t"                                                                \
    "mov " WINDOW("16") ", %%r10\n\t"                                                              \
    "mov " WINDOW("24") ", %%r11\n\t"                                                              \
    "mov " WINDOW("32") ", %%r12\n\t"                                                              \
    "mov " WINDOW("40") ", %%r13\n\t"                                                              \
    "mov " WINDOW("48") ", %%r14\n\t"                                                              \
    "mov " WINDOW("56") ", %%r15\n"

#define STORE                                                                                      \
    "mov %%r8, " WINDOW("0") "\n\t"                                                                \
    "mov %%r9, " WINDOW("8") "\n\t"                                                                \
    "mov %%r10, " WINDOW("16") "\n\t"                                                              \
    "mov %%r11, " WINDOW("24") "\n\t"                                                              \
    "mov %%r12, " WINDOW("32") "\n\t"                                                              \
    "mov %%r13, " WINDOW("40") "\n\t"                                                              \
    "mov %%r14, " WINDOW("48") "\n\t"                                                              \
    "mov %%r15, " WINDOW("56")

#define OFFSET(member) [member] "i"(offsetof(struct words, member))
#define USED "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "cc", "memory"

/* All registers are in use below, where one points to the frame: a sanitizer must not want another
 * for what lies on the stack. */
#define ALL_REGISTERS __attribute__((noinline, no_sanitize("address")))

/* One register goes along the sum; `a` lies at a fixed distance from it. */
ALL_REGISTERS static void add_block(struct words *w, uint64_t *sum, const uint64_t *a, size_t count)
{
    const uintptr_t distance = (uintptr_t)a - (uintptr_t)sum;
    const uint64_t *end = sum + count;
    uint64_t low, word;

    if (!count)
        return;
    __asm__ __volatile__(LOAD
                         "1:\n\t"
                         "mov (%[sum],%[distance]), %%rdx\n\t"
                         "mov %%r8, %[word]\n\t"
                         "xor %k[low], %k[low]\n\t" /* clears both flags */
                         "mulx " FACTOR("0") ", %[low], %%r8\n\t"
                         "adcx %[low], %[word]\n\t"
                         "adox (%[sum]), %[word]\n\t"
                         "mov %[word], (%[sum])\n\t"
                         NEXT_SEVEN(FACTOR)
                         "add $8, %[sum]\n\t"
                         "cmp %[end], %[sum]\n\t"
                         "jne 1b\n\t"
                         STORE
                         : [sum] "+&r"(sum), [low] "=&r"(low), [word] "=&r"(word)
                         : [w] "r"(w), [distance] "r"(distance), [end] "m"(end), OFFSET(window),
                           OFFSET(factors)
                         : USED);
}

ALL_REGISTERS static void clear_block(struct words *w)
{
    const uint64_t *n = w->form->modulus;
    uint64_t inverse = w->form->inverse, low, word, *m = w->factors, *end = m + BLOCK;

    __asm__ __volatile__(LOAD
                         "1:\n\t"
                         "mov %%r8, %%rdx\n\t"
                         "imul %[inverse], %%rdx\n\t"
                         "mov %%rdx, (%[m])\n\t"
                         "mov %%r8, %[word]\n\t"
                         "xor %k[low], %k[low]\n\t"
                         "mulx (%[n]), %[low], %%r8\n\t"
                         "adcx %[low], %[word]\n\t" /* zero now, but for what it carries */
                         NEXT_SEVEN(OF_N)
                         "add $8, %[m]\n\t"
                         "cmp %[end], %[m]\n\t"
                         "jne 1b\n\t"
                         STORE
                         : [m] "+&r"(m), [low] "=&r"(low), [word] "=&r"(word)
                         : [w] "r"(w), [n] "r"(n), [inverse] "m"(inverse), [end] "m"(end),
                           OFFSET(window)
                         : USED);
}

/* sum += rdx * a[at], for two neighbouring words of the sum. */
#define ADD_PRODUCT(at, lower, upper)                                                              \
    "mulx " at "(%[a]), %[low], %[high]\n\t"                                                       \
    "adcx %[low], %%" lower "\n\t"                                                                 \
    "adox %[high], %%" upper "\n\t"

/* A row of products with another word of a. `top`, a new word of the sum, gets what they carry. */
#define ROW(at, top, products)                                                                     \
    "mov " at "(%[a]), %%rdx\n\t"                                                                  \
    "xor %k[low], %k[low]\n\t"                                                                     \
    "mov %[low], %%" top "\n\t"                                                                    \
    products                                                                                       \
    "mov $0, %k[low]\n\t"                                                                          \
    "adcx %[low], %%" top "\n\t"

#define PUT(word, at) "mov %%" word ", " at "(%[sum])\n\t"

/* Words 1 to 8 of the sum begin in r8 to r15; the registers of those that are stored become words 9
 * to 14. */
static void multiply_within(uint64_t sum[2 * BLOCK], const uint64_t a[BLOCK])
{
    uint64_t low, high;

    __asm__ __volatile__(
        "mov (%[a]), %%rdx\n\t"
        "xor %k[low], %k[low]\n\t"
        "mulx 8(%[a]), %%r8, %%r9\n\t"
        "mulx 16(%[a]), %[low], %%r10\n\t" "adcx %[low], %%r9\n\t"
        "mulx 24(%[a]), %[low], %%r11\n\t" "adcx %[low], %%r10\n\t"
        "mulx 32(%[a]), %[low], %%r12\n\t" "adcx %[low], %%r11\n\t"
        "mulx 40(%[a]), %[low], %%r13\n\t" "adcx %[low], %%r12\n\t"
        "mulx 48(%[a]), %[low], %%r14\n\t" "adcx %[low], %%r13\n\t"
        "mulx 56(%[a]), %[low], %%r15\n\t" "adcx %[low], %%r14\n\t"
        "mov $0, %k[low]\n\t"
        "adcx %[low], %%r15\n\t"
        PUT("r8", "8") PUT("r9", "16")
        ROW("8", "r8",
            ADD_PRODUCT("16", "r10", "r11") ADD_PRODUCT("24", "r11", "r12")
            ADD_PRODUCT("32", "r12", "r13") ADD_PRODUCT("40", "r13", "r14")
            ADD_PRODUCT("48", "r14", "r15") ADD_PRODUCT("56", "r15", "r8"))
        PUT("r10", "24") PUT("r11", "32")
        ROW("16", "r9",
            ADD_PRODUCT("24", "r12", "r13") ADD_PRODUCT("32", "r13", "r14")
            ADD_PRODUCT("40", "r14", "r15") ADD_PRODUCT("48", "r15", "r8")
            ADD_PRODUCT("56", "r8", "r9"))
        PUT("r12", "40") PUT("r13", "48")
        ROW("24", "r10",
            ADD_PRODUCT("32", "r14", "r15") ADD_PRODUCT("40", "r15", "r8")
            ADD_PRODUCT("48", "r8", "r9") ADD_PRODUCT("56", "r9", "r10"))
        PUT("r14", "56") PUT("r15", "64")
        ROW("32", "r11",
            ADD_PRODUCT("40", "r8", "r9") ADD_PRODUCT("48", "r9", "r10")
            ADD_PRODUCT("56", "r10", "r11"))
        PUT("r8", "72") PUT("r9", "80")
        ROW("40", "r12", ADD_PRODUCT("48", "r10", "r11") ADD_PRODUCT("56", "r11", "r12"))
        PUT("r10", "88") PUT("r11", "96")
        ROW("48", "r13", ADD_PRODUCT("56", "r12", "r13"))
        PUT("r12", "104") PUT("r13", "112")
        "mov %[low], (%[sum])\n\t"
        "mov %[low], 120(%[sum])"
        : [low] "=&r"(low), [high] "=&r"(high)
        : [a] "r"(a), [sum] "r"(sum)
        : USED);
}

const struct rsa_row rsa_adx = {
    .id = {"adx", CPU_ADX},
    .radix = RSA_RADIX_64,
    .lanes = 1,
    .power = power,
};
#endif

/* Elsewhere this file is empty but for what ISO C asks of one. */
typedef int x86_rsa_adx;
