/* The template of the kernels that encrypt one message with AES-NI and encode it at the same time.
 * Parameters:
 *   ROW     the base64 kernel that writes the lines
 *   TARGET  its instruction set and AES-NI's, as an attribute
 *   NEEDS   the same as enum cpu_feature */
#define PASTE(a, b) a##_##b
#define OF(name, row) PASTE(name, row)
#define STRING(row) #row
#define NAME(row) STRING(row)

__attribute__((noinline)) TARGET
static bool OF(work, ROW)(struct lane *lane, size_t lines, const uint8_t *ready, uint8_t *text)
{
    const unsigned rounds = lane->key->rounds;
    const size_t end = lines * BASE64_LINE_IN;
    __m128i key[15], state, bare = _mm_setzero_si128();

    if (!lines)
        return false;
    for (unsigned round = 0; round <= rounds; round++)
        key[round] = load(lane->key->round[round]);
    state = xor_1(xor_1(key[0], load(lane->chain)), load(lane->in));
    for (size_t at = 0; at < end; ready += BASE64_LINE_IN, text += BASE64_LINE_OUT) {
        /* The chain and this barrier are explained in aes/x86/aes.c. */
        __asm__ __volatile__("" : : "r"(key) : "memory");
#pragma GCC unroll 3
        for (unsigned block = 0; block < LINES_BLOCKS; block++, at += AES_BLOCK) {
            const size_t next = at + AES_BLOCK < end ? at + AES_BLOCK : 0;
#pragma GCC unroll 9
            for (unsigned round = 1; round < 10; round++)
                state = middle_round_1(state, key[round]);
            if (rounds == 14)
#pragma GCC unroll 4
                for (unsigned round = 10; round < 14; round++)
                    state = middle_round_1(state, key[round]);
            __m128i white = xor_1(load(lane->in + next), key[0]);
            state = last_round_1(state, xor_1(white, key[rounds]));
            store(lane->out + at, xor_1(state, white));
            bare = _mm_or_si128(bare, bare_line_feeds(lane->in + at));
        }
        OF(line, ROW)(ready, text);
    }
    lane->in += end;
    lane->out += end;
    memcpy(lane->chain, lane->out - AES_BLOCK, AES_BLOCK);
    wipe(key, sizeof key);
    return _mm_movemask_epi8(bare);
}

static bool OF(cbc_lines, ROW)(struct lane *lane, size_t lines, const uint8_t *ready,
                               uint8_t *text)
{
    if (lane->key->rounds != 10 && lane->key->rounds != 14)
        aes_refuse_key();
    bool bare = OF(work, ROW)(lane, lines, ready, text);

    aes_wipe_stack(); /* some compilers keep copies of keys there */
    return bare;
}

const struct lines_kernel OF(lines, ROW) = {
    .id = {NAME(ROW), NEEDS},
    .cbc = OF(cbc_lines, ROW),
};

#undef PASTE
#undef OF
#undef STRING
#undef NAME
#undef TARGET
#undef ROW
#undef NEEDS
