#include "der.h"

enum {
    TAG_INTEGER = 0x02,
    TAG_OCTET_STRING = 0x04,
    TAG_SEQUENCE = 0x30,
    TAG_SET = 0x31,
    TAG_EXPLICIT_0 = 0xa0,       /* also [0] IMPLICIT OCTET STRING when it is in segments */
    TAG_ENCRYPTED_CONTENT = 0x80,
    INDEFINITE = 0x80,
    IV_LEN = 16,
    NONCE_LEN = 12,
};

/* OBJECT IDENTIFIER id-envelopedData */
static const uint8_t enveloped_data[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                         0xf7, 0x0d, 0x01, 0x07, 0x03};
/* OBJECT IDENTIFIER id-data */
static const uint8_t data[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01};
/* OBJECT IDENTIFIER id-ct-authEnvelopedData */
static const uint8_t auth_enveloped_data[] = {0x06, 0x0b, 0x2a, 0x86, 0x48, 0x86, 0xf7,
                                              0x0d, 0x01, 0x09, 0x10, 0x01, 0x17};

/* SEQUENCE { OBJECT IDENTIFIER id-aes128-CBC, OCTET STRING of 16 octets } */
static const uint8_t aes_cbc[] = {0x30, 0x1d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                                  0x65, 0x03, 0x04, 0x01, 0x02, 0x04, 0x10};
/* SEQUENCE { OBJECT IDENTIFIER id-aes128-GCM, SEQUENCE { OCTET STRING of 12 octets, INTEGER 16 }
 * } */
static const uint8_t aes_gcm[] = {0x30, 0x1e, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65,
                                  0x03, 0x04, 0x01, 0x06, 0x30, 0x11, 0x04, 0x0c};
static const uint8_t gcm_tag_len[] = {0x02, 0x01, DER_TAG};
/* SEQUENCE { OBJECT IDENTIFIER id-alg-AEADChaCha20Poly1305, OCTET STRING of 12 octets } */
static const uint8_t chacha20[] = {0x30, 0x1b, 0x06, 0x0b, 0x2a, 0x86, 0x48, 0x86, 0xf7,
                                   0x0d, 0x01, 0x09, 0x10, 0x03, 0x12, 0x04, 0x0c};
/* The last arc of an AES identifier names the mode and the length of the key. From one length to
 * the next it grows by 20: id-aes128-CBC is 2, id-aes192-CBC 22, id-aes256-CBC 42. */
enum { AES_ARC = 12, AES_ARC_STEP = 20 };

bool frame_is_defined(unsigned mode, unsigned key_len)
{
    switch (mode) {
    case MODE_CBC: return key_len == 16 || key_len == 32; /* kernels encrypt with no others */
    case MODE_GCM: return key_len == 16 || key_len == 24 || key_len == 32;
    case MODE_CHACHA20_POLY1305: return key_len == 32;
    default: return false;
    }
}

/* An AlgorithmIdentifier in two parts: before its IV or nonce, and after it. */
struct algorithm {
    const uint8_t *before, *after;
    size_t before_len, iv_len, after_len;
};

static const struct algorithm algorithms[] = {
    [MODE_CBC] = {aes_cbc, NULL, sizeof aes_cbc, IV_LEN, 0},
    [MODE_GCM] = {aes_gcm, gcm_tag_len, sizeof aes_gcm, NONCE_LEN, sizeof gcm_tag_len},
    [MODE_CHACHA20_POLY1305] = {chacha20, NULL, sizeof chacha20, NONCE_LEN, 0},
};

/* Writes octets to `at`, or only counts them where `at` is NULL. */
struct writer {
    uint8_t *at;
    size_t count;
};

static void put_octet(struct writer *writer, unsigned octet)
{
    if (writer->at)
        writer->at[writer->count] = (uint8_t)octet;
    writer->count++;
}

static void put(struct writer *writer, const uint8_t *octets, size_t len)
{
    if (writer->at && len)
        memcpy(writer->at + writer->count, octets, len);
    writer->count += len;
}

static unsigned length_octets(uint64_t len)
{
    unsigned octets = 0;
    for (; len; len >>= 8)
        octets++;
    return octets;
}

