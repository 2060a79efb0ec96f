#include "header.h"

#include "canon.h"

/* A name's octets, and the blanks behind them, are no more than a line may have (RFC 5322 section
 * 2.1.1). */
enum { NAME_MOST = 998, CLAIM_REACH = 200 };

/* --- one line --------------------------------------------------------------------------------- */

static bool is_blank(uint8_t octet)
{
    return octet == ' ' || octet == '\t';
}

static bool is_space(uint8_t octet)
{
    return is_blank(octet) || octet == '\r' || octet == '\n';
}

/* Whether `len` octets begin with the lower-case `text`, in whatever case. */
static bool begins(const uint8_t *octets, size_t len, const char *text)
{
    for (; *text; text++, octets++, len--) {
        uint8_t lower = len && *octets >= 'A' && *octets <= 'Z' ? *octets | 0x20 : len ? *octets : 0;
        if (lower != (uint8_t)*text)
            return false;
    }
    return true;
}

/* The length of the name of the field that a line begins with, and where its colon is; 0 if it is
 * no field. */
static size_t field_name(const uint8_t *line, size_t len, size_t *colon)
{
    size_t name = 0, at;

    while (name < len && name <= NAME_MOST && line[name] > ' ' && line[name] < 0x7f
           && line[name] != ':')
        name++;
    for (at = name; at < len && at - name <= NAME_MOST && is_blank(line[at]); at++)
        ;
    if (at >= len || line[at] != ':' || name > NAME_MOST || at - name > NAME_MOST)
        return 0;
    *colon = at;
    return name;
}

static bool is_mbox_line(const uint8_t *line, size_t len)
{
    size_t quote = len && line[0] == '>';
    return len - quote >= 5 && !memcmp(line + quote, "From ", 5);
}

/* The line that Outlook puts above a header block. */
static bool is_banner(const uint8_t *line, size_t len)
{
    static const char banner[] = "Microsoft Mail Internet Headers Version 2.0";
    size_t size = sizeof banner - 1;

    if (len < size || memcmp(line, banner, size))
        return false;
    size += len > size && line[size] == '\r';
    return len > size && line[size] == '\n';
}

/* The length of a byte order mark that a line begins with. */
static size_t mark_len(const uint8_t *line, size_t len)
{
    return len >= 3 && !memcmp(line, "\xef\xbb\xbf", 3) ? 3 : 0;
}

/* Where the line ends: behind its line feed, or in front of a carriage return that has none, which
 * some readers take for a line end and others don't: `cut` tells. */
static size_t line_end(const uint8_t *message, size_t len, size_t reach, size_t at, bool *cut)
{
    const uint8_t *feed = memchr(message + at, '\n', reach - at);
    size_t end = feed ? (size_t)(feed - message) + 1 : reach;
    const uint8_t *lone = memchr(message + at, '\r', end - at);

    *cut = lone && (lone + 1 == message + len || lone[1] != '\n');
    return *cut ? (size_t)(lone - message) : end;
}

/* --- fields that tell something --------------------------------------------------------------- */

/* Whether a Content-Type may be that of an encrypted message, by its subtype. */
static bool may_be_encrypted(const uint8_t *value, size_t len)
{
    const uint8_t *slash = memchr(value, '/', min_size(len, CLAIM_REACH + 1));

    if (!slash)
        return false;
    size_t rest = len - (size_t)(slash + 1 - value);
    slash++;
    return begins(slash, rest, "pkcs7") || begins(slash, rest, "x-pkcs7")
           || begins(slash, rest, "cms") || begins(slash, rest, "octet-stream")
           || begins(slash, rest, "encrypted");
}

/* Whether a Content-Transfer-Encoding may be binary: it says so, or has a comment to be skipped. */
static bool may_be_binary(const uint8_t *value, size_t len)
{
    for (; len; value++, len--)
        if (*value == '(' || begins(value, len, "binary"))
            return true;
    return false;
}

/* --- the block -------------------------------------------------------------------------------- */

/* Notes a field that doesn't simply stay outside. The value reaches to the end of the message,
 * since a glance at it may cross the next line end. */
static void note(struct header *header, const uint8_t *message, size_t len, size_t start,
                 size_t name, size_t colon)
{
    const uint8_t *line = message + start;
    bool inside = begins(line, name, "content-");

    if (!inside && !(name == 12 && begins(line, name, "mime-version")))
        return;
    if (name == 12 && begins(line, name, "content-type"))
        header->suspect |= may_be_encrypted(line + colon + 1, len - start - colon - 1);
    if (header->field_count == HEADER_MOST) {
        header->special = true;
        return;
    }
    header->field[header->field_count++] = (struct mime_field){
        .start = (uint32_t)start,
        .inside = inside,
    };
}

static void end_field(struct header *header, const uint8_t *message, size_t at)
{
    static const char name[] = "content-transfer-encoding";
    struct mime_field *field = header->field + header->field_count;
    size_t colon = 0;

    if (!header->field_count || (--field)->end)
        return;
    field->end = (uint32_t)at;
    const uint8_t *line = message + field->start;
    size_t len = at - field->start;
    if (field->inside && field_name(line, len, &colon) == sizeof name - 1
        && begins(line, len, name))
        header->special |= may_be_binary(line + colon, len - colon);
}

