/* SPDX-License-Identifier: Apache-2.0 */
/* Who the peer is: what is verified and what is not, names, certificates, and what they say. */
#include "duo.h"

#include <stdlib.h>
#include <time.h>

static void give_server(struct duo *d, const char *cert, const char *key)
{
    assert_int_equal(SSL_CTX_use_certificate_chain_file(d->server_ctx, file(cert)), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(d->server_ctx, file(key), SSL_FILETYPE_PEM), 1);
}

/* Whom a client meets, whom it trusts, which name it asks for, and what comes of it. */
static void a_client_verifies_only_if_it_says_so_but_always_knows(void **state)
{
    static const struct {
        const char *cert, *key, *trust, *host;
        long verdict;
    } cases[] = {
        { "server.pem", "server.key", NULL, NULL, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY },
        { "server.pem", "server.key", "root.pem", NULL, X509_V_OK },
        { "server.pem", "server.key", "root.pem", "shim.test", X509_V_OK },
        { "server.pem", "server.key", "root.pem", "a.wild.test", X509_V_OK },
        { "server.pem", "server.key", "root.pem", "127.0.0.1", X509_V_OK },
        { "server.pem", "server.key", "root.pem", "127.0.0.2", X509_V_ERR_IP_ADDRESS_MISMATCH },
        { "server.pem", "server.key", "root.pem", "b.a.wild.test", X509_V_ERR_HOSTNAME_MISMATCH },
        { "other.pem", "other.key", "root.pem", "shim.test", X509_V_ERR_HOSTNAME_MISMATCH },
        { "other.pem", "other.key", "root.pem", NULL, X509_V_OK },
        { "self.pem", "self.key", "root.pem", NULL, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT },
        { "self.pem", "self.key", NULL, NULL, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT },
        { "self.pem", "self.key", "self.pem", "shim.test", X509_V_OK },
        { "late.pem", "late.key", "root.pem", NULL, X509_V_ERR_CERT_HAS_EXPIRED },
        { "client.pem", "client.key", "root.pem", NULL, X509_V_ERR_INVALID_PURPOSE },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int mode = SSL_VERIFY_NONE; mode <= SSL_VERIFY_PEER; mode++) {
            struct duo d;
            int client, server;
            duo_begin(&d);
            give_server(&d, cases[i].cert, cases[i].key);
            SSL_CTX_set_verify(d.client_ctx, mode, NULL);
            if (cases[i].trust)
                assert_int_equal(SSL_CTX_load_verify_locations(d.client_ctx, file(cases[i].trust), NULL), 1);
            duo_connect(&d);
            if (cases[i].host)
                assert_int_equal(SSL_set1_host(d.client, cases[i].host), 1);
            duo_shake(&d, &client, &server);
            bool open = mode == SSL_VERIFY_NONE || cases[i].verdict == X509_V_OK;
            if (open != (client == 1) || SSL_get_verify_result(d.client) != cases[i].verdict)
                fail_msg("case %zu, mode %d: %d, verdict %ld", i, mode, client, SSL_get_verify_result(d.client));
            if (!open) {
                assert_int_equal(SSL_get_error(d.client, client), SSL_ERROR_SSL);
                assert_int_equal(d.client_reason, SSL_R_CERTIFICATE_VERIFY_FAILED);
                assert_int_equal(SSL_get_error(d.server, server), SSL_ERROR_SSL);
            }
            duo_end(&d);
        }
}

/* "SSL_new() ... inherits the settings of the underlying context ctx" when it is called: what is set there later is for
 * those that come later. */
