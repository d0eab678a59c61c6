/* SPDX-License-Identifier: Apache-2.0 */
/* What programs want of a libcrypto beside TLS: digests, keys of passwords, base64, and bytes of hexadecimal digits. */
#include "duo.h"

#include <openssl/bn.h>
#include <openssl/buffer.h>
#include <openssl/evp.h>
#include <stdio.h>

static const char *hex(const uint8_t *bytes, size_t n)
{
    static char text[2 * EVP_MAX_MD_SIZE + 1];
    for (size_t i = 0; i < n; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    return text;
}

static void digests_are_those_of_their_names(void **state)
{
    static const struct {
        const char *names[4], *abc; /* FIPS 180-4's example */
        int size, block;
    } cases[] = {
        { { "SHA1", "sha1", "SHA-1" }, "a9993e364706816aba3e25717850c26c9cd0d89d", 20, 64 },
        { { "sha224", "SHA2-224" }, "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7", 28, 64 },
        { { "SHA256", "sha256", "SHA2-256", "sha-256" },
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", 32, 64 },
        { { "SHA384", "sha384" },
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7", 48,
            128 },
        { { "SHA512", "sha512", "SHA-512" },
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
            "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            64, 128 },
    };
    uint8_t out[EVP_MAX_MD_SIZE];
    unsigned n;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t k = 0; k < 4 && cases[i].names[k]; k++) {
            const EVP_MD *md = EVP_get_digestbyname(cases[i].names[k]);
            assert_non_null(md);
            assert_int_equal(EVP_MD_size(md), cases[i].size);
            assert_int_equal(EVP_MD_block_size(md), cases[i].block);
            assert_int_equal(EVP_Digest("abc", 3, out, &n, md, NULL), 1);
            assert_int_equal(n, cases[i].size);
            assert_string_equal(hex(out, n), cases[i].abc);
        }
    }
    assert_ptr_equal(EVP_get_digestbyname("SHA256"), EVP_sha256());
    static const char *const none[] = { "", "sha", "sha25", "sha2566", "sha-", "nothing" };
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_null(EVP_get_digestbyname(none[i]));
    ERR_clear_error();
}

static void a_digest_is_made_in_pieces(void **state)
{
    uint8_t whole[EVP_MAX_MD_SIZE], out[EVP_MAX_MD_SIZE];
    unsigned n;
    (void)state;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new(), *copy = EVP_MD_CTX_new();
    assert_int_equal(EVP_Digest("abcdef", 6, whole, NULL, EVP_sha512(), NULL), 1);
    assert_int_equal(EVP_DigestInit_ex(ctx, EVP_sha512(), NULL), 1);
    assert_int_equal(EVP_DigestUpdate(ctx, "abc", 3), 1);
    assert_int_equal(EVP_DigestUpdate(ctx, NULL, 0), 1);
    assert_int_equal(EVP_MD_CTX_copy_ex(copy, ctx), 1);
    assert_int_equal(EVP_DigestUpdate(ctx, "def", 3), 1);
    assert_int_equal(EVP_DigestFinal_ex(ctx, out, &n), 1);
    assert_memory_equal(out, whole, n);
    assert_int_equal(EVP_DigestUpdate(copy, "def", 3), 1);
    assert_int_equal(EVP_DigestFinal_ex(copy, out, NULL), 1);
    assert_memory_equal(out, whole, n);
    assert_int_equal(EVP_DigestInit_ex(ctx, NULL, NULL), 1); /* the same again */
    assert_int_equal(EVP_DigestUpdate(ctx, "abcdef", 6), 1);
    assert_int_equal(EVP_DigestFinal(ctx, out, &n), 1);
    assert_memory_equal(out, whole, 64);
    assert_int_equal(EVP_DigestInit(ctx, EVP_sha1()), 1);
    assert_int_equal(EVP_DigestFinal_ex(ctx, out, &n), 1);
    assert_int_equal(n, 20);
    EVP_MD_CTX_free(copy);
    EVP_MD_CTX_free(ctx);
    EVP_MD_CTX_free(NULL);
}

/* RFC 7914 11, and a salt and a password of no bytes. */
static void a_key_is_made_of_a_password(void **state)
{
    uint8_t out[64];
    (void)state;
    assert_int_equal(PKCS5_PBKDF2_HMAC("passwd", -1, (const uint8_t *)"salt", 4, 1, EVP_sha256(), 64, out), 1);
    assert_string_equal(hex(out, 64),
        "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"
        "49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783");
    assert_int_equal(PKCS5_PBKDF2_HMAC("Password", 8, (const uint8_t *)"NaCl", 4, 80000, EVP_sha256(), 64, out), 1);
    assert_string_equal(hex(out, 64),
        "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56"
        "a1d425a1225833549adb841b51c9b3176a272bdebba1d078478f62b397f33c8d");
    assert_int_equal(PKCS5_PBKDF2_HMAC("", 0, (const uint8_t *)"", 0, 101, EVP_sha512(), 20, out), 1);
    assert_int_equal(PKCS5_PBKDF2_HMAC("x", 1, (const uint8_t *)"salt", 4, 0, EVP_sha256(), 20, out), 0);
    ERR_clear_error();
}

static BIO *before_memory(int flags)
{
    BIO *bio = BIO_new(BIO_f_base64());
    BIO_set_flags(bio, flags);
    assert_int_equal(BIO_test_flags(bio, BIO_FLAGS_BASE64_NO_NL), flags);
    BIO *chain = BIO_push(bio, BIO_new(BIO_s_mem()));
    assert_ptr_equal(chain, bio);
    assert_non_null(BIO_next(bio));
    return bio;
}

static void base64_is_written(void **state)
{
    static const char text[] = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvw", /* 49 */
        line[] = "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWZnaGlqa2xtbm9wcXJzdHV2";
    static const struct {
        size_t n;
        int flags;
        size_t before; /* it is flushed */
        const char *end;
    } cases[] = { { 0, BIO_FLAGS_BASE64_NO_NL, 0, "" }, { 48, BIO_FLAGS_BASE64_NO_NL, 64, "" },
        { 49, BIO_FLAGS_BASE64_NO_NL, 64, "dw==" }, { 48, 0, 65, "\n" }, { 49, 0, 65, "\ndw==\n" } };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        BIO *bio = before_memory(cases[i].flags);
        BUF_MEM *mem;
        for (size_t k = 0; k < cases[i].n; k++)
            assert_int_equal(BIO_write(bio, text + k, 1), 1);
        assert_int_equal(BIO_get_mem_ptr(bio, &mem), 1);
        assert_int_equal(mem->length, cases[i].before);
        assert_int_equal(BIO_flush(bio), 1);
        BIO_get_mem_ptr(bio, &mem);
        char want[256];
        snprintf(want, sizeof want, "%s%s", cases[i].n ? line : "", cases[i].end);
        assert_int_equal(mem->length, strlen(want));
        assert_memory_equal(mem->data ? mem->data : "", want, mem->length);
        BIO_free_all(bio);
    }
}

