/* SPDX-License-Identifier: Apache-2.0 */
/* Private keys that are encrypted: with the passphrase they are read, without it or with another it is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "cert/cert.h"
#include "folder.h"
#include "identity.h"

static char *text_of(BIO *bio)
{
    char *data;
    long len = BIO_get_mem_data(bio, &data);
    char *text = calloc(1, (size_t)len + 1);

    memcpy(text, data, (size_t)len);
    BIO_free(bio);
    return text;
}

static char *encrypt(const struct identity *id, bool traditional, const EVP_CIPHER *cipher, const char *word, int len)
{
    BIO *bio = BIO_new(BIO_s_mem());
    unsigned char *bytes = (unsigned char *)(uintptr_t)word;
    int ok = traditional
        ? PEM_write_bio_PrivateKey_traditional(bio, id->private_key, cipher, bytes, len, NULL, NULL)
        : PEM_write_bio_PKCS8PrivateKey(bio, id->private_key, cipher, (char *)bytes, len, NULL, NULL);

    assert_int_equal(ok, 1);
    return text_of(bio);
}

static struct milgi_problem load(
    const struct identity *id, const void *key, size_t key_len, const char *word, size_t len, int expected)
{
    struct milgi_problem problem = { .kind = MILGI_PROBLEM_NONE };
    struct milgi_credential *c = (void *)&problem;
    int rv = milgi_credential_load_pem_encrypted(
        id->chain_pem, strlen(id->chain_pem), key, key_len, word, len, &c, &problem);

    if (rv != expected)
        print_error("%s\n", problem.text);
    assert_int_equal(rv, expected);
    assert_int_equal(c != NULL, rv == 0);
    milgi_credential_unref(c);
    return problem;
}

static void judge(
    const struct identity *id, const char *key, const char *word, int expected, enum milgi_problem_kind kind)
{
    struct milgi_problem problem = load(id, key, strlen(key), word, word ? strlen(word) : 0, expected);

    assert_int_equal(problem.kind, kind);
    assert_int_equal(problem.file, kind == MILGI_PROBLEM_NONE ? MILGI_FILE_NONE : MILGI_FILE_KEY);
}

/* AWS-LC does not write keys that are restricted to PSS, so their bytes are not to be had of it: that is said. */
static void judge_restricted(const struct identity *id, const char *pem)
{
    struct milgi_problem problem = { .kind = MILGI_PROBLEM_NONE };
    struct milgi_credential *c;
    int rv = milgi_credential_load_pem_encrypted(
        id->chain_pem, strlen(id->chain_pem), pem, strlen(pem), "sesame", 6, &c, &problem);

    assert_int_equal(rv, problem.kind == MILGI_PROBLEM_NONE ? 0 : MILGI_EUNSUPPORTED);
    assert_true(rv == 0 || problem.kind == MILGI_PROBLEM_KEY_KIND);
    milgi_credential_unref(c);
}

/*= RFC5958 3: "EncryptedPrivateKeyInfo ::= SEQUENCE { encryptionAlgorithm EncryptionAlgorithmIdentifier, encryptedData
 *= EncryptedData }" */
static void with_its_passphrase_every_kind_of_key_is_read(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < IDENTITY_KEYS; kind++) {
        struct identity *id = identity_root((enum identity_key)kind, "root");
        char *pem = encrypt(id, false, EVP_aes_256_cbc(), "sesame", 6);
        if (kind != IDENTITY_RSA_PSS)
            judge(id, pem, "sesame", 0, MILGI_PROBLEM_NONE);
        else
            judge_restricted(id, pem);
        judge(id, pem, NULL, MILGI_EPARSE, MILGI_PROBLEM_ENCRYPTED);
        judge(id, id->key_pem, "sesame", 0, MILGI_PROBLEM_NONE); /* nothing to be opened with it */
        judge(id, id->key_pem, NULL, 0, MILGI_PROBLEM_NONE);
        free(pem);
        identity_free(id);
    }
}

static void both_forms_are_read_in_the_usual_ciphers(void **state)
{
    const enum identity_key kinds[] = { IDENTITY_P256, IDENTITY_RSA };
    const EVP_CIPHER *ciphers[] = { EVP_aes_128_cbc(), EVP_aes_192_cbc(), EVP_aes_256_cbc(), EVP_des_ede3_cbc() };

    (void)state;
    for (size_t i = 0; i < MILGI__COUNT(kinds); i++) {
        struct identity *id = identity_root(kinds[i], "root");
        for (size_t k = 0; k < 2 * MILGI__COUNT(ciphers); k++) {
            char *pem = encrypt(id, k % 2 == 1, ciphers[k / 2], "open, sesame", 12);
            judge(id, pem, "open, sesame", 0, MILGI_PROBLEM_NONE);
            judge(id, pem, NULL, MILGI_EPARSE, MILGI_PROBLEM_ENCRYPTED);
            free(pem);
        }
        identity_free(id);
    }
}

