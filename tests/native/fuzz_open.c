/* Coverage-guided fuzzing of open.h: text, BER and decryption of a message that may be anything.
 * libFuzzer brings the octets; .ci/fuzz builds and runs it. What must hold, whatever they are: no
 * buffer is overrun, and the outcome is the one that plain_open.h comes to, decrypted by the
 * portable row; however the message is cut in pieces, in base64 as without, on every processor.
 * fuzz_whole.h does the same for whole.h. */
#include "fuzz_whole.h"

enum { CONTROLS = 4, HEAD_GROWTH = 4, MOST_PIECES = 5000 };

/* --- how a message is opened: the first octets of the input tell ------------------------------ */

struct plan {
    unsigned form, mask;
    bool raw, even; /* even: all pieces are of the same length */
    bool keep; /* what follows the content */
    size_t key_len, piece, head_first, head_limit, tail_limit, line;
    uint32_t seed;
};

static struct plan read_plan(const uint8_t control[CONTROLS])
{
    static const size_t limits[] = {1 << 20, 1 << 20, 1 << 11, 1 << 6};
    static const size_t tails[] = {1 << 12, 100, 10, 0};
    static const size_t lines[] = {64, 76, 0, 1};
    static const unsigned forms[] = {OPEN_BINARY, OPEN_BASE64, OPEN_PEM, OPEN_BINARY};
    static const size_t key_lens[] = {16, 24, 32, 16};

    return (struct plan){
        .form = forms[control[0] & 3],
        .key_len = key_lens[control[0] >> 2 & 3],
        .mask = masks[control[0] >> 4 & 7],
        .raw = control[0] & 0x80,
        .line = lines[control[1] & 3],
        .head_limit = limits[control[1] >> 2 & 3],
        .keep = control[1] & 0x40,
        .tail_limit = tails[control[2] >> 5 & 3],
        .head_first = (size_t)1 << (control[1] >> 4 & 3) * 2,
        .piece = (size_t)1 << (control[2] & 15),
        .even = control[2] & 0x10,
        .seed = control[3],
    };
}

/* --- opening it ------------------------------------------------------------------------------- */

struct stream {
    const struct plan *plan;
    struct open *open;
    uint8_t *head, *tail;
    size_t head_size;
    uint32_t random;
    bool stopped; /* at a hyphen */
    struct outcome outcome;
};

static void resize_head(struct stream *stream, size_t size)
{
    const size_t len = open_head_len(stream->open);
    uint8_t *head = exactly(size);

    if (len)
        memcpy(head, stream->head, len);
    free(stream->head);
    stream->head = head;
    stream->head_size = size;
    open_head(stream->open, head, size);
}

static void more_head(struct stream *stream)
{
    const size_t limit = stream->plan->head_limit;

    CHECK(open_head_len(stream->open) == stream->head_size);
    CHECK(open_stage(stream->open) == OPEN_HEAD);
    if (stream->head_size < limit) {
        resize_head(stream, min_size(HEAD_GROWTH * stream->head_size, limit));
        return;
    }
    open_abort(stream->open);
    stream->outcome.error = TOO_LARGE;
}

/* Nothing may be read of either once they are set. */
static void unlock(struct stream *stream)
{
    uint8_t *key = copied(secret, stream->plan->key_len), *first = copied(iv, AES_BLOCK);

    if (stream->plan->keep)
        open_tail(stream->open, stream->tail, stream->plan->tail_limit);
    if (stream->plan->raw)
        open_raw(stream->open);
    else
        open_key(stream->open, key, stream->plan->key_len, first);
    free(key);
    free(first);
}

/* What was written: given out, or in raw lying there behind an error. */
static void keep(struct stream *stream, const uint8_t *out, int64_t given, uint64_t before)
{
    const uint64_t read = open_content_len(stream->open) - before;

    if (given >= 0 && stream->plan->raw)
        CHECK((uint64_t)given == read);
    if (given >= 0)
        append(&stream->outcome.content, out, (size_t)given);
    else if (stream->plan->raw)
        append(&stream->outcome.content, out, (size_t)read);
    if (given < 0 && given != OPEN_HEAD_FULL)
        stream->outcome.error = given;
}

static int64_t update(struct stream *stream, const uint8_t *in, size_t len, size_t *taken)
{
    const uint64_t bound = open_bound(stream->open, len);
    const uint64_t before = open_content_len(stream->open);
    uint8_t *out = exactly(bound);
    int64_t given;

    CHECK(open_update(stream->open, in, len, out, bound - 1, taken) == OPEN_NO_ROOM && !*taken);
    given = open_update(stream->open, in, len, out, bound, taken);
    CHECK(*taken <= len && given <= (int64_t)bound);
    CHECK(given != OPEN_NO_ROOM && given != OPEN_STATE && given != OPEN_FAILED);
    CHECK(given != OPEN_TRUNCATED);
    keep(stream, out, given, before);
    free(out);
    return given;
}

static bool is_error(const struct stream *stream)
{
    return stream->outcome.error;
}

/* One piece; the key and more room for the head when they are asked for. */
static void give(struct stream *stream, const uint8_t *piece, size_t len)
{
    uint8_t *in = copied(piece, len);
    size_t done = 0, taken;
    bool again = true;

    while (again && !is_error(stream)) {
        const bool full = update(stream, in + done, len - done, &taken) == OPEN_HEAD_FULL;
        done += taken;
        again = !is_error(stream) && (full || open_stage(stream->open) == OPEN_WAIT);
        if (again && full)
            more_head(stream);
        else if (again)
            unlock(stream);
        if (again && !full && stream->random & 1)
            (void)update(stream, in + done, 0, &taken);
    }
    stream->outcome.taken += done;
    stream->stopped = !is_error(stream) && done < len;
    if (stream->stopped)
        CHECK(stream->plan->form == OPEN_PEM && in[done] == '-');
    free(in);
}

