/* Coverage-guided fuzzing of what seals a mail by itself: core.h's seal_one and seal_one_as_stream;
 * and of messages in modes whose cipher isn't C's, seal_aead_begin and its like. What must hold is
 * what fuzz_message.c says; and whatever ends a message, nothing readable stays in the memory that
 * is used again. */
#include "sealed_mail.h"

enum { SHORT_LEN = 80 << 10, LONG_LEN = 300 << 10 }; /* the latter is more than one AEAD_PIECE */

static struct seal_single single;
static struct seal_aead aead;
static struct seal_slots slots;

static void expect_nothing(const void *memory, size_t len)
{
    const uint8_t *octets = memory;

    CHECK(!octets[0] && !memcmp(octets, octets + 1, len - 1));
}

/* --- by itself --------------------------------------------------------------------------------- */

static void expect_one(const struct plan *plan, const struct octets *mail,
                       const struct plain_mail *plain)
{
    uint8_t *in = copied(mail->at, mail->len);
    const int64_t total = seal_plan_one(&single, in, mail->len, &plan->to, &plan->form);

    if (plain->special || plain->inside.len > SEAL_STEP) {
        CHECK(total == SEAL_NEEDS_HEAD);
    } else if (needs_look(mail, plain)) {
        CHECK(total == SEAL_NEEDS_LOOK);
    } else {
        CHECK(total > 0);
        uint8_t *out = exactly((size_t)total);
        single.job.infos = plan->to.infos;
        set_key(&single.job.key, plan->to.key_len);
        check_written(plan, mail, plain, out, total, seal_one(&single, out));
        free(out);
    }
    expect_nothing(&single.job.key.key, sizeof single.job.key.key);
    free(in);
}

/* The key is one that nobody knows. */
static void check_stream(const struct plan *plan, const struct octets *sealed,
                         const struct plain_mail *plain, uint64_t content_len)
{
    struct octets cms = cms_of(plan, sealed, &plain->outside);
    struct outcome opened = open_plainly(&cms, OPEN_BINARY, SIZE_MAX / 2, SIZE_MAX / 2);

    CHECK(!opened.error && opened.is_ber == !!(plan->flags & SEAL_OPEN));
    CHECK(opened.content_len == content_len / AES_BLOCK * AES_BLOCK + AES_BLOCK);
    forget(&opened);
    free(cms.at);
}

static void expect_stream(const struct plan *plan, const struct octets *mail,
                          const struct plain_mail *plain)
{
    enum { MOST_INSIDE = 4 << 10 }; /* message.c */
    const size_t bare = bare_in_body(mail, plain->end);
    const size_t more = plan->flags & SEAL_CANON ? bare : 0;
    const uint64_t bound = seal_message_bound(&plan->to, &plan->form, plan->flags, mail->len);
    uint8_t *in = copied(mail->at, mail->len), *out = exactly(bound);

    memcpy(single.infos, plan->to.infos, plan->to.infos_len);
    const int64_t given = seal_one_as_stream(&single, &plan->to, &plan->form, plan->flags,
                                             mail->len + more, in, mail->len, out, bound);
    if (plain->special || needs_look(mail, plain)
        || plain->inside.len > MOST_INSIDE) {
        CHECK(given == SEAL_NEEDS_HEAD);
    } else if (bare && plan->flags & SEAL_STRICT) {
        CHECK(given == SEAL_BARE_LF);
    } else {
        const struct octets sealed = {out, (size_t)given, 0};
        const uint64_t body = mail->len - plain->end + more;
        CHECK(given > 0 && given <= (int64_t)bound);
        check_stream(plan, &sealed, plain, plain->inside.len + body);
    }
    expect_nothing(&single.slots.slot[0].seal.key, sizeof single.slots.slot[0].seal.key.key);
    free(in);
    free(out);
}

/* --- in another mode --------------------------------------------------------------------------- */

/* Gives whether it came to its end. `stop`: after how many pieces nothing more comes. */
static bool copy_pieces(struct seal_job *job, unsigned stop)
{
    struct aead_piece piece;
    bool more = seal_aead_begin(&aead, job, &piece);

    for (; more && stop; stop--) {
        CHECK(piece.room_len == piece.len + (piece.last ? DER_TAG : 0));
        memcpy(piece.room, piece.text, piece.len);
        if (piece.last)
            memcpy(piece.room + piece.len, secret, DER_TAG);
        more = seal_aead_next(&aead, &piece);
    }
    seal_aead_stop(&aead);
    expect_nothing(aead.text, sizeof aead.text);
    expect_nothing(&job->key.key, sizeof job->key.key);
    return !more;
}

static void expect_aead(struct plan plan, const struct octets *mail, const struct plain_mail *plain,
                        unsigned mode)
{
    uint8_t *in = copied(mail->at, mail->len);
    const uint8_t *const data = in;
    const struct seal_to *const to = &plan.to;
    const struct seal_inputs inputs = {&data, &mail->len, &to, 1};
    const unsigned stop = plan.random % 8 ? ~0u : plan.random / 8 % 3;
    struct octets outside = {0};
    struct seal_job job;
    int64_t total;

    plan.to.mode = mode;
    plan.to.key_len = mode == MODE_GCM ? plan.to.key_len : AES_MAX_KEY;
    plan.to.brings_head = plan.some_first;
    seal_plan_sizes(&job, &inputs, &plan.form, plan.count ? SEAL_COUNT : 0, &total);
    CHECK(job.suspect == needs_look(mail, plain));
    if (total == SEAL_NEEDS_HEAD)
        bring_head(&plan, &job, &outside, plain);
    CHECK(job.total > 0);
    job.infos = plan.to.infos;
    uint8_t *const out = exactly((size_t)job.total);
    CHECK(!seal_many(&job, &out, 1, NULL, &slots));
    if (copy_pieces(&job, stop))
        check_written(&plan, mail, plain, out, job.total, job.written);
    else
        CHECK(job.written == SEAL_CHANGED);
    free(out);
    free(outside.at);
    free(in);
}

/* --- one input -------------------------------------------------------------------------------- */

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t len)
{
    if (len <= CONTROLS)
        return 0;
    struct octets mail = read_mail(in, in + CONTROLS, len - CONTROLS,
                                   in[3] & 1 ? LONG_LEN : SHORT_LEN);
    const struct plan plan = read_plan(in, mail.len);
    struct plain_mail plain = cut_plainly(&mail);
    struct plan uncounted = plan;

    cpu_restrict(plan.mask);
    uncounted.count = false;
    expect_one(&uncounted, &mail, &plain);
    cpu_restrict(plan.mask);
    expect_stream(&plan, &mail, &plain);
    cpu_restrict(plan.mask);
    expect_aead(plan, &mail, &plain, in[3] & 2 ? MODE_GCM : MODE_CHACHA20_POLY1305);
    forget_mail(&plain);
    free(mail.at);
    return 0;
}
