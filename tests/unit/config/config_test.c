/* SPDX-License-Identifier: Apache-2.0 */
/* Configs: what they refuse, and that they do not change once they are frozen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "config/config.h"
#include "crypto/kem.h"
#include "folder.h"
#include "identity.h"

struct fixture {
    struct identity *identity;
    struct milgi_credential *credential;
    struct milgi_trust *trust;
    struct milgi_config *client, *server;
};

static int fixture_open(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct identity *id = identity_root(IDENTITY_P256, "a.test");

    f->identity = id;
    f->client = milgi_config_new(MILGI_CLIENT);
    f->server = milgi_config_new(MILGI_SERVER);
    *state = f;
    int error = milgi_trust_new_pem(id->cert_pem, strlen(id->cert_pem), &f->trust);
    if (error == 0)
        error = milgi_credential_new_pem(
            id->chain_pem, strlen(id->chain_pem), id->key_pem, strlen(id->key_pem), &f->credential);
    return error;
}

static int fixture_close(void **state)
{
    struct fixture *f = *state;

    milgi_config_unref(f->client);
    milgi_config_unref(f->server);
    milgi_credential_unref(f->credential);
    milgi_trust_unref(f->trust);
    identity_free(f->identity);
    free(f);
    return 0;
}

static void defaults_are_secure(void **state)
{
    struct fixture *f = *state;
    const struct milgi_config *c = f->client;

    assert_false(c->accept_any_server);
    assert_false(c->early_server_data);
    assert_true(c->middlebox);
    assert_int_equal(c->key_shares, 0);
    bool mlkem = milgi__kem_available();
    assert_int_equal(c->groups.v[0], mlkem ? MILGI_GROUP_X25519MLKEM768 : MILGI_GROUP_X25519);
    assert_int_equal(c->groups.n, mlkem ? 6 : 3);
    for (unsigned i = 0; i < c->groups.n; i++)
        assert_true(milgi__group_usable(c->groups.v[i]));
    assert_int_equal(c->suites.n, 9);
    assert_false(c->plain_master);
    assert_false(c->fallback);
    assert_int_equal(c->limit[MILGI_LIMIT_WINDOW], 16);
    assert_int_equal(c->limit[MILGI_LIMIT_RECORD], 16384);
    assert_int_equal(c->limit[MILGI_LIMIT_RECORD_IN], 16384);
    assert_int_equal(c->limit[MILGI_LIMIT_RECORD_FIRST], 16384);
    assert_int_equal(c->limit[MILGI_LIMIT_IDLE_CONTROL], 32);
    assert_int_equal(f->server->client_auth, MILGI_CLIENT_AUTH_NONE);
}

static void what_cannot_be_made_is_refused(void **state)
{
    (void)state;
    assert_null(milgi_config_new((enum milgi_role)7));
    struct milgi_trust *trust;
    assert_int_equal(milgi_trust_new_system(NULL), MILGI_EINVAL);
    assert_int_equal(milgi_trust_new_pem("", 0, NULL), MILGI_EINVAL);
    assert_int_equal(milgi_trust_new_file("/", NULL), MILGI_EINVAL);
    assert_int_equal(milgi_trust_new_file(NULL, &trust), MILGI_EINVAL);
}

static void a_server_needs_a_credential_or_to_be_asked(void **state)
{
    struct fixture *f = *state;
    const char *why = NULL;

    assert_int_equal(milgi_config_freeze(f->server, &why), MILGI_EINVAL);
    assert_non_null(why);
    assert_false(f->server->frozen);
    assert_int_equal(milgi_config_set_ask(f->server, MILGI_DECIDE_CREDENTIAL), 0);
    assert_int_equal(milgi_config_freeze(f->server, NULL), 0);
}

static void client_authentication_needs_a_trust(void **state)
{
    struct fixture *f = *state;
    const char *why = NULL;

    assert_int_equal(milgi_config_add_credential(f->server, f->credential), 0);
    assert_int_equal(milgi_config_set_client_auth(f->server, MILGI_CLIENT_AUTH_OPTIONAL), 0);
    assert_int_equal(milgi_config_freeze(f->server, &why), MILGI_EINVAL);
    assert_non_null(why);
    assert_int_equal(milgi_config_set_trust(f->server, f->trust), 0);
    assert_int_equal(f->server->client_auth, MILGI_CLIENT_AUTH_OPTIONAL);
    assert_int_equal(milgi_config_freeze(f->server, &why), 0);
    assert_null(why);
}

static void a_servers_trust_requires_client_certificates(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(milgi_config_set_trust(f->server, f->trust), 0);
    assert_int_equal(f->server->client_auth, MILGI_CLIENT_AUTH_REQUIRED);
    assert_int_equal(milgi_config_set_trust(f->server, f->trust), 0); /* again: references are right */
    assert_int_equal(milgi_config_set_client_auth(f->server, MILGI_CLIENT_AUTH_NONE), 0);
    assert_int_equal(f->server->client_auth, MILGI_CLIENT_AUTH_NONE);
}

