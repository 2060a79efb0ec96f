/* One message by itself: what seal_plan_sizes and seal_many do, without arrays of one element. */
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

void seal_forget_one(struct seal_single *single)
{
    seal_forget(&single->job, 1);
}
