/* What is counted of octets that should look random, against the plainest code that does the same;
 * the octets stand beside a page that must not be touched. Needs no Python:
 *
 *   cc -g -Inative tests/native/readable.c $(find native -name "*.c") -o readable && ./readable
 */
#include "mail/readable.h"
#include "guarded.h"

enum { ROOM = 1 << 16, TRIES = 1000 };

static struct guarded room;
static uint64_t signs[256];
static unsigned limits[READABLE_SCRIPTS];

static unsigned lane(uint64_t numbers, unsigned script)
{
    return numbers >> 16 * script & 0xFFFF;
}

static uint64_t packed(const unsigned *numbers)
{
    uint64_t all = 0;
    for (unsigned script = READABLE_SCRIPTS; script--;)
        all = all << 16 | numbers[script];
    return all;
}

/* One to four scripts; of few signs, of most, or of all. */
static void choose_scripts(unsigned most)
{
    const unsigned count = 1 + below(READABLE_SCRIPTS);

    memset(signs, 0, sizeof signs);
    for (unsigned script = 0; script < READABLE_SCRIPTS; script++) {
        const unsigned share = 1u << below(9);
        limits[script] = script < count ? 1 + below(most) : 0x7FFF;
        for (unsigned octet = 0; script < count && octet < 256; octet++)
            if (below(256) < share)
                signs[octet] |= (uint64_t)0xFFFF << 16 * script;
    }
}

/* So many octets, which end or begin at a guard. */
static uint8_t *octets_of(size_t len)
{
    uint8_t *octets = below(2) ? room.end - len : room.start;

    fill_random(octets, len);
    for (size_t at = 0; at < len; at++)
        if (below(8) == 0)
            octets[at] = 0;
    return octets;
}

static size_t some_length(void)
{
    return below(4) ? below(300) : below(ROOM + 1);
}

/* --- runs and shares -------------------------------------------------------------------------- */

static uint32_t expected[READABLE_SCRIPTS * READABLE_LONGEST], lengths[sizeof expected / 4];

static void count_run(unsigned script, size_t run)
{
    if (run >= limits[script])
        expected[script * READABLE_LONGEST + min_size(run, READABLE_LONGEST - 1)]++;
}

static void count_runs(const uint8_t *octets, size_t len, size_t step)
{
    memset(expected, 0, sizeof expected);
    for (unsigned script = 0; script < READABLE_SCRIPTS; script++) {
        size_t run = 0;
        for (size_t at = 0; at < len; at += step) {
            if (octets[at] && lane(signs[octets[at]], script)) {
                run++;
            } else if (octets[at]) {
                count_run(script, run);
                run = 0;
            }
        }
        count_run(script, run);
    }
}

/* Gives whether there are any. */
static bool check_runs(const uint8_t *octets, size_t len, size_t step)
{
    size_t count = 0;

    count_runs(octets, len, step);
    for (size_t i = 0; i < sizeof expected / 4; i++)
        count += expected[i];
    memset(lengths, 0, sizeof lengths);
    CHECK(readable_runs(signs, packed(limits), octets, len, step, lengths) == count);
    CHECK(!memcmp(lengths, expected, sizeof expected));
    return count;
}

static bool has_share(const uint8_t *octets, size_t len, size_t window, const unsigned *of_last)
{
    for (size_t start = 0; start < len; start += window) {
        const unsigned *most = len - start > window ? limits : of_last;
        for (unsigned script = 0; script < READABLE_SCRIPTS; script++) {
            unsigned found = 0;
            for (size_t at = start; at < len && at < start + window; at++)
                found += lane(signs[octets[at]], script) != 0;
            if (found > most[script])
                return true;
        }
    }
    return false;
}

static void check_counts(void)
{
    unsigned runs = 0, shares = 0, of_last[READABLE_SCRIPTS];

    for (unsigned i = 0; i < TRIES; i++) {
        const size_t len = some_length(), step = 1 + below(3), window = 1 + below(4096);
        const uint8_t *octets = octets_of(len);

        choose_scripts(below(2) ? 20 : 0x4000);
        runs += check_runs(octets, len, step);

        choose_scripts(below(2) ? 20 : 4096);
        for (unsigned script = 0; script < READABLE_SCRIPTS; script++)
            of_last[script] = below(2) ? limits[script] : limits[script] / 2;
        const bool found = has_share(octets, len, window, of_last);
        CHECK(readable_share(signs, packed(limits), packed(of_last), octets, len, window) == found);
        shares += found;
    }
    CHECK(TRIES / 10 < runs && runs < TRIES * 9 / 10);
    CHECK(TRIES / 10 < shares && shares < TRIES * 9 / 10);
    printf("%d runs and shares as by the plainest code\n", TRIES);
}

