/* SPDX-License-Identifier: Apache-2.0 */
/* External PSKs: what they are made of, and which a config takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/config.h"
#include "keys/keys.h"

#define MUST(call) assert_int_equal(call, 0)

static uint8_t secret[MILGI_PSK_SECRET_MAX + 1];
static char identity[MILGI_PSK_IDENTITY_MAX + 1];

static struct milgi_psk_source source_of(enum milgi_role role, size_t identity_len, size_t secret_len)
{
    return (struct milgi_psk_source){ role, MILGI_PSK_SHA256, identity, identity_len, secret, secret_len };
}

static int setup(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof secret; i++)
        secret[i] = (uint8_t)i;
    memset(identity, 'i', sizeof identity);
    return 0;
}

static int try(struct milgi_psk_source source)
{
    struct milgi_psk *psk;
    int rv = milgi_psk_new(&source, &psk);
    assert_int_equal(psk != NULL, rv == 0);
    milgi_psk_unref(psk);
    return rv;
}

static void what_it_is_made_of_is_checked(void **state)
{
    (void)state;
    MUST(try(source_of(MILGI_CLIENT, 1, MILGI_PSK_SECRET_MIN)));
    MUST(try(source_of(MILGI_SERVER, MILGI_PSK_IDENTITY_MAX, MILGI_PSK_SECRET_MAX)));
    assert_int_equal(try(source_of(MILGI_CLIENT, 1, MILGI_PSK_SECRET_MIN - 1)), MILGI_EWEAK);
    assert_int_equal(try(source_of(MILGI_CLIENT, 0, 32)), MILGI_EINVAL);
    assert_int_equal(try(source_of(MILGI_CLIENT, MILGI_PSK_IDENTITY_MAX + 1, 32)), MILGI_EINVAL);
    assert_int_equal(try(source_of(MILGI_CLIENT, 1, MILGI_PSK_SECRET_MAX + 1)), MILGI_EINVAL);
    assert_int_equal(try(source_of((enum milgi_role)7, 1, 32)), MILGI_EINVAL);
    struct milgi_psk_source source = source_of(MILGI_CLIENT, 1, 32);
    source.hash = (enum milgi_psk_hash)2;
    assert_int_equal(try(source), MILGI_EINVAL);
    source = source_of(MILGI_CLIENT, 1, 32);
    source.identity = NULL;
    assert_int_equal(try(source), MILGI_EINVAL);
    source = source_of(MILGI_CLIENT, 1, 32);
    source.secret = NULL;
    assert_int_equal(try(source), MILGI_EINVAL);
}

static void what_is_imported_is_checked(void **state)
{
    (void)state;
    struct milgi_psk_source source = source_of(MILGI_CLIENT, 8, 32);
    struct milgi_psk *psk;
    MUST(milgi_psk_import(&source, NULL, 0, MILGI_PSK_SHA256, &psk));
    assert_int_equal(milgi_psk_identity(psk).len, 16);
    milgi_psk_unref(psk);
    assert_int_equal(milgi_psk_import(&source, NULL, 1, MILGI_PSK_SHA256, &psk), MILGI_EINVAL);
    assert_int_equal(milgi_psk_import(&source, "", 0, (enum milgi_psk_hash)2, &psk), MILGI_EINVAL);
    assert_int_equal(
        milgi_psk_import(&source, identity, MILGI_PSK_IDENTITY_MAX - 15, MILGI_PSK_SHA256, &psk), MILGI_EINVAL);
    MUST(milgi_psk_import(&source, identity, MILGI_PSK_IDENTITY_MAX - 16, MILGI_PSK_SHA256, &psk));
    milgi_psk_unref(psk);
    static const char *const bad[][2] = { { "a", "a" }, { "", "b" }, { "a", "" }, { NULL, "b" }, { "a", NULL } };
    for (unsigned i = 0; i < MILGI__COUNT(bad); i++)
        assert_int_equal(
            milgi_psk_import_between(&source, bad[i][0], bad[i][1], MILGI_PSK_SHA256, &psk), MILGI_EINVAL);
    char name[257] = { 0 };
    memset(name, 'n', 255);
    MUST(milgi_psk_import_between(&source, name, "b", MILGI_PSK_SHA256, &psk));
    milgi_psk_unref(psk);
    name[255] = 'n';
    assert_int_equal(milgi_psk_import_between(&source, name, "b", MILGI_PSK_SHA256, &psk), MILGI_EINVAL);
    source.secret_len = MILGI_PSK_SECRET_MIN - 1;
    assert_int_equal(milgi_psk_import(&source, NULL, 0, MILGI_PSK_SHA256, &psk), MILGI_EWEAK);
}

/*
 * RFC 9258 5.1 and 5.2 for each pair of hashes: the secret 00 01 .. 1f of "device-7" between the client "cli" and
 * "server"; computed with another implementation of HMAC. The binder is over SHA-2 of "abc".
 */
