/* Reads the head of a sealed message, from the ContentInfo to its encrypted content, where it is as
 * most programs write it: EnvelopedData by AES-CBC, whose key is encrypted by RSA with PKCS #1 v1.5
 * (RFC 5652 section 6). The rules are those of enveloped.py and key_transport.py: whatever this
 * reader takes, they read as the same. What it doesn't take is left to them, with all errors. */
#ifndef CMSTREAM_USUAL_HEAD_H
#define CMSTREAM_USUAL_HEAD_H

#include "common.h"

/* [python] */
/* How a RecipientInfo names the owner of a private key: by issuer and serial number, one behind the
 * other, each with tag and length; or by a key identifier, without. */
struct recipient_name {
    const uint8_t *octets;
    size_t len;
    bool key_identifier;
};

/* One owner's names. */
struct recipient_names {
    const struct recipient_name *name;
    size_t count;
};
/* [end] */

enum { USUAL_MOST_INFOS = 100 }; /* RecipientInfos */

/* The pointers are into the head. */
struct usual_head {
    const uint8_t *encrypted_key, *iv;
    size_t encrypted_key_len;
    unsigned key_len; /* of the cipher: 16, 24 or 32 */
};

/* Reads a head that ber_walk has passed, and finds the first RecipientInfo with one of the names.
 * False if it isn't usual, or no RecipientInfo is found. */
bool usual_head_read(const uint8_t *head, size_t len, const struct recipient_names *names,
                     struct usual_head *found);

#endif
