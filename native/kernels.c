/* The tables of kernels as Python sees them: by number, and each on its known answer. */
#include "core.h"

#include <sys/mman.h>

const char *aes_name(unsigned index)
{
    const struct aes_kernel *kernel = aes_kernel_at(index);
    return kernel ? kernel->name : NULL;
}

const char *base64_name(unsigned index)
{
    const struct base64_kernel *kernel = base64_kernel_at(index);
    return kernel ? kernel->name : NULL;
}

bool aes_check(unsigned index)
{
    return aes_known_answer(aes_kernel_at(index));
}

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                               "abcdefghijklmnopqrstuvwxyz0123456789+/";
static const char white[] = " \t\r\n\f\v";

/* Whether `out` is `in` in lines, told by the definition. */
static bool is_encoded(const uint8_t *in, size_t lines, const uint8_t *out)
{
    for (size_t i = 0; i < lines * BASE64_LINE_IN / 3 * 4; i++) {
        const uint8_t *group = in + i / 4 * 3;
        uint32_t bits = (uint32_t)group[0] << 16 | (uint32_t)group[1] << 8 | group[2];
        if (out[i / 64 * BASE64_LINE_OUT + i % 64] != alphabet[bits >> (18 - 6 * (i % 4)) & 63])
            return false;
    }
    for (const uint8_t *end = out + 64; lines--; end += BASE64_LINE_OUT)
        if (end[0] != '\r' || end[1] != '\n')
            return false;
    return true;
}

enum { LINES = 34 };

static bool gives_back(const struct base64_kernel *kernel, const uint8_t *text, size_t lines,
                       const uint8_t *plain, size_t len)
{
    uint8_t out[LINES * BASE64_LINE_IN];
    struct base64_text at = {text, text + lines * BASE64_LINE_OUT, out, out + sizeof out};

    kernel->decode(&at);
    return at.out == out + len && !memcmp(out, plain, len);
}

/* All of the text, with each kind of white space; and up to each octet that isn't base64. */
static bool is_decoded(const struct base64_kernel *kernel, const uint8_t *plain, uint8_t *text)
{
    enum { GROUPS = 17, STRANGER = BASE64_LINE_OUT + 7 }; /* after 17 groups and 3 characters */
    bool good;

    for (unsigned i = 0; i < LINES; i++)
        text[i * BASE64_LINE_OUT + 64] = (uint8_t)white[i % 6];
    good = gives_back(kernel, text, LINES, plain, LINES * BASE64_LINE_IN);
    for (unsigned octet = 0; octet < 256; octet++) {
        text[STRANGER] = (uint8_t)octet;
        if (!octet || (!strchr(alphabet, (int)octet) && !strchr(white, (int)octet)))
            good &= gives_back(kernel, text, 3, plain, GROUPS * 3);
    }
    return good;
}

/* Every value of an octet and of a group of six bits, and the place of each in a line; and the way
 * back. */
bool base64_check(unsigned index)
{
    const struct base64_kernel *kernel = base64_kernel_at(index);
    uint8_t in[LINES * BASE64_LINE_IN], out[LINES * BASE64_LINE_OUT];
    bool good;

    for (unsigned i = 0; i < sizeof in; i++)
        in[i] = (uint8_t)(i * 167 + 13);
    kernel->lines(in, LINES, out);
    good = is_encoded(in, LINES, out);
    if (kernel->lines_past_cache) {
        struct cache_rest rest = {.count = 0};
        memset(out, 0, sizeof out);
        kernel->lines_past_cache(&rest, in, LINES, out);
        base64_settle(&rest, out + sizeof out);
        base64_fence();
        good &= is_encoded(in, LINES, out);
    }
    return good && is_decoded(kernel, in, out);
}

void cbc_bare(const struct content_key *key, const uint8_t *in, size_t blocks, uint8_t *out)
{
    struct cbc cbc;
    cbc_begin(&cbc, key->key, key->key_len, key->iv);
    cbc_update(&cbc, in, blocks * AES_BLOCK, out);
    wipe(&cbc, sizeof cbc);
}

void cbc_bare_wide(const struct content_key *key, const uint8_t *in, size_t blocks, unsigned lanes,
                   uint8_t *out)
{
    struct cbc cbc[AES_MOST_LANES];
    struct lane *lane[AES_MOST_LANES];

    lanes = (unsigned)min_size(lanes, AES_MOST_LANES);
    for (unsigned i = 0; i < lanes; i++) {
        cbc_begin(&cbc[i], key->key, key->key_len, key->iv);
        lane[i] = &cbc[i].lane;
        lane[i]->in = in + i * blocks * AES_BLOCK;
        lane[i]->out = out + i * blocks * AES_BLOCK;
    }
    aes_cbc(lane, lanes, blocks);
    wipe(cbc, sizeof cbc);
}

void cbc_bare_decrypt(const struct content_key *key, const uint8_t *in, size_t blocks, uint8_t *out)
{
    const struct aes_kernel *kernel = aes_decrypt_kernel();
    struct aes_key inverse;
    uint8_t chain[AES_BLOCK];

    memcpy(chain, key->iv, AES_BLOCK);
    kernel->expand_inverse(&inverse, key->key, key->key_len);
    kernel->cbc_decrypt(&inverse, chain, in, blocks, out);
    wipe(&inverse, sizeof inverse);
}

void base64_bare(const uint8_t *in, size_t lines, uint8_t *out)
{
    base64_kernel()->lines(in, lines, out);
}

void expect_large(uint8_t *fresh, size_t len)
{
#if defined(MADV_HUGEPAGE)
    enum { PAGE = 4096 };
    uintptr_t start = ((uintptr_t)fresh + PAGE - 1) & ~(uintptr_t)(PAGE - 1);
    uintptr_t end = ((uintptr_t)fresh + len) & ~(uintptr_t)(PAGE - 1);

    if (start < end)
        (void)madvise((uint8_t *)start, end - start, MADV_HUGEPAGE);
#else
    (void)fresh;
    (void)len;
#endif
}
