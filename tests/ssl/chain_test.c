/* SPDX-License-Identifier: Apache-2.0 */
/* What goes along with a certificate that was given alone: its issuers, as far as the store has them. */
#include "duo.h"

#include <unistd.h>

/* A server with the leaf of an authority below the root, and a client that trusts the root alone. */
static void begin(struct duo *d, const char *chain)
{
    duo_begin(d);
    SSL_CTX_free(d->server_ctx);
    d->server_ctx = SSL_CTX_new(TLS_server_method());
    assert_int_equal(SSL_CTX_use_certificate_chain_file(d->server_ctx, file(chain)), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(d->server_ctx, file("deep.key"), SSL_FILETYPE_PEM), 1);
    assert_int_equal(SSL_CTX_load_verify_locations(d->client_ctx, file("root.pem"), NULL), 1);
    SSL_CTX_set_verify(d->client_ctx, SSL_VERIFY_PEER, NULL);
}

static int opens(struct duo *d)
{
    int client, server;
    duo_connect(d);
    duo_shake(d, &client, &server);
    int rv = client == 1 && server == 1;
    if (!rv)
        assert_int_equal(SSL_get_verify_result(d->client), X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
    ERR_clear_error();
    return rv;
}

static void the_issuer_that_a_server_has_at_hand_goes_along(void **state)
{
    struct duo d;
    char text[64];
    (void)state;
    for (int alone = 0; alone < 2; alone++) {
        begin(&d, "deep.pem");
        if (alone)
            assert_int_equal(SSL_CTX_use_certificate_file(d.server_ctx, file("deep.pem"), SSL_FILETYPE_PEM), 1);
        assert_int_equal(SSL_CTX_load_verify_locations(d.server_ctx, file("at-hand.pem"), NULL), 1);
        assert_int_equal(opens(&d), 1);
        STACK_OF(X509) *chain = SSL_get_peer_cert_chain(d.client);
        assert_in_range(sk_X509_num(chain), 2, 3); /* the root may be left out (RFC 8446 4.4.2) */
        X509_NAME *name = X509_get_subject_name(sk_X509_value(chain, 1));
        assert_true(X509_NAME_get_text_by_NID(name, NID_commonName, text, sizeof text) > 0);
        assert_string_equal(text, "middle");
        duo_end(&d);
    }
}

static void what_comes_to_the_store_later_counts_for_who_comes_later(void **state)
{
    struct duo d;
    (void)state;
    begin(&d, "deep.pem");
    assert_int_equal(opens(&d), 0);
    duo_close(&d);
    assert_int_equal(SSL_CTX_load_verify_locations(d.server_ctx, file("at-hand.pem"), NULL), 1);
    assert_int_equal(opens(&d), 1);
    duo_end(&d);
}

static void a_chain_that_was_given_is_left_as_it_is(void **state)
{
    struct duo d;
    (void)state;
    begin(&d, "deep-wrong.pem");
    assert_int_equal(SSL_CTX_load_verify_locations(d.server_ctx, file("at-hand.pem"), NULL), 1);
    assert_int_equal(opens(&d), 0);
    duo_end(&d);
}

static void a_program_may_forbid_it(void **state)
{
    struct duo d;
    (void)state;
    begin(&d, "deep.pem");
    assert_int_equal(SSL_CTX_load_verify_locations(d.server_ctx, file("at-hand.pem"), NULL), 1);
    SSL_CTX_set_mode(d.server_ctx, SSL_MODE_NO_AUTO_CHAIN);
    assert_int_equal(opens(&d), 0);
    duo_close(&d);
    SSL_CTX_clear_mode(d.server_ctx, SSL_MODE_NO_AUTO_CHAIN);
    assert_int_equal(opens(&d), 1);
    duo_close(&d);
    SSL_CTX_set_mode(d.server_ctx, SSL_MODE_NO_AUTO_CHAIN);
    assert_int_equal(opens(&d), 0);
    duo_end(&d);
}

static void a_client_sends_them_too_and_so_does_an_ssl_that_has_its_own(void **state)
{
    struct duo d;
    int client, server;
    (void)state;
    duo_begin(&d);
    assert_int_equal(SSL_CTX_load_verify_locations(d.client_ctx, file("at-hand.pem"), NULL), 1);
    assert_int_equal(SSL_CTX_load_verify_locations(d.server_ctx, file("root.pem"), NULL), 1);
    SSL_CTX_set_verify(d.server_ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    duo_connect(&d);
    assert_int_equal(SSL_use_certificate_file(d.client, file("deep.pem"), SSL_FILETYPE_PEM), 1);
    assert_int_equal(SSL_use_PrivateKey_file(d.client, file("deep.key"), SSL_FILETYPE_PEM), 1);
    duo_shake(&d, &client, &server);
    assert_int_equal(client == 1 && server == 1, 1);
    assert_int_equal(SSL_get_verify_result(d.server), X509_V_OK);
    duo_end(&d);
}

/* OpenSSL looks into it when it wants an issuer: mosquitto's own tests name one that there is not. */
static void a_directory_that_is_not_there_has_no_anchors(void **state)
{
    struct duo d;
    (void)state;
    begin(&d, "deep.pem");
    assert_int_equal(SSL_CTX_load_verify_locations(d.client_ctx, file("root.pem"), "/nonexistent/certs"), 1);
    assert_int_equal(SSL_CTX_load_verify_dir(d.client_ctx, "/nonexistent/certs"), 1);
    assert_int_equal(SSL_CTX_load_verify_dir(d.client_ctx, ""), 0);
    assert_int_equal(SSL_CTX_load_verify_file(d.client_ctx, "/nonexistent/certs"), 0);
    ERR_clear_error();
    duo_end(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_issuer_that_a_server_has_at_hand_goes_along),
        cmocka_unit_test(what_comes_to_the_store_later_counts_for_who_comes_later),
        cmocka_unit_test(a_chain_that_was_given_is_left_as_it_is),
        cmocka_unit_test(a_program_may_forbid_it),
        cmocka_unit_test(a_client_sends_them_too_and_so_does_an_ssl_that_has_its_own),
        cmocka_unit_test(a_directory_that_is_not_there_has_no_anchors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
