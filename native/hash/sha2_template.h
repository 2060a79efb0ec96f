/* One block of SHA-2. Before this file: WORD, an unsigned type; COMPRESS, the function's name;
 * ROUNDS; FRACTION(i), the constant of a round; BIG_0, BIG_1, SMALL_0 and SMALL_1, the sums. */

#define TURN(x, bits) ((x) >> (bits) | (x) << (8 * sizeof(WORD) - (bits)))

static void COMPRESS(uint64_t state[8], const uint8_t *block)
{
    WORD word[ROUNDS], a = (WORD)state[0], b = (WORD)state[1], c = (WORD)state[2];
    WORD d = (WORD)state[3], e = (WORD)state[4], f = (WORD)state[5], g = (WORD)state[6];
    WORD h = (WORD)state[7];

    for (unsigned i = 0; i < 16; i++)
        word[i] = (WORD)word_at(block + i * sizeof(WORD), sizeof(WORD));
    for (unsigned i = 16; i < ROUNDS; i++)
        word[i] = word[i - 16] + word[i - 7] + SMALL_0(word[i - 15]) + SMALL_1(word[i - 2]);
    for (unsigned i = 0; i < ROUNDS; i++) {
        WORD first = h + BIG_1(e) + ((e & f) ^ (~e & g)) + FRACTION(i) + word[i];
        WORD second = BIG_0(a) + ((a & b) ^ (a & c) ^ (b & c));
        h = g;
        g = f;
        f = e;
        e = d + first;
        d = c;
        c = b;
        b = a;
        a = first + second;
    }
    const WORD added[8] = {a, b, c, d, e, f, g, h};
    for (unsigned i = 0; i < 8; i++)
        state[i] = (WORD)(state[i] + added[i]);
    wipe(word, sizeof word);
}

#undef WORD
#undef COMPRESS
#undef ROUNDS
#undef FRACTION
#undef BIG_0
#undef BIG_1
#undef SMALL_0
#undef SMALL_1
#undef TURN
