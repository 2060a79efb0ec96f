/* What Python may call. build.py reads everything between the two marks. */
#ifndef CMSTREAM_CORE_H
#define CMSTREAM_CORE_H

#include "base64/base64.h"
#include "mail/canon.h"
#include "aes/cbc.h"
#include "kernel.h"
#include "cms/der.h"
#include "hash/digest.h"
#include "mail/header.h"
#include "mail/lines.h"
#include "rsa/rsa.h"

/* [python] */
/* A content-encryption key with its IV. Secret. */
struct content_key {
    uint8_t key[32];
    uint8_t iv[16];
    unsigned key_len; /* 16, 24 or 32 */
};

enum seal_flag {
    SEAL_BASE64 = 1, /* the output is lines of base64 instead of octets */
    SEAL_CANON = 2,  /* a bare LF of the content becomes CRLF */
    SEAL_STRICT = 4, /* a bare LF is an error; only with SEAL_BASE64, without SEAL_OPEN */
    SEAL_OPEN = 8,   /* the size is unknown: indefinite lengths and segments */
    SEAL_MESSAGE = 16, /* of many: an RFC 5322 message, whose outer fields stay outside */
    SEAL_COUNT = 32,   /* of many: look at all line feeds beforehand, not only at the first ones */
};

enum seal_error {
    SEAL_NO_ROOM = -1,  /* the output may need more than the capacity */
    SEAL_TOO_MUCH = -2, /* more content than the plan says */
    SEAL_TOO_LITTLE = -3, /* less content than the plan says */
    SEAL_BARE_LF = -4,    /* with SEAL_STRICT */
    SEAL_STATE = -5, /* not begun, finished, or failed before */
    SEAL_TOO_LARGE = -6, /* a length beyond 2^63 */
    SEAL_NO_HEADER_END = -7, /* a header block beyond HEADER_LIMIT */
    SEAL_NEEDS_HEAD = -8, /* the caller must cut the header block, see seal_bring_head */
    SEAL_NO_RANDOM = -9, /* the operating system's generator gave nothing */
    SEAL_CHANGED = -10,  /* of many: the message isn't what it was in seal_plan_sizes */
    SEAL_NO_CIPHER = -11, /* no cipher has this mode and a key of this length */
    SEAL_NEEDS_LOOK = -12, /* of one: it may be encrypted already, or isn't in MODE_CBC */
};

/* What is known before the first octet of content. */
struct seal_plan {
    const uint8_t *before; /* text written first, unchanged */
    size_t before_len;
    const uint8_t *after; /* text written last */
    size_t after_len;
    const uint8_t *infos; /* the encoded RecipientInfos, without the SET's tag and length */
    size_t infos_len;
    uint64_t content_len; /* octets of content after canonicalisation; without meaning for a stream
                           * with SEAL_OPEN */
    unsigned version;     /* CMSVersion of the EnvelopedData */
    unsigned mode;        /* enum frame_mode; all but MODE_CBC without SEAL_CANON and SEAL_STRICT */
    unsigned flags;       /* enum seal_flag */
};

/* The place of an encrypted key in the RecipientInfos. */
struct key_slot {
    size_t at; /* offset */
    const struct rsa_key *key;
    unsigned padding; /* enum rsa_padding */
};

/* All recipients of a message, prepared once. Without key_slots each message brings its own
 * RecipientInfos, of the same length. */
struct seal_to {
    const uint8_t *infos; /* encoded, with zeros in the place of the encrypted keys */
    size_t infos_len;
    const struct key_slot *key_slots;
    unsigned key_slot_count;
    unsigned version; /* CMSVersion of the EnvelopedData */
    unsigned key_len; /* 16, 24 or 32 */
    unsigned mode;    /* enum frame_mode */
    unsigned brings_head; /* whether the caller cuts every header block: SEAL_NEEDS_HEAD */
};

