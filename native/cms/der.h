/* The frame of a ContentInfo with EnvelopedData (RFC 5652 section 6.1) or AuthEnvelopedData (RFC
 * 5083), in DER where the length of the content is known, in BER with indefinite lengths where it
 * isn't. */
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
    uint64_t cipher_len; /* encryptedContent; of no meaning when `open` */
    const uint8_t *iv;   /* 16 octets; of a mode with tags the first 12, the nonce */
    const uint8_t *tag;  /* DER_TAG octets, where the mode has one; needed by frame_tail alone */
    unsigned version;    /* CMSVersion of EnvelopedData, 0 to 127 */
    unsigned mode;       /* enum frame_mode */
    unsigned key_len;    /* 16 or 32: which AES */
    bool open;           /* indefinite lengths, encryptedContent in segments */
};

/* Each writes to `out`, or only measures when that is NULL, and gives the number of octets:
 * all before the RecipientInfos; all between them and the ciphertext; what stands before `len`
 * octets of ciphertext in an open frame; all behind the ciphertext: the ends of contents of an open
 * frame, the tag. */
size_t frame_head(const struct frame *frame, uint8_t *out);
size_t frame_content(const struct frame *frame, uint8_t *out);
size_t frame_segment(uint64_t len, uint8_t *out);
size_t frame_tail(const struct frame *frame, uint8_t *out);

#endif
