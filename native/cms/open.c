#include "open.h"

void open_begin(struct open *open, unsigned form)
{
    ber_begin(&open->ber);
    open->text = (struct unbase64){0};
    open->first = open->last = 0;
    open->held_len = 0;
    open->head = open->tail = open->out = NULL;
    open->head_len = open->head_cap = open->tail_len = 0;
    open->tail_cap = SIZE_MAX;
    open->content_len = 0;
    open->form = form;
    open->stage = OPEN_HEAD;
    open->raw = open->stopped = false;
}

void open_head(struct open *open, uint8_t *head, size_t cap)
{
    open->head = head;
    open->head_cap = cap;
}

size_t open_head_len(const struct open *open)
{
    return open->head_len;
}

void open_tail(struct open *open, uint8_t *tail, size_t cap)
{
    open->tail = tail;
    open->tail_cap = cap;
}

size_t open_tail_len(const struct open *open)
{
    return open->tail ? open->tail_len : 0;
}

unsigned open_stage(const struct open *open)
{
    return open->stage;
}

bool open_is_ber(const struct open *open)
{
    return open->ber.indefinite;
}

bool open_has_content(const struct open *open)
{
    return !open->ber.absent;
}

uint64_t open_content_len(const struct open *open)
{
    return open->content_len;
}

void open_key(struct open *open, const uint8_t *key, size_t key_len, const uint8_t *iv)
{
    aes_decrypt_kernel()->expand_inverse(&open->key, key, key_len);
    memcpy(open->chain, iv, AES_BLOCK);
    open->raw = false;
    open->stage = OPEN_BODY;
}

void open_raw(struct open *open)
{
    open->raw = true;
    open->stage = OPEN_BODY;
}

uint64_t open_bound(const struct open *open, size_t len)
{
    uint64_t octets = len;

    if (open->form != OPEN_BINARY) /* three of four, and of what the last call left of a group */
        octets = octets / 4 * 3 + 2 * 3;
    return octets + (open->last - open->first) + 2 * AES_BLOCK;
}

/* --- the cipher ------------------------------------------------------------------------------- */

static void decrypt(struct open *open, const uint8_t *in, size_t len)
{
    if (!len)
        return;
    aes_decrypt_kernel()->cbc_decrypt(&open->key, open->chain, in, len / AES_BLOCK, open->out);
    open->out += len;
}

/* Takes ciphertext, and holds back the last block, or the part of it that came so far. */
static void decrypt_run(struct open *open, const uint8_t *in, size_t len)
{
    size_t head = min_size(len, AES_BLOCK - open->held_len), whole;

    memcpy(open->held + open->held_len, in, head);
    open->held_len += (unsigned)head;
    in += head;
    len -= head;
    if (!len)
        return;
    decrypt(open, open->held, AES_BLOCK);
    whole = (len - 1) / AES_BLOCK * AES_BLOCK;
    decrypt(open, in, whole);
    open->held_len = (unsigned)(len - whole);
    memcpy(open->held, in + whole, open->held_len);
}

static void take_run(struct open *open, const uint8_t *in, size_t len)
{
    open->content_len += len;
    if (!open->raw) {
        decrypt_run(open, in, len);
        return;
    }
    memcpy(open->out, in, len);
    open->out += len;
}

/* How many octets of the last block are content, or -1 (RFC 5652 section 6.3). */
static int unpadded(const uint8_t block[AES_BLOCK])
{
    const unsigned padding = block[AES_BLOCK - 1];
    /* In the top bits: 0 and what is above 16 are wrong. */
    unsigned wrong = (padding - 1) | (AES_BLOCK - padding);

    for (unsigned i = 0; i < AES_BLOCK; i++) {
        const unsigned is_padding = (AES_BLOCK - 1 - i - padding) >> 8;
        const unsigned differs = (block[i] ^ padding) & is_padding & 0xff;
        wrong |= 0u - differs;
    }
    return wrong >> 31 ? -1 : (int)(AES_BLOCK - padding);
}

static int64_t last_block(struct open *open, uint8_t *out)
{
    uint8_t block[AES_BLOCK];
    int count;

    if (open->held_len != AES_BLOCK)
        return OPEN_FAILED;
    open->out = block;
    decrypt(open, open->held, AES_BLOCK);
    count = unpadded(block);
    if (count > 0)
        memcpy(out, block, (size_t)count);
    wipe(block, sizeof block);
    return count < 0 ? OPEN_FAILED : count;
}

/* --- the walk --------------------------------------------------------------------------------- */