static void what_a_context_is_told_later_is_not_for_those_that_are_made(void **state)
{
    struct duo d;
    int client, server;
    (void)state;
    duo_begin(&d);
    SSL_CTX_set_verify(d.client_ctx, SSL_VERIFY_PEER, NULL);
    duo_connect(&d);
    SSL_CTX_set_verify(d.client_ctx, SSL_VERIFY_NONE, NULL);
    assert_int_equal(SSL_get_verify_mode(d.client), SSL_VERIFY_PEER);
    duo_shake(&d, &client, &server);
    assert_int_not_equal(client, 1);
    assert_int_equal(d.client_reason, SSL_R_CERTIFICATE_VERIFY_FAILED);
    duo_close(&d);
    duo_connect(&d);
    assert_int_equal(SSL_get_verify_mode(d.client), SSL_VERIFY_NONE);
    SSL *first = SSL_new(d.client_ctx), *second = SSL_new(d.client_ctx);
    SSL_free(first); /* of several that were made the others are found still */
    SSL_CTX_set_verify(d.client_ctx, SSL_VERIFY_PEER, NULL);
    assert_int_equal(SSL_get_verify_mode(second), SSL_VERIFY_NONE);
    SSL_free(second);
    duo_shake(&d, &client, &server);
    assert_int_equal(client, 1);
    duo_end(&d);
}

static void both_sides_see_why_a_server_was_refused(void **state)
{
    struct duo d;
    int client, server;
    (void)state;
    duo_begin(&d);
    SSL_CTX_set_verify(d.client_ctx, SSL_VERIFY_PEER, NULL);
    duo_connect(&d);
    duo_shake(&d, &client, &server);
    assert_int_equal(client, -1);
    assert_int_equal(d.client_reason, SSL_R_CERTIFICATE_VERIFY_FAILED);
    assert_int_equal(server, -1);
    assert_int_equal(next_reason(), SSL_R_TLSV1_ALERT_UNKNOWN_CA);
    assert_int_equal(ERR_get_error(), 0);
    duo_end(&d);
}

static void anchors_are_a_directory_too(void **state)
{
    struct duo d;
    (void)state;
    duo_begin(&d);
    SSL_CTX_set_verify(d.client_ctx, SSL_VERIFY_PEER, NULL);
    assert_int_equal(SSL_CTX_load_verify_locations(d.client_ctx, NULL, file("dir")), 1);
    assert_int_equal(SSL_CTX_load_verify_locations(d.client_ctx, file("there is none"), NULL), 0);
    assert_int_equal(SSL_CTX_load_verify_locations(d.client_ctx, NULL, NULL), 0);
    ERR_clear_error();
    duo_open(&d);
    assert_int_equal(SSL_get_verify_result(d.client), X509_V_OK);
    duo_end(&d);
}

static int asked, errors;
static int overrule(int ok, X509_STORE_CTX *ctx)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
    assert_non_null(ssl);
    assert_non_null(X509_STORE_CTX_get_current_cert(ctx));
    asked++;
    if (!ok) {
        errors++;
        assert_int_not_equal(X509_STORE_CTX_get_error(ctx), X509_V_OK);
    }
    return 1;
}

static int refuse(int ok, X509_STORE_CTX *ctx)
{
    (void)ok;
    if (X509_STORE_CTX_get_error_depth(ctx) == 0)
        X509_STORE_CTX_set_error(ctx, X509_V_ERR_CERT_REJECTED);
    return X509_STORE_CTX_get_error_depth(ctx) != 0;
}

static void a_programs_callback_overrules_either_way(void **state)
{
    struct duo d;
    int client, server;
    (void)state;
    duo_begin(&d);
    SSL_CTX_set_verify(d.client_ctx, SSL_VERIFY_PEER, overrule);
    asked = errors = 0;
    duo_open(&d);
    assert_true(asked > 0 && errors > 0);
    assert_int_not_equal(SSL_get_verify_result(d.client), X509_V_OK);
    duo_end(&d);

    duo_begin(&d);
    SSL_CTX_set_verify(d.client_ctx, SSL_VERIFY_PEER, refuse);
    assert_int_equal(SSL_CTX_load_verify_locations(d.client_ctx, file("root.pem"), NULL), 1);
    duo_connect(&d);
    duo_shake(&d, &client, &server);
    assert_int_equal(client, -1);
    assert_int_equal(d.client_reason, SSL_R_CERTIFICATE_VERIFY_FAILED);
    assert_int_equal(SSL_get_verify_result(d.client), X509_V_ERR_CERT_REJECTED);
    duo_end(&d);
}

static int changes; /* 1: the context's mode, 2: its own */
static int refuse_and_change(int ok, X509_STORE_CTX *ctx)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
    (void)ok;
    if (changes == 1)
        SSL_CTX_set_verify(SSL_get_SSL_CTX(ssl), SSL_VERIFY_NONE, NULL);
    else
        SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
    return 0;
}