static void put_header(struct writer *writer, unsigned tag, uint64_t len)
{
    put_octet(writer, tag);
    if (len < 0x80) {
        put_octet(writer, (unsigned)len);
        return;
    }
    unsigned octets = length_octets(len);
    put_octet(writer, 0x80 | octets);
    while (octets--)
        put_octet(writer, (unsigned)(len >> (8 * octets)) & 0xff);
}

static uint64_t with_header(uint64_t len)
{
    return len + 2 + (len < 0x80 ? 0 : length_octets(len));
}

static uint64_t content_info_len(const struct frame *frame)
{
    const struct algorithm *algorithm = &algorithms[frame->mode];
    return sizeof data + algorithm->before_len + algorithm->iv_len + algorithm->after_len
           + with_header(frame->cipher_len);
}

static uint64_t tag_len(const struct frame *frame)
{
    return frame->mode == MODE_CBC ? 0 : with_header(DER_TAG);
}

static uint64_t enveloped_len(const struct frame *frame)
{
    return 3 + with_header(frame->infos_len) + with_header(content_info_len(frame))
           + tag_len(frame);
}

static void put_nested(struct writer *writer, const struct frame *frame, unsigned tag, uint64_t len)
{
    if (!frame->open) {
        put_header(writer, tag, len);
        return;
    }
    put_octet(writer, tag);
    put_octet(writer, INDEFINITE);
}

size_t frame_head(const struct frame *frame, uint8_t *out)
{
    struct writer writer = {out, 0};
    const bool tagged = frame->mode != MODE_CBC;
    const uint8_t *type = tagged ? auth_enveloped_data : enveloped_data;
    size_t type_len = tagged ? sizeof auth_enveloped_data : sizeof enveloped_data;
    uint64_t enveloped = with_header(enveloped_len(frame));

    put_nested(&writer, frame, TAG_SEQUENCE, type_len + with_header(enveloped));
    put(&writer, type, type_len);
    put_nested(&writer, frame, TAG_EXPLICIT_0, enveloped);
    put_nested(&writer, frame, TAG_SEQUENCE, enveloped_len(frame));
    put_header(&writer, TAG_INTEGER, 1);
    /* The version of AuthEnvelopedData is always 0 (RFC 5083 section 2.1). */
    put_octet(&writer, tagged ? 0 : frame->version);
    put_header(&writer, TAG_SET, frame->infos_len);
    return writer.count;
}

size_t frame_content(const struct frame *frame, uint8_t *out)
{
    struct writer writer = {out, 0};
    const struct algorithm *algorithm = &algorithms[frame->mode];

    put_nested(&writer, frame, TAG_SEQUENCE, content_info_len(frame));
    put(&writer, data, sizeof data);
    put(&writer, algorithm->before, algorithm->before_len);
    if (out && frame->mode != MODE_CHACHA20_POLY1305)
        out[writer.count - algorithm->before_len + AES_ARC] +=
            (uint8_t)(AES_ARC_STEP * (frame->key_len - 16) / 8);
    put(&writer, frame->iv, algorithm->iv_len);
    put(&writer, algorithm->after, algorithm->after_len);
    put_nested(&writer, frame, frame->open ? TAG_EXPLICIT_0 : TAG_ENCRYPTED_CONTENT,
               frame->cipher_len);
    return writer.count;
}

size_t frame_segment(uint64_t len, uint8_t *out)
{
    struct writer writer = {out, 0};
    put_header(&writer, TAG_OCTET_STRING, len);
    return writer.count;
}

size_t frame_tail(const struct frame *frame, uint8_t *out)
{
    /* The end-of-contents octets of encryptedContent and EncryptedContentInfo; then those of
     * EnvelopedData, [0] and ContentInfo. */
    static const uint8_t inner_ends[4], outer_ends[6];
    struct writer writer = {out, 0};

    if (frame->open)
        put(&writer, inner_ends, sizeof inner_ends);
    if (frame->mode != MODE_CBC) {
        put_header(&writer, TAG_OCTET_STRING, DER_TAG);
        put(&writer, frame->tag, DER_TAG);
    }
    if (frame->open)
        put(&writer, outer_ends, sizeof outer_ends);
    return writer.count;
}