/* Keeps all octets before the content. So the walk goes only as far as there is room for them. */
static int walk_head(struct open *open, const uint8_t **in, const uint8_t *in_end)
{
    const uint8_t *start = *in;
    size_t run = 0, part = min_size((size_t)(in_end - start), open->head_cap - open->head_len);

    if (!part)
        return OPEN_HEAD_FULL;
    int event = ber_walk(&open->ber, in, start + part, &run);
    memcpy(open->head + open->head_len, start, (size_t)(*in - start));
    open->head_len += (size_t)(*in - start);
    if (event == BER_CONTENT)
        open->stage = OPEN_WAIT;
    return event < 0 ? event : 0;
}

/* Keeps what follows the content, or skips it if no room was given. */
static int walk_tail(struct open *open, const uint8_t **in, const uint8_t *in_end)
{
    const uint8_t *start = *in;
    size_t run = 0, part = min_size((size_t)(in_end - start), open->tail_cap - open->tail_len);
    int event = ber_walk(&open->ber, in, start + part, &run);

    if (open->tail)
        memcpy(open->tail + open->tail_len, start, (size_t)(*in - start));
    open->tail_len += (size_t)(*in - start);
    if (event == BER_END)
        open->stage = OPEN_END;
    if (event == BER_MORE && *in < in_end)
        return OPEN_TAIL_FULL;
    return event < 0 ? event : 0;
}

static int walk_body(struct open *open, const uint8_t **in, const uint8_t *in_end)
{
    size_t run = 0;

    if (open->ber.behind)
        return walk_tail(open, in, in_end);
    int event = ber_walk(&open->ber, in, in_end, &run);
    if (event == BER_RUN)
        take_run(open, *in - run, run);
    if (event == BER_END)
        open->stage = OPEN_END;
    if (event == BER_BEHIND) /* maybe nothing can come any more, and that is an error by now */
        return walk_tail(open, in, in_end);
    return event < 0 ? event : 0;
}

static int pass_white_space(const uint8_t **in, const uint8_t *in_end)
{
    for (; *in < in_end; (*in)++)
        if (**in != ' ' && **in != '\t' && **in != '\r' && **in != '\n')
            return OPEN_TRAILING;
    return 0;
}

/* Walks as far as there is something, or until a key is needed. The end of a ContentInfo of known
 * length is noticed without another octet. */
static int walk(struct open *open, const uint8_t **in, const uint8_t *in_end)
{
    int error = 0;

    while (!error && *in < in_end && open->stage != OPEN_WAIT) {
        if (open->stage == OPEN_HEAD)
            error = walk_head(open, in, in_end);
        else if (open->stage == OPEN_BODY)
            error = walk_body(open, in, in_end);
        else
            error = pass_white_space(in, in_end);
    }
    if (!error && open->stage == OPEN_BODY)
        error = walk_body(open, in, in_end);
    return error;
}

/* Decodes base64 before the walk. A character that stops decoding is an error, but for PEM's
 * hyphen. */
static int walk_text(struct open *open, const uint8_t **in, const uint8_t *in_end)
{
    enum base64_state how = BASE64_MORE;

    for (;;) {
        const uint8_t *next = open->decoded + open->first;
        int error = walk(open, &next, open->decoded + open->last);
        open->first = (size_t)(next - open->decoded);
        if (error || open->first < open->last)
            return error;
        if (open->stopped)
            return open->form == OPEN_PEM && (*in == in_end || **in == '-') ? 0 : OPEN_MALFORMED;
        if (*in == in_end)
            return 0;
        open->first = 0;
        open->last = base64_decode(&open->text, in, in_end, open->decoded, OPEN_STEP, &how);
        open->stopped = how == BASE64_STOPPED;
    }
}

/* --- what Python calls ------------------------------------------------------------------------ */

void open_abort(struct open *open)
{
    wipe(&open->key, sizeof open->key);
    open->stage = OPEN_OVER;
}

int64_t open_update(struct open *open, const uint8_t *in, size_t len, uint8_t *out, size_t cap,
                    size_t *taken)
{
    const uint8_t *at = in;

    *taken = 0;
    if (open->stage == OPEN_OVER)
        return OPEN_STATE;
    if (cap < open_bound(open, len))
        return OPEN_NO_ROOM;
    open->out = out;
    int error = open->form == OPEN_BINARY ? walk(open, &at, in + len)
                                          : walk_text(open, &at, in + len);
    *taken = (size_t)(at - in);
    if (!error)
        return open->out - out;
    if (error != OPEN_HEAD_FULL)
        open_abort(open);
    return error;
}

int64_t open_finish(struct open *open, uint8_t *out, size_t cap)
{
    int64_t given = 0;

    if (open->stage == OPEN_OVER)
        return OPEN_STATE;
    if (cap < AES_BLOCK)
        return OPEN_NO_ROOM;
    if (open->stage != OPEN_END)
        given = OPEN_TRUNCATED;
    else if (open->form != OPEN_BINARY && !base64_decode_finish(&open->text))
        given = OPEN_MALFORMED;
    else if (!open->raw)
        given = last_block(open, out);
    open_abort(open);
    return given;
}
