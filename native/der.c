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
};

/* OBJECT IDENTIFIER id-envelopedData */
static const uint8_t enveloped_data[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                         0xf7, 0x0d, 0x01, 0x07, 0x03};
/* OBJECT IDENTIFIER id-data */
static const uint8_t data[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01};
/* SEQUENCE { OBJECT IDENTIFIER id-aes128-CBC (the last octet 2) or id-aes256-CBC (42), OCTET
 * STRING of 16 octets } */
static const uint8_t aes_cbc[] = {0x30, 0x1d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                                  0x65, 0x03, 0x04, 0x01, 0x02, 0x04, 0x10};
enum { AES_CBC_VARIANT = 12 };

/* Where the next octets go; `at` NULL: nowhere, they are only counted. */
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
    for (size_t i = 0; i < len; i++)
        put_octet(writer, octets[i]);
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
    return sizeof data + sizeof aes_cbc + IV_LEN + with_header(frame->cipher_len);
}

static uint64_t enveloped_len(const struct frame *frame)
{
    return 3 + with_header(frame->infos_len) + with_header(content_info_len(frame));
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
    uint64_t enveloped = with_header(enveloped_len(frame));

    put_nested(&writer, frame, TAG_SEQUENCE, sizeof enveloped_data + with_header(enveloped));
    put(&writer, enveloped_data, sizeof enveloped_data);
    put_nested(&writer, frame, TAG_EXPLICIT_0, enveloped);
    put_nested(&writer, frame, TAG_SEQUENCE, enveloped_len(frame));
    put_header(&writer, TAG_INTEGER, 1);
    put_octet(&writer, frame->version);
    put_header(&writer, TAG_SET, frame->infos_len);
    return writer.count;
}

size_t frame_content(const struct frame *frame, uint8_t *out)
{
    struct writer writer = {out, 0};

    put_nested(&writer, frame, TAG_SEQUENCE, content_info_len(frame));
    put(&writer, data, sizeof data);
    put(&writer, aes_cbc, sizeof aes_cbc);
    if (out && frame->key_len == 32)
        out[writer.count - sizeof aes_cbc + AES_CBC_VARIANT] = 42;
    put(&writer, frame->iv, IV_LEN);
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
    /* encryptedContent, EncryptedContentInfo, EnvelopedData, [0], ContentInfo */
    static const uint8_t ends[DER_TAIL_MAX] = {0};
    struct writer writer = {out, 0};
    if (frame->open)
        put(&writer, ends, sizeof ends);
    return writer.count;
}
