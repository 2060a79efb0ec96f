/* The template of the kernels for many lanes. Parameters:
 *   CBC     the function's name
 *   ROUNDS  10 or 14: unrolled, so that nothing but the rounds themselves is in a chain
 *   WIDTH   blocks in a register: 1 (xmm), 2 (ymm) or 4 (zmm); the operations end in it
 *   CHAINS  registers under way at once: WIDTH * CHAINS lanes
 *
 * WIDTH lanes share a register. Each goes on by a line of the cache at a time: block by block,
 * streams that lie a multiple of a page apart would push each other out of the cache after every
 * sixteen octets. */
#define JOIN(name, width) name##_##width
#define JOINED(name, width) JOIN(name, width)
#define OF_WIDTH(name) JOINED(name, WIDTH)
#define STEP JOINED(CBC, step)

/* The next block of all lanes: `text` in, ciphertext out. */
__attribute__((always_inline)) OF_WIDTH(TARGET)
static inline void STEP(OF_WIDTH(vector) state[CHAINS], OF_WIDTH(vector) key[ROUNDS + 1][CHAINS],
                        OF_WIDTH(vector) text[][LINE_BLOCKS], unsigned block)
{
#pragma GCC unroll 8
    for (unsigned i = 0; i < CHAINS; i++)
        state[i] = OF_WIDTH(xor)(state[i], OF_WIDTH(xor)(text[i][block], key[0][i]));
#pragma GCC unroll 16
    for (unsigned round = 1; round < ROUNDS; round++)
#pragma GCC unroll 8
        for (unsigned i = 0; i < CHAINS; i++)
            state[i] = OF_WIDTH(middle_round)(state[i], key[round][i]);
#pragma GCC unroll 8
    for (unsigned i = 0; i < CHAINS; i++)
        text[i][block] = state[i] = OF_WIDTH(last_round)(state[i], key[ROUNDS][i]);
}

__attribute__((noinline)) OF_WIDTH(TARGET)
static void CBC(struct lane *const lane[], unsigned count, size_t blocks)
{
    enum { LANES = WIDTH * CHAINS, LINE = LINE_BLOCKS * AES_BLOCK };
    enum { AHEAD = 4096, SECOND_CACHE = 2 };
    const size_t end = blocks * AES_BLOCK, lines = end / LINE * LINE;
    const uint8_t *keys[LANES], *chain[LANES], *in[LANES];
    uint8_t *out[LANES];
    _Static_assert((int)LANES <= (int)AES_MOST_LANES, "aes_cbc hands out no more");
    _Static_assert((int)LINE_BLOCKS % WIDTH == 0, "lanes of a register are transposed together");
    OF_WIDTH(vector) key[ROUNDS + 1][CHAINS], state[CHAINS], text[CHAINS][LINE_BLOCKS];

    for (unsigned i = 0; i < LANES; i++) {
        /* A free lane repeats the work of the first one, on the same octets. */
        const struct lane *place = lane[i < count ? i : 0];
        keys[i] = place->key->round[0];
        chain[i] = place->chain;
        in[i] = place->in;
        out[i] = place->out;
    }
    for (unsigned round = 0; round <= ROUNDS; round++)
        for (unsigned i = 0; i < CHAINS; i++)
            key[round][i] = OF_WIDTH(gather)(keys + i * WIDTH, round * AES_BLOCK);
    for (unsigned i = 0; i < CHAINS; i++)
        state[i] = OF_WIDTH(gather)(chain + i * WIDTH, 0);
    for (size_t at = 0; at < lines; at += LINE) {
#pragma GCC unroll 8
        for (unsigned i = 0; i < CHAINS; i++)
            OF_WIDTH(load_line)(in + i * WIDTH, at, text[i]);
#pragma GCC unroll 4
        for (unsigned block = 0; block < LINE_BLOCKS; block++) {
            /* So many messages are more than the processor fetches ahead by itself. */
            for (unsigned i = block; i < LANES; i += LINE_BLOCKS)
                __builtin_prefetch(in[i] + at + AHEAD, 0, SECOND_CACHE);
            STEP(state, key, text, block);
        }
#pragma GCC unroll 8
        for (unsigned i = 0; i < CHAINS; i++)
            OF_WIDTH(store_line)(out + i * WIDTH, at, text[i]);
    }
    for (size_t at = lines; at < end; at += AES_BLOCK) {
        for (unsigned i = 0; i < CHAINS; i++)
            text[i][0] = OF_WIDTH(gather)(in + i * WIDTH, at);
        STEP(state, key, text, 0);
        for (unsigned i = 0; i < CHAINS; i++)
            OF_WIDTH(scatter)(out + i * WIDTH, at, text[i][0]);
    }
    for (unsigned i = 0; i < count && end; i++) {
        lane[i]->in += end;
        lane[i]->out += end;
        memcpy(lane[i]->chain, lane[i]->out - AES_BLOCK, AES_BLOCK);
    }
    wipe(key, sizeof key);
}

#undef CBC
#undef STEP
#undef ROUNDS
#undef WIDTH
#undef CHAINS
#undef OF_WIDTH
#undef JOINED
#undef JOIN