/* The form of the output. */
struct seal_form {
    /* Texts around it; a message's outer fields precede the first. auth_before stands for `before`
     * in all modes but MODE_CBC. */
    const uint8_t *before, *auth_before, *after;
    size_t before_len, auth_before_len, after_len;
    unsigned flags; /* SEAL_BASE64, SEAL_MESSAGE */
};

/* A stream that seals one message. In MODE_CBC it takes content and gives EnvelopedData. In the
 * other modes the caller encrypts with the stream's key and nonce, and the stream takes that
 * ciphertext and gives AuthEnvelopedData. The caller owns it; one thread at a time may use it.
 * After any error but SEAL_NO_ROOM it takes nothing more, and what it has written is incomplete. */
struct seal;

/* Makes a stream in memory of any content, with a fresh key of 16, 24 or 32 octets and an IV from
 * the operating system's generator. Gives 0, or -1 if that gave nothing. */
int seal_init(struct seal *seal, unsigned key_len);

/* The stream's key, up to the first output, when it is expanded and wiped. */
struct content_key *seal_key(struct seal *seal);

/* Encrypts the stream's key to all recipients: writes to->infos_len octets of RecipientInfos. Gives
 * 0, or -1 if the operating system's generator gave nothing. */
int seal_wrap(struct seal *seal, const struct seal_to *to, uint8_t *infos);

/* The length of the whole output, or an enum seal_error. */
int64_t seal_total(const struct seal_plan *plan);

/* Takes the plan, whose texts must stay: `after` up to the end, the others up to the first output.
 * Gives seal_total. seal_begin_to makes the plan in MODE_CBC, and encrypts the key to recipients
 * with key slots; `infos` has room for the RecipientInfos of these, and holds those of others. */
int64_t seal_begin(struct seal *seal, const struct seal_plan *plan);
int64_t seal_begin_to(struct seal *seal, const struct seal_to *to, const struct seal_form *form,
                      uint8_t *infos, unsigned flags, uint64_t content_len);

/* As seal_begin_to, with a message whose first `len` octets are in `data`; `size` octets are all of
 * it, with a CR for each bare line feed of its body, unless SEAL_OPEN. Writes what comes of them:
 * the fields that stay outside before the form's own text, then as seal_update. Gives
 * SEAL_NEEDS_HEAD, and the stream is as before, where the header block needs more than the rules
 * in C, the message may be encrypted already, or fewer than `behind` octets follow the header
 * block (0: this is the whole message). */
int64_t seal_begin_message(struct seal *seal, const struct seal_to *to,
                           const struct seal_form *form, uint8_t *infos, unsigned flags,
                           uint64_t size, const uint8_t *data, size_t len, size_t behind,
                           uint8_t *out, size_t cap);

/* Each gives the number of octets written to `out`, or an enum seal_error. The first of them writes
 * all in front of the content. seal_finish writes the last block and all that was held back; in all
 * modes but MODE_CBC the `tag` of DER_TAG octets; and the text `after`. seal_finish and seal_abort
 * wipe every secret. */
int64_t seal_update(struct seal *seal, const uint8_t *in, size_t len, uint8_t *out, size_t cap);
int64_t seal_finish(struct seal *seal, const uint8_t *tag, uint8_t *out, size_t cap);

/* As the first seal_update of a message in MODE_CBC, for the inner header: its line ends are
 * canonical already, and it needs no room for more. */
int64_t seal_inside(struct seal *seal, const uint8_t *inside, size_t len, uint8_t *out, size_t cap);
void seal_abort(struct seal *seal);

/* Asks the system to use large pages for a large buffer that nobody has touched yet. That is a
 * hint; it saves most of the page faults, which would take as long as the encryption. */
void expect_large(uint8_t *fresh, size_t len);

/* The most that seal_update writes for `len` octets (in MODE_CBC in one call, in the other modes in
 * any number of calls), and the most that they and seal_finish write together. It is what they do
 * write, but with SEAL_CANON: then every octet may be a bare LF. UINT64_MAX where no memory is that
 * large. */
uint64_t seal_update_bound(const struct seal *seal, size_t len);
uint64_t seal_bound(const struct seal *seal, size_t len);

