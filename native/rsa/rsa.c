#include "rsa_rows.h"

#include "hash/digest.h"
#include "random.h"

enum { LANES = RSA_MOST_LANES, HASH = SHA256_SIZE };

_Static_assert(RSA_MOST_OCTETS / HASH <= UINT8_MAX, "the counter of MGF1 is one octet here");

const struct kernel_id *const rsa_kernels[] = {
#if defined(__x86_64__)
    &rsa_ifma8.id,
    &rsa_ifma1.id,
    &rsa_avx2x4.id,
    &rsa_adx.id,
#endif
#if defined(__SIZEOF_INT128__)
    &rsa_portable.id,
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

static const struct {
    unsigned bits;
    unsigned step;  /* the digits of a number are a multiple of it */
    unsigned spare; /* bits by which R exceeds the modulus at least */
} radixes[RSA_RADIXES] = {
    [RSA_RADIX_52] = {52, 8, 2}, /* eight are a register */
    [RSA_RADIX_27] = {27, 4, 2},
    [RSA_RADIX_64] = {64, 8, 0},
};

unsigned rsa_digit_bits(unsigned radix)
{
    return radixes[radix].bits;
}

unsigned rsa_digits(unsigned radix, unsigned modulus_bits)
{
    const unsigned step = radixes[radix].step, bits = step * radixes[radix].bits;

    return (modulus_bits + radixes[radix].spare + bits - 1) / bits * step;
}

unsigned rsa_radixes(void)
{
    const struct rsa_row *row;
    unsigned found = 0;

    for (unsigned count = 1; count <= LANES; count++)
        if ((row = rsa_row_for(rsa_kernels, count)))
            found |= 1U << row->radix;
    return found;
}

enum { WORDS = RSA_MOST_OCTETS / 8 };

/* Word i of a big-endian number, the lowest first. */
static uint64_t load_word(const uint8_t *octets, unsigned size, unsigned i)
{
    const unsigned count = (unsigned)min_size(8, size - 8 * i);
    const uint8_t *first = octets + size - 8 * i - count;
    uint64_t word = 0;

    if (count == 8) /* one load and a swap, as compilers see it */
        return (uint64_t)first[0] << 56 | (uint64_t)first[1] << 48 | (uint64_t)first[2] << 40
             | (uint64_t)first[3] << 32 | (uint64_t)first[4] << 24 | (uint64_t)first[5] << 16
             | (uint64_t)first[6] << 8 | first[7];
    for (unsigned j = 0; j < count; j++)
        word = word << 8 | first[j];
    return word;
}

static void store_word(uint8_t *octets, unsigned size, unsigned i, uint64_t word)
{
    const unsigned count = (unsigned)min_size(8, size - 8 * i);

    for (unsigned j = 0; j < count; j++)
        octets[size - 1 - 8 * i - j] = (uint8_t)(word >> 8 * j);
}

/* Cuts a big-endian number into `count` digits of so many bits. */
static void to_digits(const uint8_t *octets, unsigned size, unsigned bits, uint64_t *digits,
                      unsigned count)
{
    uint64_t words[WORDS + 2] = {0};
    const uint64_t mask = UINT64_MAX >> (64 - bits);

    for (unsigned i = 0; 8 * i < size; i++)
        words[i] = load_word(octets, size, i);
    for (unsigned i = 0; i < count; i++) {
        const unsigned word = (unsigned)min_size(i * bits / 64, WORDS), shift = i * bits % 64;
        /* Shifted in two steps: by 64 at once isn't defined. */
        digits[i] = (words[word] >> shift | words[word + 1] << 1 << (63 - shift)) & mask;
    }
    wipe(words, sizeof words);
}

static void to_octets(const uint64_t *digits, unsigned bits, uint8_t *octets, unsigned size)
{
    uint64_t words[WORDS + 2] = {0};

    for (unsigned i = 0; i * bits < 8 * size; i++) {
        const unsigned word = i * bits / 64, shift = i * bits % 64;
        words[word] |= digits[i] << shift;
        words[word + 1] |= digits[i] >> 1 >> (63 - shift);
    }
    for (unsigned i = 0; 8 * i < size; i++)
        store_word(octets, size, i, words[i]);
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

/* Padded secrets that are to be encrypted, for keys that are alike. */
struct work {
    uint8_t block[LANES][RSA_MOST_OCTETS]; /* secret */
    const struct rsa_key *key[LANES];
    uint8_t *out[LANES];
    unsigned count;
};

/* Overwrites the part of the stack that a row's function uses: the compiler may have left
 * copies. */
__attribute__((noinline)) static void wipe_stack(void)
{
    uint8_t frames[48 << 10]; /* work_part() and the longest power() take 41 KiB */
    wipe(frames, sizeof frames);
    cpu_wipe_registers();
}

/* The next `count` blocks from `first`, by a row that can take so many. Gives -1 for a key that isn't
 * prepared for it. */
static int work_part(struct work *work, const struct rsa_row *row, unsigned first, unsigned count)
{
    uint64_t number[LANES][RSA_MOST_DIGITS]; /* secret */
    const struct rsa_form *form[LANES] = {NULL};
    const unsigned bits = rsa_digit_bits(row->radix);

    for (unsigned i = 0; i < count; i++) {
        const struct rsa_key *key = work->key[first + i];
        form[i] = &key->form[row->radix];
        if (!form[i]->digits)
            return -1;
        to_digits(work->block[first + i], key->size, bits, number[i], form[i]->digits);
    }
    row->power(form, work->key[first]->exponent, number, count);
    for (unsigned i = 0; i < count; i++)
        to_octets(number[i], bits, work->out[first + i], work->key[first + i]->size);
    wipe(number, count * sizeof *number);
    return 0;
}

/* Does all by `row`; where that is NULL, each part by the best row for what is left. */
static int work_do(struct work *work, const struct rsa_row *row)
{
    unsigned step;
    int error = 0;

    for (unsigned first = 0; first < work->count; first += step) {
        const unsigned left = work->count - first;
        const struct rsa_row *chosen = row ? row : rsa_row_for(rsa_kernels, left);
        step = (unsigned)min_size(chosen->lanes, left);
        error |= work_part(work, chosen, first, step);
    }
    wipe_stack();
    wipe(work->block, work->count * sizeof *work->block);
    work->count = 0;
    return error;
}

static bool alike(const struct rsa_key *a, const struct rsa_key *b)
{
    for (unsigned radix = 0; radix < RSA_RADIXES; radix++)
        if (a->form[radix].digits != b->form[radix].digits)
            return false;
    return a->exponent == b->exponent;
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
    struct fresh fresh;
    struct work work;
    int error = 0;

    fresh.first = fresh.last = fresh.wanted = 0;
    for (unsigned i = 0; i < count; i++)
        fresh.wanted += pkcs1_random(jobs[i]);
    for (unsigned i = 0; i < count; i++) {
        const struct rsa_job *job = jobs[i];
        error |= job->padding == RSA_PKCS1V15 ? pad_pkcs1(job, &fresh, work.block[i])
                                              : pad_oaep(job, work.block[i]);
        work.key[i] = job->key;
        work.out[i] = job->out;
    }
    work.count = count;
    wipe(fresh.octets, sizeof fresh.octets); /* an earlier fetch may have been the longer one */
    return error | work_do(&work, NULL);
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
        memcpy(work.block[work.count], in[i], key[i]->size);
        work.key[work.count] = key[i];
        work.out[work.count++] = out[i];
        if (work.count == LANES || i + 1 == count)
            work_do(&work, kernel_at(rsa_kernels, index));
    }
}

enum { ONES = 1246 };

/* 2^1246 - 1, but for one bit. */
static void all_ones_but(unsigned missing, unsigned bits, uint64_t digits[RSA_MOST_DIGITS])
{
    for (unsigned i = 0, bit = 0; i < RSA_MOST_DIGITS; i++, bit += bits) {
        const unsigned left = bit < ONES ? (unsigned)min_size(bits, ONES - bit) : 0;
        digits[i] = left ? UINT64_MAX >> (64 - left) : 0;
    }
    if (missing < ONES)
        digits[missing / bits] -= UINT64_C(1) << missing % bits;
}

/* Modulo 2^1246 - 1 a power of two to any power is again a power of two, and so with the negatives
 * of both, in which almost every bit is set. R, too, is a power of two. */
bool rsa_known_answer(const struct kernel_id *id)
{
    enum { EXPONENT = 65537 };
    const struct rsa_row *row = (const void *)id;
    const unsigned bits = rsa_digit_bits(row->radix), digits = rsa_digits(row->radix, ONES);
    const unsigned r_squared = 2 * (digits * bits - ONES);
    uint64_t modulus[RSA_MOST_DIGITS], squared[RSA_MOST_DIGITS] = {0};
    uint64_t number[LANES][RSA_MOST_DIGITS], expected[LANES][RSA_MOST_DIGITS];
    const struct rsa_form form = {modulus, squared, 1, digits}, *forms[LANES];

    all_ones_but(ONES, bits, modulus);
    squared[r_squared / bits] = UINT64_C(1) << r_squared % bits;
    for (unsigned i = 0; i < row->lanes; i++) {
        const unsigned bit = 5 + 37 * i;
        all_ones_but(bit, bits, number[i]);
        all_ones_but(bit * EXPONENT % ONES, bits, expected[i]);
        forms[i] = &form;
    }
    row->power(forms, EXPONENT, number, row->lanes);
    for (unsigned i = 0; i < row->lanes; i++)
        if (memcmp(number[i], expected[i], digits * sizeof *number[i]) != 0)
            return false;
    return true;
}
