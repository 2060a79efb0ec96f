/* AES without tables and without branches on secrets, for every machine: 64 octets, four blocks of
 * four messages, lie in eight words, one for each bit of an octet. Bit 16 b + i of a word belongs
 * to octet i of block b, which is row i % 4 of column i / 4. */
#include "aes_rows.h"

enum { LANES = 4, PLANES = 8 };

typedef uint64_t planes[PLANES];

#define EACH16(x) (UINT64_C(0x0001000100010001) * (x))

/* --- octets to planes and back ---------------------------------------------------------------- */

/* Swaps the bits of *a under `mask` shifted by `shift` with those of *b under `mask`. */
static inline void swap_bits(uint64_t *a, uint64_t *b, uint64_t mask, unsigned shift)
{
    uint64_t change = ((*a >> shift) ^ *b) & mask;
    *b ^= change;
    *a ^= change << shift;
}

/* Makes bit i of word j bit j of word i, in every octet of the words: its own inverse. */
static inline void transpose(planes q)
{
    for (unsigned i = 0; i < PLANES; i += 2)
        swap_bits(&q[i], &q[i + 1], UINT64_C(0x5555555555555555), 1);
    for (unsigned i = 0; i < PLANES; i += 4) {
        swap_bits(&q[i], &q[i + 2], UINT64_C(0x3333333333333333), 2);
        swap_bits(&q[i + 1], &q[i + 3], UINT64_C(0x3333333333333333), 2);
    }
    for (unsigned i = 0; i < PLANES / 2; i++)
        swap_bits(&q[i], &q[i + 4], UINT64_C(0x0f0f0f0f0f0f0f0f), 4);
}

/* Octets j and j + 8 of every block go to word j, so that after the transposition they stand where
 * this file's first comment says. */
static inline void gather(planes q, unsigned block, const uint8_t *octets)
{
    for (unsigned j = 0; j < PLANES; j++)
        q[j] |= (uint64_t)octets[j] << (16 * block) | (uint64_t)octets[j + 8] << (16 * block + 8);
}

static inline void scatter(const planes q, unsigned block, uint8_t *octets)
{
    for (unsigned j = 0; j < PLANES; j++) {
        octets[j] = (uint8_t)(q[j] >> (16 * block));
        octets[j + 8] = (uint8_t)(q[j] >> (16 * block + 8));
    }
}

/* --- the round -------------------------------------------------------------------------------- */

/* SubBytes by the circuit of Boyar and Peralta ("A depth-16 circuit for the AES S-box", 2011, and
 * its forerunner of 115 gates): linear, inversion in GF(2^4) towers, linear. */