static const struct {
    enum milgi_psk_hash hash, target;
    const char *identity;
    const char *early, *binder;
} imported[] = {
    { MILGI_PSK_SHA256, MILGI_PSK_SHA256, "00086465766963652d37000b03636c690673657276657203040001",
        "8ae7596d82a96e82aa8b554122a5b3f2618a5ab8de74fa78ae48343eb47ce0c7",
        "7ab317ac578c8911c6c858b1a57414e0eed1fe4c2e36ebfe1088334de10db214" },
    { MILGI_PSK_SHA256, MILGI_PSK_SHA384, "00086465766963652d37000b03636c690673657276657203040002",
        "46e9e280fdf9a559d98dabf87dc12db14c04fa9e65eff1fa54abd73cc006431fe1f41b2ab995c676c73659d3a787f18f",
        "92b3068cde40cf3f6a3a0a7ac2ca8f53474999637ccb4f058a62256c2ea79c5ebcbafcfabca970de6ae28d3cbafa7566" },
    { MILGI_PSK_SHA384, MILGI_PSK_SHA256, "00086465766963652d37000b03636c690673657276657203040001",
        "7f25ef6318bb0cba31c2bcdf44ada691aa353fa43730465a9f2067ecde731686",
        "b055e39706d77c75666c9b3090e8ea1aeff0a74fa8eea43fb5a4942085286d54" },
    { MILGI_PSK_SHA384, MILGI_PSK_SHA384, "00086465766963652d37000b03636c690673657276657203040002",
        "4cae988de70deedca75c4c4c1694a07bad7831bd9c006b88f77b4ba078869f57c2593e5edd323eb3109b377d5f65f91b",
        "a12d4abe61f40f164f93db22d24b3dccb8c6d60f6791c8f21a42cc7f77aebc6470c904c6525e98282403ed5b0913f4e3" },
};

static void assert_hex(const void *data, size_t len, const char *hex)
{
    const uint8_t *p = data;
    assert_int_equal(strlen(hex), 2 * len);
    for (size_t i = 0; i < len; i++) {
        unsigned byte;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
        assert_int_equal(p[i], byte);
    }
}

static void importing_is_as_others_do_it(void **state)
{
    (void)state;
    struct milgi__crypto *cx = milgi__crypto_new();
    for (unsigned i = 0; i < MILGI__COUNT(imported); i++) {
        for (unsigned role = MILGI_CLIENT; role <= MILGI_SERVER; role++) {
            struct milgi_psk_source source = { (enum milgi_role)role, imported[i].hash, "device-7", 8, secret, 32 };
            bool client = role == MILGI_CLIENT;
            enum milgi__hash hash = imported[i].target == MILGI_PSK_SHA384 ? MILGI__SHA384 : MILGI__SHA256;
            uint8_t hello[MILGI__HASH_MAX], binder[MILGI__HASH_MAX];
            struct milgi_psk *psk;
            MUST(milgi_psk_import_between(
                &source, client ? "cli" : "server", client ? "server" : "cli", imported[i].target, &psk));
            assert_hex(milgi_psk_identity(psk).data, milgi_psk_identity(psk).len, imported[i].identity);
            assert_hex(psk->session->f.secret, psk->session->f.secret_len, imported[i].early);
            MUST(milgi__hash(cx, hash, "abc", 3, hello));
            MUST(milgi__binder_of_early(
                cx, hash, MILGI__BINDER_IMPORTED, psk->session->f.secret, hello, binder));
            assert_hex(binder, milgi__hash_len(hash), imported[i].binder);
            milgi_psk_unref(psk);
        }
    }
    milgi__crypto_free(cx);
}

