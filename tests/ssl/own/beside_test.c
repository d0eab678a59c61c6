/* SPDX-License-Identifier: Apache-2.0 */
/* Beside TLS: where the shim is stricter than OpenSSL, and what it has for the sake of programs that do not ask. */
#include "duo.h"

#include <openssl/bn.h>
#include <openssl/dh.h>
#include <openssl/evp.h>
#include <openssl/ocsp.h>
#include <openssl/ui.h>
#include <stdio.h>

static void a_digest_that_has_ended_takes_nothing(void **state)
{
    uint8_t out[EVP_MAX_MD_SIZE];
    (void)state;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new(), *other = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestInit_ex(ctx, NULL, NULL), 0);
    assert_int_equal(EVP_DigestUpdate(ctx, "a", 1), 0);
    assert_int_equal(EVP_DigestFinal_ex(ctx, out, NULL), 0);
    assert_int_equal(EVP_MD_CTX_copy_ex(other, ctx), 0);
    assert_int_equal(EVP_DigestInit_ex(ctx, EVP_sha256(), NULL), 1);
    assert_int_equal(EVP_DigestFinal_ex(ctx, out, NULL), 1);
    assert_int_equal(EVP_DigestUpdate(ctx, "a", 1), 0);
    assert_int_equal(EVP_DigestFinal_ex(ctx, out, NULL), 0);
    EVP_MD_CTX_free(other);
    EVP_MD_CTX_free(ctx);
    assert_int_equal(EVP_MD_size(NULL), -1);
    ERR_clear_error();
}

static void base64_that_is_none_is_not_guessed(void **state)
{
    static const char *const wrong[] = { "=YWI", "YW=I", "YWJj====", "YQ==YQ==", "YW\x80j" };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char out[16];
        BIO *bio = BIO_push(BIO_new(BIO_f_base64()), BIO_new_mem_buf(wrong[i], -1));
        assert_int_equal(BIO_read(bio, out, sizeof out), 0);
        assert_int_equal(BIO_read(bio, out, sizeof out), 0);
        BIO_free_all(bio);
    }
}

static void ocsp_fails_where_it_would_begin(void **state)
{
    const unsigned char bytes[] = { 0x30, 0x03, 0x0a, 0x01, 0x00 }, *at = bytes;
    unsigned char *response = NULL;
    struct duo d;
    (void)state;
    duo_begin(&d);
    duo_connect(&d);
    assert_int_equal(SSL_set_tlsext_status_type(d.client, TLSEXT_STATUSTYPE_ocsp), 0);
    assert_int_equal(SSL_CTX_set_tlsext_status_cb(d.client_ctx, NULL), 0);
    assert_int_equal(SSL_CTX_set_tlsext_status_arg(d.client_ctx, NULL), 0);
    assert_int_equal(SSL_get_tlsext_status_ocsp_resp(d.client, &response), -1);
    assert_null(response);
    assert_null(d2i_OCSP_RESPONSE(NULL, &at, sizeof bytes));
    assert_true(OCSP_basic_verify(NULL, NULL, NULL, 0) <= 0);
    assert_null(UI_create_method("nobody"));
    ERR_clear_error();
    duo_end(&d);
}

static void parameters_of_diffie_hellman_are_read_by_the_older_call_too(void **state)
{
    /* a number, and 2: nobody looks whether it is a prime */
    char text[] = "-----BEGIN DH PARAMETERS-----\nMAcCAgDHAgEC\n-----END DH PARAMETERS-----\n";
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    FILE *from = fmemopen(text, strlen(text), "r");
    DH *dh = PEM_read_DHparams(from, NULL, NULL, NULL);
    (void)state;
    assert_non_null(dh);
    assert_int_equal(SSL_CTX_set_tmp_dh(ctx, dh), 1);
    assert_int_equal(SSL_CTX_set_tmp_dh(ctx, NULL), 0);
    DH_free(dh);
    dh = DH_new();
    assert_int_equal(DH_set0_pqg(dh, NULL, NULL, NULL), 0);
    assert_int_equal(DH_set0_pqg(dh, BN_bin2bn((const uint8_t *)"\x17", 1, NULL), NULL,
                         BN_bin2bn((const uint8_t *)"\2", 1, NULL)),
        1);
    DH_free(dh);
    fclose(from);
    from = fmemopen(text, 20, "r");
    assert_null(PEM_read_DHparams(from, NULL, NULL, NULL));
    fclose(from);
    assert_int_equal(next_reason(), ERR_R_PASSED_NULL_PARAMETER);
    assert_int_equal(next_reason(), PEM_R_NO_START_LINE);
    SSL_CTX_free(ctx);
}

static void what_there_is_not_is_told_when_it_is_asked_for(void **state)
{
    (void)state;
    assert_null(DTLS_client_method());
    assert_int_equal(next_reason(), ERR_R_DISABLED);
    assert_null(SSL_CTX_new(DTLS_server_method()));
    assert_int_equal(next_reason(), ERR_R_DISABLED);
    assert_null(SSL_COMP_get_compression_methods());
    OPENSSL_INIT_SETTINGS *settings = OPENSSL_INIT_new();
    assert_int_equal(OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT, settings), 1);
    OPENSSL_INIT_free(settings);
    ERR_clear_error();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_digest_that_has_ended_takes_nothing),
        cmocka_unit_test(base64_that_is_none_is_not_guessed),
        cmocka_unit_test(ocsp_fails_where_it_would_begin),
        cmocka_unit_test(what_there_is_not_is_told_when_it_is_asked_for),
        cmocka_unit_test(parameters_of_diffie_hellman_are_read_by_the_older_call_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
