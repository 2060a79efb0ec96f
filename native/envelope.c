#include "core.h"

#include <sys/mman.h>
#include <unistd.h>
#if defined(__APPLE__)
#include <sys/random.h>
#endif

enum seal_state { SEAL_NEW = 0, SEAL_BODY, SEAL_DONE, SEAL_FAILED };

int seal_init(struct seal *seal, unsigned key_len)
{
    struct content_key *key = &seal->key;
    uint8_t fresh[sizeof key->key + sizeof key->iv];
    int error = getentropy(fresh, sizeof fresh);

    key->key_len = key_len;
    memcpy(key->key, fresh, sizeof key->key);
    memcpy(key->iv, fresh + sizeof key->key, sizeof key->iv);
    wipe(fresh, sizeof fresh);
    seal->run_len = 0;
    seal->base64.fill = 0;
    seal->flags = 0;
    seal->last = 0;
    seal->state = SEAL_NEW;
    return error;
}

struct content_key *seal_key(struct seal *seal)
{
    return &seal->key;
}

/* --- how much comes out ---------------------------------------------------------------------- */

/* What stands around the content is in memory, and so far below this. */
static const uint64_t around = UINT64_C(1) << 50;

static uint64_t ciphertext_len(uint64_t content_len)
{
    return (content_len / AES_BLOCK + 1) * AES_BLOCK;
}

static struct frame frame_of(const struct seal_plan *plan, const struct content_key *key)
{
    return (struct frame){
        .infos_len = plan->infos_len,
        .cipher_len = ciphertext_len(plan->content_len),
        .iv = key->iv,
        .version = plan->version,
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

static uint64_t encoded_total(const struct seal_plan *plan, const struct frame *frame)
{
    uint64_t len = frame_head(frame, NULL) + plan->infos_len + frame_content(frame, NULL);

    if (plan->flags & SEAL_OPEN)
        return plan->flags & SEAL_BASE64 ? len / BASE64_LINE_IN * BASE64_LINE_OUT : len;
    len += frame->cipher_len;
    return plan->flags & SEAL_BASE64 ? base64_size(len) : len;
}

int64_t seal_total(const struct seal_plan *plan)
{
    static const struct content_key any = {.key_len = 16};
    struct frame frame = frame_of(plan, &any);

    if (!plan_fits(plan))
        return SEAL_TOO_LARGE;
    uint64_t after = plan->flags & SEAL_OPEN ? 0 : plan->after_len;
    return (int64_t)(plan->before_len + encoded_total(plan, &frame) + after);
}

/* The most that `len` more octets of CMS can give: lines, the one begun before included. */
static uint64_t emit_bound(const struct seal *seal, uint64_t len)
{
    if (!(seal->flags & SEAL_BASE64))
        return len;
    return (len / BASE64_LINE_IN + 2) * BASE64_LINE_OUT;
}

uint64_t seal_update_bound(const struct seal *seal, size_t len)
{
    if (len > around)
        return UINT64_MAX;
    uint64_t content = seal->flags & SEAL_CANON ? 2 * (uint64_t)len : len;
    uint64_t cipher = content + AES_BLOCK + seal->run_len;
    if (seal->flags & SEAL_OPEN)
        cipher += (cipher / SEAL_SEGMENT + 1) * DER_SEGMENT_MAX;
    uint64_t bound = emit_bound(seal, cipher);
    return seal->flags & SEAL_OPEN || bound < seal->promised ? bound : seal->promised;
}

uint64_t seal_finish_bound(const struct seal *seal)
{
    uint64_t bound = emit_bound(seal, seal->run_len + AES_BLOCK + DER_SEGMENT_MAX + DER_TAIL_MAX);
    return seal->flags & SEAL_OPEN || bound < seal->promised ? bound : seal->promised;
}

/* --- the stages, last one first ------------------------------------------------------------- */

static void emit(struct seal *seal, const uint8_t *octets, size_t len)
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
        emit(seal, header, frame_segment(seal->run_len, header));
    }
    emit(seal, seal->run, seal->run_len);
    seal->run_len = 0;
}

/* With segments to come, the ciphertext waits in `run` until one is full; else it goes straight to
 * its place. */
