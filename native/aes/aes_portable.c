/* AES for every machine, without tables and without branches on secrets. It is bitsliced: four
 * blocks, one of each of four messages or four of one to decrypt, lie in eight words, one for each
 * bit of an octet. Bit 16 r + 4 c + b of a word belongs to row r and column c of block b. So the
 * word rotated by 16 bits has each row in the place of the next.
 *
 * ShiftRows is left out, after Adomnicai and Peyrin, "Fixslicing AES-like Ciphers" (2021). After k
 * rounds without it, row r stands k r columns from its place. MixColumns and the round keys take
 * that into account. After four rounds every row is in its place again. */
#include "aes_rows.h"

enum { LANES = 4, PLANES = 8, MAX_ROUNDS = 14 };

typedef uint64_t planes[PLANES];

#define EACH8(x) (UINT64_C(0x0101010101010101) * (x))
#define EACH16(x) (UINT64_C(0x0001000100010001) * (x))

/* Functions that aren't inlined would pass the planes through memory. */
#define INLINE __attribute__((always_inline)) static inline

/* --- octets to planes and back ---------------------------------------------------------------- */

/* Columns 0 and 1 of a block go to word `block`, columns 2 and 3 to word `block` + 4. */
INLINE void gather(planes q, unsigned block, const uint8_t *octets)
{
    q[block] = aes_load(octets, 8);
    q[block + 4] = aes_load(octets + 8, 8);
}

INLINE void scatter(const planes q, unsigned block, uint8_t *octets)
{
    aes_store(octets, 8, q[block]);
    aes_store(octets + 8, 8, q[block + 4]);
}

/* Of every two words `distance` apart, exchanges the bits of the first under `mask << shift` with
 * those of the second under `mask`. That exchanges one binary digit of the word's number with one
 * of the bit's number. */
INLINE void exchange(planes q, unsigned distance, unsigned shift, uint64_t mask)
{
    for (unsigned i = 0; i < PLANES; i++)
        if (!(i & distance)) {
            uint64_t change = ((q[i] >> shift) ^ q[i + distance]) & mask;
            q[i] ^= change << shift;
            q[i + distance] ^= change;
        }
}

/* Makes planes of gathered blocks. The first three exchanges move each octet to its row and column,
 * the others move each bit to its plane. */
INLINE void slice(planes q)
{
    exchange(q, 4, 8, EACH16(0x00ff));
    exchange(q, 4, 16, UINT64_C(0x0000ffff0000ffff));
    exchange(q, 4, 32, UINT64_C(0x00000000ffffffff));
    exchange(q, 4, 4, EACH8(0x0f));
    exchange(q, 2, 2, EACH8(0x33));
    exchange(q, 1, 1, EACH8(0x55));
}

INLINE void unslice(planes q)
{
    exchange(q, 1, 1, EACH8(0x55));
    exchange(q, 2, 2, EACH8(0x33));
    exchange(q, 4, 4, EACH8(0x0f));
    exchange(q, 4, 32, UINT64_C(0x00000000ffffffff));
    exchange(q, 4, 16, UINT64_C(0x0000ffff0000ffff));
    exchange(q, 4, 8, EACH16(0x00ff));
}

/* --- the round -------------------------------------------------------------------------------- */

/* SubBytes in 115 gates, by the circuit of Boyar and Peralta, "A New Combinational Logic
 * Minimization Technique with Applications to Cryptology" (2010), whose names are kept: a linear
 * layer, inversion in GF(2^4), a linear layer. */
INLINE void substitute(planes q)
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

/* Rotates each row by `columns` (0 to 3) columns. */
INLINE uint64_t rotate_rows(uint64_t x, unsigned columns)
{
    unsigned shift = 4 * columns;
    if (!shift)
        return x;
    return ((x >> shift) & EACH16(0xffffu >> shift))
           | ((x << (16 - shift)) & EACH16(0xffffu << (16 - shift) & 0xffffu));
}

/* The octets that stand `rows` (1 to 3) below in the same column, where ShiftRows was left out
 * `omitted` times. */
INLINE uint64_t below(uint64_t x, unsigned rows, unsigned omitted)
{
    return rotate_rows(x >> (16 * rows) | x << (64 - 16 * rows), rows * omitted % 4);
}

/* Each octet a becomes 2 (a + b) + b + c + d, where b, c, d follow it in its column. */
INLINE void mix_columns(planes q, unsigned omitted)
{
    planes next, sum;

    for (unsigned i = 0; i < PLANES; i++) {
        next[i] = below(q[i], 1, omitted);
        sum[i] = q[i] ^ next[i];
    }
    for (unsigned i = 0; i < PLANES; i++)
        q[i] = next[i] ^ below(sum[i], 2, omitted) ^ sum[(i + 7) % 8];
    q[1] ^= sum[7];
    q[3] ^= sum[7];
    q[4] ^= sum[7];
}