static void a_client_trusts_the_systems_store_by_default(void **state)
{
    struct fixture *f = *state;
    const char *why = NULL;

    setenv("SSL_CERT_DIR", "/nonexistent", 1);
    setenv("SSL_CERT_FILE", "/nonexistent", 1);
    assert_int_equal(milgi_config_freeze(f->client, &why), MILGI_EFILE);
    assert_non_null(why);
    char *file = identity_write(folder(), "anchors.pem", f->identity->cert_pem);
    setenv("SSL_CERT_FILE", file, 1);
    assert_int_equal(milgi_config_freeze(f->client, &why), 0);
    assert_non_null(f->client->trust);
    assert_int_equal(f->client->trust->anchors_len, f->trust->anchors_len);
    unsetenv("SSL_CERT_DIR");
    unsetenv("SSL_CERT_FILE");
    free(file);
}

static void turning_verification_off_is_for_clients(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(milgi_config_dangerously_accept_any_server(f->server), MILGI_EINVAL);
    assert_int_equal(milgi_config_dangerously_accept_any_server(f->client), 0);
    assert_int_equal(milgi_config_freeze(f->client, NULL), 0);
    assert_null(f->client->trust);
}

static void only_reporting_is_said_before_the_freeze_and_not_beside_no_verification(void **state)
{
    struct fixture *f = *state;
    const char *why = NULL;

    assert_int_equal(milgi_config_dangerously_only_report_peer(f->client), 0);
    assert_int_equal(milgi_config_dangerously_accept_any_server(f->client), 0);
    assert_int_equal(milgi_config_freeze(f->client, &why), MILGI_EINVAL);
    assert_non_null(why);
    f->client->accept_any_server = false;
    assert_int_equal(milgi_config_freeze(f->client, NULL), 0);
    assert_non_null(f->client->trust);
    assert_int_equal(milgi_config_dangerously_only_report_peer(f->client), MILGI_EINVAL);
}

static void lists_are_checked_and_keep_their_order(void **state)
{
    struct fixture *f = *state;
    const uint16_t groups[] = { MILGI_GROUP_SECP384R1, MILGI_GROUP_X25519 };
    const uint16_t twice[] = { MILGI_GROUP_X25519, MILGI_GROUP_X25519 };
    const uint16_t unknown[] = { MILGI_GROUP_X25519, 0x001e };
    const uint16_t kem[] = { MILGI_GROUP_MLKEM768 };
    const uint16_t hybrid[] = { MILGI_GROUP_SECP384R1MLKEM1024 };
    const uint16_t sha1[] = { 0x0201 };
    const uint16_t schemes[] = { MILGI_SIG_ED25519, MILGI_SIG_ECDSA_SECP256R1_SHA256 };
    const uint16_t suites[] = { MILGI_SUITE_CHACHA20_POLY1305_SHA256 };
    const uint16_t without_ephemeral_keys[] = { 0x009c };

    assert_int_equal(milgi_config_set_groups(f->client, groups, 2), 0);
    assert_int_equal(f->client->groups.n, 2);
    assert_int_equal(f->client->groups.v[0], MILGI_GROUP_SECP384R1);
    assert_int_equal(milgi_config_set_groups(f->client, twice, 2), MILGI_EINVAL);
    assert_int_equal(milgi_config_set_groups(f->client, unknown, 2), MILGI_EUNSUPPORTED);
    assert_int_equal(milgi_config_set_groups(f->client, groups, 0), MILGI_EINVAL);
    assert_int_equal(milgi_config_set_groups(f->client, NULL, 2), MILGI_EINVAL);
    assert_int_equal(milgi_config_set_groups(f->client, groups, 25), MILGI_EINVAL);
    assert_int_equal(f->client->groups.v[0], MILGI_GROUP_SECP384R1); /* as before */
    int without_kem = milgi__kem_available() ? 0 : MILGI_EUNSUPPORTED;
    assert_int_equal(milgi_config_set_groups(f->client, hybrid, 1), without_kem);
    assert_int_equal(milgi_config_set_groups(f->client, kem, 1), without_kem);
    assert_int_equal(milgi_config_set_signature_schemes(f->client, sha1, 1), MILGI_EUNSUPPORTED);
    assert_int_equal(milgi_config_set_signature_schemes(f->client, schemes, 2), 0);
    assert_int_equal(f->client->schemes.v[1], MILGI_SIG_ECDSA_SECP256R1_SHA256);
    assert_int_equal(milgi_config_set_suites(f->client, suites, 1), 0);
    assert_int_equal(milgi_config_set_suites(f->client, without_ephemeral_keys, 1), MILGI_EUNSUPPORTED);
    assert_int_equal(f->client->suites.n, 1);
}

