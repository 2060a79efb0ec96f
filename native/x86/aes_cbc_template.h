/* The text of the kernels for AES-NI and VAES. Parameters:
 *   CBC     the function's name
 *   ROUNDS  10 or 14: unrolled, so that nothing but the rounds themselves is in a chain
 *   WIDTH   blocks in a register: 1 (xmm), 2 (ymm) or 4 (zmm); the operations end in it
 *   CHAINS  registers under way at once: WIDTH * CHAINS lanes
 *
 * The chain from one block to the next is all that costs time. Whitening a block adds its
 * plaintext, the ciphertext before it and the first round key; `aesenclast` ends with an addition
 * anyway, so its key is given the other two beforehand, and the true ciphertext is recovered beside
 * the chain. */
#define JOIN(name, width) name##_##width
#define JOINED(name, width) JOIN(name, width)
#define OF_WIDTH(name) JOINED(name, WIDTH)

__attribute__((noinline)) OF_WIDTH(TARGET)
static void CBC(struct lane *const lane[], unsigned count, size_t blocks)
{
    enum { LANES = WIDTH * CHAINS, AHEAD = 4096, SECOND_CACHE = 2 };
    const uint8_t *keys[LANES], *chain[LANES], *in[LANES];
    uint8_t *out[LANES];
    OF_WIDTH(vector) key[ROUNDS + 1][CHAINS], state[CHAINS];

    if (!blocks)
        return;
    for (unsigned i = 0; i < LANES; i++) {
        /* A place that is free does what the first one does, to the same octets. */
        const struct lane *place = lane[i < count ? i : 0];
        keys[i] = place->key->round[0];
        chain[i] = place->chain;
        in[i] = place->in;
        out[i] = place->out;
    }
    for (unsigned round = 0; round <= ROUNDS; round++)
        for (unsigned i = 0; i < CHAINS; i++)
            key[round][i] = OF_WIDTH(gather)(keys + i * WIDTH, round * AES_BLOCK);
    for (unsigned i = 0; i < CHAINS; i++) {
        state[i] = OF_WIDTH(add)(key[0][i], OF_WIDTH(gather)(chain + i * WIDTH, 0));
        state[i] = OF_WIDTH(add)(state[i], OF_WIDTH(gather)(in + i * WIDTH, 0));
    }
    for (size_t at = 0; at < blocks * AES_BLOCK; at += AES_BLOCK) {
        /* Past the last block there is nothing to read, and what is read of no use. */
        const size_t next = at + (at + AES_BLOCK < blocks * AES_BLOCK ? AES_BLOCK : 0);
#if WIDTH * CHAINS == 1
        /* The keys may be others now, for all the compiler knows: otherwise it keeps copies on the
         * stack, which nobody could wipe. Wider rows have the whole of it wiped behind them. */
        __asm__ __volatile__("" : : "r"(key) : "memory");
#endif
#if WIDTH * CHAINS > 1
        /* So many messages are more than the processor fetches ahead by itself: a cache line of
         * each in every four blocks. */
        for (unsigned i = at / AES_BLOCK % 4; i < LANES; i += 4)
            __builtin_prefetch(in[i] + at + AHEAD, 0, SECOND_CACHE);
#endif
#pragma GCC unroll 16
        for (unsigned round = 1; round < ROUNDS; round++)
#pragma GCC unroll 8
            for (unsigned i = 0; i < CHAINS; i++)
                state[i] = OF_WIDTH(middle_round)(state[i], key[round][i]);
#pragma GCC unroll 8
        for (unsigned i = 0; i < CHAINS; i++) {
            OF_WIDTH(vector) white = OF_WIDTH(gather)(in + i * WIDTH, next);
            white = OF_WIDTH(add)(white, key[0][i]);
            state[i] = OF_WIDTH(last_round)(state[i], OF_WIDTH(add)(white, key[ROUNDS][i]));
            OF_WIDTH(scatter)(out + i * WIDTH, at, OF_WIDTH(add)(state[i], white));
        }
    }
    for (unsigned i = 0; i < count; i++) {
        lane[i]->in += blocks * AES_BLOCK;
        lane[i]->out += blocks * AES_BLOCK;
        memcpy(lane[i]->chain, lane[i]->out - AES_BLOCK, AES_BLOCK);
    }
    wipe(key, sizeof key);
}

#undef CBC
#undef ROUNDS
#undef WIDTH
#undef CHAINS
#undef OF_WIDTH
#undef JOINED
#undef JOIN
