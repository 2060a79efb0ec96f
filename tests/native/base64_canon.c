/* Base64 lines and canonical line ends against naive ones, between guard pages.
 *
 *   cc -std=gnu11 -O3 -Inative tests/native/base64_canon.c native/base64.c native/canon.c \
 *      native/cpu.c native/x86/base64.c native/arm/base64.c
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base64.h"
#include "canon.h"
#include "cpu.h"

enum { LONGEST = 2000, ROOM = 2 * LONGEST + 1000 };

struct guarded {
    uint8_t *start, *end; /* no octet before the one and none from the other on can be touched */
};

static struct guarded source, target;
static uint64_t seed = 1;

#define CHECK(what)                                                                            \
    do {                                                                                       \
        if (!(what)) {                                                                         \
            fprintf(stderr, "line %d: %s\n", __LINE__, #what);                                 \
            exit(1);                                                                           \
        }                                                                                      \
    } while (0)

static unsigned below(unsigned bound)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % bound;
}

static struct guarded guard(size_t room)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), size = (room + page - 1) / page * page;
    uint8_t *all = mmap(NULL, size + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    CHECK(all != MAP_FAILED);
    CHECK(mprotect(all + page, size, PROT_READ | PROT_WRITE) == 0);
    return (struct guarded){all + page, all + page + size};
}

static size_t naive_base64(const uint8_t *in, size_t len, uint8_t *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = 0;

    for (size_t bit = 0; bit < 8 * len; bit += 6) {
        unsigned pair = in[bit / 8] << 8 | (bit / 8 + 1 < len ? in[bit / 8 + 1] : 0);

        out[n++] = (uint8_t)digits[pair >> (10 - bit % 8) & 63];
        if (bit % 384 == 378)
            n += (size_t)sprintf((char *)out + n, "\r\n");
    }
    if (len % 48)
        n += (size_t)sprintf((char *)out + n, "%s\r\n", &"=="[(len + 2) % 3]);
    return n;
}

/* Random lines, none to 40 of them, at both ends of the pages. */
static void check_row(const struct base64_kernel *row)
{
    static uint8_t want[ROOM];

    for (unsigned round = 0; round < 4000; round++) {
        size_t lines = round % 41, in_size = 48 * lines, out_size = 66 * lines;
        uint8_t *in = round & 1 ? source.start : source.end - in_size;
        uint8_t *out = round & 2 ? target.start : target.end - out_size;

        for (size_t i = 0; i < in_size; i++)
            in[i] = (uint8_t)below(256);
        naive_base64(in, in_size, want);
        row->lines(in, lines, out);
        CHECK(memcmp(out, want, out_size) == 0);
    }
}

/* A row may not touch the octets beside its own even where that would not fault. */
static void check_beside(const struct base64_kernel *row)
{
    uint8_t in[48] = {0}, out[64 + 66 + 64], before[sizeof out];

    for (unsigned offset = 0; offset < 64; offset++) {
        memset(out, 0xa5, sizeof out);
        memcpy(before, out, sizeof out);
        row->lines(in, 1, out + offset);
        naive_base64(in, sizeof in, before + offset);
        before[offset + 66] = 0xa5; /* the naive one ended its string here */
        CHECK(memcmp(out, before, sizeof out) == 0);
    }
}

/* The stream, cut at random into pieces of at most `chunk`. */
static void check_stream(size_t len, unsigned chunk)
{
    static uint8_t want[ROOM];
    struct base64 state = {.fill = 0};
    uint8_t *in = source.end - len, *out;
    size_t size, done = 0;

    for (size_t i = 0; i < len; i++)
        in[i] = (uint8_t)below(256);
    size = naive_base64(in, len, want);
    CHECK(size == base64_size(len));
    out = target.end - size;
    CHECK(base64_update(&state, NULL, 0, out) == 0);
    for (size_t at = 0, step; at < len; at += step) {
        size_t whole = state.fill, given;

        step = least(1 + below(chunk), len - at);
        given = base64_update(&state, in + at, step, out + done);
        CHECK(given == (whole + step) / 48 * 66);
        done += given;
    }
    done += base64_finish(&state, out + done);
    CHECK(done == size && memcmp(out, want, size) == 0);
    CHECK(base64_finish(&state, NULL) == 0);
}

static size_t naive_canon(const uint8_t *in, size_t len, uint8_t *out)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        if (in[i] == '\n' && (i == 0 || in[i - 1] != '\r'))
            out[n++] = '\r';
        out[n++] = in[i];
    }
    return n;
}

/* `rare`: how seldom a CR or an LF comes. */
static void check_canon(size_t len, unsigned rare, unsigned chunk)
{
    static uint8_t want[ROOM];
    uint8_t *in = source.end - len, *out;
    uint8_t counted = 0, copied = 0;
    size_t size, count = 0, done = 0;

    for (size_t i = 0; i < len; i++)
        in[i] = (uint8_t)"\r\nx\0\x8a\x0b\x0c\x0e"[below(rare) ? 2 + below(6) : below(2)];
    size = naive_canon(in, len, want);
    out = target.end - size;
    for (size_t at = 0, step; at < len; at += step) {
        step = least(below(chunk + 1), len - at); /* none at all, too */
        count += canon_count(in + at, step, &counted);
        done += canon_copy(in + at, step, &copied, out + done);
        CHECK(at + step == 0 || (counted == in[at + step - 1] && copied == counted));
    }
    CHECK(count == size - len && done == size && memcmp(out, want, size) == 0);
}

/* All strings of CR, LF and x of up to seven octets, cut at each place. */
static void check_short_texts(void)
{
    uint8_t in[7], out[14], want[14];

    for (unsigned text = 0, texts = 2187; text < texts; text++)
        for (unsigned len = 0; len <= sizeof in; len++)
            for (unsigned cut = 0; cut <= len; cut++) {
                uint8_t last = 0;
                size_t size;

                for (unsigned i = 0, digits = text; i < len; i++, digits /= 3)
                    in[i] = (uint8_t)"\r\nx"[digits % 3];
                size = canon_copy(in, cut, &last, out);
                size += canon_copy(in + cut, len - cut, &last, out + size);
                CHECK(size == naive_canon(in, len, want) && memcmp(out, want, size) == 0);
            }
}

/* Line feeds alone, and more of them than sums of one octet can hold. */
static void check_many(void)
{
    static uint8_t in[100000], out[2 * sizeof in];
    uint8_t counted = 0, copied = 0;

    memset(in, '\n', sizeof in);
    CHECK(canon_count(in, sizeof in, &counted) == sizeof in);
    CHECK(canon_copy(in, sizeof in, &copied, out) == sizeof out);
    for (size_t i = 0; i < sizeof out; i += 2)
        CHECK(memcmp(out + i, "\r\n", 2) == 0);
}

int main(void)
{
    const struct base64_kernel *row;

    source = guard(LONGEST);
    target = guard(ROOM);
    for (unsigned i = 0; (row = base64_kernel_at(i)) != NULL; i++) {
        check_row(row);
        check_beside(row);
        cpu_restrict(row->needs);
        printf("%s as %s\n", row->name, base64_kernel()->name);
        for (unsigned len = 0; len <= LONGEST; len++) {
            check_stream(len, LONGEST);
            check_stream(len, 1 + below(100));
        }
        cpu_restrict(~0u);
    }
    check_short_texts();
    check_many();
    for (unsigned len = 0; len <= LONGEST; len++)
        for (unsigned rare = 1; rare <= 64; rare *= 4) {
            check_canon(len, rare, LONGEST);
            check_canon(len, rare, 1 + below(200));
        }
    puts("ok");
    return 0;
}
