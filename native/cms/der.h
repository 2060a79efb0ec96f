/* All of a ContentInfo with EnvelopedData (RFC 5652 section 6.1) or AuthEnvelopedData (RFC 5083)
 * but its RecipientInfos and its ciphertext. It is DER where the length of the content is known,
 * else BER with indefinite lengths. */
#ifndef CMSTREAM_DER_H
#define CMSTREAM_DER_H

#include "common.h"

enum {
    DER_HEAD_MAX = 64,   /* the most that frame_head writes */
    DER_CONTENT_MAX = 80, /* the most that frame_content writes */
    DER_SEGMENT_MAX = 10, /* the most that frame_segment writes */
    DER_TAIL_MAX = 28,    /* the most that frame_tail writes */
    DER_TAG = 16,         /* octets of an authentication tag */
};

/* [python] */
/* What encrypts the content; all but CBC make AuthEnvelopedData. */
enum frame_mode {
    MODE_CBC,               /* AES (RFC 3565) */
    MODE_GCM,               /* AES (RFC 5084) */
    MODE_CHACHA20_POLY1305, /* RFC 8103 */
};
/* [end] */

struct frame {
    uint64_t infos_len;  /* RecipientInfos, without the SET's own tag and length */
    uint64_t cipher_len; /* encryptedContent; without meaning when `open` */
    const uint8_t *iv;   /* 16 octets; all modes but CBC use the first 12, as their nonce */
    const uint8_t *tag;  /* DER_TAG octets, for all modes but CBC; only frame_tail needs them */
    unsigned version;    /* CMSVersion of EnvelopedData, 0 to 127 */
    unsigned mode;       /* enum frame_mode */
    unsigned key_len;    /* octets of the key; frame_is_defined for the mode */
    bool open;           /* indefinite lengths, encryptedContent in segments */
};

/* Whether this library writes content in this mode with a key of so many octets. There is an object
 * identifier for such a pair, which frame_content derives from both. */
bool frame_is_defined(unsigned mode, unsigned key_len);

/* Each writes one part to `out`, or only measures it when `out` is NULL, and gives its length.
 * Lengths don't depend on key_len. */

/* All before the RecipientInfos. */
size_t frame_head(const struct frame *frame, uint8_t *out);
/* All between the RecipientInfos and the ciphertext. */
size_t frame_content(const struct frame *frame, uint8_t *out);
/* In an open frame, the header of a segment of `len` octets of ciphertext. */
size_t frame_segment(uint64_t len, uint8_t *out);
/* All behind the ciphertext: the tag, and the end-of-contents octets of an open frame. */
size_t frame_tail(const struct frame *frame, uint8_t *out);

#endif
