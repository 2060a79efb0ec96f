/* Coverage-guided fuzzing of what seals a mail: header.h, canon.h, and core.h's streams and batches.
 * What must hold, whatever the mail is: no buffer is overrun; the header block is cut as
 * plain_mail.h cuts it; and a sealed mail, which plain_open.h opens, is the mail again: what stands
 * outside, and what was encrypted, line ends canonical. However it is cut in pieces, alone and among
 * others, on every processor. */
#include "sealed_mail.h"

enum { MOST_LEN = 80 << 10 };
enum { BEHIND = 8 << 10, MOST_INSIDE = 4 << 10 }; /* as core.h's users have it, and message.c */

/* --- line ends: all rows, in one piece and in pieces ------------------------------------------- */

static void canonical_in_pieces(const struct octets *text, size_t piece, uint32_t random,
                                const struct octets *expected)
{
    struct octets all = {0};
    uint8_t last = 0, counted = 0;

    for (size_t at = 0, len; at < text->len; at += len) {
        len = piece < text->len ? some(&random, piece, text->len - at) : text->len;
        uint8_t *in = exactly(1 + len), *out = exactly(2 * len);
        in[0] = last;
        memcpy(in + 1, text->at + at, len);
        const size_t bare = canon_count(in + 1, len, &counted);
        const size_t given = canon_copy(in + 1, len, &last, out);
        CHECK(given == len + bare && last == counted);
        append(&all, out, given);
        free(in);
        free(out);
    }
    CHECK(equal(&all, expected));
    free(all.at);
}

static void expect_canonical(const struct plan *plan, const struct octets *text)
{
    struct octets expected = {0};

    append_canonical(&expected, text->at, text->len);
    for (size_t i = 0; i < sizeof masks / sizeof *masks; i++) {
        cpu_restrict(masks[i]);
        canonical_in_pieces(text, SIZE_MAX, 0, &expected);
    }
    cpu_restrict(plan->mask);
    canonical_in_pieces(text, plan->piece, plan->random, &expected);
    free(expected.at);
}

/* --- the header block -------------------------------------------------------------------------- */

static void check_text(bool (*write)(const uint8_t *, const struct header *, uint8_t *),
                       const uint8_t *mail, const struct header *header,
                       const struct octets *expected)
{
    uint8_t *out = exactly(expected->len);

    CHECK(write(mail, header, out));
    CHECK(!expected->len || !memcmp(out, expected->at, expected->len));
    free(out);
}

static void expect_cut(const struct octets *mail, const struct plain_mail *plain)
{
    uint8_t *in = copied(mail->at, mail->len);
    struct header header;

    CHECK(header_cut(in, mail->len, &header));
    CHECK(header.end == plain->end && header.fields_end == plain->fields_end);
    CHECK(header.special == plain->special && header.suspect == plain->suspect);
    if (!header.special) {
        CHECK(header.outside_len == plain->outside.len && header.inside_len == plain->inside.len);
        check_text(header_outside, in, &header, &plain->outside);
        check_text(header_inside, in, &header, &plain->inside);
    }
    free(in);
}

/* --- as a stream ------------------------------------------------------------------------------- */

static struct seal stream;

/* What a step gave, at most `bound` octets of `out`, goes behind what is sealed. */
static int64_t taken(struct octets *sealed, uint8_t *out, uint64_t bound, int64_t given)
{
    CHECK(given <= (int64_t)bound);
    if (given > 0)
        append(sealed, out, (size_t)given);
    free(out);
    return given;
}

/* The beginning of the message; what it gives. */
static int64_t begin_stream(const struct plan *plan, const struct octets *first, size_t behind,
                            uint64_t size, struct octets *sealed)
{
    static uint8_t infos[256];
    const uint64_t bound = seal_message_bound(&plan->to, &plan->form, plan->flags, first->len);
    uint8_t *in = copied(first->at, first->len), *out = exactly(bound);

    memcpy(infos, plan->to.infos, plan->to.infos_len);
    CHECK(!seal_init(&stream, plan->to.key_len));
    set_key(seal_key(&stream), plan->to.key_len);
    CHECK(seal_begin_message(&stream, &plan->to, &plan->form, infos, plan->flags, size, in,
                             first->len, behind, out, bound - 1) == SEAL_NO_ROOM);
    const int64_t given = seal_begin_message(&stream, &plan->to, &plan->form, infos, plan->flags,
                                             size, in, first->len, behind, out, bound);
    free(in);
    return taken(sealed, out, bound, given);
}

static int64_t update_stream(const uint8_t *from, size_t len, struct octets *sealed)
{
    const uint64_t bound = seal_update_bound(&stream, len);
    uint8_t *in = copied(from, len), *out = exactly(bound);

    CHECK(!bound || seal_update(&stream, in, len, out, bound - 1) == SEAL_NO_ROOM);
    const int64_t given = seal_update(&stream, in, len, out, bound);
    free(in);
    return taken(sealed, out, bound, given);
}

static int64_t finish_stream(struct octets *sealed)
{
    const uint64_t bound = seal_bound(&stream, 0);
    uint8_t *out = exactly(bound);
    const int64_t given = seal_finish(&stream, NULL, out, bound);

    return taken(sealed, out, bound, given);
}

