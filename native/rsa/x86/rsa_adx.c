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

static void add_block(struct words *w, uint64_t *sum, const uint64_t *a, size_t count)
{
    uint64_t low, word;
    const uint64_t *end = a + count;

    if (!count)
        return;
    __asm__ __volatile__(LOAD
                         "1:\n\t"
                         "mov (%[a]), %%rdx\n\t"
                         "mov %%r8, %[word]\n\t"
                         "xor %k[low], %k[low]\n\t" /* clears both flags */
                         "mulx " FACTOR("0") ", %[low], %%r8\n\t"
                         "adcx %[low], %[word]\n\t"
                         "adox (%[sum]), %[word]\n\t"
                         "mov %[word], (%[sum])\n\t"
                         NEXT_SEVEN(FACTOR)
                         "add $8, %[a]\n\t"
                         "add $8, %[sum]\n\t"
                         "cmp %[end], %[a]\n\t"
                         "jne 1b\n\t"
                         STORE
                         : [a] "+r"(a), [sum] "+r"(sum), [low] "=&r"(low), [word] "=&r"(word)
                         : [w] "r"(w), [end] "m"(end), OFFSET(window), OFFSET(factors)
                         : USED);
}

static void clear_block(struct words *w)
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
                         : [m] "+r"(m), [low] "=&r"(low), [word] "=&r"(word)
                         : [w] "r"(w), [n] "r"(n), [inverse] "m"(inverse), [end] "m"(end),
                           OFFSET(window)
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
