/* Digests that are hashed again, against OpenSSL; SHA-256 of every length; and what is left on the
 * caller's side of the octets.
 *
 *   cc -O3 -Inative tests/native/digest.c $(find native -name "*.c") -lcrypto -o digest && ./digest
 */
#include "hash/digest.h"
#include "tools.h"

#include <openssl/evp.h>

enum { MARGIN = 16, TIMES = 300, MOST = 64, LENGTHS = 300 };

static const char *const names[DIGESTS] = {
    "SHA1", "SHA224", "SHA256", "SHA384", "SHA512", "SHA512-224", "SHA512-256",
};

static void hash(const char *name, const uint8_t *octets, size_t len, uint8_t *out)
{
    const EVP_MD *digest = EVP_get_digestbyname(name);

    CHECK(digest);
    CHECK(EVP_Digest(octets, len, out, NULL, digest, NULL));
}

static void test_again(unsigned digest)
{
    const size_t size = (size_t)EVP_MD_size(EVP_get_digestbyname(names[digest]));
    uint8_t octets[MARGIN + MOST + MARGIN], expected[sizeof octets];

    fill_random(octets, sizeof octets);
    for (unsigned times = 0; times < TIMES; times++) {
        memcpy(expected, octets, sizeof octets);
        for (unsigned i = 0; i < times; i++)
            hash(names[digest], expected + MARGIN, size, expected + MARGIN);
        digest_again(digest, octets + MARGIN, times);
        CHECK(!memcmp(octets, expected, sizeof octets));
    }
    printf("%s ok\n", row_name);
}

static void test_sha256(void)
{
    uint8_t expected[SHA256_SIZE], found[SHA256_SIZE];

    for (size_t len = 0; len < LENGTHS; len++) {
        uint8_t *octets = malloc(len ? len : 1);
        CHECK(octets);
        fill_random(octets, len);
        hash("SHA256", octets, len, expected);
        sha256(octets, len, found);
        CHECK(!memcmp(found, expected, sizeof found));
        free(octets);
    }
    printf("lengths ok\n");
}

int main(void)
{
    for (unsigned digest = 0; digest < DIGESTS; digest++) {
        row_name = names[digest];
        test_again(digest);
    }
    test_sha256();
    return 0;
}
