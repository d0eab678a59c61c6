/* SPDX-License-Identifier: Apache-2.0 */
/* CRLs, and keys with a passphrase: who is asked for it, and what is not read. */
#include "duo.h"

#include <openssl/bio.h>
#include <openssl/pem.h>

/* --- CRLs --------------------------------------------------------------------------------------------------------- */

static void load_crls(SSL_CTX *ctx, const char *name, unsigned long flags)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    X509_LOOKUP *lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());
    assert_non_null(lookup);
    if (name)
        assert_int_equal(X509_load_crl_file(lookup, file(name), X509_FILETYPE_PEM), 1);
    if (flags)
        assert_int_equal(X509_STORE_set_flags(store, flags), 1);
}

static const struct {
    const char *crl;
    unsigned long flags;
    int verdict;
} cases[] = {
    { NULL, 0, X509_V_OK },
    { "good.crl", 0, X509_V_OK },
    { "revoked.crl", 0, X509_V_OK },
    { "good.crl", X509_V_FLAG_CRL_CHECK, X509_V_OK },
    { "good.crl", X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL, X509_V_OK },
    { "revoked.crl", X509_V_FLAG_CRL_CHECK_ALL, X509_V_OK }, /* nothing by itself */
    { "revoked.crl", X509_V_FLAG_CRL_CHECK, X509_V_ERR_CERT_REVOKED },
    { "revoked.crl", X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL, X509_V_ERR_CERT_REVOKED },
    { NULL, X509_V_FLAG_CRL_CHECK, X509_V_ERR_UNABLE_TO_GET_CRL },
    { "late.crl", X509_V_FLAG_CRL_CHECK, X509_V_ERR_CRL_HAS_EXPIRED },
};

static void a_server_is_looked_up_in_crls(void **state)
{
    struct duo d;
    int client, server;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int demands = 0; demands < 2; demands++) {
            duo_begin(&d);
            assert_int_equal(SSL_CTX_load_verify_locations(d.client_ctx, file("root.pem"), NULL), 1);
            load_crls(d.client_ctx, cases[i].crl, cases[i].flags);
            SSL_CTX_set_verify(d.client_ctx, demands ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
            duo_connect(&d);
            duo_shake(&d, &client, &server);
            assert_int_equal(client == 1, !demands || cases[i].verdict == X509_V_OK);
            assert_int_equal(SSL_get_verify_result(d.client), cases[i].verdict);
            ERR_clear_error();
            if (client != 1 && cases[i].verdict == X509_V_ERR_CERT_REVOKED) {
                char byte;
                if (server == 1)
                    assert_true(SSL_read(d.server, &byte, 1) <= 0);
                assert_int_equal(server == 1 ? next_reason() : d.server_reason, SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED);
            }
            ERR_clear_error();
            duo_end(&d);
        }
    }
}

static void a_client_is_looked_up_in_crls(void **state)
{
    struct duo d;
    int client, server;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        duo_begin(&d);
        assert_int_equal(SSL_CTX_load_verify_locations(d.server_ctx, file("root.pem"), NULL), 1);
        load_crls(d.server_ctx, cases[i].crl, cases[i].flags);
        SSL_CTX_set_verify(d.server_ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        SSL_CTX_set_session_id_context(d.server_ctx, (const unsigned char *)"t", 1);
        assert_int_equal(SSL_CTX_use_certificate_file(d.client_ctx, file("client.pem"), SSL_FILETYPE_PEM), 1);
        assert_int_equal(SSL_CTX_use_PrivateKey_file(d.client_ctx, file("client.key"), SSL_FILETYPE_PEM), 1);
        duo_connect(&d);
        duo_shake(&d, &client, &server);
        assert_int_equal(server == 1, cases[i].verdict == X509_V_OK);
        ERR_clear_error();
        if (cases[i].verdict == X509_V_ERR_CERT_REVOKED) {
            char byte;
            assert_true(SSL_read(d.client, &byte, 1) <= 0);
            assert_int_equal(next_reason(), SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED);
        }
        ERR_clear_error();
        duo_end(&d);
    }
}

static int told;

static int accept_all(int ok, X509_STORE_CTX *ctx)
{
    if (!ok)
        told = X509_STORE_CTX_get_error(ctx);
    return 1;
}

