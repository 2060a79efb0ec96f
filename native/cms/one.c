/* One message by itself: what seal_plan_sizes and seal_many do, without arrays of one element; or
 * what a stream does, in one call. */
#include "core.h"

int64_t seal_plan_one(struct seal_single *single, const uint8_t *data, size_t len,
                      const struct seal_to *to, const struct seal_form *form)
{
    const struct seal_inputs inputs = {&data, &len, &to, 1};
    int64_t total;

    if (to->mode != MODE_CBC || to->infos_len > sizeof single->infos)
        return SEAL_NEEDS_LOOK;
    if (!seal_plan_sizes(&single->job, &inputs, form, 0, &total))
        return total;
    seal_forget_one(single);
    return total < 0 ? total : SEAL_NEEDS_LOOK;
}

int64_t seal_one(struct seal_single *single, uint8_t *out)
{
    uint8_t *const outs[1] = {out};

    seal_many(&single->job, outs, 1, single->infos, &single->slots);
    return single->job.written;
}

int64_t seal_one_as_stream(struct seal_single *single, const struct seal_to *to,
                           const struct seal_form *form, unsigned flags, uint64_t size,
                           const uint8_t *data, size_t len, uint8_t *out, size_t cap)
{
    struct seal *seal = &single->slots.slot[0].seal;

    if (to->mode != MODE_CBC || to->infos_len > sizeof single->infos)
        return SEAL_NEEDS_HEAD;
    if (seal_init(seal, to->key_len))
        return SEAL_NO_RANDOM;
    int64_t begun = seal_begin_message(seal, to, form, single->infos, flags, size, data, len, 0, out,
                                       cap);
    int64_t ended = begun < 0 ? begun : seal_finish(seal, NULL, out + begun, cap - (size_t)begun);
    if (ended < 0)
        seal_abort(seal);
    return ended < 0 ? ended : begun + ended;
}

void seal_forget_one(struct seal_single *single)
{
    seal_forget(&single->job, 1);
}