static void base64_is_read(void **state)
{
    static const struct {
        const char *in;
        int flags;
        const char *out; /* NULL: it is none */
    } cases[] = { { "YWJj", BIO_FLAGS_BASE64_NO_NL, "abc" }, { "YWJjZA==", BIO_FLAGS_BASE64_NO_NL, "abcd" },
        { "YWJjZGU=\n", BIO_FLAGS_BASE64_NO_NL, "abcde" }, { "YWJjZA", BIO_FLAGS_BASE64_NO_NL, "abc" },
        { "YWJj\nZGVm\n", 0, "abcdef" }, { "!!!!", BIO_FLAGS_BASE64_NO_NL, NULL },
        { "YWJj!!!!", BIO_FLAGS_BASE64_NO_NL, NULL }, { "", BIO_FLAGS_BASE64_NO_NL, NULL }, { "", 0, NULL } };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[100];
        BIO *bio = before_memory(cases[i].flags), *mem = BIO_next(bio);
        BIO_write(mem, cases[i].in, (int)strlen(cases[i].in));
        int n = BIO_read(bio, out, sizeof out);
        if (!cases[i].out) {
            assert_true(n <= 0);
        } else {
            assert_int_equal(n, strlen(cases[i].out));
            assert_memory_equal(out, cases[i].out, (size_t)n);
            assert_true(BIO_read(bio, out, sizeof out) <= 0);
        }
        assert_ptr_equal(BIO_pop(bio), mem);
        BIO_free(mem);
        assert_int_equal(BIO_write(bio, "a", 1), 0); /* there is nothing behind it */
        BIO_free_all(bio);
    }
}

