/* The template of CBC decryption, whose blocks don't wait for each other. Parameters:
 *   DECRYPT    the function's name
 *   WIDTH      blocks in a register: 1 (xmm), 2 (ymm) or 4 (zmm); the operations end in it
 *   REGISTERS  under way at once
 *
 * Decrypts groups of as many blocks as fill all registers. Gives the number of octets taken. */
#define JOIN(name, width) name##_##width
#define JOINED(name, width) JOIN(name, width)
#define OF_WIDTH(name) JOINED(name, WIDTH)

__attribute__((noinline)) OF_WIDTH(TARGET)
static size_t DECRYPT(const struct aes_key *key, uint8_t chain[AES_BLOCK], const uint8_t *in,
                      size_t blocks, uint8_t *out)
{
    enum { REGISTER = WIDTH * AES_BLOCK, STEP = REGISTERS * REGISTER };
    const size_t end = blocks * AES_BLOCK / STEP * STEP;
    const unsigned rounds = key->rounds;
    OF_WIDTH(vector) last = OF_WIDTH(spread)(chain);

    for (size_t at = 0; at < end; at += STEP) {
        OF_WIDTH(vector) state[REGISTERS], round_key = OF_WIDTH(spread)(key->round[0]);
        OF_WIDTH(vector) first = OF_WIDTH(behind)(last, OF_WIDTH(load)(in + at));
        last = OF_WIDTH(load)(in + at + STEP - REGISTER);
#pragma GCC unroll 8
        for (unsigned i = 0; i < REGISTERS; i++)
            state[i] = OF_WIDTH(xor)(OF_WIDTH(load)(in + at + i * REGISTER), round_key);
        for (unsigned round = 1; round < rounds; round++) {
            round_key = OF_WIDTH(spread)(key->round[round]);
#pragma GCC unroll 8
            for (unsigned i = 0; i < REGISTERS; i++)
                state[i] = OF_WIDTH(middle_inverse)(state[i], round_key);
        }
        round_key = OF_WIDTH(spread)(key->round[rounds]);
#pragma GCC unroll 8
        for (unsigned i = 0; i < REGISTERS; i++)
            state[i] = OF_WIDTH(last_inverse)(state[i], round_key);
        /* All of what is before a block is read before any of it may be written over. */
        state[0] = OF_WIDTH(xor)(state[0], first);
#pragma GCC unroll 8
        for (unsigned i = 1; i < REGISTERS; i++)
            state[i] = OF_WIDTH(xor)(state[i], OF_WIDTH(load)(in + at + i * REGISTER - AES_BLOCK));
#pragma GCC unroll 8
        for (unsigned i = 0; i < REGISTERS; i++)
            OF_WIDTH(store)(out + at + i * REGISTER, state[i]);
    }
    store(chain, OF_WIDTH(highest)(last));
    return end;
}

#undef DECRYPT
#undef WIDTH
#undef REGISTERS
#undef OF_WIDTH
#undef JOINED
#undef JOIN
