/* SPDX-License-Identifier: Apache-2.0 */
/* Which credentials fit the name that a client asks for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "config/config.h"
#include "identity.h"

#define MANY 300

/* Credentials with these subjectAltNames each; the first is the one for all other names. */
static struct milgi_config *config_of(const char *const *names, const enum identity_key *keys, size_t n)
{
    struct milgi_config *config = milgi_config_new(MILGI_SERVER);

    for (size_t i = 0; i < n; i++) {
        struct identity *id = identity_new(&(struct identity_options){
            .key = keys ? keys[i] : IDENTITY_P256, .common_name = "names", .names = names[i] });
        struct milgi_credential *c;
        assert_int_equal(
            milgi_credential_new_pem(id->cert_pem, strlen(id->cert_pem), id->key_pem, strlen(id->key_pem), &c), 0);
        assert_int_equal(milgi_config_add_credential(config, c), 0);
        milgi_credential_unref(c);
        identity_free(id);
    }
    assert_int_equal(milgi_config_freeze(config, NULL), 0);
    return config;
}

/* The indices that fit, as digits. */
static const char *fit(const struct milgi_config *config, const char *name)
{
    static char out[16];
    struct milgi__fits fits = milgi__names_find(&config->names, name);
    size_t i, n = 0;

    while (milgi__fits_next(&fits, &i))
        out[n++] = (char)('0' + i);
    out[n] = '\0';
    return out;
}

static void names_fit_exactly_or_by_one_label(void **state)
{
    static const char *const names[] = { "DNS:other.test", "DNS:a.w.test,DNS:b.test", "DNS:*.w.test",
        "DNS:A.UPPER.Test,DNS:*.x_y.test",
        "IP:192.0.2.1,IP:97.46.98.99,email:a@mail.test,"
        "DNS:f*.part.test,DNS:xn--bcher-kva.test" };
    static const struct {
        const char *name, *fits;
    } cases[] = { { "other.test", "0" }, { "b.test", "1" }, { "B.Test", "1" }, { "a.w.test", "12" },
        { "c.w.test", "2" },
        { "_srv.w.test", "2" }, { "xn--a.w.test", "2" }, { "w.test", "" }, { "d.c.w.test", "" }, { "*.w.test", "2" },
        { "a.upper.test", "3" }, { "q.X_Y.test", "3" }, { "192.0.2.1", "" },
        { "a.bc", "" }, /* the bytes of an address */
        { "a@mail.test", "" }, { "mail.test", "" },
        { "foo.part.test", "" },
        { "f*.part.test", "" }, { "XN--BCHER-KVA.test", "4" }, { "no.such", "" }, { "names", "" },
        /* dots */
        { "a.w.test.", "12" }, { "c.w.test.", "2" }, { "a.w.test..", "" }, { ".w.test", "" }, { "..w.test", "" },
        { ".", "" }, { "", "" }, { "a..w.test", "" }, { ".other.test", "" }, { "c.w.test\x80", "" },
        { "c .w.test", "" } };

    (void)state;
    struct milgi_config *config = config_of(names, NULL, MILGI__COUNT(names));
    for (size_t i = 0; i < MILGI__COUNT(cases); i++) {
        if (strcmp(fit(config, cases[i].name), cases[i].fits) != 0)
            fail_msg("\"%s\": \"%s\", not \"%s\"", cases[i].name, fit(config, cases[i].name), cases[i].fits);
    }
    milgi_config_unref(config);
}

static void those_that_fit_come_in_the_configs_order_one_of_each_kind(void **state)
{
    static const char *const names[] = { "DNS:*.test", "DNS:a.test", "DNS:a.test,DNS:*.test", "DNS:a.test",
        "DNS:*.test" };
    static const enum identity_key keys[] = { IDENTITY_P256, IDENTITY_ED25519, IDENTITY_P384, IDENTITY_ED25519,
        IDENTITY_P256 };

    (void)state;
    struct milgi_config *config = config_of(names, keys, MILGI__COUNT(names));
    assert_string_equal(fit(config, "a.test"), "012");
    assert_string_equal(fit(config, "b.test"), "02");
    struct milgi__fits any = milgi__names_any(&config->names);
    size_t i, n = 0;
    while (milgi__fits_next(&any, &i))
        assert_int_equal(i, n++);
    assert_int_equal(n, 3);
    milgi_config_unref(config);
}

/* What a handshake looks at does not grow with the credentials, whether a name fits, or many have it, or none. */
static void a_name_costs_the_same_with_one_credential_and_with_many(void **state)
{
    struct milgi_credential *list[MANY];
    struct milgi__names names;
    struct identity *id = identity_new(&(struct identity_options){ .names = "DNS:same.test,DNS:*.same.test" });

    (void)state;
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(
            milgi_credential_new_pem(id->cert_pem, strlen(id->cert_pem), id->key_pem, strlen(id->key_pem), &list[i]),
            0);
    assert_int_equal(milgi__names_build(&names, list, MANY), 0);
    static const char *const asked[] = { "same.test", "a.same.test", "other.test" };
    for (size_t k = 0; k < MILGI__COUNT(asked); k++) {
        struct milgi__fits fits = milgi__names_find(&names, asked[k]);
        size_t i, n = 0;
        for (; milgi__fits_next(&fits, &i); n++)
            assert_int_equal(i, 0);
        assert_int_equal(n, k < 2);
    }
    struct milgi__fits any = milgi__names_any(&names);
    size_t i;
    assert_true(milgi__fits_next(&any, &i));
    assert_false(milgi__fits_next(&any, &i));
    milgi__names_clear(&names);
    for (size_t k = 0; k < MANY; k++)
        milgi_credential_unref(list[k]);
    identity_free(id);
}

static int left; /* allocations until one fails */

static bool fail_one(void)
{
    return left-- == 0;
}

static void an_index_without_memory_is_an_error_and_leaks_nothing(void **state)
{
    struct identity *id = identity_new(&(struct identity_options){ .names = "DNS:a.test,DNS:b.test,DNS:*.c.test" });
    struct milgi_credential *c[2];
    struct milgi__names names;
    unsigned failures = 0;

    (void)state;
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(
            milgi_credential_new_pem(id->cert_pem, strlen(id->cert_pem), id->key_pem, strlen(id->key_pem), &c[i]), 0);
    for (int n = 0, error = MILGI_ENOMEM; error != 0; n++) {
        left = n;
        milgi__mem_fail = fail_one;
        error = milgi__names_build(&names, c, 2);
        milgi__mem_fail = NULL;
        failures += error != 0;
        if (error != 0)
            assert_int_equal(error, MILGI_ENOMEM);
    }
    assert_true(failures > 5);
    milgi__names_clear(&names);
    milgi_credential_unref(c[0]);
    milgi_credential_unref(c[1]);
    identity_free(id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_fit_exactly_or_by_one_label),
        cmocka_unit_test(those_that_fit_come_in_the_configs_order_one_of_each_kind),
        cmocka_unit_test(a_name_costs_the_same_with_one_credential_and_with_many),
        cmocka_unit_test(an_index_without_memory_is_an_error_and_leaks_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
