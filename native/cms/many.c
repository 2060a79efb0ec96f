/* Seals many messages at the same time. In one AES-CBC chain each block waits for the one before,
 * and the processor idles meanwhile: so the kernels encrypt a block of up to SEAL_SLOTS messages at
 * once.
 *
 * job   One message: its octets, recipients, plan and key, and where its output goes. many_plan.c
 *       fills in all but `out` and `written`, which belong to seal_many.
 * slot  The working memory of a message while it is being sealed: its stream (struct seal), the
 *       queue of content that isn't encrypted yet, the ciphertext of one turn. When the message is
 *       done, the slot takes the next job, in the order of the jobs.
 * lane  What the kernels know of a slot (seal.cbc.lane): where they read, where they write, the
 *       last block of the chain.
 * turn  SEAL_TURN blocks of every slot. After each turn the slots encode their ciphertext and fill
 *       their queues, while both are in the cache. A shorter message leaves in the middle of a
 *       turn; the next one joins for what is left of it.
 *
 * Who may write what: slot_... functions write their slot, and the job's output up to `total`.
 * aes_cbc alone moves a lane on; it writes to the output, or for base64 to `run`. batch_...
 * functions write the batch, and of a slot only `blocks`; but batch_alone has the last slot to
 * itself and uses it as a stream. Nobody writes to a message. Another thread may change one
 * meanwhile: therefore seal.left and the bounds of the output come from the survey, and a message
 * that no longer agrees with it ends as SEAL_CHANGED. */
#include "core.h"

enum {
    TURN = SEAL_TURN,
    LONG = 8 << 10, /* from so many octets on the output of a message bypasses the cache */
    WRAPS = 64,     /* keys encrypted in one call */
};

/* --- key transport ---------------------------------------------------------------------------- */

bool job_is_wanted(const struct seal_job *job)
{
    return job->out && job->total >= 0 && job->written >= 0;
}

/* Whether the message is encrypted here: in the other modes the caller does it. */
static bool is_for_lanes(const struct seal_job *job)
{
    return job_is_wanted(job) && job->plan.mode == MODE_CBC;
}

/* Content keys that wait to be encrypted, each for one recipient. */
struct wraps {
    struct rsa_job waiting[WRAPS];
    size_t count;
    int error;
};

static void wraps_do(struct wraps *wraps)
{
    wraps->error |= rsa_wrap(wraps->waiting, wraps->count);
    wraps->count = 0;
}

static void wraps_add(struct wraps *wraps, const struct seal_to *to, const struct content_key *key,
                      uint8_t *infos)
{
    memcpy(infos, to->infos, to->infos_len);
    for (unsigned i = 0; i < to->key_slot_count; i++) {
        const struct key_slot *slot = &to->key_slots[i];
        if (wraps->count == WRAPS)
            wraps_do(wraps);
        wraps->waiting[wraps->count++] = (struct rsa_job){
            .key = slot->key,
            .secret = key->key,
            .secret_len = key->key_len,
            .padding = slot->padding,
            .out = infos + slot->at,
        };
    }
}

static int wrap(struct seal_job *jobs, size_t count, uint8_t *infos)
{
    struct wraps wraps = {.count = 0, .error = 0};

    for (struct seal_job *job = jobs; job < jobs + count; job++) {
        if (!job_is_wanted(job) || !job->to->key_slot_count)
            continue;
        wraps_add(&wraps, job->to, &job->key, infos);
        job->infos = infos;
        infos += job->to->infos_len;
    }
    wraps_do(&wraps);
    return wraps.error;
}

int seal_wrap(struct seal *seal, const struct seal_to *to, uint8_t *infos)
{
    struct wraps wraps = {.count = 0, .error = 0};

    wraps_add(&wraps, to, &seal->key, infos);
    wraps_do(&wraps);
    return wraps.error;
}

/* --- one message in its slot ----------------------------------------------------------------- */

