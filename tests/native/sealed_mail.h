/* How a mail is sealed, which the first octets of an input tell; and what must have come out. For
 * fuzz_message.c and fuzz_single.c. */
#ifndef CMSTREAM_SEALED_MAIL_H
#define CMSTREAM_SEALED_MAIL_H

#define _GNU_SOURCE /* memmem */
#include "core.h"
#include "plain_mail.h"

enum { CONTROLS = 6, MOST_JOBS = 5, MOST_PIECES = 500 };

static const char entity[] = "MIME-Version: 1.0\r\nContent-Type: application/pkcs7-mime\r\n\r\n";
static const char auth_entity[] = "Content-Type: application/pkcs7-mime; x=y\r\n\r\n";
static const char closing[] = "-- \r\n";

/* --- how a message is sealed: the first octets of the input tell ------------------------------- */

struct plan {
    uint32_t mask, random;
    unsigned flags; /* of a stream */
    unsigned jobs;
    bool count, some_first; /* not all of it is there when the stream begins */
    size_t piece;
    struct seal_form form;
    struct seal_to to;
};

static struct plan read_plan(const uint8_t control[CONTROLS], size_t len)
{
    static const unsigned flags[] = {SEAL_CANON, SEAL_STRICT, SEAL_OPEN | SEAL_CANON, 0};
    static uint8_t infos[256];
    const size_t infos_len = 2 + (control[1] & 0x7f);

    const bool base64 = !(control[2] & 0x10);
    const unsigned wanted = flags[control[0] >> 3 & 3];

    infos[0] = 0x04;
    infos[1] = (uint8_t)(infos_len - 2);
    return (struct plan){
        .mask = masks[control[0] & 7],
        .flags = wanted == SEAL_STRICT && !base64 ? SEAL_CANON : wanted, /* it goes with base64 */
        .jobs = 1 + control[0] % MOST_JOBS,
        .count = control[0] & 0x40,
        .some_first = control[0] & 0x80,
        .piece = ((size_t)1 << (control[2] & 15)) + len / MOST_PIECES,
        .random = control[3],
        .to = {
            .infos = infos,
            .infos_len = infos_len,
            .key_len = control[1] & 0x80 ? 16 : 32,
            .mode = MODE_CBC,
        },
        .form = {
            .before = (const uint8_t *)entity,
            .before_len = sizeof entity - 1,
            .auth_before = (const uint8_t *)auth_entity,
            .auth_before_len = sizeof auth_entity - 1,
            .after = (const uint8_t *)closing,
            .after_len = control[2] & 0x20 ? sizeof closing - 1 : 0,
            .flags = SEAL_MESSAGE | (base64 ? SEAL_BASE64 : 0),
        },
    };
}

static struct octets read_mail(const uint8_t *control, const uint8_t *in, size_t len, size_t most)
{
    return repeated(in, len, (size_t)1 << (control[4] & 15), control[5], most);
}

static void set_key(struct content_key *key, unsigned len)
{
    memcpy(key->key, secret, sizeof key->key);
    memcpy(key->iv, iv, sizeof key->iv);
    key->key_len = len;
}

/* The header fields of the S/MIME entity. */
static struct octets entity_fields(const struct plan *plan)
{
    const struct seal_form *form = &plan->form;

    if (plan->to.mode == MODE_CBC)
        return (struct octets){(uint8_t *)form->before, form->before_len, 0};
    return (struct octets){(uint8_t *)form->auth_before, form->auth_before_len, 0};
}

/* Cuts a header block that isn't C's to cut; `outside` must stay until the message is sealed. */
static void bring_head(const struct plan *plan, struct seal_job *job, struct octets *outside,
                       const struct plain_mail *plain)
{
    const struct octets fields = entity_fields(plan);

    append(outside, plain->outside.at, plain->outside.len);
    append(outside, fields.at, fields.len);
    CHECK(seal_bring_head(job, outside->at, outside->len, plain->inside.at, plain->inside.len,
                          SEAL_CANON | (plan->count ? SEAL_COUNT : 0)) > 0);
}

/* --- a sealed message -------------------------------------------------------------------------- */

/* As RFC 4648 has it, in lines of 64 characters; over `text` there may be nothing else. */
static struct octets from_lines(const struct octets *text)
{
    struct octets octets = {0}, again = {0};
    bool complete;

