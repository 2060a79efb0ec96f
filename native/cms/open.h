/* Opens a sealed message: takes it in pieces of any size and gives its content. */
#ifndef CMSTREAM_OPEN_H
#define CMSTREAM_OPEN_H

#include "aes/aes.h"
#include "base64/base64.h"
#include "ber.h"

/* [python] */
enum open_form {
    OPEN_BINARY,
    OPEN_BASE64, /* in any layout */
    OPEN_PEM,    /* the same, up to a hyphen */
};

enum open_stage {
    OPEN_HEAD,  /* on the way to the encrypted content */
    OPEN_WAIT,  /* there: a key is needed */
    OPEN_BODY,  /* in it or behind it */
    OPEN_END,   /* the ContentInfo is over */
    OPEN_OVER,  /* finished, aborted, or failed */
};

enum open_error {
    OPEN_MALFORMED = -1,
    OPEN_TOO_DEEP = -2,
    OPEN_TRUNCATED = -3,
    OPEN_TRAILING = -4,  /* octets behind the end that aren't white space */
    OPEN_FAILED = -5,    /* the padding is wrong */
    OPEN_HEAD_FULL = -6, /* nothing is lost: give more room and go on */
    OPEN_NO_ROOM = -7,   /* nothing is lost either */
    OPEN_STATE = -8,     /* over, or no key yet */
    OPEN_TAIL_FULL = -9, /* more follows the encrypted content than there is room for */
};

/* A stream that opens one message. The caller owns it; one thread at a time may use it. After any
 * error but OPEN_HEAD_FULL and OPEN_NO_ROOM it takes nothing more. */
struct open;

void open_begin(struct open *open, unsigned form);

/* Sets the room for all octets before the encrypted content. When it is replaced by a larger one,
 * that must begin with the octets written so far. */
void open_head(struct open *open, uint8_t *head, size_t cap);
size_t open_head_len(const struct open *open);

/* Sets the room for all that follows the encrypted content, from the end of EncryptedContentInfo to
 * the end of the ContentInfo. Without it, or set too late, those octets are skipped. */
void open_tail(struct open *open, uint8_t *tail, size_t cap);
size_t open_tail_len(const struct open *open);

unsigned open_stage(const struct open *open);
bool open_is_ber(const struct open *open); /* indefinite lengths, as far as was seen */
bool open_has_content(const struct open *open); /* false where it is left out; known from OPEN_WAIT */
uint64_t open_content_len(const struct open *open); /* octets of encrypted content so far */

/* The content-encryption key of 16, 24 or 32 octets and the IV, for AES-CBC with PKCS #7 padding;
 * or none: then the ciphertext itself comes out. */
void open_key(struct open *open, const uint8_t *key, size_t key_len, const uint8_t *iv);
void open_raw(struct open *open);

/* Takes octets of the message, and writes to `taken` how many: all, unless it stops at OPEN_WAIT,
 * at PEM's hyphen or at an error. Gives the number of octets written, or an enum open_error. */
int64_t open_update(struct open *open, const uint8_t *in, size_t len, uint8_t *out, size_t cap,
                    size_t *taken);

/* Writes the last octets, at most 16, and gives their number. Wipes the key, as open_abort does. Of
 * the padding, only whether it is right, and then its length, decides a branch or an index. */
int64_t open_finish(struct open *open, uint8_t *out, size_t cap);
void open_abort(struct open *open);

/* The most octets of output for `len` more octets of input. */
uint64_t open_bound(const struct open *open, size_t len);
/* [end] */

enum { OPEN_STEP = 16 << 10 }; /* text decoded at a time: it stays in the cache */

struct open {
    /* Secret. */
    struct aes_key key;

    /* Not secret. */
    struct ber ber;
    struct unbase64 text;
    uint8_t decoded[OPEN_STEP]; /* on its way to the walk: from `first` to `last` */
    size_t first, last;
    uint8_t held[AES_BLOCK]; /* the last block of ciphertext, as far as it is there */
    unsigned held_len;
    uint8_t chain[AES_BLOCK];
    uint8_t *head, *tail, *out;
    size_t head_len, head_cap, tail_len, tail_cap;
    uint64_t content_len;
    unsigned form, stage;
    bool raw;
    bool stopped; /* the text ended with a character that isn't base64 */
};

#endif
