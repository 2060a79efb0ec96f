#include "ber.h"

enum {
    TAG_OCTET_STRING = 0x04,
    TAG_CONSTRUCTED = 0x20,
    TAG_HIGH_NUMBER = 0x1f, /* more octets of tag follow: nothing here has them */
    LENGTH_INDEFINITE = 0x80,
    LENGTH_RESERVED = 0xff,
};

static const uint64_t unknown = UINT64_MAX;

enum state { STATE_TAG, STATE_LENGTH, STATE_LENGTH_OCTETS, STATE_INSIDE };

/* What must come in order, and at which depth. */
enum place {
    START,
    INFO,
    TYPE,
    WRAPPER,
    ENVELOPED,
    VERSION,
    ORIGINATOR,
    RECIPIENTS,
    ENCRYPTED,
    KIND,
    CIPHER,
    CONTENT,
    ATTRIBUTES,
    MAC,
    LAST,
};

/* An element that may follow the places from `first` to `last`. */
struct rule {
    uint8_t tag, depth, first, last, place;
    bool free; /* what is in it is no concern of the walk */
};

static const struct rule rules[] = {
    {0x30, 0, START, START, INFO, false},
    {0x06, 1, INFO, INFO, TYPE, false},
    {0xa0, 1, TYPE, TYPE, WRAPPER, false},
    {0x30, 2, WRAPPER, WRAPPER, ENVELOPED, false},
    {0x02, 3, ENVELOPED, ENVELOPED, VERSION, false},
    {0xa0, 3, VERSION, VERSION, ORIGINATOR, true},
    {0x31, 3, VERSION, ORIGINATOR, RECIPIENTS, true},
    {0x30, 3, RECIPIENTS, RECIPIENTS, ENCRYPTED, false},
    {0x06, 4, ENCRYPTED, ENCRYPTED, KIND, false},
    {0x30, 4, KIND, KIND, CIPHER, true},
    {0x80, 4, CIPHER, CIPHER, CONTENT, false},
    {0xa0, 4, CIPHER, CIPHER, CONTENT, false},
    {0xa1, 3, CONTENT, CONTENT, ATTRIBUTES, true},
    {0x04, 3, CONTENT, ATTRIBUTES, MAC, false},
    {0xa2, 3, MAC, MAC, LAST, true},
};

enum { RULES = sizeof rules / sizeof rules[0] };

void ber_begin(struct ber *ber)
{
    *ber = (struct ber){.state = STATE_TAG, .place = START};
    ber->end[0] = ber->limit[0] = INT64_MAX;
}

static bool in_content(const struct ber *ber)
{
    return ber->place == CONTENT && ber->depth > ber->content_depth;
}

/* Whether an element of this tag may stand here. */
static int admit(struct ber *ber)
{
    if (in_content(ber))
        return (ber->tag & ~TAG_CONSTRUCTED) == TAG_OCTET_STRING ? 0 : BER_MALFORMED;
    if (ber->free_depth && ber->depth >= ber->free_depth)
        return 0;
    for (const struct rule *rule = rules; rule < rules + RULES; rule++) {
        if (rule->tag != ber->tag || rule->depth != ber->depth || ber->place < rule->first
            || ber->place > rule->last)
            continue;
        ber->place = rule->place;
        ber->free_depth = rule->free ? ber->depth + 1 : 0;
        if (ber->place == CONTENT)
            ber->content_depth = ber->depth;
        return 0;
    }
    return BER_MALFORMED;
}

/* The end of the innermost element around. Of those that come in order, none may end before the
 * content has come, but for the one that may be without. */
static int leave(struct ber *ber)
{
    const bool is_free = ber->free_depth && ber->depth >= ber->free_depth;

    if (!is_free && ber->place == CIPHER) { /* the end of EncryptedContentInfo */
        ber->place = CONTENT;
        ber->content_depth = ber->depth;
        ber->absent = true;
    }
    if (!is_free && ber->place < CONTENT)
        return BER_MALFORMED;
    if (ber->depth == ber->free_depth)
        ber->free_depth = 0;
    ber->depth--;
    return 0;
}