/* What a callback tells the context is not for those that are there; what it tells its own connection is. */
static void a_callback_may_change_what_it_is_asked_for(void **state)
{
    (void)state;
    for (changes = 1; changes <= 2; changes++) {
        struct duo d;
        int client, server;
        duo_begin(&d);
        SSL_CTX_set_verify(d.client_ctx, SSL_VERIFY_PEER, refuse_and_change);
        duo_connect(&d);
        duo_shake(&d, &client, &server);
        assert_int_equal(client, changes == 1 ? -1 : 1);
        assert_int_equal(SSL_get_verify_mode(d.client), changes == 1 ? SSL_VERIFY_PEER : SSL_VERIFY_NONE);
        duo_end(&d);
    }
}

/* A file with a certificate in it that this library or that one has no use for. */
static void one_certificate_that_is_odd_does_not_take_the_others_along(void **state)
{
    (void)state;
    for (int how = 0; how < 3; how++) {
        struct duo d;
        duo_begin(&d);
        SSL_CTX_set_verify(d.client_ctx, SSL_VERIFY_PEER, NULL);
        X509_STORE *store = SSL_CTX_get_cert_store(d.client_ctx);
        BIO *bio = BIO_new_file(file("odd.pem"), "r");
        X509 *odd = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        assert_non_null(odd);
        if (how == 0)
            assert_int_equal(SSL_CTX_load_verify_locations(d.client_ctx, file("odd-root.pem"), NULL), 1);
        if (how >= 1)
            assert_int_equal(X509_STORE_add_cert(store, odd), 1);
        if (how >= 1)
            assert_int_equal(SSL_CTX_load_verify_locations(d.client_ctx, file("root.pem"), NULL), 1);
        if (how == 2) {
            assert_int_equal(SSL_CTX_load_verify_locations(d.client_ctx, file("broken-root.pem"), NULL), 0);
            assert_int_not_equal(ERR_get_error(), 0);
            ERR_clear_error();
        }
        X509_free(odd);
        BIO_free(bio);
        duo_open(&d);
        assert_int_equal(SSL_get_verify_result(d.client), X509_V_OK);
        duo_end(&d);
    }
}

