#include "hash/digest.h"

enum { MOST_BLOCK = 128 };

/* The number in the next octets, the highest first. */
static inline uint64_t word_at(const uint8_t *octets, size_t len)
{
    uint64_t word = 0;

    for (size_t i = 0; i < len; i++)
        word = word << 8 | octets[i];
    return word;
}

/* --- SHA-1 ------------------------------------------------------------------------------------ */

static inline uint32_t turn_left(uint32_t x, unsigned bits)
{
    return x << bits | x >> (32 - bits);
}

/* What a round of SHA-1 adds: its function of three words, and its constant. */
static inline uint32_t sha1_sum(unsigned round, uint32_t b, uint32_t c, uint32_t d)
{
    if (round < 20)
        return ((b & c) | (~b & d)) + 0x5a827999;
    if (round < 40)
        return (b ^ c ^ d) + 0x6ed9eba1;
    if (round < 60)
        return ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc;
    return (b ^ c ^ d) + 0xca62c1d6;
}

static void sha1_compress(uint64_t state[8], const uint8_t *block)
{
    uint32_t word[80], a = (uint32_t)state[0], b = (uint32_t)state[1], c = (uint32_t)state[2];
    uint32_t d = (uint32_t)state[3], e = (uint32_t)state[4];

    for (unsigned i = 0; i < 16; i++)
        word[i] = (uint32_t)word_at(block + 4 * i, 4);
    for (unsigned i = 16; i < 80; i++)
        word[i] = turn_left(word[i - 3] ^ word[i - 8] ^ word[i - 14] ^ word[i - 16], 1);
    for (unsigned i = 0; i < 80; i++) {
        uint32_t next = turn_left(a, 5) + sha1_sum(i, b, c, d) + e + word[i];
        e = d;
        d = c;
        c = turn_left(b, 30);
        b = a;
        a = next;
    }
    const uint32_t added[5] = {a, b, c, d, e};
    for (unsigned i = 0; i < 5; i++)
        state[i] = (uint32_t)(state[i] + added[i]);
    wipe(word, sizeof word);
}

/* --- SHA-2 ------------------------------------------------------------------------------------ */

/* The fractions of the cube roots of the first 80 primes; the shorter words are their beginning. */
static const uint64_t fractions[80] = {
    0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc,
    0x3956c25bf348b538, 0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118,
    0xd807aa98a3030242, 0x12835b0145706fbe, 0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2,
    0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235, 0xc19bf174cf692694,
    0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
    0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5,
    0x983e5152ee66dfab, 0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4,
    0xc6e00bf33da88fc2, 0xd5a79147930aa725, 0x06ca6351e003826f, 0x142929670a0e6e70,
    0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed, 0x53380d139d95b3df,
    0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
    0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30,
    0xd192e819d6ef5218, 0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8,
    0x19a4c116b8d2d0c8, 0x1e376c085141ab53, 0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8,
    0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373, 0x682e6ff3d6b2b8a3,
    0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
    0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b,
    0xca273eceea26619c, 0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178,
    0x06f067aa72176fba, 0x0a637dc5a2c898a6, 0x113f9804bef90dae, 0x1b710b35131c471b,
    0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc, 0x431d67c49c100d4c,
    0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817,
};

#define WORD uint32_t
#define COMPRESS sha256_compress
#define ROUNDS 64
#define FRACTION(i) (uint32_t)(fractions[i] >> 32)
#define BIG_0(x) (TURN(x, 2) ^ TURN(x, 13) ^ TURN(x, 22))
#define BIG_1(x) (TURN(x, 6) ^ TURN(x, 11) ^ TURN(x, 25))
#define SMALL_0(x) (TURN(x, 7) ^ TURN(x, 18) ^ (x) >> 3)
#define SMALL_1(x) (TURN(x, 17) ^ TURN(x, 19) ^ (x) >> 10)
#include "sha2_template.h"

#define WORD uint64_t
#define COMPRESS sha512_compress
#define ROUNDS 80
#define FRACTION(i) fractions[i]
#define BIG_0(x) (TURN(x, 28) ^ TURN(x, 34) ^ TURN(x, 39))
#define BIG_1(x) (TURN(x, 14) ^ TURN(x, 18) ^ TURN(x, 41))
#define SMALL_0(x) (TURN(x, 1) ^ TURN(x, 8) ^ (x) >> 7)
#define SMALL_1(x) (TURN(x, 19) ^ TURN(x, 61) ^ (x) >> 6)
#include "sha2_template.h"