static void tls13_has_no_pkcs1_and_versions_without_suites_are_not_spoken(void **state)
{
    struct fixture *f = *state;
    const uint16_t tls12[] = { MILGI_SUITE_ECDHE_RSA_AES_128_GCM_SHA256 };

    assert_int_equal(milgi_config_set_trust(f->client, f->trust), 0);
    assert_int_equal(milgi_config_set_versions(f->client, MILGI_TLS_1_3, MILGI_TLS_1_2), MILGI_EINVAL);
    assert_int_equal(milgi_config_set_versions(f->client, 0x0302, MILGI_TLS_1_2), MILGI_EINVAL);
    assert_int_equal(milgi_config_set_versions(f->client, MILGI_TLS_1_2, 0x0305), MILGI_EINVAL);
    assert_int_equal(milgi_config_set_versions(f->client, MILGI_TLS_1_2, MILGI_TLS_1_3), 0);
    assert_int_equal(milgi_config_set_suites(f->client, tls12, 1), 0);
    assert_int_equal(milgi_config_freeze(f->client, NULL), 0);
    assert_int_equal(f->client->version_min, MILGI_TLS_1_2);
    assert_int_equal(f->client->version_max, MILGI_TLS_1_2);
    for (unsigned i = 0; i < f->client->schemes.n; i++)
        assert_true(milgi__scheme(f->client->schemes.v[i])->tls13);
    assert_true(milgi__list_has(&f->client->schemes12, MILGI_SIG_RSA_PKCS1_SHA256));
    assert_int_equal(milgi_config_set_versions(f->client, MILGI_TLS_1_2, MILGI_TLS_1_2), MILGI_EINVAL);
    assert_int_equal(milgi_config_set_extended_master_secret(f->client, false), MILGI_EINVAL);
    assert_int_equal(milgi_config_set_fallback(f->client, true), MILGI_EINVAL);
    assert_int_equal(milgi_config_set_fallback(f->server, true), MILGI_EINVAL);
    const char *why = NULL;
    assert_int_equal(milgi_config_set_suites(f->server, tls12, 1), 0);
    assert_int_equal(milgi_config_set_versions(f->server, MILGI_TLS_1_3, MILGI_TLS_1_3), 0);
    assert_int_equal(milgi_config_freeze(f->server, &why), MILGI_EINVAL);
    assert_string_equal(why, "no version of TLS has a suite and a signature scheme");
}

static void a_config_that_could_not_be_frozen_is_as_it_was(void **state)
{
    struct fixture *f = *state;
    struct milgi_config *s = f->server;
    const uint16_t suites[] = { MILGI_SUITE_ECDHE_RSA_AES_128_GCM_SHA256, MILGI_SUITE_AES_128_GCM_SHA256 };
    const struct milgi__u16_list schemes = s->schemes;
    const char *why = NULL;

    assert_int_equal(milgi_config_set_versions(s, MILGI_TLS_1_2, MILGI_TLS_1_3), 0);
    assert_int_equal(milgi_config_set_suites(s, suites, 1), 0);
    assert_int_equal(milgi_config_freeze(s, &why), MILGI_EINVAL); /* without a credential */
    assert_int_equal(s->version_max, MILGI_TLS_1_3);
    assert_int_equal(s->schemes.n, schemes.n);
    assert_memory_equal(s->schemes.v, schemes.v, schemes.n * sizeof schemes.v[0]);
    assert_int_equal(milgi_config_add_credential(s, f->credential), 0);
    assert_int_equal(milgi_config_set_suites(s, suites, 2), 0);
    assert_int_equal(milgi_config_freeze(s, &why), 0);
    assert_int_equal(s->version_max, MILGI_TLS_1_3);
    assert_true(milgi__list_has(&s->schemes12, MILGI_SIG_RSA_PKCS1_SHA256));
    assert_false(milgi__list_has(&s->schemes, MILGI_SIG_RSA_PKCS1_SHA256));
}