static void a_program_may_accept_who_is_revoked(void **state)
{
    struct duo d;
    (void)state;
    duo_begin(&d);
    assert_int_equal(SSL_CTX_load_verify_locations(d.client_ctx, file("root.pem"), NULL), 1);
    load_crls(d.client_ctx, "revoked.crl", X509_V_FLAG_CRL_CHECK);
    SSL_CTX_set_verify(d.client_ctx, SSL_VERIFY_PEER, accept_all);
    told = 0;
    duo_open(&d);
    assert_int_equal(told, X509_V_ERR_CERT_REVOKED);
    duo_end(&d);
}

static void an_ssl_has_flags_of_its_own(void **state)
{
    struct duo d;
    int client, server;
    (void)state;
    duo_begin(&d);
    assert_int_equal(SSL_CTX_load_verify_locations(d.client_ctx, file("root.pem"), NULL), 1);
    load_crls(d.client_ctx, "revoked.crl", 0);
    SSL_CTX_set_verify(d.client_ctx, SSL_VERIFY_PEER, NULL);
    duo_connect(&d);
    assert_int_equal(X509_VERIFY_PARAM_set_flags(SSL_get0_param(d.client), X509_V_FLAG_CRL_CHECK), 1);
    duo_shake(&d, &client, &server);
    assert_int_equal(client, -1);
    assert_int_equal(SSL_get_verify_result(d.client), X509_V_ERR_CERT_REVOKED);
    ERR_clear_error();
    duo_close(&d);
    duo_connect(&d);
    duo_shake(&d, &client, &server);
    assert_int_equal(client, 1);
    duo_end(&d);
}

/* Beside certificates, or by themselves. */
static void crls_come_from_anywhere(void **state)
{
    struct duo d;
    int client, server;
    (void)state;
    for (int way = 0; way < 3; way++) {
        duo_begin(&d);
        X509_STORE *store = SSL_CTX_get_cert_store(d.client_ctx);
        if (way == 0) {
            assert_int_equal(SSL_CTX_load_verify_locations(d.client_ctx, file("root-and-crl.pem"), NULL), 1);
        } else if (way == 1) {
            assert_int_equal(SSL_CTX_load_verify_locations(d.client_ctx, file("root.pem"), NULL), 1);
            assert_int_equal(SSL_CTX_load_verify_locations(d.client_ctx, file("revoked.crl"), NULL), 1);
        } else {
            assert_int_equal(SSL_CTX_load_verify_locations(d.client_ctx, file("root.pem"), NULL), 1);
            BIO *bio = BIO_new_file(file("revoked.crl"), "r");
            assert_non_null(bio);
            X509_CRL *crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL);
            assert_non_null(crl);
            assert_int_equal(X509_STORE_add_crl(store, crl), 1);
            X509_CRL_free(crl);
            assert_null(PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL));
            ERR_clear_error();
            BIO_free(bio);
        }
        assert_int_equal(X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK), 1);
        SSL_CTX_set_verify(d.client_ctx, SSL_VERIFY_PEER, NULL);
        duo_connect(&d);
        duo_shake(&d, &client, &server);
        assert_int_equal(client, -1);
        assert_int_equal(SSL_get_verify_result(d.client), X509_V_ERR_CERT_REVOKED);
        ERR_clear_error();
        duo_end(&d);
    }
}

static void what_is_no_crl_is_an_error(void **state)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    X509_LOOKUP *lookup = X509_STORE_add_lookup(SSL_CTX_get_cert_store(ctx), X509_LOOKUP_file());
    (void)state;
    ERR_clear_error();
    assert_int_equal(X509_load_crl_file(lookup, file("dir/c.txt"), X509_FILETYPE_PEM), 0);
    assert_int_not_equal(ERR_get_error(), 0);
    ERR_clear_error();
    assert_int_equal(X509_load_crl_file(lookup, file("root.pem"), X509_FILETYPE_PEM), 0);
    ERR_clear_error();
    assert_int_equal(X509_load_crl_file(lookup, "/nonexistent", X509_FILETYPE_PEM), 0);
    ERR_clear_error();
    SSL_CTX_free(ctx);
}

/* --- keys --------------------------------------------------------------------------------------------------------- */

static struct {
    const char *word;
    int times, size, writing;
} asked;

static int answer(char *buf, int size, int writing, void *arg)
{
    asked.times++;
    asked.size = size;
    asked.writing = writing;
    const char *word = arg ? arg : asked.word;
    if (!word)
        return -1;
    memcpy(buf, word, strlen(word));
    return (int)strlen(word);
}

