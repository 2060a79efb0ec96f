/* Fuzzing of whole.h: mail or CMS that may be anything. What must hold: no buffer is overrun; an
 * encrypted key that is found stands behind the name that was looked for; and what comes out is what
 * plain_open.h comes to, with the mail's own fields in front. */
#ifndef CMSTREAM_FUZZ_WHOLE_H
#define CMSTREAM_FUZZ_WHOLE_H

#include "cms/whole.h"
#include "fuzz_tools.h"

/* As fuzz_seeds.py names its recipients: CN=CA with a number, and a key identifier. */
static const uint8_t by_issuer[] = "\x30\x0d\x31\x0b\x30\x09\x06\x03\x55\x04\x03\x0c\x02" "CA\x02\x01\x03";
static const uint8_t by_identifier[] = "known";
static const struct recipient_name names[] = {
    {by_issuer, sizeof by_issuer - 1, false},
    {by_identifier, sizeof by_identifier - 1, true},
};

static const char plain_head[] = "Subject: x\r\n"
                                 "Content-Type: application/pkcs7-mime\r\n"
                                 "MIME-Version: 1.0\r\n"
                                 "Content-Transfer-Encoding: base64\r\n\r\n";
static const char plain_outside[] = "Subject: x\r\n";
static const char version_field[] = "MIME-Version: 1.0\r\n";

/* Whether a name, the algorithm and the tag stand in front of the key, in their order. */
static bool stands_behind_a_name(const struct whole *whole)
{
    static const uint8_t rsa[] = {0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                  0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00, 0x04};
    const uint8_t *key = whole->found.encrypted_key;

    for (size_t i = 0; i < 2; i++)
        for (size_t len_octets = 1; len_octets <= 5; len_octets++) {
            const size_t before = names[i].len + sizeof rsa + len_octets;
            if ((size_t)(key - whole->head) >= before
                && !memcmp(key - before, names[i].octets, names[i].len)
                && !memcmp(key - before + names[i].len, rsa, sizeof rsa))
                return true;
        }
    return false;
}

static void check_found(const struct whole *whole)
{
    const struct whole_found *found = &whole->found;
    const uint8_t *end = whole->head + open_head_len(&whole->open);

    CHECK(found->key_len == 16 || found->key_len == 24 || found->key_len == 32);
    CHECK(found->encrypted_key >= whole->head && found->encrypted_key <= end);
    CHECK(found->encrypted_key_len <= (size_t)(end - found->encrypted_key));
    CHECK(whole->usual.iv >= whole->head && whole->usual.iv + AES_BLOCK <= end);
    CHECK(stands_behind_a_name(whole));
}

/* What is in front of the content. */
static void check_front(const struct whole *whole, const uint8_t *out, bool known_head)
{
    const size_t at = whole->found.content_at, field = sizeof version_field - 1;

    if (!whole->message)
        CHECK(!at && !whole->found.by_hand);
    if (!whole->message || whole->found.by_hand)
        return;
    CHECK(at >= field && !memcmp(out + at - field, version_field, field));
    if (known_head)
        CHECK(at == sizeof plain_outside - 1 + field && !memcmp(out, plain_outside, at - field));
}

static void expect_opened(struct whole *whole, const struct octets *cms, unsigned form,
                          bool known_head)
{
    static const struct aes_key none;
    const struct whole_found *found = &whole->found;
    struct outcome expected = open_plainly(cms, form, sizeof whole->head, SIZE_MAX / 2);
    uint8_t *key = copied(secret, found->key_len), *out = exactly(found->bound);
    const uint32_t mask = cpu_features();

    CHECK(expected.head.len == open_head_len(&whole->open));
    CHECK(!memcmp(expected.head.at, whole->head, expected.head.len));
    decipher(&expected, found->key_len, whole->usual.iv);
    cpu_restrict(mask);
    CHECK(whole_open(whole, key, out, found->bound - 1) == OPEN_NO_ROOM);
    const int64_t given = whole_open(whole, key, out, found->bound);
    CHECK(given < 0 ? given == expected.error : !expected.error);
    CHECK(!memcmp(&whole->open.key, &none, sizeof none));
    if (given >= 0) {
        CHECK((size_t)given == found->content_at + expected.content.len);
        CHECK(!expected.content.len
              || !memcmp(out + found->content_at, expected.content.at, expected.content.len));
        check_front(whole, out, known_head);
    }
    forget(&expected);
    free(key);
    free(out);
}

/* Reads a mail or a CMS; `head_len` octets of it are a header block that is known. */
static void read_whole(const struct octets *mail, size_t head_len, bool message)
{
    struct recipient_names known = {names, 2};
    struct whole *whole = malloc(sizeof *whole);
    uint8_t *in = copied(mail->at, mail->len);

    CHECK(whole);
    if (whole_read(whole, in, mail->len, &known, message)) {
        const size_t at = whole->found.header_end;
        const struct octets cms = {in + at, mail->len - at, 0};
        CHECK(at <= mail->len && (!head_len || at == head_len));
        check_found(whole);
        expect_opened(whole, &cms, at ? OPEN_BASE64 : OPEN_BINARY, head_len > 0);
    }
    free(in);
    free(whole);
}

static void expect_whole(unsigned form, uint32_t mask, uint32_t seed, const struct octets *message)
{
    const size_t head_len = sizeof plain_head - 1;
    struct octets mail = {0};

    cpu_restrict(mask);
    read_whole(message, 0, seed & 2);
    append(&mail, (const uint8_t *)plain_head, head_len);
    if (form == OPEN_BINARY)
        for (size_t i = 0; i < message->len; i += 3)
            append_group(&mail, message->at + i, min_size(message->len - i, 3));
    else
        append(&mail, message->at, message->len);
    cpu_restrict(mask);
    read_whole(&mail, head_len, seed & 4);
    free(mail.at);
}

#endif