static void encrypt(struct seal *seal, const uint8_t *in, size_t len)
{
    if (!(seal->flags & SEAL_OPEN)) {
        seal->out += cbc_update(&seal->cbc, in, len, seal->out);
        return;
    }
    while (len) {
        size_t part = least(len, SEAL_SEGMENT - seal->run_len - seal->cbc.held);
        seal->run_len += cbc_update(&seal->cbc, in, part, seal->run + seal->run_len);
        if (seal->run_len == SEAL_SEGMENT)
            flush_run(seal);
        in += part;
        len -= part;
    }
}

/* As encrypt(), where the ciphertext becomes lines at once: first so much that the lines can lag
 * behind it, then as many as the kernel can make beside it, then the rest. Gives whether a line
 * feed is bare, if that is looked for. */
static bool encrypt_lines(struct seal *seal, const uint8_t *in, size_t len)
{
    const struct lines_kernel *kernel = lines_kernel();
    struct cbc *cbc = &seal->cbc;
    struct base64 *base64 = &seal->base64;
    size_t lead = least(len, kernel ? LINES_LAG + AES_BLOCK - cbc->held : len);
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
        seal->last = cbc->lane.in[-1];
        end = cbc->lane.out;
    }
    size_t done = lines * BASE64_LINE_IN, rest = len - lead - done;
    seal->out += lines * BASE64_LINE_OUT;
    end += cbc_update(cbc, in + lead + done, rest, end);
    if (seal->flags & SEAL_STRICT)
        bare += canon_count(in + lead + done, rest, &seal->last);
    base64->fill = 0;
    emit(seal, seal->run + done, (size_t)(end - seal->run) - done);
    return bare;
}

static int take(struct seal *seal, const uint8_t *in, size_t len)
{
    const bool lines = (seal->flags & (SEAL_BASE64 | SEAL_OPEN)) == SEAL_BASE64;

    if (!(seal->flags & SEAL_OPEN)) {
        if (len > seal->left)
            return SEAL_TOO_MUCH;
        seal->left -= len;
    }
    if (lines)
        return encrypt_lines(seal, in, len) && seal->flags & SEAL_STRICT ? SEAL_BARE_LF : 0;
    encrypt(seal, in, len);
    return 0;
}

/* One step of content, made canonical where that is asked; most mail already is. */
static int step(struct seal *seal, const uint8_t *in, size_t len)
{
    uint8_t before = seal->last;

    if (!(seal->flags & SEAL_CANON) || !canon_count(in, len, &seal->last))
        return take(seal, in, len);
    size_t canonical = canon_copy(in, len, &before, seal->text);
    for (size_t at = 0, part; at < canonical; at += part) {
        part = least(canonical - at, SEAL_STEP);
        int error = take(seal, seal->text + at, part);
        if (error)
            return error;
    }
    return 0;
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
    seal->promised -= least(seal->promised, (uint64_t)count);
    return count;
}

/* --- what Python calls ------------------------------------------------------------------------ */

int64_t seal_begin(struct seal *seal, const struct seal_plan *plan, uint8_t *out, size_t cap)
{
    struct content_key *key = &seal->key;
    uint8_t header[DER_CONTENT_MAX];

    if (seal->state != SEAL_NEW)
        return SEAL_STATE;
    if (!plan_fits(plan))
        return SEAL_TOO_LARGE;
    seal->flags = plan->flags;
    seal->left = plan->content_len;
    seal->frame = frame_of(plan, key);
    seal->promised = plan->before_len + encoded_total(plan, &seal->frame);
    uint64_t head = plan->infos_len + DER_HEAD_MAX + DER_CONTENT_MAX;
    if (cap < seal->promised && cap < plan->before_len + emit_bound(seal, head))
        return SEAL_NO_ROOM;

    cbc_begin(&seal->cbc, key->key, key->key_len, key->iv);
    seal->out = out;
    if (plan->before_len)
        memcpy(seal->out, plan->before, plan->before_len);
    seal->out += plan->before_len;
    emit(seal, header, frame_head(&seal->frame, header));
    emit(seal, plan->infos, plan->infos_len);
    emit(seal, header, frame_content(&seal->frame, header));
    wipe(key, sizeof *key);
    seal->state = SEAL_BODY;
    return written(seal, out);
}

int64_t seal_update(struct seal *seal, const uint8_t *in, size_t len, uint8_t *out, size_t cap)
{
    if (seal->state != SEAL_BODY)
        return SEAL_STATE;
    if (cap < seal_update_bound(seal, len))
        return SEAL_NO_ROOM;

    seal->out = out;
    while (len) {
        size_t part = least(len, SEAL_STEP);
        int error = step(seal, in, part);
        if (error)
            return fail(seal, error);
        in += part;
        len -= part;
    }
    return written(seal, out);
}

