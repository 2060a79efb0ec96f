/* What Python may call. Everything between the two marks is read by build.py. */
#ifndef CMSTREAM_CORE_H
#define CMSTREAM_CORE_H

#include "base64/base64.h"
#include "mail/canon.h"
#include "aes/cbc.h"
#include "cpu.h"
#include "cms/der.h"
#include "mail/header.h"
#include "mail/lines.h"
#include "rsa/rsa.h"

/* [python] */
/* A content-encryption key with its IV. Secret. */
struct content_key {
    uint8_t key[32];
    uint8_t iv[16];
    unsigned key_len; /* 16 or 32; for decryption 24 too */
};

enum seal_flag {
    SEAL_BASE64 = 1, /* lines of base64 instead of octets */
    SEAL_CANON = 2,  /* a bare LF of the content becomes CRLF */
    SEAL_STRICT = 4, /* a bare LF of the content is an error; with SEAL_BASE64, without SEAL_OPEN */
    SEAL_OPEN = 8,   /* size unknown: indefinite lengths and segments */
    SEAL_MESSAGE = 16, /* of many: an RFC 5322 message, whose header block is to be cut */
    SEAL_COUNT = 32,   /* of many: count all line feeds, though the first ones have a CR */
};

enum seal_error {
    SEAL_NO_ROOM = -1,  /* the capacity is less than what may come */
    SEAL_TOO_MUCH = -2, /* more content than was promised */
    SEAL_TOO_LITTLE = -3,
    SEAL_BARE_LF = -4,
    SEAL_STATE = -5, /* not begun, finished, or failed before */
    SEAL_TOO_LARGE = -6, /* a length beyond 2^63 */
    SEAL_NO_HEADER_END = -7, /* a header block beyond HEADER_LIMIT */
    SEAL_ALONE = -8,     /* of many: it goes another way, or has too long fields to go inside */
    SEAL_NO_RANDOM = -9, /* the operating system's generator gave nothing */
    SEAL_CHANGED = -10,  /* of many: the message isn't what it was in seal_survey */
};

/* What is known before the first octet of content. Nothing of it is kept by the stream. */
struct seal_plan {
    const uint8_t *before; /* text in front, given out as it stands */
    size_t before_len;
    const uint8_t *infos; /* the encoded RecipientInfos, without the SET's tag and length */
    size_t infos_len;
    size_t after_len;     /* text that seal_finish will put at the end */
    uint64_t content_len; /* octets of content after canonicalisation, unless SEAL_OPEN */
    unsigned version;     /* CMSVersion of the EnvelopedData */
    unsigned mode;        /* enum frame_mode; all but MODE_CBC without SEAL_CANON and SEAL_STRICT */
    unsigned flags;       /* enum seal_flag */
};

/* Where an encrypted key belongs in the RecipientInfos. */
struct key_slot {
    size_t at;
    const struct rsa_key *key;
    unsigned padding; /* enum rsa_padding */
};

/* Everybody that a message goes to, prepared once. Without key_slots each message brings its own
 * RecipientInfos, of the same length. */
struct seal_to {
    const uint8_t *infos; /* encoded, zeros where the encrypted keys belong */
    size_t infos_len;
    const struct key_slot *key_slots;
    unsigned key_slot_count;
    unsigned version; /* CMSVersion of the EnvelopedData */
    unsigned key_len; /* 16 or 32: the cipher */
    unsigned alone;   /* whether these messages can't be among many: SEAL_ALONE */
};

/* One message on its way: content in, its EnvelopedData out. Of another mode than MODE_CBC the
 * ciphertext comes in, which somebody else has made with the stream's key and nonce, and
 * AuthEnvelopedData goes out. The caller owns it; it may be used by one thread at a time. Any error
 * but SEAL_NO_ROOM is for good: what came before stays incomplete. */
struct seal;

/* Makes a stream of memory that may hold anything, with a fresh key of 16 or 32 octets and an IV
 * from the operating system's generator. 0, or -1 if that gave nothing. */
