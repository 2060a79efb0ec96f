#include "core.h"
#include "random.h"

enum seal_state { SEAL_NEW = 0, SEAL_BEGUN, SEAL_BODY, SEAL_DONE, SEAL_FAILED };

void content_key_set(struct content_key *key, unsigned key_len, const uint8_t *fresh)
{
    key->key_len = key_len;
    memcpy(key->key, fresh, sizeof key->key);
    memcpy(key->iv, fresh + sizeof key->key, sizeof key->iv);
}

int seal_init(struct seal *seal, unsigned key_len)
{
    uint8_t fresh[CONTENT_KEY_RANDOM];
    int error = random_fill(fresh, sizeof fresh);

    seal->flags = 0;
    seal->state = SEAL_NEW;
    content_key_set(&seal->key, key_len, fresh);
    wipe(fresh, sizeof fresh);
    return error;
}

struct content_key *seal_key(struct seal *seal)
{
    return &seal->key;
}

/* --- how much comes out ---------------------------------------------------------------------- */

/* All around the content is in memory, and so it is far shorter than this. */
static const uint64_t around = UINT64_C(1) << 50;

static uint64_t ciphertext_len(const struct seal_plan *plan)
{
    if (plan->mode != MODE_CBC)
        return plan->content_len;
    return (plan->content_len / AES_BLOCK + 1) * AES_BLOCK;
}

static struct frame frame_of(const struct seal_plan *plan, const struct content_key *key)
{
    return (struct frame){
        .infos_len = plan->infos_len,
        .cipher_len = ciphertext_len(plan),
        .iv = key->iv,
        .version = plan->version,
        .mode = plan->mode,
        .key_len = key->key_len,
        .open = plan->flags & SEAL_OPEN,
    };
}

/* Whether all that comes out can be counted in 63 bits. */
static bool plan_fits(const struct seal_plan *plan)
{
    uint64_t limit = INT64_MAX - around;

    if (plan->flags & SEAL_BASE64)
        limit = INT64_MAX / BASE64_LINE_OUT * BASE64_LINE_IN - around;
    return plan->content_len < limit && plan->infos_len < around / 8
           && plan->before_len < around / 8 && plan->after_len < around / 8;
}

/* All before the ciphertext. */
static uint64_t head_len(const struct seal_plan *plan, const struct frame *frame)
{
    return frame_head(frame, NULL) + plan->infos_len + frame_content(frame, NULL);
}

/* Octets of CMS for so much ciphertext: with SEAL_OPEN in segments, the last of which is written
 * only at the end. */
static uint64_t framed_len(unsigned flags, uint64_t cipher, bool ended)
{
    uint64_t rest = cipher % SEAL_SEGMENT;

    if (!(flags & SEAL_OPEN))
        return cipher;
    uint64_t len = cipher / SEAL_SEGMENT * (SEAL_SEGMENT + frame_segment(SEAL_SEGMENT, NULL));
    return ended && rest ? len + rest + frame_segment(rest, NULL) : len;
}

static uint64_t encoded_len(unsigned flags, uint64_t octets)
{
    return flags & SEAL_BASE64 ? base64_size(octets) : octets;
}

int64_t seal_total(const struct seal_plan *plan)
{
    static const struct content_key any = {.key_len = 32}; /* lengths don't depend on it */
    struct frame frame = frame_of(plan, &any);

    if (!plan_fits(plan))
        return SEAL_TOO_LARGE;
    uint64_t octets = head_len(plan, &frame) + framed_len(plan->flags, frame.cipher_len, true)
                      + frame_tail(&frame, NULL);
    return (int64_t)(plan->before_len + encoded_len(plan->flags, octets) + plan->after_len);
}

/* The octets of ciphertext, with those that wait in `run`, after `len` more of content. */
static uint64_t ciphertext_after(const struct seal *seal, uint64_t len, bool ended)
{
    if (seal->frame.mode != MODE_CBC)
        return seal->run_len + len;
    return seal->run_len + ((seal->cbc.held + len) / AES_BLOCK + ended) * AES_BLOCK;
}

/* The most that `len` more octets of content give, each of which may become two; with `ended`, and
 * the end of the message. */
