#include "rsa_rows.h"

#include "random.h"
#include "sha256.h"

enum { LANES = RSA_MOST_LANES, HASH = SHA256_SIZE };

_Static_assert(RSA_MOST_OCTETS / HASH <= UINT8_MAX, "the counter of MGF1 is one octet here");

const struct kernel_id *const rsa_kernels[] = {
#if defined(__x86_64__)
    &rsa_ifma8.id,
    &rsa_ifma1.id,
#endif
    NULL,
};

/* A row takes as long for one number as for all its lanes. So as long as at least half of a row's
 * lanes would be free, one with fewer lanes is the better choice. */
const struct rsa_row *rsa_row_for(const struct kernel_id *const *rows, unsigned count)
{
    const struct rsa_row *found = kernel_at(rows, 0), *next;

    for (unsigned i = 1; found && (next = kernel_at(rows, i)); i++)
        if (next->lanes < found->lanes && count <= found->lanes / 2)
            found = next;
    return found;
}

/* --- octets and digits ------------------------------------------------------------------------ */

static void to_digits(const uint8_t *octets, unsigned size, uint64_t *digits)
{
    const uint64_t mask = (UINT64_C(1) << RSA_DIGIT_BITS) - 1;
    uint64_t word = 0, *digit = digits;
    unsigned bits = 0;

    memset(digits, 0, RSA_MOST_DIGITS * sizeof *digits);
    for (const uint8_t *octet = octets + size; octet-- > octets;) {
        word |= (uint64_t)*octet << bits;
        bits += 8;
        if (bits >= RSA_DIGIT_BITS) {
            *digit++ = word & mask;
            bits -= RSA_DIGIT_BITS;
            word = (uint64_t)*octet >> (8 - bits);
        }
    }
    *digit = word;
}

static void to_octets(const uint64_t *digit, uint8_t *octets, unsigned size)
{
    uint64_t word = 0;
    unsigned bits = 0;

    for (uint8_t *octet = octets + size; octet-- > octets;) {
        if (bits < 8) {
            uint64_t next = *digit++;
            *octet = (uint8_t)(word | next << bits);
            word = next >> (8 - bits);
            bits += RSA_DIGIT_BITS - 8;
        } else {
            *octet = (uint8_t)word;
            word >>= 8;
            bits -= 8;
        }
    }
}

/* --- padding ---------------------------------------------------------------------------------- */

/* Random octets for the next blocks. Secret. */
struct fresh {
    uint8_t octets[RANDOM_TOGETHER];
    size_t first, last;
    size_t wanted; /* how many the remaining blocks will take */
};

static int fetch(struct fresh *fresh)
{
    fresh->first = 0;
    fresh->last = min_size(sizeof fresh->octets, fresh->wanted + fresh->wanted / 128 + 2);
    return random_fill(fresh->octets, fresh->last);
}

/* Random octets from 1 to 255, all equally likely. Zeros are skipped; their number and places tell
 * nothing about the octets that stay. */
static int fill_nonzero(struct fresh *fresh, uint8_t *octets, size_t len)
{
    for (size_t filled = 0; filled < len; fresh->first++) {
        if (fresh->first == fresh->last && fetch(fresh))
            return -1;
        octets[filled] = fresh->octets[fresh->first];
        filled += octets[filled] != 0;
    }
    fresh->wanted -= len;
    return 0;
}

/* How many random octets PKCS #1 v1.5 puts before the secret. */
static size_t pkcs1_random(const struct rsa_job *job)
{
    return job->padding == RSA_PKCS1V15 ? job->key->size - job->secret_len - 3 : 0;
}

/* RFC 8017 section 7.2.1: 00 02, random octets, 00, the secret. */
static int pad_pkcs1(const struct rsa_job *job, struct fresh *fresh, uint8_t *block)
{
    size_t random = pkcs1_random(job);
    int error = fill_nonzero(fresh, block + 2, random);

    block[0] = 0;
    block[1] = 2;
    block[2 + random] = 0;
    memcpy(block + 3 + random, job->secret, job->secret_len);
    return error;
}

/* XORs MGF1 with SHA-256 (RFC 8017 appendix B.2.1) into `target`. */
static void add_mask(const uint8_t seed[], size_t seed_len, uint8_t *target, size_t len)
{
    uint8_t input[RSA_MOST_OCTETS + 4], hash[HASH];

    memcpy(input, seed, seed_len);
    memset(input + seed_len, 0, 4);
    for (uint8_t counter = 0; len; counter++) {
        size_t part = min_size(len, HASH);
        input[seed_len + 3] = counter; /* 512 octets are 16 hashes */
        sha256(input, seed_len + 4, hash);
        for (size_t i = 0; i < part; i++)
            target[i] ^= hash[i];
        target += part;
        len -= part;
    }
    wipe(input, sizeof input);
    wipe(hash, sizeof hash);
}

/* RFC 8017 section 7.1.1 with an empty label: 00, the masked seed, the masked data block. */
static int pad_oaep(const struct rsa_job *job, uint8_t *block)
{
    uint8_t *seed = block + 1, *data = seed + HASH;
    size_t data_len = job->key->size - 1 - HASH, zeros = data_len - HASH - 1 - job->secret_len;
    int error = random_fill(seed, HASH);

    block[0] = 0;
    sha256(NULL, 0, data);
    memset(data + HASH, 0, zeros);
    data[HASH + zeros] = 1;
    memcpy(data + HASH + zeros + 1, job->secret, job->secret_len);
    add_mask(seed, HASH, data, data_len);
    add_mask(data, data_len, seed, HASH);
    return error;
}

