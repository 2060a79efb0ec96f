/* What becomes of a mail that is sealed, told by the plainest means: field by field, octet by octet.
 * The rules are those of src/cmstream/mail/mime.py. All of the mail must be outside, inside or
 * body; but for MIME-Version, which the sealed mail has of its own. For sealed_mail.h. */
#ifndef CMSTREAM_PLAIN_MAIL_H
#define CMSTREAM_PLAIN_MAIL_H

#include "fuzz_tools.h"
#include "mail/header.h"

#include <strings.h>

enum { LONGEST_NAME = 998, MOST_MIME_FIELDS = 16, ABOVE_REACH = 4096, TYPE_REACH = 200 };

struct plain_mail {
    struct octets outside, inside;
    size_t fields_end, end;
    unsigned mime_fields;
    bool special, suspect; /* as header.h has them */
};

/* --- octets ------------------------------------------------------------------------------------ */

static bool is_blank(uint8_t octet)
{
    return octet == ' ' || octet == '\t';
}

/* Whether `text` stands there, in this case or in any. */
static bool stands(const struct octets *mail, size_t at, const char *text)
{
    const size_t len = strlen(text);
    return at <= mail->len && len <= mail->len - at && !memcmp(mail->at + at, text, len);
}

static bool stands_in_any_case(const struct octets *mail, size_t at, const char *text)
{
    const size_t len = strlen(text);
    return at <= mail->len && len <= mail->len - at
           && !strncasecmp((const char *)mail->at + at, text, len);
}

/* A bare line feed becomes CRLF (RFC 8551 section 3.1.1). */
static void append_canonical(struct octets *to, const uint8_t *from, size_t len)
{
    uint8_t last = 0;

    for (size_t i = 0; i < len; last = from[i++]) {
        if (from[i] == '\n' && last != '\r')
            append(to, (const uint8_t *)"\r", 1);
        append(to, from + i, 1);
    }
}

/* --- lines ------------------------------------------------------------------------------------- */

/* The first carriage return without a line feed: no header block goes on behind it. */
static size_t lone_return(const struct octets *mail)
{
    for (size_t i = 0; i < mail->len; i++)
        if (mail->at[i] == '\r' && !stands(mail, i, "\r\n"))
            return i;
    return mail->len;
}

static size_t next_line(const struct octets *mail, size_t at)
{
    while (at < mail->len && mail->at[at] != '\n')
        at++;
    return at < mail->len ? at + 1 : at;
}

/* The length of a field's name (RFC 5322 section 2.2) with blanks and a colon behind it; 0: none. */
static size_t name_at(const struct octets *mail, size_t at, size_t *colon)
{
    size_t end = at;

    while (end < mail->len && mail->at[end] >= '!' && mail->at[end] <= '~' && mail->at[end] != ':')
        end++;
    for (*colon = end; *colon < mail->len && is_blank(mail->at[*colon]);)
        ++*colon;
    if (!stands(mail, *colon, ":") || end - at > LONGEST_NAME || *colon - end > LONGEST_NAME)
        return 0;
    return end - at;
}

static size_t mark_at(const struct octets *mail, size_t at)
{
    return stands(mail, at, "\xef\xbb\xbf") ? 3 : 0;
}

/* --- above the fields -------------------------------------------------------------------------- */

static bool is_above(const struct octets *mail, size_t at)
{
    static const char banner[] = "Microsoft Mail Internet Headers Version 2.0";
    const size_t behind = at + sizeof banner - 1;
    size_t colon;

    if (stands(mail, at, banner))
        return stands(mail, behind, "\n") || stands(mail, behind, "\r\n");
    return (stands(mail, at, "From ") || stands(mail, at, ">From ")) && !name_at(mail, at, &colon);
}

/* Behind the lines above the fields, if a field follows. */
static size_t pass_above(struct plain_mail *plain, const struct octets *mail, size_t first)
{
    const size_t reach = min_size(lone_return(mail), ABOVE_REACH);
    size_t at = first, next, lines = 0, colon;

    for (; is_above(mail, at); at = next, lines++) {
        next = next_line(mail, at);
        if (next > reach || mail->at[next - 1] != '\n')
            break;
    }
    if (!lines || !name_at(mail, at + mark_at(mail, at), &colon))
        return first;
    plain->special |= lines > 1 || mail->at[first] != 'F';
    append_canonical(&plain->outside, mail->at + first, at - first);
    return at;
}

/* --- a field ----------------------------------------------------------------------------------- */

static bool is_encrypted_type(const struct octets *mail, size_t value)
{
    static const char *const kinds[] = {"pkcs7", "x-pkcs7", "cms", "octet-stream", "encrypted"};
    size_t at = value;

    while (at < mail->len && at - value <= TYPE_REACH && mail->at[at] != '/')
        at++;
    if (at - value > TYPE_REACH || !stands(mail, at, "/"))
        return false;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (stands_in_any_case(mail, at + 1, kinds[i]))
            return true;
    return false;
}

static bool says_binary(const struct octets *field, size_t at)
{
    for (; at < field->len; at++)
        if (field->at[at] == '(' || stands_in_any_case(field, at, "binary"))
            return true;
    return false;
}

static void put_field(struct plain_mail *plain, const struct octets *mail, size_t at, size_t end)
{
    const struct octets upto = {mail->at, end, 0};
    size_t colon;
    const size_t name = name_at(mail, at, &colon);
    const bool inside = stands_in_any_case(mail, at, "content-") && name >= 8;
    const bool version = name == 12 && stands_in_any_case(mail, at, "mime-version");
    struct octets *to = inside ? &plain->inside : &plain->outside;

    if (name == 12 && stands_in_any_case(mail, at, "content-type"))
        plain->suspect |= is_encrypted_type(mail, colon + 1);
    if ((inside || version) && ++plain->mime_fields > MOST_MIME_FIELDS)
        plain->special = true;
    else if (name == 25 && stands_in_any_case(mail, at, "content-transfer-encoding"))
        plain->special |= says_binary(&upto, colon);
    if (version)
        return;
    append_canonical(to, mail->at + at, end - at);
    if (mail->at[end - 1] != '\n')
        append(to, (const uint8_t *)"\r\n", 2);
}

/* --- the block --------------------------------------------------------------------------------- */

static struct plain_mail cut_plainly(const struct octets *mail)
{
    const size_t limit = lone_return(mail), mark = mark_at(mail, 0);
    struct plain_mail plain = {.special = mark};
    const size_t top = pass_above(&plain, mail, mark);
    size_t at = top, end, colon;

    for (; at < limit; at = end) {
        const size_t skip = at == mark ? 0 : mark_at(mail, at);
        if (!name_at(mail, at + skip, &colon))
            break;
        plain.special |= skip;
        for (end = next_line(mail, at); end < limit && is_blank(mail->at[end]);)
            end = next_line(mail, end);
        end = min_size(end, limit);
        put_field(&plain, mail, at + skip, end);
    }
    plain.fields_end = plain.end = at == mark ? 0 : at;
    plain.end += stands(mail, plain.end, "\n") ? 1 : stands(mail, plain.end, "\r\n") ? 2 : 0;
    append(&plain.inside, (const uint8_t *)"\r\n", 2);
    return plain;
}

static void forget_mail(struct plain_mail *plain)
{
    free(plain->outside.at);
    free(plain->inside.at);
}

#endif