static uint64_t most(const struct seal *seal, size_t len, bool ended)
{
    if (len > around)
        return UINT64_MAX;
    uint64_t content = seal->flags & SEAL_CANON ? 2 * (uint64_t)len : len, text = 0;
    uint64_t octets = framed_len(seal->flags, ciphertext_after(seal, content, ended), ended);
    if (seal->state == SEAL_BEGUN) {
        octets += head_len(&seal->plan, &seal->frame);
        text += seal->plan.before_len;
    }
    if (ended) {
        octets += frame_tail(&seal->frame, NULL);
        text += seal->plan.after_len;
    }
    if (seal->flags & SEAL_BASE64) {
        octets += seal->base64.fill;
        octets = ended ? base64_size(octets) : octets / BASE64_LINE_IN * BASE64_LINE_OUT;
    }
    uint64_t bound = text + octets;
    return seal->flags & SEAL_OPEN || bound < seal->promised ? bound : seal->promised;
}

uint64_t seal_update_bound(const struct seal *seal, size_t len)
{
    return most(seal, len, false);
}

uint64_t seal_bound(const struct seal *seal, size_t len)
{
    return most(seal, len, true);
}

/* --- the stages, last one first ------------------------------------------------------------- */

void seal_emit(struct seal *seal, const uint8_t *octets, size_t len)
{
    if (seal->flags & SEAL_BASE64) {
        seal->out += base64_update(&seal->base64, octets, len, seal->out);
        return;
    }
    if (len)
        memcpy(seal->out, octets, len);
    seal->out += len;
}

static void flush_run(struct seal *seal)
{
    if (!seal->run_len)
        return;
    if (seal->flags & SEAL_OPEN) {
        uint8_t header[DER_SEGMENT_MAX];
        seal_emit(seal, header, frame_segment(seal->run_len, header));
    }
    seal_emit(seal, seal->run, seal->run_len);
    seal->run_len = 0;
}

/* With SEAL_OPEN the ciphertext waits in `run` until a segment is full; else it goes straight to
 * `out`. */
static void encrypt(struct seal *seal, const uint8_t *in, size_t len)
{
    if (!(seal->flags & SEAL_OPEN)) {
        seal->out += cbc_update(&seal->cbc, in, len, seal->out);
        return;
    }
    while (len) {
        size_t part = min_size(len, SEAL_SEGMENT - seal->run_len - seal->cbc.held);
        seal->run_len += cbc_update(&seal->cbc, in, part, seal->run + seal->run_len);
        if (seal->run_len == SEAL_SEGMENT)
            flush_run(seal);
        in += part;
        len -= part;
    }
}

/* As encrypt(), but for base64 without segments. It has three parts: ciphertext enough for the lag
 * between encryption and base64; then as many lines as the kernel can encrypt and encode at the
 * same time; then the rest. With SEAL_STRICT, gives whether a line feed is bare. */
static bool encrypt_lines(struct seal *seal, const uint8_t *in, size_t len)
{
    const struct lines_kernel *kernel = lines_kernel();
    struct cbc *cbc = &seal->cbc;
    struct base64 *base64 = &seal->base64;
    size_t lead = min_size(len, kernel ? LINES_LAG + AES_BLOCK - cbc->held : len);
    size_t lines = (len - lead) / BASE64_LINE_IN, bare = 0;
    uint8_t *end = seal->run + base64->fill;

    memcpy(seal->run, base64->carry, base64->fill);
    end += cbc_update(cbc, in, lead, end);
    if (seal->flags & SEAL_STRICT)
        bare = canon_count(in, lead, &seal->last);
    if (lines) {
        cbc->lane.in = in + lead;
        cbc->lane.out = end;
        bare += kernel->cbc(&cbc->lane, lines, seal->run, seal->out);
        end = cbc->lane.out;
        if (seal->flags & SEAL_STRICT)
            seal->last = cbc->lane.in[-1];
    }
    size_t done = lines * BASE64_LINE_IN, rest = len - lead - done;
    seal->out += lines * BASE64_LINE_OUT;
    end += cbc_update(cbc, in + lead + done, rest, end);
    if (seal->flags & SEAL_STRICT)
        bare += canon_count(in + lead + done, rest, &seal->last);
    base64->fill = 0;
    seal_emit(seal, seal->run + done, (size_t)(end - seal->run) - done);
    return bare;
}

