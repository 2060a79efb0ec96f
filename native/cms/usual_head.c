#include "usual_head.h"

enum {
    TAG_INTEGER = 0x02,
    TAG_OCTET_STRING = 0x04,
    TAG_SEQUENCE = 0x30,
    TAG_SET = 0x31,
    TAG_CONTEXT_0 = 0x80,
    TAG_CONSTRUCTED_0 = 0xa0,
    TAG_HIGH_NUMBER = 0x1f,
    LENGTH_LONG = 0x80,
    LENGTH_MOST = 4, /* octets of a length */
    IV = 16,
};

/* What is still to be read of an element. */
struct part {
    const uint8_t *at, *end;
};

static size_t left(const struct part *part)
{
    return (size_t)(part->end - part->at);
}

/* Passes these very octets. */
static bool pass(struct part *part, const uint8_t *octets, size_t len)
{
    if (left(part) < len || memcmp(part->at, octets, len))
        return false;
    part->at += len;
    return true;
}

#define PASS(part, octets) pass(part, octets, sizeof octets)

/* Passes a tag and a length; gives how many octets that has, of which not all need be there. */
static bool begin(struct part *part, uint8_t tag, uint64_t *len, bool *definite)
{
    if (left(part) < 2 || *part->at != tag)
        return false;
    size_t octets = part->at[1] & LENGTH_LONG ? part->at[1] & ~LENGTH_LONG : 0;
    *definite = part->at[1] != LENGTH_LONG;
    *len = octets ? 0 : part->at[1];
    part->at += 2;
    if (octets > LENGTH_MOST || octets > left(part))
        return false;
    for (; octets; octets--)
        *len = *len << 8 | *part->at++;
    return true;
}

/* Passes the beginning of an element that reaches beyond the head. */
static bool enter(struct part *part, uint8_t tag)
{
    uint64_t len;
    bool definite;

    return begin(part, tag, &len, &definite);
}

/* Takes an element that has its length, and gives its content. */
static bool take(struct part *part, uint8_t tag, struct part *content)
{
    uint64_t len;
    bool definite;

    if (!begin(part, tag, &len, &definite) || !definite || len > left(part))
        return false;
    *content = (struct part){part->at, part->at + len};
    part->at = content->end;
    return true;
}

/* Takes an element of any tag. */
static bool take_any(struct part *part)
{
    struct part content;
    const uint8_t tag = left(part) ? *part->at : 0;

    return tag && (tag & TAG_HIGH_NUMBER) != TAG_HIGH_NUMBER && take(part, tag, &content);
}

/* --- RecipientInfos --------------------------------------------------------------------------- */

static bool is_one_of(const struct part *name, bool key_identifier,
                      const struct recipient_names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        const struct recipient_name *own = &names->name[i];
        if (own->key_identifier == key_identifier && own->len == left(name)
            && !memcmp(own->octets, name->at, own->len))
            return true;
    }
    return false;
}

/* Takes IssuerAndSerialNumber, or [0] SubjectKeyIdentifier, and tells whether that is known. */
static bool take_name(struct part *info, const struct recipient_names *names, bool *ours)
{
    struct part name, rest, content;

    if (left(info) && *info->at == TAG_CONTEXT_0) {
        if (!take(info, TAG_CONTEXT_0, &name))
            return false;
        *ours = is_one_of(&name, true, names);
        return true;
    }
    if (!take(info, TAG_SEQUENCE, &name))
        return false;
    *ours = is_one_of(&name, false, names);
    rest = name;
    return take(&rest, TAG_SEQUENCE, &content) && take(&rest, TAG_INTEGER, &content)
           && !left(&rest);
}

/* Takes a KeyTransRecipientInfo, and tells whether it is for one of the names. */
static bool take_info(struct part *infos, const struct recipient_names *names,
                      struct usual_head *found, bool *ours)
{
    static const uint8_t rsa_encryption[] = {0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                             0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00};
    struct part info, version, key;

    if (!take(infos, TAG_SEQUENCE, &info) || !take(&info, TAG_INTEGER, &version)
        || !take_name(&info, names, ours) || !PASS(&info, rsa_encryption)
        || !take(&info, TAG_OCTET_STRING, &key) || left(&info))
        return false;
    found->encrypted_key = key.at;
    found->encrypted_key_len = left(&key);
    return true;
}

/* Finds the first for one of the names. All before must be usual too, since each is read on the
 * way; those behind it are only passed. */
static bool find_info(struct part infos, const struct recipient_names *names,
                      struct usual_head *found)
{
    bool ours = false;

    for (unsigned count = 0; left(&infos); count++)
        if (count == USUAL_MOST_INFOS
            || !(ours ? take_any(&infos) : take_info(&infos, names, found, &ours)))
            return false;
    return ours;
}

/* --- what is around them ---------------------------------------------------------------------- */

/* Takes id-aes128-CBC, id-aes192-CBC or id-aes256-CBC with an IV of 16 octets (RFC 3565 section
 * 4.1). */
static bool take_cipher(struct part *encrypted, struct usual_head *found)
{
    static const uint8_t up_to_size[] = {0x30, 0x1d, 0x06, 0x09, 0x60, 0x86,
                                         0x48, 0x01, 0x65, 0x03, 0x04, 0x01};
    static const uint8_t sizes[][3] = {{2, 0x04, IV}, {22, 0x04, IV}, {42, 0x04, IV}};

    if (!PASS(encrypted, up_to_size))
        return false;
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        if (!PASS(encrypted, sizes[i]))
            continue;
        found->key_len = 16 + 8 * i;
        found->iv = encrypted->at;
        return left(encrypted) >= IV;
    }
    return false;
}

bool usual_head_read(const uint8_t *head, size_t len, const struct recipient_names *names,
                     struct usual_head *found)
{
    static const uint8_t enveloped_data[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                             0xf7, 0x0d, 0x01, 0x07, 0x03};
    static const uint8_t data[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                   0xf7, 0x0d, 0x01, 0x07, 0x01};
    struct part all = {head, head + len}, version, infos;

    return enter(&all, TAG_SEQUENCE) && PASS(&all, enveloped_data)
           && enter(&all, TAG_CONSTRUCTED_0) && enter(&all, TAG_SEQUENCE)
           && take(&all, TAG_INTEGER, &version) && take(&all, TAG_SET, &infos)
           && find_info(infos, names, found) && enter(&all, TAG_SEQUENCE) && PASS(&all, data)
           && take_cipher(&all, found);
}