    CHECK(decode_plainly(text, &octets, &complete) == text->len && complete);
    for (size_t i = 0; i < octets.len; i += 3) {
        append_group(&again, octets.at + i, min_size(octets.len - i, 3));
        if (i % 48 == 45 || octets.len - i <= 3)
            append(&again, (const uint8_t *)"\r\n", 2);
    }
    CHECK(equal(&again, text));
    free(again.at);
    return octets;
}

static bool passes(struct octets *rest, const struct octets *part)
{
    const bool there = begins(rest, part);

    rest->at += there ? part->len : 0;
    rest->len -= there ? part->len : 0;
    return there;
}

/* The CMS within a sealed message; what stands around it is as it should be. */
static struct octets cms_of(const struct plan *plan, const struct octets *sealed,
                            const struct octets *outside)
{
    const size_t after = plan->form.after_len;
    const struct octets fields = entity_fields(plan);
    struct octets rest = *sealed, cms = {0};

    CHECK(passes(&rest, outside) && passes(&rest, &fields));
    CHECK(rest.len > after);
    rest.len -= after;
    CHECK(!memcmp(rest.at + rest.len, closing, after));
    if (plan->form.flags & SEAL_BASE64)
        return from_lines(&rest);
    append(&cms, rest.at, rest.len);
    return cms;
}

/* In AES-CBC with the secret key; in the other modes, for which a target copies, nothing is
 * encrypted, and the tag is the secret's beginning. */
static void uncover(const struct plan *plan, struct outcome *opened, const struct octets *content)
{
    static const uint8_t tag[] = {0x04, DER_TAG};

    if (plan->to.mode == MODE_CBC) {
        CHECK(opened->content.len == content->len / AES_BLOCK * AES_BLOCK + AES_BLOCK);
        decipher(opened, plan->to.key_len, iv);
    } else {
        CHECK(opened->tail.len == sizeof tag + DER_TAG);
        CHECK(!memcmp(opened->tail.at, tag, sizeof tag)
              && !memcmp(opened->tail.at + sizeof tag, secret, DER_TAG));
    }
}

static void check_sealed(const struct plan *plan, bool open, const struct octets *sealed,
                         const struct octets *outside, const struct octets *content)
{
    struct octets cms = cms_of(plan, sealed, outside);
    struct outcome opened = open_plainly(&cms, OPEN_BINARY, SIZE_MAX / 2, SIZE_MAX / 2);

    CHECK(!opened.error && opened.is_ber == open);
    CHECK(memmem(opened.head.at, opened.head.len, plan->to.infos, plan->to.infos_len));
    uncover(plan, &opened, content);
    CHECK(!opened.error && equal(&opened.content, content));
    forget(&opened);
    free(cms.at);
}

/* What must have been encrypted. */
static struct octets content_of(const struct octets *mail, const struct octets *inside, size_t end,
                                bool canonical)
{
    struct octets content = {0};

    append(&content, inside->at, inside->len);
    (canonical ? append_canonical : append)(&content, mail->at + end, mail->len - end);
    return content;
}

static size_t bare_in_body(const struct octets *mail, size_t end)
{
    const struct octets nothing = {0};
    struct octets body = content_of(mail, &nothing, end, true);
    const size_t more = body.len - (mail->len - end);

    free(body.at);
    return more;
}

/* What a message of known length must have become in `out`, which has room for `total` octets.
 * A bare line feed that wasn't counted may be seen too late. */
static void check_written(const struct plan *plan, const struct octets *mail,
                          const struct plain_mail *plain, const uint8_t *out, int64_t total,
                          int64_t written)
{
    const struct octets sealed = {(uint8_t *)out, (size_t)total, 0};
    struct octets content = content_of(mail, &plain->inside, plain->end, true);

    if (written == SEAL_BARE_LF)
        CHECK(!plan->count && bare_in_body(mail, plain->end));
    else
        CHECK(written == total);
    if (written >= 0)
        check_sealed(plan, false, &sealed, &plain->outside, &content);
    free(content.at);
}

static bool armoured(const struct octets *mail, size_t at)
{
    while (at < mail->len && mail->at[at] && strchr(" \t\r\n", mail->at[at]))
        at++;
    return stands(mail, at, "-----BEGIN PGP MESSAGE-----")
           || stands(mail, at, "LS0tLS1CRUdJTiBQR1Ag");
}

/* Whether it may be encrypted already. */
static bool needs_look(const struct octets *mail, const struct plain_mail *plain)
{
    return plain->suspect || armoured(mail, plain->end);
}

#endif
