/* rsa_wrap against OpenSSL's private keys.
 *
 *   cc -O3 -Inative tests/native/rsa_wrap.c $(find native -name "*.c") -lcrypto -o rsa_wrap
 *   ./rsa_wrap [secrets]
 *
 * `secrets`: how many are encrypted and decrypted, 1250 if not given. */
#include "rsa_keys.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

enum { DEFAULT_SECRETS = 1250 };

enum { MOST_JOBS = 64, MOST_SECRET = 32 };

static const struct {
    unsigned bits, exponent;
} sizes[] = {{1024, 65537}, {1031, 3}, {1246, 65537}, {1247, 65537}, {2047, 3},
             {2048, 65537}, {2048, 65537}, {3072, 65537}, {4096, 65537}};

enum { PEOPLE = sizeof sizes / sizeof *sizes };

static struct person {
    struct rsa_key key;
    EVP_PKEY_CTX *opener[2]; /* by enum rsa_padding */
} people[PEOPLE];

static EVP_PKEY *generate(unsigned bits, unsigned power)
{
    EVP_PKEY_CTX *generator = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    EVP_PKEY *private = NULL;
    BIGNUM *exponent = new_number();

    CHECK(EVP_PKEY_keygen_init(generator) > 0);
    CHECK(EVP_PKEY_CTX_set_rsa_keygen_bits(generator, (int)bits) > 0);
    /* As many primes as OpenSSL allows are found the soonest. */
    CHECK(EVP_PKEY_CTX_set_rsa_keygen_primes(generator, bits < 4096 ? 3 : 4) > 0);
    CHECK(BN_set_word(exponent, power));
    CHECK(EVP_PKEY_CTX_set1_rsa_keygen_pubexp(generator, exponent) > 0);
    CHECK(EVP_PKEY_generate(generator, &private) > 0);
    EVP_PKEY_CTX_free(generator);
    BN_free(exponent);
    return private;
}

static EVP_PKEY_CTX *new_opener(EVP_PKEY *private, unsigned padding)
{
    EVP_PKEY_CTX *opener = EVP_PKEY_CTX_new_from_pkey(NULL, private, NULL);
    const bool oaep = padding == RSA_OAEP_SHA256;
    const int number = oaep ? RSA_PKCS1_OAEP_PADDING : RSA_PKCS1_PADDING;

    CHECK(EVP_PKEY_decrypt_init(opener) > 0);
    CHECK(EVP_PKEY_CTX_set_rsa_padding(opener, number) > 0);
    CHECK(!oaep || EVP_PKEY_CTX_set_rsa_oaep_md(opener, EVP_sha256()) > 0); /* the mask's too */
    return opener;
}

static void set_up_person(struct person *person, unsigned bits, unsigned power)
{
    EVP_PKEY *private = generate(bits, power);
    BIGNUM *modulus = NULL;

    CHECK(EVP_PKEY_get_bn_param(private, OSSL_PKEY_PARAM_RSA_N, &modulus));
    prepare(&person->key, modulus, power);
    for (unsigned padding = 0; padding < 2; padding++)
        person->opener[padding] = new_opener(private, padding);
    BN_free(modulus);
    EVP_PKEY_free(private);
}

static struct wrapped {
    const struct person *to;
    uint8_t secret[MOST_SECRET], out[ROOM];
} wrapped[MOST_JOBS];

static struct rsa_job jobs[MOST_JOBS];

static void draw_job(struct rsa_job *job, struct wrapped *one)
{
    one->to = &people[below(PEOPLE)];
    fill_random(one->secret, sizeof one->secret);
    memset(one->out, UNTOUCHED, ROOM);
    job->key = &one->to->key;
    job->secret = one->secret;
    job->secret_len = below(2) ? 16 : 32;
    job->padding = below(2) ? RSA_PKCS1V15 : RSA_OAEP_SHA256;
    job->out = one->out;
}

static bool opens(const struct rsa_job *job, const struct wrapped *one)
{
    EVP_PKEY_CTX *opener = one->to->opener[job->padding];
    uint8_t opened[RSA_MOST_OCTETS];
    size_t len = sizeof opened;

    if (EVP_PKEY_decrypt(opener, opened, &len, one->out, job->key->size) <= 0)
        return false;
    return len == job->secret_len && !memcmp(opened, one->secret, len);
}

static void verify_job(const struct rsa_job *job, const struct wrapped *one)
{
    CHECK(opens(job, one));
    for (size_t i = job->key->size; i < ROOM; i++)
        CHECK(one->out[i] == UNTOUCHED);
}

static void test_wrap(uint64_t cases)
{
    unsigned count;

    for (uint64_t done = 0; done < cases; done += count) {
        count = (unsigned)min_size(1 + below(MOST_JOBS), cases - done);
        for (unsigned i = 0; i < count; i++)
            draw_job(&jobs[i], &wrapped[i]);
        CHECK(!rsa_wrap(jobs, count));
        for (unsigned i = 0; i < count; i++)
            verify_job(&jobs[i], &wrapped[i]);
        flip(wrapped[0].out, jobs[0].key->size);
        CHECK(!opens(&jobs[0], &wrapped[0]));
    }
    printf("rsa wrap ok: %llu secrets\n", (unsigned long long)cases);
}

int main(int count, char **arguments)
{
    scratch = BN_CTX_new();
    CHECK(scratch);
    for (unsigned i = 0; i < PEOPLE; i++)
        set_up_person(&people[i], sizes[i].bits, sizes[i].exponent);
    test_wrap(count > 1 ? strtoull(arguments[1], NULL, 10) : DEFAULT_SECRETS);
    return 0;
}