static void certificates_may_be_signed_with_pkcs1_too(void **state)
{
    struct fixture *f = *state;
    const uint16_t schemes[] = { MILGI_SIG_ED25519 };

    assert_int_equal(milgi_config_set_trust(f->client, f->trust), 0);
    assert_int_equal(milgi_config_set_signature_schemes(f->client, schemes, 1), 0);
    assert_int_equal(milgi_config_freeze(f->client, NULL), 0);
    assert_int_equal(f->client->schemes.n, 1);
    assert_int_equal(f->client->cert_schemes.n, 4);
    assert_int_equal(f->client->cert_schemes.v[0], MILGI_SIG_ED25519);
    assert_true(milgi__list_has(&f->client->cert_schemes, MILGI_SIG_RSA_PKCS1_SHA384));
}

static void a_credential_that_no_scheme_can_use_is_told(void **state)
{
    struct fixture *f = *state;
    const uint16_t schemes[] = { MILGI_SIG_ED25519 };
    const char *why = NULL;

    assert_int_equal(milgi_config_add_credential(f->server, f->credential), 0);
    assert_int_equal(milgi_config_set_signature_schemes(f->server, schemes, 1), 0);
    assert_int_equal(milgi_config_freeze(f->server, &why), MILGI_EINVAL);
    assert_non_null(why);
}

/*= RFC7301 3.1: "Empty strings MUST NOT be included and byte strings MUST NOT be truncated." */
static void alpn_names_have_1_to_255_bytes(void **state)
{
    struct fixture *f = *state;
    char longest[257];
    const char *good[] = { "h2", "http/1.1" };
    const char *empty[] = { "h2", "" };
    const char *none[] = { "h2", NULL };
    const char *edge[] = { longest };

    memset(longest, 'x', sizeof(longest));
    longest[256] = '\0';
    assert_int_equal(milgi_config_set_alpn(f->client, edge, 1), MILGI_EINVAL);
    longest[255] = '\0';
    assert_int_equal(milgi_config_set_alpn(f->client, edge, 1), 0);
    assert_int_equal(f->client->alpn_len, 256);
    assert_int_equal(milgi_config_set_alpn(f->client, good, 2), 0);
    assert_int_equal(f->client->alpn_len, 12);
    assert_memory_equal(f->client->alpn, "\x02h2\x08http/1.1", 12);
    assert_int_equal(milgi_config_set_alpn(f->client, empty, 2), MILGI_EINVAL);
    assert_int_equal(milgi_config_set_alpn(f->client, none, 2), MILGI_EINVAL);
    assert_int_equal(milgi_config_set_alpn(f->client, NULL, 1), MILGI_EINVAL);
    assert_int_equal(f->client->alpn_len, 12);
    assert_int_equal(milgi_config_set_alpn(f->client, NULL, 0), 0);
    assert_int_equal(f->client->alpn_len, 0);
}

static void limits_are_checked(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(milgi_config_set_limit(f->client, MILGI_LIMIT_WINDOW, 0), MILGI_EINVAL);
    assert_int_equal(milgi_config_set_limit(f->client, MILGI_LIMIT_WINDOW, 65), MILGI_EINVAL);
    assert_int_equal(milgi_config_set_limit(f->client, MILGI_LIMIT_WINDOW, 64), 0);
    assert_int_equal(f->client->limit[MILGI_LIMIT_WINDOW], 64);
    assert_int_equal(milgi_config_set_limit(f->client, MILGI_LIMIT_RECORD, 63), MILGI_EINVAL);
    assert_int_equal(milgi_config_set_limit(f->client, MILGI_LIMIT_RECORD_IN, 63), MILGI_EINVAL);
    assert_int_equal(milgi_config_set_limit(f->client, MILGI_LIMIT_RECORD_IN, 16385), MILGI_EINVAL);
    assert_int_equal(milgi_config_set_limit(f->client, MILGI_LIMIT_RECORD, 16385), MILGI_EINVAL);
    assert_int_equal(milgi_config_set_limit(f->client, MILGI_LIMIT_HANDSHAKE_MESSAGE, 1024 * 1024 + 1), MILGI_EINVAL);
    assert_int_equal(milgi_config_set_limit(f->client, MILGI_LIMITS, 1), MILGI_EINVAL);
    /* Reading that stops before a record is whole would stop for ever. */
    assert_int_equal(milgi_config_set_limit(f->client, MILGI_LIMIT_INPUT, 1024), 0);
    assert_int_equal(f->client->limit[MILGI_LIMIT_INPUT], 2 * (5 + 16384 + 256));
    for (unsigned i = 0; i < MILGI_LIMITS; i++) { /* every default may be set */
        uint64_t value = f->server->limit[i];
        assert_int_equal(milgi_config_set_limit(f->client, (enum milgi_limit)i, value), 0);
    }
}

