/* The frame of a ContentInfo with EnvelopedData (RFC 5652 section 6.1), in DER where the length of
 * the content is known, in BER with indefinite lengths where it isn't. */
#ifndef CMSTREAM_DER_H
#define CMSTREAM_DER_H

#include "common.h"

enum {
    DER_HEAD_MAX = 64,   /* the most that frame_head writes */
    DER_CONTENT_MAX = 80, /* the most that frame_content writes */
    DER_SEGMENT_MAX = 10, /* the most that frame_segment writes */
    DER_TAIL_MAX = 10,    /* what frame_tail writes, if anything */
};

struct frame {
    uint64_t infos_len;  /* RecipientInfos, without the SET's own tag and length */
    uint64_t cipher_len; /* encryptedContent; of no meaning when `open` */
    const uint8_t *iv;   /* 16 octets */
    unsigned version;    /* CMSVersion, 0 to 127 */
    unsigned key_len;    /* 16 or 32: id-aes128-CBC or id-aes256-CBC (RFC 3565) */
    bool open;           /* indefinite lengths, encryptedContent in segments */
};

/* Each writes to `out`, or only measures when that is NULL, and gives the number of octets:
 * all before the RecipientInfos; all between them and the ciphertext; what stands before `len`
 * octets of ciphertext in an open frame; the ends of contents of an open frame (of a closed one:
 * nothing). */
size_t frame_head(const struct frame *frame, uint8_t *out);
size_t frame_content(const struct frame *frame, uint8_t *out);
size_t frame_segment(uint64_t len, uint8_t *out);
size_t frame_tail(const struct frame *frame, uint8_t *out);

#endif