int seal_init(struct seal *seal, unsigned key_len);

/* Where the stream keeps its key until seal_begin expands it, and wipes it. */
struct content_key *seal_key(struct seal *seal);

/* Encrypts the stream's key to everybody: writes to->infos_len octets of RecipientInfos. 0, or -1 if
 * the operating system's generator gave nothing. */
int seal_wrap(struct seal *seal, const struct seal_to *to, uint8_t *infos);

/* All octets that the whole message comes to; of an open one, only what seal_begin writes. */
int64_t seal_total(const struct seal_plan *plan);

/* Each gives the number of octets written to `out`, or an enum seal_error. seal_begin writes what
 * stands in front of the content; seal_finish the last block, all that was held back, the `tag` of
 * DER_TAG octets that all modes but MODE_CBC have, and the text `after`; both it and seal_abort wipe
 * every secret. */
int64_t seal_begin(struct seal *seal, const struct seal_plan *plan, uint8_t *out, size_t cap);
int64_t seal_update(struct seal *seal, const uint8_t *in, size_t len, uint8_t *out, size_t cap);
int64_t seal_finish(struct seal *seal, const uint8_t *tag, const uint8_t *after, size_t after_len,
                    uint8_t *out, size_t cap);
void seal_abort(struct seal *seal);

/* Asks the system for large pages below a large buffer that nobody has touched yet: a hint, which
 * saves most of the page faults that would take as long as the encryption itself. */
void expect_large(uint8_t *fresh, size_t len);

/* The most that seal_update may write for `len` octets, in any number of calls but of MODE_CBC, and
 * the most that seal_finish may write before its text; UINT64_MAX where no memory is that large. */
uint64_t seal_update_bound(const struct seal *seal, size_t len);
uint64_t seal_finish_bound(const struct seal *seal);

size_t canon_count(const uint8_t *in, size_t len, uint8_t *last);
size_t canon_copy(const uint8_t *in, size_t len, uint8_t *last, uint8_t *out);

/* How messages come out. */
struct seal_form {
    const uint8_t *before, *after; /* texts around; of a message, what follows the outer fields */
    size_t before_len, after_len;
    unsigned flags; /* SEAL_BASE64, SEAL_MESSAGE */
};

/* Many messages: of each its octets, how many, and its recipients. */
struct seal_inputs {
    const uint8_t *const *data;
    const size_t *len;
    const struct seal_to *const *to;
    size_t count;
};

/* One of them on its way. */
struct seal_job {
    const uint8_t *data;
    size_t len;
    const struct seal_to *to;

    /* What seal_survey finds. */
    const struct seal_form *form;
    struct header header;
    struct seal_plan plan;
    struct content_key key; /* secret */
    bool suspect;           /* may be encrypted already */
    int64_t total;          /* octets that will come out, or an enum seal_error */

    /* What seal_many takes and gives. */
    const uint8_t *infos; /* this message's own RecipientInfos, where there are no key_slots */
    uint8_t *out;
    int64_t written; /* `total`, or an enum seal_error: then `out` holds nothing of use */
};

/* the slots of the messages under way. Any memory will do; one call at a time may use it. */
struct seal_slots;

/* Looks at each message: header block, line feeds, lengths; and makes its key. `totals` are then
 * those of the jobs. Gives whether one is suspect or has an error. `flags` may have SEAL_COUNT. */
bool seal_survey(struct seal_job *jobs, const struct seal_inputs *inputs,
                 const struct seal_form *form, unsigned flags, int64_t *totals);

/* Seals all that seal_survey has found good into outs[i], which has room for `total` octets, or is
 * NULL for one that is left out; never beyond that, even if somebody changes a message meanwhile. As
 * many at once as the kernels take, the first ones first; wipes the keys, and what was plaintext in
 * `slots`. `infos` has room for the RecipientInfos of all those with key slots. Gives how many
 * failed. */