/* One of 256 or so leaves a right padding behind it: that makes no difference to what is said. */
static void with_another_passphrase_it_is_said_that_it_is_wrong(void **state)
{
    struct identity *id = identity_root(IDENTITY_P256, "root");

    (void)state;
    for (int traditional = 0; traditional < 2; traditional++) {
        char *pem = encrypt(id, traditional, EVP_aes_128_cbc(), "sesame", 6), word[24];
        for (unsigned i = 0; i < (traditional ? 2000u : 300u); i++) {
            snprintf(word, sizeof word, "wheat %u", i);
            judge(id, pem, word, MILGI_EPARSE, MILGI_PROBLEM_PASSPHRASE);
        }
        judge(id, pem, "", MILGI_EPARSE, MILGI_PROBLEM_PASSPHRASE);
        judge(id, pem, "sesam", MILGI_EPARSE, MILGI_PROBLEM_PASSPHRASE);
        judge(id, pem, "sesame\n", MILGI_EPARSE, MILGI_PROBLEM_PASSPHRASE);
        free(pem);
    }
    identity_free(id);
}

static void a_passphrase_is_bytes_of_any_value_up_to_its_bound(void **state)
{
    struct identity *id = identity_root(IDENTITY_P256, "root");
    char word[MILGI_PASSPHRASE_MAX + 1];

    (void)state;
    for (size_t i = 0; i < sizeof word; i++)
        word[i] = (char)(i % 256); /* a zero is the first */
    for (int traditional = 0; traditional < 2; traditional++) {
        char *pem = encrypt(id, traditional, EVP_aes_128_cbc(), word, MILGI_PASSPHRASE_MAX);
        assert_int_equal(load(id, pem, strlen(pem), word, MILGI_PASSPHRASE_MAX, 0).kind, MILGI_PROBLEM_NONE);
        (void)load(id, pem, strlen(pem), word, MILGI_PASSPHRASE_MAX - 1, MILGI_EPARSE);
        (void)load(id, pem, strlen(pem), word, MILGI_PASSPHRASE_MAX + 1, MILGI_EINVAL);
        free(pem);
    }
    identity_free(id);
}

static char *with_byte(const struct identity *id, const uint8_t *oid, size_t oid_len)
{
    char *pem = encrypt(id, false, EVP_aes_256_cbc(), "sesame", 6), *name, *header;
    uint8_t *der;
    long len;
    BIO *in = BIO_new_mem_buf(pem, -1), *out = BIO_new(BIO_s_mem());

    assert_int_equal(PEM_read_bio(in, &name, &header, &der, &len), 1);
    uint8_t *at = memmem(der, (size_t)len, oid, oid_len);
    assert_non_null(at);
    at[oid_len - 1] = 0x7f;
    assert_true(PEM_write_bio(out, name, "", der, len) > 0);
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(der);
    BIO_free(in);
    free(pem);
    return text_of(out);
}

static void what_is_encrypted_in_a_strange_way_is_not_called_a_wrong_passphrase(void **state)
{
    static const uint8_t pbes2[] = { 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0d };
    static const uint8_t pbkdf2[] = { 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0c };
    static const uint8_t aes256[] = { 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2a };
    struct identity *id = identity_root(IDENTITY_P256, "root");
    char *made[] = { with_byte(id, pbes2, sizeof pbes2), with_byte(id, pbkdf2, sizeof pbkdf2),
        with_byte(id, aes256, sizeof aes256), encrypt(id, true, EVP_aes_128_cbc(), "sesame", 6) };

    (void)state;
    memcpy(strstr(made[3], "AES-128"), "AES-127", 7);
    for (size_t i = 0; i < MILGI__COUNT(made); i++) {
        judge(id, made[i], "sesame", MILGI_EUNSUPPORTED, MILGI_PROBLEM_PASSPHRASE);
        free(made[i]);
    }
    identity_free(id);
}

/* Cut anywhere, or with any one line damaged, it is refused, and never because of anything but the key's file. */
static void what_is_damaged_is_refused(void **state)
{
    struct identity *id = identity_root(IDENTITY_P256, "root");

    (void)state;
    for (int traditional = 0; traditional < 2; traditional++) {
        char *pem = encrypt(id, traditional, EVP_aes_128_cbc(), "sesame", 6);
        size_t len = strlen(pem);
        for (size_t cut = 0; cut + 2 < len; cut++) {
            struct milgi_problem problem = load(id, pem, cut, "sesame", 6, MILGI_EPARSE);
            assert_int_equal(problem.file, MILGI_FILE_KEY);
        }
        for (size_t at = 0; at < len; at += 7) {
            struct milgi_credential *c;
            struct milgi_problem problem;
            char *text = strdup(pem);
            text[at] = (char)(text[at] == 'A' ? 'B' : 'A');
            int rv = milgi_credential_load_pem_encrypted(
                id->chain_pem, strlen(id->chain_pem), text, len, "sesame", 6, &c, &problem);
            if (rv != 0) /* else it was padding, or a salt's byte that was an A */
                assert_int_equal(problem.file, problem.kind == MILGI_PROBLEM_ORDER ? MILGI_FILE_CHAIN : MILGI_FILE_KEY);
            milgi_credential_unref(c);
            free(text);
        }
        free(pem);
    }
    identity_free(id);
}

