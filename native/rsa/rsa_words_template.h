/* RSA's public operation with the processor's own multiplication of 64-bit words, one number at a
 * time: Montgomery's, with squarings by half the products. No branch and no index depends on a
 * number. The file that includes this has defined BLOCK, how many words are multiplied at once, and
 * defines add_block and clear_block. */

enum { MOST_WORDS = RSA_MOST_OCTETS / 8 };

typedef unsigned __int128 two_words;

struct words {
    const struct rsa_form *form;
    uint64_t window[BLOCK], factors[BLOCK];
    uint64_t sum[2 * MOST_WORDS]; /* a product, before it is reduced */
    uint64_t result[MOST_WORDS], power[MOST_WORDS];
};

/* Adds the factors times `a` to `count` words of `sum`, 0 or more, and the window to the lowest;
 * what goes beyond is the window then. */
static void add_block(struct words *w, uint64_t *sum, const uint64_t *a, size_t count);

/* Finds the factors for which the window plus a block of the modulus times them is a block of
 * zeros; what goes beyond is the window then. */
static void clear_block(struct words *w);

/* Adds the window to a block of the sum, and gives what is carried beyond it. */
static uint64_t add_window(const struct words *w, uint64_t *sum, uint64_t carry)
{
    for (unsigned i = 0; i < BLOCK; i++) {
        two_words word = (two_words)sum[i] + w->window[i] + carry;
        sum[i] = (uint64_t)word;
        carry = (uint64_t)(word >> 64);
    }
    return carry;
}

/* Subtracts the modulus from the upper half of the sum, unless that is below it already. `over`:
 * whether a bit above the sum is set. */
static void subtract(struct words *w, uint64_t over)
{
    const struct rsa_form *form = w->form;
    const uint64_t *high = w->sum + form->digits;
    uint64_t borrow = 0;

    for (unsigned i = 0; i < form->digits; i++) {
        two_words word = (two_words)high[i] - form->modulus[i] - borrow;
        w->result[i] = (uint64_t)word;
        borrow = (uint64_t)(word >> 64) & 1;
    }
    const uint64_t below = -(borrow & (over ^ 1));
    for (unsigned i = 0; i < form->digits; i++)
        w->result[i] ^= (w->result[i] ^ high[i]) & below;
}

/* result = sum / R mod modulus, where the sum is less than R times the modulus. */
static void reduce(struct words *w)
{
    const struct rsa_form *form = w->form;
    const unsigned len = form->digits;
    uint64_t over = 0;

    for (unsigned i = 0; i < len; i += BLOCK) {
        uint64_t *sum = w->sum + i;
        memcpy(w->window, sum, sizeof w->window);
        clear_block(w);
        add_block(w, sum + BLOCK, form->modulus + BLOCK, len - BLOCK);
        over = add_window(w, sum + len, over);
    }
    subtract(w, over);
}

static void begin(struct words *w, const uint64_t factors[BLOCK], uint64_t carry)
{
    memcpy(w->factors, factors, sizeof w->factors);
    memset(w->window, 0, sizeof w->window);
    w->window[0] = carry;
}

/* result = a * b / R. */
static void multiply(struct words *w, const uint64_t *a, const uint64_t *b)
{
    const unsigned len = w->form->digits;

    memset(w->sum, 0, len * sizeof *w->sum);
    for (unsigned i = 0; i < len; i += BLOCK) {
        begin(w, b + i, 0);
        add_block(w, w->sum + i, a, len);
        memcpy(w->sum + i + len, w->window, sizeof w->window);
    }
    reduce(w);
}

/* The squares of blocks, and twice the products of different blocks, which the sum holds. */
static void add_squares(struct words *w)
{
    uint64_t carry = 0, shifted = 0;

    for (unsigned i = 0; i < w->form->digits; i += BLOCK) {
        const uint64_t *a = w->result + i;
        uint64_t *sum = w->sum + 2 * i;
        for (unsigned j = 0; j < 2 * BLOCK; j++) {
            const uint64_t word = sum[j];
            sum[j] = word << 1 | shifted;
            shifted = word >> 63;
        }
        begin(w, a, carry);
        add_block(w, sum, a, BLOCK);
        carry = add_window(w, sum + BLOCK, 0);
    }
}

/* result = result ^ 2 / R. */
static void square(struct words *w)
{
    const unsigned len = w->form->digits;
    const uint64_t *a = w->result;

    memset(w->sum, 0, 2 * len * sizeof *w->sum);
    for (unsigned i = 0; i + BLOCK < len; i += BLOCK) {
        begin(w, a + i, 0);
        add_block(w, w->sum + 2 * i + BLOCK, a + i + BLOCK, len - i - BLOCK);
        memcpy(w->sum + i + len, w->window, sizeof w->window);
    }
    add_squares(w);
    reduce(w);
}

static void power(const struct rsa_form *const form[], uint64_t exponent,
                  uint64_t (*number)[RSA_MOST_DIGITS], unsigned count)
{
    const size_t len = form[0]->digits * sizeof(uint64_t);
    struct words w = {.form = form[0]};

    (void)count;
    multiply(&w, form[0]->r_squared, number[0]);
    memcpy(w.power, w.result, len);
    for (unsigned bit = 62 - (unsigned)__builtin_clzll(exponent); bit > 0; bit--) {
        square(&w);
        if (exponent >> bit & 1)
            multiply(&w, w.result, w.power);
    }
    square(&w);
    multiply(&w, w.result, number[0]); /* without a factor R: out of Montgomery's form */
    memcpy(number[0], w.result, len);
    wipe(&w, sizeof w);
}
