/* Every row of the AES table that this machine allows: NIST's known answers, random messages
 * against the portable row with one lane, and what is left on the stack. Needs no Python, so that
 * it runs under an emulator and under the sanitizers:
 *
 *   cc -O3 -Inative tests/native/known_answers.c native/aes.c native/aes_portable.c \
 *      native/x86/aes.c native/arm/aes.c native/cpu.c -o known_answers && ./known_answers
 */
#include "aes.h"
#include "cpu.h"

#include <stdio.h>
#include <stdlib.h>

enum { MOST_LANES = 32, MOST_BLOCKS = 70, MARGIN = 64, TRIALS = 300 };
enum { ROOM = MOST_BLOCKS * AES_BLOCK + 2 * MARGIN };

/* --- tools ------------------------------------------------------------------------------------ */

static const struct aes_kernel *row;

#define CHECK(truth) check(truth, #truth, __LINE__)

static void check(bool truth, const char *text, int line)
{
    if (truth)
        return;
    printf("line %d: not true: %s (row: %s)\n", line, text, row ? row->name : "none");
    exit(1);
}

static uint32_t below(uint32_t limit)
{
    static uint64_t state = 1;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((state >> 32) * limit >> 32);
}

static void fill_random(uint8_t *octets, size_t len)
{
    while (len--)
        *octets++ = (uint8_t)below(256);
}

/* The last row of the table, whatever the machine. */
static const struct aes_kernel *portable(void)
{
    const struct aes_kernel *last = NULL;
    for (unsigned i = 0; aes_kernel_at(i); i++)
        last = aes_kernel_at(i);
    return last;
}

/* --- one message of each lane ----------------------------------------------------------------- */

struct message {
    struct aes_key key;
    struct lane lane;
    uint8_t from[ROOM], to[ROOM]; /* text and ciphertext at any place within */
    uint8_t expected[ROOM];       /* all of `to` after the work */
    uint8_t chain[AES_BLOCK];
};

static struct message messages[MOST_LANES];

static void expect_key(struct message *message, size_t key_len)
{
    uint8_t octets[AES_MAX_KEY];
    struct aes_key key;

    fill_random(octets, key_len);
    memset(&key, 0xa5, sizeof key);
    memset(&message->key, 0xa5, sizeof key);
    portable()->expand(&key, octets, key_len);
    row->expand(&message->key, octets, key_len);
    CHECK(key.rounds == (key_len == 32 ? 14 : 10));
    CHECK(!memcmp(&key, &message->key, sizeof key));
}

/* Any alignment, every fourth message in place. */
static void set_up(struct message *message, size_t key_len, size_t blocks)
{
    struct lane *lane = &message->lane, plain;
    struct lane *alone = &plain;
    size_t offset = below(MARGIN);

    expect_key(message, key_len);
    fill_random(message->from, ROOM);
    memcpy(message->to, message->from, ROOM);
    memcpy(message->expected, message->from, ROOM);
    lane->in = message->from + below(MARGIN);
    lane->out = message->to + offset;
    lane->key = &message->key;
    fill_random(lane->chain, AES_BLOCK);
    if (!below(4))
        lane->in = lane->out;
    plain = *lane;
    plain.out = message->expected + offset;
    portable()->cbc(&alone, 1, blocks);
    memcpy(message->chain, plain.chain, AES_BLOCK);
}

static void verify(const struct message *message, const struct lane *before, size_t blocks)
{
    const struct lane *lane = &message->lane;

    CHECK(!memcmp(message->to, message->expected, ROOM));
    CHECK(!memcmp(lane->chain, message->chain, AES_BLOCK));
    CHECK(lane->in == before->in + blocks * AES_BLOCK);
    CHECK(lane->out == before->out + blocks * AES_BLOCK);
    CHECK(lane->key == before->key);
}

/* --- against the portable row ----------------------------------------------------------------- */

/* `count` messages of as many blocks, their work cut into two calls. */
static void trial(unsigned count, size_t key_len, size_t blocks)
{
    struct lane *lanes[MOST_LANES], before[MOST_LANES];
    size_t first = below((uint32_t)blocks + 1);

    for (unsigned i = 0; i < count; i++) {
        set_up(&messages[i], key_len, blocks);
        lanes[i] = &messages[i].lane;
        before[i] = messages[i].lane;
    }
    row->cbc(lanes, count, first);
    row->cbc(lanes, count, blocks - first);
    for (unsigned i = 0; i < count; i++)
        verify(&messages[i], &before[i], blocks);
}

/* --- what is left on the stack ---------------------------------------------------------------- */

enum { DEPTH = 16 << 10 };

/* Not optimised, or instrumented, all variables lie on the stack. */
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