/* --- digests ---------------------------------------------------------------------------------- */

struct digest {
    void (*compress)(uint64_t state[8], const uint8_t *block);
    unsigned size, word; /* octets of the digest, and of a word; a block has 16 words */
    uint64_t initial[8];
};

static const struct digest digests[DIGESTS] = {
    [DIGEST_SHA1] = {sha1_compress, 20, 4, {
        0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0,
    }},
    [DIGEST_SHA224] = {sha256_compress, 28, 4, {
        0xc1059ed8, 0x367cd507, 0x3070dd17, 0xf70e5939,
        0xffc00b31, 0x68581511, 0x64f98fa7, 0xbefa4fa4,
    }},
    [DIGEST_SHA256] = {sha256_compress, 32, 4, {
        0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
    }},
    [DIGEST_SHA384] = {sha512_compress, 48, 8, {
        0xcbbb9d5dc1059ed8, 0x629a292a367cd507, 0x9159015a3070dd17, 0x152fecd8f70e5939,
        0x67332667ffc00b31, 0x8eb44a8768581511, 0xdb0c2e0d64f98fa7, 0x47b5481dbefa4fa4,
    }},
    [DIGEST_SHA512] = {sha512_compress, 64, 8, {
        0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
        0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
    }},
    [DIGEST_SHA512_224] = {sha512_compress, 28, 8, {
        0x8c3d37c819544da2, 0x73e1996689dcd4d6, 0x1dfab7ae32ff9c82, 0x679dd514582f9fcf,
        0xf6d2b697bd44da8, 0x77e36f7304c48942, 0x3f9d85a86a1d36c8, 0x1112e6ad91d692a1,
    }},
    [DIGEST_SHA512_256] = {sha512_compress, 32, 8, {
        0x22312194fc2bf72c, 0x9f555fa3c84c64c2, 0x2393b86b6f53b151, 0x963877195940eabd,
        0x96283ee2a88effe3, 0xbe5e1e2553863992, 0x2b0199fc2c85b8aa, 0xeb72ddc81c52ca2,
    }},
};

static void write_words(uint8_t *out, size_t len, const uint64_t *state, unsigned word)
{
    for (size_t at = 0; at < len; at += word, state++)
        for (size_t i = 0; i < min_size(word, len - at); i++)
            out[at + i] = (uint8_t)(*state >> 8 * (word - 1 - i));
}

void digest_again(unsigned name, uint8_t *octets, uint64_t times)
{
    const struct digest *digest = &digests[name];
    const unsigned size = digest->size, word = digest->word;
    uint8_t block[MOST_BLOCK] = {0};
    uint64_t state[8];

    memcpy(block, octets, size);
    block[size] = 0x80;
    block[16 * word - 2] = (uint8_t)(8 * size >> 8);
    block[16 * word - 1] = (uint8_t)(8 * size);
    for (; times; times--) {
        memcpy(state, digest->initial, sizeof state);
        digest->compress(state, block);
        write_words(block, size, state, word);
    }
    memcpy(octets, block, size);
    wipe(block, sizeof block);
    wipe(state, sizeof state);
}

void sha256(const uint8_t *octets, size_t len, uint8_t hash[SHA256_SIZE])
{
    enum { BLOCK = 64, LENGTH = 8 };
    uint8_t last[2 * BLOCK] = {0};
    uint64_t state[8];
    size_t whole = len / BLOCK * BLOCK, rest = len - whole;
    size_t last_len = rest + 1 + LENGTH > BLOCK ? 2 * BLOCK : BLOCK;

    memcpy(state, digests[DIGEST_SHA256].initial, sizeof state);
    for (size_t at = 0; at < whole; at += BLOCK)
        sha256_compress(state, octets + at);
    if (rest)
        memcpy(last, octets + whole, rest);
    last[rest] = 0x80;
    for (unsigned i = 0; i < LENGTH; i++)
        last[last_len - 1 - i] = (uint8_t)((uint64_t)len * 8 >> (8 * i));
    for (size_t at = 0; at < last_len; at += BLOCK)
        sha256_compress(state, last + at);
    write_words(hash, SHA256_SIZE, state, 4);
    wipe(last, sizeof last);
    wipe(state, sizeof state);
}