/* Puts the caller's ciphertext where encrypt() puts its own. */
static void put_encrypted(struct seal *seal, const uint8_t *in, size_t len)
{
    if (!(seal->flags & SEAL_OPEN)) {
        seal_emit(seal, in, len);
        return;
    }
    while (len) {
        size_t part = min_size(len, SEAL_SEGMENT - seal->run_len);
        memcpy(seal->run + seal->run_len, in, part);
        seal->run_len += part;
        if (seal->run_len == SEAL_SEGMENT)
            flush_run(seal);
        in += part;
        len -= part;
    }
}

static int take(struct seal *seal, const uint8_t *in, size_t len)
{
    if (seal->frame.mode != MODE_CBC) {
        put_encrypted(seal, in, len);
        return 0;
    }
    if ((seal->flags & (SEAL_BASE64 | SEAL_OPEN)) == SEAL_BASE64) {
        bool bare = encrypt_lines(seal, in, len);
        return bare && seal->flags & SEAL_STRICT ? SEAL_BARE_LF : 0;
    }
    encrypt(seal, in, len);
    return 0;
}

/* Without SEAL_OPEN, takes no more than the plan says. */
static int take_promised(struct seal *seal, const uint8_t *in, size_t len)
{
    if (!(seal->flags & SEAL_OPEN)) {
        if (len > seal->left)
            return SEAL_TOO_MUCH;
        seal->left -= len;
    }
    return take(seal, in, len);
}

/* Takes one step of content; with SEAL_CANON makes its line ends canonical. In most mail they are
 * already. */
static int step(struct seal *seal, const uint8_t *in, size_t len)
{
    uint8_t before = seal->last;

    if (!(seal->flags & SEAL_CANON) || !canon_count(in, len, &seal->last))
        return take_promised(seal, in, len);
    size_t canonical = canon_copy(in, len, &before, seal->text);
    size_t half = min_size(canonical, SEAL_STEP);
    int error = take_promised(seal, seal->text, half);
    return error ? error : take_promised(seal, seal->text + half, canonical - half);
}

int seal_content(struct seal *seal, const uint8_t *in, size_t len)
{
    int error = 0;

    while (len && !error) {
        size_t part = min_size(len, SEAL_STEP);
        error = step(seal, in, part);
        in += part;
        len -= part;
    }
    return error;
}

void seal_last_block(struct seal *seal)
{
    uint8_t block[AES_BLOCK];
    size_t last = cbc_finish(&seal->cbc, block);

    if (seal->flags & SEAL_OPEN) {
        memcpy(seal->run + seal->run_len, block, last);
        seal->run_len += last;
        flush_run(seal);
    } else {
        seal_emit(seal, block, last);
    }
}

void seal_head(struct seal *seal, const struct seal_plan *plan, const struct content_key *key)
{
    uint8_t header[DER_CONTENT_MAX];

    seal->flags = plan->flags;
    seal->left = plan->content_len;
    seal->run_len = seal->base64.fill = 0;
    seal->last = 0;
    seal->frame = frame_of(plan, key);
    if (plan->mode == MODE_CBC)
        cbc_begin(&seal->cbc, key->key, key->key_len, key->iv);
    if (plan->before_len)
        memcpy(seal->out, plan->before, plan->before_len);
    seal->out += plan->before_len;
    seal_emit(seal, header, frame_head(&seal->frame, header));
    seal_emit(seal, plan->infos, plan->infos_len);
    seal_emit(seal, header, frame_content(&seal->frame, header));
}

void seal_tail(struct seal *seal, const uint8_t *after, size_t after_len)
{
    uint8_t tail[DER_TAIL_MAX];

    seal_emit(seal, tail, frame_tail(&seal->frame, tail));
    if (seal->flags & SEAL_BASE64)
        seal->out += base64_finish(&seal->base64, seal->out);
    if (after_len)
        memcpy(seal->out, after, after_len);
    seal->out += after_len;
}