/* "no change is made if name is NULL or empty"; "only one IP address" (SSL_set1_host(3)). */
static void names_are_added_and_none_is_no_name(void **state)
{
    struct duo d;
    (void)state;
    duo_begin(&d);
    SSL_CTX_set_verify(d.client_ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_load_verify_locations(d.client_ctx, file("root.pem"), NULL);
    duo_connect(&d);
    assert_int_equal(SSL_set1_host(d.client, "other.test"), 1);
    assert_int_equal(SSL_add1_host(d.client, NULL), 1);
    assert_int_equal(SSL_add1_host(d.client, ""), 1);
    assert_int_equal(SSL_add1_host(d.client, "shim.test"), 1);
    assert_int_equal(SSL_add1_host(d.client, "127.0.0.1"), 1);
    assert_int_equal(SSL_add1_host(d.client, "127.0.0.2"), 0);
    int client, server;
    duo_shake(&d, &client, &server);
    assert_int_equal(client, 1);
    duo_close(&d);
    duo_connect(&d);
    assert_int_equal(SSL_set1_host(d.client, "other.test"), 1);
    assert_int_equal(SSL_add1_host(d.client, NULL), 1);
    duo_shake(&d, &client, &server);
    assert_int_equal(client, -1); /* the name before is still there */
    duo_close(&d);
    duo_connect(&d);
    assert_int_equal(SSL_set1_host(d.client, "other.test"), 1);
    assert_int_equal(SSL_set1_host(d.client, NULL), 1);
    duo_shake(&d, &client, &server);
    assert_int_equal(client, 1);
    duo_end(&d);
    X509_VERIFY_PARAM *param = X509_VERIFY_PARAM_new();
    assert_int_equal(X509_VERIFY_PARAM_set1_host(param, NULL, 0), 1);
    X509_VERIFY_PARAM_free(param);
}

static int tolerated;
static int tolerate(int ok, X509_STORE_CTX *ctx)
{
    return ok || X509_STORE_CTX_get_error(ctx) == tolerated;
}

/* Of a chain with two faults, of which the callback accepts the one that is found first, the other is found, too. */
static void who_accepts_one_fault_has_not_accepted_the_next(void **state)
{
    static const struct {
        const char *cert, *key, *trust;
        int tolerated;
        bool open;
    } cases[] = {
        { "other.pem", "other.key", "root.pem", X509_V_ERR_HOSTNAME_MISMATCH, true },
        { "forged-other.pem", "other.key", "root.pem", X509_V_ERR_HOSTNAME_MISMATCH, false },
        { "aged.pem", "aged.key", "old.pem", X509_V_ERR_CERT_HAS_EXPIRED, true },
        { "forged-aged.pem", "aged.key", "old.pem", X509_V_ERR_CERT_HAS_EXPIRED, false },
        { "self.pem", "self.key", "root.pem", X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, true },
        { "client.pem", "client.key", "root.pem", X509_V_ERR_INVALID_PURPOSE, false }, /* nor is it the name */
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct duo d;
        int client, server;
        duo_begin(&d);
        give_server(&d, cases[i].cert, cases[i].key);
        tolerated = cases[i].tolerated;
        SSL_CTX_set_verify(d.client_ctx, SSL_VERIFY_PEER, tolerate);
        assert_int_equal(SSL_CTX_load_verify_locations(d.client_ctx, file(cases[i].trust), NULL), 1);
        duo_connect(&d);
        assert_int_equal(SSL_set1_host(d.client, "shim.test"), 1);
        duo_shake(&d, &client, &server);
        if (cases[i].open != (client == 1))
            fail_msg("case %zu: %d, verdict %ld", i, client, SSL_get_verify_result(d.client));
        assert_int_not_equal(SSL_get_verify_result(d.client), X509_V_OK);
        duo_end(&d);
    }
}

static void give_client(struct duo *d, const char *cert, const char *key)
{
    assert_int_equal(SSL_CTX_use_certificate_file(d->client_ctx, file(cert), SSL_FILETYPE_PEM), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(d->client_ctx, file(key), SSL_FILETYPE_PEM), 1);
}

static void a_server_asks_clients_for_certificates(void **state)
{
    struct duo d;
    int client, server;
    char byte;
    (void)state;
    for (int with = 0; with < 2; with++)
        for (int required = 0; required < 2; required++) {
            duo_begin(&d);
            SSL_CTX_set_verify(
                d.server_ctx, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
            assert_int_equal(SSL_CTX_load_verify_locations(d.server_ctx, file("root.pem"), NULL), 1);
            SSL_CTX_set_session_id_context(d.server_ctx, (const unsigned char *)"t", 1);
            if (with)
                give_client(&d, "client.pem", "client.key");
            duo_connect(&d);
            duo_shake(&d, &client, &server);
            if (!with && required) {
                assert_int_equal(server, -1);
                assert_int_equal(d.server_reason, SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE);
                ERR_clear_error();
                assert_true(SSL_read(d.client, &byte, 1) <= 0);
                assert_int_equal(next_reason(), SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED);
            } else {
                assert_int_equal(client, 1);
                assert_int_equal(server, 1);
                X509 *x = SSL_get1_peer_certificate(d.server);
                assert_int_equal(x != NULL, with);
                X509_free(x);
                assert_int_equal(SSL_get_verify_result(d.server), X509_V_OK);
            }
            duo_end(&d);
        }
}

static void a_client_that_nobody_knows_is_refused(void **state)
{
    struct duo d;
    int client, server;
    (void)state;
    duo_begin(&d);
    SSL_CTX_set_verify(d.server_ctx, SSL_VERIFY_PEER, NULL);
    assert_int_equal(SSL_CTX_load_verify_locations(d.server_ctx, file("root.pem"), NULL), 1);
    give_client(&d, "self.pem", "self.key");
    duo_connect(&d);
    duo_shake(&d, &client, &server);
    assert_int_equal(server, -1);
    assert_int_equal(d.server_reason, SSL_R_CERTIFICATE_VERIFY_FAILED);
    assert_int_equal(SSL_get_verify_result(d.server), X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT);
    duo_end(&d);
}

static int no_password(char *buf, int size, int rwflag, void *arg)
{
    (void)buf;
    (void)size;
    (void)rwflag;
    (void)arg;
    return 0;
}

static void keys_and_certificates_that_do_not_fit_are_errors(void **state)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    (void)state;
    ERR_clear_error();
    SSL_CTX_set_default_passwd_cb(ctx, no_password);
    assert_int_equal(SSL_CTX_check_private_key(ctx), 0);
    assert_int_equal(next_reason(), SSL_R_NO_CERTIFICATE_ASSIGNED);
    assert_int_equal(SSL_CTX_use_certificate_file(ctx, file("server.pem"), SSL_FILETYPE_PEM), 1);
    assert_int_equal(SSL_CTX_check_private_key(ctx), 0);
    assert_int_equal(next_reason(), SSL_R_NO_PRIVATE_KEY_ASSIGNED);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(ctx, file("other.key"), SSL_FILETYPE_PEM), 0);
    assert_int_equal(ERR_GET_LIB(ERR_peek_error()), ERR_LIB_X509);
    assert_int_equal(next_reason(), X509_R_KEY_VALUES_MISMATCH);
    ERR_clear_error();
    assert_int_equal(SSL_CTX_use_PrivateKey_file(ctx, file("server.key.locked"), SSL_FILETYPE_PEM), 0);
    assert_int_not_equal(ERR_get_error(), 0);
    ERR_clear_error();
    assert_int_equal(SSL_CTX_use_PrivateKey_file(ctx, file("server.pem"), SSL_FILETYPE_PEM), 0);
    assert_int_not_equal(ERR_get_error(), 0);
    assert_int_equal(SSL_CTX_use_certificate_file(ctx, file("dir/c.txt"), SSL_FILETYPE_PEM), 0);
    assert_int_not_equal(ERR_get_error(), 0);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(ctx, file("server.key"), 77), 0);
    ERR_clear_error();
    assert_int_equal(SSL_CTX_use_PrivateKey_file(ctx, file("server.key"), SSL_FILETYPE_PEM), 1);
    assert_int_equal(SSL_CTX_check_private_key(ctx), 1);
    assert_int_equal(SSL_CTX_use_certificate_file(ctx, file("server.der"), SSL_FILETYPE_ASN1), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(ctx, file("server.key.der"), SSL_FILETYPE_ASN1), 1);
    assert_int_equal(SSL_CTX_check_private_key(ctx), 1);
    SSL_CTX_free(ctx);
}