static inline void substitute(planes q)
{
    const uint64_t u0 = q[7], u1 = q[6], u2 = q[5], u3 = q[4];
    const uint64_t u4 = q[3], u5 = q[2], u6 = q[1], u7 = q[0];

    const uint64_t y14 = u3 ^ u5, y13 = u0 ^ u6, y9 = u0 ^ u3, y8 = u0 ^ u5;
    const uint64_t t0 = u1 ^ u2, y1 = t0 ^ u7, y4 = y1 ^ u3, y12 = y13 ^ y14;
    const uint64_t y2 = y1 ^ u0, y5 = y1 ^ u6, y3 = y5 ^ y8, t1 = u4 ^ y12;
    const uint64_t y15 = t1 ^ u5, y20 = t1 ^ u1, y6 = y15 ^ u7, y10 = y15 ^ t0;
    const uint64_t y11 = y20 ^ y9, y7 = u7 ^ y11, y17 = y10 ^ y11, y19 = y10 ^ y8;
    const uint64_t y16 = t0 ^ y11, y21 = y13 ^ y16, y18 = u0 ^ y16;

    const uint64_t t2 = y12 & y15, t4 = (y3 & y6) ^ t2, t6 = (y4 & u7) ^ t2;
    const uint64_t t7 = y13 & y16, t9 = (y5 & y1) ^ t7, t11 = (y2 & y7) ^ t7;
    const uint64_t t12 = y9 & y11, t14 = (y14 & y17) ^ t12, t16 = (y8 & y10) ^ t12;
    const uint64_t t21 = t4 ^ t14 ^ y20, t22 = t6 ^ t16 ^ y19;
    const uint64_t t23 = t9 ^ t14 ^ y21, t24 = t11 ^ t16 ^ y18;

    const uint64_t t25 = t21 ^ t22, t26 = t21 & t23, t27 = t24 ^ t26, t29 = (t25 & t27) ^ t22;
    const uint64_t t30 = t23 ^ t24, t31 = t22 ^ t26, t33 = (t31 & t30) ^ t24;
    const uint64_t t34 = t23 ^ t33, t35 = t27 ^ t33, t36 = t24 & t35, t37 = t36 ^ t34;
    const uint64_t t38 = t27 ^ t36, t40 = t25 ^ (t29 & t38);
    const uint64_t t41 = t40 ^ t37, t42 = t29 ^ t33, t43 = t29 ^ t40, t44 = t33 ^ t37;
    const uint64_t t45 = t42 ^ t41;

    const uint64_t z0 = t44 & y15, z1 = t37 & y6, z2 = t33 & u7, z3 = t43 & y16;
    const uint64_t z4 = t40 & y1, z5 = t29 & y7, z6 = t42 & y11, z7 = t45 & y17;
    const uint64_t z8 = t41 & y10, z9 = t44 & y12, z10 = t37 & y3, z11 = t33 & y4;
    const uint64_t z12 = t43 & y13, z13 = t40 & y5, z14 = t29 & y2, z15 = t42 & y9;
    const uint64_t z16 = t45 & y14, z17 = t41 & y8;

    const uint64_t t46 = z15 ^ z16, t47 = z10 ^ z11, t48 = z5 ^ z13, t49 = z9 ^ z10;
    const uint64_t t50 = z2 ^ z12, t51 = z2 ^ z5, t52 = z7 ^ z8, t53 = z0 ^ z3;
    const uint64_t t54 = z6 ^ z7, t55 = z16 ^ z17, t56 = z12 ^ t48, t57 = t50 ^ t53;
    const uint64_t t58 = z4 ^ t46, t59 = z3 ^ t54, t60 = t46 ^ t57, t61 = z14 ^ t57;
    const uint64_t t62 = t52 ^ t58, t63 = t49 ^ t58, t64 = z4 ^ t59, t65 = t61 ^ t62;
    const uint64_t t66 = z1 ^ t63, t67 = t64 ^ t65, s3 = t53 ^ t66;

    q[7] = t59 ^ t63;
    q[6] = ~(t64 ^ s3);
    q[5] = ~(t55 ^ t67);
    q[4] = s3;
    q[3] = t51 ^ t66;
    q[2] = t47 ^ t65;
    q[1] = ~(t56 ^ t62);
    q[0] = ~(t48 ^ t60);
}

/* Row r of each block turns by r columns. */
static inline void shift_rows(planes q)
{
    for (unsigned i = 0; i < PLANES; i++) {
        uint64_t x = q[i];
        q[i] = (x & EACH16(0x1111)) | ((x >> 4) & EACH16(0x0222)) | ((x << 12) & EACH16(0x2000))
               | ((x >> 8) & EACH16(0x0044)) | ((x << 8) & EACH16(0x4400))
               | ((x >> 12) & EACH16(0x0008)) | ((x << 4) & EACH16(0x8880));
    }
}

static inline uint64_t next_row(uint64_t x)
{
    return ((x >> 1) & EACH16(0x7777)) | ((x << 3) & EACH16(0x8888));
}

static inline uint64_t second_row(uint64_t x)
{
    return ((x >> 2) & EACH16(0x3333)) | ((x << 2) & EACH16(0xcccc));
}

/* Each octet a becomes 2 (a + b) + b + c + d, where b, c, d follow it in its column. */
static inline void mix_columns(planes q)
{
    planes next, sum;

    for (unsigned i = 0; i < PLANES; i++) {
        next[i] = next_row(q[i]);
        sum[i] = q[i] ^ next[i];
    }
    for (unsigned i = 0; i < PLANES; i++)
        q[i] = next[i] ^ second_row(sum[i]) ^ sum[(i + 7) % 8];
    q[1] ^= sum[7];
    q[3] ^= sum[7];
    q[4] ^= sum[7];
}