/* Writes the header block's outer part, and queues its inner one; a long one becomes part of the
 * body. Gives whether they are as long as they should be. */
static bool put_head(struct seal_slot *slot, const struct seal_job *job)
{
    const struct header *header = &job->header;
    struct seal *seal = &slot->seal;
    uint8_t *out = seal->out;
    const bool is_long = header->inside_len > SEAL_STEP;

    seal->out += header->outside_len;
    slot->body = job->data + header->end;
    slot->body_len = job->len - header->end;
    slot->end = slot->used = is_long ? 0 : header->inside_len;
    if (!job->outside)
        return header_outside(job->data, header, out)
               && header_inside(job->data, header, seal->text);
    memcpy(out, job->outside, header->outside_len);
    memcpy(seal->text, job->inside, slot->end);
    if (is_long) {
        slot->after_head = slot->body_len;
        slot->body = job->inside;
        slot->body_len = header->inside_len;
    }
    return true;
}

int slot_begin(struct seal_slot *slot, struct seal_job *job)
{
    struct seal *seal = &slot->seal;
    bool good = true;

    slot->job = job;
    slot->body = job->data;
    slot->body_len = job->len;
    slot->first = slot->end = slot->used = slot->blocks = slot->after_head = 0;
    slot->padded = false;
    slot->rest.count = 0;
    seal->out = job->out;
    if (job->form->flags & SEAL_MESSAGE)
        good = put_head(slot, job);
    job->plan.infos = job->infos;
    seal_head(seal, &job->plan, &job->key);
    seal->left -= slot->end;
    return good ? 0 : SEAL_CHANGED;
}

/* Counts `len` octets of content as taken. Gives whether that is more than the survey found. */
static bool is_too_much(struct seal *seal, size_t len)
{
    if (len > seal->left)
        return true;
    seal->left -= len;
    return false;
}

/* With SEAL_STRICT, whether a line feed in the body's next octets is bare. */
static bool has_unexpected_lf(struct seal *seal, const uint8_t *octets, size_t len)
{
    return seal->flags & SEAL_STRICT && canon_count(octets, len, &seal->last);
}

/* Goes on in the body by `len` octets; behind a long header to the body proper. */
static void slot_advance(struct seal_slot *slot, size_t len)
{
    slot->body += len;
    slot->body_len -= len;
    if (!slot->body_len && slot->after_head) {
        slot->body_len = slot->after_head;
        slot->after_head = 0;
        slot->body = slot->job->data + slot->job->len - slot->body_len;
    }
}

int slot_take(struct seal_slot *slot, size_t len, uint8_t *to, size_t *taken)
{
    struct seal *seal = &slot->seal;

    *taken = 0;
    if (has_unexpected_lf(seal, slot->body, len))
        return SEAL_BARE_LF;
    *taken = len;
    if (seal->flags & SEAL_CANON)
        *taken = canon_copy(slot->body, len, &seal->last, to);
    else if (to && len)
        memcpy(to, slot->body, len);
    slot_advance(slot, len);
    return is_too_much(seal, *taken) || (!slot->body_len && seal->left) ? SEAL_CHANGED : 0;
}

/* Moves content from the body to the queue until that has `want` octets. Appends the padding when
 * the body ends. */
static int top_up(struct seal_slot *slot, size_t want)
{
    struct seal *seal = &slot->seal;
    size_t taken;
    int error;

    slot->end -= slot->first;
    memmove(seal->text, seal->text + slot->first, slot->end);
    slot->first = 0;
    do {
        size_t part = min_size(slot->body_len, want - slot->end);
        error = slot_take(slot, part, seal->text + slot->end, &taken);
        slot->end += taken;
    } while (!error && slot->end < want && slot->body_len);
    if (slot->end > slot->used)
        slot->used = slot->end;
    if (!error && !slot->body_len) {
        size_t padding = AES_BLOCK - slot->end % AES_BLOCK;
        memset(seal->text + slot->end, (int)padding, padding);
        slot->end += padding;
        slot->padded = true;
    }
    return error;
}