/* Keeps a word in a general register. Compilers would use vectors, which have no rotation: that
 * takes a third longer. */
INLINE uint64_t scalar(uint64_t x)
{
    __asm__("" : "+r"(x));
    return x;
}

INLINE void add(planes q, const planes other)
{
    for (unsigned i = 0; i < PLANES; i++)
        q[i] = scalar(q[i] ^ other[i]);
}

/* Does ShiftRows `times` times: each time rotates row r by r columns. */
INLINE void shift_rows(planes q, unsigned times)
{
    for (unsigned i = 0; i < PLANES; i++) {
        uint64_t x = 0;
        for (unsigned row = 0; row < 4; row++)
            x |= rotate_rows(q[i], row * times % 4) & (UINT64_C(0xffff) << (16 * row));
        q[i] = x;
    }
}

INLINE void full_round(planes q, const planes key, unsigned omitted)
{
    substitute(q);
    mix_columns(q, omitted);
    add(q, key);
}

/* 10 or 14 rounds: after either, ShiftRows was left out two times more than a multiple of four.
 * With 12 rounds both the loop and the last round would be others. */
INLINE void encrypt(planes q, const planes *key, unsigned rounds)
{
    add(q, key[0]);
    full_round(q, key[1], 1);
    for (unsigned round = 2; round < rounds; round += 4) {
        full_round(q, key[round], 2);
        full_round(q, key[round + 1], 3);
        full_round(q, key[round + 2], 0);
        full_round(q, key[round + 3], 1);
    }
    substitute(q);
    shift_rows(q, 2);
    add(q, key[rounds]);
}

/* --- CBC, a lane in each block ---------------------------------------------------------------- */

/* The state has every row in its place when the last round key is added. */
static void slice_keys(planes *key, struct lane *const lane[], unsigned count)
{
    const unsigned rounds = lane[0]->key->rounds;

    for (unsigned round = 0; round <= rounds; round++) {
        for (unsigned i = 0; i < count; i++)
            gather(key[round], i, lane[i]->key->round[round]);
        slice(key[round]);
        if (round < rounds)
            shift_rows(key[round], 4 - round % 4);
    }
}

INLINE void encrypt_next(struct lane *const lane[], unsigned count, planes chain, const planes *key)
{
    planes text = {0};

    for (unsigned i = 0; i < count; i++) {
        gather(text, i, lane[i]->in);
        lane[i]->in += AES_BLOCK;
    }
    slice(text);
    add(chain, text);
    encrypt(chain, key, lane[0]->key->rounds);
    memcpy(text, chain, sizeof text);
    unslice(text);
    for (unsigned i = 0; i < count; i++) {
        scatter(text, i, lane[i]->out);
        lane[i]->out += AES_BLOCK;
    }
}

__attribute__((noinline)) static void encrypt_blocks(struct lane *const lane[], unsigned count,
                                                     size_t blocks)
{
    planes key[MAX_ROUNDS + 1] = {{0}}, chain = {0};

    slice_keys(key, lane, count);
    for (unsigned i = 0; i < count; i++)
        gather(chain, i, lane[i]->chain);
    slice(chain);
    for (; blocks; blocks--)
        encrypt_next(lane, count, chain, (const planes *)key);
    unslice(chain);
    for (unsigned i = 0; i < count; i++)
        scatter(chain, i, lane[i]->chain);
}

static void cbc(struct lane *const lane[], unsigned count, size_t blocks)
{
    switch (lane[0]->key->rounds) {
    case 10:
    case 14: encrypt_blocks(lane, count, blocks); break;
    default: aes_refuse_key();
    }
    aes_wipe_stack();
}

/* --- the inverse round ------------------------------------------------------------------------ */

/* The inverse of the affine transformation at the end of SubBytes: removes the constant, then
 * applies the inverse matrix. */
INLINE void undo_affine(planes q)
{
    planes x;

    for (unsigned i = 0; i < PLANES; i++)
        x[i] = 0x63 >> i & 1 ? ~q[i] : q[i];
    for (unsigned i = 0; i < PLANES; i++)
        q[i] = x[(i + 2) % 8] ^ x[(i + 5) % 8] ^ x[(i + 7) % 8];
}

/* SubBytes is an inversion in GF(2^8), which is its own inverse, then an affine transformation A.
 * So A^-1, SubBytes, A^-1 is the inverse of SubBytes. */
INLINE void unsubstitute(planes q)
{
    undo_affine(q);
    substitute(q);
    undo_affine(q);
}

/* InvMixColumns is MixColumns after each octet a became 4 (a + c) + a, where c is two rows
 * below. */