static void settings_of_the_other_role_are_refused(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(milgi_config_set_client_auth(f->client, MILGI_CLIENT_AUTH_NONE), MILGI_EINVAL);
    assert_int_equal(milgi_config_set_client_auth(f->server, (enum milgi_client_auth)3), MILGI_EINVAL);
    assert_int_equal(milgi_config_set_key_shares(f->server, 1), MILGI_EINVAL);
    assert_int_equal(milgi_config_set_key_shares(f->client, 0), MILGI_EINVAL);
    assert_int_equal(milgi_config_set_early_server_data(f->client, true), MILGI_EINVAL);
    assert_int_equal(milgi_config_set_ask(f->client, MILGI_DECIDE_ALPN), MILGI_EINVAL);
    assert_int_equal(milgi_config_set_ask(f->client, 8), MILGI_EINVAL);
    assert_int_equal(milgi_config_set_trust(f->client, NULL), MILGI_EINVAL);
    assert_int_equal(milgi_config_add_credential(f->client, NULL), MILGI_EINVAL);
}

static void more_key_shares_than_groups_are_told(void **state)
{
    struct fixture *f = *state;
    const char *why = NULL;

    const uint16_t groups[] = { MILGI_GROUP_X25519, MILGI_GROUP_SECP256R1, MILGI_GROUP_SECP384R1 };
    assert_int_equal(milgi_config_set_trust(f->client, f->trust), 0);
    assert_int_equal(milgi_config_set_groups(f->client, groups, 2), 0);
    assert_int_equal(milgi_config_set_key_shares(f->client, 4), MILGI_EINVAL); /* more than are ever sent */
    assert_int_equal(milgi_config_set_key_shares(f->client, 3), 0);
    assert_int_equal(milgi_config_freeze(f->client, &why), MILGI_EINVAL);
    assert_non_null(why);
    assert_int_equal(milgi_config_set_groups(f->client, groups, 3), 0);
    assert_int_equal(milgi_config_freeze(f->client, &why), 0);
}

static void key_shares_are_of_the_groups(void **state)
{
    struct fixture *f = *state;
    struct milgi_config *c = f->client;
    const char *why = NULL;

    const uint16_t groups[] = { MILGI_GROUP_X25519, MILGI_GROUP_SECP256R1, MILGI_GROUP_SECP384R1,
        MILGI_GROUP_SECP521R1 };
    const uint16_t twice[] = { MILGI_GROUP_X25519, MILGI_GROUP_X25519 }, unknown[] = { 1 };
    assert_int_equal(milgi_config_set_trust(c, f->trust), 0);
    assert_int_equal(milgi_config_set_groups(c, groups, 3), 0);
    assert_int_equal(milgi_config_set_key_share_groups(f->server, groups, 1), MILGI_EINVAL);
    assert_int_equal(milgi_config_set_key_share_groups(c, groups, 0), MILGI_EINVAL);
    assert_int_equal(milgi_config_set_key_share_groups(c, groups, 4), MILGI_EINVAL); /* more than are ever sent */
    assert_int_equal(milgi_config_set_key_share_groups(c, twice, 2), MILGI_EINVAL);
    assert_int_equal(milgi_config_set_key_share_groups(c, unknown, 1), MILGI_EUNSUPPORTED);
    assert_int_equal(milgi_config_set_key_share_groups(c, groups + 2, 2), 0);
    assert_int_equal(milgi_config_freeze(c, &why), MILGI_EINVAL);
    assert_string_equal(why, "a key share of none of the groups");
    assert_int_equal(milgi_config_set_key_shares(c, 1), 0);
    assert_int_equal(c->share_groups.n, 0);
    assert_int_equal(milgi_config_set_key_shares(c, 3), 0); /* of the two groups that there are then */
    assert_int_equal(milgi_config_set_groups(c, groups + 1, 2), 0);
    assert_int_equal(milgi_config_freeze(c, &why), MILGI_EINVAL);
    assert_int_equal(milgi_config_set_key_share_groups(c, groups + 1, 2), 0);
    assert_int_equal(milgi_config_freeze(c, &why), 0);
    assert_int_equal(milgi_config_set_key_share_groups(c, groups + 1, 1), MILGI_EINVAL);
}