/* Gives 0 or an error. */
static int64_t seal_stream(const struct plan *plan, const struct octets *mail, size_t first_len,
                           size_t behind, uint64_t size, struct octets *sealed)
{
    const struct octets first = {mail->at, first_len, 0};
    uint32_t random = plan->random;
    int64_t given = begin_stream(plan, &first, behind, size, sealed);

    for (size_t at = first_len, len; given >= 0 && at < mail->len; at += len) {
        len = some(&random, plan->piece, mail->len - at);
        given = update_stream(mail->at + at, len, sealed);
    }
    if (given >= 0)
        given = finish_stream(sealed);
    return given < 0 ? given : 0;
}

static void expect_stream(const struct plan *plan, const struct octets *mail,
                          const struct plain_mail *plain)
{
    const size_t body_len = mail->len - plain->end;
    const bool all = !plan->some_first || body_len <= BEHIND;
    const size_t first_len = all ? mail->len : plain->end + BEHIND + plan->random % (body_len - BEHIND);
    const struct octets first = {mail->at, first_len, 0};
    const size_t bare = bare_in_body(mail, plain->end);
    const bool canonical = plan->flags & SEAL_CANON;
    const bool look = plain->special || plain->suspect || plain->inside.len > MOST_INSIDE
                      || armoured(&first, plain->end);
    struct octets sealed = {0}, content = content_of(mail, &plain->inside, plain->end, canonical);

    cpu_restrict(plan->mask);
    const int64_t error = seal_stream(plan, mail, first_len, all ? 0 : BEHIND,
                                      mail->len + (canonical ? bare : 0), &sealed);
    if (look)
        CHECK(error == SEAL_NEEDS_HEAD);
    else if (bare && plan->flags & SEAL_STRICT)
        CHECK(error == SEAL_BARE_LF && seal_update(&stream, NULL, 0, NULL, 0) == SEAL_STATE);
    else
        CHECK(!error);
    if (!error)
        check_sealed(plan, plan->flags & SEAL_OPEN, &sealed, &plain->outside, &content);
    free(sealed.at);
    free(content.at);
}

/* --- among others ------------------------------------------------------------------------------ */

static struct seal_slots slots;

static struct batch {
    struct octets mail[MOST_JOBS];
    struct plain_mail plain[MOST_JOBS];
    struct octets outside[MOST_JOBS]; /* of those whose header block is brought */
    struct seal_job job[MOST_JOBS];
    uint8_t *out[MOST_JOBS];
} batch;

/* The whole mail, and parts of it. */
static void plan_batch(const struct plan *plan, const struct octets *mail)
{
    const struct seal_to *to[MOST_JOBS];
    const uint8_t *data[MOST_JOBS];
    size_t len[MOST_JOBS];
    int64_t totals[MOST_JOBS];
    uint32_t random = plan->random;
    const struct seal_inputs inputs = {data, len, to, plan->jobs};

    for (unsigned i = 0; i < plan->jobs; i++) {
        const size_t less = i ? some(&random, mail->len, mail->len) : 0;
        len[i] = mail->len - less;
        data[i] = copied(mail->at + (i & 1 ? less : 0), len[i]);
        to[i] = &plan->to;
        batch.mail[i] = (struct octets){(uint8_t *)data[i], len[i], 0};
        batch.plain[i] = cut_plainly(&batch.mail[i]);
    }
    seal_plan_sizes(batch.job, &inputs, &plan->form, plan->count ? SEAL_COUNT : 0, totals);
}

static void expect_batch(const struct plan *plan, const struct octets *mail)
{
    cpu_restrict(plan->mask);
    plan_batch(plan, mail);
    for (unsigned i = 0; i < plan->jobs; i++) {
        struct seal_job *job = &batch.job[i];
        const struct plain_mail *plain = &batch.plain[i];
        CHECK(job->suspect == needs_look(&batch.mail[i], plain));
        if (plain->special || plain->inside.len > SEAL_STEP)
            CHECK(job->total == SEAL_NEEDS_HEAD);
        if (job->total == SEAL_NEEDS_HEAD)
            bring_head(plan, job, &batch.outside[i], plain);
        CHECK(job->total > 0);
        set_key(&job->key, plan->to.key_len);
        job->infos = plan->to.infos;
        batch.out[i] = exactly((size_t)job->total);
    }
    seal_many(batch.job, batch.out, plan->jobs, NULL, &slots);
    for (unsigned i = 0; i < plan->jobs; i++) {
        check_written(plan, &batch.mail[i], &batch.plain[i], batch.out[i], batch.job[i].total,
                      batch.job[i].written);
        free(batch.mail[i].at);
        free(batch.outside[i].at);
        free(batch.out[i]);
        forget_mail(&batch.plain[i]);
    }
    batch = (struct batch){0};
}

/* --- one input -------------------------------------------------------------------------------- */

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t len)
{
    if (len <= CONTROLS) /* a batch has empty mails */
        return 0;
    struct octets mail = read_mail(in, in + CONTROLS, len - CONTROLS, MOST_LEN);
    const struct plan plan = read_plan(in, mail.len);
    struct plain_mail plain = cut_plainly(&mail);

    expect_canonical(&plan, &mail);
    cpu_restrict(plan.mask);
    expect_cut(&mail, &plain);
    expect_stream(&plan, &mail, &plain);
    expect_batch(&plan, &mail);
    forget_mail(&plain);
    free(mail.at);
    return 0;
}