/* Into an element that has others inside, or to the octets of one that hasn't. */
static int enter(struct ber *ber, bool definite)
{
    const bool constructed = ber->tag & TAG_CONSTRUCTED;
    const uint64_t limit = ber->limit[ber->depth];

    if (definite && ber->length > limit - ber->at)
        return BER_MALFORMED;
    if (!definite && !constructed)
        return BER_MALFORMED;
    int error = admit(ber);
    if (error)
        return error;
    ber->state = STATE_TAG;
    if (!constructed) {
        ber->left = ber->length;
        ber->state = STATE_INSIDE;
        return 0;
    }
    if (ber->depth == BER_MOST_DEPTH)
        return BER_TOO_DEEP;
    ber->depth++;
    ber->end[ber->depth] = definite ? ber->at + ber->length : unknown;
    ber->limit[ber->depth] = definite ? ber->at + ber->length : limit;
    ber->indefinite |= !definite;
    return 0;
}

static int read_length_octet(struct ber *ber, uint8_t octet)
{
    if (ber->length >> 55)
        return BER_MALFORMED; /* beyond 2^63 */
    ber->length = ber->length << 8 | octet;
    return --ber->length_octets ? 0 : enter(ber, true);
}

static int read_length(struct ber *ber, uint8_t octet)
{
    ber->length = 0;
    if (!ber->tag) { /* end-of-contents octets */
        if (octet || ber->end[ber->depth] != unknown)
            return BER_MALFORMED;
        ber->state = STATE_TAG;
        return leave(ber);
    }
    if (octet == LENGTH_INDEFINITE)
        return enter(ber, false);
    if (octet == LENGTH_RESERVED)
        return BER_MALFORMED;
    if (octet < LENGTH_INDEFINITE) {
        ber->length = octet;
        return enter(ber, true);
    }
    ber->length_octets = octet & ~LENGTH_INDEFINITE;
    ber->state = STATE_LENGTH_OCTETS;
    return 0;
}

static int read_octet(struct ber *ber, uint8_t octet)
{
    ber->at++;
    if (ber->state == STATE_LENGTH_OCTETS)
        return read_length_octet(ber, octet);
    if (ber->state == STATE_LENGTH)
        return read_length(ber, octet);
    if ((octet & TAG_HIGH_NUMBER) == TAG_HIGH_NUMBER)
        return BER_MALFORMED;
    ber->tag = octet;
    ber->state = STATE_LENGTH;
    return 0;
}

/* Whether the element around the encrypted content has ended just now. */
static bool comes_behind(struct ber *ber)
{
    const bool over = !ber->behind && ber->place >= CONTENT && ber->depth < ber->content_depth;

    ber->behind |= over;
    return over;
}

/* Passes octets of an element without others inside; whether they are content. */
static bool pass(struct ber *ber, const uint8_t **in, const uint8_t *in_end, size_t *run)
{
    const size_t there = (size_t)(in_end - *in);

    *run = ber->left < there ? (size_t)ber->left : there;
    ber->left -= *run;
    ber->at += *run;
    *in += *run;
    if (!ber->left)
        ber->state = STATE_TAG;
    return ber->place == CONTENT && ber->depth >= ber->content_depth;
}

/* Leaves every element that ends here by its length. */
static int leave_ended(struct ber *ber)
{
    int error = 0;

    while (!error && ber->depth && ber->at == ber->end[ber->depth])
        error = leave(ber);
    return error;
}

int ber_walk(struct ber *ber, const uint8_t **in, const uint8_t *in_end, size_t *run)
{
    for (;;) {
        if (ber->state == STATE_INSIDE && (ber->left ? *in < in_end : true)) {
            if (pass(ber, in, in_end, run) && *run)
                return BER_RUN;
            continue;
        }
        const unsigned before = ber->place;
        int error = ber->state == STATE_TAG ? leave_ended(ber) : 0;
        if (error)
            return error;
        if (before != CONTENT && ber->place == CONTENT)
            return BER_CONTENT;
        if (ber->state == STATE_TAG && !ber->depth && ber->place > START)
            return BER_END;
        if (comes_behind(ber))
            return BER_BEHIND;
        /* An element around without a length can't go beyond one that has its. */
        if (ber->at == ber->limit[ber->depth])
            return BER_MALFORMED;
        if (*in == in_end)
            return BER_MORE;
        error = read_octet(ber, *(*in)++);
        if (error)
            return error;
        if (before != CONTENT && ber->place == CONTENT)
            return BER_CONTENT;
    }
}
