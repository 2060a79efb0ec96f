#include "sha256.h"

enum { BLOCK = 64, LENGTH = 8, ROUNDS = 64 };

/* The fractions of the cube roots of the first 64 primes, and of the square roots of eight. */
static const uint32_t constants[ROUNDS] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static const uint32_t initial[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

static uint32_t turn(uint32_t x, unsigned bits)
{
    return x >> bits | x << (32 - bits);
}

static void fill_schedule(uint32_t word[ROUNDS], const uint8_t *block)
{
    for (unsigned i = 0; i < 16; i++, block += 4)
        word[i] = (uint32_t)block[0] << 24 | (uint32_t)block[1] << 16 | (uint32_t)block[2] << 8
                  | block[3];
    for (unsigned i = 16; i < ROUNDS; i++) {
        uint32_t early = word[i - 15], late = word[i - 2];
        word[i] = word[i - 16] + word[i - 7]
                  + (turn(early, 7) ^ turn(early, 18) ^ early >> 3)
                  + (turn(late, 17) ^ turn(late, 19) ^ late >> 10);
    }
}

static void compress(uint32_t state[8], const uint8_t *block)
{
    uint32_t word[ROUNDS], a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];

    fill_schedule(word, block);
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint32_t first = h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g))
                         + constants[i] + word[i];
        uint32_t second = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
        h = g;
        g = f;
        f = e;
        e = d + first;
        d = c;
        c = b;
        b = a;
        a = first + second;
    }
    const uint32_t added[8] = {a, b, c, d, e, f, g, h};
    for (unsigned i = 0; i < 8; i++)
        state[i] += added[i];
    wipe(word, sizeof word);
}

void sha256(const uint8_t *octets, size_t len, uint8_t hash[SHA256_SIZE])
{
    uint8_t last[2 * BLOCK] = {0};
    uint32_t state[8];
    size_t whole = len / BLOCK * BLOCK, rest = len - whole;
    size_t last_len = rest + 1 + LENGTH > BLOCK ? 2 * BLOCK : BLOCK;

    memcpy(state, initial, sizeof state);
    for (size_t at = 0; at < whole; at += BLOCK)
        compress(state, octets + at);
    if (rest)
        memcpy(last, octets + whole, rest);
    last[rest] = 0x80;
    for (unsigned i = 0; i < LENGTH; i++)
        last[last_len - 1 - i] = (uint8_t)((uint64_t)len * 8 >> (8 * i));
    for (size_t at = 0; at < last_len; at += BLOCK)
        compress(state, last + at);
    for (unsigned i = 0; i < SHA256_SIZE; i++)
        hash[i] = (uint8_t)(state[i / 4] >> (24 - 8 * (i % 4)));
    wipe(last, sizeof last);
    wipe(state, sizeof state);
}