/* --- many ------------------------------------------------------------------------------------- */

struct work {
    uint64_t number[LANES][RSA_MOST_DIGITS]; /* secret */
    const struct rsa_key *key[LANES];
    uint8_t *out[LANES];
    unsigned count;
};

static void work_add(struct work *work, const struct rsa_key *key, const uint8_t *block,
                     uint8_t *out)
{
    to_digits(block, key->size, work->number[work->count]);
    work->key[work->count] = key;
    work->out[work->count++] = out;
}

/* Overwrites the part of the stack that a row's function uses: the compiler may have left
 * copies. */
__attribute__((noinline)) static void wipe_stack(void)
{
    uint8_t frames[32 << 10];
    wipe(frames, sizeof frames);
}

static void work_do(struct work *work, const struct rsa_row *row)
{
    unsigned step;

    for (unsigned i = 0; i < work->count; i += step) {
        step = (unsigned)min_size(row->lanes, work->count - i);
        row->power(work->key + i, work->number + i, step);
    }
    wipe_stack();
    for (unsigned i = 0; i < work->count; i++)
        to_octets(work->number[i], work->out[i], work->key[i]->size);
    wipe(work, sizeof *work);
}

static bool alike(const struct rsa_key *a, const struct rsa_key *b)
{
    return a->digits == b->digits && a->exponent == b->exponent;
}

/* Takes the first job that is left, and as many others as fit whose keys are alike. */
static unsigned take_alike(const struct rsa_job *jobs, uint64_t *left,
                           const struct rsa_job *taken[LANES])
{
    const struct rsa_key *key = jobs[__builtin_ctzll(*left)].key;
    unsigned count = 0;

    for (uint64_t rest = *left; rest && count < LANES; rest &= rest - 1) {
        const struct rsa_job *job = &jobs[__builtin_ctzll(rest)];
        if (!alike(job->key, key))
            continue;
        taken[count++] = job;
        *left &= ~(rest & -rest);
    }
    return count;
}

static int wrap_alike(const struct rsa_job *const jobs[], unsigned count)
{
    uint8_t block[RSA_MOST_OCTETS];
    struct fresh fresh;
    struct work work;
    int error = 0;

    fresh.first = fresh.last = fresh.wanted = work.count = 0;
    for (unsigned i = 0; i < count; i++)
        fresh.wanted += pkcs1_random(jobs[i]);
    for (unsigned i = 0; i < count; i++) {
        const struct rsa_job *job = jobs[i];
        error |= job->padding == RSA_PKCS1V15 ? pad_pkcs1(job, &fresh, block)
                                              : pad_oaep(job, block);
        work_add(&work, job->key, block, job->out);
    }
    wipe(block, sizeof block);
    wipe(fresh.octets, fresh.last);
    work_do(&work, rsa_row_for(rsa_kernels, work.count));
    return error;
}

int rsa_wrap(const struct rsa_job *jobs, size_t count)
{
    const struct rsa_job *taken[LANES];
    int error = !count || kernel_at(rsa_kernels, 0) ? 0 : -1;

    for (size_t part; count && !error; jobs += part, count -= part) {
        part = min_size(count, 64); /* bits of `left` */
        uint64_t left = UINT64_MAX >> (64 - part);
        while (left)
            error |= wrap_alike(taken, take_alike(jobs, &left, taken));
    }
    return error;
}

/* --- for tests -------------------------------------------------------------------------------- */

void rsa_raw(unsigned index, const struct rsa_key *const key[], const uint8_t *const in[],
             uint8_t *const out[], size_t count)
{
    struct work work = {.count = 0};

    for (size_t i = 0; i < count; i++) {
        work_add(&work, key[i], in[i], out[i]);
        if (work.count == LANES || i + 1 == count)
            work_do(&work, kernel_at(rsa_kernels, index));
    }
}

/* Modulo 2^1246 - 1 a power of two to any power is again a power of two, and so with the negatives
 * of both, in which almost every bit is set. R is 4 modulo that number: so the constants are
 * simple. */
bool rsa_known_answer(const struct kernel_id *id)
{
    enum { BITS = 1246, TOP = BITS / RSA_DIGIT_BITS, DIGITS = TOP + 1, EXPONENT = 65537 };
    const struct rsa_row *row = (const void *)id;
    struct rsa_key key = {.r_squared = {16}, .inverse = 1, .exponent = EXPONENT, .digits = DIGITS};
    uint64_t number[LANES][RSA_MOST_DIGITS], expected[LANES][RSA_MOST_DIGITS];
    const struct rsa_key *keys[LANES];

    for (unsigned i = 0; i < TOP; i++)
        key.modulus[i] = (UINT64_C(1) << RSA_DIGIT_BITS) - 1;
    key.modulus[TOP] = (UINT64_C(1) << BITS % RSA_DIGIT_BITS) - 1;
    for (unsigned i = 0; i < row->lanes; i++) {
        unsigned bit = 5 + 37 * i, turned = bit * EXPONENT % BITS;
        memcpy(number[i], key.modulus, sizeof key.modulus);
        memcpy(expected[i], key.modulus, sizeof key.modulus);
        number[i][bit / RSA_DIGIT_BITS] -= UINT64_C(1) << bit % RSA_DIGIT_BITS;
        expected[i][turned / RSA_DIGIT_BITS] -= UINT64_C(1) << turned % RSA_DIGIT_BITS;
        keys[i] = &key;
    }
    row->power(keys, number, row->lanes);
    for (unsigned i = 0; i < row->lanes; i++)
        if (memcmp(number[i], expected[i], DIGITS * sizeof *number[i]) != 0)
            return false;
    return true;
}