static struct milgi_psk *named(enum milgi_role role, unsigned n)
{
    char name[16];
    struct milgi_psk_source source = source_of(role, 1, 32);
    struct milgi_psk *psk;
    source.identity = name;
    source.identity_len = (size_t)snprintf(name, sizeof name, "%u", n);
    MUST(milgi_psk_new(&source, &psk));
    return psk;
}

static void a_server_finds_each_of_many(void **state)
{
    (void)state;
    for (unsigned n = 1; n < 70; n += 17) {
        struct milgi_config *config = milgi_config_new(MILGI_SERVER);
        for (unsigned i = 0; i < n; i++) {
            struct milgi_psk *psk = named(MILGI_SERVER, i * 37 % 101);
            MUST(milgi_config_add_psk(config, psk));
            milgi_psk_unref(psk);
        }
        MUST(milgi_config_freeze(config, NULL));
        for (unsigned i = 0; i < n + 1; i++) {
            struct milgi_psk *psk = named(MILGI_SERVER, i * 37 % 101);
            struct milgi_iov wanted = milgi_psk_identity(psk);
            struct milgi_session *found = milgi__psk_find(config, wanted.data, wanted.len);
            assert_int_equal(found != NULL, i < n);
            if (found)
                assert_memory_equal(milgi__psk_identity(found).data, wanted.data, wanted.len);
            milgi_psk_unref(psk);
        }
        struct milgi_psk *late = named(MILGI_SERVER, 0);
        assert_int_equal(milgi_config_add_psk(config, late), MILGI_EINVAL); /* frozen */
        milgi_psk_unref(late);
        milgi_config_unref(config);
    }
}

static void a_config_takes_what_makes_sense(void **state)
{
    (void)state;
    const char *why;
    for (unsigned role = MILGI_CLIENT; role <= MILGI_SERVER; role++) {
        struct milgi_config *config = milgi_config_new((enum milgi_role)role);
        struct milgi_psk *own = named((enum milgi_role)role, 1), *other = named((enum milgi_role) !role, 1);
        assert_int_equal(milgi_config_add_psk(config, NULL), MILGI_EINVAL);
        assert_int_equal(milgi_config_add_psk(config, other), MILGI_EINVAL);
        MUST(milgi_config_add_psk(config, own));
        struct milgi_psk *two = named((enum milgi_role)role, 2);
        MUST(milgi_config_add_psk(config, two));
        MUST(milgi_config_add_psk(config, own)); /* the same again, not beside it */
        milgi_psk_unref(two);
        if (role == MILGI_CLIENT) {
            MUST(milgi_config_add_psk(config, own));
            assert_int_equal(milgi_config_add_psk(config, own), MILGI_EINVAL); /* so many are not offered */
            MUST(milgi_config_set_psk_only(config, true));
        }
        assert_int_equal(milgi_config_freeze(config, &why), MILGI_EINVAL);
        assert_string_equal(why, "two PSKs have one identity");
        assert_int_equal(milgi_config_set_psk_only(config, true), role == MILGI_CLIENT ? 0 : MILGI_EINVAL);
        assert_int_equal(
            milgi_config_set_psk_without_certificate(config, true), role == MILGI_SERVER ? 0 : MILGI_EINVAL);
        assert_int_equal(milgi_config_set_psk_ke(config, (enum milgi_psk_ke)3), MILGI_EINVAL);
        milgi_psk_unref(own);
        milgi_psk_unref(other);
        milgi_config_unref(config);
    }
    struct milgi_config *config = milgi_config_new(MILGI_CLIENT);
    MUST(milgi_config_set_psk_only(config, true));
    MUST(milgi_config_set_versions(config, MILGI_TLS_1_2, MILGI_TLS_1_3));
    assert_int_equal(milgi_config_freeze(config, &why), MILGI_EINVAL);
    assert_string_equal(why, "with PSKs alone there is TLS 1.3 alone");
    milgi_config_unref(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_it_is_made_of_is_checked),
        cmocka_unit_test(what_is_imported_is_checked),
        cmocka_unit_test(importing_is_as_others_do_it),
        cmocka_unit_test(a_server_finds_each_of_many),
        cmocka_unit_test(a_config_takes_what_makes_sense),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