static void a_certificate_tells_its_names(void **state)
{
    struct duo d;
    char text[256];
    (void)state;
    duo_begin(&d);
    duo_open(&d);
    X509 *x = SSL_get_peer_certificate(d.client);
    assert_non_null(x);
    X509_NAME *name = X509_get_subject_name(x);
    assert_string_equal(X509_NAME_oneline(name, text, sizeof text), "/C=KR/O=Shim, Inc./CN=shim.test");
    assert_int_equal(X509_NAME_get_text_by_NID(name, NID_commonName, text, sizeof text), 9);
    assert_string_equal(text, "shim.test");
    assert_int_equal(X509_NAME_get_text_by_NID(name, NID_localityName, text, sizeof text), -1);
    assert_int_equal(X509_NAME_entry_count(name), 3);
    int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
    assert_int_equal(at, 2);
    assert_int_equal(X509_NAME_get_index_by_NID(name, NID_commonName, at), -1);
    X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, at);
    assert_int_equal(ASN1_STRING_length(X509_NAME_ENTRY_get_data(entry)), 9);
    assert_int_equal(OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry)), NID_commonName);
    BIO *bio = BIO_new(BIO_s_mem());
    assert_true(X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) > 0);
    assert_int_equal(BIO_read(bio, text, sizeof text), 31);
    text[31] = 0;
    assert_string_equal(text, "CN=shim.test,O=Shim\\, Inc.,C=KR");
    BIO_free(bio);
    assert_string_equal(X509_NAME_oneline(X509_get_issuer_name(x), text, sizeof text), "/O=Shim/CN=root");
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    assert_non_null(names);
    assert_int_equal(sk_GENERAL_NAME_num(names), 3);
    const GENERAL_NAME *first = sk_GENERAL_NAME_value(names, 0), *last = sk_GENERAL_NAME_value(names, 2);
    assert_int_equal(first->type, GEN_DNS);
    unsigned char *utf8;
    assert_int_equal(ASN1_STRING_to_UTF8(&utf8, first->d.dNSName), 9);
    assert_string_equal(utf8, "shim.test");
    OPENSSL_free(utf8);
    assert_int_equal(last->type, GEN_IPADD);
    ASN1_OCTET_STRING *ip = a2i_IPADDRESS("127.0.0.1"), *no = a2i_IPADDRESS("localhost");
    assert_int_equal(ASN1_STRING_cmp(ip, last->d.iPAddress), 0);
    assert_null(no);
    ASN1_OCTET_STRING_free(ip);
    sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
    struct tm tm;
    assert_int_equal(ASN1_TIME_to_tm(X509_get0_notAfter(x), &tm), 1);
    assert_true(timegm(&tm) > time(NULL));
    X509_free(x);
    assert_null(SSL_get_peer_certificate(d.server));
    duo_end(&d);
}