static int64_t fail(struct seal *seal, int64_t error)
{
    seal_abort(seal);
    seal->state = SEAL_FAILED;
    return error;
}

static int64_t written(struct seal *seal, const uint8_t *start)
{
    int64_t count = seal->out - start;
    seal->promised -= min_size(seal->promised, (uint64_t)count);
    return count;
}

/* --- what Python calls ------------------------------------------------------------------------ */

struct seal_plan seal_plan_for(const struct seal_to *to, const struct seal_form *form,
                               unsigned flags)
{
    const bool cbc = to->mode == MODE_CBC;

    return (struct seal_plan){
        .before = cbc ? form->before : form->auth_before,
        .before_len = cbc ? form->before_len : form->auth_before_len,
        .infos_len = to->infos_len,
        .after = form->after,
        .after_len = form->after_len,
        .version = to->version,
        .mode = to->mode,
        .flags = (form->flags & SEAL_BASE64) | flags,
    };
}

int64_t seal_begin(struct seal *seal, const struct seal_plan *plan)
{
    if (seal->state != SEAL_NEW)
        return SEAL_STATE;
    if (!frame_is_defined(plan->mode, seal->key.key_len))
        return SEAL_NO_CIPHER;
    int64_t total = seal_total(plan);
    if (total < 0)
        return total;
    seal->plan = *plan;
    seal->frame = frame_of(plan, &seal->key);
    seal->flags = plan->flags;
    seal->left = plan->content_len;
    seal->run_len = seal->base64.fill = seal->cbc.held = 0;
    seal->promised = (uint64_t)total;
    seal->state = SEAL_BEGUN;
    return total;
}

int64_t seal_begin_to(struct seal *seal, const struct seal_to *to, const struct seal_form *form,
                      uint8_t *infos, unsigned flags, uint64_t content_len)
{
    struct seal_plan plan = seal_plan_for(to, form, flags);

    plan.infos = infos;
    plan.content_len = content_len;
    int64_t total = seal_begin(seal, &plan);

    if (total >= 0 && seal_wrap(seal, to, infos))
        return fail(seal, SEAL_NO_RANDOM);
    return total;
}

/* Writes what stands in front of the content, if it wasn't written yet. */
static void write_head(struct seal *seal)
{
    if (seal->state != SEAL_BEGUN)
        return;
    seal_head(seal, &seal->plan, &seal->key);
    wipe(&seal->key, sizeof seal->key);
    seal->state = SEAL_BODY;
}

int64_t seal_update(struct seal *seal, const uint8_t *in, size_t len, uint8_t *out, size_t cap)
{
    if (seal->state != SEAL_BEGUN && seal->state != SEAL_BODY)
        return SEAL_STATE;
    if (cap < seal_update_bound(seal, len))
        return SEAL_NO_ROOM;

    seal->out = out;
    write_head(seal);
    int error = seal_content(seal, in, len);
    return error ? fail(seal, error) : written(seal, out);
}

int64_t seal_finish(struct seal *seal, const uint8_t *tag, uint8_t *out, size_t cap)
{
    if (seal->state != SEAL_BEGUN && seal->state != SEAL_BODY)
        return SEAL_STATE;
    if (cap < seal_bound(seal, 0))
        return SEAL_NO_ROOM;

    if (!(seal->flags & SEAL_OPEN) && seal->left)
        return fail(seal, SEAL_TOO_LITTLE);

    seal->out = out;
    write_head(seal);
    seal->frame.tag = tag;
    if (seal->frame.mode == MODE_CBC)
        seal_last_block(seal);
    else
        flush_run(seal);
    seal_tail(seal, seal->plan.after, seal->plan.after_len);
    seal_abort(seal);
    return seal->out - out;
}

void seal_abort(struct seal *seal)
{
    wipe(&seal->key, sizeof seal->key);
    wipe(&seal->cbc, sizeof seal->cbc);
    if (seal->flags & SEAL_CANON)
        wipe(seal->text, sizeof seal->text);
    seal->state = SEAL_DONE;
}