static void a_frozen_config_does_not_change(void **state)
{
    struct fixture *f = *state;
    struct milgi_config *c = f->server;
    const uint16_t groups[] = { MILGI_GROUP_X25519 };
    const char *alpn[] = { "h2" };

    assert_int_equal(milgi_config_add_credential(c, f->credential), 0);
    assert_int_equal(milgi_config_freeze(c, NULL), 0);
    assert_int_equal(milgi_config_freeze(c, NULL), MILGI_EINVAL);
    assert_int_equal(milgi_config_add_credential(c, f->credential), MILGI_EINVAL);
    assert_int_equal(milgi_config_set_trust(c, f->trust), MILGI_EINVAL);
    assert_int_equal(milgi_config_set_client_auth(c, MILGI_CLIENT_AUTH_NONE), MILGI_EINVAL);
    assert_int_equal(milgi_config_set_alpn(c, alpn, 1), MILGI_EINVAL);
    assert_int_equal(milgi_config_set_groups(c, groups, 1), MILGI_EINVAL);
    assert_int_equal(milgi_config_set_ask(c, 0), MILGI_EINVAL);
    assert_int_equal(milgi_config_set_keylog(c, NULL, NULL), MILGI_EINVAL);
    assert_int_equal(milgi_config_set_padding(c, NULL, NULL), MILGI_EINVAL);
    assert_int_equal(milgi_config_set_limit(c, MILGI_LIMIT_WINDOW, 1), MILGI_EINVAL);
    assert_int_equal(milgi_config_set_early_server_data(c, true), MILGI_EINVAL);
    assert_int_equal(milgi_config_set_middlebox(c, false), MILGI_EINVAL);
    assert_int_equal(c->credentials_n, 1);
}

static void credentials_keep_their_order_and_references(void **state)
{
    struct fixture *f = *state;

    for (unsigned i = 0; i < 9; i++)
        assert_int_equal(milgi_config_add_credential(f->server, f->credential), 0);
    assert_int_equal(f->server->credentials_n, 9);
    assert_ptr_equal(f->server->credentials[8], f->credential);
    assert_int_equal(f->credential->refs, 10);
    struct milgi_config *same = milgi_config_ref(f->server);
    milgi_config_unref(same);
    assert_int_equal(f->credential->refs, 10);
    milgi_config_unref(f->server);
    f->server = NULL;
    assert_int_equal(f->credential->refs, 1);
    milgi_config_unref(NULL);
}

#define config_test(f) cmocka_unit_test_setup_teardown(f, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        config_test(defaults_are_secure),
        cmocka_unit_test(what_cannot_be_made_is_refused),
        config_test(a_server_needs_a_credential_or_to_be_asked),
        config_test(client_authentication_needs_a_trust),
        config_test(a_servers_trust_requires_client_certificates),
        config_test(a_client_trusts_the_systems_store_by_default),
        config_test(turning_verification_off_is_for_clients),
        config_test(only_reporting_is_said_before_the_freeze_and_not_beside_no_verification),
        config_test(lists_are_checked_and_keep_their_order),
        config_test(tls13_has_no_pkcs1_and_versions_without_suites_are_not_spoken),
        config_test(a_config_that_could_not_be_frozen_is_as_it_was),
        config_test(certificates_may_be_signed_with_pkcs1_too),
        config_test(a_credential_that_no_scheme_can_use_is_told),
        config_test(alpn_names_have_1_to_255_bytes),
        config_test(limits_are_checked),
        config_test(settings_of_the_other_role_are_refused),
        config_test(more_key_shares_than_groups_are_told),
        config_test(key_shares_are_of_the_groups),
        config_test(a_frozen_config_does_not_change),
        config_test(credentials_keep_their_order_and_references),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