static size_t cut(struct stream *stream, size_t left)
{
    const struct plan *plan = stream->plan;

    return plan->even ? min_size(plan->piece, left) : some(&stream->random, plan->piece, left);
}

static void finish(struct stream *stream)
{
    uint8_t *last = exactly(AES_BLOCK);
    int64_t given;

    CHECK(open_finish(stream->open, last, AES_BLOCK - 1) == OPEN_NO_ROOM);
    given = open_finish(stream->open, last, AES_BLOCK);
    CHECK(given < AES_BLOCK && given != OPEN_STATE && given != OPEN_NO_ROOM);
    CHECK(!stream->plan->raw || given <= 0);
    if (given > 0)
        append(&stream->outcome.content, last, (size_t)given);
    if (given < 0)
        stream->outcome.error = given;
    free(last);
}

/* After the end or an error nothing goes any more, and the key is gone. */
static void check_over(struct open *open)
{
    static const struct aes_key none;
    uint8_t out[AES_BLOCK], in = 0;
    size_t taken = 1;

    CHECK(open_stage(open) == OPEN_OVER);
    CHECK(!memcmp(&open->key, &none, sizeof none));
    CHECK(open_update(open, &in, 1, out, sizeof out, &taken) == OPEN_STATE && !taken);
    CHECK(open_finish(open, out, sizeof out) == OPEN_STATE);
}

static void begin(struct stream *stream, const struct plan *plan)
{
    *stream = (struct stream){.plan = plan, .random = plan->seed};
    stream->open = malloc(sizeof *stream->open);
    CHECK(stream->open);
    memset(&stream->open->key, 0, sizeof stream->open->key);
    open_begin(stream->open, plan->form);
    resize_head(stream, plan->head_first);
    stream->tail = exactly(plan->tail_limit);
    cpu_restrict(plan->mask);
}

static struct outcome opened(const struct plan *plan, const struct octets *message)
{
    struct stream stream;
    size_t at = 0;

    begin(&stream, plan);
    while (at < message->len && !is_error(&stream) && !stream.stopped) {
        const size_t piece = cut(&stream, message->len - at);
        give(&stream, message->at + at, piece);
        at += piece;
    }
    stream.outcome.content_len = open_content_len(stream.open);
    stream.outcome.is_ber = open_is_ber(stream.open);
    append(&stream.outcome.head, stream.head, open_head_len(stream.open));
    append(&stream.outcome.tail, stream.tail, open_tail_len(stream.open));
    if (!is_error(&stream))
        finish(&stream);
    check_over(stream.open);
    free(stream.head);
    free(stream.tail);
    free(stream.open);
    return stream.outcome;
}

/* --- what must come out ----------------------------------------------------------------------- */

static void compare(const struct outcome *expected, const struct outcome *outcome)
{
    CHECK(outcome->error == expected->error);
    CHECK(outcome->content_len == expected->content_len);
    CHECK(outcome->is_ber == expected->is_ber);
    CHECK(equal(&outcome->head, &expected->head));
    CHECK(outcome->error || equal(&outcome->tail, &expected->tail));
    CHECK(begins(&expected->content, &outcome->content));
    CHECK(outcome->error || equal(&expected->content, &outcome->content));
    CHECK(outcome->error || outcome->taken == expected->taken);
}

static void expect(struct plan plan, const struct octets *message)
{
    const uint64_t most = plan.keep ? plan.tail_limit : SIZE_MAX / 2;
    struct outcome expected = open_plainly(message, plan.form, plan.head_limit, most), outcome;

    if (!plan.keep)
        expected.tail.len = 0;
    if (!plan.raw)
        decipher(&expected, plan.key_len, iv);
    if (message->len / plan.piece > MOST_PIECES)
        plan.piece = message->len / MOST_PIECES + 1;
    outcome = opened(&plan, message);
    compare(&expected, &outcome);
    forget(&expected);
    forget(&outcome);
}

/* --- the same octets in base64 ---------------------------------------------------------------- */

static struct octets armoured(const struct octets *message, const struct plan *plan)
{
    struct octets text = {0};

    for (size_t i = 0; i < message->len; i += 3) {
        append_group(&text, message->at + i, min_size(message->len - i, 3));
        if (plan->line && i / 3 % (plan->line / 4 + 1) == plan->line / 4)
            append(&text, (const uint8_t *)"\r\n", plan->seed % 3);
    }
    if (plan->form == OPEN_PEM)
        append(&text, (const uint8_t *)"-----END CMS-----\n", 18);
    return text;
}

static void expect_armoured(struct plan plan, const struct octets *message)
{
    plan.form = plan.seed & 1 ? OPEN_PEM : OPEN_BASE64;
    struct octets text = armoured(message, &plan);
    expect(plan, &text);
    free(text.at);
}

/* --- one input -------------------------------------------------------------------------------- */

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t len)
{
    if (len < CONTROLS)
        return 0;
    struct plan plan = read_plan(in), whole = plan;
    struct octets message = {0};

    append(&message, in + CONTROLS, len - CONTROLS);
    expect(plan, &message);
    whole.piece = SIZE_MAX;
    whole.even = true;
    expect(whole, &message);
    if (plan.form == OPEN_BINARY)
        expect_armoured(plan, &message);
    expect_whole(plan.form, plan.mask, plan.seed, &message);
    free(message.at);
    return 0;
}