int64_t seal_finish(struct seal *seal, const uint8_t *after, size_t after_len, uint8_t *out,
                    size_t cap)
{
    uint8_t block[AES_BLOCK], tail[DER_TAIL_MAX];

    if (seal->state != SEAL_BODY)
        return SEAL_STATE;
    if (cap < after_len || cap - after_len < seal_finish_bound(seal))
        return SEAL_NO_ROOM;
    if (!(seal->flags & SEAL_OPEN) && seal->left)
        return fail(seal, SEAL_TOO_LITTLE);

    seal->out = out;
    size_t last = cbc_finish(&seal->cbc, block);
    memcpy(seal->run + seal->run_len, block, last);
    seal->run_len += last;
    flush_run(seal);
    emit(seal, tail, frame_tail(&seal->frame, tail));
    if (seal->flags & SEAL_BASE64)
        seal->out += base64_finish(&seal->base64, seal->out);
    if (after_len)
        memcpy(seal->out, after, after_len);
    seal->out += after_len;
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

int64_t seal_whole(struct seal *seal, const struct seal_plan *plan, const uint8_t *head,
                   size_t head_len, const uint8_t *body, size_t body_len, const uint8_t *after,
                   uint8_t *out, size_t cap)
{
    int64_t written = seal_begin(seal, plan, out, cap);
    int64_t count = written;

    if (count >= 0)
        written += count = seal_update(seal, head, head_len, out + written, cap - (size_t)written);
    if (count >= 0)
        written += count = seal_update(seal, body, body_len, out + written, cap - (size_t)written);
    if (count >= 0)
        written += count = seal_finish(seal, after, plan->after_len, out + written,
                                       cap - (size_t)written);
    return count < 0 ? count : written;
}

void expect_large(uint8_t *fresh, size_t len)
{
#if defined(MADV_HUGEPAGE)
    enum { PAGE = 4096 };
    uintptr_t start = ((uintptr_t)fresh + PAGE - 1) & ~(uintptr_t)(PAGE - 1);
    uintptr_t end = ((uintptr_t)fresh + len) & ~(uintptr_t)(PAGE - 1);

    if (start < end)
        (void)madvise((uint8_t *)start, end - start, MADV_HUGEPAGE);
#else
    (void)fresh;
    (void)len;
#endif
}

/* --- kernels by number ------------------------------------------------------------------------ */

const char *aes_name(unsigned index)
{
    const struct aes_kernel *kernel = aes_kernel_at(index);
    return kernel ? kernel->name : NULL;
}

const char *base64_name(unsigned index)
{
    const struct base64_kernel *kernel = base64_kernel_at(index);
    return kernel ? kernel->name : NULL;
}

bool aes_check(unsigned index)
{
    return aes_known_answer(aes_kernel_at(index));
}

/* Every value of an octet and of a group of six bits, and the place of each in a line. */
bool base64_check(unsigned index)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   "abcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t in[4 * BASE64_LINE_IN], out[4 * BASE64_LINE_OUT];

    for (unsigned i = 0; i < sizeof in; i++)
        in[i] = (uint8_t)(i * 167 + 13);
    base64_kernel_at(index)->lines(in, 4, out);
    for (unsigned i = 0; i < sizeof in / 3 * 4; i++) {
        const uint8_t *group = in + i / 4 * 3;
        uint32_t bits = (uint32_t)group[0] << 16 | (uint32_t)group[1] << 8 | group[2];
        if (out[i / 64 * BASE64_LINE_OUT + i % 64] != alphabet[bits >> (18 - 6 * (i % 4)) & 63])
            return false;
    }
    return out[64] == '\r' && out[65] == '\n' && out[sizeof out - 1] == '\n';
}

void cbc_bare(const struct content_key *key, const uint8_t *in, size_t blocks, uint8_t *out)
{
    struct cbc cbc;
    cbc_begin(&cbc, key->key, key->key_len, key->iv);
    cbc_update(&cbc, in, blocks * AES_BLOCK, out);
    wipe(&cbc, sizeof cbc);
}

void base64_bare(const uint8_t *in, size_t lines, uint8_t *out)
{
    base64_kernel()->lines(in, lines, out);
}
