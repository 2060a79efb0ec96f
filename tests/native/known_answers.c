/* Every row of the AES table that this machine allows: NIST's known answers, random messages
 * against the portable row with one lane, decryption against encryption, and what is left on the
 * stack. Needs no Python, so that it runs under an emulator and under the sanitizers:
 *
 *   cc -O3 -Inative tests/native/known_answers.c $(find native -name "*.c") -o known_answers && ./known_answers
 */
#include "aes/aes.h"
#include "cpu.h"
#include "tools.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_LANES = 32, MOST_BLOCKS = 70, MARGIN = 64, TRIALS = 300 };
enum { ROOM = MOST_BLOCKS * AES_BLOCK + 2 * MARGIN };

/* --- tools ------------------------------------------------------------------------------------ */

static const struct aes_kernel *row;

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
    struct lane *lanes[MOST_LANES] = {NULL}, before[MOST_LANES];
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

/* --- backwards -------------------------------------------------------------------------------- */

/* Memory of its own, so that a sanitizer sees every octet beyond; at any alignment. */
struct exact {
    uint8_t *memory, *octets;
};

static struct exact exact(size_t len)
{
    size_t offset = below(MARGIN);
    uint8_t *memory = malloc(offset + len);

    CHECK(memory || !(offset + len));
    fill_random(memory + offset, len);
    return (struct exact){memory, memory + offset};
}

/* A key for decryption, which every row expands alike. */
static void expect_inverse(struct aes_key *key, const uint8_t *octets, size_t key_len)
{
    struct aes_key expected;

    memset(key, 0xa5, sizeof *key);
    memset(&expected, 0xa5, sizeof expected);
    row->expand_inverse(key, octets, key_len);
    portable()->expand_inverse(&expected, octets, key_len);
    CHECK(key->rounds == key_len / 4 + 6);
    CHECK(!memcmp(key, &expected, sizeof expected));
}

/* Makes `cipher` the ciphertext of `plain`; or, where none can be had, the other way round. */
static void make_pair(const uint8_t *octets, size_t key_len, const uint8_t *iv, uint8_t *cipher,
                      size_t blocks, uint8_t *plain)
{
    struct aes_key key;
    struct lane lane = {.in = plain, .out = cipher, .key = &key}, *alone = &lane;

    memcpy(lane.chain, iv, AES_BLOCK);
    if (key_len == 24) {
        portable()->expand_inverse(&key, octets, key_len);
        portable()->cbc_decrypt(&key, lane.chain, cipher, blocks, plain);
    } else {
        portable()->expand(&key, octets, key_len);
        portable()->cbc(&alone, 1, blocks);
    }
}