static void a_certificate_has_a_fingerprint(void **state)
{
    char command[600], want[128] = "";
    uint8_t out[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    (void)state;
    snprintf(command, sizeof command, "openssl x509 -in %s -outform DER | sha256sum", file("server.pem"));
    FILE *pipe = popen(command, "r");
    assert_non_null(fgets(want, sizeof want, pipe));
    assert_int_equal(pclose(pipe), 0);
    want[64] = 0;
    BIO *bio = BIO_new_file(file("server.pem"), "r");
    X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    assert_int_equal(X509_digest(x, EVP_sha256(), out, &n), 1);
    assert_int_equal(n, 32);
    assert_string_equal(hex(out, n), want);
    X509_free(x);
    BIO_free(bio);
}

static void numbers_are_bytes(void **state)
{
    BIGNUM *bn = NULL;
    uint8_t out[32];
    (void)state;
    assert_int_equal(BN_hex2bn(&bn, "00ff10xyz"), 6);
    assert_int_equal(BN_num_bytes(bn), 2);
    assert_int_equal(BN_bn2bin(bn, out), 2);
    assert_memory_equal(out, "\xff\x10", 2);
    assert_int_equal(BN_hex2bn(&bn, "1"), 1); /* into the same */
    assert_int_equal(BN_num_bits(bn), 1);
    assert_int_equal(BN_hex2bn(NULL, "123"), 3);
    assert_ptr_equal(BN_bin2bn((const uint8_t *)"\0\x12\x34", 3, bn), bn);
    assert_int_equal(BN_bn2bin(bn, out), 2);
    assert_memory_equal(out, "\x12\x34", 2);
    BN_free(bn);
    bn = NULL;
    assert_int_equal(BN_hex2bn(&bn, "xyz"), 0);
    assert_int_equal(BN_hex2bn(&bn, ""), 0);
    BN_free(bn);
    BN_free(NULL);
}

/* socat looks for the names of a certificate so. */
static void a_certificate_has_extensions_one_by_one(void **state)
{
    int names = 0, critical = 0;
    (void)state;
    BIO *bio = BIO_new_file(file("server.pem"), "r");
    X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    int n = X509_get_ext_count(x);
    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        X509_EXTENSION *extension = X509_get_ext(x, i);
        assert_non_null(extension);
        if (OBJ_obj2nid(X509_EXTENSION_get_object(extension)) != NID_subject_alt_name)
            continue;
        names++;
        assert_string_equal(OBJ_nid2sn(NID_subject_alt_name), "subjectAltName");
        assert_non_null(X509V3_EXT_get(extension));
        assert_int_equal(X509_EXTENSION_get_critical(extension), 0);
    }
    assert_int_equal(names, 1);
    assert_null(X509_get_ext(x, n));
    assert_null(X509_get_ext(x, -1));
    X509_free(x);
    BIO_free(bio);
    bio = BIO_new_file(file("root.pem"), "r");
    x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    for (int i = 0; i < X509_get_ext_count(x); i++)
        critical += X509_EXTENSION_get_critical(X509_get_ext(x, i)) != 0;
    assert_int_equal(critical, 2); /* keyUsage, basicConstraints */
    X509_free(x);
    BIO_free(bio);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_are_those_of_their_names),
        cmocka_unit_test(a_digest_is_made_in_pieces),
        cmocka_unit_test(a_key_is_made_of_a_password),
        cmocka_unit_test(base64_is_written),
        cmocka_unit_test(base64_is_read),
        cmocka_unit_test(a_certificate_has_a_fingerprint),
        cmocka_unit_test(numbers_are_bytes),
        cmocka_unit_test(a_certificate_has_extensions_one_by_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