/* Numbers next to those of other scripts don't spill over: all octets are signs, to the last. */
static void check_longest(void)
{
    for (unsigned script = 0; script < READABLE_SCRIPTS; script++) {
        memset(room.start, 'x', ROOM);
        signs['x'] = (uint64_t)0xFFFF << 16 * script;
        for (unsigned limit = 0x4000 - 2; limit <= 0x4000; limit++) {
            for (unsigned other = 0; other < READABLE_SCRIPTS; other++)
                limits[other] = other == script ? limit : 0x7FFF;
            CHECK(!check_runs(room.end - limit + 1, limit - 1, 1));
            CHECK(check_runs(room.end - limit, limit, 1));
            CHECK(check_runs(room.start, ROOM, 1));
        }
        CHECK(!check_runs(room.end, 0, 1));
        limits[script] = READABLE_WINDOW;
        uint64_t most = packed(limits);
        CHECK(!readable_share(signs, most, most, room.start, ROOM, READABLE_WINDOW));
        limits[script] = READABLE_WINDOW - 1;
        CHECK(readable_share(signs, packed(limits), most, room.start, ROOM, READABLE_WINDOW));
        CHECK(!readable_share(signs, packed(limits), most, room.start, 4096, READABLE_WINDOW));
    }
}

/* --- what may be compressed ------------------------------------------------------------------- */

static bool is_suspect(const uint8_t *octets, size_t len)
{
    uint64_t squares = 0;
    unsigned repeats = 0;

    for (unsigned value = 0; value < 256; value++) {
        uint64_t count = 0;
        for (size_t at = 0; at < len; at++)
            count += octets[at] == value;
        squares += count * count;
    }
    for (size_t at = 0; at + 3 <= len; at++)
        for (size_t other = at; other--;)
            if (!memcmp(octets + at, octets + other, 3)) {
                repeats++;
                break;
            }
    return squares > len + len * len / 256 + len * 17 / 32 || repeats > 4;
}

/* Random octets, with something that comes again, or more of one value. */
static void make_suspect(uint8_t *octets, size_t len)
{
    for (unsigned i = below(8); i--;)
        octets[below((uint32_t)len)] = 7;
    for (unsigned i = below(4); i--;) {
        const uint32_t most = (uint32_t)len - 8;
        memmove(octets + below(most), octets + below(most), 3 + below(3));
    }
    if (below(4) == 0)
        for (unsigned i = below((uint32_t)len); i--;)
            octets[below((uint32_t)len)] &= (uint8_t)~(1u << below(8));
}

/* Octet by octet across each limit: more of one value, and more groups that come again, of which
 * the first is the last one of all. */
static void check_limits(void)
{
    for (unsigned i = 0; i < 40; i++) {
        const size_t len = 64 + below(200);
        uint8_t *octets = room.end - len;
        fill_random(octets, len);
        for (size_t at = 0; at < len / 5; at++) {
            if (i % 2)
                octets[at] = 7;
            else
                memmove(octets + len - 3 - 3 * at, octets + at, 3);
            CHECK(readable_suspect(octets, len, 0) == (is_suspect(octets, len) ? 0 : len));
        }
    }
    memset(room.end - 64, 0, 64);
    CHECK(readable_suspect(room.end - 64, 64, 0) == 0);
    CHECK(readable_suspect(room.end - 63, 63, 0) == 63);
}

static void check_suspects(void)
{
    enum { WINDOW = READABLE_WINDOW, WINDOWS = 60 };
    unsigned suspect = 0;

    for (unsigned i = 0; i < WINDOWS; i++) {
        const size_t len = i % 3 ? 64 + below(WINDOW - 63) : WINDOW;
        uint8_t *octets = room.end - len;
        fill_random(octets, len);
        make_suspect(octets, len);
        const bool expected = is_suspect(octets, len);
        CHECK(readable_suspect(octets, len, 0) == (expected ? 0 : len));
        suspect += expected;
    }
    CHECK(WINDOWS / 10 < suspect && suspect < WINDOWS * 9 / 10);

    fill_random(room.start, ROOM);
    const size_t len = 4 * WINDOW + 63;
    uint8_t *octets = room.end - len;
    memset(octets + WINDOW, 0, WINDOW);
    memset(octets + 4 * WINDOW, 0, 63);
    CHECK(readable_suspect(octets, len, 0) == WINDOW);
    CHECK(readable_suspect(octets, len, WINDOW) == WINDOW);
    CHECK(readable_suspect(octets, len, 2 * WINDOW) == len); /* 63 are too few */
    CHECK(readable_suspect(octets + 1, len - 1, len - 1) == len - 1);
    CHECK(readable_suspect(room.end, 0, 0) == 0);
    printf("%d windows suspect as by the plainest code\n", WINDOWS);
}

int main(void)
{
    room = guarded(ROOM);
    check_counts();
    check_longest();
    check_limits();
    check_suspects();
    return 0;
}