/* Sets the lane on its next blocks, at most `want`: those in the queue. If the queue is empty and
 * the content needs no change, the lane reads the message itself. */
static int slot_prepare(struct seal_slot *slot, size_t want)
{
    struct seal *seal = &slot->seal;
    struct lane *lane = &seal->cbc.lane;
    size_t queued = slot->end - slot->first, len = want * AES_BLOCK;

    slot->unseen = 0;
    if (!queued && !(seal->flags & SEAL_CANON) && slot->body_len >= len) {
        if (is_too_much(seal, len))
            return SEAL_CHANGED;
        lane->in = slot->body;
        slot->unseen = len;
        slot->blocks = want;
        slot_advance(slot, len);
    } else {
        int error = queued < len && !slot->padded ? top_up(slot, len) : 0;
        if (error)
            return error;
        slot->blocks = min_size(want, (slot->end - slot->first) / AES_BLOCK);
        lane->in = seal->text + slot->first;
        slot->first += slot->blocks * AES_BLOCK;
    }
    lane->out = seal->out;
    if (seal->flags & SEAL_BASE64) {
        memcpy(seal->run, seal->base64.carry, seal->base64.fill);
        lane->out = seal->run + seal->base64.fill;
    }
    return 0;
}

void slot_encode(struct seal_slot *slot, const uint8_t *octets, size_t len)
{
    struct seal *seal = &slot->seal;

    seal->base64.fill = 0;
    if (slot->job->len < LONG)
        seal->out += base64_update(&seal->base64, octets, len, seal->out);
    else
        seal->out += base64_update_past_cache(&seal->base64, &slot->rest, octets, len, seal->out);
}

/* Puts what the lane has encrypted to the output. What the lane read from the message itself is
 * searched for bare line feeds only now, when the kernel has loaded it into the cache. */
static int slot_flush(struct seal_slot *slot)
{
    struct seal *seal = &slot->seal;
    const struct lane *lane = &seal->cbc.lane;

    if (has_unexpected_lf(seal, lane->in - slot->unseen, slot->unseen))
        return SEAL_BARE_LF;
    if (seal->flags & SEAL_BASE64)
        slot_encode(slot, seal->run, (size_t)(lane->out - seal->run));
    else
        seal->out = lane->out;
    return 0;
}

void slot_leave(struct seal_slot *slot, int error)
{
    struct seal_job *job = slot->job;
    const struct seal_form *form = job->form;

    wipe(slot->seal.text, slot->used);
    base64_settle(&slot->rest, slot->seal.out);
    if (!error)
        seal_tail(&slot->seal, form->after, form->after_len);
    job->written = error ? error : slot->seal.out - job->out;
    seal_abort(&slot->seal);
}

/* --- all slots ------------------------------------------------------------------------------- */

struct batch {
    struct seal_job *next, *end;
    struct seal_slot *slot[SEAL_SLOTS]; /* the first `count` have a message */
    unsigned count;
    size_t left; /* blocks that are left of this turn */
};

static void batch_leave(struct batch *batch, unsigned i, int error)
{
    struct seal_slot *free = batch->slot[i];

    slot_leave(free, error);
    batch->slot[i] = batch->slot[--batch->count];
    batch->slot[batch->count] = free;
}

/* Gives free slots the next messages. One that joins in the middle of a turn gets as many blocks as
 * are left of it. */
static void batch_refill(struct batch *batch)
{
    for (; batch->count < SEAL_SLOTS && batch->next < batch->end; batch->next++) {
        if (!is_for_lanes(batch->next))
            continue;
        unsigned i = batch->count++;
        int error = slot_begin(batch->slot[i], batch->next);
        if (!error)
            error = slot_prepare(batch->slot[i], batch->left);
        if (error)
            batch_leave(batch, i, error);
    }
}