/* The work cut into two calls, half the time in place. */
static void trial_backwards(size_t key_len, size_t blocks)
{
    const size_t len = blocks * AES_BLOCK, first = below((uint32_t)blocks + 1);
    struct exact plain = exact(len), cipher = exact(len), out = exact(len);
    uint8_t octets[AES_MAX_KEY], chain[AES_BLOCK], last[AES_BLOCK];
    struct aes_key key;

    fill_random(octets, key_len);
    fill_random(chain, AES_BLOCK);
    make_pair(octets, key_len, chain, cipher.octets, blocks, plain.octets);
    memcpy(last, blocks ? cipher.octets + len - AES_BLOCK : chain, AES_BLOCK);
    memcpy(out.octets, cipher.octets, len);
    const uint8_t *in = below(2) ? cipher.octets : out.octets;
    expect_inverse(&key, octets, key_len);
    row->cbc_decrypt(&key, chain, in, first, out.octets);
    row->cbc_decrypt(&key, chain, in + first * AES_BLOCK, blocks - first,
                     out.octets + first * AES_BLOCK);
    CHECK(!memcmp(out.octets, plain.octets, len));
    CHECK(!memcmp(chain, last, AES_BLOCK));
    free(plain.memory);
    free(cipher.memory);
    free(out.memory);
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

__attribute__((noinline)) static void copy_stack(uint8_t to[DEPTH])
{
    uint8_t below_caller[DEPTH];
    __asm__ __volatile__("" : "=m"(below_caller)); /* not indeterminate: somebody wrote it */
    memcpy(to, below_caller, DEPTH);
}

/* What expansion and the work left, always at the same place, since calls save pointers too. */
static uint8_t copy[2][DEPTH];

/* Random secrets at the same places each time. */
static void leave_stack(unsigned count, size_t key_len)
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

/* Blocks enough for the widest code and for all that takes what it leaves. The key makes the
 * plaintext another each time; ciphertext is no secret. */
static void leave_stack_backwards(unsigned blocks, size_t key_len)
{
    static uint8_t cipher[ROOM], text[ROOM], octets[AES_MAX_KEY];
    static struct aes_key key;
    uint8_t chain[AES_BLOCK] = {0};

    fill_random(octets, sizeof octets);
    clear_stack();
    row->expand_inverse(&key, octets, key_len);
    copy_stack(copy[0]);
    clear_stack();
    row->cbc_decrypt(&key, chain, cipher, blocks, text);
    copy_stack(copy[1]);
}

/* What is left does not depend on the secrets. The first call may differ: it binds symbols. */
static void expect_same(void (*leave)(unsigned, size_t), unsigned count, size_t key_len)
{
    static uint8_t before[2][DEPTH];
    static volatile unsigned times; /* in no register that calls would save */

    for (times = 0; times < 3; times++) {
        memcpy(before, copy, sizeof copy);
        leave(count, key_len);
    }
    CHECK(!memcmp(before[0], copy[0], DEPTH));
    CHECK(!memcmp(before[1], copy[1], DEPTH));
}

static void test_stack(void)
{
    for (unsigned count = 1; count <= row->lanes; count++)
        for (size_t key_len = 16; key_len <= 32; key_len += 16)
            expect_same(leave_stack, count, key_len);
    for (size_t key_len = 16; key_len <= 32; key_len += 8)
        expect_same(leave_stack_backwards, 63, key_len);
}

/* --- any number of lanes, any mix of keys ------------------------------------------------------ */

static void test_mixes(void)
{
    struct lane *lanes[AES_MOST_LANES] = {NULL}, before[AES_MOST_LANES];

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

/* --- keys without code -------------------------------------------------------------------------- */

static void encrypt_by_aes_192(void (*cbc)(struct lane *const lane[], unsigned, size_t))
{
    static const uint8_t octets[AES_MAX_KEY];
    uint8_t text[AES_BLOCK] = {0};
    struct aes_key key;
    struct lane lane = {.in = text, .out = text, .key = &key}, *alone = &lane;

    row->expand_inverse(&key, octets, 24);
    cbc(&alone, 1, 1);
}

/* A key for which a row has no code ends the process, before anything wrong is written. */
static void expect_refusal(void (*cbc)(struct lane *const lane[], unsigned, size_t))
{
    int status;
    const pid_t child = fork();

    CHECK(child >= 0);
    if (!child) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        encrypt_by_aes_192(cbc);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

/* --- rows and table --------------------------------------------------------------------------- */

static void test_row(void)
{
    CHECK(aes_known_answer(&row->id));
    CHECK(row->lanes >= 1 && row->lanes <= MOST_LANES);
    CHECK(!(row->id.needs & ~cpu_features()));
    for (unsigned i = 0; i < TRIALS; i++)
        trial(1 + i % row->lanes, below(2) ? 32 : 16, 1 + below(MOST_BLOCKS));
    for (unsigned i = 0; i < TRIALS; i++)
        trial_backwards(16 + 8 * (i % 3), below(3 * MOST_BLOCKS));
    for (unsigned blocks = 0; blocks <= MOST_BLOCKS; blocks++)
        trial_backwards(16 + 8 * (blocks % 3), blocks);
    if (IN_REGISTERS)
        test_stack();
    expect_refusal(row->cbc);
    expect_refusal(aes_cbc);
    printf("%s ok\n", row->id.name);
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

/* Here one that decrypts the first block alone. */
static void lazy(const struct aes_key *key, uint8_t *chain, const uint8_t *in, size_t blocks,
                 uint8_t *out)
{
    portable()->cbc_decrypt(key, chain, in, blocks ? 1 : 0, out);
}

static void test_wrong(void)
{
    struct aes_kernel wrong = *portable();

    CHECK(aes_known_answer(&wrong.id));
    wrong.cbc = forgetful;
    CHECK(!aes_known_answer(&wrong.id));
    wrong = *portable();
    wrong.cbc_decrypt = lazy;
    CHECK(!aes_known_answer(&wrong.id));
    wrong = *portable();
    wrong.expand_inverse = wrong.expand;
    CHECK(!aes_known_answer(&wrong.id));
}

static void test_table(void)
{
    CHECK(aes_kernel() == aes_kernel_for(1));
    for (unsigned count = 1; count <= AES_MOST_LANES; count++) {
        const struct aes_kernel *chosen = aes_kernel_for(count);
        CHECK(chosen->lanes >= count || chosen == aes_kernel_at(0));
        CHECK(chosen->lanes <= aes_kernel_for(AES_MOST_LANES)->lanes);
    }
    CHECK(!strcmp(portable()->id.name, "portable"));
    CHECK(aes_decrypt_kernel() == aes_kernel_at(0));
    cpu_restrict(0);
    CHECK(aes_kernel() == portable() && !aes_kernel_at(1));
    CHECK(aes_decrypt_kernel() == portable());
    cpu_restrict(UINT32_MAX);
}

/* What the engine checks of every kernel before it is used. */
static void test_own_checks(void)
{
    for (unsigned table = KERNELS_AES; table <= KERNELS_RSA; table++)
        for (unsigned i = 0; (row_name = kernel_name(table, i)); i++) {
            CHECK(kernel_check(table, i));
            printf("own check %u: %s ok\n", table, row_name);
        }
}

int main(void)
{
    test_own_checks();
    test_table();
    test_wrong();
    for (unsigned i = 0; aes_kernel_at(i); i++) {
        row = aes_kernel_at(i);
        row_name = row->id.name;
        test_row();
    }
    test_mixes();
    return 0;
}