static int use(SSL_CTX *ctx, const char *key)
{
    asked.times = 0;
    ERR_clear_error();
    int rv = SSL_CTX_use_PrivateKey_file(ctx, file(key), SSL_FILETYPE_PEM);
    assert_int_equal(rv == 1, ERR_peek_error() == 0);
    ERR_clear_error();
    return rv;
}

static void a_program_is_asked_for_the_passphrase_of_a_key(void **state)
{
    static char secret[] = "secret", wrong[] = "wrong";
    static const char *const keys[] = { "server.key.locked", "server.key.old-locked" };
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        SSL_CTX *ctx = SSL_CTX_new(TLS_method());
        assert_int_equal(SSL_CTX_use_certificate_file(ctx, file("server.pem"), SSL_FILETYPE_PEM), 1);
        SSL_CTX_set_default_passwd_cb(ctx, answer);
        asked.word = NULL;
        assert_int_equal(use(ctx, keys[i]), 0);
        assert_true(asked.times > 0);
        asked.word = wrong;
        assert_int_equal(use(ctx, keys[i]), 0);
        asked.word = secret;
        assert_int_equal(use(ctx, keys[i]), 1);
        assert_int_equal(asked.times, 1);
        assert_int_equal(asked.size, 1024);
        assert_int_equal(asked.writing, 0);
        assert_int_equal(SSL_CTX_check_private_key(ctx), 1);
        asked.word = wrong;
        SSL_CTX_set_default_passwd_cb_userdata(ctx, secret);
        assert_ptr_equal(SSL_CTX_get_default_passwd_cb_userdata(ctx), secret);
        assert_true(SSL_CTX_get_default_passwd_cb(ctx) == answer);
        assert_int_equal(use(ctx, keys[i]), 1);
        assert_int_equal(use(ctx, "server.key"), 1);
        assert_int_equal(asked.times, 0);
        SSL_CTX_set_default_passwd_cb(ctx, NULL); /* then it is a text */
        assert_int_equal(use(ctx, keys[i]), 1);
        SSL_CTX_set_default_passwd_cb_userdata(ctx, wrong);
        assert_int_equal(use(ctx, keys[i]), 0);
        SSL_CTX_free(ctx);
    }
}

static void a_server_serves_with_a_key_that_was_encrypted(void **state)
{
    static char secret[] = "secret";
    struct duo d;
    (void)state;
    for (int of_ssl = 0; of_ssl < 2; of_ssl++) {
        duo_begin(&d);
        SSL_CTX_free(d.server_ctx);
        d.server_ctx = SSL_CTX_new(TLS_server_method());
        SSL_CTX_set_default_passwd_cb(d.server_ctx, answer);
        SSL_CTX_set_default_passwd_cb_userdata(d.server_ctx, secret);
        assert_int_equal(SSL_CTX_load_verify_locations(d.client_ctx, file("root.pem"), NULL), 1);
        assert_int_equal(SSL_CTX_load_verify_locations(d.server_ctx, file("root.pem"), NULL), 1);
        SSL_CTX_set_verify(d.client_ctx, SSL_VERIFY_PEER, NULL);
        if (!of_ssl) {
            assert_int_equal(SSL_CTX_use_certificate_file(d.server_ctx, file("server.pem"), SSL_FILETYPE_PEM), 1);
            assert_int_equal(use(d.server_ctx, "server.key.locked"), 1);
        }
        duo_connect(&d);
        if (of_ssl) {
            assert_int_equal(SSL_use_certificate_file(d.server, file("server.pem"), SSL_FILETYPE_PEM), 1);
            SSL_set_default_passwd_cb(d.server, answer);
            SSL_set_default_passwd_cb_userdata(d.server, secret);
            assert_int_equal(SSL_use_PrivateKey_file(d.server, file("server.key.locked"), SSL_FILETYPE_PEM), 1);
        }
        int client, server;
        duo_shake(&d, &client, &server);
        assert_int_equal(client, 1);
        assert_int_equal(server, 1);
        duo_end(&d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_is_looked_up_in_crls),
        cmocka_unit_test(a_client_is_looked_up_in_crls),
        cmocka_unit_test(a_program_may_accept_who_is_revoked),
        cmocka_unit_test(an_ssl_has_flags_of_its_own),
        cmocka_unit_test(crls_come_from_anywhere),
        cmocka_unit_test(what_is_no_crl_is_an_error),
        cmocka_unit_test(a_program_is_asked_for_the_passphrase_of_a_key),
        cmocka_unit_test(a_server_serves_with_a_key_that_was_encrypted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