/* The stack below the caller, as far as its next call may reach. */
__attribute__((noinline)) static void clear_stack(void)
{
    uint8_t below_caller[DEPTH];
    wipe(below_caller, DEPTH);
}

__attribute__((noinline)) static void copy_stack(uint8_t copy[DEPTH])
{
    uint8_t below_caller[DEPTH];
    __asm__ __volatile__("" : "=m"(below_caller)); /* not indeterminate: somebody wrote it */
    memcpy(copy, below_caller, DEPTH);
}

/* Random secrets at the same places each time. */
static void leave_stack(unsigned count, size_t key_len, uint8_t copy[2][DEPTH])
{
    static uint8_t text[MOST_LANES][3 * AES_BLOCK], octets[AES_MAX_KEY];
    static struct aes_key key[MOST_LANES];
    static struct lane lanes[MOST_LANES], *lane[MOST_LANES];

    for (unsigned i = 0; i < count; i++) {
        fill_random(text[i], sizeof text[i]);
        fill_random(octets, sizeof octets);
        lanes[i] = (struct lane){.in = text[i], .out = text[i], .key = &key[i]};
        lane[i] = &lanes[i];
        clear_stack();
        row->expand(&key[i], octets, key_len);
        copy_stack(copy[0]);
    }
    clear_stack();
    row->cbc(lane, count, 3);
    copy_stack(copy[1]);
}

/* What is left does not depend on the secrets. The first call may differ: it binds symbols. */
static void test_stack(void)
{
    static uint8_t left[3][2][DEPTH];

    for (unsigned count = 1; count <= row->lanes; count++)
        for (size_t key_len = 16; key_len <= 32; key_len += 16) {
            for (unsigned i = 0; i < 3; i++)
                leave_stack(count, key_len, left[i]);
            CHECK(!memcmp(left[1][0], left[2][0], DEPTH));
            CHECK(!memcmp(left[1][1], left[2][1], DEPTH));
        }
}

/* --- any number of lanes, any mix of keys ------------------------------------------------------ */

static void test_mixes(void)
{
    struct lane *lanes[AES_MOST_LANES], before[AES_MOST_LANES];

    row = aes_kernel_at(0);
    for (unsigned i = 0; i < TRIALS; i++) {
        const unsigned count = 1 + i % AES_MOST_LANES;
        const size_t blocks = below(MOST_BLOCKS);
        for (unsigned j = 0; j < count; j++) {
            set_up(&messages[j], below(2) ? 32 : 16, blocks);
            lanes[j] = &messages[j].lane;
            before[j] = messages[j].lane;
        }
        aes_cbc(lanes, count, blocks);
        for (unsigned j = 0; j < count; j++)
            verify(&messages[j], &before[j], blocks);
    }
    printf("mixes ok\n");
}

/* --- rows and table --------------------------------------------------------------------------- */

static void test_row(void)
{
    CHECK(aes_known_answer(row));
    CHECK(row->lanes >= 1 && row->lanes <= MOST_LANES);
    CHECK(!(row->needs & ~cpu_features()));
    for (unsigned i = 0; i < TRIALS; i++)
        trial(1 + i % row->lanes, below(2) ? 32 : 16, 1 + below(MOST_BLOCKS));
    if (IN_REGISTERS)
        test_stack();
    printf("%s ok\n", row->name);
}

/* A kernel that is wrong is found out: here one that forgets the last round. */
static void forgetful(struct lane *const lane[], unsigned count, size_t blocks)
{
    struct aes_key key = *lane[0]->key;
    struct lane wrong = *lane[0], *alone = &wrong;

    (void)count;
    memset(key.round[key.rounds], 0, AES_BLOCK);
    wrong.key = &key;
    portable()->cbc(&alone, 1, blocks);
}

static void test_table(void)
{
    const struct aes_kernel wrong = {"wrong", 0, 1, portable()->expand, forgetful};

    CHECK(aes_kernel() == aes_kernel_for(1));
    for (unsigned count = 1; count <= AES_MOST_LANES; count++) {
        const struct aes_kernel *chosen = aes_kernel_for(count);
        CHECK(chosen->lanes >= count || chosen == aes_kernel_at(0));
        CHECK(chosen->lanes <= aes_kernel_for(AES_MOST_LANES)->lanes);
    }
    CHECK(!strcmp(portable()->name, "portable"));
    CHECK(!aes_known_answer(&wrong));
    cpu_restrict(0);
    CHECK(aes_kernel() == portable() && !aes_kernel_at(1));
    cpu_restrict(UINT32_MAX);
}

int main(void)
{
    test_table();
    for (unsigned i = 0; aes_kernel_at(i); i++) {
        row = aes_kernel_at(i);
        test_row();
    }
    test_mixes();
    return 0;
}
