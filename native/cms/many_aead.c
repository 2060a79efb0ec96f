/* Of many messages those whose cipher isn't here: the caller encrypts them, one after the other. It
 * gets their content piece by piece, a short one whole; all else is as in many.c. */
#include "core.h"

static void leave(struct seal_aead *aead, int error)
{
    wipe(aead->text, aead->used);
    aead->used = 0;
    slot_leave(&aead->slot, error);
    base64_fence();
    aead->slot.job = NULL;
}

/* Sets the next piece. It is the message's own octets where they need no change, else a copy. */
static int take(struct seal_aead *aead, struct aead_piece *piece)
{
    struct seal_slot *slot = &aead->slot;
    struct seal *seal = &slot->seal;
    size_t queued = slot->end, taken;
    const bool copied = queued || seal->flags & SEAL_CANON;

    piece->text = copied ? aead->text : slot->body;
    memcpy(aead->text, seal->text, queued);
    slot->end = 0;
    int error = slot_take(slot, min_size(slot->body_len, AEAD_PIECE),
                          copied ? aead->text + queued : NULL, &taken);
    piece->len = queued + taken;
    if (copied && piece->len > aead->used)
        aead->used = piece->len;
    piece->room = seal->flags & SEAL_BASE64 ? aead->run + CACHE_LINE : seal->out;
    piece->last = !slot->body_len;
    piece->room_len = piece->len + (piece->last ? DER_TAG : 0);
    return error;
}

static bool go_on(struct seal_aead *aead, struct aead_piece *piece, int error)
{
    if (!error)
        error = take(aead, piece);
    if (error)
        leave(aead, error);
    return !error;
}

bool seal_aead_begin(struct seal_aead *aead, struct seal_job *job, struct aead_piece *piece)
{
    aead->used = 0;
    aead->slot.job = NULL;
    if (!job_is_wanted(job))
        return false;
    int error = slot_begin(&aead->slot, job);
    seal_forget(job, 1);
    return go_on(aead, piece, error);
}

bool seal_aead_next(struct seal_aead *aead, struct aead_piece *piece)
{
    struct seal *seal = &aead->slot.seal;
    const size_t fill = seal->base64.fill;

    if (seal->flags & SEAL_BASE64) {
        memcpy(piece->room - fill, seal->base64.carry, fill);
        slot_encode(&aead->slot, piece->room - fill, fill + piece->len);
    } else {
        seal->out += piece->len;
    }
    if (!piece->last)
        return go_on(aead, piece, 0);
    seal->frame.tag = piece->room + piece->len;
    leave(aead, 0);
    return false;
}

void seal_aead_stop(struct seal_aead *aead)
{
    if (aead->slot.job)
        leave(aead, SEAL_CHANGED);
}