/* The length of the fields when every line, also the last one, ends in CRLF. */
static void measure(struct header *header, const uint8_t *message)
{
    uint8_t last = 0;
    size_t len = header->fields_end;
    size_t bare = canon_count(message, len, &last), inside = 0, dropped = 0;
    bool open = len && message[len - 1] != '\n';

    header->canonical = !bare && !open;
    for (unsigned i = 0; i < header->field_count; i++) {
        const struct mime_field *field = &header->field[i];
        size_t octets = field->end - field->start;
        if (!header->canonical) {
            last = 0;
            octets += canon_count(message + field->start, octets, &last);
            octets += open && field->end == len ? 2 : 0;
        }
        *(field->inside ? &inside : &dropped) += octets;
    }
    const size_t all = len + bare + (open ? 2 : 0), gone = inside + dropped;
    header->outside_len = all > gone ? all - gone : 0; /* somebody may change the message meanwhile */
    header->inside_len = inside + 2;
}

/* Whether a line may stand above all fields; one that is a field itself doesn't. */
static bool is_above(const uint8_t *line, size_t len)
{
    size_t colon;

    return is_banner(line, len) || (is_mbox_line(line, len) && !field_name(line, len, &colon));
}

/* Where the lines above the fields end. They count only where a field follows: else it is `at`, as
 * they may be somebody's text. */
static size_t above_end(struct header *header, const uint8_t *message, size_t len, size_t at)
{
    size_t reach = min_size(len, ABOVE_LIMIT), end = at, lines = 0, next, colon;
    bool cut;

    for (; end < reach && is_above(message + end, len - end); end = next, lines++) {
        next = line_end(message, len, reach, end, &cut);
        if (cut || message[next - 1] != '\n')
            return at;
    }
    if (!lines)
        return at;
    size_t field = end + mark_len(message + end, len - end);
    if (!field_name(message + field, len - field, &colon))
        return at;
    header->special |= lines > 1 || message[at] != 'F';
    return end;
}

/* Walks over the fields, and gives where the walk ends. */
static size_t walk_fields(struct header *header, const uint8_t *message, size_t len, size_t reach)
{
    const size_t mark = mark_len(message, reach), top = above_end(header, message, len, mark);
    size_t at = top, colon = 0, next;
    bool cut = false;

    for (; at < reach && !cut; at = next) {
        next = line_end(message, len, reach, at, &cut);
        if (at > top && is_blank(message[at]))
            continue;
        size_t skip = at == mark ? 0 : mark_len(message + at, reach - at);
        size_t name = field_name(message + at + skip, len - at - skip, &colon);
        end_field(header, message, at);
        if (!name)
            break;
        header->special |= skip > 0;
        note(header, message, len, at + skip, name, colon);
    }
    header->special |= mark > 0;
    at = at == mark ? 0 : at; /* without a field behind it the mark is text */
    end_field(header, message, at);
    return at;
}

bool header_cut(const uint8_t *message, size_t len, struct header *header)
{
    header->field_count = 0;
    header->suspect = header->special = false;
    size_t at = walk_fields(header, message, len, min_size(len, HEADER_LIMIT + 1));
    header->fields_end = header->end = at;
    if (at < len && message[at] == '\n')
        header->end = at + 1;
    else if (at + 1 < len && message[at] == '\r' && message[at + 1] == '\n')
        header->end = at + 2;
    measure(header, message);
    return header->end <= HEADER_LIMIT;
}

/* --- writing ---------------------------------------------------------------------------------- */

/* Room for output; `at` becomes NULL when the room is too small. */
struct room {
    uint8_t *at, *end;
};

static void write_octets(struct room *room, const uint8_t *octets, size_t len)
{
    if (!room->at || len > (size_t)(room->end - room->at)) {
        room->at = NULL;
        return;
    }
    memcpy(room->at, octets, len);
    room->at += len;
}

static void write_lines(const uint8_t *message, const struct header *header, size_t start,
                        size_t end, struct room *room)
{
    uint8_t canonical[512], last = 0;

    if (header->canonical) {
        write_octets(room, message + start, end - start);
        return;
    }
    for (size_t part; start < end; start += part) {
        part = min_size(end - start, sizeof canonical / 2);
        write_octets(room, canonical, canon_copy(message + start, part, &last, canonical));
        if (start + part == end && last != '\n')
            write_octets(room, (const uint8_t *)"\r\n", 2);
    }
    wipe(canonical, sizeof canonical);
}

bool header_outside(const uint8_t *message, const struct header *header, uint8_t *out)
{
    struct room room = {out, out + header->outside_len};
    size_t kept = 0;

    for (unsigned i = 0; i < header->field_count; i++) {
        write_lines(message, header, kept, header->field[i].start, &room);
        kept = header->field[i].end;
    }
    write_lines(message, header, kept, header->fields_end, &room);
    return room.at == room.end;
}

bool header_inside(const uint8_t *message, const struct header *header, uint8_t *out)
{
    struct room room = {out, out + header->inside_len};

    for (unsigned i = 0; i < header->field_count; i++)
        if (header->field[i].inside)
            write_lines(message, header, header->field[i].start, header->field[i].end, &room);
    write_octets(&room, (const uint8_t *)"\r\n", 2);
    return room.at == room.end;
}

/* --- the body --------------------------------------------------------------------------------- */

bool header_armoured(const uint8_t *body, size_t len)
{
    static const char armour[] = "-----BEGIN PGP MESSAGE-----", encoded[] = "LS0tLS1CRUdJTiBQR1Ag";

    for (; len && is_space(*body); len--)
        body++;
    return (len >= sizeof armour - 1 && !memcmp(body, armour, sizeof armour - 1))
           || (len >= sizeof encoded - 1 && !memcmp(body, encoded, sizeof encoded - 1));
}
