/* What is known of many messages before they are sealed: where the header block of each ends, how
 * long its answer will be, and its key. */
#include "core.h"
#include "random.h"

enum { SAMPLE = 4 << 10 }; /* octets of a body whose line feeds seal_plan_sizes looks at */

/* How many octets canonical line ends will add. If no line feed in the first SAMPLE octets is bare,
 * it expects none in the rest: SEAL_STRICT then looks for them during encryption. */
static size_t survey_lines(struct seal_job *job, unsigned flags)
{
    const uint8_t *body = job->data + job->header.end;
    size_t len = job->len - job->header.end;
    size_t first = flags & SEAL_COUNT ? len : min_size(len, SAMPLE);
    uint8_t last = 0;

    size_t bare = canon_count(body, first, &last);
    if (!bare && first < len) {
        job->plan.flags |= SEAL_STRICT;
        return 0;
    }
    bare += canon_count(body + first, len - first, &last);
    if (bare)
        job->plan.flags |= SEAL_CANON;
    return bare;
}

/* The total, now that it is known what the content and the outer fields come to. */
static int64_t total_of(struct seal_job *job, uint64_t content_len, size_t outside_len)
{
    job->plan.content_len = content_len;
    if (!frame_is_defined(job->plan.mode, job->to->key_len))
        return SEAL_NO_CIPHER;
    int64_t total = seal_total(&job->plan);
    return total < 0 ? total : total + (int64_t)outside_len;
}

static int64_t survey_message(struct seal_job *job, unsigned flags)
{
    struct header *header = &job->header;

    if (!header_cut(job->data, job->len, header))
        return SEAL_NO_HEADER_END;
    size_t body_len = job->len - header->end;
    job->suspect = header->suspect || header_armoured(job->data + header->end, body_len);
    if (header->special || header->inside_len > SEAL_STEP || job->to->brings_head)
        return SEAL_NEEDS_HEAD;
    size_t more = survey_lines(job, flags);
    return total_of(job, header->inside_len + body_len + more, header->outside_len);
}

static int64_t survey(struct seal_job *job, unsigned flags)
{
    job->suspect = false;
    job->plan = seal_plan_for(job->to, job->form, 0);
    if (job->form->flags & SEAL_MESSAGE)
        return survey_message(job, flags);
    return total_of(job, job->len, 0);
}

int64_t seal_bring_head(struct seal_job *job, const uint8_t *outside, size_t outside_len,
                        const uint8_t *inside, size_t inside_len, unsigned flags)
{
    uint64_t content_len = inside_len + (job->len - job->header.end);

    if (flags & SEAL_CANON)
        content_len += survey_lines(job, flags);
    job->outside = outside;
    job->inside = inside;
    job->header.outside_len = outside_len;
    job->header.inside_len = inside_len;
    job->plan.before_len = 0; /* it is part of `outside` */
    return job->total = total_of(job, content_len, outside_len);
}

/* Makes a key for each job, with one call of the generator for as many as RANDOM_TOGETHER allows.
 * Gives whether the generator failed. */
static bool make_keys(struct seal_job *jobs, size_t count)
{
    enum { KEYS = RANDOM_TOGETHER / CONTENT_KEY_RANDOM };
    uint8_t fresh[KEYS * CONTENT_KEY_RANDOM];
    bool failed = false;

    for (size_t i = 0; i < count; i++) {
        if (i % KEYS == 0 && random_fill(fresh, min_size(KEYS, count - i) * CONTENT_KEY_RANDOM))
            failed = true;
        if (failed && (jobs[i].total >= 0 || jobs[i].total == SEAL_NEEDS_HEAD))
            jobs[i].total = SEAL_NO_RANDOM;
        content_key_set(&jobs[i].key, jobs[i].to->key_len, fresh + i % KEYS * CONTENT_KEY_RANDOM);
    }
    wipe(fresh, sizeof fresh);
    return failed;
}

bool seal_plan_sizes(struct seal_job *jobs, const struct seal_inputs *inputs,
                 const struct seal_form *form, unsigned flags, int64_t *totals)
{
    bool unusual = false;

    for (size_t i = 0; i < inputs->count; i++) {
        struct seal_job *job = &jobs[i];
        job->data = inputs->data[i];
        job->len = inputs->len[i];
        job->to = inputs->to[i];
        job->form = form;
        job->outside = job->inside = job->infos = NULL;
        job->total = totals[i] = survey(job, flags);
        unusual |= job->suspect || job->total < 0;
    }
    return make_keys(jobs, inputs->count) || unusual;
}

void seal_forget(struct seal_job *jobs, size_t count)
{
    for (struct seal_job *job = jobs; job < jobs + count; job++)
        wipe(&job->key, sizeof job->key);
}