/* Encrypts as many blocks in all lanes as the lane with the fewest has. */
static void batch_encrypt(struct batch *batch)
{
    struct lane *lane[SEAL_SLOTS];
    size_t blocks = batch->left;

    for (unsigned i = 0; i < batch->count; i++) {
        lane[i] = &batch->slot[i]->seal.cbc.lane;
        blocks = min_size(blocks, batch->slot[i]->blocks);
    }
    aes_cbc(lane, batch->count, blocks);
    for (unsigned i = 0; i < batch->count; i++)
        batch->slot[i]->blocks -= blocks;
    batch->left = batch->left > blocks ? batch->left - blocks : TURN;
}

/* Puts out what was encrypted in the slots whose lanes are done, and sets these lanes on their next
 * blocks. Messages that end leave. */
static void batch_settle(struct batch *batch)
{
    for (unsigned i = batch->count; i--;) {
        struct seal_slot *slot = batch->slot[i];
        if (slot->blocks)
            continue;
        int error = slot_flush(slot);
        bool ended = slot->padded && slot->first == slot->end;
        if (!ended && !error)
            error = slot_prepare(slot, batch->left);
        if (ended || error)
            batch_leave(batch, i, error);
    }
}

/* The rest of the last message: for one alone, a stream is faster, whose kernels interleave
 * encryption with base64. */
static void batch_alone(struct batch *batch)
{
    struct seal_slot *slot = batch->slot[0];
    struct seal *seal = &slot->seal;
    const unsigned flags = seal->flags;
    struct lane *lane[1] = {&seal->cbc.lane};

    aes_cbc(lane, 1, slot->blocks);
    int error = slot_flush(slot);
    if (error) {
        batch_leave(batch, 0, error);
        return;
    }
    const uint8_t last = seal->last;
    base64_settle(&slot->rest, seal->out);
    /* The content in the queue has been searched for line feeds, and counted as taken. */
    seal->left += slot->end - slot->first;
    seal->flags &= ~(unsigned)(SEAL_STRICT | SEAL_CANON);
    (void)seal_content(seal, seal->text + slot->first, slot->end - slot->first);
    seal->flags = flags;
    seal->last = last;
    do {
        const uint8_t *body = slot->body;
        size_t len = slot->body_len;
        slot_advance(slot, len);
        error = seal_content(seal, body, len);
    } while (!error && slot->body_len);
    if (error == SEAL_TOO_MUCH || (!error && seal->left))
        error = SEAL_CHANGED;
    if (!error)
        seal_last_block(seal);
    batch_leave(batch, 0, error);
}

static void batch_run(struct batch *batch)
{
    batch_refill(batch);
    while (batch->count) {
        batch_encrypt(batch);
        batch_settle(batch);
        batch_refill(batch);
        if (batch->count == 1 && !batch->slot[0]->padded)
            batch_alone(batch);
    }
}

size_t seal_many(struct seal_job *jobs, uint8_t *const outs[], size_t count, uint8_t *infos,
                 struct seal_slots *slots)
{
    struct batch batch = {.next = jobs, .end = jobs + count, .left = TURN};

    for (unsigned i = 0; i < SEAL_SLOTS; i++)
        batch.slot[i] = &slots->slot[i];
    for (size_t i = 0; i < count; i++) {
        jobs[i].out = outs[i];
        jobs[i].written = 0;
    }
    if (wrap(jobs, count, infos))
        for (size_t i = 0; i < count; i++)
            if (job_is_wanted(&jobs[i]))
                jobs[i].written = SEAL_NO_RANDOM;
    batch_run(&batch);
    base64_fence();
    size_t failed = 0;
    for (struct seal_job *job = jobs; job < jobs + count; job++) {
        if (job->plan.mode == MODE_CBC || !job_is_wanted(job))
            seal_forget(job, 1);
        failed += job->written < 0;
    }
    return failed;
}