INLINE void unmix_columns(planes q, unsigned omitted)
{
    planes sum;

    for (unsigned i = 0; i < PLANES; i++)
        sum[i] = q[i] ^ below(q[i], 2, omitted);
    for (unsigned i = 2; i < PLANES; i++)
        q[i] ^= sum[i - 2];
    q[0] ^= sum[6];
    q[1] ^= sum[6] ^ sum[7];
    q[2] ^= sum[7];
    q[3] ^= sum[6];
    q[4] ^= sum[6] ^ sum[7];
    q[5] ^= sum[7];
    mix_columns(q, omitted);
}

/* To leave out InvShiftRows once is to leave out ShiftRows three times. */
INLINE void inverse_round(planes q, const planes key, unsigned omitted)
{
    unsubstitute(q);
    unmix_columns(q, omitted);
    add(q, key);
}

INLINE void decrypt(planes q, const planes *key, unsigned rounds)
{
    add(q, key[0]);
    for (unsigned round = 1;; round += 4) {
        inverse_round(q, key[round], 3);
        if (round + 1 == rounds)
            break;
        inverse_round(q, key[round + 1], 2);
        inverse_round(q, key[round + 2], 1);
        if (round + 3 == rounds)
            break;
        inverse_round(q, key[round + 3], 0);
    }
    unsubstitute(q);
    if (rounds % 4)
        shift_rows(q, 2);
    add(q, key[rounds]);
}

/* --- CBC backwards, four blocks of a message -------------------------------------------------- */

static void slice_inverse_keys(planes *sliced, const struct aes_key *key)
{
    for (unsigned round = 0; round <= key->rounds; round++) {
        for (unsigned i = 0; i < LANES; i++)
            gather(sliced[round], i, key->round[round]);
        slice(sliced[round]);
        if (round < key->rounds)
            shift_rows(sliced[round], round % 4);
    }
}

/* Up to LANES blocks. `chain` is one block as gather() leaves it. */
INLINE void decrypt_next(const planes *key, unsigned rounds, uint64_t chain[2], const uint8_t *in,
                         unsigned count, uint8_t *out)
{
    planes cipher = {0}, text;

    for (unsigned i = 0; i < count; i++)
        gather(cipher, i, in + i * AES_BLOCK);
    memcpy(text, cipher, sizeof text);
    slice(text);
    decrypt(text, key, rounds);
    unslice(text);
    for (unsigned i = 0; i < count; i++) {
        text[i] ^= chain[0];
        text[i + 4] ^= chain[1];
        chain[0] = cipher[i];
        chain[1] = cipher[i + 4];
        scatter(text, i, out + i * AES_BLOCK);
    }
}

__attribute__((noinline)) static void decrypt_blocks(const struct aes_key *key, uint8_t *chain,
                                                     const uint8_t *in, size_t blocks, uint8_t *out)
{
    planes sliced[MAX_ROUNDS + 1];
    uint64_t before[2] = {aes_load(chain, 8), aes_load(chain + 8, 8)};

    slice_inverse_keys(sliced, key);
    for (size_t count; blocks; blocks -= count) {
        count = min_size(blocks, LANES);
        decrypt_next((const planes *)sliced, key->rounds, before, in, (unsigned)count, out);
        in += count * AES_BLOCK;
        out += count * AES_BLOCK;
    }
    aes_store(chain, 8, before[0]);
    aes_store(chain + 8, 8, before[1]);
}

static void cbc_decrypt(const struct aes_key *key, uint8_t chain[AES_BLOCK], const uint8_t *in,
                        size_t blocks, uint8_t *out)
{
    decrypt_blocks(key, chain, in, blocks, out);
    aes_wipe_stack();
}

/* --- key expansion (FIPS 197 section 5.2) ----------------------------------------------------- */

static uint32_t substitute_word(uint32_t word)
{
    planes q = {word};

    slice(q);
    substitute(q);
    unslice(q);
    return (uint32_t)q[0];
}

static void expand(struct aes_key *key, const uint8_t *octets, size_t len)
{
    aes_expand_words(key, octets, len, substitute_word);
}

static void unmix_key(uint8_t octets[AES_BLOCK])
{
    planes q = {0};

    gather(q, 0, octets);
    slice(q);
    unmix_columns(q, 0);
    unslice(q);
    scatter(q, 0, octets);
}

static void expand_inverse(struct aes_key *key, const uint8_t *octets, size_t len)
{
    aes_expand_words(key, octets, len, substitute_word);
    aes_invert_key(key, unmix_key);
}

const struct aes_kernel aes_portable = {
    .id = {"portable", 0},
    .lanes = LANES,
    .expand = expand,
    .cbc = cbc,
    .expand_inverse = expand_inverse,
    .cbc_decrypt = cbc_decrypt,
};
