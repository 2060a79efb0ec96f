/* Opens a sealed message that is in memory as a whole, and as most programs write it, in two calls:
 * one finds the encrypted key, the other gives the content. */
#ifndef CMSTREAM_WHOLE_H
#define CMSTREAM_WHOLE_H

#include "mail/header.h"
#include "open.h"
#include "usual_head.h"

/* [python] */
/* What is known of a message. */
struct whole_found {
    const uint8_t *encrypted_key;
    size_t encrypted_key_len;
    unsigned key_len;   /* of the content-encryption key: 16, 24 or 32 */
    size_t header_end;  /* of the mail's own header block; 0 if there is none */
    size_t content_at;  /* where whole_open writes the content */
    uint64_t bound;     /* the room that whole_open needs */
    bool by_hand;       /* written by whole_open: what stands in front of the content is open */
};

/* A message on its way; the caller owns it, one thread at a time may use it. */
struct whole;

/* Reads the head of a message: a mail with a plain label, or CMS in BER or DER as it is. Gives NULL
 * where it isn't usual: another reader must look at it then. `message`: whole_open gives a whole
 * message, not only the content. The octets must stay where they are until whole_open. */
const struct whole_found *whole_read(struct whole *whole, const uint8_t *in, size_t len,
                                     const struct recipient_names *names, bool message);

/* Decrypts the message with a key of key_len octets, and gives where the content ends in `out`, or
 * an enum open_error. All is decrypted and the padding is looked at, whatever the key is, before
 * anything else is done with the content. Then, for a whole message, the fields from outside come in
 * front of it; if that takes more than these rules, the caller must do it: `by_hand`. */
int64_t whole_open(struct whole *whole, const uint8_t *key, uint8_t *out, size_t cap);
/* [end] */

enum { WHOLE_HEAD = 16 << 10 }; /* a longer head isn't usual: some 40 RecipientInfos */

struct whole {
    struct whole_found found;
    struct usual_head usual;
    struct header header;
    const uint8_t *in, *rest; /* the message, and what of it open_update hasn't taken */
    size_t rest_len;
    bool message;
    uint8_t head[WHOLE_HEAD];
    struct open open;
};

#endif
