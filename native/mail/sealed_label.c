#include "sealed_label.h"

static bool is_blank(uint8_t octet)
{
    return octet == ' ' || octet == '\t';
}

static bool is_white(uint8_t octet)
{
    return is_blank(octet) || octet == '\r' || octet == '\n';
}

static uint8_t lower(uint8_t octet)
{
    return octet >= 'A' && octet <= 'Z' ? octet | 0x20 : octet;
}

struct text {
    const uint8_t *at, *end;
};

/* Passes a lower-case word, in whatever case. */
static bool pass(struct text *text, const char *word)
{
    const uint8_t *at = text->at;

    for (; *word; word++, at++)
        if (at == text->end || lower(*at) != (uint8_t)*word)
            return false;
    text->at = at;
    return true;
}

static bool is_pkcs7_mime(struct text value)
{
    while (value.at < value.end && is_white(*value.at))
        value.at++;
    return (pass(&value, "application/pkcs7-mime") || pass(&value, "application/x-pkcs7-mime"))
           && value.at < value.end && (is_white(*value.at) || *value.at == ';');
}

static bool is_base64(struct text value)
{
    while (value.at < value.end && is_blank(*value.at))
        value.at++;
    if (!pass(&value, "base64"))
        return false;
    while (value.at < value.end && is_white(*value.at))
        value.at++;
    return value.at == value.end;
}

/* A field of a longer value is left to Python, which reads no longer one. */
enum { LONGEST_FIELD = 1 << 10 };

bool sealed_label_is_plain(const uint8_t *message, const struct header *header)
{
    unsigned types = 0, encodings = 0;

    if (header->special || header->end == header->fields_end)
        return false;
    for (unsigned i = 0; i < header->field_count; i++) {
        const struct mime_field *field = &header->field[i];
        struct text text = {message + field->start, message + field->end};
        const bool is_type = pass(&text, "content-type");
        if (!is_type && !pass(&text, "content-transfer-encoding"))
            continue;
        if (text.at < text.end && !is_blank(*text.at) && *text.at != ':')
            continue; /* a longer name */
        if (text.at == text.end || *text.at++ != ':' || text.end - text.at > LONGEST_FIELD)
            return false;
        if (!(is_type ? is_pkcs7_mime(text) : is_base64(text)))
            return false;
        *(is_type ? &types : &encodings) += 1;
    }
    return types == 1 && encodings == 1;
}

/* Whether header fields may be protected, or there may be a MIME-Version: a word alone tells, which
 * may stand there for another reason. */
static bool has_word(const uint8_t *octets, size_t len)
{
    struct text text = {octets, octets + len};

    for (; text.at < text.end; text.at++) {
        const uint8_t first = lower(*text.at);
        if (first != 'h' && first != 'm' && first != 'p')
            continue;
        struct text word = text;
        if (pass(&word, "hp") || pass(&word, "mime-version") || pass(&word, "protected-headers"))
            return true;
    }
    return false;
}

bool sealed_entity_is_plain(const uint8_t *entity, size_t len)
{
    struct header header;

    return header_cut(entity, len, &header) && !header.special && header.end != header.fields_end
           && !has_word(entity, header.end);
}