static void what_is_inside_is_judged_like_any_key(void **state)
{
    struct identity *id = identity_root(IDENTITY_P256, "root"), *other = identity_root(IDENTITY_P256, "other");
    struct identity *ed448 = identity_root(IDENTITY_ED448, "strange");
    struct identity *weak = identity_new(
        &(struct identity_options){ .key = IDENTITY_RSA, .rsa_bits = 1024, .common_name = "weak" });
    char *pem[] = { encrypt(other, false, EVP_aes_128_cbc(), "sesame", 6),
        encrypt(ed448, false, EVP_aes_128_cbc(), "sesame", 6), encrypt(weak, false, EVP_aes_128_cbc(), "sesame", 6),
        encrypt(weak, true, EVP_aes_128_cbc(), "sesame", 6) };

    (void)state;
    judge(id, pem[0], "sesame", MILGI_EMISMATCH, MILGI_PROBLEM_MISMATCH);
    judge(id, pem[2], "sesame", MILGI_EWEAK, MILGI_PROBLEM_KEY_WEAK);
    judge(id, pem[3], "sesame", MILGI_EWEAK, MILGI_PROBLEM_KEY_WEAK);
    struct milgi_credential *c;
    assert_int_not_equal(milgi_credential_load_pem_encrypted(id->chain_pem, strlen(id->chain_pem), pem[1],
                             strlen(pem[1]), "sesame", 6, &c, NULL),
        0);
    assert_null(c);
    for (size_t i = 0; i < MILGI__COUNT(pem); i++)
        free(pem[i]);
    identity_free(weak);
    identity_free(ed448);
    identity_free(other);
    identity_free(id);
}

static void files_are_read_with_a_passphrase(void **state)
{
    struct identity *id = identity_root(IDENTITY_P256, "root");
    char *pem = encrypt(id, false, EVP_aes_128_cbc(), "sesame", 6);
    struct milgi_credential *c;
    struct milgi_problem problem;

    (void)state;
    char *chain = identity_write(folder(), "chain.pem", id->chain_pem);
    char *key = identity_write(folder(), "key.pem", pem);
    assert_int_equal(milgi_credential_load_encrypted(chain, key, "sesame", 6, &c, &problem), 0);
    milgi_credential_unref(c);
    assert_int_equal(milgi_credential_load(chain, key, &c, &problem), MILGI_EPARSE);
    assert_int_equal(problem.kind, MILGI_PROBLEM_ENCRYPTED);
    assert_int_equal(milgi_credential_load_encrypted(chain, key, "wheat", 5, &c, &problem), MILGI_EPARSE);
    assert_int_equal(problem.kind, MILGI_PROBLEM_PASSPHRASE);
    assert_non_null(strstr(problem.text, "passphrase"));
    assert_null(strstr(problem.text, "wheat"));
    assert_int_equal(milgi_credential_load_encrypted(chain, "pkcs11:object=www", "sesame", 6, &c, &problem), 0);
    milgi_credential_unref(c);
    free(chain);
    free(key);
    free(pem);
    identity_free(id);
}

static unsigned allocations;

static bool fail_at_zero(void)
{
    return allocations-- == 0;
}

static void every_failing_allocation_is_told_and_leaks_nothing(void **state)
{
    struct identity *id = identity_root(IDENTITY_P256, "root");

    (void)state;
    for (int traditional = 0; traditional < 2; traditional++) {
        char *pem = encrypt(id, traditional, EVP_aes_128_cbc(), "sesame", 6);
        struct milgi_credential *c = NULL;
        for (unsigned n = 0; !c; n++) {
            assert_true(n < 1000);
            allocations = n;
            milgi__mem_fail = fail_at_zero;
            int error = milgi_credential_load_pem_encrypted(
                id->chain_pem, strlen(id->chain_pem), pem, strlen(pem), "sesame", 6, &c, NULL);
            milgi__mem_fail = NULL;
            assert_int_equal(error, c ? 0 : MILGI_ENOMEM);
        }
        milgi_credential_unref(c);
        free(pem);
    }
    identity_free(id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_its_passphrase_every_kind_of_key_is_read),
        cmocka_unit_test(both_forms_are_read_in_the_usual_ciphers),
        cmocka_unit_test(with_another_passphrase_it_is_said_that_it_is_wrong),
        cmocka_unit_test(a_passphrase_is_bytes_of_any_value_up_to_its_bound),
        cmocka_unit_test(what_is_encrypted_in_a_strange_way_is_not_called_a_wrong_passphrase),
        cmocka_unit_test(what_is_damaged_is_refused),
        cmocka_unit_test(what_is_inside_is_judged_like_any_key),
        cmocka_unit_test(files_are_read_with_a_passphrase),
        cmocka_unit_test(every_failing_allocation_is_told_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