static void a_certificate_is_read_and_written(void **state)
{
    char *text;
    (void)state;
    BIO *bio = BIO_new_file(file("server-chain.pem"), "r"), *out = BIO_new(BIO_s_mem());
    X509 *a = PEM_read_bio_X509(bio, NULL, NULL, NULL), *b = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    assert_non_null(a);
    assert_non_null(b);
    assert_null(PEM_read_bio_X509(bio, NULL, NULL, NULL));
    ERR_clear_error();
    assert_int_not_equal(X509_cmp(a, b), 0);
    assert_int_equal(PEM_write_bio_X509(out, a), 1);
    assert_true(BIO_get_mem_data(out, &text) > 500);
    X509 *c = PEM_read_bio_X509(out, NULL, NULL, NULL);
    assert_int_equal(X509_cmp(a, c), 0);
    unsigned char *der = NULL;
    int len = i2d_X509(a, &der);
    const unsigned char *from = der;
    X509 *e = d2i_X509(NULL, &from, len);
    assert_int_equal(X509_cmp(a, e), 0);
    assert_int_equal(from - der, len);
    /* cut or changed it is refused, or it is another certificate: never a crash */
    for (int i = 0; i < len; i++) {
        unsigned char *copy = malloc((size_t)i + 1);
        memcpy(copy, der, (size_t)i);
        from = copy;
        assert_null(d2i_X509(NULL, &from, i));
        free(copy);
        der[i] ^= 0x81;
        from = der;
        X509 *x = d2i_X509(NULL, &from, len);
        if (x) {
            GENERAL_NAMES_free(X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL));
            char *line = X509_NAME_oneline(X509_get_subject_name(x), NULL, 0);
            OPENSSL_free(line);
        }
        X509_free(x);
        der[i] ^= 0x81;
    }
    ERR_clear_error();
    OPENSSL_free(der);
    X509_free(a);
    X509_free(b);
    X509_free(c);
    X509_free(e);
    BIO_free(bio);
    BIO_free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_verifies_only_if_it_says_so_but_always_knows),
        cmocka_unit_test(what_a_context_is_told_later_is_not_for_those_that_are_made),
        cmocka_unit_test(both_sides_see_why_a_server_was_refused),
        cmocka_unit_test(anchors_are_a_directory_too),
        cmocka_unit_test(a_programs_callback_overrules_either_way),
        cmocka_unit_test(a_callback_may_change_what_it_is_asked_for),
        cmocka_unit_test(one_certificate_that_is_odd_does_not_take_the_others_along),
        cmocka_unit_test(names_are_added_and_none_is_no_name),
        cmocka_unit_test(who_accepts_one_fault_has_not_accepted_the_next),
        cmocka_unit_test(a_server_asks_clients_for_certificates),
        cmocka_unit_test(a_client_that_nobody_knows_is_refused),
        cmocka_unit_test(keys_and_certificates_that_do_not_fit_are_errors),
        cmocka_unit_test(a_certificate_tells_its_names),
        cmocka_unit_test(a_certificate_is_read_and_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
