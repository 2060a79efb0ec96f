/* Every row of lines.h against the same work done one after the other: ciphertext, lines, the look
 * for bare line feeds, and what is left on the stack. Each buffer is as long as it must be, so that
 * the sanitizers see an octet too many. Arguments as known_answers.c; prints what was tested. */
#include "mail/lines.h"

#include "mail/canon.h"
#include "cpu.h"
#include "tools.h"

enum { MOST_LINES = 20, TRIALS = 2000, DEPTH = 16 << 10 };

static const struct lines_kernel *row;

/* Mostly line ends, and for the other half of the trials none that is bare. */
static void fill_lines(uint8_t *text, size_t len)
{
    const bool canonical = below(2);

    for (size_t i = 0; i < len; i++) {
        text[i] = "\r\nab"[below(4)];
        if (canonical && text[i] == '\n' && i && text[i - 1] != '\r')
            text[i] = 'c';
    }
}

static uint8_t *exactly(size_t len)
{
    uint8_t *octets = malloc(len);
    CHECK(octets);
    return octets;
}

static void trial(void)
{
    const size_t lines = below(MOST_LINES + 1), len = lines * BASE64_LINE_IN;
    const size_t lag = LINES_LAG + below(64), text_len = lines * BASE64_LINE_OUT;
    uint8_t *in = exactly(len + 1), *run = exactly(lag + len), *expected = exactly(lag + len);
    uint8_t *text = exactly(text_len), *expected_text = exactly(text_len);
    uint8_t octets[AES_MAX_KEY], first;
    struct aes_key key;

    fill_lines(in, len + 1);
    fill_random(run, lag + len);
    memcpy(expected, run, lag + len);
    fill_random(octets, sizeof octets);
    aes_kernel()->expand(&key, octets, below(2) ? 32 : 16);
    struct lane here = {.in = in + 1, .out = run + lag, .key = &key}, plain = here;
    struct lane *alone = &plain;
    fill_random(here.chain, AES_BLOCK);
    memcpy(plain.chain, here.chain, AES_BLOCK);
    plain.out = expected + lag;

    if (lines)
        aes_kernel()->cbc(&alone, 1, lines * LINES_BLOCKS);
    base64_kernel()->lines(expected, lines, expected_text);
    first = in[0];
    CHECK(row->cbc(&here, lines, run, text) == (canon_count(in + 1, len, &first) > 0));
    CHECK(here.in == in + 1 + len && here.out == run + lag + len && here.key == &key);
    CHECK(!memcmp(here.chain, plain.chain, AES_BLOCK));
    CHECK(!memcmp(run, expected, lag + len));
    CHECK(!memcmp(text, expected_text, text_len));
    free(in);
    free(run);
    free(expected);
    free(text);
    free(expected_text);
}

/* --- what is left on the stack, as in known_answers.c ------------------------------------------ */

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__)
enum { IN_REGISTERS = true };
#else
enum { IN_REGISTERS = false };
#endif

__attribute__((noinline)) static void clear_stack(void)
{
    uint8_t below_caller[DEPTH];
    wipe(below_caller, DEPTH);
}

__attribute__((noinline)) static void copy_stack(uint8_t copy[DEPTH])
{
    uint8_t below_caller[DEPTH];
    __asm__ __volatile__("" : "=m"(below_caller));
    memcpy(copy, below_caller, DEPTH);
}

static uint8_t input[1 + 4 * BASE64_LINE_IN], output[LINES_LAG + sizeof input];
static uint8_t text[4 * BASE64_LINE_OUT], left[DEPTH];
static struct aes_key secret;
static struct lane lane;

/* Out of line, so that no register of the caller is left with something random. */
__attribute__((noinline)) static void fresh_secrets(size_t key_len)
{
    uint8_t octets[AES_MAX_KEY];

    fill_random(octets, sizeof octets);
    fill_random(input + 1, sizeof input - 1);
    for (size_t i = 1; i < sizeof input; i++)
        input[i] += input[i] == '\n'; /* whether there are line feeds is no secret */
    aes_kernel()->expand(&secret, octets, key_len);
    lane = (struct lane){.in = input + 1, .out = output + LINES_LAG, .key = &secret};
}

/* What the callee saves of its caller's registers is no secret, but differs from call to call. */
__attribute__((noinline)) static void leave_stack(void)
{
#if defined(__x86_64__)
    __asm__ __volatile__("xor %%ebx, %%ebx; xor %%r12, %%r12; xor %%r13, %%r13; xor %%r14, %%r14;"
                         "xor %%r15, %%r15" : : : "rbx", "r12", "r13", "r14", "r15");
#endif
    clear_stack();
    row->cbc(&lane, 4, output, text);
    copy_stack(left);
    __asm__ __volatile__(""); /* no tail call, whose stack would begin with this function's */
}

static void test_stack(size_t key_len)
{
    static uint8_t first[DEPTH];

    for (unsigned i = 0; i < 3; i++) {
        memcpy(first, left, DEPTH); /* the last but one: the first of all may bind symbols */
        fresh_secrets(key_len);
        leave_stack();
    }
    CHECK(!memcmp(first, left, DEPTH));
}

int main(void)
{
    static const uint32_t masks[] = {UINT32_MAX, CPU_AESNI | CPU_AVX2, CPU_AESNI, 0};

    for (size_t i = 0; i < sizeof masks / sizeof *masks; i++) {
        cpu_restrict(masks[i]);
        row = lines_kernel();
        row_name = row ? row->id.name : "none";
        if (!row)
            continue;
        CHECK(!(row->id.needs & ~cpu_features()));
        for (unsigned j = 0; j < TRIALS; j++)
            trial();
        if (IN_REGISTERS) {
            test_stack(16);
            test_stack(32);
        }
        printf("lines %s ok\n", row->id.name);
    }
    return 0;
}