size_t seal_many(struct seal_job *jobs, uint8_t *const outs[], size_t count, uint8_t *infos,
                 struct seal_slots *slots);

/* Wipes the keys of messages that won't be sealed. */
void seal_forget(struct seal_job *jobs, size_t count);

/* The kernels that this build has and this machine allows, best first: NULL past the last. */
const char *aes_name(unsigned index);
const char *base64_name(unsigned index);
/* Whether row `index` gives its known answers. */
bool aes_check(unsigned index);
bool base64_check(unsigned index);

/* Bare pieces, for measuring and for tests: whole blocks of CBC, of one message or of as many as
 * are under way at once, one behind the other; whole lines of base64. */
void cbc_bare(const struct content_key *key, const uint8_t *in, size_t blocks, uint8_t *out);
void cbc_bare_wide(const struct content_key *key, const uint8_t *in, size_t blocks, unsigned lanes,
                   uint8_t *out);
void cbc_bare_decrypt(const struct content_key *key, const uint8_t *in, size_t blocks,
                      uint8_t *out);
void base64_bare(const uint8_t *in, size_t lines, uint8_t *out);
/* [end] */

enum {
    SEAL_STEP = 16 << 10,    /* input taken at a time: it and what it becomes stay in the cache */
    SEAL_SEGMENT = 16 << 10, /* ciphertext in one OCTET STRING segment */
};

struct seal {
    /* Secret. */
    struct content_key key;
    struct cbc cbc;
    uint8_t text[2 * SEAL_STEP]; /* content made canonical */

    /* Not secret. */
    /* Ciphertext on its way to base64, behind what that carried over, or into a segment. */
    uint8_t run[BASE64_LINE_IN + AES_BLOCK + SEAL_SEGMENT];
    size_t run_len;
    struct base64 base64;
    struct frame frame;
    uint8_t *out;      /* where the next octet goes, within one call */
    uint64_t left;     /* content still to come */
    uint64_t promised; /* output still to come, without the text at the end */
    unsigned flags;
    uint8_t last; /* the last octet of the content so far */
    uint8_t state;
};

enum {
    SEAL_SLOTS = AES_MOST_LANES, /* messages under way at once */
    SEAL_TURN = 256, /* blocks of each in one go: what all slots have in hand stays in the cache */
};

struct seal_slot {
    struct seal seal; /* its `text` is a queue of content that isn't encrypted yet */
    struct seal_job *job;
    const uint8_t *body; /* what hasn't come into the queue yet */
    size_t body_len;
    size_t first, end; /* of the queue */
    size_t used;       /* octets of `text` that had plaintext */
    size_t blocks;     /* that the cipher's lane has before it */
    size_t unseen;     /* octets that it takes straight from the body, not looked at yet */
    bool padded;       /* the queue ends with the padding */
    struct cache_rest rest; /* of the output: goes in front of seal.out */
};

struct seal_slots {
    struct seal_slot slot[SEAL_SLOTS];
};

/* --- what a stream and many messages share; envelope.c ----------------------------------------- */

/* A key and an IV of so many random octets. */
enum { CONTENT_KEY_RANDOM = 32 + 16 };
void content_key_set(struct content_key *key, unsigned key_len, const uint8_t *fresh);

/* Of a stream whose `out` has room for all: everything in front of the content, with the key
 * expanded; ciphertext, or other octets of the CMS; so many octets of content, or all that is left,
 * whatever was promised (0, or SEAL_BARE_LF); and the end, behind the last block. */
void seal_head(struct seal *seal, const struct seal_plan *plan, const struct content_key *key);
void seal_emit(struct seal *seal, const uint8_t *octets, size_t len);
int seal_content(struct seal *seal, const uint8_t *in, size_t len);
void seal_last_block(struct seal *seal);
void seal_tail(struct seal *seal, const uint8_t *after, size_t after_len);

#endif