/* The most that a message gives, before it has begun, whose first `len` octets are all: the header
 * block may stay outside or go in. */
uint64_t seal_message_bound(const struct seal_to *to, const struct seal_form *form, unsigned flags,
                            size_t len);

size_t canon_count(const uint8_t *in, size_t len, uint8_t *last);
size_t canon_copy(const uint8_t *in, size_t len, uint8_t *last, uint8_t *out);
int base64_groups(const uint8_t *in, size_t groups, uint8_t *out);

/* Many messages: the octets of each, their number, and its recipients. */
struct seal_inputs {
    const uint8_t *const *data;
    const size_t *len;
    const struct seal_to *const *to;
    size_t count;
};

/* One of many messages. */
struct seal_job {
    const uint8_t *data;
    size_t len;
    const struct seal_to *to;

    /* Written by seal_plan_sizes. */
    const struct seal_form *form;
    struct header header;
    struct seal_plan plan;
    struct content_key key; /* secret */
    bool suspect;           /* may be encrypted already */
    int64_t total;          /* octets of output, or an enum seal_error */

    /* Set by seal_bring_head, else NULL: what stands before the base64 lines, and the beginning of
     * the content. Their lengths are those of `header`. */
    const uint8_t *outside, *inside;
    const uint8_t *infos; /* RecipientInfos, which the caller sets if there are no key_slots */

    /* Written by seal_many. */
    uint8_t *out;
    int64_t written; /* `total`, or an enum seal_error: then `out` holds nothing of use */
};

/* Working memory of seal_many, of any content; one call at a time may use it. */
struct seal_slots;

/* Looks at the header block, the line feeds and the length of each message, and makes its key.
 * Writes each job's `total` to `totals` too. Gives whether a job is suspect or has an error.
 * `flags` is 0 or SEAL_COUNT. */
bool seal_plan_sizes(struct seal_job *jobs, const struct seal_inputs *inputs,
                 const struct seal_form *form, unsigned flags, int64_t *totals);

/* Takes the header block of a message as the caller has cut it: the octets `outside`, up to the
 * base64 lines, and `inside`, which is to be encrypted in front of the body. Both must stay until
 * the message is sealed. `flags`: SEAL_CANON if bare line feeds of the body must become CRLF, and
 * SEAL_COUNT. Gives the new `total`. */
int64_t seal_bring_head(struct seal_job *job, const uint8_t *outside, size_t outside_len,
                        const uint8_t *inside, size_t inside_len, unsigned flags);

/* Seals every message without an error into outs[i], which has room for its `total` octets; where
 * outs[i] is NULL the message is left out. Writes no octet beyond that room, even if somebody
 * changes a message meanwhile. `infos` has room for the RecipientInfos of all messages with key
 * slots. Wipes the keys, and the plaintext in `slots`. Gives the number of messages that failed.
 *
 * Of messages in another mode than MODE_CBC it makes the RecipientInfos alone, and keeps the key.
 * seal_aead_begin and its like do the rest, for which `outs` and `infos` must stay. */
size_t seal_many(struct seal_job *jobs, uint8_t *const outs[], size_t count, uint8_t *infos,
                 struct seal_slots *slots);

/* The next content of a message that the caller encrypts. */
struct aead_piece {
    const uint8_t *text; /* with canonical line ends; secret */
    size_t len;
    uint8_t *room; /* for its ciphertext, and behind that of the last piece for the tag */
    size_t room_len;
    bool last;
};

/* Working memory of seal_aead_begin and its like, of any content; for one message at a time. */
struct seal_aead;

/* What is left of a message in another mode than MODE_CBC after seal_many. seal_aead_begin writes
 * all in front of the content, wipes the message's key, which the caller has taken before, and sets
 * `piece`. seal_aead_next takes the ciphertext of that piece and sets the next one; behind the last
 * one it writes the end. Both give whether there is a piece to be encrypted; if not, the job's
 * `written` tells how it went. Then, or after seal_aead_stop, no plaintext is left. */