static inline void add_key(planes q, const planes key)
{
    for (unsigned i = 0; i < PLANES; i++)
        q[i] ^= key[i];
}

static void encrypt(planes q, const planes *key, unsigned rounds)
{
    add_key(q, key[0]);
    for (unsigned round = 1; round < rounds; round++) {
        substitute(q);
        shift_rows(q);
        mix_columns(q);
        add_key(q, key[round]);
    }
    substitute(q);
    shift_rows(q);
    add_key(q, key[rounds]);
}

/* --- CBC, a lane in each block ---------------------------------------------------------------- */

static void slice_keys(planes *key, struct lane *const lane[], unsigned count)
{
    for (unsigned round = 0; round <= lane[0]->key->rounds; round++) {
        memset(key[round], 0, sizeof key[round]);
        for (unsigned i = 0; i < count; i++)
            gather(key[round], i, lane[i]->key->round[round]);
        transpose(key[round]);
    }
}

static void next_block(struct lane *const lane[], unsigned count, planes chain, const planes *key)
{
    planes text = {0};

    for (unsigned i = 0; i < count; i++) {
        gather(text, i, lane[i]->in);
        lane[i]->in += AES_BLOCK;
    }
    transpose(text);
    add_key(chain, text);
    encrypt(chain, key, lane[0]->key->rounds);
    memcpy(text, chain, sizeof text);
    transpose(text);
    for (unsigned i = 0; i < count; i++) {
        scatter(text, i, lane[i]->out);
        lane[i]->out += AES_BLOCK;
    }
}

static void cbc(struct lane *const lane[], unsigned count, size_t blocks)
{
    planes key[15], chain = {0};

    slice_keys(key, lane, count);
    for (unsigned i = 0; i < count; i++)
        gather(chain, i, lane[i]->chain);
    transpose(chain);
    for (; blocks; blocks--)
        next_block(lane, count, chain, (const planes *)key);
    transpose(chain);
    for (unsigned i = 0; i < count; i++)
        scatter(chain, i, lane[i]->chain);
    wipe(key, sizeof key);
}

/* --- key expansion (FIPS 197 section 5.2) ------------------------------------------------------ */

static void substitute_word(uint8_t word[4])
{
    planes q = {0};

    for (unsigned i = 0; i < PLANES; i++)
        for (unsigned j = 0; j < 4; j++)
            q[i] |= (uint64_t)(word[j] >> i & 1) << j;
    substitute(q);
    for (unsigned j = 0; j < 4; j++) {
        word[j] = 0;
        for (unsigned i = 0; i < PLANES; i++)
            word[j] |= (uint8_t)((q[i] >> j & 1) << i);
    }
    wipe(q, sizeof q);
}

static void rotate_word(uint8_t word[4])
{
    uint8_t first = word[0];
    memmove(word, word + 1, 3);
    word[3] = first;
}

void aes_portable_expand(struct aes_key *key, const uint8_t *octets, size_t len)
{
    uint8_t *words = key->round[0], word[4], constant = 1;

    key->rounds = len == 32 ? 14 : 10;
    memcpy(words, octets, len);
    for (size_t at = len; at < AES_BLOCK * (key->rounds + 1); at += 4) {
        memcpy(word, words + at - 4, 4);
        if (at % len == 0) {
            rotate_word(word);
            substitute_word(word);
            word[0] ^= constant;
            constant = (uint8_t)(constant << 1 ^ (constant >> 7) * 0x1b);
        } else if (at % len == 16) {
            substitute_word(word);
        }
        for (unsigned i = 0; i < 4; i++)
            words[at + i] = words[at - len + i] ^ word[i];
    }
    wipe(word, sizeof word);
}

const struct aes_kernel aes_portable = {
    .name = "portable",
    .needs = 0,
    .lanes = LANES,
    .expand = aes_portable_expand,
    .cbc = cbc,
};
