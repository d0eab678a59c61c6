/* SPDX-License-Identifier: Apache-2.0 */
/* Identities for the fake backend become credentials, trusts and configs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_identity.h"

static void identity_of_every_key_type_becomes_a_credential(void **state)
{
    (void)state;
    static const struct {
        enum milgi__key_type type;
        const char *text;
    } cases[] = { { MILGI__KEY_RSA, "RSA 2048" }, { MILGI__KEY_P256, "ECDSA P-256" },
        { MILGI__KEY_P384, "ECDSA P-384" }, { MILGI__KEY_P521, "ECDSA P-521" }, { MILGI__KEY_ED25519, "Ed25519" } };
    for (size_t i = 0; i < MILGI__COUNT(cases); i++) {
        struct milgi_credential *credential =
            fake_credential(&(struct fake_options){ .type = cases[i].type, .names = "a.test", .intermediates = 2 });
        assert_string_equal(milgi_credential_key_type(credential), cases[i].text);
        assert_string_equal(milgi_credential_subject(credential), "CN=a.test");
        milgi_credential_unref(credential);
    }
}

static void key_of_another_identity_is_a_mismatch(void **state)
{
    (void)state;
    struct fake_identity a, b;
    struct milgi_credential *credential = NULL;
    fake_identity(NULL, &a);
    fake_identity(&(struct fake_options){ .seed = 1 }, &b);
    assert_int_equal(milgi_credential_new_pem(
                         a.chain_pem, strlen(a.chain_pem), b.key_pem, strlen(b.key_pem), &credential),
        MILGI_EMISMATCH);
    assert_null(credential);
}

static void configs_of_both_roles_can_be_frozen(void **state)
{
    (void)state;
    milgi_config_unref(fake_freeze(fake_config(MILGI_SERVER, NULL)));
    milgi_config_unref(fake_freeze(fake_config(MILGI_CLIENT, &(struct fake_options){ .root = 3 })));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(identity_of_every_key_type_becomes_a_credential),
        cmocka_unit_test(key_of_another_identity_is_a_mismatch),
        cmocka_unit_test(configs_of_both_roles_can_be_frozen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
