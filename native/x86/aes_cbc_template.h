/* The text of the AES-NI kernel. Parameters:
 *   ROUNDS    10 or 14: unrolled, so that nothing but the rounds themselves is in the chain
 *   CBC_NAME  the function's name
 *
 * The chain from one block to the next is all that costs time. Whitening a block is an exclusive
 * or with its plaintext, the ciphertext before it and the first round key; `aesenclast` ends with
 * one anyway, so its key is given the other two beforehand, and the true ciphertext is recovered
 * beside the chain. */

AESNI static void CBC_NAME(struct lane *lane, size_t blocks)
{
    const uint8_t(*keys)[AES_BLOCK] = lane->key->round;
    __m128i round[ROUNDS];
    const __m128i first = load(keys[0]), last = load(keys[ROUNDS]);
    const uint8_t *in = lane->in;
    uint8_t *out = lane->out;

    if (!blocks)
        return;
    for (unsigned i = 1; i < ROUNDS; i++)
        round[i] = load(keys[i]);

    __m128i white = _mm_xor_si128(first, load(in));
    __m128i state = _mm_xor_si128(load(lane->chain), white);
    for (size_t left = blocks; left; left--) {
        /* Past the last block there is nothing to read: the whitening is then of no use. */
        in += left > 1 ? AES_BLOCK : 0;
        white = _mm_xor_si128(first, load(in));
        const __m128i folded = _mm_xor_si128(last, white);
#pragma GCC unroll 16
        for (unsigned i = 1; i < ROUNDS; i++)
            state = _mm_aesenc_si128(state, round[i]);
        state = _mm_aesenclast_si128(state, folded);
        store(out, _mm_xor_si128(state, white));
        out += AES_BLOCK;
    }
    store(lane->chain, _mm_xor_si128(state, white));
    lane->in += blocks * AES_BLOCK;
    lane->out = out;
}

#undef ROUNDS
#undef CBC_NAME