bool seal_aead_begin(struct seal_aead *aead, struct seal_job *job, struct aead_piece *piece);
bool seal_aead_next(struct seal_aead *aead, struct aead_piece *piece);
void seal_aead_stop(struct seal_aead *aead);

/* Wipes the keys of messages that will not be sealed. */
void seal_forget(struct seal_job *jobs, size_t count);

/* Working memory for one message by itself, of any content. */
struct seal_single;

/* The same for one message in MODE_CBC, without SEAL_COUNT: its `total`, SEAL_NEEDS_LOOK if it is
 * suspect, in another mode or to very many recipients, or another enum seal_error; then what
 * seal_many writes to `written`. A message that will not be sealed is forgotten. */
int64_t seal_plan_one(struct seal_single *single, const uint8_t *data, size_t len,
                      const struct seal_to *to, const struct seal_form *form);
int64_t seal_one(struct seal_single *single, uint8_t *out);

/* All of a message as seal_begin_message and seal_finish give it, with a fresh key. Wipes it again,
 * whatever it gives: SEAL_NEEDS_HEAD where they or seal_plan_one would need a look. */
int64_t seal_one_as_stream(struct seal_single *single, const struct seal_to *to,
                           const struct seal_form *form, unsigned flags, uint64_t size,
                           const uint8_t *data, size_t len, uint8_t *out, size_t cap);
void seal_forget_one(struct seal_single *single);

/* Single steps, for measuring and for tests: CBC of whole blocks of one message, or of `lanes`
 * messages that lie one behind the other; base64 of whole lines. Keys for encryption have 16 or 32
 * octets. */
void cbc_bare(const struct content_key *key, const uint8_t *in, size_t blocks, uint8_t *out);
void cbc_bare_wide(const struct content_key *key, const uint8_t *in, size_t blocks, unsigned lanes,
                   uint8_t *out);
void cbc_bare_decrypt(const struct content_key *key, const uint8_t *in, size_t blocks,
                      uint8_t *out);
void base64_bare(const uint8_t *in, size_t lines, uint8_t *out);
/* [end] */

enum {
    SEAL_STEP = 16 << 10,    /* content taken at a time: it and its output stay in the cache */
    SEAL_SEGMENT = 16 << 10, /* ciphertext in one OCTET STRING segment */
};

struct seal {
    /* Secret. */
    struct content_key key;
    struct cbc cbc;
    uint8_t text[2 * SEAL_STEP]; /* content with canonical line ends */

    /* Not secret. */
    /* Ciphertext that waits: for base64, behind the octets that it carries; or for a full
     * segment. */
    uint8_t run[BASE64_LINE_IN + AES_BLOCK + SEAL_SEGMENT];
    size_t run_len;
    struct base64 base64;
    struct frame frame;
    struct seal_plan plan;
    uint8_t *out;      /* where the next octet is written, within one call */
    uint64_t left;     /* content still expected */
    uint64_t promised; /* output still expected */
    unsigned flags;
    uint8_t last; /* the last octet of the content so far */
    uint8_t state;
};

_Static_assert(sizeof((struct content_key *)0)->key == AES_MAX_KEY
               && sizeof((struct content_key *)0)->iv == AES_BLOCK,
               "a content key fits every AES");
_Static_assert(SEAL_STEP <= SEAL_SEGMENT, "`run` has room for the ciphertext of one step");

enum {
    SEAL_SLOTS = AES_MOST_LANES, /* messages sealed at the same time */
    SEAL_TURN = 256, /* blocks of each message in one turn: the text of all stays in the cache */
};

/* The rules for who may write what are in cms/many.c. */
struct seal_slot {
    struct seal seal; /* its `text` is a queue of content that isn't encrypted yet */
    struct seal_job *job;
    const uint8_t *body; /* the part of the message that isn't in the queue yet */
    size_t body_len;
    size_t after_head; /* octets of the body proper, while `body` is a long header that was brought */
    size_t first, end; /* of the queue, in `text` */
    size_t used;       /* octets of `text` that ever held plaintext */
    size_t blocks;     /* blocks that the lane still has to encrypt */
    size_t unseen;     /* octets that the lane reads from the body, not searched for bare LF yet */
    bool padded;       /* the queue ends with the padding */
    struct cache_rest rest; /* output that belongs before seal.out */
};

