#include "readable.h"

#define LANES(value) ((uint64_t)(value) * 0x0001000100010001u)

enum { BLOCK = 4096, FAR = 0x4000 };

static unsigned lane(uint64_t numbers, unsigned script)
{
    return numbers >> 16 * script & 0xFFFF;
}

/* A run that is far longer than any needs no exact length, and must not reach the next lane. */
static uint64_t shortened(uint64_t run)
{
    for (unsigned script = 0; script < READABLE_SCRIPTS; script++)
        if (lane(run, script) > FAR)
            run -= (uint64_t)(lane(run, script) - FAR) << 16 * script;
    return run;
}

static unsigned count_ended(uint64_t run, uint64_t ended, uint32_t *lengths)
{
    unsigned count = 0;

    for (unsigned script = 0; script < READABLE_SCRIPTS; script++, lengths += READABLE_LONGEST) {
        if (lane(ended, script)) {
            lengths[min_size(lane(run, script), READABLE_LONGEST - 1)]++;
            count++;
        }
    }
    return count;
}

size_t readable_runs(const uint64_t *signs, uint64_t shortest, const uint8_t *octets, size_t len,
                     size_t step, uint32_t *lengths)
{
    const uint64_t missing = LANES(0x8000) - shortest;
    uint64_t run = 0;
    size_t count = 0;

    for (size_t at = 0; at < len; run = shortened(run)) {
        const size_t end = (len - at) / step > BLOCK ? at + step * BLOCK : len;
        for (; at < end; at += step) {
            if (octets[at] == 0)
                continue;
            const uint64_t sign = signs[octets[at]];
            const uint64_t ended = (run + missing) & ~sign & LANES(0x8000);
            if (ended)
                count += count_ended(run, ended, lengths);
            run = (run + LANES(1)) & sign;
        }
    }
    return count + count_ended(run, (run + missing) & LANES(0x8000), lengths);
}

int readable_share(const uint64_t *signs, uint64_t most, uint64_t most_of_last,
                   const uint8_t *octets, size_t len, size_t window)
{
    for (size_t at = 0; at < len; at += window) {
        const size_t count = len - at > window ? window : len - at;
        const uint64_t allowed = len - at > window ? most : most_of_last;
        uint64_t found = 0;
        for (size_t i = at; i < at + count; i++)
            found += signs[octets[i]] & LANES(1);
        if ((found + (LANES(0x7FFF) - allowed)) & LANES(0x8000))
            return 1;
    }
    return 0;
}

/* --- what may be compressed ------------------------------------------------------------------- */

/* Random octets stay within these limits nearly always: the sum of squares is as expected and six
 * times its deviation more, and one group of three comes again in every other window of full
 * length. Within them Deflate saves less than its tables take. */
enum { SHORTEST = 64, MOST_REPEATS = 4, PLACES_BITS = 14, PLACES = 1 << PLACES_BITS };

static uint32_t most_squares(uint32_t len)
{
    return len + len * len / 256 + len * 17 / 32;
}

static bool is_even(const uint8_t *octets, size_t len)
{
    uint16_t counts[256] = {0};
    uint32_t squares = 0;

    for (size_t i = 0; i < len; i++)
        counts[octets[i]]++;
    for (size_t i = 0; i < 256; i++)
        squares += (uint32_t)counts[i] * counts[i];
    return squares <= most_squares((uint32_t)len);
}

static bool comes_again(const uint8_t *octets, size_t len)
{
    uint16_t seen[PLACES] = {0}; /* where the last group of this hash is, counted from 1 */
    unsigned repeats = 0, probes = 0;

    for (size_t i = 0; i + 3 <= len; i++) {
        const uint32_t group =
            (uint32_t)octets[i] << 16 | (uint32_t)octets[i + 1] << 8 | octets[i + 2];
        uint32_t place = (group * 0x9E3779B1u) >> (32 - PLACES_BITS);
        while (seen[place] && memcmp(octets + seen[place] - 1, octets + i, 3) != 0) {
            place = (place + 1) % PLACES;
            if (++probes > len)
                return true;
        }
        if (seen[place] && ++repeats > MOST_REPEATS)
            return true;
        seen[place] = (uint16_t)(i + 1);
    }
    return false;
}

size_t readable_suspect(const uint8_t *octets, size_t len, size_t at)
{
    for (; at < len; at += READABLE_WINDOW) {
        const size_t count = min_size(len - at, READABLE_WINDOW);
        if (count >= SHORTEST && (!is_even(octets + at, count) || comes_again(octets + at, count)))
            return at;
    }
    return len;
}