_Static_assert(SEAL_TURN * AES_BLOCK <= SEAL_SEGMENT, "`run` holds the ciphertext of a turn");
_Static_assert(2 * SEAL_TURN * AES_BLOCK + AES_BLOCK <= 2 * SEAL_STEP,
               "the queue has room for a turn in which every octet is a bare LF, and the padding");

struct seal_slots {
    struct seal_slot slot[SEAL_SLOTS];
};

struct seal_single {
    struct seal_job job;
    uint8_t infos[4 << 10]; /* those of a dozen recipients */
    struct seal_slots slots;
};

enum { AEAD_PIECE = 128 << 10 }; /* octets of a body taken at a time: they stay in the cache */

struct seal_aead {
    struct seal_slot slot;
    size_t used; /* octets of `text` that hold plaintext */
    uint8_t text[SEAL_STEP + 2 * AEAD_PIECE];
    /* Ciphertext for base64, with room before it for the octets that are carried. */
    uint8_t run[CACHE_LINE + SEAL_STEP + 2 * AEAD_PIECE + DER_TAG];
};

_Static_assert((int)BASE64_LINE_IN <= (int)CACHE_LINE, "there is room for the octets that are carried");

/* --- what a stream and many messages share; envelope.c
 * ----------------------------------------- */

/* Takes a key and an IV from CONTENT_KEY_RANDOM random octets. */
enum { CONTENT_KEY_RANDOM = 32 + 16 };
void content_key_set(struct content_key *key, unsigned key_len, const uint8_t *fresh);

_Static_assert(CONTENT_KEY_RANDOM == AES_MAX_KEY + AES_BLOCK, "enough for the longest key");

/* What recipients and form say of a plan; the caller adds RecipientInfos and length. */
struct seal_plan seal_plan_for(const struct seal_to *to, const struct seal_form *form,
                               unsigned flags);

/* The steps of a stream whose `out` has room for all. seal_head expands the key and writes all in
 * front of the content; the plan's mode and the key must be frame_is_defined. seal_emit writes
 * octets of the CMS. seal_content takes content, and gives 0, SEAL_TOO_MUCH or SEAL_BARE_LF.
 * seal_last_block pads and encrypts the last block. seal_tail writes all behind that. */
void seal_head(struct seal *seal, const struct seal_plan *plan, const struct content_key *key);
void seal_emit(struct seal *seal, const uint8_t *octets, size_t len);
int seal_content(struct seal *seal, const uint8_t *in, size_t len);
void seal_last_block(struct seal *seal);
void seal_tail(struct seal *seal, const uint8_t *after, size_t after_len);

/* --- what all of many messages share; many.c --------------------------------------------------- */

/* Whether a message is still to be sealed. */
bool job_is_wanted(const struct seal_job *job);

/* The steps of a message in its slot. slot_begin writes all in front of the ciphertext, and puts a
 * short header that goes inside to the queue. slot_take takes the next octets of the body, at most
 * body_len, counts them, and copies them with canonical line ends to `to`, where they take `taken`
 * octets, at most twice as many; without SEAL_CANON `to` may be NULL. slot_encode writes base64 of
 * ciphertext that follows the octets carried, over which it was put. slot_leave writes the end, or
 * only notes the error, and wipes every secret. The first two give 0, SEAL_BARE_LF or
 * SEAL_CHANGED. */
int slot_begin(struct seal_slot *slot, struct seal_job *job);
int slot_take(struct seal_slot *slot, size_t len, uint8_t *to, size_t *taken);
void slot_encode(struct seal_slot *slot, const uint8_t *octets, size_t len);
void slot_leave(struct seal_slot *slot, int error);

#endif
